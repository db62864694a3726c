/* The way of a peer into the table and out of it. A peer is admitted once identify has called it a
 * server and it has answered a request of ours, in either order, or has come from where it says it
 * is to be reached. */
#include "proto/kad/internal.h"

#include "proto/kad/distance.h"
#include "util/ensure.h"
#include "wire/multiaddr.h"

/* A client asks for no sign of life at once: its lookups mostly do it anyway. */
#define CLIENT_CHECK_DELAY NANOS_SECOND
/* The size of the network is estimated anew after so long. */
#define SPACING_LIFE NANOS_SECOND

static void push_table_event(struct kad *kad, const struct peer_id *id, bool is_added) {
    if (kad->table_event_count == KAD_TABLE_EVENTS_MAX) {
        kad->table_event_first = (kad->table_event_first + 1) % KAD_TABLE_EVENTS_MAX;
        kad->table_event_count--;
    }
    size_t place = (kad->table_event_first + kad->table_event_count) % KAD_TABLE_EVENTS_MAX;
    kad->table_events[place] =
        (struct table_event){.peer = *id, .is_added = is_added, .table_size = kad->table.size};
    kad->table_event_count++;
}

static void check_member(struct kad *kad, struct table_peer *member, nanos when) {
    member->check_at = when;
    kad->table_check_at = nanos_min(kad->table_check_at, when);
}

static void check_contact(struct kad *kad, struct contact *contact, nanos when) {
    contact->check_at = when;
    kad->contact_check_at = nanos_min(kad->contact_check_at, when);
}

/* Whether the bucket has a place, or a peer that may have to give up its own. */
static bool bucket_may_take(const struct kad *kad, size_t bucket, nanos now) {
    if (kad->table.bucket_sizes[bucket] < KAD_K) {
        return true;
    }
    const struct table_peer *oldest = table_oldest(&kad->table, bucket);
    return oldest->failures > 0 || nanos_since(now, oldest->seen) >= kad->limits.stale_age;
}

static void remove_peer(struct kad *kad, struct table_peer *peer) {
    struct peer_id id = peer->id;
    table_remove(&kad->table, peer);
    push_table_event(kad, &id, false);
}

/* Makes the bucket's oldest peer answer for its place, or lose it when it failed already. Returns
 * true when there is a place now. */
static bool challenge_oldest(struct kad *kad, size_t bucket, nanos now) {
    struct table_peer *oldest = table_oldest(&kad->table, bucket);
    if (oldest->failures > 0) {
        remove_peer(kad, oldest);
        return true;
    }
    if (nanos_since(now, oldest->seen) >= kad->limits.stale_age && !oldest->is_checking) {
        check_member(kad, oldest, now);
    }
    return false;
}

/* Whether so many members are around this digest, where about one is to be expected, that they must
 * have chosen their ids: their kind gets no more places in the bucket. */
static bool is_crowded(struct kad *kad, const struct sha256_digest *hash, nanos now) {
    uint64_t spacing = members_spacing(kad, now);
    return table_crowd(&kad->table, table_bucket(&kad->table, hash), hash, spacing) >=
           KAD_CROWD_BASE;
}

/* Moves a contact that earned it into the table, if there is a place. */
static void admit(struct kad *kad, struct contact *contact, nanos now) {
    struct sha256_digest hash = sha256(peer_id_bytes(&contact->id));
    if (is_crowded(kad, &hash, now)) {
        return;
    }
    struct table_peer *peer;
    int error = table_put(&kad->table, &contact->id, &hash, &contact->groups,
                          contact_addresses(contact), now, &peer);
    if (error == PLASM_LIMIT && challenge_oldest(kad, table_bucket(&kad->table, &hash), now)) {
        error = table_put(&kad->table, &contact->id, &hash, &contact->groups,
                          contact_addresses(contact), now, &peer);
    }
    if (error != 0) {
        return; /* it stays a contact and may try again when a place is free */
    }
    peer->is_connected = contact->is_connected;
    contacts_remove(&kad->contacts, contact);
    push_table_event(kad, &peer->id, true);
    maintain_table_grew(kad, now);
}

/* Decides when a server that has not answered anything yet is asked for it. True when it is, or is
 * already. */
