/* A secure channel that secures nothing, for tests: each side says who it is and which muxers it
 * has, then bytes follow in frames as those of Noise do. Breaks on purpose when told to. */
#ifndef PEER_PIPE_PLAIN_TESTING_H
#define PEER_PIPE_PLAIN_TESTING_H

#include "peer/pipe_security.h"
#include "util/buffer.h"
#include "util/testing.h"

#define PLAIN_FRAME_MAX 16000

struct plain_identity {
    struct public_key key;
    bool early; /* names muxers in the handshake */
};

/* As a pipe_security that knows whose it is. */
struct plain_security {
    struct pipe_security security;
    struct plain_identity identity;
};

struct plain {
    const struct plain_identity *identity;
    struct pipe_security_config config;
    struct buffer out;
    struct buffer kept; /* a frame that came in pieces */
    struct span input;
    struct public_key key;
    bool given; /* `kept` is the frame of the last event */
    bool knocked;
    bool ready;
    bool ended;
    bool failed;
    int error;
};

/* One's hello: 2 bytes of length, a flag for the muxer, the encoded key. */
static inline int plain_say_hello(struct plain *plain) {
    uint8_t hello[3 + KEY_ENCODED_MAX];
    struct writer writer = writer_of(test_span(hello + 3, KEY_ENCODED_MAX));
    public_key_encode(&plain->identity->key, &writer);
    size_t size = writer.size + 1;
    hello[0] = (uint8_t)(size >> 8);
    hello[1] = (uint8_t)size;
    hello[2] = plain->identity->early;
    return buffer_append(&plain->out, bytes_of(hello, size + 2));
}

/* Three messages, as Noise XX has: a knock, the listener's hello, the dialler's. */
static inline int plain_start(const struct pipe_security *security,
                              const struct pipe_security_config *config, void **ret_channel) {
    struct plain *plain = memory_zero(config->memory, sizeof(*plain));
    if (plain == NULL) {
        return PLASM_NO_MEMORY;
    }
    plain->identity = &CONTAINER_OF(security, const struct plain_security, security)->identity;
    plain->config = *config;
    buffer_init(&plain->out, config->memory, SIZE_MAX);
    buffer_init(&plain->kept, config->memory, SIZE_MAX);
    static const uint8_t knock[3] = {0, 1, 'k'};
    plain->knocked = config->initiator;
    if (config->initiator && buffer_append(&plain->out, BYTES_ARRAY(knock)) != 0) {
        memory_put(config->memory, plain, sizeof(*plain));
        return PLASM_NO_MEMORY;
    }
    *ret_channel = plain;
    return 0;
}

static inline void plain_free(void *channel) {
    struct plain *plain = channel;
    buffer_done(&plain->out);
    buffer_done(&plain->kept);
    memory_put(plain->config.memory, plain, sizeof(*plain));
}

static inline int plain_receive(void *channel, struct span input) {
    struct plain *plain = channel;
    ENSURE(plain->input.size == 0);
    plain->input = input;
    return 0;
}

static inline bool plain_fail(struct plain *plain, int error, const char *text,
                              struct pipe_security_event *ret_event) {
    plain->failed = true;
    *ret_event = (struct pipe_security_event){SECURITY_FAILED, .error = error, .text = text};
    return true;
}

static inline bool plain_hello(struct plain *plain, struct bytes frame,
                               struct pipe_security_event *ret_event) {
    *ret_event = (struct pipe_security_event){.type = SECURITY_READY};
    if (frame.size < 2 || public_key_decode(bytes_slice(frame, 1, frame.size), &plain->key) != 0) {
        return plain_fail(plain, PLASM_MALFORMED, "no hello", ret_event);
    }
    peer_id_from_key(&plain->key, &ret_event->peer_id);
    ret_event->key = &plain->key;
    if (plain->config.expected != NULL &&
        !peer_id_equal(plain->config.expected, &ret_event->peer_id)) {
        return plain_fail(plain, PLASM_UNTRUSTED, "another peer", ret_event);
    }
    bool early = plain->identity->early && frame.data[0] == 1;
    ret_event->muxer = early ? plain->config.muxers[0] : NULL;
    plain->ready = true;
    return true;
}

