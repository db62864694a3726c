/* The machine: messages out of the bytes that came, the handshake, then data both ways. */
#include "proto/noise/noise.h"

#include "proto/noise/internal.h"
#include "proto/noise/payload.h"
#include "util/ensure.h"

static void fail(struct noise *noise, int error, const char *text) {
    noise->state = STATE_FAILED;
    noise->error = error;
    noise->text = text;
    noise->input.size = 0;
}

static void drop_setup(struct noise *noise) {
    if (noise->setup != NULL) {
        crypto_wipe(noise->setup, sizeof(*noise->setup));
        memory_put(noise->memory, noise->setup, sizeof(*noise->setup));
        noise->setup = NULL;
    }
}

/* Borrows of the last event end here. */
static void settle(struct noise *noise) {
    noise->partial_given = false;
    bool sent = noise->setup != NULL && noise->setup->out_sent == noise->setup->out_size;
    if (sent && (noise->state == STATE_OPEN || noise->state == STATE_OVER)) {
        drop_setup(noise);
    }
}

static void drop_partial(struct noise *noise) {
    if (noise->partial != NULL) {
        crypto_wipe(noise->partial, noise->partial_capacity);
        memory_put(noise->memory, noise->partial, noise->partial_capacity);
        noise->partial = NULL;
        noise->partial_capacity = 0;
    }
}

static int write_message(struct noise *noise) {
    struct setup *setup = noise->setup;
    uint8_t room[NOISE_PAYLOAD_SIZE_MAX + NOISE_MUXERS_OURS_MAX * (NOISE_MUXER_NAME_MAX + 4) + 8];
    struct writer payload = writer_of((struct span){.data = room, .size = sizeof(room)});
    if (setup->next > 0) {
        noise_payload_put(&payload, setup->identity, setup->muxers, setup->muxer_count);
    }
    ENSURE(payload.error == 0 && setup->out_sent == setup->out_size);
    struct writer out =
        writer_of((struct span){.data = setup->out + LENGTH_SIZE, .size = OUT_SIZE_MAX - 2});
    int error = handshake_write(&setup->handshake, setup->next, writer_bytes(&payload), &out);
    if (error == 0) {
        setup->out[0] = (uint8_t)(out.size >> 8);
        setup->out[1] = (uint8_t)(out.size & 0xff);
        setup->out_size = LENGTH_SIZE + out.size;
        setup->out_sent = 0;
        setup->next++;
    }
    return error;
}

static bool config_is_valid(const struct noise_config *config) {
    if (config->muxer_count > NOISE_MUXERS_OURS_MAX || config->identity->payload_size == 0) {
        return false;
    }
    for (size_t i = 0; i < config->muxer_count; i++) {
        if (strlen(config->muxers[i]) > NOISE_MUXER_NAME_MAX) {
            return false;
        }
    }
    return true;
}

int noise_new(const struct noise_config *config, struct noise **ret_noise) {
    if (!config_is_valid(config)) {
        return PLASM_INVALID;
    }
    struct noise *noise = memory_zero(config->memory, sizeof(*noise));
    if (noise == NULL) {
        return PLASM_NO_MEMORY;
    }
    noise->memory = config->memory;
    noise->initiator = config->initiator;
    noise->setup = memory_zero(config->memory, sizeof(*noise->setup));
    if (noise->setup == NULL) {
        noise_free(noise);
        return PLASM_NO_MEMORY;
    }
    struct setup *setup = noise->setup;
    setup->identity = config->identity;
    setup->muxers = config->muxers;
    setup->muxer_count = config->muxer_count;
    if (config->expected != NULL) {
        setup->expected = *config->expected;
    }
    uint8_t e[X25519_SIZE];
    random_fill(config->random, (struct span){.data = e, .size = sizeof(e)});
    handshake_init(&setup->handshake, config->identity->secret, config->identity->public_key, e);
    crypto_wipe(e, sizeof(e));
    if (config->initiator) {
        int error = write_message(noise);
        ENSURE(error == 0); /* nothing of a peer's is in it */
    }
    *ret_noise = noise;
    return 0;
}

void noise_free(struct noise *noise) {
    if (noise != NULL) {
        struct memory *memory = noise->memory;
        drop_setup(noise);
        drop_partial(noise);
        crypto_wipe(noise, sizeof(*noise));
        memory_put(memory, noise, sizeof(*noise));
    }
}

