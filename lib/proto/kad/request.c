/* Requests under way: made from what operations and checks want, ended by answers or time. */
#include "proto/kad/internal.h"

#include "util/ensure.h"

static struct request *request_of(struct list_node *node) {
    return LIST_ENTRY(node, struct request, node);
}

static struct request *request_find(const struct kad *kad, uint64_t id) {
    struct request *request = request_of(list_first(&kad->requests));
    while (request != NULL && request->id != id) {
        request = request_of(list_next(&kad->requests, &request->node));
    }
    return request;
}

static void request_free(struct kad *kad, struct request *request) {
    kad->checks -= request->kind == REQUEST_CHECK;
    list_remove(&kad->requests, &request->node);
    memory_put(kad->memory, request, sizeof(*request));
}

void requests_orphan(struct kad *kad, const struct operation *operation) {
    for (struct request *request = request_of(list_first(&kad->requests)); request != NULL;
         request = request_of(list_next(&kad->requests, &request->node))) {
        if (request->operation == operation) {
            request->operation = NULL;
            request->query_peer = NULL;
            request->target = NULL;
        }
    }
}

void requests_free(struct kad *kad) {
    while (!list_empty(&kad->requests)) {
        request_free(kad, request_of(list_first(&kad->requests)));
    }
}

/* Notes a request to this peer and fills in what all asks have; NULL when memory is out. */
static struct request *request_new(struct kad *kad, enum request_kind kind,
                                   const struct peer_id *peer, nanos now, struct kad_ask *ask) {
    struct request *request = memory_zero(kad->memory, sizeof(*request));
    if (request == NULL) {
        return NULL;
    }
    request->id = ++kad->last_request;
    request->kind = kind;
    request->peer = *peer;
    request->deadline = nanos_add(now, kad->limits.request_timeout);
    list_append(&kad->requests, &request->node);
    kad->checks += kind == REQUEST_CHECK;
    *ask = (struct kad_ask){
        .id = request->id, .peer = *peer, .expects_answer = true, .deadline = request->deadline};
    return request;
}

/* The next request of a lookup. One that cannot be noted fails at once, so that the lookup goes on
 * with another peer. */
static bool ask_lookup(struct kad *kad, struct operation *operation, nanos now,
                       struct kad_ask *ret_ask) {
    struct query_peer *peer;
    while ((peer = query_next(&operation->query, now)) != NULL) {
        struct kad_ask ask;
        struct request *request = request_new(kad, REQUEST_LOOKUP, &peer->id, now, &ask);
        if (request == NULL) {
            query_failed(&operation->query, peer);
            operation->is_out_of_memory = true;
            kad->is_due = true;
            continue;
        }
        request->type = operation->request_type;
        request->operation = operation;
        request->query_peer = peer;
        ask.addresses = query_peer_addresses(peer);
        ask.request = bytes_of(operation->request, operation->request_size);
        *ret_ask = ask;
        return true;
    }
    return false;
}

static bool ask_store(struct kad *kad, struct operation *operation, nanos now,
                      struct kad_ask *ret_ask) {
    for (size_t i = 0; i < operation->target_count; i++) {
        struct target *target = &operation->targets[i];
        if (target->state != TARGET_PENDING) {
            continue;
        }
        struct kad_ask ask;
        struct request *request = request_new(kad, REQUEST_STORE, &target->peer->id, now, &ask);
        if (request == NULL) {
            target->state = TARGET_FAILED;
            operation->is_out_of_memory = true;
            kad->is_due = true;
            continue;
        }
        target->state = TARGET_WAITING;
        target->asked = now;
        request->type =
            operation->kind == KAD_PROVIDE ? KAD_MESSAGE_ADD_PROVIDER : KAD_MESSAGE_PUT_VALUE;
        request->operation = operation;
        request->target = target;
        ask.addresses = query_peer_addresses(target->peer);
        ask.request = block_bytes(operation->store_request);
        ask.expects_answer = request->type != KAD_MESSAGE_ADD_PROVIDER;
        *ret_ask = ask;
        return true;
    }
    return false;
}

/* A peer that is checked is asked for us: every server can answer that, and says who is near us. */
static bool ask_check(struct kad *kad, nanos now, struct kad_ask *ret_ask) {
    const struct peer_id *id;
    struct bytes addresses;
    if (!members_next_check(kad, now, &id, &addresses)) {
        return false;
    }
    struct kad_ask ask;
    struct request *request = request_new(kad, REQUEST_CHECK, id, now, &ask);
    if (request == NULL) {
        members_failed(kad, id, PLASM_NO_MEMORY, now);
        return false;
    }
    request->type = KAD_MESSAGE_FIND_NODE;
    struct writer writer = writer_of((struct span){kad->check_request, sizeof(kad->check_request)});
    kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, peer_id_bytes(&kad->own_id));
    ENSURE(writer.error == 0);
    ask.addresses = addresses;
    ask.request = writer_bytes(&writer);
    *ret_ask = ask;
    return true;
}

