/* Feeds both machines of AutoNAT with bytes of anybody, in pieces. The first byte chooses. */
#include "proto/autonat/client.h"
#include "proto/autonat/policy.h"
#include "proto/autonat/server.h"
#include "util/ensure.h"

static void ask(enum autonat_version version, struct bytes input, size_t piece,
                struct memory *memory) {
    struct multiaddr address;
    ENSURE(multiaddr_parse(BYTES_LITERAL("/ip4/1.2.3.4/udp/4001/quic-v1"), &address) == 0);
    struct autonat_client client;
    ENSURE(autonat_client_init(&client, version, bytes_of(NULL, 0), &address, 1, 7, memory, 0) ==
           0);
    uint8_t room[AUTONAT_V2_MESSAGE_SIZE_MAX];
    size_t sent = 0;
    for (size_t i = 0; i < input.size; i += piece) {
        struct bytes part = bytes_slice(input, i, piece);
        autonat_client_receive(&client, part, i + part.size == input.size, 0);
        size_t size;
        while ((size = autonat_client_transmit(&client, (struct span){room, sizeof(room)})) > 0) {
            sent += size;
        }
    }
    ENSURE(sent <= 2 * AUTONAT_DATA_SIZE_MAX);
    autonat_client_expire(&client, NANOS_NEVER);
    struct autonat_answer answer;
    ENSURE(autonat_client_next_event(&client, &answer));
    autonat_client_done(&client);
}

static void serve(enum autonat_version version, struct bytes input, size_t piece,
                  struct memory *memory) {
    struct autonat_server server;
    autonat_server_init(&server, version, memory);
    for (size_t i = 0; i < input.size; i += piece) {
        autonat_server_receive(&server, bytes_slice(input, i, piece));
        struct autonat_server_event event;
        while (autonat_server_next_event(&server, &event)) {
            struct netaddr requester = {.family = NETADDR_IP4, .ip = {1, 2, 3, 4}};
            for (size_t j = 0; event.type == AUTONAT_SERVER_REQUEST && j < event.address_count;
                 j++) {
                struct multiaddr address;
                if (multiaddr_decode(event.addresses[j], &address) == 0) {
                    enum autonat_verdict verdict = autonat_judge(&requester, &address);
                    struct multiaddr made;
                    ENSURE(autonat_with_ip(&requester, &address, &made) == 0 ||
                           verdict == AUTONAT_REFUSE);
                }
            }
            if (event.type == AUTONAT_SERVER_REQUEST && version == AUTONAT_V2) {
                autonat_server_ask_data(&server, 0, 300);
            }
        }
    }
    autonat_server_done(&server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    enum autonat_version version = (data[0] & 1) != 0 ? AUTONAT_V1 : AUTONAT_V2;
    size_t piece = (size_t)(data[0] >> 2) + 1;
    struct bytes input = bytes_of(data + 1, size - 1);
    if (input.size > 0 && (data[0] & 2) != 0) {
        ask(version, input, piece, &memory);
    } else {
        serve(version, input, piece, &memory);
    }
    uint64_t nonce;
    int error = autonat_back_decode(input, &nonce);
    ENSURE(error == 0 || error == PLASM_MALFORMED);
    ENSURE(memory.used == 0);
    return 0;
}
