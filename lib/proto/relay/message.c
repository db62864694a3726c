/* Codec of the relay's messages. */
#include "proto/relay/message.h"

#include "util/ensure.h"
#include "wire/protobuf.h"
#include "wire/varint.h"

/* Field numbers of the specification's protobufs. */
enum hop_field {
    HOP_TYPE = 1,
    HOP_PEER = 2,
    HOP_RESERVATION = 3,
    HOP_LIMIT = 4,
    HOP_STATUS = 5,
};
enum stop_field { STOP_TYPE = 1, STOP_PEER = 2, STOP_LIMIT = 3, STOP_STATUS = 4 };
enum peer_field { PEER_ID_FIELD = 1 };
enum reservation_field { RESERVATION_EXPIRE = 1, RESERVATION_ADDRESS = 2, RESERVATION_VOUCHER = 3 };
enum limit_field { LIMIT_DURATION = 1, LIMIT_DATA = 2 };
enum voucher_field { VOUCHER_RELAY = 1, VOUCHER_PEER = 2, VOUCHER_EXPIRATION = 3 };

const char *relay_status_text(uint32_t status) {
    switch (status) {
    case RELAY_STATUS_OK:
        return "ok";
    case RELAY_STATUS_RESERVATION_REFUSED:
        return "reservation refused";
    case RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED:
        return "resource limit exceeded";
    case RELAY_STATUS_PERMISSION_DENIED:
        return "permission denied";
    case RELAY_STATUS_CONNECTION_FAILED:
        return "connection failed";
    case RELAY_STATUS_NO_RESERVATION:
        return "no reservation";
    case RELAY_STATUS_MALFORMED_MESSAGE:
        return "malformed message";
    case RELAY_STATUS_UNEXPECTED_MESSAGE:
        return "unexpected message";
    default:
        return "unknown status";
    }
}

