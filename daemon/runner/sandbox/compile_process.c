/* The process around the compiler: its limits, what happens when one is hit, its answer. */
#include "runner/sandbox/compile_process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runner/packet.h"
#include "runner/sandbox/compile.h"
#include "runner/sandbox/sandbox.h"
#include "runner/sandbox/seccomp.h"
#include "util/ensure.h"
#include "walls/process.h"

#define NO_SOCKET (-1)

/* What the signal handlers need; there is one compilation in a process. */
static struct {
    struct runner_compile_limits limits;
    int socket; /* of the parent, or NO_SOCKET: text goes to descriptor 2 */
    struct compile_report report;
} process;

/* Says what came of it, and exits. Called from signal handlers too. */
_Noreturn static void answer(void) {
    struct compile_report *report = &process.report;
    struct bytes text = bytes_of_string(report->text);
    if (process.socket == NO_SOCKET) {
        if (text.size > 0) {
            report->text[text.size] = '\n';
            (void)!write(STDERR_FILENO, report->text, text.size + 1);
        }
        _exit((int)report->outcome);
    }
    uint8_t room[32 + RUNNER_TEXT_SIZE_MAX];
    size_t size;
    struct rusage usage;
    uint64_t cpu_us = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                 (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
    struct runner_message message = {
        .type = RUNNER_MESSAGE_COMPILED,
        .compiled = {report->outcome, report->image_size, cpu_us, text},
    };
    if (runner_message_encode(&message, (struct span){room, sizeof(room)}, &size) == 0) {
        (void)!packet_send(process.socket, bytes_of(room, size), NULL, 0);
    }
    _exit((int)report->outcome);
}

static void on_limit(int signal) {
    compile_stopped(signal, &process.limits, &process.report);
    answer();
}

static int catch_signals(void) {
    /* Where the compiler has used up its stack, the handler needs another. */
    static uint8_t stack_room[64 * 1024];
    const stack_t stack = {.ss_sp = stack_room, .ss_size = sizeof(stack_room)};
    struct sigaction action = {.sa_handler = on_limit, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGXCPU, &action, NULL) != 0 ||
        sigaction(SIGABRT, &action, NULL) != 0 || sigaction(SIGXFSZ, &action, NULL) != 0) {
        return PLASM_IO;
    }
    action.sa_flags |= SA_ONSTACK;
    if (sigaction(SIGSEGV, &action, NULL) != 0 || sigaction(SIGBUS, &action, NULL) != 0) {
        return PLASM_IO;
    }
    return 0;
}

/* The second later is for the case that the handler does not get to run. */
static int limit_cpu(uint64_t seconds) {
    struct rlimit limit = {.rlim_cur = seconds, .rlim_max = seconds + 1};
    return setrlimit(RLIMIT_CPU, &limit) == 0 ? 0 : PLASM_IO;
}

/* Limits, their handlers, seccomp. */
static int enter(const struct runner_compile_limits *limits, int socket) {
    process.limits = *limits;
    process.socket = socket;
    int error = catch_signals();
    error = error != 0 ? error : limit_cpu(limits->cpu_s_max);
    error = error != 0 ? error : sandbox_limit_data(limits->memory_bytes_max);
    error = error != 0 ? error : walls_limit(RLIMIT_FSIZE, limits->image_bytes_max);
    return error != 0 ? error : seccomp_enter(SECCOMP_ROLE_COMPILE);
}

void compile_process_run(const struct runner_compile_message *request, int socket, int module_fd,
                         int image_fd) {
    struct bytes module = bytes_of(NULL, 0);
    if (request->module_size > 0) {
        void *mapped = mmap(NULL, request->module_size, PROT_READ, MAP_PRIVATE, module_fd, 0);
        ENSURE(mapped != MAP_FAILED);
        module = bytes_of(mapped, request->module_size);
    }
    ENSURE(enter(&request->limits, socket) == 0);
    compile_module(module, request->flavour, &request->limits, image_fd, &process.report);
    answer();
}

/* All of descriptor 0, or one byte more than is allowed. */
static int read_module(uint64_t size_max, struct bytes *ret_module) {
    size_t room = (size_t)size_max + 1;
    size_t size = 0;
    uint8_t *module = malloc(room);
    if (module == NULL) {
        return PLASM_NO_MEMORY;
    }
    while (size < room) {
        ssize_t got = read(STDIN_FILENO, module + size, room - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            free(module);
            return PLASM_IO;
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    *ret_module = bytes_of(module, size);
    return 0;
}

int compile_process_main(enum runner_flavour flavour, const struct runner_compile_limits *limits) {
    static const int standard[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    struct sandbox_options options = {
        .keep = standard,
        .keep_count = ARRAY_SIZE(standard),
        .data_bytes_max = limits->memory_bytes_max,
        .file_bytes_max = limits->image_bytes_max,
    };
    struct sandbox_walls walls;
    struct bytes module;
    if (sandbox_enter(&options, &walls) != 0 || enter(limits, NO_SOCKET) != 0 ||
        read_module(limits->module_bytes_max, &module) != 0) {
        return RUNNER_COMPILE_FAILED;
    }
    compile_module(module, flavour, limits, STDOUT_FILENO, &process.report);
    answer();
}
