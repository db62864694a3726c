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

#define INSTRUCTIONS_MAX 512
/* Stands in a prepared filter for the number of the process that will take it; no process has it.
 */
#define OWN_PROCESS 0x7fffff0fu

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

/* An argument that must, under a mask, have a value. */
static struct scmp_arg_cmp masked(unsigned index, scmp_datum_t mask, scmp_datum_t value) {
    return (struct scmp_arg_cmp){index, SCMP_CMP_MASKED_EQ, mask, value};
}

static struct scmp_arg_cmp equal(unsigned index, scmp_datum_t value) {
    return (struct scmp_arg_cmp){index, SCMP_CMP_EQ, value, 0};
}

/* Memory: private and not growing by itself, for only that counts against RLIMIT_DATA; executable
 * for those that load code. */
static int add_memory(scmp_filter_ctx context, enum seccomp_role role) {
    const struct scmp_arg_cmp conditions[] = {
        masked(3, MAP_TYPE | MAP_GROWSDOWN, MAP_PRIVATE),
        masked(2, PROT_EXEC, 0),
    };
    const bool loads_code = role != SECCOMP_ROLE_RUNNER;
    int error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), loads_code ? 1 : 2,
                                       conditions);
    if (error != 0) {
        return error;
    }
    return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), loads_code ? 0 : 1,
                                  &conditions[1]);
}

/* Other calls that are allowed for some arguments only. */
static int add_conditional(scmp_filter_ctx context, enum seccomp_role role) {
    /* abort(); never a signal to another process, not even to a sibling. The zygote's filter is its
     * children's too, and cannot name them. */
    const struct scmp_arg_cmp abort_self[] = {equal(2, SIGABRT), equal(0, OWN_PROCESS)};
    const unsigned abort_conditions = role == SECCOMP_ROLE_ZYGOTE ? 1 : 2;
    /* fork() and nothing else: no threads, no namespaces. */
    const struct scmp_arg_cmp fork_only =
        equal(0, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD);
    const struct scmp_arg_cmp die_with_parent = equal(0, PR_SET_PDEATHSIG);
    const struct scmp_arg_cmp seal = equal(1, F_ADD_SEALS);
    if (role == SECCOMP_ROLE_WAIT) {
        return 0;
    }
    int error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), abort_conditions,
                                       abort_self);
    error = error != 0 ? error : add_memory(context, role);
    if (role != SECCOMP_ROLE_ZYGOTE || error != 0) {
        return error;
    }
    error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &fork_only);
    if (error == 0) {
        error =
            seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &die_with_parent);
    }
    if (error == 0) {
        error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, &seal);
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

/* The program with the caller's process number in the place of OWN_PROCESS. */
static int personalise(const struct sock_fprog *program, struct sock_filter *room) {
    const uint32_t self = (uint32_t)getpid();
    if (program->len > INSTRUCTIONS_MAX) {
        return PLASM_TOO_LARGE;
    }
    memcpy(room, program->filter, program->len * sizeof(*room));
    for (size_t i = 0; i < program->len; i++) {
        if (room[i].k == OWN_PROCESS && BPF_CLASS(room[i].code) == BPF_JMP) {
            room[i].k = self;
        }
    }
    return 0;
}

int seccomp_enter(enum seccomp_role role) {
    struct sock_filter instructions[INSTRUCTIONS_MAX];
    if (programs[role].filter == NULL) {
        int error = seccomp_prepare(role);
        if (error != 0) {
            return error;
        }
    }
    const struct sock_fprog program = {programs[role].len, instructions};
    int error = personalise(&programs[role], instructions);
    if (error != 0) {
        return error;
    }
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : PLASM_IO;
}
