/* AutoNAT's messages on the wire. */
#include "proto/autonat/message.h"

#include "wire/protobuf.h"
#include "wire/varint.h"

/* Field numbers. v1: Message, Dial, PeerInfo, DialResponse. */
enum { V1_TYPE = 1, V1_DIAL = 2, V1_RESPONSE = 3 };
enum { V1_DIAL_PEER = 1 };
enum { V1_PEER_ID = 1, V1_PEER_ADDRESSES = 2 };
enum { V1_RESPONSE_STATUS = 1, V1_RESPONSE_TEXT = 2, V1_RESPONSE_ADDRESS = 3 };
enum { V1_TYPE_DIAL = 0, V1_TYPE_RESPONSE = 1 };
/* v2: Message, DialRequest, DialResponse, DialDataRequest, DialDataResponse, DialBack. */
enum { V2_REQUEST = 1, V2_RESPONSE = 2, V2_DATA_REQUEST = 3, V2_DATA = 4 };
enum { V2_REQUEST_ADDRESSES = 1, V2_REQUEST_NONCE = 2 };
enum { V2_RESPONSE_STATUS = 1, V2_RESPONSE_INDEX = 2, V2_RESPONSE_DIAL_STATUS = 3 };
enum { V2_DATA_REQUEST_INDEX = 1, V2_DATA_REQUEST_SIZE = 2 };
enum { V2_DATA_BYTES = 1 };
enum { BACK_NONCE = 1 };

static void add_address(struct autonat_message *message, struct bytes address) {
    if (message->address_count < AUTONAT_ADDRESSES_MAX) {
        message->addresses[message->address_count++] = address;
    }
}

static uint64_t fixed64(struct cursor *cursor, const struct protobuf_field *field) {
    if (field->type != PROTOBUF_FIXED64) {
        cursor_fail(cursor, PLASM_MALFORMED);
        return 0;
    }
    return field->value;
}

static int v1_peer(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V1_PEER_ID) {
            message->peer_id = protobuf_bytes(&cursor, &field);
        } else if (field.number == V1_PEER_ADDRESSES) {
            add_address(message, protobuf_bytes(&cursor, &field));
        }
    }
    return cursor.error;
}

static int v1_dial(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V1_DIAL_PEER) {
            int error = v1_peer(protobuf_bytes(&cursor, &field), message);
            if (error != 0) {
                return error;
            }
        }
    }
    return cursor.error;
}

static int v1_response(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V1_RESPONSE_STATUS) {
            message->status = protobuf_varint(&cursor, &field);
        } else if (field.number == V1_RESPONSE_TEXT) {
            message->text = protobuf_bytes(&cursor, &field);
        } else if (field.number == V1_RESPONSE_ADDRESS) {
            message->address = protobuf_bytes(&cursor, &field);
        }
    }
    return cursor.error;
}

static int v1_decode(struct bytes payload, struct autonat_message *message) {
    struct cursor cursor = cursor_of(payload);
    struct protobuf_field field;
    uint64_t type = V1_TYPE_DIAL;
    int error = 0;
    while (error == 0 && protobuf_next(&cursor, &field)) {
        if (field.number == V1_TYPE) {
            type = protobuf_varint(&cursor, &field);
        } else if (field.number == V1_DIAL) {
            error = v1_dial(protobuf_bytes(&cursor, &field), message);
        } else if (field.number == V1_RESPONSE) {
            error = v1_response(protobuf_bytes(&cursor, &field), message);
        }
    }
    if (error != 0 || cursor.error != 0 || type > V1_TYPE_RESPONSE) {
        return PLASM_MALFORMED;
    }
    message->type = type == V1_TYPE_DIAL ? AUTONAT_DIAL : AUTONAT_DIAL_RESPONSE;
    return 0;
}

static int v2_request(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V2_REQUEST_ADDRESSES) {
            add_address(message, protobuf_bytes(&cursor, &field));
        } else if (field.number == V2_REQUEST_NONCE) {
            message->nonce = fixed64(&cursor, &field);
        }
    }
    return cursor.error;
}

static int v2_response(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V2_RESPONSE_STATUS) {
            message->status = protobuf_varint(&cursor, &field);
        } else if (field.number == V2_RESPONSE_INDEX) {
            message->index = protobuf_varint(&cursor, &field);
        } else if (field.number == V2_RESPONSE_DIAL_STATUS) {
            message->dial_status = protobuf_varint(&cursor, &field);
        }
    }
    return cursor.error;
}

static int v2_data_request(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V2_DATA_REQUEST_INDEX) {
            message->index = protobuf_varint(&cursor, &field);
        } else if (field.number == V2_DATA_REQUEST_SIZE) {
            message->size = protobuf_varint(&cursor, &field);
        }
    }
    return cursor.error;
}

static int v2_data(struct bytes bytes, struct autonat_message *message) {
    struct cursor cursor = cursor_of(bytes);
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == V2_DATA_BYTES) {
            message->data = protobuf_bytes(&cursor, &field);
        }
    }
    return cursor.error;
}

static int v2_decode(struct bytes payload, struct autonat_message *message) {
    static int (*const readers[])(struct bytes,
                                  struct autonat_message *) = {[V2_REQUEST] = v2_request,
                                                               [V2_RESPONSE] = v2_response,
                                                               [V2_DATA_REQUEST] = v2_data_request,
                                                               [V2_DATA] = v2_data};
    static const enum autonat_message_type types[] = {[V2_REQUEST] = AUTONAT_DIAL,
                                                      [V2_RESPONSE] = AUTONAT_DIAL_RESPONSE,
                                                      [V2_DATA_REQUEST] = AUTONAT_DATA_REQUEST,
                                                      [V2_DATA] = AUTONAT_DATA};
    struct cursor cursor = cursor_of(payload);
    struct protobuf_field field;
    bool known = false;
    int error = 0;
    while (error == 0 && protobuf_next(&cursor, &field)) {
        if (field.number >= V2_REQUEST && field.number <= V2_DATA) {
            /* Of several the last one counts. */
            memset(message, 0, sizeof(*message));
            message->type = types[field.number];
            error = readers[field.number](protobuf_bytes(&cursor, &field), message);
            known = true;
        }
    }
    return error != 0 || cursor.error != 0 || !known ? PLASM_MALFORMED : 0;
}