bool kad_next_ask(struct kad *kad, nanos now, struct kad_ask *ret_ask) {
    /* Operations take turns: who has asked goes to the end. */
    struct operation *operation = LIST_ENTRY(list_first(&kad->operations), struct operation, node);
    while (operation != NULL && kad->requests.size < kad->limits.requests_max) {
        bool asked = false;
        if (operation->phase == OPERATION_LOOKUP) {
            asked = ask_lookup(kad, operation, now, ret_ask);
        } else if (operation->phase == OPERATION_STORE) {
            asked = ask_store(kad, operation, now, ret_ask);
        }
        if (asked) {
            list_remove(&kad->operations, &operation->node);
            list_append(&kad->operations, &operation->node);
            return true;
        }
        operation =
            LIST_ENTRY(list_next(&kad->operations, &operation->node), struct operation, node);
    }
    return kad->requests.size < kad->limits.requests_max && ask_check(kad, now, ret_ask);
}

/* The request has failed: the peer's standing, then the operation's progress. Frees it. */
static void request_failed(struct kad *kad, struct request *request, int error, nanos now) {
    struct request ended = *request;
    request_free(kad, request);
    members_failed(kad, &ended.peer, error, now);
    if (ended.operation == NULL) {
        return;
    }
    if (ended.query_peer != NULL) {
        query_failed(&ended.operation->query, ended.query_peer);
    } else {
        ended.target->state = TARGET_FAILED;
    }
    if (error == PLASM_NO_MEMORY) {
        ended.operation->is_out_of_memory = true;
    }
    operation_advance(kad, ended.operation, now);
}

/* A server confirms that it stored a value by sending it back. */
static bool is_stored(const struct operation *operation, const struct kad_message *answer) {
    return answer->has_record && bytes_equal(answer->record_value, block_bytes(operation->value));
}

static void request_answered(struct kad *kad, struct request *request,
                             const struct kad_message *answer, nanos now) {
    struct request ended = *request;
    bool is_connected;
    struct bytes addresses = ended.query_peer != NULL
                                 ? query_peer_addresses(ended.query_peer)
                                 : members_addresses(kad, &ended.peer, &is_connected);
    request_free(kad, request);
    members_answered(kad, &ended.peer, addresses, now);
    if (ended.kind == REQUEST_CHECK) {
        members_hear(kad, &ended.peer, answer, now);
    }
    struct operation *operation = ended.operation;
    if (operation == NULL) {
        return;
    }
    if (ended.query_peer != NULL) {
        operation_take_answer(kad, operation, ended.query_peer, answer, now);
    } else if (is_stored(operation, answer)) {
        ended.target->state = TARGET_STORED;
        operation->count++;
    } else {
        ended.target->state = TARGET_FAILED;
    }
    operation_advance(kad, operation, now);
}

/* The request that is not answered has been written. That says nothing of the peer's health. */
static void request_written(struct kad *kad, struct request *request, nanos now) {
    struct operation *operation = request->operation;
    struct target *target = request->target;
    request_free(kad, request);
    if (operation != NULL) {
        target->state = TARGET_STORED;
        operation->count++;
        operation_advance(kad, operation, now);
    }
}

void kad_answer(struct kad *kad, uint64_t id, struct bytes answer, nanos now) {
    struct request *request = request_find(kad, id);
    if (request == NULL) {
        return;
    }
    if (request->type == KAD_MESSAGE_ADD_PROVIDER) {
        request_written(kad, request, now);
        return;
    }
    struct kad_message message;
    int error = kad_message_decode(answer, &message);
    if (error == 0 && message.type != request->type) {
        error = PLASM_MALFORMED;
    }
    if (error != 0) {
        /* Whatever it is that it speaks badly, it does speak the protocol. */
        request_failed(kad, request, PLASM_MALFORMED, now);
        return;
    }
    request_answered(kad, request, &message, now);
}

void kad_answer_failed(struct kad *kad, uint64_t id, int error, nanos now) {
    struct request *request = request_find(kad, id);
    if (request != NULL) {
        request_failed(kad, request, error, now);
    }
}

void requests_expire(struct kad *kad, nanos now) {
    struct request *request = request_of(list_first(&kad->requests));
    while (request != NULL && request->deadline <= now) {
        request_failed(kad, request, PLASM_TIMEOUT, now);
        request = request_of(list_first(&kad->requests));
    }
}
