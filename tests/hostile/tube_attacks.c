/* The attacks over TCP from inside: of handshakes, of Yamux, of what runs on its streams. */
#include "tube.h"

#define PER_TURN 40

#define MULTISTREAM "\x13/multistream/1.0.0\n"
#define IDENTIFY    MULTISTREAM "\x0f/ipfs/id/1.0.0\n"
#define PING        MULTISTREAM "\x11/ipfs/ping/1.0.0\n"
#define JOB         MULTISTREAM "\x11/phase/job/1.0.0\n"
#define PERF        MULTISTREAM "\x0c/perf/1.0.0\n"
#define HOP         MULTISTREAM "\x20/libp2p/circuit/relay/0.2.0/hop\n"
#define AUTONAT     MULTISTREAM "\x15/libp2p/autonat/1.0.0\n"
#define AUTONAT2    MULTISTREAM "\x1f/libp2p/autonat/2/dial-request\n"

/* Bytes sent until a Noise handshake is where it says. */
#define NOISE_PROPOSED 28
#define NOISE_FIRST    62
#define TLS_PROPOSED   32

/* --- handshakes ------------------------------------------------------------------------------- */

/* A length of the longest message, and nothing that is one. */
static void long_message(struct attacker *attacker, struct tube *tube) {
    uint8_t bytes[1024];
    random_fill(&attacker->random, (struct span){bytes, sizeof(bytes)});
    bytes[0] = 0xff;
    bytes[1] = 0xff;
    tube_raw(tube, BYTES_ARRAY(bytes));
}

/* A first message with data nobody agreed on, and a last one before its turn. */
static void early_data(struct attacker *attacker, struct tube *tube) {
    uint8_t bytes[1026];
    random_fill(&attacker->random, (struct span){bytes, sizeof(bytes)});
    bytes[0] = 1;
    bytes[1] = 0;
    bytes[258] = 2;
    bytes[259] = 0;
    tube_raw(tube, BYTES_ARRAY(bytes));
}

/* Records of a handshake that is none. */
static void records(struct attacker *attacker, struct tube *tube) {
    static const uint8_t head[] = {22, 3, 1, 0x03, 0xfb, 1, 0, 0x03, 0xf7, 3, 3};
    uint8_t bytes[1024];
    random_fill(&attacker->random, (struct span){bytes, sizeof(bytes)});
    memcpy(bytes, head, sizeof(head));
    tube_raw(tube, BYTES_ARRAY(bytes));
}

/* What the secure channel does not open. */
static void bad_tags(struct attacker *attacker, struct tube *tube) {
    uint8_t bytes[66];
    random_fill(&attacker->random, (struct span){bytes, sizeof(bytes)});
    bytes[0] = 0;
    bytes[1] = 64;
    tube_raw(tube, BYTES_ARRAY(bytes));
}

/* --- yamux ------------------------------------------------------------------------------------ */

static void rapid_reset(struct attacker *attacker, struct tube *tube) {
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_WINDOW, YAMUX_SYN, tube->stream, 0);
        tube_frame(tube, YAMUX_WINDOW, YAMUX_RST, tube->stream, 0);
        tube->stream += 2;
        attacker->streams++;
    }
}

/* Both in one frame: a stream that never was. */
static void born_reset(struct attacker *attacker, struct tube *tube) {
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_WINDOW, YAMUX_SYN | YAMUX_RST, tube->stream, 0);
        tube->stream += 2;
        attacker->streams++;
    }
}

static void stream_flood(struct attacker *attacker, struct tube *tube) {
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_WINDOW, YAMUX_SYN, tube->stream, 0);
        tube->stream += 2;
        attacker->streams++;
    }
}

static void over_window(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    tube_frame(tube, YAMUX_DATA, YAMUX_SYN, tube->stream, 256 * 1024 + 1);
    tube->stream += 2;
}

