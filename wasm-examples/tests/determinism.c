/* Prints everything a module can learn of its surroundings: the same job must print the same. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wasi_raw.h"

static u64 clock_now(u32 id) {
    u64 now = 0;
    if (raw_clock_time_get(id, 0, AT(&now)) != SUCCESS) {
        printf("no clock %u\n", id);
    }
    return now;
}

static void clocks(void) {
    u64 first = clock_now(1);
    for (volatile int i = 0; i < 1000; i++) {
    }
    u64 second = clock_now(1);
    printf("clock %llu %llu\n", (unsigned long long)first, (unsigned long long)second);
    struct subscription_raw wait = {.id = 1, .timeout = 3600000000000};
    struct event_raw event;
    u32 count = 0;
    u32 error = raw_poll_oneoff(AT(&wait), AT(&event), 1, AT(&count));
    u64 third = clock_now(1);
    printf("slept %u %u %s\n", error, count, third - second >= 3600000000000 ? "an hour" : "not");
    printf("real %llu\n", (unsigned long long)(clock_now(0) - clock_now(1)));
}

static void numbers(void) {
    uint8_t random[80];
    for (u32 i = 0; i < sizeof(random); i += 8) {
        raw_random_get(AT(random + i), 8);
    }
    printf("random ");
    for (u32 i = 0; i < sizeof(random); i++) {
        printf("%02x", random[i]);
    }
    printf("\n");
}

/* The bits of NaN that arithmetic makes are the processor's affair, unless they are made one. */
static void floats(void) {
    volatile uint64_t bits = 0xfff800000000beef;
    double nan;
    uint64_t copy = bits;
    memcpy(&nan, &copy, sizeof(nan));
    volatile double zero = 0;
    double results[] = {nan + 1, zero / zero, nan * nan, -(zero / zero)};
    for (u32 i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        memcpy(&copy, &results[i], sizeof(copy));
        printf("nan %016llx\n", (unsigned long long)copy);
    }
    double sum = 0;
    for (int i = 1; i < 10000; i++) {
        sum += __builtin_sqrt(i) / (i + 0.1);
    }
    memcpy(&copy, &sum, sizeof(copy));
    printf("sum %016llx\n", (unsigned long long)copy);
}

int main(int argc, char **argv) {
    printf("%d %s\n", argc, argc > 1 ? argv[1] : "");
    clocks();
    numbers();
    floats();
    while (__builtin_wasm_memory_grow(0, 7) != (size_t)-1) {
    }
    printf("pages %zu\n", __builtin_wasm_memory_size(0));
    clocks();
    return 0;
}
