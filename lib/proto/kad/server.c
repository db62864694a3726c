/* Answering requests. Spec: libp2p/specs kad-dht/README.md, "RPC messages". */
#include "proto/kad/distance.h"
#include "proto/kad/internal.h"

/* Bytes of an answer that peers may fill; the rest is for its key and record. */
#define CLOSER_BYTES_MAX 7000
#define PEERS_BYTES_MAX  15000
/* Peers from whom the k closest are chosen. */
#define CLOSER_CANDIDATES (2 * KAD_K)

/* What all parts of an answer need to know. */
struct answer {
    struct kad *kad;
    const struct peer_id *sender;
    bool only_public; /* the sender cannot reach private addresses */
    struct writer writer;
    nanos now;
};

/* An answer's share of the bytes left for the peers left, so that nobody with many addresses crowds
 * out the others. */
static size_t fair_share(const struct answer *answer, size_t size_max, size_t peers_left) {
    size_t left = size_max > answer->writer.size ? size_max - answer->writer.size : 0;
    return left / peers_left;
}

static enum kad_connection connection_to(bool is_connected) {
    return is_connected ? KAD_CONNECTED : KAD_CAN_CONNECT;
}

/* The peer looked for, when we know how to reach it: us, a peer we are connected to (clients are
 * found like this), a peer of the table. It is not told of itself. */
static bool put_target(struct answer *answer, const struct peer_id *target) {
    struct kad *kad = answer->kad;
    bool is_connected = true;
    struct bytes addresses = kad_addresses_bytes(&kad->own_addresses);
    if (!peer_id_equal(target, &kad->own_id)) {
        if (peer_id_equal(target, answer->sender)) {
            return false;
        }
        addresses = members_addresses(kad, target, &is_connected);
    }
    return kad_message_put_peer(&answer->writer, KAD_LIST_CLOSER, target, addresses,
                                connection_to(is_connected), answer->only_public, CLOSER_BYTES_MAX);
}

/* Leaves out who crowds around the target, so that others have a place among the k. */
static size_t thin_crowd(const struct table_peer **peers, size_t count,
                         const struct sha256_digest *target, uint64_t spacing) {
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < KAD_K; i++) {
        struct sha256_digest distance = kad_distance(target, &peers[i]->hash);
        if (kept < kad_crowd_max(kad_head(&distance), spacing)) {
            peers[kept++] = peers[i];
        }
    }
    return kept;
}

/* The k closest servers, without the sender and without `except` (or NULL). */
static void put_closer(struct answer *answer, struct bytes key, const struct peer_id *except,
                       size_t size_max) {
    struct sha256_digest target = sha256(key);
    const struct table_peer *peers[CLOSER_CANDIDATES];
    uint64_t spacing = members_spacing(answer->kad, answer->now);
    size_t count = 0;
    for (size_t wanted = KAD_K; count < KAD_K && wanted <= CLOSER_CANDIDATES; wanted += KAD_K) {
        count = table_closest(&answer->kad->table, &target, answer->sender, false, peers, wanted);
        count = thin_crowd(peers, count, &target, spacing);
    }
    for (size_t i = 0; i < count; i++) {
        if (except == NULL || !peer_id_equal(&peers[i]->id, except)) {
            (void)kad_message_put_peer(&answer->writer, KAD_LIST_CLOSER, &peers[i]->id,
                                       table_peer_addresses(peers[i]),
                                       connection_to(peers[i]->is_connected), answer->only_public,
                                       fair_share(answer, size_max, count - i));
        }
    }
}

