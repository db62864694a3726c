/* One DHT machine and a test that plays everybody else. */
#ifndef PROTO_KAD_MACHINE_TESTING_H
#define PROTO_KAD_MACHINE_TESTING_H

#include "proto/kad/kad.h"
#include "proto/kad/kad_testing.h"
#include "proto/kad/message.h"

#define MACHINE_EVENTS_MAX 64
#define MACHINE_ASKS_MAX   64

struct machine {
    struct memory memory;
    struct random random;
    struct kad_namespaces namespaces;
    struct peer_id own;
    struct kad *kad;
    nanos now;
    /* What the last drain brought; borrowed bytes are copied. */
    size_t event_count;
    struct kad_event events[MACHINE_EVENTS_MAX];
    size_t ask_count;
    struct kad_ask asks[MACHINE_ASKS_MAX];
    uint8_t request[KAD_MESSAGE_SIZE_MAX]; /* of the last ask */
    size_t request_size;
    uint8_t value[KAD_VALUE_SIZE_MAX]; /* of the last value event */
    size_t value_size;
};

static inline void machine_setup(struct machine *machine, enum kad_mode mode,
                                 struct memory *memory) {
    memory_init(&machine->memory, SIZE_MAX);
    testing_random(&machine->random, 1);
    machine->now = NANOS_SECOND;
    machine->own = testing_peer(&machine->random);
    machine->event_count = 0;
    machine->ask_count = 0;
    machine->kad = NULL;
    struct kad_config config = {.own_id = machine->own,
                                .mode = mode,
                                .namespaces = machine->namespaces,
                                .random = &machine->random};
    kad_limits_default(&config.limits);
    int error =
        kad_new(&config, memory != NULL ? memory : &machine->memory, machine->now, &machine->kad);
    ENSURE(error == 0 || error == PLASM_NO_MEMORY);
}

static inline void machine_teardown(struct machine *machine) {
    kad_free(machine->kad);
    ENSURE(machine->memory.used == 0);
}

/* All events and asks there are now. */
static inline void machine_drain(struct machine *machine) {
    struct kad_event event;
    struct kad_ask ask;
    machine->event_count = 0;
    machine->ask_count = 0;
    while (kad_next_event(machine->kad, &event)) {
        ENSURE(machine->event_count < MACHINE_EVENTS_MAX);
        if (event.kind == KAD_VALUE_FOUND) {
            memcpy(machine->value, event.value.data, event.value.size);
            machine->value_size = event.value.size;
        }
        machine->events[machine->event_count++] = event;
    }
    while (kad_next_ask(machine->kad, machine->now, &ask)) {
        ENSURE(machine->ask_count < MACHINE_ASKS_MAX);
        memcpy(machine->request, ask.request.data, ask.request.size);
        machine->request_size = ask.request.size;
        machine->asks[machine->ask_count++] = ask;
    }
}

/* Time passes in the machine's own steps. */
static inline void machine_pass(struct machine *machine, nanos duration) {
    nanos until = machine->now + duration;
    for (int steps = 0; kad_deadline(machine->kad) <= until; steps++) {
        ENSURE(steps < 10000);
        machine->now = nanos_max(machine->now, kad_deadline(machine->kad));
        kad_expire(machine->kad, machine->now);
        machine_drain(machine);
        if (machine->ask_count > 0 || machine->event_count > 0) {
            return;
        }
    }
    machine->now = until;
}

static inline struct netaddr machine_remote(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    return (struct netaddr){.family = NETADDR_IP4, .port = 4001, .ip = {a, b, c, d}};
}

/* The peer is connected and identified at 10.0.0.1 or at `remote`. */
static inline int machine_identify(struct machine *machine, const struct peer_id *id,
                                   bool is_server, const struct netaddr *remote) {
    struct netaddr anywhere = machine_remote(10, 0, 0, 1);
    struct multiaddr address;
    multiaddr_from_quic(remote != NULL ? remote : &anywhere, &address);
    struct bytes list = multiaddr_bytes(&address);
    struct kad_peer peer = {.id = *id,
                            .addresses = &list,
                            .address_count = 1,
                            .remote = remote,
                            .is_server = is_server,
                            .is_connected = true};
    return kad_peer_identified(machine->kad, &peer, machine->now);
}

