/* What the parts of the DHT machine share. */
#ifndef PROTO_KAD_INTERNAL_H
#define PROTO_KAD_INTERNAL_H

#include "proto/kad/contacts.h"
#include "proto/kad/kad.h"
#include "proto/kad/message.h"
#include "proto/kad/providers.h"
#include "proto/kad/query.h"
#include "proto/kad/records.h"
#include "proto/kad/table.h"
#include "util/block.h"
#include "util/list.h"

/* A key of our own that we keep announcing. */
struct provided {
    struct list_node node;
    nanos due;        /* when it is announced again; NANOS_NEVER while that is under way */
    nanos ended;      /* the last announcement */
    size_t stored;    /* servers that got it last time */
    size_t known;     /* peers in the table then, */
    uint64_t spacing; /* and how far apart (members_spacing) */
    nanos pause;      /* while fewer than k servers get it: until the next one */
    bool is_running;  /* an announcement */
    bool is_changed;  /* our addresses changed since the last announcement began */
    uint8_t key_size;
    uint8_t key[KAD_PROVIDER_KEY_SIZE_MAX];
};

static inline struct bytes provided_key(const struct provided *provided) {
    return bytes_of(provided->key, provided->key_size);
}

/* A peer an operation has found, in one allocation with its addresses. */
struct found {
    struct peer_id id;
    bool is_reported;
    uint16_t addresses_size;
    uint8_t addresses[];
};

/* A server that gets a record. */
enum target_state { TARGET_PENDING, TARGET_WAITING, TARGET_STORED, TARGET_FAILED };
struct target {
    struct query_peer *peer; /* of the operation's query */
    enum target_state state;
    nanos asked;
};

/* A server that answered with a value, and which. */
struct holder {
    struct query_peer *peer;
    struct sha256_digest value;
};

enum operation_phase { OPERATION_LOOKUP, OPERATION_STORE, OPERATION_DONE };

struct operation {
    struct list_node node;
    uint64_t id;
    enum kad_operation_kind kind;
    enum operation_phase phase;
    bool is_internal;
    bool is_out_of_memory; /* something was lost on the way */
    bool has_value_event;
    int status;
    nanos started;
    nanos deadline;
    nanos ended;
    size_t count_max;
    size_t count; /* results: see struct kad_done */
    /* Of queries that ended before the present one. */
    size_t asked;
    size_t answered;
    size_t failed;
    size_t hops;
    size_t bucket; /* bootstrap: the next one to refresh */
    size_t key_size;
    uint8_t key[KAD_VALUE_KEY_SIZE_MAX];
    enum kad_message_type request_type; /* of the lookup */
    size_t request_size;
    uint8_t request[KAD_VALUE_KEY_SIZE_MAX + 8];
    struct query query;
    struct found **found;
    size_t found_count;
    size_t found_capacity;
    size_t unreported; /* no found peer before this one waits to be reported */
    struct block *store_request;
    struct block *value;    /* put: to be stored; get: the best so far */
    struct holder *holders; /* KAD_VALUES_MAX places */
    size_t holder_count;
    struct target *targets; /* QUERY_RESULT_MAX places */
    size_t target_count;
};

static inline struct bytes operation_key(const struct operation *operation) {
    return bytes_of(operation->key, operation->key_size);
}

enum request_kind { REQUEST_LOOKUP, REQUEST_STORE, REQUEST_CHECK };

/* A request under way. Its operation may end before it. */
struct request {
    struct list_node node;
    uint64_t id;
    enum request_kind kind;
    enum kad_message_type type;
    struct operation *operation; /* NULL when none waits */
    struct query_peer *query_peer;
    struct target *target;
    struct peer_id peer;
    nanos deadline;
};

struct table_event {
    struct peer_id peer;
    bool is_added;
    size_t table_size;
};

struct kad {
    struct memory *memory;
    struct random *random;
    struct kad_limits limits;
    struct kad_namespaces namespaces;
    enum kad_mode mode;
    struct peer_id own_id;
    struct sha256_digest own_hash;
    struct kad_addresses own_addresses;
    struct table table;
    struct contacts contacts;
    struct providers providers;
    struct records records;
    struct list provided;
    struct list operations; /* the one served last is at the end */
    struct list requests;   /* in the order of their deadlines */
    uint64_t last_operation;
    uint64_t last_request;
    size_t checks;          /* requests that are checks */
    nanos table_check_at;   /* no check of a member is due before, */
    nanos contact_check_at; /* nor of another */
    nanos refresh_at;
    nanos sweep_at;
    size_t refresh_buckets; /* the deeper ones a lookup of ourselves has filled */
    uint64_t spacing;       /* see members_spacing; */
    nanos spacing_until;    /* it holds so long */
    bool is_due;            /* kad_expire has something to do at once */
    size_t table_event_first;
    size_t table_event_count;
    struct table_event table_events[KAD_TABLE_EVENTS_MAX];
    uint8_t check_request[PEER_ID_SIZE_MAX + 8];
};

