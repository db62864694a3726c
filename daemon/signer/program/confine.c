/* Rlimits, capabilities, Landlock, and the list of system calls. */
#include "signer/program/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "walls/landlock.h"
#include "walls/process.h"

#define FILES_MAX      32
#define DATA_BYTES_MAX (UINT64_C(32) << 20)

int confine_memory(void) {
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return PLASM_IO;
    }
    return walls_limit(RLIMIT_CORE, 0);
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
    if (close_streams() != 0 || walls_close_others(keep, keep_count, 3) != 0 ||
        walls_drop_privileges() != 0 || walls_limit(RLIMIT_NOFILE, FILES_MAX) != 0 ||
        walls_limit(RLIMIT_NPROC, 0) != 0 || walls_limit(RLIMIT_FSIZE, 0) != 0 ||
        walls_limit(RLIMIT_MSGQUEUE, 0) != 0 ||
        (!WALLS_SANITIZED && walls_limit(RLIMIT_DATA, DATA_BYTES_MAX) != 0)) {
        return PLASM_IO;
    }
    (void)landlock_enter(); /* where the kernel has it */
    return filter();
}