static bool plan_check(struct kad *kad, struct contact *contact, nanos now) {
    if (contact->check_at != NANOS_NEVER || contact->is_checking) {
        return true;
    }
    struct sha256_digest hash = sha256(peer_id_bytes(&contact->id));
    size_t bucket = table_bucket(&kad->table, &hash);
    if (contact->failures > 0 || !bucket_may_take(kad, bucket, now) ||
        is_crowded(kad, &hash, now) || !table_group_allows(&kad->table, bucket, &contact->groups)) {
        return false;
    }
    check_contact(kad, contact, kad->mode == KAD_SERVER ? now : nanos_add(now, CLIENT_CHECK_DELAY));
    return true;
}

/* A place in the bucket is free: who waits for one? That may be long, so it has to answer now. */
static void refill(struct kad *kad, size_t bucket, nanos now) {
    size_t room = KAD_K - kad->table.bucket_sizes[bucket];
    for (struct contact *contact = contacts_first(&kad->contacts); contact != NULL && room > 0;
         contact = contacts_next(&kad->contacts, contact)) {
        struct sha256_digest hash = sha256(peer_id_bytes(&contact->id));
        if (contact->is_server && (contact->has_answered || contact->is_connected) &&
            table_bucket(&kad->table, &hash) == bucket && plan_check(kad, contact, now)) {
            room--;
        }
    }
}

/* Out of the table, into the contacts where that is of use. */
static void expel(struct kad *kad, struct table_peer *peer, bool keep, bool is_server, nanos now) {
    size_t bucket = table_bucket(&kad->table, &peer->hash);
    if (keep) {
        struct contact *contact;
        int error = contacts_put(&kad->contacts, &peer->id, is_server, peer->is_connected,
                                 &peer->groups, table_peer_addresses(peer), &contact);
        (void)error; /* forgotten for want of room: nothing depends on it */
    }
    remove_peer(kad, peer);
    refill(kad, bucket, now);
}

static void identified_member(struct kad *kad, struct table_peer *peer, const struct kad_peer *info,
                              const struct kad_groups *groups, struct bytes addresses, nanos now) {
    if (!info->is_server) {
        peer->is_connected = info->is_connected;
        expel(kad, peer, info->is_connected, false, now);
        return;
    }
    if (info->is_connected) {
        int error = table_put(&kad->table, &peer->id, &peer->hash, groups, addresses, now, &peer);
        ENSURE(error == 0);
        peer->is_connected = true;
    }
}

/* True when the peer's packets come from where it says it listens, as with QUIC on one port: it
 * proved, while connecting, that it is to be reached there. */
static bool is_at_home(const struct kad_peer *peer, struct bytes addresses) {
    struct bytes address;
    while (peer->remote != NULL && kad_address_next(&addresses, &address)) {
        struct multiaddr multiaddr;
        struct netaddr home;
        struct bytes id;
        if (multiaddr_decode(address, &multiaddr) == 0 &&
            multiaddr_to_quic(&multiaddr, &home, &id) == 0 && netaddr_equal(&home, peer->remote)) {
            return true;
        }
    }
    return false;
}

int kad_peer_identified(struct kad *kad, const struct kad_peer *peer, nanos now) {
    if (peer->id.size == 0 || peer_id_equal(&peer->id, &kad->own_id)) {
        return 0;
    }
    struct kad_addresses packed = {0};
    kad_addresses_add_list(&packed, &peer->id, peer->addresses, peer->address_count);
    struct bytes addresses = kad_addresses_bytes(&packed);
    struct kad_groups groups = kad_groups_of(peer->remote, addresses);
    struct sha256_digest hash = sha256(peer_id_bytes(&peer->id));
    struct table_peer *member = table_find(&kad->table, &hash);
    if (member != NULL) {
        identified_member(kad, member, peer, &groups, addresses, now);
        return 0;
    }
    struct contact *contact = contacts_find(&kad->contacts, &peer->id);
    bool is_connected = peer->is_connected || (contact != NULL && contact->is_connected);
    int error = contacts_put(&kad->contacts, &peer->id, peer->is_server, is_connected, &groups,
                             addresses, &contact);
    if (error != 0) {
        return error == PLASM_LIMIT ? 0 : error;
    }
    if (!peer->is_server) {
        return 0;
    }
    operations_seed(kad, &peer->id, contact_addresses(contact));
    contact->has_answered |= contact->is_connected && is_at_home(peer, addresses);
    if (contact->has_answered) {
        admit(kad, contact, now);
    } else if (contact->is_connected) {
        contact->failures = 0;
        (void)plan_check(kad, contact, now);
    }
    return 0;
}

