/* Rlimits, capabilities, Landlock, and the list of system calls. */
#include "signer/program/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "walls/landlock.h"

#define FILES_MAX      32
#define DATA_BYTES_MAX (UINT64_C(32) << 20)

/* Built with AddressSanitizer, whose memory and system calls are its own. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

#if IS_SANITIZED
/* Looking for leaks at exit takes threads and ptrace: seccomp would kill us for it. */
const char *__asan_default_options(void) __attribute__((visibility("default"), used));
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}
#endif

static int limit(int resource, uint64_t value) {
    const struct rlimit wanted = {.rlim_cur = value, .rlim_max = value};
    return setrlimit((__rlimit_resource_t)resource, &wanted) == 0 ? 0 : PLASM_IO;
}

int confine_memory(void) {
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return PLASM_IO;
    }
    return limit(RLIMIT_CORE, 0);
}

static int close_others(const int *keep, size_t keep_count) {
    unsigned first = 3;
    while (true) {
        unsigned next = ~0u;
        for (size_t i = 0; i < keep_count; i++) {
            unsigned fd = (unsigned)keep[i];
            next = fd >= first && fd < next ? fd : next;
        }
        if (next > first && syscall(SYS_close_range, first, next - 1, 0) != 0) {
            return PLASM_IO;
        }
        if (next == ~0u) {
            return 0;
        }
        first = next + 1;
    }
}

/* Standard error stays, for what the journal should know. */
static int close_streams(void) {
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0) {
        return PLASM_IO;
    }
    close(nothing);
    return 0;
}

static int drop_privileges(void) {
    for (unsigned long capability = 0; capability <= CAP_LAST_CAP + 16; capability++) {
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* where we may; the rest follows */
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    return syscall(SYS_capset, &head, none) == 0 ? 0 : PLASM_IO;
}

/* Any other kills the process. */
static const int allowed[] = {
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(accept4),
    SCMP_SYS(close),
    SCMP_SYS(write),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sigaltstack),
};

static int filter(void) {
    const struct scmp_arg_cmp private_memory[] = {
        {3, SCMP_CMP_MASKED_EQ, MAP_TYPE, MAP_PRIVATE},
        {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0},
    };
    const struct scmp_arg_cmp abort_self[] = {
        {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0},
        {2, SCMP_CMP_EQ, SIGABRT, 0},
    };
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (context == NULL) {
        return PLASM_NO_MEMORY;
    }
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(allowed) && error == 0; i++) {
        error = seccomp_rule_add(context, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    if (error == 0) {
        error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, private_memory);
    }
    if (error == 0) {
        error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                       &private_memory[1]);
    }
    if (error == 0) {
        error = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2, abort_self);
    }
    if (error == 0) {
        error = seccomp_load(context);
    }
    seccomp_release(context);
    return error == 0 ? 0 : PLASM_IO;
}

int confine_process(const int *keep, size_t keep_count) {
    if (close_streams() != 0 || close_others(keep, keep_count) != 0 || drop_privileges() != 0 ||
        limit(RLIMIT_NOFILE, FILES_MAX) != 0 || limit(RLIMIT_NPROC, 0) != 0 ||
        limit(RLIMIT_FSIZE, 0) != 0 || limit(RLIMIT_MSGQUEUE, 0) != 0 ||
        (!IS_SANITIZED && limit(RLIMIT_DATA, DATA_BYTES_MAX) != 0)) {
        return PLASM_IO;
    }
    (void)landlock_enter(); /* where the kernel has it */
    return filter();
}
