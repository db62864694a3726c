/* Codec of the identify message. */
#include "proto/identify/identify.h"

#include "wire/protobuf.h"
#include "wire/varint.h"

/* Field numbers of the specification's protobuf. */
enum identify_field {
    FIELD_PUBLIC_KEY = 1,
    FIELD_LISTEN_ADDRESS = 2,
    FIELD_PROTOCOL = 3,
    FIELD_OBSERVED = 4,
    FIELD_PROTOCOL_VERSION = 5,
    FIELD_AGENT = 6,
    FIELD_SIGNED_RECORD = 8,
};

static void put_present(struct writer *writer, uint32_t number, struct bytes bytes) {
    if (bytes.size > 0) {
        protobuf_put_bytes(writer, number, bytes);
    }
}

static void put_list(struct writer *writer, uint32_t number, const struct bytes *items,
                     size_t count) {
    for (size_t i = 0; i < count; i++) {
        protobuf_put_bytes(writer, number, items[i]);
    }
}

static int encode_with(const struct identify *message, size_t address_count, bool with_record,
                       struct span room, size_t *ret_size) {
    struct writer writer = writer_of(room);
    put_present(&writer, FIELD_PUBLIC_KEY, message->public_key);
    put_list(&writer, FIELD_LISTEN_ADDRESS, message->addresses, address_count);
    put_list(&writer, FIELD_PROTOCOL, message->protocols, message->protocol_count);
    put_present(&writer, FIELD_OBSERVED, message->observed);
    put_present(&writer, FIELD_PROTOCOL_VERSION, message->protocol_version);
    put_present(&writer, FIELD_AGENT, message->agent);
    if (with_record) {
        put_present(&writer, FIELD_SIGNED_RECORD, message->signed_record);
    }
    *ret_size = writer.size;
    return writer.error;
}

int identify_encode(const struct identify *message, struct buffer *out) {
    uint8_t payload[IDENTIFY_SENT_MAX];
    struct span room = {payload, sizeof(payload) - UVARINT_SIZE_MAX};
    size_t size = 0;
    size_t addresses = message->address_count;
    /* The record repeats the addresses, so it goes first when there are too many. */
    int error = encode_with(message, addresses, true, room, &size);
    if (error != 0) {
        error = encode_with(message, addresses, false, room, &size);
    }
    while (error != 0 && addresses > 0) {
        addresses--;
        error = encode_with(message, addresses, false, room, &size);
    }
    if (error != 0) {
        return error;
    }
    struct span frame;
    error = buffer_reserve(out, size + UVARINT_SIZE_MAX, &frame);
    if (error != 0) {
        return error;
    }
    struct writer writer = writer_of(frame);
    uvarint_write(&writer, size);
    writer_bytes_put(&writer, bytes_of(payload, size));
    buffer_commit(out, writer.size);
    return 0;
}

static void add(struct bytes *items, size_t *count, size_t count_max, struct bytes item) {
    if (*count < count_max) {
        items[(*count)++] = item;
    }
}

int identify_merge(struct bytes part, struct identify *message) {
    struct cursor cursor = cursor_of(part);
    struct identify merged = *message;
    struct protobuf_field field;
    while (protobuf_next(&cursor, &field)) {
        switch (field.number) {
        case FIELD_PUBLIC_KEY:
            merged.public_key = protobuf_bytes(&cursor, &field);
            break;
        case FIELD_LISTEN_ADDRESS:
            add(merged.addresses, &merged.address_count, IDENTIFY_ADDRESSES_MAX,
                protobuf_bytes(&cursor, &field));
            break;
        case FIELD_PROTOCOL:
            add(merged.protocols, &merged.protocol_count, IDENTIFY_PROTOCOLS_MAX,
                protobuf_bytes(&cursor, &field));
            break;
        case FIELD_OBSERVED:
            merged.observed = protobuf_bytes(&cursor, &field);
            break;
        case FIELD_PROTOCOL_VERSION:
            merged.protocol_version = protobuf_bytes(&cursor, &field);
            break;
        case FIELD_AGENT:
            merged.agent = protobuf_bytes(&cursor, &field);
            break;
        case FIELD_SIGNED_RECORD:
            merged.signed_record = protobuf_bytes(&cursor, &field);
            break;
        default: /* unknown fields are skipped, as protobuf demands */
            break;
        }
    }
    if (cursor.error != 0) {
        return PLASM_MALFORMED;
    }
    *message = merged;
    return 0;
}

bool identify_has_protocol(const struct identify *message, const char *protocol) {
    for (size_t i = 0; i < message->protocol_count; i++) {
        if (bytes_equal_string(message->protocols[i], protocol)) {
            return true;
        }
    }
    return false;
}