void kad_peer_disconnected(struct kad *kad, const struct peer_id *id, nanos now) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    struct table_peer *member = table_find(&kad->table, &hash);
    if (member != NULL) {
        member->is_connected = false;
        member->seen = now;
        return;
    }
    struct contact *contact = contacts_find(&kad->contacts, id);
    if (contact == NULL) {
        return;
    }
    contacts_judge(&kad->contacts, contact, contact->is_server, false);
    contact->check_at = NANOS_NEVER;
    if (!contact->is_server) {
        contacts_remove(&kad->contacts, contact);
    }
}

void members_answered(struct kad *kad, const struct peer_id *id, struct bytes addresses,
                      nanos now) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    struct table_peer *member = table_find(&kad->table, &hash);
    if (member != NULL) {
        member->seen = now;
        member->failures = 0;
        member->is_checking = false;
        member->check_at = NANOS_NEVER;
        return;
    }
    struct contact *contact = contacts_find(&kad->contacts, id);
    if (contact == NULL) {
        /* It will be identified soon, and may enter the table then. */
        struct kad_groups groups = kad_groups_of(NULL, addresses);
        if (contacts_put(&kad->contacts, id, false, false, &groups, addresses, &contact) != 0) {
            return;
        }
    }
    contact->has_answered = true;
    contact->is_checking = false;
    contact->failures = 0;
    contact->check_at = NANOS_NEVER;
    if (contact->is_server) {
        admit(kad, contact, now);
    }
}

static void member_failed(struct kad *kad, struct table_peer *member, int error, nanos now) {
    member->is_checking = false;
    if (error == PLASM_UNSUPPORTED) {
        expel(kad, member, member->is_connected, false, now);
        return;
    }
    /* Failures at the same time count as one: they have one cause. */
    if (member->failures == 0 ||
        nanos_since(now, member->failed) >= kad->limits.check_interval / 2) {
        member->failures++;
        member->failed = now;
    }
    if (member->failures >= KAD_PEER_FAILURES_MAX) {
        /* When almost everybody is gone it is more likely us: remember whom to ask again. */
        expel(kad, member, kad->table.size <= KAD_K, true, now);
        return;
    }
    check_member(kad, member,
                 nanos_add(member->failed, kad->limits.check_interval * member->failures));
}

/* Our own trouble, which says nothing of the peer: what was to be checked is checked later. */
static void not_checked(struct kad *kad, struct table_peer *member, struct contact *contact,
                        nanos now) {
    nanos when = nanos_add(now, kad->limits.check_interval);
    if (member != NULL && member->is_checking) {
        member->is_checking = false;
        check_member(kad, member, when);
    }
    if (contact != NULL && contact->is_checking) {
        contact->is_checking = false;
        check_contact(kad, contact, when);
    }
}

static void contact_failed(struct kad *kad, struct contact *contact, int error, nanos now) {
    if (contact->failures < UINT8_MAX) {
        contact->failures++;
    }
    contact->has_answered = false;
    contact->is_checking = false;
    contact->check_at = NANOS_NEVER;
    if (error == PLASM_UNSUPPORTED) {
        contacts_judge(&kad->contacts, contact, false, contact->is_connected);
    }
    bool is_given_up = contact->failures >= KAD_PEER_FAILURES_MAX;
    if (contact->is_connected) {
        if (contact->is_server && !is_given_up) {
            check_contact(kad, contact, nanos_add(now, kad->limits.check_interval));
        }
    } else if (!contact->is_server || (is_given_up && kad->table.size > 0)) {
        /* While we know nobody else it is more likely us. */
        contacts_remove(&kad->contacts, contact);
    }
}

void members_failed(struct kad *kad, const struct peer_id *id, int error, nanos now) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    struct table_peer *member = table_find(&kad->table, &hash);
    struct contact *contact = member == NULL ? contacts_find(&kad->contacts, id) : NULL;
    if (error == PLASM_NO_MEMORY || error == PLASM_LIMIT || error == PLASM_CANCELLED) {
        not_checked(kad, member, contact, now);
    } else if (member != NULL) {
        member_failed(kad, member, error, now);
    } else if (contact != NULL) {
        contact_failed(kad, contact, error, now);
    }
}

