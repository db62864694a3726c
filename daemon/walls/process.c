/* Rlimits, descriptors, capabilities. */
#include "walls/process.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if WALLS_SANITIZED
/* Looking for leaks at exit takes threads and ptrace: seccomp would kill us for it. */
const char *__asan_default_options(void) __attribute__((visibility("default"), used));
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}
#endif

int walls_limit(int resource, uint64_t value) {
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) {
        return PLASM_IO;
    }
    if (limit.rlim_max == RLIM_INFINITY || value < limit.rlim_max) {
        limit.rlim_max = value;
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &limit) == 0 ? 0 : PLASM_IO;
}

int walls_close_others(const int *keep, size_t keep_count, unsigned first) {
    while (true) {
        unsigned next_kept = ~0u;
        for (size_t i = 0; i < keep_count; i++) {
            unsigned fd = (unsigned)keep[i];
            if (fd >= first && fd < next_kept) {
                next_kept = fd;
            }
        }
        if (next_kept > first && syscall(SYS_close_range, first, next_kept - 1, 0) != 0) {
            return PLASM_IO;
        }
        if (next_kept == ~0u) {
            return 0;
        }
        first = next_kept + 1;
    }
}

int walls_drop_privileges(void) {
    for (unsigned long capability = 0; capability <= CAP_LAST_CAP + 16; capability++) {
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* where we may; the rest follows */
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    if (syscall(SYS_capset, &head, none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return PLASM_IO;
    }
    return 0;
}