/* Answers that can never be sent. */
static void zero_window(struct attacker *attacker, struct tube *tube) {
    for (int i = 0; i < 64; i++) {
        if (tube_has_room(tube, 128)) {
            (void)tube_stream(tube, i % 2 == 0
                                        ? BYTES_LITERAL(PERF "\x00\x00\x00\x40\x00\x00\x00\x00")
                                        : BYTES_LITERAL(IDENTIFY));
            attacker->streams++;
        }
    }
}

static void huge_credit(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    uint32_t stream = tube_stream(tube, BYTES_LITERAL(PING));
    tube_frame(tube, YAMUX_WINDOW, 0, stream, UINT32_MAX);
    tube_frame(tube, YAMUX_WINDOW, 0, stream, UINT32_MAX);
}

static void crumbs(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    if (tube->written == 0) {
        (void)tube_stream(tube, BYTES_LITERAL(PING));
    }
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_WINDOW, 0, 1, 1);
    }
}

static void pings(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    for (uint32_t i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_PING, YAMUX_SYN, 0, i);
    }
}

/* Goodbye, and on it goes. */
static void go_away(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    tube_frame(tube, YAMUX_GO_AWAY, 0, 0, (uint32_t)(tube->number % 4));
    stream_flood(attacker, tube);
}

static void unknown(struct attacker *attacker, struct tube *tube) {
    static const uint8_t frames[][YAMUX_HEADER_SIZE] = {
        {1, 0, 0, 1, 0, 0, 0, 1},                   /* another version */
        {0, 9, 0, 1, 0, 0, 0, 1},                   /* another type */
        {0, 0, 0, 1, 0, 0, 0, 0},                   /* data without a stream */
        {0, 0, 0xff, 0xff, 0, 0, 0, 2, 0, 0, 0, 1}, /* a stream of the other side's */
    };
    (void)attacker;
    tube_bytes(tube, BYTES_ARRAY(frames[tube->number % ARRAY_SIZE(frames)]));
}

/* Streams that ended, and frames for them. */
static void stale(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    if (tube->written == 0) {
        tube_frame(tube, YAMUX_WINDOW, YAMUX_SYN, 1, 0);
        tube_frame(tube, YAMUX_WINDOW, YAMUX_RST, 1, 0);
    }
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_DATA, 0, 1, 1);
        tube_bytes(tube, BYTES_LITERAL("x"));
    }
}

static void empty_frames(struct attacker *attacker, struct tube *tube) {
    (void)attacker;
    if (tube->written == 0) {
        (void)tube_stream(tube, BYTES_LITERAL(PING));
    }
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 64); i++) {
        tube_frame(tube, YAMUX_DATA, 0, 1, 0);
    }
}

/* --- slowness --------------------------------------------------------------------------------- */

/* One byte a second of `bytes`, over and over, as data of `stream`. */
static void drip(struct attacker *attacker, struct tube *tube, struct bytes bytes) {
    if (attacker->now < tube->next) {
        return;
    }
    tube->next = attacker->now + NANOS_SECOND;
    for (uint32_t stream = 1; stream < tube->stream; stream += 2) {
        if (tube_has_room(tube, 64)) {
            tube_frame(tube, YAMUX_DATA, 0, stream, 1);
            tube_bytes(tube, bytes_slice(bytes, tube->written % bytes.size, 1));
        }
    }
}

static void slow_header(struct attacker *attacker, struct tube *tube) {
    if (attacker->now >= tube->next) {
        tube->next = attacker->now + NANOS_SECOND;
        tube_bytes(tube, bytes_of((const uint8_t[]){0}, 1));
    }
}

static void slow_negotiation(struct attacker *attacker, struct tube *tube) {
    if (tube->written == 0) {
        for (int i = 0; i < 120; i++) {
            (void)tube_stream(tube, BYTES_LITERAL("\x13"));
            attacker->streams++;
        }
    }
    drip(attacker, tube, BYTES_LITERAL("/multistream/1.0.0\n"));
}

