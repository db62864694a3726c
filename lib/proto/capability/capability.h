/* Capability records, `phase.capability/1`: what a worker says it can do, signed, and the stream
 * that carries them. Claims are hints; trust comes from receipts.
 *
 * Spec: docs/spec/discovery.md. */
#ifndef CAPABILITY_CAPABILITY_H
#define CAPABILITY_CAPABILITY_H

#include "identity/envelope.h"
#include "util/memory.h"
#include "wire/multiaddr.h"
#include "wire/multihash.h"

#define CAPABILITY_PROTOCOL     "/phase/capability/1.0.0"
#define CAPABILITY_TYPE         "phase.capability/1"
#define CAPABILITY_DOMAIN       "phase-capability"
#define CAPABILITY_PAYLOAD_TYPE "/phase/capability/1"

/* Bounds. */
#define CAPABILITY_PAYLOAD_SIZE_MAX  4096 /* canonical JSON, bytes */
#define CAPABILITY_ENVELOPE_SIZE_MAX 4608
#define CAPABILITY_PROFILES_MAX      8
#define CAPABILITY_ADDRESSES_MAX     16
#define CAPABILITY_NAME_SIZE         65 /* arch, runtime, a profile; with NUL */
#define CAPABILITY_SLOTS_MAX         1024
#define CAPABILITY_LIFE_S            900 /* expires at most so far ahead ... */
#define CAPABILITY_SKEW_S            300 /* ... give or take the clocks */

/* The most a job may ask for. `fuel` 0 is no bound. */
struct capability_limits {
    uint64_t fuel;
    uint64_t memory_bytes;
    uint64_t wall_ms;
    uint64_t output_bytes;
    uint64_t module_bytes;
    uint64_t stdin_bytes;
};

/* Plain data. */
struct capability {
    struct peer_id worker;
    char arch[CAPABILITY_NAME_SIZE];
    char runtime[CAPABILITY_NAME_SIZE];
    char profiles[CAPABILITY_PROFILES_MAX][CAPABILITY_NAME_SIZE];
    size_t profile_count;
    struct capability_limits limits;
    uint64_t free_slots; /* 0 or a power of two, see capability_bucket */
    uint64_t price;      /* per started second of wall time, in the operator's unit; 0 is free */
    struct multiaddr addresses[CAPABILITY_ADDRESSES_MAX]; /* without /p2p */
    size_t address_count;
    uint64_t seq;      /* grows with every record of this worker, also over restarts */
    int64_t expires_s; /* Unix time */
};

/* Free slots as they are published: rounded down to 0, 1, 2, 4 ... CAPABILITY_SLOTS_MAX, so that
 * the record tells little and need not change with every job. */
uint64_t capability_bucket(uint64_t free_slots);

/* Appends the payload, canonical JSON. PLASM_INVALID, PLASM_TOO_LARGE, PLASM_NO_MEMORY. */
MUST_CHECK int capability_encode(const struct capability *capability, struct buffer *out);
/* Reads and checks a payload but not its time. Any spelling will do (the envelope signs the bytes
 * as they are), unknown members are skipped (a newer worker's), and so are addresses of protocols
 * we do not know and what exceeds the bounds on profiles and addresses. PLASM_MALFORMED,
 * PLASM_TOO_LARGE, PLASM_UNSUPPORTED (type). */
MUST_CHECK int capability_decode(struct bytes payload, struct capability *ret_capability);
/* PLASM_EXPIRED when it is past or lives longer than is allowed. */
MUST_CHECK int capability_check_time(const struct capability *capability, int64_t now_unix_s);

/* Appends what the worker's identity key must sign, and then the whole envelope. PLASM_TOO_LARGE,
 * PLASM_NO_MEMORY. */
MUST_CHECK int capability_message(struct bytes payload, struct buffer *out);
MUST_CHECK int capability_seal(const struct public_key *key, struct bytes payload,
                               struct bytes signature, struct buffer *out);
/* Opens an envelope: signature, domain, payload type, payload, signer is the worker it names, time.
 * The errors of envelope_open, capability_decode, capability_check_time; PLASM_UNTRUSTED where the
 * signer is another. */
MUST_CHECK int capability_open(struct bytes envelope, int64_t now_unix_s,
                               struct capability *ret_capability);

/* What a client wants of a worker. Empty and 0 match everything. */
struct capability_query {
    const char *arch; /* NULL as "" */
    const char *runtime;
    const char *profile;
    struct capability_limits needs;
};

bool capability_match(const struct capability *capability, const struct capability_query *query);

/* Tags, whose content_key (wire/multihash.h) is the DHT key that workers provide. */
#define CAPABILITY_TAG_WORKER "phase:worker:v1"
#define CAPABILITY_TAG_MAX    96

/* "phase:arch:<arch>", "phase:runtime:<runtime>". PLASM_TOO_LARGE. */
MUST_CHECK int capability_tag_arch(const char *arch, char room[CAPABILITY_TAG_MAX]);
MUST_CHECK int capability_tag_runtime(const char *runtime, char room[CAPABILITY_TAG_MAX]);
/* "phase:worker:v1:<first hex digit of the SHA-256 of the peer id's bytes>". */
#define CAPABILITY_SHARDS 16
/* A server names so many providers of a key at most: who heard of as many has not heard of all. */
#define CAPABILITY_HOT_MIN 20
void capability_tag_of_shard(size_t shard, char room[CAPABILITY_TAG_MAX]);
void capability_tag_shard(const struct peer_id *worker, char room[CAPABILITY_TAG_MAX]);

#endif
