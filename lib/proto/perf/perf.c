/* Counting bytes up and down. */
#include "proto/perf/perf.h"

#include "util/ensure.h"

int perf_server_receive(struct perf_server *server, struct bytes input, bool fin) {
    if (server->ended) {
        return PLASM_STATE;
    }
    size_t missing = PERF_HEADER_SIZE - server->header_size;
    size_t taken = input.size < missing ? input.size : missing;
    if (taken > 0) {
        memcpy(server->header + server->header_size, input.data, taken);
        server->header_size += taken;
    }
    server->received += input.size - taken;
    if (!fin) {
        return 0;
    }
    if (server->header_size < PERF_HEADER_SIZE) {
        return PLASM_TRUNCATED;
    }
    server->ended = true;
    for (size_t i = 0; i < PERF_HEADER_SIZE; i++) {
        server->unsent = server->unsent << 8 | server->header[i];
    }
    return 0;
}

void perf_client_init(struct perf_client *client, uint64_t up_bytes, uint64_t down_bytes,
                      nanos now) {
    *client = (struct perf_client){.unsent = up_bytes, .wanted = down_bytes, .started = now};
    for (size_t i = 0; i < PERF_HEADER_SIZE; i++) {
        client->header[i] = (uint8_t)(down_bytes >> (8 * (PERF_HEADER_SIZE - 1 - i)));
    }
}

void perf_client_sent(struct perf_client *client) {
    ENSURE(client->unsent == 0);
    client->sent = true;
}

int perf_client_receive(struct perf_client *client, struct bytes input, bool fin, nanos now,
                        bool *ret_done) {
    if (input.size > client->wanted || (input.size > 0 && !client->sent)) {
        return PLASM_MALFORMED;
    }
    if (!client->answered) {
        client->answered = true;
        client->uploaded = now;
    }
    client->wanted -= input.size;
    if (fin && (client->wanted > 0 || !client->sent)) {
        return PLASM_TRUNCATED;
    }
    client->ended = now;
    *ret_done = fin;
    return 0;
}
