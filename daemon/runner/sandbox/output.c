/* Segments in a buffer of one message; sending with back-pressure. */
#include "runner/sandbox/output.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/ensure.h"

#define FINISHED_HEAD_SIZE_MAX (64 + RUNNER_TEXT_SIZE_MAX)

_Static_assert(offsetof(struct output, room) == offsetof(struct output, type) + 1,
               "an OUTPUT message is one run of bytes");

void output_begin(struct output *output, struct control *control, uint64_t limit_bytes) {
    output->control = control;
    output->left_bytes = limit_bytes;
    output->size = 0;
    output->type = RUNNER_MESSAGE_OUTPUT;
}

/* Sends one packet. False when it would have to wait. Ends the process when the parent is gone. */
static bool send_packet(int socket, struct iovec *parts, size_t part_count, int flags) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = part_count};
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return true;
    }
    if (errno == EAGAIN) {
        return false;
    }
    ENSURE(errno == EPIPE || errno == ECONNRESET);
    _exit(0);
}

bool output_flush(struct output *output) {
    if (output->size == 0) {
        return true;
    }
    struct iovec part = {.iov_base = &output->type, .iov_len = 1 + output->size};
    while (!send_packet(output->control->socket, &part, 1, MSG_DONTWAIT)) {
        if (!control_wait(output->control, true, NANOS_NEVER)) {
            return false;
        }
    }
    output->size = 0;
    return true;
}

/* Room for data of `stream` at the end of the buffer, 0 when it is full. */
static size_t open_segment(struct output *output, enum runner_stream stream) {
    if (output->size > 0 && output->last_stream == stream) {
        return sizeof(output->room) - output->size;
    }
    if (sizeof(output->room) - output->size <= RUNNER_SEGMENT_HEAD_SIZE) {
        return 0;
    }
    output->last = output->size;
    output->last_stream = stream;
    output->size += RUNNER_SEGMENT_HEAD_SIZE;
    return sizeof(output->room) - output->size;
}

bool output_write(struct output *output, enum runner_stream stream, struct bytes data) {
    bool over = data.size > output->left_bytes;
    if (over) {
        data.size = (size_t)output->left_bytes;
    }
    output->left_bytes -= data.size;
    while (data.size > 0) {
        size_t room = open_segment(output, stream);
        if (room == 0) {
            if (!output_flush(output)) {
                return false;
            }
            continue;
        }
        size_t size = data.size < room ? data.size : room;
        memcpy(output->room + output->size, data.data, size);
        output->size += size;
        runner_segment_head(output->room + output->last, stream,
                            (uint32_t)(output->size - output->last - RUNNER_SEGMENT_HEAD_SIZE));
        data = bytes_slice(data, size, data.size);
    }
    if (over) {
        control_stop(output->control, CONTROL_OUTPUT);
    }
    return !over;
}

void output_finish(struct output *output, const struct runner_finished *finished) {
    uint8_t head[FINISHED_HEAD_SIZE_MAX];
    struct runner_message message = {.type = RUNNER_MESSAGE_FINISHED, .finished = *finished};
    message.finished.segments = bytes_of(NULL, 0);
    size_t head_size;
    ENSURE(runner_message_encode(&message, (struct span){head, sizeof(head)}, &head_size) == 0);
    struct iovec parts[] = {
        {.iov_base = head, .iov_len = head_size},
        {.iov_base = output->room, .iov_len = output->size},
    };
    (void)send_packet(output->control->socket, parts, ARRAY_SIZE(parts), 0);
    output->size = 0;
}
