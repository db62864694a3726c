/* Fuzz target: requests of strangers to a server with something in its table and its stores. The
 * input is a row of requests, each behind a byte for its sender and two for its size. */
#include "proto/kad/machine_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct machine machine;
    machine.namespaces = (struct kad_namespaces){0};
    machine_setup(&machine, KAD_SERVER, NULL);
    machine_set_address(&machine, 1);
    struct peer_id peers[PEERS];
    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = testing_peer(&machine.random);
        if (i < PEERS / 2) {
            machine_admit(&machine, &peers[i], NULL);
        }
    }
    uint64_t operation;
    int error = kad_provide(machine.kad, BYTES_LITERAL("key"), NULL, machine.now, &operation);
    ENSURE(error == 0);
    machine_drain(&machine);
    struct cursor input = cursor_of(bytes_of(data, size));
    while (input.left.size > 0) {
        uint8_t sender = cursor_u8(&input);
        size_t request_size = cursor_u16(&input);
        struct bytes request = bytes_slice(input.left, 0, request_size);
        (void)cursor_take(&input, request.size);
        struct netaddr remote = machine_remote(sender < 128 ? 10 : 192, 0, 2, 1);
        static uint8_t room[KAD_MESSAGE_SIZE_MAX];
        size_t answer_size;
        error = kad_request(machine.kad, &peers[sender % PEERS], sender % 3 == 0 ? NULL : &remote,
                            request, (struct span){room, sizeof(room)}, machine.now, &answer_size);
        ENSURE(error != PLASM_TOO_LARGE || request.size > KAD_MESSAGE_SIZE_MAX);
        if (error == 0 && answer_size > 0) {
            struct kad_message answer;
            error = kad_message_decode(bytes_of(room, answer_size), &answer);
            ENSURE(error == 0);
        }
        machine.now += NANOS_MINUTE;
        kad_expire(machine.kad, machine.now);
        machine_drain(&machine);
    }
    machine_teardown(&machine);
    return 0;
}