int noise_receive(struct noise *noise, struct span input) {
    if (noise->state == STATE_FAILED || noise->state == STATE_OVER) {
        return 0;
    }
    if (noise->input.size > 0 || noise->state == STATE_AGREED) {
        return PLASM_STATE;
    }
    settle(noise);
    noise->input = input;
    return 0;
}

/* Checks whose static key it is. */
static int check_payload(struct noise *noise, const struct noise_payload *payload,
                         const char **ret_text) {
    struct setup *setup = noise->setup;
    int error = public_key_decode(payload->key, &setup->key);
    if (error != 0) {
        *ret_text = "the peer's identity key cannot be read";
        return error == PLASM_UNSUPPORTED ? error : PLASM_MALFORMED;
    }
    uint8_t message[NOISE_BINDING_SIZE];
    noise_binding(setup->handshake.rs, message);
    error = public_key_verify(&setup->key, BYTES_ARRAY(message), payload->signature);
    if (error != 0) {
        *ret_text = "the peer's signature over its static key is wrong";
        return error;
    }
    peer_id_from_key(&setup->key, &setup->peer_id);
    if (setup->expected.size > 0 && !peer_id_equal(&setup->expected, &setup->peer_id)) {
        *ret_text = "the peer is not the expected one";
        return PLASM_UNTRUSTED;
    }
    return 0;
}

static void take_handshake(struct noise *noise, struct span message) {
    struct setup *setup = noise->setup;
    struct bytes bytes;
    int error = handshake_read(&setup->handshake, setup->next, message, &bytes);
    if (error != 0) {
        fail(noise, error, "a handshake message does not open");
        return;
    }
    if (setup->next > 0) {
        struct noise_payload payload;
        const char *text = "the peer's handshake payload is malformed";
        error = noise_payload_decode(bytes, &payload);
        if (error == 0) {
            error = check_payload(noise, &payload, &text);
        }
        if (error != 0) {
            fail(noise, error, text);
            return;
        }
        setup->muxer =
            noise_payload_muxer(&payload, noise->initiator, setup->muxers, setup->muxer_count);
    }
    setup->next++;
    if (setup->next < HANDSHAKE_MESSAGES && write_message(noise) != 0) {
        fail(noise, PLASM_UNTRUSTED, "the peer's ephemeral key is of small order");
        return;
    }
    if (setup->next == HANDSHAKE_MESSAGES) {
        handshake_split(&setup->handshake, noise->initiator ? &noise->sending : &noise->receiving,
                        noise->initiator ? &noise->receiving : &noise->sending);
        noise->state = STATE_AGREED;
    }
}

/* What a peer may send as one message now. */
static bool size_is_right(const struct noise *noise, size_t size) {
    return noise->state == STATE_HANDSHAKE ? size <= NOISE_HANDSHAKE_SIZE_MAX
                                           : size >= AEAD_TAG_SIZE;
}

static void take(struct noise *noise, size_t size) {
    noise->input.data += size;
    noise->input.size -= size;
}

/* Room for all of a message of which a part is here; what came of it stays. */
static bool grow_partial(struct noise *noise, size_t size) {
    if (size <= noise->partial_capacity) {
        return true;
    }
    uint8_t *grown = memory_resize(noise->memory, noise->partial, noise->partial_capacity, size);
    if (grown == NULL) {
        return false;
    }
    noise->partial = grown;
    noise->partial_capacity = size;
    return true;
}

/* The next whole message, where it lies; false when more bytes are needed. */
static bool next_message(struct noise *noise, struct span *ret_message) {
    while (noise->length_size < LENGTH_SIZE && noise->input.size > 0) {
        noise->length[noise->length_size++] = noise->input.data[0];
        take(noise, 1);
    }
    if (noise->length_size < LENGTH_SIZE) {
        return false;
    }
    size_t size = (size_t)noise->length[0] << 8 | noise->length[1];
    if (!size_is_right(noise, size)) {
        fail(noise, PLASM_MALFORMED, "a message has an impossible size");
        return false;
    }
    if (noise->partial_size == 0 && noise->input.size >= size) {
        *ret_message = (struct span){.data = noise->input.data, .size = size};
        take(noise, size);
        noise->length_size = 0;
        return true;
    }
    size_t more = size - noise->partial_size;
    more = more < noise->input.size ? more : noise->input.size;
    if (more == 0) {
        return false;
    }
    if (!grow_partial(noise, size)) {
        fail(noise, PLASM_NO_MEMORY, "out of memory");
        return false;
    }
    memcpy(noise->partial + noise->partial_size, noise->input.data, more);
    noise->partial_size += more;
    take(noise, more);
    if (noise->partial_size < size) {
        return false;
    }
    *ret_message = (struct span){.data = noise->partial, .size = size};
    noise->partial_size = 0;
    noise->length_size = 0;
    noise->partial_given = true;
    return true;
}

