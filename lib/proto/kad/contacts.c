/* A list in the order of age, and a map to find one. */
#include "proto/kad/contacts.h"

#include "util/ensure.h"

void contacts_init(struct contacts *contacts, struct memory *memory, size_t count_max,
                   const uint64_t secret[2]) {
    *contacts = (struct contacts){.memory = memory, .count_max = count_max};
    list_init(&contacts->list);
    map_init(&contacts->by_id, memory, secret);
}

static size_t usefulness(bool is_server, bool is_connected) {
    return (is_connected ? (size_t)2 : 0) + is_server;
}

static size_t use_of(const struct contact *contact) {
    return usefulness(contact->is_server, contact->is_connected);
}

static int add(struct contacts *contacts, struct contact *contact) {
    int error = map_put(&contacts->by_id, &contact->by_id, peer_id_bytes(&contact->id));
    if (error == 0) {
        list_append(&contacts->list, &contact->node);
        contacts->counts[use_of(contact)]++;
    }
    return error;
}

static void take_out(struct contacts *contacts, struct contact *contact) {
    map_remove(&contacts->by_id, &contact->by_id);
    list_remove(&contacts->list, &contact->node);
    contacts->counts[use_of(contact)]--;
}

void contacts_judge(struct contacts *contacts, struct contact *contact, bool is_server,
                    bool is_connected) {
    contacts->counts[use_of(contact)]--;
    contact->is_server = is_server;
    contact->is_connected = is_connected;
    contacts->counts[use_of(contact)]++;
}

void contacts_remove(struct contacts *contacts, struct contact *contact) {
    take_out(contacts, contact);
    memory_put(contacts->memory, contact, sizeof(*contact) + contact->addresses_size);
}

void contacts_done(struct contacts *contacts) {
    while (!list_empty(&contacts->list)) {
        contacts_remove(contacts, contacts_first(contacts));
    }
    map_done(&contacts->by_id);
}

struct contact *contacts_find(const struct contacts *contacts, const struct peer_id *id) {
    return MAP_ENTRY(map_get(&contacts->by_id, peer_id_bytes(id)), struct contact, by_id);
}

/* Frees a place for somebody of this usefulness. */
static bool make_room(struct contacts *contacts, size_t useful) {
    size_t least = 0;
    while (least < CONTACT_USES && contacts->counts[least] == 0) {
        least++;
    }
    if (least > useful || least == CONTACT_USES) {
        return false;
    }
    struct contact *victim = contacts_first(contacts);
    while (use_of(victim) != least) {
        victim = contacts_next(contacts, victim);
    }
    contacts_remove(contacts, victim);
    return true;
}

/* Room for other addresses: the contact moves. */
static int contact_resize(struct contacts *contacts, struct contact *contact, size_t size,
                          struct contact **ret_contact) {
    take_out(contacts, contact);
    struct contact *moved =
        memory_resize(contacts->memory, contact, sizeof(*contact) + contact->addresses_size,
                      sizeof(*contact) + size);
    if (moved != NULL) {
        moved->addresses_size = (uint16_t)size;
        *ret_contact = moved;
    }
    /* It had a place in the map before, so there is one. */
    int error = add(contacts, moved != NULL ? moved : contact);
    ENSURE(error == 0);
    return moved != NULL ? 0 : PLASM_NO_MEMORY;
}

static int contact_new(struct contacts *contacts, const struct peer_id *id, size_t useful,
                       size_t addresses_size, struct contact **ret_contact) {
    if (contacts->list.size >= contacts->count_max && !make_room(contacts, useful)) {
        return PLASM_LIMIT;
    }
    struct contact *contact = memory_zero(contacts->memory, sizeof(*contact) + addresses_size);
    if (contact == NULL) {
        return PLASM_NO_MEMORY;
    }
    contact->id = *id;
    contact->check_at = NANOS_NEVER;
    contact->addresses_size = (uint16_t)addresses_size;
    if (add(contacts, contact) != 0) {
        memory_put(contacts->memory, contact, sizeof(*contact) + addresses_size);
        return PLASM_NO_MEMORY;
    }
    *ret_contact = contact;
    return 0;
}

int contacts_put(struct contacts *contacts, const struct peer_id *id, bool is_server,
                 bool is_connected, const struct kad_groups *groups, struct bytes addresses,
                 struct contact **ret_contact) {
    struct contact *contact = contacts_find(contacts, id);
    int error = 0;
    if (contact == NULL) {
        error = contact_new(contacts, id, usefulness(is_server, is_connected), addresses.size,
                            &contact);
    } else if (addresses.size > 0 && addresses.size != contact->addresses_size) {
        error = contact_resize(contacts, contact, addresses.size, &contact);
    }
    if (error != 0) {
        return error;
    }
    if (addresses.size > 0) {
        memcpy(contact->addresses, addresses.data, addresses.size);
        contact->groups = *groups;
    }
    contacts_judge(contacts, contact, is_server, is_connected);
    *ret_contact = contact;
    return 0;
}
