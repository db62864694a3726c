/* The lists of system calls, and libseccomp's filters made of them. */
#include "runner/sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The compiled filter of each role, made by seccomp_prepare. */
static struct sock_fprog programs[SECCOMP_ROLE_COUNT];

#define ROLE(role)   (1u << (role))
#define WAIT         ROLE(SECCOMP_ROLE_WAIT)
#define ZYGOTE       ROLE(SECCOMP_ROLE_ZYGOTE)
#define COMPILE      ROLE(SECCOMP_ROLE_COMPILE)
#define RUNNER       ROLE(SECCOMP_ROLE_RUNNER)
#define ALL_BUT_WAIT (ZYGOTE | COMPILE | RUNNER)
#define ALL          (WAIT | ALL_BUT_WAIT)

struct allowed_call {
    int number;
    unsigned roles;
};

static const struct allowed_call allowed[] = {
    /* ending, signals */
    {SCMP_SYS(exit_group), ALL},
    {SCMP_SYS(exit), ALL},
    {SCMP_SYS(rt_sigreturn), ALL},
    {SCMP_SYS(restart_syscall), ALL},
    {SCMP_SYS(rt_sigprocmask), ALL_BUT_WAIT},
    {SCMP_SYS(rt_sigaction), ZYGOTE | COMPILE},
    {SCMP_SYS(sigaltstack), ALL}, /* AddressSanitizer asks at every exit */
    {SCMP_SYS(wait4), WAIT | ZYGOTE},
    /* memory; making it executable is below */
    {SCMP_SYS(munmap), ALL_BUT_WAIT},
    {SCMP_SYS(mremap), ALL_BUT_WAIT},
    {SCMP_SYS(madvise), ALL_BUT_WAIT},
    {SCMP_SYS(brk), ALL_BUT_WAIT},
    /* who and when */
    {SCMP_SYS(getpid), ALL_BUT_WAIT},
    {SCMP_SYS(gettid), ALL_BUT_WAIT},
    {SCMP_SYS(getppid), ZYGOTE},
    {SCMP_SYS(futex), ALL_BUT_WAIT},
    {SCMP_SYS(sched_yield), ALL_BUT_WAIT},
    {SCMP_SYS(clock_gettime), ALL_BUT_WAIT},
    {SCMP_SYS(gettimeofday), ALL_BUT_WAIT},
    {SCMP_SYS(getrandom), ALL_BUT_WAIT},
    {SCMP_SYS(setitimer), ZYGOTE | RUNNER},
    {SCMP_SYS(getrusage), ZYGOTE | COMPILE},
    /* descriptors that are open already */
    {SCMP_SYS(close), ALL_BUT_WAIT},
    {SCMP_SYS(recvmsg), ZYGOTE | RUNNER},
    {SCMP_SYS(recvfrom), ZYGOTE | RUNNER},
    {SCMP_SYS(sendmsg), ALL_BUT_WAIT},
    {SCMP_SYS(ppoll), ZYGOTE | RUNNER},
    {SCMP_SYS(pread64), ZYGOTE | RUNNER},
    {SCMP_SYS(lseek), ALL_BUT_WAIT},
    {SCMP_SYS(write), ZYGOTE | COMPILE},
    {SCMP_SYS(read), ZYGOTE | COMPILE},
    {SCMP_SYS(memfd_create), ZYGOTE}, /* the image of a module's memory */
    {SCMP_SYS(close_range), ZYGOTE},
    {SCMP_SYS(dup2), ZYGOTE},
    {SCMP_SYS(dup3), ZYGOTE},
    /* the making of a runner or compile process */
    {SCMP_SYS(pidfd_open), ZYGOTE},
    {SCMP_SYS(set_robust_list), ZYGOTE},
    {SCMP_SYS(rseq), ZYGOTE},
    {SCMP_SYS(prlimit64), ZYGOTE},
    {SCMP_SYS(setrlimit), ZYGOTE},
    {SCMP_SYS(getrlimit), ZYGOTE},
    {SCMP_SYS(seccomp), ZYGOTE},
};