/* Size of the frame that begins with these bytes, as far as they tell. */
static inline size_t plain_frame_size(struct bytes bytes) {
    return bytes.size < 2 ? 2 : 2U + ((size_t)bytes.data[0] << 8 | bytes.data[1]);
}

/* The next whole frame; false when it is not there. */
static inline bool plain_frame(struct plain *plain, struct bytes *ret_frame) {
    if (plain->given) {
        buffer_clear(&plain->kept);
        plain->given = false;
    }
    while (!plain->given && plain->input.size > 0) {
        size_t size = plain_frame_size(buffer_bytes(&plain->kept)) - plain->kept.size;
        size = size < plain->input.size ? size : plain->input.size;
        if (buffer_append(&plain->kept, bytes_of(plain->input.data, size)) != 0) {
            plain->error = PLASM_NO_MEMORY;
            return false;
        }
        plain->input.data += size;
        plain->input.size -= size;
        *ret_frame = bytes_slice(buffer_bytes(&plain->kept), 2, plain->kept.size);
        plain->given = plain->kept.size >= 2 &&
                       plain->kept.size == plain_frame_size(buffer_bytes(&plain->kept));
    }
    return plain->given;
}

static inline bool plain_next_event(void *channel, struct pipe_security_event *ret_event) {
    struct plain *plain = channel;
    if (plain->failed || plain->ended) {
        plain->input.size = 0;
        return false;
    }
    struct bytes frame;
    while (plain_frame(plain, &frame)) {
        if (!plain->knocked) {
            plain->knocked = true;
            plain->error = plain_say_hello(plain);
            continue;
        }
        if (!plain->ready) {
            plain->error = plain->config.initiator ? plain_say_hello(plain) : 0;
            return plain_hello(plain, frame, ret_event);
        }
        plain->ended = frame.size == 0;
        *ret_event = (struct pipe_security_event){
            .type = plain->ended ? SECURITY_END : SECURITY_DATA, .data = frame};
        return true;
    }
    return plain->error != 0 && plain_fail(plain, plain->error, "out of memory", ret_event);
}

static inline size_t plain_transmit(void *channel, struct span room) {
    struct plain *plain = channel;
    size_t size = plain->out.size < room.size ? plain->out.size : room.size;
    if (size > 0) {
        memcpy(room.data, buffer_bytes(&plain->out).data, size);
        buffer_consume(&plain->out, size);
    }
    return size;
}

static inline size_t plain_seal(void *channel, const struct bytes *pieces, size_t count,
                                struct span room, size_t *ret_taken) {
    (void)channel;
    size_t written = 0;
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        struct bytes rest = pieces[i];
        while (rest.size > 0 && room.size - written > 2) {
            size_t size = room.size - written - 2;
            size = size < PLAIN_FRAME_MAX ? size : PLAIN_FRAME_MAX;
            size = size < rest.size ? size : rest.size;
            room.data[written] = (uint8_t)(size >> 8);
            room.data[written + 1] = (uint8_t)size;
            memcpy(room.data + written + 2, rest.data, size);
            written += 2 + size;
            taken += size;
            rest = bytes_slice(rest, size, rest.size);
        }
    }
    *ret_taken = taken;
    return written;
}

static inline void plain_close(void *channel) {
    struct plain *plain = channel;
    static const uint8_t goodbye[2];
    if (buffer_append(&plain->out, BYTES_ARRAY(goodbye)) != 0) {
        plain->failed = true; /* it goes without a word */
    }
}

static inline void plain_security_init(struct plain_security *plain, const char *protocol,
                                       const struct public_key *key, bool early, bool everywhere) {
    *plain = (struct plain_security){.security = {.protocol = protocol,
                                                  .everywhere = everywhere,
                                                  .start = plain_start,
                                                  .free = plain_free,
                                                  .receive = plain_receive,
                                                  .next_event = plain_next_event,
                                                  .transmit = plain_transmit,
                                                  .seal = plain_seal,
                                                  .close = plain_close},
                                     .identity = {.key = *key, .early = early}};
}

#endif
