/* Tests of the text encodings: published vectors, other spellings refused, exact room. */
#include "wire/multibase.h"

#include "util/testing.h"

/* multiformats/multibase, tests/basic.csv, leading_zero.csv and two_leading_zeros.csv: the rows of
 * the encodings we have. */
static const struct {
    const char *text;
    size_t zeros; /* bytes before "yes mani !" */
} multibase_vectors[] = {
    {"f796573206d616e692021", 0}, {"bpfsxgidnmfxgsibb", 0},         {"z7paNL19xttacUY", 0},
    {"meWVzIG1hbmkgIQ", 0},       {"ueWVzIG1hbmkgIQ", 0},           {"f00796573206d616e692021", 1},
    {"bab4wk4zanvqw42jaee", 1},   {"z17paNL19xttacUY", 1},          {"mAHllcyBtYW5pICE", 1},
    {"uAHllcyBtYW5pICE", 1},      {"f0000796573206d616e692021", 2}, {"baaahszltebwwc3tjeaqq", 2},
    {"z117paNL19xttacUY", 2},     {"mAAB5ZXMgbWFuaSAh", 2},         {"uAAB5ZXMgbWFuaSAh", 2},
};

static void multibase_agrees_with_published_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(multibase_vectors); i++) {
        const char *text = multibase_vectors[i].text;
        struct bytes plain =
            bytes_slice(BYTES_LITERAL("\0\0yes mani !"), 2 - multibase_vectors[i].zeros, 12);
        char room[64];
        uint8_t bytes[64];
        size_t size;
        assert_int_equal(multibase_encode((enum multibase)text[0], plain, room, sizeof(room)), 0);
        assert_string_equal(room, text);
        assert_int_equal(multibase_decode(test_copy(bytes_of_string(text)),
                                          test_span(bytes, sizeof(bytes)), &size),
                         0);
        assert_bytes_equal(bytes_of(bytes, size), plain);
    }
}

/* multiformats/multibase, tests/case_insensitivity.csv. */
static void either_case_is_read_where_case_means_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {"f68656c6c6f20776F726C64", "bnbswy3dpeB3W64TMMQ"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        uint8_t bytes[64];
        size_t size;
        assert_int_equal(
            multibase_decode(bytes_of_string(texts[i]), test_span(bytes, sizeof(bytes)), &size), 0);
        assert_bytes_equal(bytes_of(bytes, size), BYTES_LITERAL("hello world"));
    }
}

static void multibase_refuses(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", PLASM_MALFORMED},           {"f0", PLASM_MALFORMED},
        {"f0g", PLASM_MALFORMED},        {"ba", PLASM_MALFORMED}, /* five bits are no byte */
        {"baaa", PLASM_MALFORMED},      /* fifteen carry one byte and seven bits */
        {"baaaaaa", PLASM_MALFORMED},   /* thirty carry three bytes and six bits */
        {"bab", PLASM_MALFORMED},       /* bits left over that are not zero */
        {"bme======", PLASM_MALFORMED}, /* padding, which is another prefix */
        {"bm1", PLASM_MALFORMED},       /* not in the alphabet: 0, 1, 8, 9 */
        {"mQQ==", PLASM_MALFORMED},     /* padding, which is another prefix */
        {"mQ", PLASM_MALFORMED},        /* six bits are no byte */
        {"mQR", PLASM_MALFORMED},       /* bits left over */
        {"m-_8", PLASM_MALFORMED},      /* the URL alphabet */
        {"u+/8", PLASM_MALFORMED},      /* the standard alphabet */
        {"mQ Q", PLASM_MALFORMED},      /* white space */
        {"zI", PLASM_MALFORMED},        /* not in the alphabet: 0, O, I, l */
        {"z1l", PLASM_MALFORMED},        {"z0", PLASM_MALFORMED},
        {"zO", PLASM_MALFORMED},         {"z7pa NL", PLASM_MALFORMED},
        {"MQQ==", PLASM_UNSUPPORTED},    {"BME", PLASM_UNSUPPORTED},
        {"k51qzi5", PLASM_UNSUPPORTED},  {"Qm", PLASM_UNSUPPORTED},
        {"\xf0\x9f", PLASM_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[64];
        size_t size = 77;
        int error = multibase_decode(test_copy(bytes_of_string(bad[i].text)),
                                     test_span(bytes, sizeof(bytes)), &size);
        if (error != bad[i].error || size != 77) {
            fail_msg("%s: %d", bad[i].text, error);
        }
    }
    char room[8];
    assert_int_equal(multibase_encode((enum multibase)'k', BYTES_LITERAL("a"), room, sizeof(room)),
                     PLASM_UNSUPPORTED);
}

