/* What an answer brings to a lookup: closer peers, providers, a value. */
#include "proto/kad/internal.h"

#include "util/ensure.h"

/* Groups of the closer peers one answer named: nobody may fill a lookup from one network. */
struct group_counts {
    struct kad_groups groups[KAD_ANSWER_CLOSER_MAX];
    size_t count;
};

static bool group_counts_allow(struct group_counts *counts, const struct kad_groups *groups) {
    size_t same = 0;
    for (size_t i = 0; i < counts->count; i++) {
        same += kad_groups_meet(&counts->groups[i], groups);
    }
    if (same >= KAD_ANSWER_PER_GROUP_MAX) {
        return false;
    }
    counts->groups[counts->count++] = *groups;
    return true;
}

static void found_set(struct operation *operation, struct found *found, size_t place) {
    operation->found[place] = found;
    if (place < operation->unreported) {
        operation->unreported = place;
    }
}

static struct found *found_new(struct kad *kad, const struct peer_id *id, struct bytes addresses) {
    struct found *found = memory_zero(kad->memory, sizeof(*found) + addresses.size);
    if (found != NULL) {
        found->id = *id;
        found->addresses_size = (uint16_t)addresses.size;
        if (addresses.size > 0) {
            memcpy(found->addresses, addresses.data, addresses.size);
        }
    }
    return found;
}

static bool found_reserve(struct kad *kad, struct operation *operation) {
    if (operation->found_count < operation->found_capacity) {
        return true;
    }
    size_t capacity = operation->found_capacity > 0 ? operation->found_capacity * 2 : KAD_K;
    struct found **found =
        memory_resize(kad->memory, operation->found, operation->found_capacity * sizeof(found[0]),
                      capacity * sizeof(found[0]));
    if (found == NULL) {
        return false;
    }
    operation->found = found;
    operation->found_capacity = capacity;
    return true;
}

void operation_found(struct kad *kad, struct operation *operation, const struct peer_id *id,
                     struct bytes addresses) {
    size_t place = 0;
    while (place < operation->found_count && !peer_id_equal(&operation->found[place]->id, id)) {
        place++;
    }
    struct found *old = place < operation->found_count ? operation->found[place] : NULL;
    if ((old != NULL && (old->addresses_size > 0 || addresses.size == 0)) ||
        (old == NULL && place == KAD_LOOKUP_PROVIDERS_MAX)) {
        return;
    }
    struct found *found =
        old != NULL || found_reserve(kad, operation) ? found_new(kad, id, addresses) : NULL;
    if (found == NULL) {
        operation->is_out_of_memory = true;
        return;
    }
    if (old != NULL) {
        memory_put(kad->memory, old, sizeof(*old) + old->addresses_size);
    } else {
        operation->found_count++;
        operation->count += operation->kind == KAD_FIND_PROVIDERS;
    }
    found_set(operation, found, place);
}

void operation_take_target(struct kad *kad, struct operation *operation, const struct peer_id *id,
                           struct bytes addresses) {
    if (addresses.size == 0) {
        return;
    }
    operation->count++;
    if (operation->found_count == 0) {
        operation_found(kad, operation, id, addresses);
        return;
    }
    struct kad_addresses all = {0};
    struct bytes lists[] = {
        bytes_of(operation->found[0]->addresses, operation->found[0]->addresses_size), addresses};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        struct bytes address;
        while (kad_address_next(&lists[i], &address)) {
            (void)kad_addresses_add(&all, id, address);
        }
    }
    if (all.size == operation->found[0]->addresses_size) {
        return;
    }
    struct found *found = found_new(kad, id, kad_addresses_bytes(&all));
    if (found == NULL) {
        operation->is_out_of_memory = true;
        return;
    }
    memory_put(kad->memory, operation->found[0],
               sizeof(*found) + operation->found[0]->addresses_size);
    found_set(operation, found, 0);
}

/* What is to be known of a peer that an answer names. */
struct named {
    bool is_usable;
    struct kad_groups groups;
    struct bytes addresses;
    struct kad_addresses packed; /* where they may lie */
};