/* What is answered with an error instead: libraries ask and go on without. */
static const struct {
    int number;
    int error;
    unsigned roles;
} refused[] = {
    {SCMP_SYS(clone3), ENOSYS, ZYGOTE}, /* its flags cannot be looked at: makes libc use clone */
    {SCMP_SYS(openat), EACCES, ZYGOTE | COMPILE},
    {SCMP_SYS(open), EACCES, ZYGOTE | COMPILE},
    {SCMP_SYS(readlink), EACCES, ZYGOTE | COMPILE},
    {SCMP_SYS(readlinkat), EACCES, ZYGOTE | COMPILE},
    {SCMP_SYS(ioctl), ENOTTY, ZYGOTE | COMPILE},
};

static int add_allowed(scmp_filter_ctx context, enum seccomp_role role) {
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(allowed) && error == 0; i++) {
        if ((allowed[i].roles & ROLE(role)) != 0) {
            error = seccomp_rule_add(context, SCMP_ACT_ALLOW, allowed[i].number, 0);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(refused) && error == 0; i++) {
        if ((refused[i].roles & ROLE(role)) != 0) {
            error = seccomp_rule_add(context, SCMP_ACT_ERRNO((unsigned)refused[i].error),
                                     refused[i].number, 0);
        }
    }
    return error;
}

/* Allows a call where its argument number `index`, under `mask`, is `value`. */
static int allow_if(scmp_filter_ctx context, int call, unsigned index, scmp_datum_t mask,
                    scmp_datum_t value) {
    const struct scmp_arg_cmp compare = {index, SCMP_CMP_MASKED_EQ, mask, value};
    return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, call, 1, &compare);
}

/* Calls that are allowed for some arguments only. */
static int add_conditional(scmp_filter_ctx context, enum seccomp_role role) {
    const scmp_datum_t whole = UINT64_MAX;
    if (role == SECCOMP_ROLE_WAIT) {
        return 0;
    }
    /* abort(); never a signal to end or stop another process. */
    int error = allow_if(context, SCMP_SYS(tgkill), 2, whole, SIGABRT);
    const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    for (size_t i = 0; i < ARRAY_SIZE(mapping) && error == 0; i++) {
        if (role == SECCOMP_ROLE_RUNNER) {
            error = allow_if(context, mapping[i], 2, PROT_EXEC, 0);
        } else {
            error = seccomp_rule_add(context, SCMP_ACT_ALLOW, mapping[i], 0);
        }
    }
    if (role == SECCOMP_ROLE_ZYGOTE && error == 0) {
        /* fork() and nothing else: no threads, no namespaces. */
        const scmp_datum_t fork_flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
        error = allow_if(context, SCMP_SYS(clone), 0, whole, fork_flags);
    }
    if (role == SECCOMP_ROLE_ZYGOTE && error == 0) {
        error = allow_if(context, SCMP_SYS(fcntl), 1, whole, F_ADD_SEALS);
    }
    if (role == SECCOMP_ROLE_ZYGOTE && error == 0) {
        error = allow_if(context, SCMP_SYS(prctl), 0, whole, PR_SET_PDEATHSIG);
    }
    return error;
}

/* libseccomp gives the filter only to a descriptor. */
static int export(scmp_filter_ctx context, struct sock_fprog *ret_program) {
    struct stat status;
    int result = PLASM_IO;
    struct sock_filter *instructions = NULL;
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(context, fd) != 0 || fstat(fd, &status) != 0) {
        goto out;
    }
    instructions = malloc((size_t)status.st_size);
    if (instructions == NULL) {
        result = PLASM_NO_MEMORY;
        goto out;
    }
    if (pread(fd, instructions, (size_t)status.st_size, 0) == status.st_size) {
        ret_program->len = (unsigned short)((size_t)status.st_size / sizeof(*instructions));
        ret_program->filter = instructions;
        instructions = NULL;
        result = 0;
    }
out:
    free(instructions);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

int seccomp_prepare(enum seccomp_role role) {
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (context == NULL) {
        return PLASM_NO_MEMORY;
    }
    /* A binary tree instead of a list, where libseccomp knows how. */
    (void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int error = add_allowed(context, role);
    error = error != 0 ? error : add_conditional(context, role);
    error = error != 0 ? PLASM_IO : export(context, &programs[role]);
    seccomp_release(context);
    return error;
}

int seccomp_enter(enum seccomp_role role) {
    if (programs[role].filter == NULL) {
        int error = seccomp_prepare(role);
        if (error != 0) {
            return error;
        }
    }
    long error = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &programs[role]);
    return error == 0 ? 0 : PLASM_IO;
}
