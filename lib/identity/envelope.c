/* Signed envelopes and the peer records that travel in them. */
#include "identity/envelope.h"

#include "util/ensure.h"
#include "wire/protobuf.h"
#include "wire/varint.h"

enum { ENVELOPE_KEY = 1, ENVELOPE_PAYLOAD_TYPE = 2, ENVELOPE_PAYLOAD = 3, ENVELOPE_SIGNATURE = 5 };
enum { RECORD_PEER_ID = 1, RECORD_SEQ = 2, RECORD_ADDRESSES = 3 };
enum { ADDRESS_MULTIADDR = 1 };

/* Longest domain; ours and libp2p's have under 32 bytes. */
#define ENVELOPE_DOMAIN_MAX 64

static void put_sized(struct writer *writer, struct bytes bytes) {
    uvarint_write(writer, bytes.size);
    writer_bytes_put(writer, bytes);
}

static size_t sized_size(struct bytes bytes) {
    return uvarint_size(bytes.size) + bytes.size;
}

/* What is signed: each part behind its length. */
static void put_message(struct writer *writer, struct bytes domain, struct bytes payload_type,
                        struct bytes payload) {
    put_sized(writer, domain);
    put_sized(writer, payload_type);
    put_sized(writer, payload);
}

static int read_fields(struct bytes input, struct envelope *envelope, struct bytes *ret_key,
                       struct bytes *ret_signature) {
    struct cursor message = cursor_of(input);
    struct protobuf_field field;
    while (protobuf_next(&message, &field)) {
        switch (field.number) {
        case ENVELOPE_KEY:
            *ret_key = protobuf_bytes(&message, &field);
            break;
        case ENVELOPE_PAYLOAD_TYPE:
            envelope->payload_type = protobuf_bytes(&message, &field);
            break;
        case ENVELOPE_PAYLOAD:
            envelope->payload = protobuf_bytes(&message, &field);
            break;
        case ENVELOPE_SIGNATURE:
            *ret_signature = protobuf_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    return message.error == 0 ? 0 : PLASM_MALFORMED;
}

int envelope_open(struct bytes envelope, struct bytes domain, struct envelope *ret_envelope) {
    if (envelope.size > ENVELOPE_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    ENSURE(domain.size <= ENVELOPE_DOMAIN_MAX);
    struct envelope read = {0};
    struct bytes key = {0};
    struct bytes signature = {0};
    int error = read_fields(envelope, &read, &key, &signature);
    if (error == 0) {
        error = public_key_decode(key, &read.key);
    }
    if (error != 0) {
        return error;
    }
    uint8_t room[ENVELOPE_SIZE_MAX + ENVELOPE_DOMAIN_MAX + 3 * UVARINT_SIZE_MAX];
    struct writer message = writer_of((struct span){.data = room, .size = sizeof(room)});
    put_message(&message, domain, read.payload_type, read.payload);
    ENSURE(message.error == 0);
    error = public_key_verify(&read.key, writer_bytes(&message), signature);
    if (error != 0) {
        return error;
    }
    peer_id_from_key(&read.key, &read.signer);
    *ret_envelope = read;
    return 0;
}

/* Room for exactly `size` bytes at the end of `out`. */
static int begin_append(struct buffer *out, size_t size, struct writer *ret_writer) {
    struct span room;
    int error = buffer_reserve(out, size, &room);
    if (error == 0) {
        *ret_writer = writer_of((struct span){.data = room.data, .size = size});
    }
    return error;
}

static void end_append(struct buffer *out, const struct writer *writer) {
    ENSURE(writer->error == 0 && writer->size == writer->room.size);
    buffer_commit(out, writer->size);
}

int envelope_message(struct bytes domain, struct bytes payload_type, struct bytes payload,
                     struct buffer *out) {
    struct writer writer;
    int error = begin_append(
        out, sized_size(domain) + sized_size(payload_type) + sized_size(payload), &writer);
    if (error != 0) {
        return error;
    }
    put_message(&writer, domain, payload_type, payload);
    end_append(out, &writer);
    return 0;
}

int envelope_seal(const struct public_key *key, struct bytes payload_type, struct bytes payload,
                  struct bytes signature, struct buffer *out) {
    uint8_t room[KEY_ENCODED_MAX];
    struct writer encoded = writer_of((struct span){.data = room, .size = sizeof(room)});
    public_key_encode(key, &encoded);
    ENSURE(encoded.error == 0);
    size_t size = protobuf_bytes_size(ENVELOPE_KEY, encoded.size) +
                  protobuf_bytes_size(ENVELOPE_PAYLOAD_TYPE, payload_type.size) +
                  protobuf_bytes_size(ENVELOPE_PAYLOAD, payload.size) +
                  protobuf_bytes_size(ENVELOPE_SIGNATURE, signature.size);
    struct writer writer;
    int error = size <= ENVELOPE_SIZE_MAX ? begin_append(out, size, &writer) : PLASM_TOO_LARGE;
    if (error != 0) {
        return error;
    }
    protobuf_put_bytes(&writer, ENVELOPE_KEY, writer_bytes(&encoded));
    protobuf_put_bytes(&writer, ENVELOPE_PAYLOAD_TYPE, payload_type);
    protobuf_put_bytes(&writer, ENVELOPE_PAYLOAD, payload);
    protobuf_put_bytes(&writer, ENVELOPE_SIGNATURE, signature);
    end_append(out, &writer);
    return 0;
}

int peer_record_encode(const struct peer_record *record, struct buffer *out) {
    ENSURE(record->address_count <= PEER_RECORD_ADDRESSES_MAX);
    size_t size = protobuf_bytes_size(RECORD_PEER_ID, record->peer_id.size) +
                  protobuf_varint_size(RECORD_SEQ, record->seq);
    for (size_t i = 0; i < record->address_count; i++) {
        size_t inner = protobuf_bytes_size(ADDRESS_MULTIADDR, record->addresses[i].size);
        size += protobuf_bytes_size(RECORD_ADDRESSES, inner);
    }
    struct writer writer;
    int error = size <= PEER_RECORD_SIZE_MAX ? begin_append(out, size, &writer) : PLASM_TOO_LARGE;
    if (error != 0) {
        return error;
    }
    protobuf_put_bytes(&writer, RECORD_PEER_ID, peer_id_bytes(&record->peer_id));
    protobuf_put_varint(&writer, RECORD_SEQ, record->seq);
    for (size_t i = 0; i < record->address_count; i++) {
        struct bytes address = record->addresses[i];
        protobuf_put_head(&writer, RECORD_ADDRESSES,
                          protobuf_bytes_size(ADDRESS_MULTIADDR, address.size));
        protobuf_put_bytes(&writer, ADDRESS_MULTIADDR, address);
    }
    end_append(out, &writer);
    return 0;
}

/* AddressInfo: an address without one is skipped. */
static int read_address(struct bytes info, struct bytes *ret_address) {
    struct cursor message = cursor_of(info);
    struct protobuf_field field;
    while (protobuf_next(&message, &field)) {
        if (field.number == ADDRESS_MULTIADDR) {
            *ret_address = protobuf_bytes(&message, &field);
        }
    }
    return message.error == 0 ? 0 : PLASM_MALFORMED;
}

int peer_record_decode(struct bytes payload, struct peer_record *ret_record) {
    if (payload.size > PEER_RECORD_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    struct peer_record record = {0};
    struct cursor message = cursor_of(payload);
    struct protobuf_field field;
    int error = 0;
    while (error == 0 && protobuf_next(&message, &field)) {
        if (field.number == RECORD_PEER_ID) {
            error = peer_id_decode(protobuf_bytes(&message, &field), &record.peer_id);
        } else if (field.number == RECORD_SEQ) {
            record.seq = protobuf_varint(&message, &field);
        } else if (field.number == RECORD_ADDRESSES) {
            struct bytes address = {0};
            error = read_address(protobuf_bytes(&message, &field), &address);
            if (address.size > 0 && record.address_count < PEER_RECORD_ADDRESSES_MAX) {
                record.addresses[record.address_count++] = address;
            }
        }
    }
    if (error != 0 || message.error != 0 || record.peer_id.size == 0) {
        return PLASM_MALFORMED;
    }
    *ret_record = record;
    return 0;
}
