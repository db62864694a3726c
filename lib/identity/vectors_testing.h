/* Reading vector files in tests: lines of words, '#' begins a comment. */
#ifndef IDENTITY_VECTORS_TESTING_H
#define IDENTITY_VECTORS_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "util/bytes.h"

#define VECTOR_WORDS_MAX 5
#define VECTOR_LINE_MAX  16384

struct vectors {
    FILE *file;
    char line[VECTOR_LINE_MAX];
    char *words[VECTOR_WORDS_MAX];
    size_t word_count;
};

static inline bool vectors_open(struct vectors *vectors, const char *path) {
    vectors->file = fopen(path, "r");
    return vectors->file != NULL;
}

/* The next line with words; false, and closed, at the end. */
static inline bool vectors_next(struct vectors *vectors) {
    while (fgets(vectors->line, sizeof(vectors->line), vectors->file) != NULL) {
        vectors->word_count = 0;
        char *at = vectors->line;
        while (*at != '\0' && *at != '#' && vectors->word_count < VECTOR_WORDS_MAX) {
            size_t size = strcspn(at, " \n");
            if (size > 0) {
                vectors->words[vectors->word_count++] = at;
            }
            at += size;
            if (*at != '\0') {
                *at++ = '\0';
            }
        }
        if (vectors->word_count > 0) {
            return true;
        }
    }
    fclose(vectors->file);
    return false;
}

/* A word of hex, in a block of exactly its size that the caller frees. */
static inline struct bytes vectors_hex(const char *word) {
    size_t size = strlen(word) / 2;
    uint8_t *data = malloc(size > 0 ? size : 1);
    size_t written = 0;
    if (data == NULL || bytes_from_hex(bytes_of_string(word),
                                       (struct span){.data = data, .size = size}, &written) != 0) {
        abort();
    }
    return bytes_of(data, size);
}

static inline void vectors_free(struct bytes bytes) {
    free((void *)(uintptr_t)bytes.data);
}

#endif
