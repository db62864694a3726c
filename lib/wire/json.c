/* JSON read by jansson under our restriction, and written in its one canonical form. */
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "util/ensure.h"

static int json_check(const json_t *value, unsigned depth) {
    if ((json_is_object(value) || json_is_array(value)) && depth == JSON_DEPTH_MAX) {
        return PLASM_MALFORMED;
    }
    int error = 0;
    switch (json_typeof(value)) {
    case JSON_INTEGER: {
        json_int_t integer = json_integer_value(value);
        bool fits = integer >= -JSON_INTEGER_MAX && integer <= JSON_INTEGER_MAX;
        return fits ? 0 : PLASM_MALFORMED;
    }
    case JSON_REAL:
        return PLASM_MALFORMED;
    case JSON_ARRAY:
        for (size_t i = 0; error == 0 && i < json_array_size(value); i++) {
            error = json_check(json_array_get(value, i), depth + 1);
        }
        return error;
    case JSON_OBJECT:
        for (void *iter = json_object_iter((json_t *)(uintptr_t)value); error == 0 && iter != NULL;
             iter = json_object_iter_next((json_t *)(uintptr_t)value, iter)) {
            error = json_check(json_object_iter_value(iter), depth + 1);
        }
        return error;
    default:
        return 0;
    }
}

int json_read(struct bytes text, json_t **ret_value) {
    /* jansson passes over a NUL that follows a number. */
    if (text.size == 0 || memchr(text.data, '\0', text.size) != NULL) {
        return PLASM_MALFORMED;
    }
    json_t *value = json_loadb((const char *)text.data, text.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (value == NULL) {
        return PLASM_MALFORMED;
    }
    int error = json_check(value, 0);
    if (error != 0) {
        json_decref(value);
        return error;
    }
    *ret_value = value;
    return 0;
}

/* The escape of RFC 8785, section 3.2.2.2, in `room`; 0 for a character that stands for itself. */
static size_t json_escape(uint8_t character, char room[8]) {
    static const char digits[] = "0123456789abcdef";
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['\"'] = '"'};
    room[0] = '\\';
    if (character == '\\' || (character < sizeof(letters) && letters[character] != 0)) {
        room[1] = character == '\\' ? '\\' : letters[character];
        return 2;
    }
    if (character < 0x20) {
        memcpy(room + 1, "u00", 3);
        room[4] = digits[character >> 4];
        room[5] = digits[character & 15];
        return 6;
    }
    return 0;
}

static int json_put_string(struct buffer *out, struct bytes string) {
    if (!bytes_are_utf8(string)) {
        return PLASM_INVALID;
    }
    int error = buffer_append(out, BYTES_LITERAL("\""));
    size_t plain = 0; /* where the run of characters that need no escape began */
    for (size_t i = 0; error == 0 && i < string.size; i++) {
        char escape[8];
        size_t escape_size = json_escape(string.data[i], escape);
        if (escape_size > 0) {
            error = buffer_append(out, bytes_slice(string, plain, i - plain));
            plain = i + 1;
            if (error == 0) {
                error = buffer_append(out, bytes_of(escape, escape_size));
            }
        }
    }
    if (error == 0) {
        error = buffer_append(out, bytes_slice(string, plain, string.size));
    }
    return error == 0 ? buffer_append(out, BYTES_LITERAL("\"")) : error;
}

static int json_put_integer(struct buffer *out, int64_t value) {
    if (value < -JSON_INTEGER_MAX || value > JSON_INTEGER_MAX) {
        return PLASM_INVALID;
    }
    char text[24];
    int size = snprintf(text, sizeof(text), "%lld", (long long)value);
    return buffer_append(out, bytes_of(text, (size_t)size));
}

/* UTF-8 sorts by code point. UTF-16 differs in one thing: surrogates, which the code points above
 * U+FFFF (lead bytes F0 to F4) are made of, come before U+E000 to U+FFFF (EE and EF). */
static int json_key_order(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    unsigned left = (uint8_t)*a;
    unsigned right = (uint8_t)*b;
    left += left == 0xee || left == 0xef ? 0x10 : 0;
    right += right == 0xee || right == 0xef ? 0x10 : 0;
    return (left > right) - (left < right);
}

static int json_compare_keys(const void *a, const void *b) {
    return json_key_order(*(const char *const *)a, *(const char *const *)b);
}

static int json_put(const json_t *value, struct buffer *out, unsigned depth);

static int json_put_members(const json_t *object, const char **keys, size_t count,
                            struct buffer *out, unsigned depth) {
    int error = buffer_append(out, BYTES_LITERAL("{"));
    for (size_t i = 0; error == 0 && i < count; i++) {
        if (i > 0) {
            error = buffer_append(out, BYTES_LITERAL(","));
        }
        if (error == 0) {
            error = json_put_string(out, bytes_of_string(keys[i]));
        }
        if (error == 0) {
            error = buffer_append(out, BYTES_LITERAL(":"));
        }
        if (error == 0) {
            error = json_put(json_object_get(object, keys[i]), out, depth + 1);
        }
    }
    return error == 0 ? buffer_append(out, BYTES_LITERAL("}")) : error;
}