/* Most peers are named by many: their addresses are looked at once. */
static void name_take(struct kad *kad, struct operation *operation,
                      const struct kad_message_peer *peer, const struct sha256_digest *hash,
                      bool only_public, struct named *ret_named) {
    bool is_target = operation->kind == KAD_FIND_PEER &&
                     bytes_equal(peer_id_bytes(&peer->id), operation_key(operation));
    const struct query_peer *known = query_find(&operation->query, hash);
    if (known != NULL && !is_target) {
        ret_named->is_usable = true;
        ret_named->groups = known->groups;
        ret_named->addresses = bytes_of(NULL, 0);
        return;
    }
    kad_message_addresses(peer, only_public, &ret_named->packed);
    ret_named->addresses = kad_addresses_bytes(&ret_named->packed);
    if (is_target) {
        operation_take_target(kad, operation, &peer->id, ret_named->addresses);
    }
    bool is_connected = false;
    if (ret_named->addresses.size == 0) {
        ret_named->addresses = members_addresses(kad, &peer->id, &is_connected);
    }
    ret_named->is_usable = ret_named->addresses.size > 0 || is_connected;
    ret_named->groups = kad_groups_of(NULL, ret_named->addresses);
}

/* Who is reached over the Internet has no business naming private addresses: we could not dial
 * them, and no group would bound them. */
static void take_closer(struct kad *kad, struct operation *operation, struct query_peer *from,
                        const struct kad_message *answer) {
    struct cursor cursor = cursor_of(answer->whole);
    struct kad_message_peer peer;
    struct group_counts counts = {.count = 0};
    bool only_public = members_is_public(kad, &from->id);
    for (size_t i = 0;
         i < KAD_ANSWER_CLOSER_MAX && kad_message_peer_next(&cursor, KAD_LIST_CLOSER, &peer); i++) {
        if (peer_id_equal(&peer.id, &kad->own_id)) {
            continue;
        }
        struct sha256_digest hash = sha256(peer_id_bytes(&peer.id));
        struct named named;
        name_take(kad, operation, &peer, &hash, only_public, &named);
        if (named.is_usable && group_counts_allow(&counts, &named.groups) &&
            query_hear(&operation->query, from, &peer.id, &hash, named.addresses) != 0) {
            operation->is_out_of_memory = true;
        }
    }
}

static void take_providers(struct kad *kad, struct operation *operation,
                           const struct kad_message *answer) {
    struct cursor cursor = cursor_of(answer->whole);
    struct kad_message_peer peer;
    for (size_t i = 0;
         i < KAD_ANSWER_PROVIDERS_MAX && kad_message_peer_next(&cursor, KAD_LIST_PROVIDERS, &peer);
         i++) {
        if (peer_id_equal(&peer.id, &kad->own_id)) {
            continue;
        }
        struct kad_addresses packed;
        kad_message_addresses(&peer, false, &packed);
        struct bytes addresses = kad_addresses_bytes(&packed);
        bool is_connected;
        if (addresses.size == 0) {
            addresses = members_addresses(kad, &peer.id, &is_connected);
        }
        operation_found(kad, operation, &peer.id, addresses);
    }
}

void operation_take_value(struct kad *kad, struct operation *operation, struct query_peer *peer,
                          struct bytes value) {
    if (peer != NULL && operation->holder_count < KAD_VALUES_MAX) {
        operation->holders[operation->holder_count++] =
            (struct holder){.peer = peer, .value = sha256(value)};
    }
    operation->count++;
    if (operation->value != NULL && (bytes_equal(block_bytes(operation->value), value) ||
                                     !kad_value_better(&kad->namespaces, operation_key(operation),
                                                       value, block_bytes(operation->value)))) {
        return;
    }
    struct block *best = block_copy(kad->memory, value);
    if (best == NULL) {
        operation->is_out_of_memory = true;
        return;
    }
    block_unref(operation->value);
    operation->value = best;
    operation->has_value_event = true;
}

void operation_take_answer(struct kad *kad, struct operation *operation, struct query_peer *peer,
                           const struct kad_message *answer, nanos now) {
    ENSURE(operation->phase == OPERATION_LOOKUP);
    query_answered(&operation->query, peer, now);
    take_closer(kad, operation, peer, answer);
    struct bytes key = operation_key(operation);
    if (operation->kind == KAD_FIND_PROVIDERS) {
        take_providers(kad, operation, answer);
    } else if (operation->kind == KAD_GET_VALUE && answer->has_record &&
               (answer->record_key.size == 0 || bytes_equal(answer->record_key, key)) &&
               kad_value_check(&kad->namespaces, key, answer->record_value) == 0) {
        operation_take_value(kad, operation, peer, answer->record_value);
    }
}
