/* Reading docs/spec/vectors/ in tests of this module. */
#ifndef CAPABILITY_VECTORS_TESTING_H
#define CAPABILITY_VECTORS_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"

/* Ends the test program where there is no such file. */
static inline json_t *capability_vectors(const char *name) {
    char path[1024];
    static char text[1 << 18];
    json_t *value = NULL;
    (void)snprintf(path, sizeof(path), "%s/../../../docs/spec/vectors/%s", PLASM_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(text, 1, sizeof(text), file) : 0;
    if (file == NULL || json_read(bytes_of(text, size), &value) != 0) {
        perror(path);
        abort();
    }
    fclose(file);
    return value;
}

/* A member in hex, to be freed. */
static inline struct bytes capability_vectors_hex(const json_t *item, const char *key) {
    struct bytes text = {0};
    size_t size = 0;
    if (json_get_string(item, key, &text) != 0) {
        abort();
    }
    uint8_t *data = malloc(text.size / 2 + 1);
    if (data == NULL ||
        bytes_from_hex(text, (struct span){.data = data, .size = text.size / 2}, &size) != 0) {
        abort();
    }
    return bytes_of(data, size);
}

#endif