static int json_put_object(const json_t *object, struct buffer *out, unsigned depth) {
    size_t count = json_object_size(object);
    if (count == 0) {
        return buffer_append(out, BYTES_LITERAL("{}"));
    }
    const char **keys = memory_get(out->memory, count * sizeof(*keys));
    if (keys == NULL) {
        return PLASM_NO_MEMORY;
    }
    json_t *iterated = (json_t *)(uintptr_t)object;
    void *iter = json_object_iter(iterated);
    for (size_t i = 0; i < count; i++) {
        keys[i] = json_object_iter_key(iter);
        iter = json_object_iter_next(iterated, iter);
    }
    qsort(keys, count, sizeof(*keys), json_compare_keys);
    int error = json_put_members(object, keys, count, out, depth);
    memory_put(out->memory, keys, count * sizeof(*keys));
    return error;
}

static int json_put_array(const json_t *array, struct buffer *out, unsigned depth) {
    int error = buffer_append(out, BYTES_LITERAL("["));
    for (size_t i = 0; error == 0 && i < json_array_size(array); i++) {
        if (i > 0) {
            error = buffer_append(out, BYTES_LITERAL(","));
        }
        if (error == 0) {
            error = json_put(json_array_get(array, i), out, depth + 1);
        }
    }
    return error == 0 ? buffer_append(out, BYTES_LITERAL("]")) : error;
}

static int json_put(const json_t *value, struct buffer *out, unsigned depth) {
    if ((json_is_object(value) || json_is_array(value)) && depth == JSON_DEPTH_MAX) {
        return PLASM_INVALID;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_put_object(value, out, depth);
    case JSON_ARRAY:
        return json_put_array(value, out, depth);
    case JSON_STRING:
        return json_put_string(out, bytes_of(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        return json_put_integer(out, json_integer_value(value));
    case JSON_TRUE:
        return buffer_append(out, BYTES_LITERAL("true"));
    case JSON_FALSE:
        return buffer_append(out, BYTES_LITERAL("false"));
    case JSON_NULL:
        return buffer_append(out, BYTES_LITERAL("null"));
    case JSON_REAL:
        break;
    }
    return PLASM_INVALID;
}

int json_write_canonical(const json_t *value, struct buffer *out) {
    return json_put(value, out, 0);
}

int json_get_string(const json_t *object, const char *key, struct bytes *ret_value) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL) {
        return PLASM_NOT_FOUND;
    }
    if (!json_is_string(value)) {
        return PLASM_MALFORMED;
    }
    *ret_value = bytes_of(json_string_value(value), json_string_length(value));
    return 0;
}

int json_get_integer(const json_t *object, const char *key, int64_t *ret_value) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL) {
        return PLASM_NOT_FOUND;
    }
    if (!json_is_integer(value)) {
        return PLASM_MALFORMED;
    }
    *ret_value = json_integer_value(value);
    return 0;
}

int json_get_list(const json_t *object, const char *key, json_t **ret_list) {
    json_t *value = json_object_get(object, key);
    if (value == NULL) {
        return PLASM_NOT_FOUND;
    }
    if (!json_is_array(value)) {
        return PLASM_MALFORMED;
    }
    *ret_list = value;
    return 0;
}

static void json_writer_put(struct json_writer *writer, struct bytes text) {
    if (writer->error == 0) {
        writer->error = buffer_append(writer->out, text);
    }
}

void json_object_begin(struct json_writer *writer, struct buffer *out) {
    *writer = (struct json_writer){.out = out};
    json_writer_put(writer, BYTES_LITERAL("{"));
}

static void json_writer_key(struct json_writer *writer, const char *key) {
    ENSURE(writer->last_key == NULL || json_key_order(writer->last_key, key) < 0);
    if (writer->last_key != NULL) {
        json_writer_put(writer, BYTES_LITERAL(","));
    }
    writer->last_key = key;
    if (writer->error == 0) {
        writer->error = json_put_string(writer->out, bytes_of_string(key));
    }
    json_writer_put(writer, BYTES_LITERAL(":"));
}

void json_object_string(struct json_writer *writer, const char *key, struct bytes value) {
    json_writer_key(writer, key);
    if (writer->error == 0) {
        writer->error = json_put_string(writer->out, value);
    }
}

void json_object_integer(struct json_writer *writer, const char *key, int64_t value) {
    json_writer_key(writer, key);
    if (writer->error == 0) {
        writer->error = json_put_integer(writer->out, value);
    }
}

void json_object_strings(struct json_writer *writer, const char *key, const struct bytes *values,
                         size_t count) {
    json_writer_key(writer, key);
    json_writer_put(writer, BYTES_LITERAL("["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            json_writer_put(writer, BYTES_LITERAL(","));
        }
        if (writer->error == 0) {
            writer->error = json_put_string(writer->out, values[i]);
        }
    }
    json_writer_put(writer, BYTES_LITERAL("]"));
}

int json_object_end(struct json_writer *writer) {
    json_writer_put(writer, BYTES_LITERAL("}"));
    return writer->error;
}
