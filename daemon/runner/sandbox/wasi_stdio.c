/* The three standard streams, and what they answer when taken for a file. */
#include <errno.h>
#include <unistd.h>

#include "runner/sandbox/wasi_call.h"

#define FDSTAT_SIZE   24
#define FILESTAT_SIZE 64
#define IOVEC_SIZE    8

enum {
    FDFLAG_APPEND = 1,
    FDFLAG_DSYNC = 2,
    FDFLAG_NONBLOCK = 4,
    FDFLAG_RSYNC = 8,
    FDFLAG_SYNC = 16
};

/* A stream that is no terminal. */
#define FILETYPE_UNKNOWN 0

struct wasi_fd *wasi_fd(const struct wasi_call *call, uint32_t number) {
    if (number >= WASI_FD_COUNT || call->wasi->fds[number].kind == WASI_FD_CLOSED) {
        return NULL;
    }
    return &call->wasi->fds[number];
}

enum wasi_errno wasi_fd_close(struct wasi_call *call) {
    struct wasi_fd *fd = wasi_fd(call, argument_u32(call, 0));
    if (fd == NULL) {
        return WASI_BADF;
    }
    fd->kind = WASI_FD_CLOSED;
    return WASI_SUCCESS;
}

enum wasi_errno wasi_fd_renumber(struct wasi_call *call) {
    struct wasi_fd *from = wasi_fd(call, argument_u32(call, 0));
    struct wasi_fd *to = wasi_fd(call, argument_u32(call, 1));
    if (from == NULL || to == NULL) {
        return WASI_BADF;
    }
    if (from != to) {
        *to = *from;
        from->kind = WASI_FD_CLOSED;
    }
    return WASI_SUCCESS;
}

enum wasi_errno wasi_fd_fdstat_get(struct wasi_call *call) {
    const struct wasi_fd *fd = wasi_fd(call, argument_u32(call, 0));
    uint64_t address = argument_u32(call, 1);
    if (fd == NULL) {
        return WASI_BADF;
    }
    uint8_t *room = guest_room(call, address, FDSTAT_SIZE);
    if (room == NULL) {
        return WASI_FAULT;
    }
    memset(room, 0, FDSTAT_SIZE);
    room[0] = FILETYPE_UNKNOWN;
    room[2] = (uint8_t)fd->flags;
    return guest_put_u64(call, address + 8, fd->rights) ? WASI_SUCCESS : WASI_FAULT;
}

enum wasi_errno wasi_fd_fdstat_set_flags(struct wasi_call *call) {
    struct wasi_fd *fd = wasi_fd(call, argument_u32(call, 0));
    uint32_t flags = argument_u32(call, 1);
    if (fd == NULL) {
        return WASI_BADF;
    }
    if ((flags & ~31u) != 0) {
        return WASI_INVAL;
    }
    /* Our streams never make a module wait for input, and have no disk behind them. */
    if ((flags & (FDFLAG_DSYNC | FDFLAG_RSYNC | FDFLAG_SYNC)) != 0) {
        return WASI_NOTSUP;
    }
    fd->flags = (uint16_t)(flags & (FDFLAG_APPEND | FDFLAG_NONBLOCK));
    return WASI_SUCCESS;
}

enum wasi_errno wasi_fd_fdstat_set_rights(struct wasi_call *call) {
    struct wasi_fd *fd = wasi_fd(call, argument_u32(call, 0));
    uint64_t base = argument_u64(call, 1);
    uint64_t inheriting = argument_u64(call, 2);
    if (fd == NULL) {
        return WASI_BADF;
    }
    /* Rights can be given up, never taken; a stream has none to inherit. */
    if ((base & ~fd->rights) != 0 || inheriting != 0) {
        return WASI_NOTCAPABLE;
    }
    fd->rights = base;
    return WASI_SUCCESS;
}

enum wasi_errno wasi_fd_filestat_get(struct wasi_call *call) {
    if (wasi_fd(call, argument_u32(call, 0)) == NULL) {
        return WASI_BADF;
    }
    uint8_t *room = guest_room(call, argument_u32(call, 1), FILESTAT_SIZE);
    if (room == NULL) {
        return WASI_FAULT;
    }
    memset(room, 0, FILESTAT_SIZE);
    return WASI_SUCCESS;
}

uint64_t wasi_stdin_left(const struct wasi *wasi) {
    return wasi->job->stdin_size - wasi->stdin_offset;
}

