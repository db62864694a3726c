/* Sockets, handshakes and sealing of the hostile peer's TCP connections. */
#include "tube.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/sign.h"
#include "host/host.h"
#include "host/identity_file.h"
#include "host/sockaddr.h"
#include "peer/pipe_noise.h"
#include "peer/pipe_tls.h"
#include "proto/yamux/yamux.h"
#include "util/bucket.h"

#define SELECT_NOISE "\x13/multistream/1.0.0\n\x07/noise\n"
#define SELECT_TLS   "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n"
/* In a payload of a handshake: a field with a key of 36 bytes, then one with a signature. */
#define SIGNATURE_AT 45
/* Connections of a crowd that are begun at a time and may wait for their answer. */
#define CROWD_UNDER_WAY 48

static struct tube *tubes[TUBES_MAX];
static size_t tube_count;
static struct noise_identity identity;
static struct tls_identity *tls_identity;
static struct pipe_noise noise;
static struct pipe_tls tls;
static struct bucket dials;
static bool begun;

/* --- who we are ------------------------------------------------------------------------------- */

static int make_identity(struct attacker *attacker, struct noise_identity *made) {
    struct ed25519_secret secret;
    struct public_key key;
    uint8_t own[X25519_SIZE];
    uint8_t message[NOISE_BINDING_SIZE];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    identity_fresh(&secret);
    public_key_from_ed25519(secret.public_key, &key);
    random_fill(&attacker->random, (struct span){own, sizeof(own)});
    noise_identity_prepare(made, own);
    noise_binding(made->public_key, message);
    ed25519_sign(&secret, bytes_of(message, sizeof(message)), signature);
    int error = noise_identity_finish(made, &key, BYTES_ARRAY(signature));
    if (attacker->attack->tube->keyless) {
        made->payload[SIGNATURE_AT] ^= 1;
    }
    ed25519_done(&secret);
    return error;
}

static int begin(struct attacker *attacker) {
    struct certificate certificate;
    int error = make_identity(attacker, &identity);
    if (error == 0) {
        error = wire_certificate(&certificate);
    }
    if (error == 0) {
        error = tls_identity_new(&certificate, &attacker->memory, &tls_identity);
        certificate_done(&certificate);
    }
    pipe_noise_init(&noise, &identity);
    pipe_tls_init(&tls, tls_identity);
    bucket_fill(&dials, TUBE_DIALS_BURST, attacker->now);
    return error;
}

static const struct pipe_security *security_of(const struct attacker *attacker) {
    return attacker->attack->tube->tls ? &tls.security : &noise.security;
}

/* A secure channel of its own; of a crowd each has another identity. */
static int channel_new(struct attacker *attacker, struct tube *tube) {
    static const char *const muxers[] = {YAMUX_PROTOCOL};
    struct pipe_noise own;
    const struct pipe_security *security = security_of(attacker);
    if (attacker->attack->tube->crowd) {
        tube->own = malloc(sizeof(*tube->own));
        if (tube->own == NULL || make_identity(attacker, tube->own) != 0) {
            return PLASM_NO_MEMORY;
        }
        pipe_noise_init(&own, tube->own);
        security = &own.security;
    }
    const struct pipe_security_config config = {.initiator = true,
                                                .muxers = muxers,
                                                .muxer_count = 1,
                                                .unix_seconds = host_unix_ms() / 1000,
                                                .memory = &attacker->memory,
                                                .random = &attacker->random};
    return security->start(security, &config, &tube->channel);
}

/* --- sockets ---------------------------------------------------------------------------------- */

/* From one of the addresses that were given, the next one each time. */
static bool bind_source(const struct attacker *attacker, int fd, size_t number) {
    struct netaddr source = attacker->sources;
    struct sockaddr_storage name;
    if (attacker->source_count == 0) {
        return true;
    }
    uint32_t offset = (uint32_t)(number % attacker->source_count) * attacker->source_step;
    for (int i = 3; i >= 0; i--) {
        uint32_t sum = source.ip[i] + (offset & 0xff);
        source.ip[i] = (uint8_t)sum;
        offset = (offset >> 8) + (sum >> 8);
    }
    socklen_t size = sockaddr_from_netaddr(&source, &name);
    return bind(fd, (struct sockaddr *)&name, size) == 0;
}

