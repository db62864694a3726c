/* The machine as a whole: beginning, end, events, time, and the operations' front doors. */
#include "proto/kad/kad.h"

#include "proto/kad/internal.h"
#include "wire/multiaddr.h"

int kad_new(const struct kad_config *config, struct memory *memory, nanos now,
            struct kad **ret_kad) {
    if (config->own_id.size == 0) {
        return PLASM_INVALID;
    }
    struct kad *kad = memory_zero(memory, sizeof(*kad));
    if (kad == NULL) {
        return PLASM_NO_MEMORY;
    }
    kad->memory = memory;
    kad->random = config->random;
    kad->limits = config->limits;
    kad->namespaces = config->namespaces;
    kad->mode = config->mode;
    kad->own_id = config->own_id;
    kad->own_hash = sha256(peer_id_bytes(&config->own_id));
    uint64_t secret[2] = {random_u64(kad->random), random_u64(kad->random)};
    table_init(&kad->table, memory, &kad->own_hash);
    contacts_init(&kad->contacts, memory, kad->limits.contacts_max, secret);
    providers_init(&kad->providers, memory, &kad->limits, &kad->own_hash, secret);
    records_init(&kad->records, memory, &kad->limits, &kad->namespaces, &kad->own_hash, secret);
    list_init(&kad->provided);
    list_init(&kad->operations);
    list_init(&kad->requests);
    kad->table_check_at = NANOS_NEVER;
    kad->contact_check_at = NANOS_NEVER;
    kad->refresh_at = nanos_add(now, kad->limits.refresh_interval);
    kad->sweep_at = nanos_add(now, kad->limits.sweep_interval);
    *ret_kad = kad;
    return 0;
}

static struct operation *operation_of(struct list_node *node) {
    return LIST_ENTRY(node, struct operation, node);
}

void kad_free(struct kad *kad) {
    if (kad == NULL) {
        return;
    }
    while (!list_empty(&kad->operations)) {
        operation_free(kad, operation_of(list_first(&kad->operations)));
    }
    requests_free(kad);
    provided_free_all(kad);
    records_done(&kad->records);
    providers_done(&kad->providers);
    contacts_done(&kad->contacts);
    table_done(&kad->table);
    memory_put(kad->memory, kad, sizeof(*kad));
}

void kad_set_mode(struct kad *kad, enum kad_mode mode) {
    kad->mode = mode;
}

int kad_set_addresses(struct kad *kad, const struct bytes *addresses, size_t count, nanos now) {
    struct multiaddr checked;
    for (size_t i = 0; i < count; i++) {
        if (multiaddr_decode(addresses[i], &checked) != 0) {
            return PLASM_MALFORMED;
        }
    }
    struct kad_addresses packed = {0};
    kad_addresses_add_list(&packed, &kad->own_id, addresses, count);
    bool is_changed =
        !bytes_equal(kad_addresses_bytes(&packed), kad_addresses_bytes(&kad->own_addresses));
    kad->own_addresses = packed;
    if (is_changed && packed.count > 0) {
        provided_readdress(kad, now);
    }
    return 0;
}

/* --- Operations ----------------------------------------------------------------------------- */

int kad_find_peer(struct kad *kad, const struct peer_id *id, const struct kad_options *options,
                  nanos now, uint64_t *ret_operation) {
    return operation_start(kad, KAD_FIND_PEER, peer_id_bytes(id), bytes_of(NULL, 0), options, false,
                           now, ret_operation);
}

int kad_find_closest(struct kad *kad, struct bytes key, const struct kad_options *options,
                     nanos now, uint64_t *ret_operation) {
    return operation_start(kad, KAD_FIND_CLOSEST, key, bytes_of(NULL, 0), options, false, now,
                           ret_operation);
}

int kad_find_providers(struct kad *kad, struct bytes key, const struct kad_options *options,
                       nanos now, uint64_t *ret_operation) {
    return operation_start(kad, KAD_FIND_PROVIDERS, key, bytes_of(NULL, 0), options, false, now,
                           ret_operation);
}

int kad_put_value(struct kad *kad, struct bytes key, struct bytes value,
                  const struct kad_options *options, nanos now, uint64_t *ret_operation) {
    int error = kad_value_check(&kad->namespaces, key, value);
    if (error == 0 && kad->mode == KAD_SERVER) {
        error = records_put(&kad->records, key, value, now);
        error = error == PLASM_LIMIT ? 0 : error; /* others may have room */
    }
    return error != 0 ? error
                      : operation_start(kad, KAD_PUT_VALUE, key, value, options, false, now,
                                        ret_operation);
}

int kad_get_value(struct kad *kad, struct bytes key, const struct kad_options *options, nanos now,
                  uint64_t *ret_operation) {
    return operation_start(kad, KAD_GET_VALUE, key, bytes_of(NULL, 0), options, false, now,
                           ret_operation);
}

void kad_cancel(struct kad *kad, uint64_t id, nanos now) {
    struct operation *operation = operation_of(list_first(&kad->operations));
    while (operation != NULL && operation->id != id) {
        operation = operation_of(list_next(&kad->operations, &operation->node));
    }
    if (operation != NULL) {
        operation_finish(kad, operation, PLASM_CANCELLED, now);
    }
}