int members_remember(struct kad *kad, const struct peer_id *id, struct bytes addresses) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    struct contact *contact;
    if (peer_id_equal(id, &kad->own_id) || table_find(&kad->table, &hash) != NULL ||
        contacts_find(&kad->contacts, id) != NULL) {
        return 0;
    }
    struct kad_groups groups = kad_groups_of(NULL, addresses);
    return contacts_put(&kad->contacts, id, true, false, &groups, addresses, &contact);
}

/* The member to check next, or NULL. */
static struct table_peer *due_member(struct kad *kad, nanos now) {
    nanos next = NANOS_NEVER;
    for (struct table_peer *peer = table_next(&kad->table, NULL); peer != NULL;
         peer = table_next(&kad->table, peer)) {
        if (peer->check_at <= now) {
            return peer;
        }
        next = nanos_min(next, peer->check_at);
    }
    kad->table_check_at = next;
    return NULL;
}

static struct contact *due_contact(struct kad *kad, nanos now) {
    nanos next = NANOS_NEVER;
    for (struct contact *contact = contacts_first(&kad->contacts); contact != NULL;
         contact = contacts_next(&kad->contacts, contact)) {
        if (contact->check_at <= now) {
            return contact;
        }
        next = nanos_min(next, contact->check_at);
    }
    kad->contact_check_at = next;
    return NULL;
}

bool members_next_check(struct kad *kad, nanos now, const struct peer_id **ret_id,
                        struct bytes *ret_addresses) {
    if (kad->checks >= KAD_CHECKS_MAX) {
        return false;
    }
    struct table_peer *member = kad->table_check_at <= now ? due_member(kad, now) : NULL;
    if (member != NULL) {
        member->check_at = NANOS_NEVER;
        member->is_checking = true;
        *ret_id = &member->id;
        *ret_addresses = table_peer_addresses(member);
        return true;
    }
    struct contact *contact = kad->contact_check_at <= now ? due_contact(kad, now) : NULL;
    if (contact != NULL) {
        contact->check_at = NANOS_NEVER;
        contact->is_checking = true;
        *ret_id = &contact->id;
        *ret_addresses = contact_addresses(contact);
        return true;
    }
    return false;
}

/* Named as a neighbour of ours, whom we do not know: worth asking? */
static bool is_news(struct kad *kad, const struct peer_id *id, const struct sha256_digest *hash,
                    nanos now) {
    uint64_t reach = kad->table.size < KAD_K ? UINT64_MAX : members_spacing(kad, now) * KAD_K;
    struct sha256_digest distance = kad_distance(&kad->own_hash, hash);
    return kad_head(&distance) < reach && !peer_id_equal(id, &kad->own_id) &&
           table_find(&kad->table, hash) == NULL && contacts_find(&kad->contacts, id) == NULL &&
           bucket_may_take(kad, table_bucket(&kad->table, hash), now) &&
           !is_crowded(kad, hash, now);
}

void members_hear(struct kad *kad, const struct peer_id *from, const struct kad_message *answer,
                  nanos now) {
    if (kad->mode == KAD_CLIENT && kad->table.size >= KAD_K) {
        return; /* nobody asks us who our neighbours are */
    }
    struct cursor cursor = cursor_of(answer->whole);
    struct kad_message_peer peer;
    bool only_public = members_is_public(kad, from);
    for (size_t i = 0;
         i < KAD_ANSWER_CLOSER_MAX && kad_message_peer_next(&cursor, KAD_LIST_CLOSER, &peer); i++) {
        struct sha256_digest hash = sha256(peer_id_bytes(&peer.id));
        if (!is_news(kad, &peer.id, &hash, now)) {
            continue;
        }
        struct kad_addresses packed;
        kad_message_addresses(&peer, only_public, &packed);
        struct bytes addresses = kad_addresses_bytes(&packed);
        struct kad_groups groups = kad_groups_of(NULL, addresses);
        struct contact *contact;
        if (packed.count > 0 &&
            table_group_allows(&kad->table, table_bucket(&kad->table, &hash), &groups) &&
            contacts_put(&kad->contacts, &peer.id, true, false, &groups, addresses, &contact) ==
                0) {
            check_contact(kad, contact, now);
        }
    }
}