static void multibase_of_nothing_is_the_prefix(void **state) {
    (void)state;
    static const enum multibase bases[] = {MULTIBASE_BASE16, MULTIBASE_BASE32, MULTIBASE_BASE58BTC,
                                           MULTIBASE_BASE64, MULTIBASE_BASE64URL};
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        char room[2];
        size_t size = 77;
        assert_int_equal(multibase_encode(bases[i], bytes_of(NULL, 0), room, 2), 0);
        assert_int_equal(room[0], bases[i]);
        assert_int_equal(room[1], 0);
        assert_int_equal(multibase_decode(bytes_of(room, 1), test_span(NULL, 0), &size), 0);
        assert_int_equal(size, 0);
        assert_int_equal(multibase_encode(bases[i], bytes_of(NULL, 0), room, 1), PLASM_TOO_LARGE);
        assert_int_equal(multibase_encode(bases[i], bytes_of(NULL, 0), room, 0), PLASM_TOO_LARGE);
    }
}

/* RFC 4648, section 10 (base32 there in upper case and padded). */
static const struct {
    const char *plain;
    const char *base64;
    const char *base32;
} rfc4648[] = {
    {"", "", ""},
    {"f", "Zg==", "my"},
    {"fo", "Zm8=", "mzxq"},
    {"foo", "Zm9v", "mzxw6"},
    {"foob", "Zm9vYg==", "mzxw6yq"},
    {"fooba", "Zm9vYmE=", "mzxw6ytb"},
    {"foobar", "Zm9vYmFy", "mzxw6ytboi"},
};

static void base64_and_base32_agree_with_rfc4648(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rfc4648); i++) {
        struct bytes plain = bytes_of_string(rfc4648[i].plain);
        char room[32];
        uint8_t bytes[32];
        size_t size;
        assert_int_equal(base64_encode(plain, room, sizeof(room)), 0);
        assert_string_equal(room, rfc4648[i].base64);
        assert_int_equal(base64_size(plain.size), strlen(rfc4648[i].base64));
        assert_int_equal(base64_decode(bytes_of_string(room), test_span(bytes, 32), &size), 0);
        assert_bytes_equal(bytes_of(bytes, size), plain);
        assert_int_equal(base32_encode(plain, room, sizeof(room)), 0);
        assert_string_equal(room, rfc4648[i].base32);
        assert_int_equal(base32_decode(bytes_of_string(room), test_span(bytes, 32), &size), 0);
        assert_bytes_equal(bytes_of(bytes, size), plain);
    }
}

static void base64_insists_on_padding(void **state) {
    (void)state;
    static const char *const bad[] = {"Zg",       "Zg=",      "Zg===", "Zg==Zg==", "=",
                                      "==",       "====",     "Z===",  "Zg=a",     "Zm8",
                                      "Zm8=====", "Zm9v====", "Zh==",  "Zm9=",     "Zg==\n",
                                      "Zm\n8",    "Zm9v=",    "Z=g=",  "A",        "_-8=",
                                      "Zm9vZg==="};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[32];
        size_t size = 77;
        int error = base64_decode(test_copy(bytes_of_string(bad[i])), test_span(bytes, 32), &size);
        if (error != PLASM_MALFORMED || size != 77) {
            fail_msg("%s: %d", bad[i], error);
        }
    }
}

/* draft-msporny-base58, section 5; the last is the peer id of an identity multihash, as in
 * libp2p/specs peer-ids/peer-ids.md. */
static const struct {
    const char *text;
    const char *hex;
} base58_vectors[] = {
    {"2NEpo7TZRRrLZSi2U", "48656c6c6f20576f726c6421"},
    {"USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
     "54686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f672e"},
    {"11233QC4", "0000287fb4cd"},
    {"", ""},
    {"1", "00"},
    {"11111", "0000000000"},
    {"z", "39"},
    {"21", "3a"},
    {"5Q", "ff"},
    {"5R", "0100"},
    {"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
     "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"},
};

static void base58_agrees_with_published_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(base58_vectors); i++) {
        struct bytes expected = test_hex(base58_vectors[i].hex);
        char room[80];
        uint8_t bytes[80];
        size_t size;
        assert_int_equal(base58_encode(expected, room, sizeof(room)), 0);
        assert_string_equal(room, base58_vectors[i].text);
        assert_int_equal(base58_decode(bytes_of_string(base58_vectors[i].text),
                                       test_span(bytes, sizeof(bytes)), &size),
                         0);
        assert_bytes_equal(bytes_of(bytes, size), expected);
    }
}

