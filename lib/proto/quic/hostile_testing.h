/* A client that sends frames of its own choice inside well-protected packets. */
#ifndef QUIC_HOSTILE_TESTING_H
#define QUIC_HOSTILE_TESTING_H

#include "proto/quic/internal.h"

#define HOSTILE_PAYLOADS_MAX 64

/* What stands in place of the payload of the next 1-RTT packets, one after another; empty: nothing
 * is replaced. */
struct hostile {
    struct bytes payloads[HOSTILE_PAYLOADS_MAX];
    size_t count;
    size_t next;
    bool deaf; /* hears acknowledgements and nothing else, and acknowledges nothing */
};

static _Thread_local struct hostile hostile;
static ngtcp2_callbacks hostile_callbacks;

static int hostile_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                           const ngtcp2_crypto_aead_ctx *context, const uint8_t *plaintext,
                           size_t size, const uint8_t *nonce, size_t nonce_size,
                           const uint8_t *header, size_t header_size) {
    uint8_t room[QUIC_PACKET_SIZE_MAX] = {0}; /* PADDING behind the payload */
    if (hostile.next < hostile.count && (header[0] & 0x80) == 0 && size <= sizeof(room)) {
        struct bytes payload = hostile.payloads[hostile.next++];
        if (payload.size > 0) {
            memcpy(room, payload.data, payload.size < size ? payload.size : size);
            plaintext = room;
            return ngtcp2_crypto_encrypt_cb(dest, aead, context, plaintext, size, nonce, nonce_size,
                                            header, header_size);
        }
    }
    return ngtcp2_crypto_encrypt_cb(dest, aead, context, plaintext, size, nonce, nonce_size, header,
                                    header_size);
}

static inline size_t hostile_varint_size(uint8_t first) {
    return (size_t)1 << (first >> 6);
}

/* The size of the ACK frame at the beginning, 0 where there is none. */
static inline size_t hostile_ack_size(const uint8_t *payload, size_t size) {
    if (size == 0 || (payload[0] != 0x02 && payload[0] != 0x03)) {
        return 0;
    }
    size_t at = 1;
    size_t fields = 4 + (payload[0] == 0x03 ? 3 : 0);
    for (size_t i = 0; i < fields && at < size; i++) {
        if (i == 2) { /* the number of ranges: two more fields each */
            size_t ranges = payload[at] & 0x3f;
            for (size_t k = 1; k < hostile_varint_size(payload[at]) && at + k < size; k++) {
                ranges = ranges << 8 | payload[at + k];
            }
            fields += 2 * ranges;
        }
        at += hostile_varint_size(payload[at]);
    }
    return at < size ? at : size;
}

static int hostile_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                           const ngtcp2_crypto_aead_ctx *context, const uint8_t *ciphertext,
                           size_t size, const uint8_t *nonce, size_t nonce_size,
                           const uint8_t *header, size_t header_size) {
    int result = ngtcp2_crypto_decrypt_cb(dest, aead, context, ciphertext, size, nonce, nonce_size,
                                          header, header_size);
    if (result == 0 && hostile.deaf && (header[0] & 0x80) == 0) {
        size_t payload = size - aead->max_overhead;
        size_t ack = hostile_ack_size(dest, payload);
        memset(dest + ack, 0, payload - ack);
    }
    return result;
}

/* Makes the endpoint's dialled connections hostile. */
static inline void hostile_make(struct quic_endpoint *endpoint) {
    hostile_callbacks = callbacks_client;
    hostile_callbacks.encrypt = hostile_encrypt;
    hostile_callbacks.decrypt = hostile_decrypt;
    endpoint->client_callbacks = &hostile_callbacks;
    hostile = (struct hostile){.count = 0};
}

/* Sends `size` bytes on a stream, so that there is a packet of about that size to replace. */
static inline bool hostile_fill(struct quic_stream *stream, size_t size) {
    struct block *block = block_new(stream->conn->endpoint->memory, size);
    if (block == NULL) {
        return false;
    }
    memset(block->data, 0, size);
    size_t accepted = 0;
    int error = quic_stream_write(stream, block, 0, size, false, &accepted);
    block_unref(block);
    return error == 0 && accepted == size;
}

#endif
