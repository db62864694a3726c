/* Known peers that are not in the routing table: clients we are connected to, servers not yet
 * checked or without a place, peers remembered from elsewhere. Bounded; they seed lookups. */
#ifndef PROTO_KAD_CONTACTS_H
#define PROTO_KAD_CONTACTS_H

#include "identity/peer_id.h"
#include "proto/kad/addresses.h"
#include "util/list.h"
#include "util/map.h"
#include "util/time.h"

struct contact {
    struct list_node node;
    struct map_node by_id;
    struct peer_id id;
    bool is_server;
    bool is_connected;
    bool has_answered; /* a request of ours: it may enter the table once it is known as a server */
    bool is_checking;  /* it is being asked for that answer */
    uint8_t failures;
    uint16_t addresses_size;
    struct kad_groups groups;
    nanos check_at; /* when it should be asked for an answer; NANOS_NEVER */
    uint8_t addresses[];
};

static inline struct bytes contact_addresses(const struct contact *contact) {
    return bytes_of(contact->addresses, contact->addresses_size);
}

/* How useful a contact is, from 0: connected before not, servers before clients. */
#define CONTACT_USES 4

struct contacts {
    struct memory *memory;
    struct list list; /* oldest first */
    struct map by_id;
    size_t counts[CONTACT_USES]; /* of each usefulness */
    size_t count_max;
};

/* `secret` as map_init's. */
void contacts_init(struct contacts *contacts, struct memory *memory, size_t count_max,
                   const uint64_t secret[2]);
void contacts_done(struct contacts *contacts);

struct contact *contacts_find(const struct contacts *contacts, const struct peer_id *id);
/* Notes what a contact is. */
void contacts_judge(struct contacts *contacts, struct contact *contact, bool is_server,
                    bool is_connected);
/* Adds or updates a peer's standing and its addresses (kept when `addresses` is empty); pointers to
 * it that were given before end here. When there is no place, the least useful contact goes, the
 * oldest among equals: connected before not, servers before clients. PLASM_LIMIT when the new one
 * is the least useful, PLASM_NO_MEMORY. */
MUST_CHECK int contacts_put(struct contacts *contacts, const struct peer_id *id, bool is_server,
                            bool is_connected, const struct kad_groups *groups,
                            struct bytes addresses, struct contact **ret_contact);
void contacts_remove(struct contacts *contacts, struct contact *contact);

static inline struct contact *contacts_first(const struct contacts *contacts) {
    return LIST_ENTRY(list_first(&contacts->list), struct contact, node);
}
static inline struct contact *contacts_next(const struct contacts *contacts,
                                            const struct contact *contact) {
    return LIST_ENTRY(list_next(&contacts->list, &contact->node), struct contact, node);
}

#endif
