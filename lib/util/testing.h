/* What test programs share: cmocka with what it wants included before it, inputs of exact size, and
 * randomness that repeats. Not part of the library. */
#ifndef UTIL_TESTING_H
#define UTIL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/bytes.h"
#include "util/ensure.h"

/* A heap copy of exactly these bytes, so that a sanitizer sees the first read beyond them. Kept,
 * and reachable for a leak checker, until the program ends. */
static inline struct bytes test_copy(struct bytes bytes) {
    struct kept {
        struct kept *next;
        uint8_t data[];
    };
    static struct kept *kept;
    struct kept *copy = malloc(sizeof(struct kept) + bytes.size);
    ENSURE(copy != NULL);
    if (bytes.size > 0) {
        memcpy(copy->data, bytes.data, bytes.size);
    }
    copy->next = kept;
    kept = copy;
    return bytes_of(copy->data, bytes.size);
}

/* The bytes that `hex` spells, kept like test_copy's. */
static inline struct bytes test_hex(const char *hex) {
    struct bytes text = bytes_of_string(hex);
    uint8_t room[8192];
    size_t size = 0;
    ENSURE(bytes_from_hex(text, (struct span){.data = room, .size = sizeof(room)}, &size) == 0);
    return test_copy(bytes_of(room, size));
}

static inline struct span test_span(void *room, size_t size) {
    return (struct span){.data = room, .size = size};
}

#define assert_bytes_equal(actual, expected)                                                       \
    do {                                                                                           \
        struct bytes actual_bytes = (actual);                                                      \
        struct bytes expected_bytes = (expected);                                                  \
        assert_int_equal(actual_bytes.size, expected_bytes.size);                                  \
        if (expected_bytes.size > 0) {                                                             \
            assert_memory_equal(actual_bytes.data, expected_bytes.data, expected_bytes.size);      \
        }                                                                                          \
    } while (0)

/* SplitMix64: the next number of the sequence that began with *state. */
static inline uint64_t test_random(uint64_t *state) {
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static inline uint64_t test_random_below(uint64_t *state, uint64_t bound) {
    return test_random(state) % bound;
}

static inline void test_random_fill(uint64_t *state, void *room, size_t size) {
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)room)[i] = (uint8_t)test_random(state);
    }
}

#endif
