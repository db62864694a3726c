/* For the tests: makes every thread of a running process try to get at a key.
 *
 *   plasm-inject PID SIGNER_PID KEY ALLOWED
 *
 * Stops each thread of PID in turn and has it make system calls, as code that took the process over
 * would: open KEY and other ways to it, trace SIGNER_PID and read its memory, and, to show that the
 * method works, open ALLOWED. Prints one line a call: thread, attempt, 0 or an errno. Exit code 0
 * when it could do its work, 77 where it may not trace or does not know the processor. Never
 * installed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_SKIPPED 77

#if !defined(__x86_64__)
int main(void) {
    return EXIT_SKIPPED;
}
#else

/* Below the stack, beyond the red zone. */
#define SCRATCH_BELOW 2048
#define SCRATCH_SIZE  1024
#define SYSCALL_SIZE  2

struct thread {
    pid_t tid;
    struct user_regs_struct saved;
    uint64_t scratch;
    uint64_t instruction; /* where a syscall instruction is */
};

static void write_memory(pid_t tid, uint64_t address, const char *text, size_t size) {
    char room[SCRATCH_SIZE] = "";
    memcpy(room, text, size);
    for (size_t i = 0; i < size; i += sizeof(long)) {
        long word;
        memcpy(&word, room + i, sizeof(word));
        (void)ptrace(PTRACE_POKEDATA, tid, (void *)(address + i), (void *)word);
    }
}

/* Makes the call in the thread; its result. */
static long call(const struct thread *thread, long number, uint64_t a, uint64_t b, uint64_t c,
                 uint64_t d, uint64_t e) {
    struct user_regs_struct registers = thread->saved;
    int status;
    registers.rip = thread->instruction;
    registers.rax = (unsigned long long)number;
    registers.orig_rax = (unsigned long long)-1;
    registers.rdi = a;
    registers.rsi = b;
    registers.rdx = c;
    registers.r10 = d;
    registers.r8 = e;
    registers.r9 = 0;
    if (ptrace(PTRACE_SETREGS, thread->tid, NULL, &registers) != 0 ||
        ptrace(PTRACE_SINGLESTEP, thread->tid, NULL, NULL) != 0 ||
        waitpid(thread->tid, &status, __WALL) < 0 || !WIFSTOPPED(status) ||
        ptrace(PTRACE_GETREGS, thread->tid, NULL, &registers) != 0) {
        fprintf(stderr, "plasm-inject: the thread is lost\n");
        exit(EXIT_FAILURE);
    }
    return (long)registers.rax;
}

static void report(const struct thread *thread, const char *attempt, long result) {
    printf("%d %s %ld\n", (int)thread->tid, attempt, result < 0 ? -result : 0);
}

static void try_open(const struct thread *thread, const char *attempt, const char *path,
                     int flags) {
    write_memory(thread->tid, thread->scratch, path, strlen(path) + 1);
    long fd = call(thread, SYS_openat, (uint64_t)AT_FDCWD, thread->scratch, (uint64_t)flags, 0, 0);
    report(thread, attempt, fd);
    if (fd >= 0) {
        (void)call(thread, SYS_close, (uint64_t)fd, 0, 0, 0, 0);
    }
}

/* A second name for the key, in a directory that may be read. */
static void try_name(const struct thread *thread, const char *attempt, long number, const char *key,
                     const char *allowed) {
    char other[SCRATCH_SIZE / 2];
    snprintf(other, sizeof(other), "%s.stolen", allowed);
    write_memory(thread->tid, thread->scratch, key, strlen(key) + 1);
    write_memory(thread->tid, thread->scratch + SCRATCH_SIZE / 2, other, strlen(other) + 1);
    report(thread, attempt,
           call(thread, number, (uint64_t)AT_FDCWD, thread->scratch, (uint64_t)AT_FDCWD,
                thread->scratch + SCRATCH_SIZE / 2, 0));
}

static void try_memory(const struct thread *thread, pid_t signer) {
    char path[64];
    const uint64_t local[] = {thread->scratch, 8};
    const uint64_t remote[] = {0x400000, 8};
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)signer);
    try_open(thread, "open_memory", path, O_RDONLY);
    snprintf(path, sizeof(path), "/proc/%d/root", (int)signer);
    try_open(thread, "open_root", path, O_RDONLY | O_DIRECTORY);
    report(thread, "trace", call(thread, SYS_ptrace, PTRACE_SEIZE, (uint64_t)signer, 0, 0, 0));
    write_memory(thread->tid, thread->scratch + 64, (const char *)local, sizeof(local));
    write_memory(thread->tid, thread->scratch + 96, (const char *)remote, sizeof(remote));
    report(thread, "read_memory",
           call(thread, SYS_process_vm_readv, (uint64_t)signer, thread->scratch + 64, 1,
                thread->scratch + 96, 1));
}

static int take(pid_t tid, struct thread *ret_thread) {
    struct thread thread = {.tid = tid};
    int status;
    if (ptrace(PTRACE_ATTACH, tid, NULL, NULL) != 0) {
        perror("plasm-inject: ptrace");
        return EXIT_SKIPPED;
    }
    if (waitpid(tid, &status, __WALL) < 0 ||
        ptrace(PTRACE_GETREGS, tid, NULL, &thread.saved) != 0) {
        perror("plasm-inject");
        return EXIT_FAILURE;
    }
    /* It sleeps in a system call: the instruction is right before. */
    thread.instruction = thread.saved.rip - SYSCALL_SIZE;
    thread.scratch = (thread.saved.rsp - SCRATCH_BELOW) & ~(uint64_t)15;
    long word = ptrace(PTRACE_PEEKTEXT, tid, (void *)thread.instruction, NULL);
    if ((word & 0xffff) != 0x050f) {
        fprintf(stderr, "plasm-inject: thread %d does not sleep\n", (int)tid);
        (void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
        return EXIT_FAILURE;
    }
    *ret_thread = thread;
    return 0;
}

static int try_all(pid_t tid, pid_t signer, const char *key, const char *allowed) {
    struct thread thread;
    int error = take(tid, &thread);
    if (error != 0) {
        return error;
    }
    try_open(&thread, "open_allowed", allowed, O_RDONLY);
    try_open(&thread, "open_key", key, O_RDONLY);
    try_open(&thread, "write_key", key, O_WRONLY);
    try_name(&thread, "link_key", SYS_linkat, key, allowed);
    try_name(&thread, "rename_key", SYS_renameat, key, allowed);
    try_memory(&thread, signer);
    (void)ptrace(PTRACE_SETREGS, tid, NULL, &thread.saved);
    (void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
    return 0;
}

int main(int argc, char **argv) {
    char path[64];
    if (argc != 5) {
        fprintf(stderr, "usage: plasm-inject PID SIGNER_PID KEY ALLOWED\n");
        return EXIT_FAILURE;
    }
    snprintf(path, sizeof(path), "/proc/%s/task", argv[1]);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }
    int error = 0;
    const struct dirent *entry;
    while (error == 0 && (entry = readdir(threads)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        error = tid > 0 ? try_all(tid, (pid_t)strtol(argv[2], NULL, 10), argv[3], argv[4]) : 0;
    }
    closedir(threads);
    return error;
}
#endif
