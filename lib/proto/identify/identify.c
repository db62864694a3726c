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

static size_t size_of(uint32_t number, struct bytes bytes) {
    return bytes.size > 0 ? protobuf_bytes_size(number, bytes.size) : 0;
}

static size_t list_size_of(uint32_t number, const struct bytes *items, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += protobuf_bytes_size(number, items[i].size);
    }
    return size;
}

static size_t encoded_size(const struct identify *message) {
    return size_of(FIELD_PUBLIC_KEY, message->public_key) +
           list_size_of(FIELD_LISTEN_ADDRESS, message->addresses, message->address_count) +
           list_size_of(FIELD_PROTOCOL, message->protocols, message->protocol_count) +
           size_of(FIELD_OBSERVED, message->observed) +
           size_of(FIELD_PROTOCOL_VERSION, message->protocol_version) +
           size_of(FIELD_AGENT, message->agent) +
           size_of(FIELD_SIGNED_RECORD, message->signed_record);
}

static struct bytes unless(struct bytes present, struct bytes otherwise) {
    return present.size > 0 ? bytes_of(NULL, 0) : otherwise;
}

int identify_inherit(const struct identify *before, const struct identify *update,
                     struct buffer *out) {
    struct identify missing = *before;
    missing.public_key = unless(update->public_key, before->public_key);
    missing.observed = unless(update->observed, before->observed);
    missing.protocol_version = unless(update->protocol_version, before->protocol_version);
    missing.agent = unless(update->agent, before->agent);
    missing.signed_record = unless(update->signed_record, before->signed_record);
    if (update->address_count > 0) {
        missing.address_count = 0;
    }
    if (update->protocol_count > 0) {
        missing.protocol_count = 0;
    }
    struct span room;
    int error = buffer_reserve(out, encoded_size(&missing), &room);
    if (error != 0) {
        return error;
    }
    size_t size = 0;
    error = encode_with(&missing, missing.address_count, true, room, &size);
    if (error == 0) {
        buffer_commit(out, size);
    }
    return error;
}

bool identify_has_protocol(const struct identify *message, const char *protocol) {
    for (size_t i = 0; i < message->protocol_count; i++) {
        if (bytes_equal_string(message->protocols[i], protocol)) {
            return true;
        }
    }
    return false;
}