static void slow_offer(struct attacker *attacker, struct tube *tube) {
    if (tube->written == 0) {
        for (int i = 0; i < 40; i++) {
            (void)tube_stream(tube, BYTES_LITERAL(JOB "\xff\x7f"));
            attacker->streams++;
        }
    }
    drip(attacker, tube, BYTES_LITERAL(" "));
}

/* --- services --------------------------------------------------------------------------------- */

static void requests(struct attacker *attacker, struct tube *tube, struct bytes bytes) {
    for (int i = 0; i < PER_TURN && tube_has_room(tube, 2 * YAMUX_HEADER_SIZE + bytes.size); i++) {
        uint32_t stream = tube_stream(tube, bytes);
        tube_frame(tube, YAMUX_WINDOW, YAMUX_FIN, stream, 0);
        attacker->streams++;
    }
}

static void identify_flood(struct attacker *attacker, struct tube *tube) {
    requests(attacker, tube, BYTES_LITERAL(IDENTIFY));
}

static void reserve(struct attacker *attacker, struct tube *tube) {
    requests(attacker, tube, BYTES_LITERAL(HOP "\x02\x08\x00"));
}

/* CONNECT to a peer that nobody knows. */
static void connect_circuits(struct attacker *attacker, struct tube *tube) {
    uint8_t bytes[128];
    static const char head[] = HOP "\x2c\x08\x01\x12\x28\x0a\x26\x00\x24\x08\x01\x12\x20";
    size_t size = sizeof(head) - 1;
    memcpy(bytes, head, size);
    random_fill(&attacker->random, (struct span){bytes + size, 32});
    requests(attacker, tube, bytes_of(bytes, size + 32));
}

/* AutoNAT v1: dial ourselves back, and somebody else, at ports without end. */
static void dial_back(struct attacker *attacker, struct tube *tube) {
    uint8_t bytes[256];
    static const char head[] =
        AUTONAT "\x42\x08\x00\x12\x3e\x0a\x3c\x0a\x26\x00\x24\x08\x01\x12\x20";
    size_t size = sizeof(head) - 1;
    memcpy(bytes, head, size);
    random_fill(&attacker->random, (struct span){bytes + size, 32});
    size += 32;
    for (uint8_t i = 0; i < 2; i++) { /* at the client's, which takes no part in it */
        const uint8_t address[] = {0x12, 8, 4, 20,   2,
                                   0,    1, 6, 0x10, (uint8_t)(attacker->streams + i)};
        memcpy(bytes + size, address, sizeof(address));
        size += sizeof(address);
    }
    requests(attacker, tube, bytes_of(bytes, size));
}

/* AutoNAT v2, of another's address: who wants that has to send first. */
static void dial_back_v2(struct attacker *attacker, struct tube *tube) {
    requests(attacker, tube,
             BYTES_LITERAL(AUTONAT2 "\x15\x0a\x13\x0a\x08\x04\x14\x02\x00\x01\x06\x10\x10"
                                    "\x11\x01\x02\x03\x04\x05\x06\x07\x08"));
}

/* Open, a stream of ours that does nothing, and stays. */
static void settle(struct attacker *attacker, struct tube *tube) {
    (void)tube_stream(tube, BYTES_LITERAL(PING));
    attacker->streams++;
}

/* --- the list --------------------------------------------------------------------------------- */

#define FAST(function)                                                                             \
    &(const struct tube_kind) {                                                                    \
        .at_once = 4, .write = (function)                                                          \
    }
#define SECURED(name, kind, what)                                                                  \
    { (name), tubes_step, true, false, (what), (kind) }

