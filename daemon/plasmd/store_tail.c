/* Records in two files: a head with generation, size and checksum, then the bytes. A reader stops
 * at what is no record of the file's first generation. */
#include "plasmd/store_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crypto/hash.h"

/* Another layout of the rows is another magic. */
#define TAIL_MAGIC      UINT64_C(0x31304c4941544c50)
#define TAIL_RECORD_MAX ((size_t)80 << 20)
#define TAIL_PATH_SIZE  4096

struct tail_head {
    uint64_t magic;
    uint64_t generation;
    uint64_t size;
    uint64_t checksum; /* of the bytes */
};

static uint64_t checksum(struct bytes record) {
    struct sha256_digest digest = sha256(record);
    uint64_t sum;
    memcpy(&sum, digest.bytes, sizeof(sum));
    return sum;
}

int store_tail_open(const char *path, struct store_tail *ret_tail) {
    struct store_tail tail = {.fds = {-1, -1}, .generation = 1, .is_reserved = true};
    for (unsigned i = 0; i < 2; i++) {
        char name[TAIL_PATH_SIZE];
        snprintf(name, sizeof(name), "%s.tail%u", path, i);
        tail.fds[i] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (tail.fds[i] < 0) {
            int saved = errno;
            store_tail_close(&tail);
            errno = saved;
            return PLASM_IO;
        }
        /* Where the file system cannot, or the disk is full, the tail works as long as it may. */
        if (posix_fallocate(tail.fds[i], 0, (off_t)STORE_TAIL_RESERVED_BYTES) != 0) {
            tail.is_reserved = false;
        }
    }
    *ret_tail = tail;
    return 0;
}

void store_tail_close(struct store_tail *tail) {
    for (unsigned i = 0; i < 2; i++) {
        if (tail->fds[i] >= 0) {
            (void)close(tail->fds[i]);
            tail->fds[i] = -1;
        }
    }
}

/* The head at `offset`; false where no record of `generation` (0: any) is. */
static bool read_head(int fd, off_t offset, uint64_t generation, struct tail_head *head) {
    return pread(fd, head, sizeof(*head), offset) == (ssize_t)sizeof(*head) &&
           head->magic == TAIL_MAGIC && head->size <= TAIL_RECORD_MAX &&
           (generation == 0 || head->generation == generation);
}

static int read_file(int fd, int (*take)(void *context, struct bytes record), void *context) {
    struct tail_head head;
    off_t offset = 0;
    uint64_t generation = 0;
    int error = 0;
    while (error == 0 && read_head(fd, offset, generation, &head)) {
        generation = head.generation;
        size_t size = (size_t)head.size;
        uint8_t *record = malloc(size > 0 ? size : 1);
        if (record == NULL) {
            return PLASM_NO_MEMORY;
        }
        ssize_t got = pread(fd, record, size, offset + (off_t)sizeof(head));
        /* The last one may be cut off: its write never returned, nobody was told of it. */
        bool whole = got == (ssize_t)size && checksum(bytes_of(record, size)) == head.checksum;
        error = whole ? take(context, bytes_of(record, size)) : 0;
        free(record);
        if (!whole) {
            break;
        }
        offset += (off_t)(sizeof(head) + size);
    }
    return error;
}

int store_tail_read(struct store_tail *tail, int (*take)(void *context, struct bytes record),
                    void *context) {
    struct tail_head heads[2] = {{.magic = 0}, {.magic = 0}};
    bool filled[2];
    for (unsigned i = 0; i < 2; i++) {
        filled[i] = read_head(tail->fds[i], 0, 0, &heads[i]);
        if (filled[i] && heads[i].generation >= tail->generation) {
            tail->generation = heads[i].generation + 1;
        }
    }
    unsigned first = filled[0] && filled[1] && heads[1].generation < heads[0].generation ? 1 : 0;
    int error = 0;
    for (unsigned i = 0; i < 2 && error == 0; i++) {
        unsigned which = first ^ i;
        error = filled[which] ? read_file(tail->fds[which], take, context) : 0;
    }
    return error;
}

int store_tail_append(struct store_tail *tail, struct bytes record) {
    struct tail_head head = {.magic = TAIL_MAGIC,
                             .generation = tail->generation,
                             .size = record.size,
                             .checksum = checksum(record)};
    struct iovec pieces[2] = {{.iov_base = &head, .iov_len = sizeof(head)},
                              {.iov_base = (void *)(uintptr_t)record.data, .iov_len = record.size}};
    ssize_t size = (ssize_t)(sizeof(head) + record.size);
    ssize_t written;
    do {
        written = pwritev(tail->fds[tail->current], pieces, 2, (off_t)tail->offset);
    } while (written < 0 && errno == EINTR);
    if (written != size) {
        errno = written >= 0 ? ENOSPC : errno;
        return PLASM_IO;
    }
    tail->offset += (size_t)size;
    return 0;
}

void store_tail_turn(struct store_tail *tail) {
    tail->current ^= 1;
    tail->offset = 0;
    tail->generation++;
}

static void forget(int fd) {
    static const struct tail_head nothing = {.magic = 0};
    struct stat status;
    (void)!pwrite(fd, &nothing, sizeof(nothing), 0);
    if (fstat(fd, &status) == 0 && (size_t)status.st_size > STORE_TAIL_RESERVED_BYTES) {
        (void)!ftruncate(fd, (off_t)STORE_TAIL_RESERVED_BYTES);
    }
}

void store_tail_forget(struct store_tail *tail) {
    forget(tail->fds[tail->current ^ 1]);
}

void store_tail_forget_all(struct store_tail *tail) {
    forget(tail->fds[0]);
    forget(tail->fds[1]);
}