static int answer_find_node(struct answer *answer, const struct kad_message *request) {
    if (request->key.size == 0 || request->key.size > KAD_VALUE_KEY_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    /* As go-libp2p: no key in the answer, the target first. */
    kad_message_put_head(&answer->writer, KAD_MESSAGE_FIND_NODE, bytes_of(NULL, 0));
    struct peer_id target;
    bool has_target = peer_id_decode(request->key, &target) == 0 && put_target(answer, &target);
    put_closer(answer, request->key, has_target ? &target : NULL, PEERS_BYTES_MAX);
    return 0;
}

static int answer_get_providers(struct answer *answer, const struct kad_message *request) {
    struct kad *kad = answer->kad;
    if (request->key.size == 0 || request->key.size > KAD_PROVIDER_KEY_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    kad_message_put_head(&answer->writer, KAD_MESSAGE_GET_PROVIDERS, request->key);
    if (provided_find(kad, request->key) != NULL) {
        (void)kad_message_put_peer(&answer->writer, KAD_LIST_PROVIDERS, &kad->own_id,
                                   kad_addresses_bytes(&kad->own_addresses), KAD_CONNECTED,
                                   answer->only_public, CLOSER_BYTES_MAX);
    }
    struct provider_view views[KAD_PROVIDERS_ANSWERED_MAX];
    size_t count = providers_get(&kad->providers, request->key, NULL, kad->random, answer->now,
                                 views, ARRAY_SIZE(views));
    for (size_t i = 0; i < count; i++) {
        bool is_connected;
        (void)members_addresses(kad, views[i].peer, &is_connected);
        (void)kad_message_put_peer(
            &answer->writer, KAD_LIST_PROVIDERS, views[i].peer, views[i].addresses,
            connection_to(is_connected), answer->only_public,
            fair_share(answer, PEERS_BYTES_MAX - CLOSER_BYTES_MAX, count - i));
    }
    put_closer(answer, request->key, NULL, PEERS_BYTES_MAX);
    return 0;
}

/* Only what the sender says of itself counts; the first entry is enough. */
static int take_provider(struct answer *answer, const struct kad_message *request,
                         const struct netaddr *remote) {
    if (request->key.size == 0 || request->key.size > KAD_PROVIDER_KEY_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    struct cursor cursor = cursor_of(request->whole);
    struct kad_message_peer peer;
    while (kad_message_peer_next(&cursor, KAD_LIST_PROVIDERS, &peer)) {
        if (!peer_id_equal(&peer.id, answer->sender)) {
            continue;
        }
        struct kad_addresses packed;
        kad_message_addresses(&peer, false, &packed);
        struct bytes addresses = kad_addresses_bytes(&packed);
        struct kad_groups groups = kad_groups_of(remote, addresses);
        return addresses.size > 0 ? providers_add(&answer->kad->providers, request->key, &peer.id,
                                                  &groups, addresses, answer->now)
                                  : PLASM_REFUSED;
    }
    return PLASM_REFUSED;
}

static int answer_get_value(struct answer *answer, const struct kad_message *request) {
    if (request->key.size == 0 || request->key.size > KAD_VALUE_KEY_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    struct bytes value;
    size_t size_max = PEERS_BYTES_MAX;
    kad_message_put_head(&answer->writer, KAD_MESSAGE_GET_VALUE, request->key);
    if (records_get(&answer->kad->records, request->key, answer->now, &value) == 0) {
        kad_message_put_record(&answer->writer, request->key, value);
    }
    put_closer(answer, request->key, NULL, size_max);
    return 0;
}

static int answer_put_value(struct answer *answer, const struct kad_message *request) {
    if (request->key.size == 0 || !request->has_record ||
        !bytes_equal(request->key, request->record_key)) {
        return PLASM_MALFORMED;
    }
    int error =
        records_put(&answer->kad->records, request->key, request->record_value, answer->now);
    if (error == PLASM_NO_MEMORY || error == PLASM_LIMIT) {
        return error;
    }
    if (error != 0) {
        return PLASM_REFUSED;
    }
    kad_message_put_head(&answer->writer, KAD_MESSAGE_PUT_VALUE, request->key);
    kad_message_put_record(&answer->writer, request->key, request->record_value);
    return 0;
}

static int answer_message(struct answer *answer, const struct kad_message *request,
                          const struct netaddr *remote) {
    switch (request->type) {
    case KAD_MESSAGE_FIND_NODE:
        return answer_find_node(answer, request);
    case KAD_MESSAGE_GET_PROVIDERS:
        return answer_get_providers(answer, request);
    case KAD_MESSAGE_ADD_PROVIDER:
        return take_provider(answer, request, remote);
    case KAD_MESSAGE_GET_VALUE:
        return answer_get_value(answer, request);
    case KAD_MESSAGE_PUT_VALUE:
        return answer_put_value(answer, request);
    case KAD_MESSAGE_PING:
        kad_message_put_head(&answer->writer, KAD_MESSAGE_PING, bytes_of(NULL, 0));
        return 0;
    }
    return PLASM_UNSUPPORTED;
}

int kad_request(struct kad *kad, const struct peer_id *sender, const struct netaddr *remote,
                struct bytes request, struct span room, nanos now, size_t *ret_size) {
    if (kad->mode != KAD_SERVER) {
        return PLASM_UNSUPPORTED;
    }
    struct kad_message message;
    int error = kad_message_decode(request, &message);
    if (error != 0) {
        return error;
    }
    struct answer answer = {.kad = kad,
                            .sender = sender,
                            .only_public = remote != NULL && remote->family != NETADDR_NONE &&
                                           !netaddr_is_private(remote),
                            .writer = writer_of(room),
                            .now = now};
    error = answer_message(&answer, &message, remote);
    if (error == 0) {
        error = answer.writer.error;
    }
    if (error == 0) {
        *ret_size = answer.writer.size;
    }
    return error;
}
