/* Sockets and packets of the hostile peer. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attack.h"
#include "host/host.h"
#include "host/identity_file.h"
#include "host/sockaddr.h"
#include "host/udp.h"

#define MEMORY_MAX ((size_t)2 << 30)

static frame_maker *frames;
static uint64_t frames_made;
static ngtcp2_callbacks callbacks;
static struct udp_socket udp;

static int seal(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                const ngtcp2_crypto_aead_ctx *context, const uint8_t *plaintext, size_t size,
                const uint8_t *nonce, size_t nonce_size, const uint8_t *header,
                size_t header_size) {
    uint8_t room[QUIC_PACKET_SIZE_MAX] = {0}; /* PADDING behind the frames */
    if (frames != NULL && (header[0] & 0x80) == 0 && size <= sizeof(room) &&
        frames(room, size) > 0) {
        frames_made++;
        plaintext = room;
    }
    return ngtcp2_crypto_encrypt_cb(dest, aead, context, plaintext, size, nonce, nonce_size, header,
                                    header_size);
}

void wire_replace_frames(frame_maker *maker) {
    frames = maker;
}

int wire_certificate(struct certificate *ret_certificate) {
    struct ed25519_secret secret;
    struct public_key key;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    struct certificate_request *request;
    int error = certificate_prepare(&request);
    if (error != 0) {
        return error;
    }
    identity_fresh(&secret);
    public_key_from_ed25519(secret.public_key, &key);
    ed25519_sign(&secret, certificate_message(request), signature);
    error = certificate_finish(request, &key, BYTES_ARRAY(signature), host_unix_ms() / 1000,
                               ret_certificate);
    certificate_request_free(request);
    ed25519_done(&secret);
    return error;
}

int wire_open(struct attacker *attacker) {
    const struct netaddr any = {.family = attacker->target.family};
    int error = udp_open(&any, &udp);
    if (error != 0) {
        return error;
    }
    attacker->fd = udp.fd;
    memory_init(&attacker->memory, MEMORY_MAX);
    uint8_t seed[32];
    host_random((struct span){seed, sizeof(seed)});
    random_init(&attacker->random, seed);
    attacker->now = host_now();
    struct certificate certificate;
    error = wire_certificate(&certificate);
    if (error != 0) {
        return error;
    }
    struct quic_config config;
    quic_config_init(&config);
    config.certificate = &certificate;
    config.memory = &attacker->memory;
    config.local = udp.local;
    host_random((struct span){config.seed, sizeof(config.seed)});
    error = quic_endpoint_new(&config, &attacker->endpoint);
    certificate_done(&certificate);
    if (error == 0) {
        callbacks = callbacks_client;
        callbacks.encrypt = seal;
        attacker->endpoint->client_callbacks = &callbacks;
    }
    return error;
}

void wire_close(struct attacker *attacker) {
    attacker->frames = frames_made;
    quic_endpoint_free(attacker->endpoint);
    udp_close(&udp);
}

void wire_send(struct attacker *attacker, struct bytes datagram) {
    const struct udp_datagram out = {.local = {.family = attacker->target.family},
                                     .remote = attacker->target,
                                     .bytes = datagram};
    attacker->datagrams++;
    (void)!udp_send(&udp, &out);
}

static void forget(struct attacker *attacker, const struct quic_conn *conn) {
    for (size_t i = 0; i < attacker->conn_count; i++) {
        if (attacker->conns[i] == conn) {
            attacker->conns[i] = attacker->conns[--attacker->conn_count];
            return;
        }
    }
}

static void take_events(struct attacker *attacker) {
    struct quic_event event;
    while (quic_next_event(attacker->endpoint, &event)) {
        switch (event.type) {
        case QUIC_CONNECTED:
            attacker->connected++;
            if (attacker->conn_count < CONNS_MAX) {
                attacker->conns[attacker->conn_count++] = event.conn;
            }
            break;
        case QUIC_CLOSED:
            attacker->closed++;
            attacker->live--;
            forget(attacker, event.conn);
            (void)snprintf(attacker->last_reason, sizeof(attacker->last_reason), "%.150s",
                           event.text);
            break;
        case QUIC_STREAM_RESET:
            attacker->refused_streams++;
            break;
        case QUIC_STREAM_DATA:
            quic_stream_consume(event.stream, event.data.size);
            break;
        default:
            break;
        }
    }
}

static void receive(struct attacker *attacker) {
    struct udp_datagram datagrams[UDP_BATCH_MAX];
    size_t count;
    while ((count = udp_receive(&udp, datagrams)) > 0) {
        for (size_t i = 0; i < count && !attacker->attack->deaf; i++) {
            const struct quic_datagram datagram = {.local = datagrams[i].local,
                                                   .remote = datagrams[i].remote,
                                                   .ecn = datagrams[i].ecn,
                                                   .bytes = datagrams[i].bytes,
                                                   .segment_size = datagrams[i].segment_size};
            quic_receive(attacker->endpoint, &datagram, host_now(), host_unix_ms() / 1000);
            take_events(attacker);
        }
    }
}

static void transmit(struct attacker *attacker) {
    static uint8_t room[QUIC_PACKET_SIZE_MAX];
    struct quic_packet packet;
    while (
        quic_transmit(attacker->endpoint, (struct span){room, sizeof(room)}, host_now(), &packet)) {
        const struct udp_datagram out = {.local = packet.local,
                                         .remote = packet.remote,
                                         .ecn = packet.ecn,
                                         .bytes = bytes_of(room, packet.size)};
        attacker->datagrams++;
        if (udp_send(&udp, &out) == PLASM_LIMIT) {
            break; /* a full socket loses it */
        }
    }
}

void wire_turn(struct attacker *attacker) {
    struct pollfd wait = {.fd = attacker->fd, .events = POLLIN};
    (void)poll(&wait, 1, 1);
    attacker->now = host_now();
    receive(attacker);
    if (quic_deadline(attacker->endpoint) <= attacker->now) {
        quic_expire(attacker->endpoint, attacker->now);
    }
    take_events(attacker);
    transmit(attacker);
    take_events(attacker);
}

bool wire_dial(struct attacker *attacker) {
    struct quic_conn *conn;
    if (attacker->live >= CONNS_MAX || quic_dial(attacker->endpoint, &attacker->target, NULL, NULL,
                                                 0, attacker->now, &conn) != 0) {
        return false;
    }
    attacker->dialled++;
    attacker->live++;
    return true;
}

struct quic_stream *wire_stream(struct attacker *attacker, struct quic_conn *conn,
                                struct bytes bytes, bool fin) {
    struct quic_stream *stream;
    struct block *block = block_copy(&attacker->memory, bytes);
    size_t accepted;
    if (block == NULL || quic_stream_open(conn, &stream) != 0) {
        block_unref(block);
        return NULL;
    }
    attacker->streams++;
    (void)!quic_stream_write(stream, block, 0, bytes.size, fin, &accepted);
    block_unref(block);
    return stream;
}