static void base58_is_bounded(void **state) {
    (void)state;
    static uint8_t bytes[BASE58_INPUT_MAX + 1];
    static char room[400];
    static uint8_t back[400];
    size_t size;
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(base58_encode(BYTES_ARRAY(bytes), room, sizeof(room)), PLASM_TOO_LARGE);
    assert_int_equal(base58_encode(bytes_of(bytes, BASE58_INPUT_MAX), room, sizeof(room)), 0);
    struct bytes longest = bytes_of_string(room);
    assert_int_equal(base58_decode(longest, test_span(back, sizeof(back)), &size), 0);
    assert_bytes_equal(bytes_of(back, size), bytes_of(bytes, BASE58_INPUT_MAX));
    assert_int_equal(base58_decode(longest, test_span(back, BASE58_INPUT_MAX - 1), &size),
                     PLASM_TOO_LARGE);
    memset(room, 'z', sizeof(room));
    assert_int_equal(
        base58_decode(bytes_of(room, sizeof(room)), test_span(back, sizeof(back)), &size),
        PLASM_TOO_LARGE);
    for (size_t text_size = 340; text_size < sizeof(room); text_size++) {
        int error = base58_decode(bytes_of(room, text_size), test_span(back, sizeof(back)), &size);
        assert_true(error == 0 || error == PLASM_TOO_LARGE);
    }
}

typedef int encoder(struct bytes from, char *room, size_t room_size);
typedef int decoder(struct bytes text, struct span room, size_t *ret_size);

/* Any bytes come back; the text fits its exact room and no smaller one; so do the bytes. */
static void check_round_trip(encoder *encode, decoder *decode, struct bytes bytes) {
    char text[600];
    assert_int_equal(encode(bytes, text, sizeof(text)), 0);
    size_t text_size = strlen(text);
    char *exact = malloc(text_size + 1);
    assert_non_null(exact);
    assert_int_equal(encode(bytes, exact, text_size + 1), 0);
    assert_string_equal(exact, text);
    assert_int_equal(encode(bytes, exact, text_size), PLASM_TOO_LARGE);
    free(exact);
    uint8_t *room = malloc(bytes.size + 1);
    assert_non_null(room);
    size_t size = 77;
    assert_int_equal(decode(bytes_of(text, text_size), test_span(room, bytes.size), &size), 0);
    assert_bytes_equal(bytes_of(room, size), bytes);
    if (bytes.size > 0) {
        assert_int_equal(decode(bytes_of(text, text_size), test_span(room, bytes.size - 1), &size),
                         PLASM_TOO_LARGE);
    }
    free(room);
}

static int base64url_encode(struct bytes from, char *room, size_t room_size) {
    return multibase_encode(MULTIBASE_BASE64URL, from, room, room_size);
}
static int base16_encode(struct bytes from, char *room, size_t room_size) {
    return multibase_encode(MULTIBASE_BASE16, from, room, room_size);
}

static void random_round_trips(void **state) {
    (void)state;
    uint64_t seed = 58;
    for (size_t size = 0; size <= BASE58_INPUT_MAX; size++) {
        for (int round = 0; round < 4; round++) {
            uint8_t bytes[BASE58_INPUT_MAX];
            test_random_fill(&seed, bytes, size);
            if (round > 0) {
                memset(bytes, round == 1 ? 0 : 0xff, test_random_below(&seed, size + 1));
            }
            struct bytes whole = bytes_of(bytes, size);
            check_round_trip(base58_encode, base58_decode, whole);
            check_round_trip(base32_encode, base32_decode, whole);
            check_round_trip(base64_encode, base64_decode, whole);
            check_round_trip(base64url_encode, multibase_decode, whole);
            check_round_trip(base16_encode, multibase_decode, whole);
        }
    }
}

/* A text that is read at all is what its bytes are written as (but for case). */
static void each_value_has_one_text(void **state) {
    (void)state;
    static const char *const alphabets[] = {
        "abcdefghijklmnopqrstuvwxyz234567",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=",
        "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"};
    static encoder *const encoders[] = {base32_encode, base64_encode, base58_encode};
    static decoder *const decoders[] = {base32_decode, base64_decode, base58_decode};
    uint64_t seed = 4648;
    size_t accepted = 0;
    for (int round = 0; round < 60000; round++) {
        size_t base = (size_t)round % 3;
        char text[9];
        char again[16];
        uint8_t bytes[16];
        size_t text_size = test_random_below(&seed, sizeof(text));
        for (size_t i = 0; i < text_size; i++) {
            text[i] = alphabets[base][test_random_below(&seed, strlen(alphabets[base]))];
        }
        size_t size;
        if (decoders[base](bytes_of(text, text_size), test_span(bytes, sizeof(bytes)), &size) ==
            0) {
            accepted++;
            assert_int_equal(encoders[base](bytes_of(bytes, size), again, sizeof(again)), 0);
            assert_bytes_equal(bytes_of_string(again), bytes_of(text, text_size));
        }
    }
    assert_true(accepted > 20000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multibase_agrees_with_published_vectors),
        cmocka_unit_test(either_case_is_read_where_case_means_nothing),
        cmocka_unit_test(multibase_refuses),
        cmocka_unit_test(multibase_of_nothing_is_the_prefix),
        cmocka_unit_test(base64_and_base32_agree_with_rfc4648),
        cmocka_unit_test(base64_insists_on_padding),
        cmocka_unit_test(base58_agrees_with_published_vectors),
        cmocka_unit_test(base58_is_bounded),
        cmocka_unit_test(random_round_trips),
        cmocka_unit_test(each_value_has_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