int relay_status_error(uint32_t status) {
    switch (status) {
    case RELAY_STATUS_OK:
        return 0;
    case RELAY_STATUS_RESERVATION_REFUSED:
    case RELAY_STATUS_PERMISSION_DENIED:
        return PLASM_REFUSED;
    case RELAY_STATUS_RESOURCE_LIMIT_EXCEEDED:
        return PLASM_LIMIT;
    case RELAY_STATUS_CONNECTION_FAILED:
        return PLASM_UNREACHABLE;
    case RELAY_STATUS_NO_RESERVATION:
        return PLASM_NOT_FOUND;
    default:
        return PLASM_MALFORMED;
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

static uint64_t type_number(enum relay_protocol protocol, enum relay_message_type type) {
    if (protocol == RELAY_HOP) {
        return (uint64_t)type;
    }
    ENSURE(type != RELAY_RESERVE);
    return type == RELAY_CONNECT ? 0 : 1;
}

static void put_peer(struct writer *writer, uint32_t field, struct bytes peer) {
    if (peer.size > 0) {
        size_t mark = protobuf_begin(writer, field);
        protobuf_put_bytes(writer, PEER_ID_FIELD, peer);
        protobuf_end(writer, mark);
    }
}

static void put_limit(struct writer *writer, uint32_t field, const struct relay_limit *limit) {
    if (limit->present) {
        size_t mark = protobuf_begin(writer, field);
        protobuf_put_varint(writer, LIMIT_DURATION, limit->duration_seconds);
        protobuf_put_varint(writer, LIMIT_DATA, limit->data_bytes);
        protobuf_end(writer, mark);
    }
}

static void put_reservation(struct writer *writer, const struct relay_reservation *reservation,
                            size_t address_count) {
    if (!reservation->present) {
        return;
    }
    size_t mark = protobuf_begin(writer, HOP_RESERVATION);
    protobuf_put_varint(writer, RESERVATION_EXPIRE, reservation->expires_unix);
    for (size_t i = 0; i < address_count; i++) {
        protobuf_put_bytes(writer, RESERVATION_ADDRESS, reservation->addresses[i]);
    }
    if (reservation->voucher.size > 0) {
        protobuf_put_bytes(writer, RESERVATION_VOUCHER, reservation->voucher);
    }
    protobuf_end(writer, mark);
}

static int encode_with(enum relay_protocol protocol, const struct relay_message *message,
                       size_t address_count, struct span room, size_t *ret_size) {
    struct writer writer = writer_of(room);
    bool hop = protocol == RELAY_HOP;
    protobuf_put_varint(&writer, HOP_TYPE, type_number(protocol, message->type));
    put_peer(&writer, hop ? (uint32_t)HOP_PEER : (uint32_t)STOP_PEER, message->peer);
    if (hop) {
        put_reservation(&writer, &message->reservation, address_count);
    }
    put_limit(&writer, hop ? (uint32_t)HOP_LIMIT : (uint32_t)STOP_LIMIT, &message->limit);
    if (message->type == RELAY_STATUS) {
        protobuf_put_varint(&writer, hop ? (uint32_t)HOP_STATUS : (uint32_t)STOP_STATUS,
                            message->status);
    }
    *ret_size = writer.size;
    return writer.error;
}

int relay_message_encode(enum relay_protocol protocol, const struct relay_message *message,
                         struct buffer *out) {
    uint8_t payload[RELAY_MESSAGE_SIZE_MAX];
    struct span room = {payload, sizeof(payload)};
    size_t addresses = message->reservation.address_count;
    size_t size = 0;
    int error = encode_with(protocol, message, addresses, room, &size);
    while (error != 0 && addresses > 0) {
        addresses--;
        error = encode_with(protocol, message, addresses, room, &size);
    }
    struct span frame;
    if (error == 0) {
        error = buffer_reserve(out, uvarint_size(size) + size, &frame);
    }
    if (error != 0) {
        return error;
    }
    struct writer writer = writer_of(frame);
    uvarint_write(&writer, size);
    writer_bytes_put(&writer, bytes_of(payload, size));
    buffer_commit(out, writer.size);
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct bytes read_peer(struct cursor *outer, struct bytes peer) {
    struct cursor cursor = cursor_of(peer);
    struct protobuf_field field;
    struct bytes id = bytes_of(NULL, 0);
    while (protobuf_next(&cursor, &field)) {
        if (field.number == PEER_ID_FIELD) {
            id = protobuf_bytes(&cursor, &field);
        }
    }
    if (cursor.error != 0) {
        cursor_fail(outer, PLASM_MALFORMED);
    }
    return id;
}

static void read_limit(struct cursor *outer, struct bytes bytes, struct relay_limit *limit) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    limit->present = true;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == LIMIT_DURATION) {
            uint64_t duration = protobuf_varint(&cursor, &field);
            limit->duration_seconds = duration > UINT32_MAX ? UINT32_MAX : (uint32_t)duration;
        } else if (field.number == LIMIT_DATA) {
            limit->data_bytes = protobuf_varint(&cursor, &field);
        }
    }
    if (cursor.error != 0) {
        cursor_fail(outer, PLASM_MALFORMED);
    }
}

static void read_reservation(struct cursor *outer, struct bytes bytes,
                             struct relay_reservation *reservation) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    reservation->present = true;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == RESERVATION_EXPIRE) {
            reservation->expires_unix = protobuf_varint(&cursor, &field);
        } else if (field.number == RESERVATION_ADDRESS) {
            struct bytes address = protobuf_bytes(&cursor, &field);
            if (reservation->address_count < RELAY_ADDRESSES_MAX) {
                reservation->addresses[reservation->address_count++] = address;
            }
        } else if (field.number == RESERVATION_VOUCHER) {
            reservation->voucher = protobuf_bytes(&cursor, &field);
        }
    }
    if (cursor.error != 0) {
        cursor_fail(outer, PLASM_MALFORMED);
    }
}

static enum relay_message_type read_type(struct cursor *cursor, enum relay_protocol protocol,
                                         uint64_t number) {
    uint64_t kind = protocol == RELAY_HOP ? number : number + 1;
    if (number > RELAY_STATUS || kind > RELAY_STATUS) {
        cursor_fail(cursor, PLASM_MALFORMED);
        return RELAY_STATUS;
    }
    return (enum relay_message_type)kind;
}

static void read_hop(struct cursor *cursor, const struct protobuf_field *field,
                     struct relay_message *message) {
    switch (field->number) {
    case HOP_TYPE:
        message->type = read_type(cursor, RELAY_HOP, protobuf_varint(cursor, field));
        break;
    case HOP_PEER:
        message->peer = read_peer(cursor, protobuf_bytes(cursor, field));
        break;
    case HOP_RESERVATION:
        read_reservation(cursor, protobuf_bytes(cursor, field), &message->reservation);
        break;
    case HOP_LIMIT:
        read_limit(cursor, protobuf_bytes(cursor, field), &message->limit);
        break;
    case HOP_STATUS:
        message->status = (uint32_t)protobuf_varint(cursor, field);
        break;
    default: /* unknown fields are skipped, as protobuf demands */
        break;
    }
}

