/* Lines are formatted by hand, as there are millions of them, and hashed by the bufferful. */
#include "trace.h"

#include "util/ensure.h"

#define DECIMAL_MAX 20
#define LINE_MAX_SIZE                                                                              \
    (DECIMAL_MAX + 1 + TRACE_WORD_LENGTH_MAX + TRACE_NUMBERS_MAX * (DECIMAL_MAX + 1) + 1)

void trace_init(struct trace *trace, FILE *file) {
    trace->hash = hash_new();
    ENSURE(trace->hash != NULL);
    trace->file = file;
    trace->is_file_broken = false;
    trace->is_ended = false;
    trace->lines = 0;
    trace->size = 0;
}

static void flush(struct trace *trace) {
    hash_update(trace->hash, bytes_of(trace->buffer, trace->size));
    if (trace->file != NULL && fwrite(trace->buffer, 1, trace->size, trace->file) != trace->size) {
        trace->is_file_broken = true;
    }
    trace->size = 0;
}

void trace_done(struct trace *trace) {
    hash_free(trace->hash);
    trace->hash = NULL;
}

static char *put_decimal(char *place, uint64_t number) {
    char digits[DECIMAL_MAX];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *place++ = digits[--count];
    }
    return place;
}

void trace_line(struct trace *trace, nanos now, const char *word, const uint64_t *numbers,
                size_t count) {
    if (trace->is_ended) {
        return;
    }
    size_t length = strlen(word);
    ENSURE(count <= TRACE_NUMBERS_MAX && length <= TRACE_WORD_LENGTH_MAX);
    if (sizeof(trace->buffer) - trace->size < LINE_MAX_SIZE) {
        flush(trace);
    }
    char *place = put_decimal(trace->buffer + trace->size, now);
    *place++ = ' ';
    memcpy(place, word, length);
    place += length;
    for (size_t i = 0; i < count; i++) {
        *place++ = ' ';
        place = put_decimal(place, numbers[i]);
    }
    *place++ = '\n';
    trace->size = (size_t)(place - trace->buffer);
    trace->lines++;
}

struct sha256_digest trace_end(struct trace *trace) {
    flush(trace);
    trace->is_ended = true;
    return hash_digest(trace->hash);
}
