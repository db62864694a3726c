/* Reading docs/spec/vectors/ in tests. The files were made by tests/conformance/vectors.py, which
 * shares nothing with the code under test. */
#ifndef RECEIPT_VECTORS_TESTING_H
#define RECEIPT_VECTORS_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "receipt/receipt_file.h"
#include "wire/json.h"
#include "wire/multibase.h"

/* The whole file, to be freed; data NULL when it cannot be read. */
static inline struct bytes vectors_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct bytes nothing = {0};
    if (file == NULL) {
        return nothing;
    }
    size_t capacity = (size_t)1 << 20;
    uint8_t *data = malloc(capacity);
    size_t size = data != NULL ? fread(data, 1, capacity, file) : 0;
    fclose(file);
    return data != NULL && size < capacity ? bytes_of(data, size) : nothing;
}

/* The file as JSON, NULL when it is none. */
static inline json_t *vectors_json(const char *path) {
    struct bytes text = vectors_file(path);
    json_t *value = NULL;
    if (text.data != NULL && json_read(text, &value) != 0) {
        value = NULL;
    }
    free((void *)(uintptr_t)text.data);
    return value;
}

static inline const char *vectors_name(const json_t *item) {
    return json_string_value(json_object_get(item, "name"));
}

static inline struct bytes vectors_text(const json_t *item, const char *key) {
    struct bytes text = {0};
    return json_get_string(item, key, &text) == 0 ? text : bytes_of(NULL, 0);
}

/* A member in hex, to be freed. */
static inline struct bytes vectors_hex(const json_t *item, const char *key) {
    struct bytes text = vectors_text(item, key);
    size_t size = 0;
    uint8_t *data = malloc(text.size / 2 + 1);
    if (data == NULL ||
        bytes_from_hex(text, (struct span){.data = data, .size = text.size / 2}, &size) != 0) {
        abort();
    }
    return bytes_of(data, size);
}

static inline void vectors_free(struct bytes bytes) {
    free((void *)(uintptr_t)bytes.data);
}

static inline void vectors_base64(const json_t *item, const char *key, struct span room) {
    size_t size = 0;
    if (base64_decode(vectors_text(item, key), room, &size) != 0 || size != room.size) {
        abort();
    }
}

static inline void vectors_hash(const json_t *item, const char *key,
                                struct sha256_digest *ret_digest) {
    if (hash_parse(vectors_text(item, key), ret_digest) != 0) {
        abort();
    }
}

#endif
