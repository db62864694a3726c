/* recvmsg and sendmsg with SCM_RIGHTS. */
#include "runner/packet.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/ensure.h"

union control_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
};

/* Takes the descriptors out of the control message; what is too much is closed. */
static void take_fds(struct msghdr *message, int *ret_fds, size_t fd_max) {
    size_t taken = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            if (taken < fd_max) {
                ret_fds[taken++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

static int error_of_errno(void) {
    switch (errno) {
    case EAGAIN:
        return PLASM_STATE;
    case EPIPE:
    case ECONNRESET:
        return PLASM_CLOSED;
    default:
        return PLASM_IO;
    }
}

int packet_receive(int socket, struct span room, int *ret_fds, size_t fd_max,
                   struct bytes *ret_packet) {
    union control_room control;
    struct iovec part = {.iov_base = room.data, .iov_len = room.size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_max > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    for (size_t i = 0; i < fd_max; i++) {
        ret_fds[i] = -1;
    }
    ssize_t size;
    do {
        size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return error_of_errno();
    }
    if (fd_max > 0) {
        take_fds(&message, ret_fds, fd_max);
    }
    if (size == 0) {
        return PLASM_CLOSED; /* no message is empty */
    }
    if ((message.msg_flags & MSG_TRUNC) != 0) {
        for (size_t i = 0; i < fd_max; i++) {
            if (ret_fds[i] >= 0) {
                close(ret_fds[i]);
                ret_fds[i] = -1;
            }
        }
        return PLASM_TOO_LARGE;
    }
    *ret_packet = bytes_of(room.data, (size_t)size);
    return 0;
}

int packet_send(int socket, struct bytes packet, const int *fds, size_t fd_count) {
    union control_room control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)packet.data, .iov_len = packet.size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ENSURE(fd_count <= PACKET_FDS_MAX);
    if (fd_count > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? error_of_errno() : 0;
}