static int connect_socket(struct attacker *attacker) {
    struct sockaddr_storage name;
    socklen_t size = sockaddr_from_netaddr(&attacker->target, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    const int small = 4096;
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (attacker->attack->tube->unread) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    if (!bind_source(attacker, fd, attacker->dialled) ||
        (connect(fd, (struct sockaddr *)&name, size) != 0 && errno != EINPROGRESS)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static size_t cut_of(const struct tube_kind *kind, size_t number) {
    size_t count = 0;
    while (count < ARRAY_SIZE(kind->cuts) && kind->cuts[count] > 0) {
        count++;
    }
    return count > 0 ? kind->cuts[number % count] : TUBE_CUT_NEVER;
}

static void dial(struct attacker *attacker) {
    const struct tube_kind *kind = attacker->attack->tube;
    int fd = connect_socket(attacker);
    struct tube *tube = fd >= 0 ? calloc(1, sizeof(*tube)) : NULL;
    if (tube == NULL || (kind->raw == NULL && channel_new(attacker, tube) != 0)) {
        free(tube);
        (void)close(fd);
        return;
    }
    tube->fd = fd;
    tube->number = attacker->dialled++;
    tube->cut = cut_of(kind, tube->number);
    tube->stream = 1;
    struct bytes select = kind->tls ? BYTES_LITERAL(SELECT_TLS) : BYTES_LITERAL(SELECT_NOISE);
    tube->to_skip = select.size;
    tube_raw(tube, select);
    tubes[tube_count++] = tube;
}

static void tube_free(const struct attacker *attacker, size_t index) {
    struct tube *tube = tubes[index];
    tubes[index] = tubes[--tube_count];
    if (tube->channel != NULL) {
        security_of(attacker)->free(tube->channel);
    }
    free(tube->own);
    (void)close(tube->fd);
    free(tube);
}

/* --- bytes ------------------------------------------------------------------------------------ */

void tube_raw(struct tube *tube, struct bytes bytes) {
    if (tube->out_start > 0) {
        memmove(tube->out, tube->out + tube->out_start, tube->out_size);
        tube->out_start = 0;
    }
    if (bytes.size <= sizeof(tube->out) - tube->out_size) {
        memcpy(tube->out + tube->out_size, bytes.data, bytes.size);
        tube->out_size += bytes.size;
    }
}

bool tube_has_room(const struct tube *tube, size_t size) {
    return size <= sizeof(tube->plain) - tube->plain_size;
}

void tube_bytes(struct tube *tube, struct bytes bytes) {
    if (tube_has_room(tube, bytes.size)) {
        memcpy(tube->plain + tube->plain_size, bytes.data, bytes.size);
        tube->plain_size += bytes.size;
    }
}

void tube_frame(struct tube *tube, enum yamux_type type, unsigned flags, uint32_t stream,
                uint32_t length) {
    uint8_t header[YAMUX_HEADER_SIZE];
    const struct yamux_frame frame = {
        .type = type, .flags = (uint16_t)flags, .stream_id = stream, .length = length};
    yamux_frame_encode(&frame, header);
    tube_bytes(tube, BYTES_ARRAY(header));
}

uint32_t tube_stream(struct tube *tube, struct bytes bytes) {
    uint32_t stream = tube->stream;
    tube->stream += 2;
    tube_frame(tube, YAMUX_DATA, YAMUX_SYN, stream, (uint32_t)bytes.size);
    tube_bytes(tube, bytes);
    return stream;
}

/* What the other side says of frames: refusals and goodbyes. */
static void take_frames(struct attacker *attacker, struct tube *tube, struct bytes data) {
    while (data.size > 0) {
        size_t skipped = data.size < tube->payload_left ? data.size : tube->payload_left;
        tube->payload_left -= skipped;
        data = bytes_slice(data, skipped, SIZE_MAX);
        size_t size = YAMUX_HEADER_SIZE - tube->header_size;
        size = size < data.size ? size : data.size;
        if (size > 0) {
            memcpy(tube->header + tube->header_size, data.data, size);
        }
        tube->header_size += size;
        data = bytes_slice(data, size, SIZE_MAX);
        struct yamux_frame frame;
        if (tube->header_size < YAMUX_HEADER_SIZE) {
            return;
        }
        tube->header_size = 0;
        if (yamux_frame_decode(tube->header, &frame) != 0) {
            return;
        }
        tube->payload_left = frame.type == YAMUX_DATA ? frame.length : 0;
        attacker->refused_streams += (frame.flags & YAMUX_RST) != 0;
        if (frame.type == YAMUX_GO_AWAY) {
            attacker->goodbyes++;
            attacker->goodbye_code = frame.length;
        }
    }
}

/* False when the connection is over. */
static bool take_events(struct attacker *attacker, struct tube *tube) {
    struct pipe_security_event event;
    while (security_of(attacker)->next_event(tube->channel, &event)) {
        switch (event.type) {
        case SECURITY_READY:
            tube->stage = TUBE_OPEN;
            attacker->connected++;
            break;
        case SECURITY_DATA:
            take_frames(attacker, tube, event.data);
            break;
        case SECURITY_END:
        case SECURITY_FAILED:
            (void)snprintf(attacker->last_reason, sizeof(attacker->last_reason), "%.150s",
                           event.text != NULL ? event.text : "the end");
            return false;
        }
    }
    return true;
}

static bool receive(struct attacker *attacker, struct tube *tube) {
    static uint8_t room[65536];
    if (tube->stage == TUBE_OPEN && attacker->attack->tube->unread) {
        return true;
    }
    ssize_t size = recv(tube->fd, room, sizeof(room), MSG_DONTWAIT);
    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN);
    }
    size_t skipped = (size_t)size < tube->to_skip ? (size_t)size : tube->to_skip;
    tube->to_skip -= skipped;
    if (tube->channel == NULL || (size_t)size == skipped) {
        return true;
    }
    const struct span input = {room + skipped, (size_t)size - skipped};
    return security_of(attacker)->receive(tube->channel, input) == 0 && take_events(attacker, tube);
}

/* The handshake, then what the kind has to say, sealed. */
static void produce(struct attacker *attacker, struct tube *tube) {
    const struct tube_kind *kind = attacker->attack->tube;
    static uint8_t room[TUBE_OUT_SIZE / 2];
    if (tube->out_size > sizeof(tube->out) / 4) {
        return;
    }
    if (kind->raw != NULL) {
        if (tube->written++ == 0 || !kind->holds) {
            kind->raw(attacker, tube);
        }
        return;
    }
    const struct pipe_security *security = security_of(attacker);
    size_t size = security->transmit(tube->channel, (struct span){room, sizeof(room)});
    tube_raw(tube, bytes_of(room, size));
    if (tube->stage != TUBE_OPEN || kind->write == NULL) {
        return;
    }
    if (!kind->holds || tube->written == 0) {
        kind->write(attacker, tube);
        tube->written++;
    }
    const struct bytes plain = bytes_of(tube->plain, tube->plain_size);
    size_t taken = 0;
    if (plain.size > 0) {
        size = security->seal(tube->channel, &plain, 1, (struct span){room, sizeof(room)}, &taken);
        tube_raw(tube, bytes_of(room, size));
    }
    memmove(tube->plain, tube->plain + taken, tube->plain_size - taken);
    tube->plain_size -= taken;
}

static bool transmit(struct attacker *attacker, struct tube *tube) {
    const struct tube_kind *kind = attacker->attack->tube;
    if (kind->trickles && tube->sent >= tube->cut && attacker->now >= tube->next) {
        tube->next = attacker->now + NANOS_SECOND;
        tube->cut++;
    }
    size_t size = tube->out_size;
    size = size < tube->cut - tube->sent ? size : tube->cut - tube->sent;
    if (size == 0) {
        return true;
    }
    ssize_t sent = send(tube->fd, tube->out + tube->out_start, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        return errno == EAGAIN || errno == ENOTCONN || errno == EINTR || errno == EINPROGRESS;
    }
    tube->sent += (size_t)sent;
    tube->out_start += (size_t)sent;
    tube->out_size -= (size_t)sent;
    return true;
}

/* --- all of them ------------------------------------------------------------------------------ */

static bool may_dial(struct attacker *attacker) {
    const struct tube_kind *kind = attacker->attack->tube;
    size_t under_way = tube_count - attacker->conn_count;
    if (tube_count >= kind->at_once || tube_count == TUBES_MAX) {
        return false;
    }
    if (kind->crowd) { /* none of them comes too often */
        return under_way < CROWD_UNDER_WAY && attacker->dialled < attacker->source_count;
    }
    return bucket_take(&dials, TUBE_DIALS_PER_SECOND, TUBE_DIALS_BURST, attacker->now);
}

void tubes_step(struct attacker *attacker) {
    if (!begun) {
        begun = true;
        if (begin(attacker) != 0) {
            (void)fprintf(stderr, "plasm-hostile: no identity\n");
            exit(1);
        }
    }
    size_t open = 0;
    for (size_t i = 0; i < tube_count; i++) {
        open += tubes[i]->stage == TUBE_OPEN;
    }
    attacker->conn_count = open;
    for (int i = 0; i < 8 && may_dial(attacker); i++) {
        dial(attacker);
    }
    for (size_t i = 0; i < tube_count;) {
        struct tube *tube = tubes[i];
        bool lives = receive(attacker, tube);
        if (lives) {
            produce(attacker, tube);
            lives = transmit(attacker, tube);
        }
        if (lives) {
            i++;
        } else {
            attacker->closed++;
            tube_free(attacker, i);
        }
    }
}

void tubes_close(struct attacker *attacker) {
    while (tube_count > 0) {
        tube_free(attacker, tube_count - 1);
    }
    tls_identity_free(tls_identity);
}
