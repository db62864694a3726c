/* Fuzz target: the life of a machine whose every partner is a stranger. The input is a row of
 * steps, a byte each with what it needs behind it: answers, failures, identified peers, operations,
 * time. */
#include "proto/kad/machine_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS    32
#define ASKS_MAX 64

struct story {
    struct machine machine;
    struct peer_id peers[PEERS];
    size_t ask_count;
    uint64_t asks[ASKS_MAX]; /* those not answered yet */
    uint64_t last_operation;
};

static bool any_is_better(void *context, struct bytes key, struct bytes candidate,
                          struct bytes current) {
    (void)context;
    (void)key;
    return bytes_compare(candidate, current) > 0;
}

static int any_is_valid(void *context, struct bytes key, struct bytes value) {
    (void)context;
    (void)key;
    return value.size > 0 ? 0 : PLASM_MALFORMED;
}

static const struct kad_namespace any = {
    .name = "any", .validate = any_is_valid, .better = any_is_better};

static void drain(struct story *story) {
    struct kad_event event;
    struct kad_ask ask;
    while (kad_next_event(story->machine.kad, &event)) {
        struct bytes packed = event.addresses;
        struct bytes address;
        while (kad_address_next(&packed, &address)) {
        }
    }
    while (kad_next_ask(story->machine.kad, story->machine.now, &ask)) {
        struct kad_message request;
        int error = kad_message_decode(ask.request, &request);
        ENSURE(error == 0);
        if (story->ask_count < ASKS_MAX) {
            story->asks[story->ask_count++] = ask.id;
        } else {
            kad_answer_failed(story->machine.kad, ask.id, PLASM_LIMIT, story->machine.now);
        }
    }
}

static void start(struct story *story, uint8_t which) {
    struct kad *kad = story->machine.kad;
    nanos now = story->machine.now;
    struct kad_options options = {.count_max = which / 16};
    struct bytes key = which % 2 == 0 ? BYTES_LITERAL("/any/a") : BYTES_LITERAL("/any/b");
    uint64_t *operation = &story->last_operation;
    int error = 0;
    switch (which % 8) {
    case 0:
        error = kad_find_providers(kad, key, &options, now, operation);
        break;
    case 1:
        error = kad_find_peer(kad, &story->peers[which % PEERS], &options, now, operation);
        break;
    case 2:
        error = kad_provide(kad, key, &options, now, operation);
        break;
    case 3:
        error = kad_get_value(kad, key, &options, now, operation);
        break;
    case 4:
        error = kad_put_value(kad, key, bytes_of(&which, 1), &options, now, operation);
        break;
    case 5:
        error = kad_bootstrap(kad, &options, now, operation);
        break;
    case 6:
        error = kad_find_closest(kad, key, &options, now, operation);
        break;
    default:
        kad_cancel(kad, *operation, now);
        kad_unprovide(kad, key);
    }
    /* A value may be worse than the one kept. */
    ENSURE(error == 0 || error == PLASM_LIMIT || (error == PLASM_CONFLICT && which % 8 == 4));
}

static void step(struct story *story, struct cursor *input) {
    struct kad *kad = story->machine.kad;
    uint8_t what = cursor_u8(input);
    uint8_t which = cursor_u8(input);
    uint64_t ask = 0;
    if (story->ask_count > 0 && what % 8 < 4) {
        size_t place = which % story->ask_count;
        ask = story->asks[place];
        story->asks[place] = story->asks[--story->ask_count];
    }
    switch (what % 8) {
    case 0:
    case 1:
    case 2: {
        size_t answer_size = cursor_u16(input);
        struct bytes answer = bytes_slice(input->left, 0, answer_size);
        (void)cursor_take(input, answer.size);
        kad_answer(kad, ask, answer, story->machine.now);
        break;
    }
    case 3:
        kad_answer_failed(kad, ask, -1 - which % 20, story->machine.now);
        break;
    case 4: {
        struct netaddr remote = machine_remote(which < 128 ? 10 : 192, which, 2, 1);
        int error = machine_identify(&story->machine, &story->peers[which % PEERS],
                                     what / 8 % 4 != 0, &remote);
        ENSURE(error == 0);
        break;
    }
    case 5:
        kad_peer_disconnected(kad, &story->peers[which % PEERS], story->machine.now);
        break;
    case 6:
        start(story, which);
        break;
    default:
        story->machine.now += (nanos)which * which * 10 * NANOS_MILLISECOND;
        kad_expire(kad, story->machine.now);
    }
    drain(story);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct story story;
    story.ask_count = 0;
    story.last_operation = 0;
    story.machine.namespaces = (struct kad_namespaces){.list = &any, .count = 1};
    machine_setup(&story.machine, KAD_SERVER, NULL);
    machine_set_address(&story.machine, 1);
    for (size_t i = 0; i < PEERS; i++) {
        story.peers[i] = testing_peer(&story.machine.random);
    }
    for (size_t i = 0; i < 4; i++) {
        machine_admit(&story.machine, &story.peers[i], NULL);
    }
    drain(&story);
    struct cursor input = cursor_of(bytes_of(data, size));
    while (input.left.size > 0) {
        step(&story, &input);
    }
    /* Given time, everything ends. */
    for (int i = 0; i < 3; i++) {
        story.machine.now += NANOS_MINUTE;
        kad_expire(story.machine.kad, story.machine.now);
        drain(&story);
    }
    machine_teardown(&story.machine);
    return 0;
}
