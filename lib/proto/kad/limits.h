/* Every bound of the Kademlia module, and the settings an operator may change. */
#ifndef PROTO_KAD_LIMITS_H
#define PROTO_KAD_LIMITS_H

#include <stddef.h>

#include "util/time.h"

/* Replication: peers a bucket holds, peers an answer names, peers a record is stored at. */
#define KAD_K 20
/* Requests of one lookup that are under way at once, and its disjoint paths. */
#define KAD_ALPHA     10
#define KAD_PATHS_MAX 4

/* One message without its length prefix, read or written. rust-libp2p takes no more. */
#define KAD_MESSAGE_SIZE_MAX 16384
/* Keys: providers (go-libp2p refuses longer ones) and values. */
#define KAD_PROVIDER_KEY_SIZE_MAX 80
#define KAD_VALUE_KEY_SIZE_MAX    128
#define KAD_VALUE_SIZE_MAX        8192
/* Peers taken from one answer: closer ones (go sends the target besides its k) and providers. */
#define KAD_ANSWER_CLOSER_MAX    24
#define KAD_ANSWER_PROVIDERS_MAX 128
/* Closer peers of one IP group taken from one answer, and that count among the closest of a lookup:
 * as in the table. */
#define KAD_ANSWER_PER_GROUP_MAX 3
#define KAD_LOOKUP_PER_GROUP_MAX 3
/* Peers that count within a distance of a key: so many, and so many times what the size of the
 * network lets expect there. More have chosen their ids to be near it, and hide the others. */
#define KAD_CROWD_BASE   4
#define KAD_CROWD_FACTOR 3

/* Addresses kept of one peer, and announced of our own. */
#define KAD_ADDRESSES_MAX       8
#define KAD_ADDRESSES_BYTES_MAX 512
#define KAD_ADDRESS_SIZE_MAX    255

/* Routing table: an IP group is an IPv4 /16 or an IPv6 /32; private ranges are exempt. Buckets go
 * by common prefix with our own id; the last takes all deeper ones. */
#define KAD_BUCKETS              32
#define KAD_TABLE_PER_GROUP_MAX  3
#define KAD_BUCKET_PER_GROUP_MAX 2
/* A peer leaves the table after so many failures in a row, counted at most once an interval. */
#define KAD_PEER_FAILURES_MAX 3

/* One lookup: candidates a path remembers, requests it makes in all, has under way when peers are
 * silent, and has under way with those that nobody waits for any more. */
#define KAD_PATH_CANDIDATES_MAX  64
#define KAD_LOOKUP_REQUESTS_MAX  160
#define KAD_LOOKUP_WINDOW_MAX    30
#define KAD_LOOKUP_IN_FLIGHT_MAX 64
/* Distinct providers one operation reports. */
#define KAD_LOOKUP_PROVIDERS_MAX 512
/* Answers with a value that are remembered, to correct those that were outdated. */
#define KAD_VALUES_MAX 20

/* Providers: answered of one key, of one IP group kept for a key, keys of one provider kept. */
#define KAD_PROVIDERS_ANSWERED_MAX  20
#define KAD_PROVIDERS_PER_GROUP_MAX 8
#define KAD_KEYS_PER_PROVIDER_MAX   128

/* Keys we provide ourselves. */
#define KAD_PROVIDED_KEYS_MAX 256
/* Table changes kept until they are asked for; older ones are dropped. */
#define KAD_TABLE_EVENTS_MAX 8
/* Checks under way at once, whether a peer answers. */
#define KAD_CHECKS_MAX 8
/* A bucket with so many peers that lately gave a sign of life is not refreshed: who looks us up
 * fills it by the way. */
#define KAD_REFRESH_ENOUGH        6
#define KAD_REFRESH_ENOUGH_CLIENT 4
/* Requests of a refreshing lookup under way at once: nobody waits for it. */
#define KAD_REFRESH_WINDOW 4
/* Buckets that are refreshed: a key for bucket n takes 2^(n+1) tries to find. */
#define KAD_REFRESH_BUCKETS_MAX 13
/* Peers in an exported table, and its bytes. */
#define KAD_EXPORT_PEERS_MAX 256
#define KAD_EXPORT_SIZE_MAX  (KAD_EXPORT_PEERS_MAX * (64 + KAD_ADDRESSES_BYTES_MAX))

/* What may be set; kad_limits_default() gives limits.md's values. */
struct kad_limits {
    size_t provider_keys_max;     /* 1024 */
    size_t providers_per_key_max; /* 256 */
    size_t providers_bytes_max;   /* 32 MiB: all provider records together */
    size_t records_max;           /* 1024 */
    size_t contacts_max;          /* 128: connected peers that are not in the table */
    size_t operations_max;        /* 64 at once */
    size_t requests_max;          /* 256 under way at once, all operations */
    nanos provider_life;          /* 2 h */
    nanos republish_interval;     /* 30 min */
    nanos record_life;            /* 36 h */
    nanos refresh_interval;       /* 10 min; NANOS_NEVER for no refresh by itself */
    nanos sweep_interval;         /* 5 min: expired records leave memory */
    nanos request_timeout;        /* 6 s: a QUIC dial to a dead peer costs 5 s */
    nanos operation_timeout;      /* 30 s unless the operation's options say otherwise */
    nanos straggler_min;          /* 300 ms: no answer for so long: others are asked as well, */
    nanos straggler_max;          /* 1 s: and a lookup does not wait for this peer any more */
    nanos check_interval;         /* 30 s between two checks of a peer that failed */
    nanos stale_age;              /* 10 min unseen: checked when its bucket is full, */
    nanos silence_max; /* 45 min: and in any case; clients wait longer (as for refresh) */
};

void kad_limits_default(struct kad_limits *ret_limits);

#endif
