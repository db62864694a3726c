/* The Landlock system calls. The numbers are the kernel's: headers lag behind the kernels that
 * plasm-run meets. */
#include "runner/sandbox/landlock.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif

#define LANDLOCK_GET_VERSION 1u

/* All of struct landlock_ruleset_attr so far; a kernel takes as much of it as it knows. */
struct ruleset {
    uint64_t files;
    uint64_t ports; /* from ABI 4: bind, connect TCP */
    uint64_t scope; /* from ABI 6: abstract sockets, signals */
};

/* Number of file rights in each ABI version. */
static unsigned file_rights(uint32_t abi) {
    static const unsigned counts[] = {0, 13, 14, 15, 15, 16};
    const uint32_t known = sizeof(counts) / sizeof(counts[0]) - 1;
    return counts[abi < known ? abi : known];
}

uint32_t landlock_enter(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_GET_VERSION);
    if (abi <= 0) {
        return 0;
    }
    struct ruleset ruleset = {.files = (UINT64_C(1) << file_rights((uint32_t)abi)) - 1};
    size_t size = sizeof(ruleset.files);
    if (abi >= 4) {
        ruleset.ports = 3;
        size = offsetof(struct ruleset, scope);
    }
    if (abi >= 6) {
        ruleset.scope = 3;
        size = sizeof(ruleset);
    }
    long fd = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0) {
        return 0;
    }
    long error = syscall(SYS_landlock_restrict_self, fd, 0);
    close((int)fd);
    return error == 0 ? (uint32_t)abi : 0;
}
