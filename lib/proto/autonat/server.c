/* Reading questions and writing answers. */
#include "proto/autonat/server.h"

#include "util/ensure.h"
#include "wire/varint.h"

#define FRAME_HEAD_MAX 3

static size_t message_size_max(const struct autonat_server *server) {
    return server->version == AUTONAT_V1 ? AUTONAT_V1_MESSAGE_SIZE_MAX
                                         : AUTONAT_V2_MESSAGE_SIZE_MAX;
}

void autonat_server_init(struct autonat_server *server, enum autonat_version version,
                         struct memory *memory) {
    memset(server, 0, sizeof(*server));
    server->version = version;
    server->memory = memory;
    buffer_init(&server->in, memory, message_size_max(server) + FRAME_HEAD_MAX);
}

void autonat_server_done(struct autonat_server *server) {
    buffer_done(&server->in);
}

static void fail(struct autonat_server *server, int error) {
    if (server->state != AUTONAT_SERVER_FAILED) {
        server->state = AUTONAT_SERVER_FAILED;
        server->error = error;
        server->has_event = true;
    }
}

/* Takes the first whole frame where one is waited for; false when there is none. */
static bool take_frame(struct autonat_server *server) {
    struct bytes payload;
    size_t frame;
    int error = frame_read(buffer_bytes(&server->in), message_size_max(server), &payload, &frame);
    if (error == PLASM_TRUNCATED) {
        return false;
    }
    struct autonat_message message;
    if (error == 0) {
        error = autonat_decode(server->version, payload, &message);
    }
    if (error != 0) {
        fail(server, error);
        return false;
    }
    if (server->state == AUTONAT_SERVER_READING && message.type == AUTONAT_DIAL) {
        server->state = AUTONAT_SERVER_ASKED; /* the frame stays: the event borrows it */
        server->has_event = true;
        return false;
    }
    if (server->state != AUTONAT_SERVER_DATA || message.type != AUTONAT_DATA ||
        (message.data.size < AUTONAT_DATA_PIECE_MIN && message.data.size < server->data_left)) {
        fail(server, PLASM_MALFORMED);
        return false;
    }
    server->data_left -=
        message.data.size < server->data_left ? message.data.size : server->data_left;
    buffer_consume(&server->in, frame);
    if (server->data_left == 0) {
        server->state = AUTONAT_SERVER_PAID;
        server->has_event = true;
        return false;
    }
    return true;
}

void autonat_server_receive(struct autonat_server *server, struct bytes input) {
    while (server->state == AUTONAT_SERVER_READING || server->state == AUTONAT_SERVER_DATA) {
        /* A piece at a time, as much as one frame may need. */
        struct bytes piece =
            bytes_slice(input, 0, message_size_max(server) + FRAME_HEAD_MAX - server->in.size);
        int error = buffer_append(&server->in, piece);
        if (error != 0) {
            fail(server, error);
            return;
        }
        input = bytes_slice(input, piece.size, input.size);
        while (take_frame(server)) {
        }
        if (input.size == 0) {
            return;
        }
    }
}

bool autonat_server_next_event(struct autonat_server *server,
                               struct autonat_server_event *ret_event) {
    if (!server->has_event) {
        return false;
    }
    server->has_event = false;
    *ret_event = (struct autonat_server_event){.type = AUTONAT_SERVER_COMPLETE};
    if (server->state == AUTONAT_SERVER_FAILED) {
        ret_event->type = AUTONAT_SERVER_BROKEN;
        ret_event->error = server->error;
    } else if (server->state == AUTONAT_SERVER_ASKED) {
        struct bytes payload;
        size_t frame;
        struct autonat_message message;
        int error =
            frame_read(buffer_bytes(&server->in), message_size_max(server), &payload, &frame);
        ENSURE(error == 0 && autonat_decode(server->version, payload, &message) == 0);
        ret_event->type = AUTONAT_SERVER_REQUEST;
        ret_event->nonce = message.nonce;
        ret_event->peer_id = message.peer_id;
        ret_event->address_count = message.address_count;
        memcpy(ret_event->addresses, message.addresses, sizeof(message.addresses));
    }
    return true;
}

static void put(struct autonat_server *server, const struct autonat_message *message) {
    struct writer writer = writer_of((struct span){server->out, sizeof(server->out)});
    autonat_encode(server->version, message, &writer);
    ENSURE(writer.error == 0);
    server->out_size = writer.size;
    server->out_taken = 0;
}

void autonat_server_ask_data(struct autonat_server *server, size_t index, size_t size) {
    ENSURE(server->version == AUTONAT_V2 && server->state == AUTONAT_SERVER_ASKED && size > 0);
    struct bytes payload;
    size_t frame;
    int error = frame_read(buffer_bytes(&server->in), message_size_max(server), &payload, &frame);
    ENSURE(error == 0);
    buffer_consume(&server->in, frame);
    server->state = AUTONAT_SERVER_DATA;
    server->data_left = size;
    put(server,
        &(struct autonat_message){.type = AUTONAT_DATA_REQUEST, .index = index, .size = size});
    autonat_server_receive(server, bytes_of(NULL, 0)); /* what came with the question */
}

static void answer(struct autonat_server *server, const struct autonat_message *message) {
    ENSURE(server->state != AUTONAT_SERVER_ANSWERED);
    server->state = AUTONAT_SERVER_ANSWERED;
    server->has_event = false;
    put(server, message);
    buffer_done(&server->in);
}

void autonat_server_answer_v1(struct autonat_server *server, enum autonat_v1_status status,
                              const char *text, const struct multiaddr *address) {
    struct autonat_message message = {
        .type = AUTONAT_DIAL_RESPONSE, .status = status, .text = bytes_of_string(text)};
    if (address != NULL) {
        message.address = multiaddr_bytes(address);
    }
    answer(server, &message);
}

void autonat_server_answer_v2(struct autonat_server *server, enum autonat_v2_status status,
                              size_t index, enum autonat_dial_status dial_status) {
    answer(server, &(struct autonat_message){.type = AUTONAT_DIAL_RESPONSE,
                                             .status = status,
                                             .index = index,
                                             .dial_status = dial_status});
}

size_t autonat_server_transmit(struct autonat_server *server, struct span room) {
    struct bytes left =
        bytes_of(server->out + server->out_taken, server->out_size - server->out_taken);
    struct bytes out = bytes_slice(left, 0, room.size);
    if (out.size > 0) {
        memcpy(room.data, out.data, out.size);
    }
    server->out_taken += out.size;
    return out.size;
}
