/* The payload's protobuf, both ways, and the choice of a muxer. */
#include "proto/noise/payload.h"

#include "wire/protobuf.h"

enum { FIELD_KEY = 1, FIELD_SIGNATURE = 2, FIELD_EXTENSIONS = 4 };
enum { EXTENSION_MUXERS = 2 };

static int decode_extensions(struct bytes message, struct noise_payload *payload) {
    struct cursor in = cursor_of(message);
    struct protobuf_field field;
    while (protobuf_next(&in, &field)) {
        if (field.number == EXTENSION_MUXERS) {
            struct bytes muxer = protobuf_bytes(&in, &field);
            if (payload->muxer_count < NOISE_MUXERS_MAX) {
                payload->muxers[payload->muxer_count++] = muxer;
            }
        }
    }
    return in.error != 0 ? PLASM_MALFORMED : 0;
}

int noise_payload_decode(struct bytes message, struct noise_payload *ret_payload) {
    struct noise_payload payload = {.muxer_count = 0};
    struct cursor in = cursor_of(message);
    struct protobuf_field field;
    while (protobuf_next(&in, &field)) {
        if (field.number == FIELD_KEY) {
            payload.key = protobuf_bytes(&in, &field);
        } else if (field.number == FIELD_SIGNATURE) {
            payload.signature = protobuf_bytes(&in, &field);
        } else if (field.number == FIELD_EXTENSIONS &&
                   decode_extensions(protobuf_bytes(&in, &field), &payload) != 0) {
            cursor_fail(&in, PLASM_MALFORMED);
        }
    }
    if (in.error != 0 || payload.key.size == 0) {
        return PLASM_MALFORMED;
    }
    *ret_payload = payload;
    return 0;
}

void noise_payload_put(struct writer *writer, const struct noise_identity *identity,
                       const char *const *muxers, size_t muxer_count) {
    writer_bytes_put(writer, bytes_of(identity->payload, identity->payload_size));
    if (muxer_count == 0) {
        return;
    }
    size_t mark = protobuf_begin(writer, FIELD_EXTENSIONS);
    for (size_t i = 0; i < muxer_count; i++) {
        protobuf_put_string(writer, EXTENSION_MUXERS, muxers[i]);
    }
    protobuf_end(writer, mark);
}

const char *noise_payload_muxer(const struct noise_payload *theirs, bool initiator,
                                const char *const *muxers, size_t muxer_count) {
    size_t first = initiator ? muxer_count : theirs->muxer_count;
    size_t second = initiator ? theirs->muxer_count : muxer_count;
    for (size_t i = 0; i < first; i++) {
        for (size_t j = 0; j < second; j++) {
            const char *ours = muxers[initiator ? i : j];
            if (bytes_equal_string(theirs->muxers[initiator ? j : i], ours)) {
                return ours;
            }
        }
    }
    return NULL;
}