static bool open_message(struct noise *noise, struct span message, struct bytes *ret_data) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    if (noise->receiving.nonce == UINT64_MAX) {
        fail(noise, PLASM_LIMIT, "the peer's nonces are used up");
        return false;
    }
    noise_nonce(noise->receiving.nonce++, nonce);
    if (chacha20poly1305_open(noise->receiving.key, nonce, bytes_of(NULL, 0), message) != 0) {
        fail(noise, PLASM_UNTRUSTED, "a message was tampered with");
        return false;
    }
    *ret_data = bytes_of(message.data, message.size - AEAD_TAG_SIZE);
    return true;
}

static void give_ready(struct noise *noise, struct noise_event *ret_event) {
    const struct setup *setup = noise->setup;
    *ret_event = (struct noise_event){
        .type = NOISE_READY, .peer_id = setup->peer_id, .key = &setup->key, .muxer = setup->muxer};
    noise->state = STATE_OPEN;
}

static bool give_failure(struct noise *noise, struct noise_event *ret_event) {
    if (noise->state != STATE_FAILED) {
        return false;
    }
    *ret_event =
        (struct noise_event){.type = NOISE_FAILED, .error = noise->error, .text = noise->text};
    noise->state = STATE_OVER;
    return true;
}

bool noise_next_event(struct noise *noise, struct noise_event *ret_event) {
    settle(noise);
    struct span message;
    while (noise->state == STATE_HANDSHAKE && next_message(noise, &message)) {
        take_handshake(noise, message);
        noise->partial_given = false;
    }
    if (noise->state == STATE_AGREED) {
        give_ready(noise, ret_event);
        return true;
    }
    while (noise->state == STATE_OPEN && next_message(noise, &message)) {
        struct bytes data;
        if (open_message(noise, message, &data) && data.size > 0) {
            *ret_event = (struct noise_event){.type = NOISE_DATA, .data = data};
            return true;
        }
    }
    if (noise->partial_size == 0 && !noise->partial_given &&
        noise->partial_capacity > PARTIAL_KEPT_MAX) {
        drop_partial(noise); /* the pipe has gone quiet */
    }
    return give_failure(noise, ret_event);
}

size_t noise_transmit(struct noise *noise, struct span room) {
    struct setup *setup = noise->setup;
    if (setup == NULL || setup->out_sent == setup->out_size) {
        return 0;
    }
    size_t left = setup->out_size - setup->out_sent;
    size_t size = left < room.size ? left : room.size;
    if (size > 0) {
        memcpy(room.data, setup->out + setup->out_sent, size);
        setup->out_sent += size;
    }
    return size;
}

static bool can_seal(struct noise *noise) {
    return noise->state == STATE_OPEN &&
           (noise->setup == NULL || noise->setup->out_sent == noise->setup->out_size);
}

size_t noise_seal(struct noise *noise, const struct bytes *pieces, size_t count, struct span room,
                  size_t *ret_taken) {
    settle(noise);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].size;
    }
    size_t taken = 0;
    size_t written = 0;
    size_t skip = 0; /* of the piece that `pieces` begins with */
    while (can_seal(noise) && taken < total && room.size - written > NOISE_OVERHEAD) {
        if (noise->sending.nonce == UINT64_MAX) {
            fail(noise, PLASM_LIMIT, "the nonces are used up");
            break;
        }
        size_t size = room.size - written - NOISE_OVERHEAD;
        size = size < NOISE_DATA_SIZE_MAX ? size : NOISE_DATA_SIZE_MAX;
        size = size < total - taken ? size : total - taken;
        uint8_t *out = room.data + written;
        out[0] = (uint8_t)((size + AEAD_TAG_SIZE) >> 8);
        out[1] = (uint8_t)((size + AEAD_TAG_SIZE) & 0xff);
        uint8_t nonce[AEAD_NONCE_SIZE];
        noise_nonce(noise->sending.nonce++, nonce);
        chacha20poly1305_seal(noise->sending.key, nonce, bytes_of(NULL, 0), pieces, skip, size,
                              out + LENGTH_SIZE);
        taken += size;
        written += size + NOISE_OVERHEAD;
        for (skip += size; count > 0 && skip >= pieces->size; count--) {
            skip -= pieces->size;
            pieces++;
        }
    }
    *ret_taken = taken;
    return written;
}
