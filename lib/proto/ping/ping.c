/* Echoing and measuring pings. */
#include "proto/ping/ping.h"

#include "util/error.h"

bool ping_server_receive(struct ping_server *server, struct bytes input, size_t *ret_consumed) {
    if (server->size == PING_SIZE) {
        server->size = 0;
    }
    struct bytes taken = bytes_slice(input, 0, PING_SIZE - server->size);
    if (taken.size > 0) {
        memcpy(server->bytes + server->size, taken.data, taken.size);
    }
    server->size += taken.size;
    *ret_consumed = taken.size;
    return server->size == PING_SIZE;
}

int ping_client_send(struct ping_client *client, struct random *random, nanos now,
                     struct bytes *ret_payload) {
    if (client->waiting) {
        return PLASM_STATE;
    }
    random_fill(random, (struct span){client->bytes, PING_SIZE});
    client->waiting = true;
    client->sent_at = now;
    client->size = 0;
    *ret_payload = BYTES_ARRAY(client->bytes);
    return 0;
}

int ping_client_receive(struct ping_client *client, struct bytes input, nanos now, bool *ret_done,
                        nanos *ret_rtt) {
    if (!client->waiting || input.size > PING_SIZE - client->size ||
        !bytes_equal(input, bytes_slice(BYTES_ARRAY(client->bytes), client->size, input.size))) {
        return PLASM_MALFORMED;
    }
    client->size += input.size;
    *ret_done = client->size == PING_SIZE;
    if (*ret_done) {
        client->waiting = false;
        *ret_rtt = nanos_since(now, client->sent_at);
    }
    return 0;
}