/* --- Events --------------------------------------------------------------------------------- */

static bool next_found(struct operation *operation, struct kad_event *ret_event) {
    while (operation->unreported < operation->found_count) {
        struct found *found = operation->found[operation->unreported++];
        if (!found->is_reported) {
            found->is_reported = true;
            *ret_event = (struct kad_event){
                .kind = operation->kind == KAD_FIND_PROVIDERS ? KAD_PROVIDER_FOUND : KAD_PEER_FOUND,
                .operation = operation->id,
                .peer = found->id,
                .addresses = bytes_of(found->addresses, found->addresses_size)};
            return true;
        }
    }
    return false;
}

static void event_done(const struct operation *operation, struct kad_event *ret_event) {
    *ret_event =
        (struct kad_event){.kind = KAD_OPERATION_DONE,
                           .operation = operation->id,
                           .done = {.kind = operation->kind,
                                    .is_internal = operation->is_internal,
                                    .status = operation->status,
                                    .count = operation->count,
                                    .asked = operation->asked,
                                    .answered = operation->answered,
                                    .failed = operation->failed,
                                    .hops = operation->hops,
                                    .elapsed = nanos_since(operation->ended, operation->started)}};
}

static bool next_operation_event(struct kad *kad, struct operation *operation,
                                 struct kad_event *ret_event) {
    if (next_found(operation, ret_event)) {
        return true;
    }
    if (operation->has_value_event) {
        operation->has_value_event = false;
        *ret_event = (struct kad_event){.kind = KAD_VALUE_FOUND,
                                        .operation = operation->id,
                                        .value = block_bytes(operation->value)};
        return true;
    }
    if (operation->phase == OPERATION_DONE) {
        event_done(operation, ret_event);
        operation_free(kad, operation);
        return true;
    }
    return false;
}

bool kad_next_event(struct kad *kad, struct kad_event *ret_event) {
    struct operation *operation = operation_of(list_first(&kad->operations));
    while (operation != NULL) {
        struct operation *next = operation_of(list_next(&kad->operations, &operation->node));
        if (next_operation_event(kad, operation, ret_event)) {
            return true;
        }
        operation = next;
    }
    if (kad->table_event_count == 0) {
        return false;
    }
    const struct table_event *event = &kad->table_events[kad->table_event_first];
    *ret_event = (struct kad_event){.kind = event->is_added ? KAD_TABLE_ADDED : KAD_TABLE_REMOVED,
                                    .peer = event->peer,
                                    .table_size = event->table_size};
    kad->table_event_first = (kad->table_event_first + 1) % KAD_TABLE_EVENTS_MAX;
    kad->table_event_count--;
    return true;
}

/* --- Time ----------------------------------------------------------------------------------- */

void kad_expire(struct kad *kad, nanos now) {
    kad->is_due = false;
    requests_expire(kad, now);
    for (struct operation *operation = operation_of(list_first(&kad->operations));
         operation != NULL;
         operation = operation_of(list_next(&kad->operations, &operation->node))) {
        if (operation->phase == OPERATION_DONE) {
            continue;
        }
        if (operation->deadline <= now) {
            operation_finish(kad, operation, PLASM_TIMEOUT, now);
            continue;
        }
        if (operation->phase == OPERATION_LOOKUP) {
            query_expire(&operation->query, now);
        }
        operation_advance(kad, operation, now);
    }
    maintain_expire(kad, now);
}

nanos kad_deadline(const struct kad *kad) {
    if (kad->is_due) {
        return 0;
    }
    nanos deadline = nanos_min(maintain_deadline(kad), members_deadline(kad));
    const struct request *first = LIST_ENTRY(list_first(&kad->requests), struct request, node);
    if (first != NULL) {
        deadline = nanos_min(deadline, first->deadline);
    }
    for (struct list_node *node = list_first(&kad->operations); node != NULL;
         node = list_next(&kad->operations, node)) {
        deadline = nanos_min(deadline, operation_deadline(kad, operation_of(node)));
    }
    return deadline;
}

/* --- Looking inside ------------------------------------------------------------------------- */

void kad_count(const struct kad *kad, struct kad_counts *ret_counts) {
    *ret_counts = (struct kad_counts){.table_peers = kad->table.size,
                                      .contacts = kad->contacts.list.size,
                                      .provider_keys = kad->providers.keys.size,
                                      .provider_records = kad->providers.records,
                                      .records = kad->records.map.size,
                                      .provided_keys = kad->provided.size,
                                      .operations = kad->operations.size,
                                      .requests = kad->requests.size};
}

size_t kad_table_closest(const struct kad *kad, struct bytes key, struct peer_id *ret_ids,
                         size_t n) {
    struct sha256_digest target = sha256(key);
    const struct table_peer *peers[KAD_K];
    size_t count = table_closest(&kad->table, &target, NULL, true, peers, n < KAD_K ? n : KAD_K);
    for (size_t i = 0; i < count; i++) {
        ret_ids[i] = peers[i]->id;
    }
    return count;
}