int autonat_decode(enum autonat_version version, struct bytes payload,
                   struct autonat_message *ret_message) {
    struct autonat_message message = {.type = AUTONAT_DIAL};
    int error = version == AUTONAT_V1 ? v1_decode(payload, &message) : v2_decode(payload, &message);
    if (error == 0) {
        *ret_message = message;
    }
    return error;
}

static void put_fixed64(struct writer *writer, uint32_t number, uint64_t value) {
    writer_u8(writer, (uint8_t)(number << 3 | PROTOBUF_FIXED64));
    writer_u64_little(writer, value);
}

static void v1_encode(const struct autonat_message *message, struct writer *writer) {
    bool is_dial = message->type == AUTONAT_DIAL;
    protobuf_put_varint(writer, V1_TYPE, is_dial ? V1_TYPE_DIAL : V1_TYPE_RESPONSE);
    if (is_dial) {
        size_t dial = protobuf_begin(writer, V1_DIAL);
        size_t peer = protobuf_begin(writer, V1_DIAL_PEER);
        protobuf_put_bytes(writer, V1_PEER_ID, message->peer_id);
        for (size_t i = 0; i < message->address_count; i++) {
            protobuf_put_bytes(writer, V1_PEER_ADDRESSES, message->addresses[i]);
        }
        protobuf_end(writer, peer);
        protobuf_end(writer, dial);
        return;
    }
    size_t response = protobuf_begin(writer, V1_RESPONSE);
    protobuf_put_varint(writer, V1_RESPONSE_STATUS, message->status);
    if (message->text.size > 0) {
        protobuf_put_bytes(writer, V1_RESPONSE_TEXT, message->text);
    }
    if (message->address.size > 0) {
        protobuf_put_bytes(writer, V1_RESPONSE_ADDRESS, message->address);
    }
    protobuf_end(writer, response);
}

static void v2_encode(const struct autonat_message *message, struct writer *writer) {
    static const uint32_t numbers[] = {[AUTONAT_DIAL] = V2_REQUEST,
                                       [AUTONAT_DIAL_RESPONSE] = V2_RESPONSE,
                                       [AUTONAT_DATA_REQUEST] = V2_DATA_REQUEST,
                                       [AUTONAT_DATA] = V2_DATA};
    size_t mark = protobuf_begin(writer, numbers[message->type]);
    switch (message->type) {
    case AUTONAT_DIAL:
        for (size_t i = 0; i < message->address_count; i++) {
            protobuf_put_bytes(writer, V2_REQUEST_ADDRESSES, message->addresses[i]);
        }
        put_fixed64(writer, V2_REQUEST_NONCE, message->nonce);
        break;
    case AUTONAT_DIAL_RESPONSE:
        protobuf_put_varint(writer, V2_RESPONSE_STATUS, message->status);
        protobuf_put_varint(writer, V2_RESPONSE_INDEX, message->index);
        protobuf_put_varint(writer, V2_RESPONSE_DIAL_STATUS, message->dial_status);
        break;
    case AUTONAT_DATA_REQUEST:
        protobuf_put_varint(writer, V2_DATA_REQUEST_INDEX, message->index);
        protobuf_put_varint(writer, V2_DATA_REQUEST_SIZE, message->size);
        break;
    case AUTONAT_DATA:
        protobuf_put_bytes(writer, V2_DATA_BYTES, message->data);
        break;
    }
    protobuf_end(writer, mark);
}

/* Puts the length before what was written from `start` on. */
static void frame_end(struct writer *writer, size_t start) {
    if (writer->error != 0) {
        return;
    }
    size_t size = writer->size - start;
    size_t head = uvarint_size(size);
    if (writer_reserve(writer, head) == NULL) {
        return;
    }
    memmove(writer->room.data + start + head, writer->room.data + start, size);
    struct writer length = writer_of((struct span){writer->room.data + start, head});
    uvarint_write(&length, size);
}

void autonat_encode(enum autonat_version version, const struct autonat_message *message,
                    struct writer *writer) {
    size_t start = writer->size;
    if (version == AUTONAT_V1) {
        v1_encode(message, writer);
    } else {
        v2_encode(message, writer);
    }
    frame_end(writer, start);
}

void autonat_back_encode(uint64_t nonce, struct writer *writer) {
    size_t start = writer->size;
    put_fixed64(writer, BACK_NONCE, nonce);
    frame_end(writer, start);
}

int autonat_back_decode(struct bytes payload, uint64_t *ret_nonce) {
    struct cursor cursor = cursor_of(payload);
    struct protobuf_field field;
    uint64_t nonce = 0;
    while (protobuf_next(&cursor, &field)) {
        if (field.number == BACK_NONCE) {
            nonce = fixed64(&cursor, &field);
        }
    }
    if (cursor.error != 0) {
        return PLASM_MALFORMED;
    }
    *ret_nonce = nonce;
    return 0;
}

void autonat_back_response_encode(struct writer *writer) {
    size_t start = writer->size;
    protobuf_put_varint(writer, 1, 0); /* status OK, written out: some readers wait for a byte */
    frame_end(writer, start);
}