static void read_stop(struct cursor *cursor, const struct protobuf_field *field,
                      struct relay_message *message) {
    switch (field->number) {
    case STOP_TYPE:
        message->type = read_type(cursor, RELAY_STOP, protobuf_varint(cursor, field));
        break;
    case STOP_PEER:
        message->peer = read_peer(cursor, protobuf_bytes(cursor, field));
        break;
    case STOP_LIMIT:
        read_limit(cursor, protobuf_bytes(cursor, field), &message->limit);
        break;
    case STOP_STATUS:
        message->status = (uint32_t)protobuf_varint(cursor, field);
        break;
    default:
        break;
    }
}

int relay_message_decode(enum relay_protocol protocol, struct bytes payload,
                         struct relay_message *ret_message) {
    struct cursor cursor = cursor_of(payload);
    struct relay_message message = {.type = protocol == RELAY_HOP ? RELAY_RESERVE : RELAY_CONNECT};
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (protocol == RELAY_HOP) {
            read_hop(&cursor, &field, &message);
        } else {
            read_stop(&cursor, &field, &message);
        }
    }
    if (cursor.error != 0) {
        return PLASM_MALFORMED;
    }
    *ret_message = message;
    return 0;
}

/* --- vouchers --------------------------------------------------------------------------------- */

size_t relay_voucher_encode(const struct relay_voucher *voucher,
                            uint8_t room[RELAY_VOUCHER_SIZE_MAX]) {
    struct writer writer = writer_of((struct span){room, RELAY_VOUCHER_SIZE_MAX});
    protobuf_put_bytes(&writer, VOUCHER_RELAY, peer_id_bytes(&voucher->relay));
    protobuf_put_bytes(&writer, VOUCHER_PEER, peer_id_bytes(&voucher->peer));
    protobuf_put_varint(&writer, VOUCHER_EXPIRATION, voucher->expires_unix);
    ENSURE(writer.error == 0);
    return writer.size;
}

int relay_voucher_decode(struct bytes payload, struct relay_voucher *ret_voucher) {
    struct cursor cursor = cursor_of(payload);
    struct relay_voucher voucher = {.expires_unix = 0};
    struct protobuf_field field;
    int error = 0;
    while (error == 0 && protobuf_next(&cursor, &field)) {
        if (field.number == VOUCHER_RELAY) {
            error = peer_id_decode(protobuf_bytes(&cursor, &field), &voucher.relay);
        } else if (field.number == VOUCHER_PEER) {
            error = peer_id_decode(protobuf_bytes(&cursor, &field), &voucher.peer);
        } else if (field.number == VOUCHER_EXPIRATION) {
            voucher.expires_unix = protobuf_varint(&cursor, &field);
        }
    }
    if (error != 0 || cursor.error != 0 || voucher.relay.size == 0 || voucher.peer.size == 0) {
        return PLASM_MALFORMED;
    }
    *ret_voucher = voucher;
    return 0;
}

int relay_voucher_check(struct bytes envelope, const struct peer_id *relay,
                        const struct peer_id *peer, uint64_t now_unix,
                        struct relay_voucher *ret_voucher) {
    struct envelope opened;
    struct relay_voucher voucher;
    int error = envelope_open(envelope, BYTES_LITERAL(RELAY_VOUCHER_DOMAIN), &opened);
    if (error == 0 && !bytes_equal(opened.payload_type, BYTES_LITERAL(RELAY_VOUCHER_TYPE))) {
        error = PLASM_MALFORMED;
    }
    if (error == 0) {
        error = relay_voucher_decode(opened.payload, &voucher);
    }
    if (error != 0) {
        return error;
    }
    if (!peer_id_equal(&opened.signer, relay) || !peer_id_equal(&voucher.relay, relay) ||
        !peer_id_equal(&voucher.peer, peer)) {
        return PLASM_UNTRUSTED;
    }
    if (voucher.expires_unix <= now_unix) {
        return PLASM_EXPIRED;
    }
    *ret_voucher = voucher;
    return 0;
}
