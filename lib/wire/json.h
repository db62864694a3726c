/* Canonical JSON (RFC 8785) under the project's restriction: objects, lists, UTF-8 strings,
 * integers within +-(2^53-1), booleans, null. Reading goes through jansson with duplicates refused;
 * writing is ours, so that a signed byte is never another library's choice. */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <jansson.h>

#include "util/buffer.h"
#include "util/bytes.h"

#define JSON_INTEGER_MAX INT64_C(9007199254740991)
/* Deepest nesting that is read or written. */
#define JSON_DEPTH_MAX 16

/* Reads a whole text: PLASM_MALFORMED for bad JSON, duplicate keys, reals, integers out of range,
 * NUL or lone surrogates in strings, too deep nesting, trailing bytes. Free with json_decref.
 * When memory is out that is PLASM_MALFORMED too: jansson does not tell. "-0" is read as 0. */
MUST_CHECK int json_read(struct bytes text, json_t **ret_value);

/* Appends the canonical form: keys sorted by UTF-16 code units, no white space, RFC 8785 section
 * 3.2.2.2 escapes. PLASM_INVALID for what json_read would refuse (a real number, an integer out of
 * range, a string that is not UTF-8, too deep nesting), PLASM_TOO_LARGE, PLASM_NO_MEMORY; `out` may
 * then hold a part. */
MUST_CHECK int json_write_canonical(const json_t *value, struct buffer *out);

/* Typed members of an object; PLASM_NOT_FOUND where the key is missing, PLASM_MALFORMED where the
 * type is another. Strings and lists are borrowed from `object`. */
MUST_CHECK int json_get_string(const json_t *object, const char *key, struct bytes *ret_value);
MUST_CHECK int json_get_integer(const json_t *object, const char *key, int64_t *ret_value);
MUST_CHECK int json_get_list(const json_t *object, const char *key, json_t **ret_list);

/* A writer of flat JSON objects without building a tree; used on hot paths. Keys must come in the
 * canonical order (asserted) and stay where they are until the end. Opens with "{", closes with
 * "}"; the caller ends with json_object_end. Errors, those of json_write_canonical, are sticky in
 * `error`. */
struct json_writer {
    struct buffer *out;
    const char *last_key;
    int error;
};

void json_object_begin(struct json_writer *writer, struct buffer *out);
void json_object_string(struct json_writer *writer, const char *key, struct bytes value);
void json_object_integer(struct json_writer *writer, const char *key, int64_t value);
/* A list of strings. */
void json_object_strings(struct json_writer *writer, const char *key, const struct bytes *values,
                         size_t count);
MUST_CHECK int json_object_end(struct json_writer *writer);

#endif
