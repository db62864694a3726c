/* The Landlock system calls. The numbers are the kernel's: headers lag behind the kernels that
 * these programs meet. Spec: Documentation/userspace-api/landlock.rst of Linux. */
#include "walls/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define LANDLOCK_GET_VERSION 1u
#define RULE_PATH_BENEATH    1

/* Rights to files. */
enum right {
    RIGHT_EXECUTE = 1 << 0,
    RIGHT_WRITE_FILE = 1 << 1,
    RIGHT_READ_FILE = 1 << 2,
    RIGHT_READ_DIR = 1 << 3,
    RIGHT_REMOVE_DIR = 1 << 4,
    RIGHT_REMOVE_FILE = 1 << 5,
    RIGHT_MAKE_DIR = 1 << 7,
    RIGHT_MAKE_REG = 1 << 8,
    RIGHT_REFER = 1 << 13,    /* from ABI 2 */
    RIGHT_TRUNCATE = 1 << 14, /* from ABI 3 */
};
/* Those that a rule about a file, not a directory, may name. */
#define RIGHTS_OF_FILE (RIGHT_EXECUTE | RIGHT_WRITE_FILE | RIGHT_READ_FILE | RIGHT_TRUNCATE)

/* All of struct landlock_ruleset_attr so far; a kernel takes as much of it as it knows. */
struct ruleset {
    uint64_t files;
    uint64_t ports; /* from ABI 4: bind, connect TCP */
    uint64_t scope; /* from ABI 6: abstract sockets, signals */
};

struct path_rule {
    uint64_t rights;
    int32_t fd;
} __attribute__((packed));

uint32_t landlock_abi(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_GET_VERSION);
    return abi > 0 ? (uint32_t)abi : 0;
}

/* All rights to files of an ABI version, as bits. */
static uint64_t file_rights(uint32_t abi) {
    static const unsigned counts[] = {0, 13, 14, 15, 15, 16};
    const uint32_t known = sizeof(counts) / sizeof(counts[0]) - 1;
    return (UINT64_C(1) << counts[abi < known ? abi : known]) - 1;
}

uint32_t landlock_enter(void) {
    uint32_t abi = landlock_abi();
    if (abi == 0) {
        return 0;
    }
    struct ruleset ruleset = {.files = file_rights(abi)};
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
    return error == 0 ? abi : 0;
}

static uint64_t rights_of(enum landlock_use use) {
    const uint64_t read = RIGHT_READ_FILE | RIGHT_READ_DIR;
    const uint64_t names = RIGHT_MAKE_REG | RIGHT_REMOVE_FILE;
    switch (use) {
    case LANDLOCK_READ:
        return read;
    case LANDLOCK_NAMES:
        return names;
    case LANDLOCK_CHANGE:
        break;
    }
    return read | names | RIGHT_WRITE_FILE | RIGHT_TRUNCATE | RIGHT_MAKE_DIR | RIGHT_REMOVE_DIR |
           RIGHT_REFER;
}

/* What is not there needs no rule. */
static int add_place(int ruleset, const struct landlock_place *place, uint64_t known) {
    struct stat status;
    int fd = open(place->path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    int error = PLASM_IO;
    if (fstat(fd, &status) == 0) {
        uint64_t rights = rights_of(place->use) & known;
        struct path_rule rule = {
            .rights = S_ISDIR(status.st_mode) ? rights : rights & RIGHTS_OF_FILE, .fd = fd};
        if (rule.rights == 0 ||
            syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0) {
            error = 0;
        }
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return error;
}

int landlock_keep_to(const struct landlock_place *places, size_t count) {
    uint32_t abi = landlock_abi();
    if (abi == 0) {
        return PLASM_UNSUPPORTED;
    }
    /* Executing is not given up: what we may not open is no secret to run. */
    struct ruleset ruleset = {.files = file_rights(abi) & ~(uint64_t)RIGHT_EXECUTE};
    long fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset.files), 0);
    if (fd < 0) {
        return PLASM_IO;
    }
    int error = 0;
    for (size_t i = 0; i < count && error == 0; i++) {
        error = add_place((int)fd, &places[i], ruleset.files);
    }
    if (error == 0 && syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
        error = PLASM_IO;
    }
    int saved = errno;
    close((int)fd);
    errno = saved;
    return error;
}