const struct attack tube_attacks[] = {
    SECURED("noise-stalled",
            (&(const struct tube_kind){.at_once = TUBES_MAX,
                                       .cuts = {10, NOISE_PROPOSED, 40, NOISE_FIRST, 63, 120}}),
            "Noise handshakes that stop, at each message and within"),
    SECURED("noise-slow",
            (&(const struct tube_kind){.at_once = TUBES_MAX,
                                       .trickles = true,
                                       .cuts = {1, 21, NOISE_PROPOSED, NOISE_FIRST}}),
            "Noise handshakes, a byte a second"),
    SECURED("noise-oversized",
            (&(const struct tube_kind){.at_once = TUBES_MAX, .raw = long_message}),
            "Noise messages of the longest length"),
    SECURED("noise-early",
            (&(const struct tube_kind){.at_once = TUBES_MAX, .raw = early_data, .holds = true}),
            "data in Noise's first message"),
    SECURED("noise-keyless", (&(const struct tube_kind){.at_once = TUBES_MAX, .keyless = true}),
            "an identity of another key"),
    SECURED("tls-stalled",
            (&(const struct tube_kind){
                .at_once = TUBES_MAX, .tls = true, .cuts = {10, TLS_PROPOSED, 100, 300, 700, 900}}),
            "TLS handshakes that stop, at each message and within"),
    SECURED("tls-garbage",
            (&(const struct tube_kind){.at_once = TUBES_MAX, .tls = true, .raw = records}),
            "TLS records of noise"),
    SECURED("secured-garbage", (&(const struct tube_kind){.at_once = 4, .write = bad_tags}),
            "noise in a secure channel"),
    SECURED("yamux-rapid-reset", FAST(rapid_reset), "streams opened and reset at once"),
    SECURED("yamux-born-reset", FAST(born_reset), "streams opened and reset in one frame"),
    SECURED("yamux-stream-flood", FAST(stream_flood), "streams far beyond the backlog"),
    SECURED("yamux-unread-flood",
            (&(const struct tube_kind){.at_once = 8, .unread = true, .write = stream_flood}),
            "the same, reading nothing"),
    SECURED("yamux-over-window", FAST(over_window), "data beyond the window"),
    SECURED("yamux-zero-window",
            (&(const struct tube_kind){
                .at_once = 8, .unread = true, .holds = true, .write = zero_window}),
            "large answers asked for and not read"),
    SECURED("yamux-huge-credit", FAST(huge_credit), "windows beyond all bounds"),
    SECURED("yamux-crumbs", FAST(crumbs), "window updates of a byte"),
    SECURED("yamux-pings", FAST(pings), "pings without end"),
    SECURED("yamux-unread-pings",
            (&(const struct tube_kind){.at_once = 8, .unread = true, .write = pings}),
            "the same, reading nothing"),
    SECURED("yamux-go-away", FAST(go_away), "goodbyes, and on it goes"),
    SECURED("yamux-unknown", FAST(unknown), "frames that there are not"),
    SECURED("yamux-stale", FAST(stale), "data for streams that ended"),
    SECURED("yamux-empty", FAST(empty_frames), "empty frames without end"),
    SECURED("yamux-slow", (&(const struct tube_kind){.at_once = 8, .write = slow_header}),
            "a frame's header, a byte a second"),
    SECURED("tcp-slow-streams",
            (&(const struct tube_kind){.at_once = 8, .write = slow_negotiation}),
            "streams that say a byte a second"),
    SECURED("tcp-slow-offers", (&(const struct tube_kind){.at_once = 8, .write = slow_offer}),
            "job offers, a byte a second"),
    SECURED("tcp-identify-flood", FAST(identify_flood), "identify, again and again"),
    SECURED("relay-reserve", FAST(reserve), "places on a relay, again and again"),
    SECURED("relay-connect", FAST(connect_circuits), "circuits to nobody"),
    SECURED("autonat-amplify", FAST(dial_back), "AutoNAT v1: dial somebody else"),
    SECURED("autonat-amplify-v2", FAST(dial_back_v2), "AutoNAT v2: dial somebody else"),
    SECURED("crowd",
            (&(const struct tube_kind){
                .at_once = TUBES_MAX, .crowd = true, .holds = true, .write = settle}),
            "10,000 connections, each of another peer and address, kept"),
};
const size_t tube_attack_count = ARRAY_SIZE(tube_attacks);