/* Fills `room` from standard input; false where the file cannot be read. */
static bool read_stdin(struct wasi *wasi, uint8_t *room, size_t size) {
    if (wasi->stdin_fd < 0) {
        memcpy(room, wasi->job->stdin_bytes.data + wasi->stdin_offset, size);
        wasi->stdin_offset += size;
        return true;
    }
    while (size > 0) {
        ssize_t got = pread(wasi->stdin_fd, room, size, (off_t)wasi->stdin_offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        wasi->stdin_offset += (uint64_t)got;
        room += got;
        size -= (size_t)got;
    }
    return true;
}

/* The i-th of the vectors at `address`: reading it anew each time, for it may lie in a buffer that
 * was just filled. NULL outside the memory. */
static uint8_t *guest_vector(const struct wasi_call *call, uint64_t address, uint32_t i,
                             uint32_t *ret_size) {
    uint64_t entry = address + (uint64_t)i * IOVEC_SIZE;
    uint32_t buffer;
    uint32_t size;
    if (!guest_get_u32(call, entry, &buffer) || !guest_get_u32(call, entry + 4, &size)) {
        return NULL;
    }
    *ret_size = size;
    return guest_room(call, buffer, size);
}

/* Whether every vector of the second argument, and the room for the total that is the fourth, lies
 * inside the memory: a call that is wrong anywhere does nothing. */
static bool vectors_are_inside(const struct wasi_call *call) {
    uint64_t address = argument_u32(call, 1);
    uint32_t count = argument_u32(call, 2);
    if (guest_room(call, address, (uint64_t)count * IOVEC_SIZE) == NULL ||
        guest_room(call, argument_u32(call, 3), 4) == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size;
        if (guest_vector(call, address, i, &size) == NULL) {
            return false;
        }
    }
    return true;
}

enum wasi_errno wasi_fd_read(struct wasi_call *call) {
    const struct wasi_fd *fd = wasi_fd(call, argument_u32(call, 0));
    uint32_t vector_count = argument_u32(call, 2);
    if (fd == NULL || fd->kind != WASI_FD_STDIN) {
        return WASI_BADF;
    }
    if (!vectors_are_inside(call)) {
        return WASI_FAULT;
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < vector_count; i++) {
        uint32_t size;
        uint8_t *room = guest_vector(call, argument_u32(call, 1), i, &size);
        if (room == NULL) {
            return WASI_FAULT;
        }
        uint64_t left = wasi_stdin_left(call->wasi);
        size_t wanted = size < left ? size : (size_t)left;
        if (wanted > UINT32_MAX - total) {
            break;
        }
        if (wanted > 0 && !read_stdin(call->wasi, room, wanted)) {
            return WASI_IO;
        }
        total += wanted;
        if (wanted < size) {
            break;
        }
    }
    return guest_put_u32(call, argument_u32(call, 3), (uint32_t)total) ? WASI_SUCCESS : WASI_FAULT;
}

enum wasi_errno wasi_fd_write(struct wasi_call *call) {
    const struct wasi_fd *fd = wasi_fd(call, argument_u32(call, 0));
    uint32_t vector_count = argument_u32(call, 2);
    if (fd == NULL || fd->kind == WASI_FD_STDIN) {
        return WASI_BADF;
    }
    if (!vectors_are_inside(call)) {
        return WASI_FAULT;
    }
    enum runner_stream stream = fd->kind == WASI_FD_STDOUT ? RUNNER_STDOUT : RUNNER_STDERR;
    uint64_t total = 0;
    for (uint32_t i = 0; i < vector_count; i++) {
        uint32_t size;
        const uint8_t *data = guest_vector(call, argument_u32(call, 1), i, &size);
        if (data == NULL) {
            return WASI_FAULT;
        }
        if (size > UINT32_MAX - total) {
            break;
        }
        if (size > 0 && !output_write(call->wasi->output, stream, bytes_of(data, size))) {
            return WASI_IO; /* the job is over; nobody sees it */
        }
        total += size;
    }
    return guest_put_u32(call, argument_u32(call, 3), (uint32_t)total) ? WASI_SUCCESS : WASI_FAULT;
}

/* BADF, or `error` for a standard stream. */
static enum wasi_errno refuse(const struct wasi_call *call, size_t index, enum wasi_errno error) {
    return wasi_fd(call, argument_u32(call, index)) == NULL ? WASI_BADF : error;
}

enum wasi_errno wasi_no_preopen(struct wasi_call *call) {
    return refuse(call, 0, WASI_BADF);
}
enum wasi_errno wasi_not_seekable(struct wasi_call *call) {
    return refuse(call, 0, WASI_SPIPE);
}
enum wasi_errno wasi_not_resizable(struct wasi_call *call) {
    return refuse(call, 0, WASI_INVAL);
}
enum wasi_errno wasi_not_capable(struct wasi_call *call) {
    return refuse(call, 0, WASI_NOTCAPABLE);
}
enum wasi_errno wasi_not_directory(struct wasi_call *call) {
    return refuse(call, 0, WASI_NOTDIR);
}
/* Its descriptor is the third argument. */
enum wasi_errno wasi_symlink_not_directory(struct wasi_call *call) {
    return refuse(call, 2, WASI_NOTDIR);
}
enum wasi_errno wasi_not_socket(struct wasi_call *call) {
    return refuse(call, 0, WASI_NOTSOCK);
}
