/* Borrowed bytes: a pointer and a size, owned by somebody else. */
#ifndef UTIL_BYTES_H
#define UTIL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "util/compiler.h"
#include "util/error.h"

/* Bytes to read. `data` may be NULL when `size` is 0. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

/* Room to write to. */
struct span {
    uint8_t *data;
    size_t size;
};

/* The bytes of a string literal or array, without a terminating NUL. */
#define BYTES_LITERAL(literal)                                                                     \
    ((struct bytes){.data = (const uint8_t *)(literal), .size = sizeof(literal) - 1})
#define BYTES_ARRAY(array) ((struct bytes){.data = (array), .size = sizeof(array)})

static inline struct bytes bytes_of(const void *data, size_t size) {
    return (struct bytes){.data = data, .size = size};
}

static inline struct bytes bytes_of_string(const char *string) {
    return (struct bytes){.data = (const uint8_t *)string, .size = strlen(string)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_equal_string(struct bytes a, const char *string) {
    return bytes_equal(a, bytes_of_string(string));
}

/* Order of memcmp; a prefix comes before what it begins. */
int bytes_compare(struct bytes a, struct bytes b);

static inline bool bytes_start_with(struct bytes a, struct bytes prefix) {
    return a.size >= prefix.size &&
           (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

/* From `offset` on; both are clamped to what there is. */
struct bytes bytes_slice(struct bytes from, size_t offset, size_t size);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool bytes_are_utf8(struct bytes text);

/* Copies into `room` as a NUL-terminated string. PLASM_TOO_LARGE when it does not fit,
 * PLASM_MALFORMED when there is a NUL among the bytes. */
MUST_CHECK int bytes_to_string(struct bytes from, char *room, size_t room_size);

/* Copies as much as fits, up to the first NUL, as a NUL-terminated string; for texts people read. A
 * cut never leaves half a UTF-8 character. `room_size` is at least 1. */
void bytes_cut_string(struct bytes from, char *room, size_t room_size);

/* Lower-case hex with NUL; `room_size` must be at least 2 * size + 1. */
void bytes_to_hex(struct bytes from, char *room, size_t room_size);
/* Either case. PLASM_MALFORMED, or PLASM_TOO_LARGE when it does not fit `room`. */
MUST_CHECK int bytes_from_hex(struct bytes hex, struct span room, size_t *ret_size);

#endif
