/* Goes up to a limit, or past it: time, memory, stack, output; and ends in every way there is. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int loop(void) {
    for (volatile uint64_t i = 0;; i++) {
    }
}

/* Everything its memory may still grow to, one page at a time; then says how many pages it has. */
static int grow(void) {
    while (__builtin_wasm_memory_grow(0, 1) != (size_t)-1) {
    }
    printf("%zu pages\n", __builtin_wasm_memory_size(0));
    /* What was granted must be there. */
    memset((void *)(uintptr_t)(__builtin_wasm_memory_size(0) * 65536 - 65536), 1, 65536);
    return 0;
}

static int flood(void) {
    static char room[65536];
    memset(room, 'f', sizeof(room));
    while (write(1, room, sizeof(room)) > 0) {
    }
    return 1;
}

/* On the engine's stack: locals that live in registers and their spills, not in memory. */
__attribute__((noinline)) static uint64_t recurse(uint64_t depth) {
    if (depth == 0) {
        return 0;
    }
    return recurse(depth - 1) * 3 + depth;
}

static int sleep_ms(long ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return nanosleep(&time, NULL) != 0;
}

static int divide(int by) {
    volatile int number = 100;
    printf("%d\n", number / by);
    return 0;
}

static int out_of_bounds(void) {
    volatile char *end = (volatile char *)(uintptr_t)(__builtin_wasm_memory_size(0) * 65536);
    return *end;
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "";
    long number = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (strcmp(command, "loop") == 0) {
        return loop();
    }
    if (strcmp(command, "grow") == 0) {
        return grow();
    }
    if (strcmp(command, "flood") == 0) {
        return flood();
    }
    if (strcmp(command, "recurse") == 0) {
        printf("%llu\n", (unsigned long long)recurse((uint64_t)number));
        return 0;
    }
    if (strcmp(command, "sleep") == 0) {
        return sleep_ms(number);
    }
    if (strcmp(command, "divide") == 0) {
        return divide((int)number);
    }
    if (strcmp(command, "bounds") == 0) {
        return out_of_bounds();
    }
    if (strcmp(command, "unreachable") == 0) {
        __builtin_trap();
    }
    if (strcmp(command, "exit") == 0) {
        _Exit((int)number);
    }
    return (int)number;
}
