/* Codec and both roles of DCUtR. */
#include "proto/dcutr/dcutr.h"

#include "wire/protobuf.h"
#include "wire/varint.h"

enum dcutr_field { FIELD_TYPE = 1, FIELD_ADDRESS = 2 };

int dcutr_message_encode(const struct dcutr_message *message, struct buffer *out) {
    uint8_t payload[DCUTR_MESSAGE_SIZE_MAX];
    struct writer writer = writer_of((struct span){payload, sizeof(payload)});
    protobuf_put_varint(&writer, FIELD_TYPE, message->type);
    for (size_t i = 0; i < message->address_count; i++) {
        struct bytes address = message->addresses[i];
        if (writer.size + protobuf_bytes_size(FIELD_ADDRESS, address.size) <= sizeof(payload)) {
            protobuf_put_bytes(&writer, FIELD_ADDRESS, address);
        }
    }
    struct span frame;
    int error = buffer_reserve(out, uvarint_size(writer.size) + writer.size, &frame);
    if (error != 0) {
        return error;
    }
    struct writer framed = writer_of(frame);
    uvarint_write(&framed, writer.size);
    writer_bytes_put(&framed, writer_bytes(&writer));
    buffer_commit(out, framed.size);
    return 0;
}

int dcutr_message_decode(struct bytes payload, struct dcutr_message *ret_message) {
    struct cursor cursor = cursor_of(payload);
    struct dcutr_message message = {.address_count = 0};
    struct protobuf_field field;
    uint64_t type = 0;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == FIELD_TYPE) {
            type = protobuf_varint(&cursor, &field);
        } else if (field.number == FIELD_ADDRESS) {
            struct bytes address = protobuf_bytes(&cursor, &field);
            if (message.address_count < DCUTR_ADDRESSES_MAX) {
                message.addresses[message.address_count++] = address;
            }
        }
    }
    if (cursor.error != 0 || (type != DCUTR_CONNECT && type != DCUTR_SYNC)) {
        return PLASM_MALFORMED;
    }
    message.type = (enum dcutr_type)type;
    *ret_message = message;
    return 0;
}

static void end(struct dcutr *dcutr, int error) {
    dcutr->state = error == 0 ? DCUTR_DONE : DCUTR_OVER;
    dcutr->error = error;
    dcutr->has_event = true;
    dcutr->deadline = NANOS_NEVER;
}

static int send_connect(struct dcutr *dcutr, nanos now) {
    struct dcutr_message message = {.type = DCUTR_CONNECT, .address_count = dcutr->own_count};
    for (size_t i = 0; i < dcutr->own_count; i++) {
        message.addresses[i] = multiaddr_bytes(&dcutr->own[i]);
    }
    dcutr->sent_at = now;
    return dcutr_message_encode(&message, &dcutr->out);
}

