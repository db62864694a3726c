/* plasm-run: the process that runs strangers' code. What it is told comes from plasmd alone. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runner/sandbox/compile_process.h"
#include "runner/sandbox/sandbox.h"
#include "runner/sandbox/zygote.h"

#define EXIT_USAGE 64

static const char usage[] =
    "usage: plasm-run --zygote FD\n"
    "       plasm-run --compile plain|metered [MODULE_BYTES MEMORY_BYTES CPU_S IMAGE_BYTES]\n"
    "       plasm-run --version\n"
    "\n"
    "Started by plasmd, or by systemd for it. --compile reads a module from standard input and "
    "writes the compiled "
    "image\n"
    "to standard output; it exits with 10 (not valid), 11 (not supported), 12 (over a limit), 13\n"
    "(failed) and one line on standard error.\n";

static bool parse_number(const char *text, uint64_t *ret_value) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *ret_value = value;
    return true;
}

static int run_zygote(const char *socket) {
    uint64_t number;
    if (!parse_number(socket, &number) || number > INT_MAX) {
        return EXIT_USAGE;
    }
    sandbox_forget_environment(environ);
    return zygote_main((int)number);
}

static int run_compile(int count, char **arguments) {
    struct runner_compile_limits limits;
    runner_compile_limits_default(&limits);
    uint64_t *const values[] = {&limits.module_bytes_max, &limits.memory_bytes_max,
                                &limits.cpu_s_max, &limits.image_bytes_max};
    enum runner_flavour flavour = RUNNER_FLAVOUR_PLAIN;
    if (strcmp(arguments[0], "metered") == 0) {
        flavour = RUNNER_FLAVOUR_METERED;
    } else if (strcmp(arguments[0], "plain") != 0) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(values) && count > 1; i++) {
        if (!parse_number(arguments[i + 1], values[i])) {
            return EXIT_USAGE;
        }
    }
    sandbox_forget_environment(environ);
    return compile_process_main(flavour, &limits);
}

int main(int argc, char **argv) {
    int result = EXIT_USAGE;
    if (argc == 3 && strcmp(argv[1], "--zygote") == 0) {
        result = run_zygote(argv[2]);
    } else if ((argc == 3 || argc == 7) && strcmp(argv[1], "--compile") == 0) {
        result = run_compile(argc - 2, argv + 2);
    } else if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("plasm-run %s\n", RUNNER_IMAGE_VERSION);
        return EXIT_SUCCESS;
    }
    if (result == EXIT_USAGE) {
        (void)!write(STDERR_FILENO, usage, sizeof(usage) - 1);
    }
    return result;
}
