/* Decoding and encoding of the DHT's message. */
#include "proto/kad/message.h"

#include "wire/protobuf.h"

enum message_field {
    MESSAGE_TYPE = 1,
    MESSAGE_KEY = 2,
    MESSAGE_RECORD = 3,
};
enum record_field { RECORD_KEY = 1, RECORD_VALUE = 2 };
enum peer_field { PEER_ID = 1, PEER_ADDRESSES = 2, PEER_CONNECTION = 3 };

/* Addresses of one peer that are looked at; those kept are fewer (KAD_ADDRESSES_MAX). */
#define ADDRESSES_READ_MAX 32

static int record_decode(struct bytes body, struct kad_message *message) {
    struct cursor cursor = cursor_of(body);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == RECORD_KEY) {
            message->record_key = protobuf_bytes(&cursor, &field);
        } else if (field.number == RECORD_VALUE) {
            message->record_value = protobuf_bytes(&cursor, &field);
        }
    }
    message->has_record = true;
    return cursor.error;
}

static int peer_check(struct bytes body) {
    struct cursor cursor = cursor_of(body);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == PEER_ID || field.number == PEER_ADDRESSES) {
            (void)protobuf_bytes(&cursor, &field);
        } else if (field.number == PEER_CONNECTION) {
            (void)protobuf_varint(&cursor, &field);
        }
    }
    return cursor.error;
}

static int field_decode(struct cursor *cursor, const struct protobuf_field *field,
                        struct kad_message *message) {
    switch (field->number) {
    case MESSAGE_TYPE: {
        uint64_t type = protobuf_varint(cursor, field);
        if (type > KAD_MESSAGE_PING) {
            return PLASM_UNSUPPORTED;
        }
        message->type = (enum kad_message_type)type;
        return 0;
    }
    case MESSAGE_KEY:
        message->key = protobuf_bytes(cursor, field);
        return 0;
    case MESSAGE_RECORD:
        return record_decode(protobuf_bytes(cursor, field), message);
    case KAD_LIST_CLOSER:
    case KAD_LIST_PROVIDERS:
        return peer_check(protobuf_bytes(cursor, field));
    default:
        return 0;
    }
}

int kad_message_decode(struct bytes payload, struct kad_message *ret_message) {
    if (payload.size > KAD_MESSAGE_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    struct kad_message message = {.whole = payload};
    struct cursor cursor = cursor_of(payload);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        int error = field_decode(&cursor, &field, &message);
        if (error != 0) {
            return error == PLASM_UNSUPPORTED ? error : PLASM_MALFORMED;
        }
    }
    if (cursor.error != 0) {
        return PLASM_MALFORMED;
    }
    *ret_message = message;
    return 0;
}

bool kad_message_peer_next(struct cursor *cursor, enum kad_message_list list,
                           struct kad_message_peer *ret_peer) {
    struct protobuf_field field;
    while (protobuf_next(cursor, &field)) {
        if (field.number != (uint32_t)list) {
            continue;
        }
        struct cursor body = cursor_of(field.bytes);
        struct protobuf_field part;
        struct bytes id = {0};
        while (protobuf_next(&body, &part)) {
            if (part.number == PEER_ID) {
                id = part.bytes;
            }
        }
        struct kad_message_peer peer = {.body = field.bytes};
        if (peer_id_decode(id, &peer.id) == 0) {
            *ret_peer = peer;
            return true;
        }
    }
    return false;
}

void kad_message_addresses(const struct kad_message_peer *peer, bool only_public,
                           struct kad_addresses *ret_addresses) {
    struct bytes list[ADDRESSES_READ_MAX];
    size_t count = 0;
    struct cursor cursor = cursor_of(peer->body);
    struct protobuf_field field;
    while (count < ADDRESSES_READ_MAX && protobuf_next(&cursor, &field)) {
        if (field.number == PEER_ADDRESSES &&
            !(only_public && kad_address_is_private(field.bytes))) {
            list[count++] = field.bytes;
        }
    }
    ret_addresses->size = 0;
    ret_addresses->count = 0;
    kad_addresses_add_list(ret_addresses, &peer->id, list, count);
}

void kad_message_put_head(struct writer *writer, enum kad_message_type type, struct bytes key) {
    protobuf_put_varint(writer, MESSAGE_TYPE, type);
    if (key.size > 0) {
        protobuf_put_bytes(writer, MESSAGE_KEY, key);
    }
}

void kad_message_put_record(struct writer *writer, struct bytes key, struct bytes value) {
    protobuf_put_head(writer, MESSAGE_RECORD,
                      protobuf_bytes_size(RECORD_KEY, key.size) +
                          protobuf_bytes_size(RECORD_VALUE, value.size));
    protobuf_put_bytes(writer, RECORD_KEY, key);
    protobuf_put_bytes(writer, RECORD_VALUE, value);
}

bool kad_message_put_peer(struct writer *writer, enum kad_message_list list,
                          const struct peer_id *id, struct bytes packed_addresses,
                          enum kad_connection connection, bool only_public, size_t size_max) {
    /* The body's size first: what fits is known before anything is written. */
    struct bytes chosen[KAD_ADDRESSES_MAX];
    size_t count = 0;
    size_t body =
        protobuf_bytes_size(PEER_ID, id->size) + protobuf_varint_size(PEER_CONNECTION, connection);
    struct bytes address;
    while (count < KAD_ADDRESSES_MAX && kad_address_next(&packed_addresses, &address)) {
        size_t with = body + protobuf_bytes_size(PEER_ADDRESSES, address.size);
        if ((only_public && kad_address_is_private(address)) ||
            protobuf_bytes_size((uint32_t)list, with) > size_max) {
            continue;
        }
        body = with;
        chosen[count++] = address;
    }
    if (count == 0) {
        return false;
    }
    protobuf_put_head(writer, (uint32_t)list, body);
    protobuf_put_bytes(writer, PEER_ID, peer_id_bytes(id));
    for (size_t i = 0; i < count; i++) {
        protobuf_put_bytes(writer, PEER_ADDRESSES, chosen[i]);
    }
    protobuf_put_varint(writer, PEER_CONNECTION, connection);
    return true;
}