/* members.c: who is in the table, and who might be */

/* A peer answered a request of ours. `addresses` is what we know of it. */
void members_answered(struct kad *kad, const struct peer_id *id, struct bytes addresses, nanos now);
void members_failed(struct kad *kad, const struct peer_id *id, int error, nanos now);
/* A peer that was checked names those it knows nearest to us: unknown ones are checked as well. So
 * neighbours find each other without lookups, and so do the parts of a network once one peer has
 * met another. */
void members_hear(struct kad *kad, const struct peer_id *from, const struct kad_message *answer,
                  nanos now);
/* Notes a server that is known from elsewhere. */
MUST_CHECK int members_remember(struct kad *kad, const struct peer_id *id, struct bytes addresses);
/* The next peer whose answer is to be checked; false when there is none now. Borrowed. */
bool members_next_check(struct kad *kad, nanos now, const struct peer_id **ret_id,
                        struct bytes *ret_addresses);
nanos members_deadline(const struct kad *kad);
/* Asks the members that have been silent for long for a sign of life. */
void members_check_silent(struct kad *kad, nanos now);
/* How far apart peers are, on average, by those nearest to us: the head of a distance; 0 while we
 * know too few to tell. */
uint64_t members_spacing(struct kad *kad, nanos now);
/* True when enough peers of the bucket gave one lately; a client needs fewer. */
bool members_fill(const struct kad *kad, size_t bucket, nanos now);
/* Gives a lookup the peers it begins with. PLASM_NO_MEMORY. */
MUST_CHECK int members_seed(const struct kad *kad, struct query *query);
/* What we know of a peer's addresses; empty where nothing. */
struct bytes members_addresses(const struct kad *kad, const struct peer_id *id,
                               bool *ret_is_connected);

/* How much longer than a server a client waits with keeping its table fresh: nobody else uses it.
 */
nanos client_patience(const struct kad *kad, nanos interval);

/* True when the peer is known to be reached at a public address. */
bool members_is_public(const struct kad *kad, const struct peer_id *id);

/* operation.c: the life of an operation */

/* Starts one. `value` is for KAD_PUT_VALUE alone. PLASM_LIMIT, PLASM_INVALID, PLASM_NO_MEMORY. */
MUST_CHECK int operation_start(struct kad *kad, enum kad_operation_kind kind, struct bytes key,
                               struct bytes value, const struct kad_options *options,
                               bool is_internal, nanos now, uint64_t *ret_id);
/* Looks whether the operation can go on or has ended. */
void operation_advance(struct kad *kad, struct operation *operation, nanos now);
void operation_finish(struct kad *kad, struct operation *operation, int status, nanos now);
void operation_free(struct kad *kad, struct operation *operation);
/* True when the table is to be refreshed, now that it is time. */
bool operation_refresh_wanted(const struct kad *kad, nanos now);
/* When the operation must be advanced without any input. */
nanos operation_deadline(const struct kad *kad, const struct operation *operation);
/* A server has come to be known: lookups that know few take it as a seed. */
void operations_seed(struct kad *kad, const struct peer_id *id, struct bytes addresses);

/* answer.c: what answers mean to an operation */

/* Notes a found peer, or addresses for one found before. */
void operation_found(struct kad *kad, struct operation *operation, const struct peer_id *id,
                     struct bytes addresses);
/* KAD_FIND_PEER: one more peer named addresses for the one we look for; they are gathered. */
void operation_take_target(struct kad *kad, struct operation *operation, const struct peer_id *id,
                           struct bytes addresses);

/* An answer to a lookup's request. */
void operation_take_answer(struct kad *kad, struct operation *operation, struct query_peer *peer,
                           const struct kad_message *answer, nanos now);
/* A valid value of the operation's key, from a server or (NULL) from here. */
void operation_take_value(struct kad *kad, struct operation *operation, struct query_peer *peer,
                          struct bytes value);

/* request.c: requests under way */

/* The operation does not wait for its requests any more. */
void requests_orphan(struct kad *kad, const struct operation *operation);
void requests_expire(struct kad *kad, nanos now);
void requests_free(struct kad *kad);

/* maintain.c: what the machine does by itself */

struct provided *provided_find(const struct kad *kad, struct bytes key);
/* An announcement of this key has ended: `stored` servers got it. */
void provided_ended(struct kad *kad, struct bytes key, int status, size_t stored, nanos now);
/* Our addresses have changed: everything is announced again soon. */
void provided_readdress(struct kad *kad, nanos now);
void provided_free_all(struct kad *kad);
/* The table has one peer more. */
void maintain_table_grew(struct kad *kad, nanos now);
void maintain_expire(struct kad *kad, nanos now);
nanos maintain_deadline(const struct kad *kad);
/* A key in a bucket: a peer id of random bytes. False when none was found. */
#define REFRESH_KEY_SIZE 34
bool refresh_key(struct kad *kad, size_t bucket, uint8_t ret_key[REFRESH_KEY_SIZE]);

#endif