/* An answer without anything to the last drain's n-th ask. */
static inline void machine_answer_empty(struct machine *machine, size_t n,
                                        enum kad_message_type type) {
    uint8_t room[16];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    kad_message_put_head(&writer, type, bytes_of(NULL, 0));
    kad_answer(machine->kad, machine->asks[n].id, writer_bytes(&writer), machine->now);
}

/* Makes the peer a member of the table: it is identified and answers its check. */
static inline void machine_admit(struct machine *machine, const struct peer_id *id,
                                 const struct netaddr *remote) {
    int error = machine_identify(machine, id, true, remote);
    ENSURE(error == 0);
    machine_drain(machine);
    for (size_t i = 0; i < machine->ask_count; i++) {
        machine_answer_empty(machine, i, KAD_MESSAGE_FIND_NODE);
    }
}

static inline struct kad_counts machine_counts(const struct machine *machine) {
    struct kad_counts counts;
    kad_count(machine->kad, &counts);
    return counts;
}

/* The first event of this kind in the last drain, or NULL. */
static inline const struct kad_event *machine_event(const struct machine *machine,
                                                    enum kad_event_kind kind) {
    for (size_t i = 0; i < machine->event_count; i++) {
        if (machine->events[i].kind == kind) {
            return &machine->events[i];
        }
    }
    return NULL;
}

/* Writes a peer at an IP address into a message. */
static inline void machine_put_peer(struct writer *writer, enum kad_message_list list,
                                    const struct peer_id *id, uint8_t a, uint8_t b, uint8_t c,
                                    uint8_t d) {
    struct kad_addresses packed = testing_address(id, a, b, c, d);
    bool put = kad_message_put_peer(writer, list, id, kad_addresses_bytes(&packed), KAD_CONNECTED,
                                    false, KAD_MESSAGE_SIZE_MAX);
    ENSURE(put);
}

/* Sets our address, 10.9.9.<last>. */
static inline void machine_set_address(struct machine *machine, uint8_t last) {
    struct kad_addresses own = testing_address(&machine->own, 10, 9, 9, last);
    struct bytes packed = kad_addresses_bytes(&own);
    struct bytes address;
    bool has_address = kad_address_next(&packed, &address);
    ENSURE(has_address);
    int error = kad_set_addresses(machine->kad, &address, 1, machine->now);
    ENSURE(error == 0);
}

/* Makes peers members of the table. */
static inline void machine_know(struct machine *machine, struct peer_id *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ids[i] = testing_peer(&machine->random);
        machine_admit(machine, &ids[i], NULL);
    }
    ENSURE(machine_counts(machine).table_peers >= count);
    machine_drain(machine);
}

/* How the operation that ended in the last drain did. */
static inline const struct kad_done *machine_done(const struct machine *machine) {
    const struct kad_event *event = machine_event(machine, KAD_OPERATION_DONE);
    ENSURE(event != NULL);
    return &event->done;
}

/* Answers all asks with nothing, until the operation has ended. */
static inline void machine_answer_all(struct machine *machine) {
    for (int rounds = 0; machine_event(machine, KAD_OPERATION_DONE) == NULL; rounds++) {
        ENSURE(machine->ask_count > 0 && rounds < 50);
        for (size_t i = 0; i < machine->ask_count; i++) {
            struct bytes request = bytes_of(machine->request, machine->request_size);
            struct kad_message message;
            int error = kad_message_decode(request, &message);
            ENSURE(error == 0);
            if (machine->asks[i].expects_answer) {
                kad_answer(machine->kad, machine->asks[i].id, request, machine->now);
            } else {
                kad_answer(machine->kad, machine->asks[i].id, bytes_of(NULL, 0), machine->now);
            }
        }
        machine_drain(machine);
    }
}

#endif