int dcutr_init(struct dcutr *dcutr, enum dcutr_role role, const struct multiaddr *own,
               size_t own_count, struct memory *memory, nanos now) {
    *dcutr = (struct dcutr){.role = role,
                            .state = DCUTR_WAITS_CONNECT,
                            .deadline = nanos_add(now, DCUTR_ANSWER_TIMEOUT)};
    buffer_init(&dcutr->in, memory, DCUTR_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
    buffer_init(&dcutr->out, memory, 2 * (DCUTR_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX));
    dcutr->own_count = own_count < DCUTR_ADDRESSES_MAX ? own_count : DCUTR_ADDRESSES_MAX;
    for (size_t i = 0; i < dcutr->own_count; i++) {
        dcutr->own[i] = own[i];
    }
    int error = role == DCUTR_INITIATOR ? send_connect(dcutr, now) : 0;
    if (error != 0) {
        dcutr_done(dcutr);
    }
    return error;
}

void dcutr_done(struct dcutr *dcutr) {
    buffer_done(&dcutr->in);
    buffer_done(&dcutr->out);
}

static void learn_addresses(struct dcutr *dcutr, const struct dcutr_message *message) {
    for (size_t i = 0; i < message->address_count; i++) {
        struct multiaddr *place = &dcutr->addresses[dcutr->address_count];
        if (multiaddr_decode(message->addresses[i], place) == 0 &&
            !multiaddr_has(place, MULTIADDR_P2P_CIRCUIT)) {
            dcutr->address_count++;
        }
    }
}

static int send_sync(struct dcutr *dcutr) {
    const struct dcutr_message sync = {.type = DCUTR_SYNC};
    return dcutr_message_encode(&sync, &dcutr->out);
}

static int take_message(struct dcutr *dcutr, const struct dcutr_message *message, nanos now) {
    if (dcutr->state == DCUTR_WAITS_SYNC) {
        if (message->type != DCUTR_SYNC) {
            return PLASM_MALFORMED;
        }
        dcutr->rtt = nanos_since(now, dcutr->sent_at);
        end(dcutr, 0);
        return 0;
    }
    if (message->type != DCUTR_CONNECT) {
        return PLASM_MALFORMED;
    }
    learn_addresses(dcutr, message);
    if (dcutr->address_count == 0) {
        return PLASM_NOT_FOUND;
    }
    if (dcutr->role == DCUTR_RESPONDER) {
        dcutr->state = DCUTR_WAITS_SYNC;
        return send_connect(dcutr, now);
    }
    dcutr->rtt = nanos_since(now, dcutr->sent_at);
    dcutr->state = DCUTR_WAITS_MOMENT;
    dcutr->deadline = nanos_add(now, dcutr->rtt / 2);
    return send_sync(dcutr);
}

static bool is_listening(const struct dcutr *dcutr) {
    return dcutr->state == DCUTR_WAITS_CONNECT || dcutr->state == DCUTR_WAITS_SYNC;
}

void dcutr_receive(struct dcutr *dcutr, struct bytes input, bool fin, nanos now) {
    int error = 0;
    while (is_listening(dcutr) && error == 0) {
        struct bytes piece = bytes_slice(input, 0, dcutr->in.size_max - dcutr->in.size);
        input = bytes_slice(input, piece.size, input.size);
        error = buffer_append(&dcutr->in, piece);
        struct bytes payload;
        size_t size;
        if (error == 0) {
            error = frame_read(buffer_bytes(&dcutr->in), DCUTR_MESSAGE_SIZE_MAX, &payload, &size);
        }
        if (error == PLASM_TRUNCATED && input.size > 0) {
            error = 0;
            continue;
        }
        struct dcutr_message message;
        if (error == 0) {
            error = dcutr_message_decode(payload, &message);
        }
        if (error == 0) {
            error = take_message(dcutr, &message, now);
            buffer_consume(&dcutr->in, size);
        }
    }
    if (error != 0 && (error != PLASM_TRUNCATED || fin)) {
        end(dcutr, error == PLASM_TOO_LARGE ? PLASM_MALFORMED : error);
    }
}

nanos dcutr_deadline(const struct dcutr *dcutr) {
    return dcutr->deadline;
}

void dcutr_expire(struct dcutr *dcutr, nanos now) {
    if (dcutr->deadline <= now) {
        end(dcutr, dcutr->state == DCUTR_WAITS_MOMENT ? 0 : PLASM_TIMEOUT);
    }
}

bool dcutr_next_event(struct dcutr *dcutr, struct dcutr_event *ret_event) {
    if (!dcutr->has_event) {
        return false;
    }
    dcutr->has_event = false;
    *ret_event = (struct dcutr_event){.type = dcutr->error == 0 ? DCUTR_PUNCH : DCUTR_FAILED,
                                      .error = dcutr->error,
                                      .rtt = dcutr->rtt,
                                      .address_count = dcutr->address_count,
                                      .addresses = dcutr->addresses};
    return true;
}

size_t dcutr_transmit(struct dcutr *dcutr, struct span room) {
    struct bytes bytes = bytes_slice(buffer_bytes(&dcutr->out), 0, room.size);
    if (bytes.size > 0) {
        memcpy(room.data, bytes.data, bytes.size);
        buffer_consume(&dcutr->out, bytes.size);
    }
    return bytes.size;
}