void kad_ask_neighbours(struct kad *kad, const struct peer_id *id, nanos now) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    struct table_peer *member = table_find(&kad->table, &hash);
    struct contact *contact = member == NULL ? contacts_find(&kad->contacts, id) : NULL;
    struct kad_groups groups = {0};
    if (member != NULL) {
        check_member(kad, member, member->is_checking ? NANOS_NEVER : now);
    } else if (!peer_id_equal(id, &kad->own_id) &&
               (contact != NULL || contacts_put(&kad->contacts, id, true, true, &groups,
                                                bytes_of(NULL, 0), &contact) == 0)) {
        check_contact(kad, contact, contact->is_checking ? NANOS_NEVER : now);
    }
}

static bool is_silent(const struct kad *kad, const struct table_peer *member, nanos now) {
    return nanos_since(now, member->seen) >= client_patience(kad, kad->limits.silence_max);
}

void members_check_silent(struct kad *kad, nanos now) {
    for (struct table_peer *peer = table_next(&kad->table, NULL); peer != NULL;
         peer = table_next(&kad->table, peer)) {
        if (peer->check_at == NANOS_NEVER && !peer->is_checking && is_silent(kad, peer, now)) {
            check_member(kad, peer, now);
        }
    }
}

uint64_t members_spacing(struct kad *kad, nanos now) {
    if (now >= kad->spacing_until && kad->table.size >= KAD_K) {
        const struct table_peer *peers[KAD_K];
        size_t count = table_closest(&kad->table, &kad->own_hash, NULL, true, peers, KAD_K);
        struct sha256_digest farthest = kad_distance(&kad->own_hash, &peers[count - 1]->hash);
        kad->spacing = kad_head(&farthest) / KAD_K;
        kad->spacing_until = nanos_add(now, SPACING_LIFE);
    }
    return kad->spacing;
}

bool members_fill(const struct kad *kad, size_t bucket, nanos now) {
    size_t lively = 0;
    for (size_t i = 0; i < kad->table.bucket_sizes[bucket]; i++) {
        const struct table_peer *peer = kad->table.buckets[bucket][i].peer;
        lively += peer->failures == 0 && !is_silent(kad, peer, now);
    }
    return lively >= (kad->mode == KAD_CLIENT ? KAD_REFRESH_ENOUGH_CLIENT : KAD_REFRESH_ENOUGH);
}

nanos members_deadline(const struct kad *kad) {
    return kad->checks < KAD_CHECKS_MAX ? nanos_min(kad->table_check_at, kad->contact_check_at)
                                        : NANOS_NEVER;
}

int members_seed(const struct kad *kad, struct query *query) {
    const struct table_peer *peers[KAD_K];
    size_t count = table_closest(&kad->table, &query->target, NULL, false, peers, KAD_K);
    if (count < KAD_K) {
        count = table_closest(&kad->table, &query->target, NULL, true, peers, KAD_K);
    }
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++) {
        error = query_seed(query, &peers[i]->id, &peers[i]->hash, table_peer_addresses(peers[i]));
    }
    /* Servers that are no members yet: connected ones first. */
    for (int round = 0; round < 2; round++) {
        for (struct contact *contact = contacts_first(&kad->contacts);
             error == 0 && contact != NULL && query->seed_count < KAD_K;
             contact = contacts_next(&kad->contacts, contact)) {
            if (contact->is_server && contact->is_connected == (round == 0)) {
                struct sha256_digest hash = sha256(peer_id_bytes(&contact->id));
                error = query_seed(query, &contact->id, &hash, contact_addresses(contact));
            }
        }
    }
    return error;
}

struct bytes members_addresses(const struct kad *kad, const struct peer_id *id,
                               bool *ret_is_connected) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    const struct table_peer *member = table_find(&kad->table, &hash);
    const struct contact *contact = member == NULL ? contacts_find(&kad->contacts, id) : NULL;
    *ret_is_connected =
        (member != NULL && member->is_connected) || (contact != NULL && contact->is_connected);
    if (member != NULL) {
        return table_peer_addresses(member);
    }
    return contact != NULL ? contact_addresses(contact) : bytes_of(NULL, 0);
}

bool members_is_public(const struct kad *kad, const struct peer_id *id) {
    struct sha256_digest hash = sha256(peer_id_bytes(id));
    const struct table_peer *member = table_find(&kad->table, &hash);
    const struct contact *contact = member == NULL ? contacts_find(&kad->contacts, id) : NULL;
    struct kad_groups groups = {0};
    if (member != NULL) {
        groups = member->groups;
    } else if (contact != NULL) {
        groups = contact->groups;
    }
    return kad_groups_any(&groups);
}
