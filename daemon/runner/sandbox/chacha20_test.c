/* The random numbers of deterministic/1 against the vectors of RFC 8439. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include "runner/sandbox/chacha20.h"

static void assert_stream(const uint8_t key[CHACHA20_KEY_SIZE], size_t skip, const char *hex) {
    struct chacha20 chacha;
    uint8_t stream[64];
    uint8_t expected[64];
    size_t size;
    assert_int_equal(
        bytes_from_hex(bytes_of_string(hex), (struct span){expected, sizeof(expected)}, &size), 0);
    chacha20_init(&chacha, key);
    while (skip > 0) {
        size_t piece = skip < sizeof(stream) ? skip : sizeof(stream);
        chacha20_fill(&chacha, (struct span){stream, piece});
        skip -= piece;
    }
    chacha20_fill(&chacha, (struct span){stream, size});
    assert_memory_equal(stream, expected, size);
}

/* RFC 8439, appendix A.1, test vectors 1, 2, 3 and 4: all have nonce zero. */
static void it_is_the_stream_of_the_rfc(void **state) {
    uint8_t key[CHACHA20_KEY_SIZE] = {0};
    (void)state;
    assert_stream(key, 0,
                  "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                  "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
    assert_stream(key, 64,
                  "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                  "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
    key[31] = 1;
    assert_stream(key, 64,
                  "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
                  "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0");
    key[31] = 0;
    key[1] = 0xff;
    assert_stream(key, 128,
                  "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
                  "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096");
}

/* However it is asked for, it is the same stream. */
static void pieces_make_no_difference(void **state) {
    const uint8_t key[CHACHA20_KEY_SIZE] = {1, 2, 3};
    uint8_t whole[500];
    struct chacha20 chacha;
    (void)state;
    chacha20_init(&chacha, key);
    chacha20_fill(&chacha, (struct span){whole, sizeof(whole)});
    for (size_t piece = 1; piece <= 130; piece++) {
        uint8_t parts[sizeof(whole)];
        chacha20_init(&chacha, key);
        for (size_t done = 0; done < sizeof(parts); done += piece) {
            size_t size = sizeof(parts) - done < piece ? sizeof(parts) - done : piece;
            chacha20_fill(&chacha, (struct span){parts + done, size});
        }
        assert_memory_equal(parts, whole, sizeof(whole));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_stream_of_the_rfc),
        cmocka_unit_test(pieces_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
