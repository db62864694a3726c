/* The head of a compiled module. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include "runner/sandbox/image.h"

static void heads_survive(void **state) {
    const struct image_head head = {RUNNER_FLAVOUR_METERED, 0x123456789a};
    uint8_t image[IMAGE_HEAD_SIZE + 3] = {0};
    struct image_head decoded;
    struct bytes code;
    (void)state;
    image_head_encode(&head, image);
    assert_int_equal(image_decode(BYTES_ARRAY(image), &decoded, &code), 0);
    assert_int_equal(decoded.flavour, head.flavour);
    assert_int_equal(decoded.memory_min_bytes, head.memory_min_bytes);
    assert_ptr_equal(code.data, image + IMAGE_HEAD_SIZE);
    assert_int_equal(code.size, 3);
}

static void anything_else_is_refused(void **state) {
    const struct image_head head = {RUNNER_FLAVOUR_PLAIN, 65536};
    uint8_t image[IMAGE_HEAD_SIZE];
    struct image_head decoded;
    struct bytes code;
    (void)state;
    image_head_encode(&head, image);
    for (size_t size = 0; size < sizeof(image); size++) {
        assert_int_equal(image_decode(bytes_of(image, size), &decoded, &code), PLASM_MALFORMED);
    }
    /* Name, version and flavour: each byte matters. What follows may be any number. */
    for (size_t i = 0; i < 16; i++) {
        image[i] ^= 0x10;
        assert_int_equal(image_decode(BYTES_ARRAY(image), &decoded, &code), PLASM_MALFORMED);
        image[i] ^= 0x10;
    }
    assert_int_equal(image_decode(BYTES_ARRAY(image), &decoded, &code), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_survive),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
