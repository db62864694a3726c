/* An array, sorted when it is asked. */
#include "samples.h"

#include <stdlib.h>

#include "util/ensure.h"

#define CAPACITY_MIN 64

void samples_init(struct samples *samples, struct memory *memory) {
    *samples = (struct samples){.memory = memory};
}

void samples_done(struct samples *samples) {
    memory_put(samples->memory, samples->values, samples->capacity * sizeof(uint64_t));
    samples_init(samples, samples->memory);
}

void samples_add(struct samples *samples, uint64_t value) {
    if (samples->count == samples->capacity) {
        size_t capacity = samples->capacity > 0 ? 2 * samples->capacity : CAPACITY_MIN;
        uint64_t *values =
            memory_resize(samples->memory, samples->values, samples->capacity * sizeof(uint64_t),
                          capacity * sizeof(uint64_t));
        ENSURE(values != NULL);
        samples->values = values;
        samples->capacity = capacity;
    }
    samples->values[samples->count++] = value;
    samples->is_sorted = false;
}

double samples_mean(const struct samples *samples) {
    double sum = 0;
    for (size_t i = 0; i < samples->count; i++) {
        sum += (double)samples->values[i];
    }
    return samples->count > 0 ? sum / (double)samples->count : 0;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t samples_percentile(struct samples *samples, unsigned percent) {
    ENSURE(percent > 0 && percent <= 100);
    if (samples->count == 0) {
        return 0;
    }
    if (!samples->is_sorted) {
        qsort(samples->values, samples->count, sizeof(uint64_t), compare);
        samples->is_sorted = true;
    }
    size_t rank = (samples->count * percent + 99) / 100;
    return samples->values[rank - 1];
}
