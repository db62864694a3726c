/* Asking to be dialled back. */
#include "proto/autonat/client.h"

#include "proto/autonat/policy.h"
#include "util/ensure.h"
#include "wire/varint.h"

#define FRAME_HEAD_MAX 3

static size_t message_size_max(enum autonat_version version) {
    return version == AUTONAT_V1 ? AUTONAT_V1_MESSAGE_SIZE_MAX : AUTONAT_V2_MESSAGE_SIZE_MAX;
}

static int write_request(struct autonat_client *client, struct bytes own_id) {
    struct autonat_message message = {.type = AUTONAT_DIAL,
                                      .peer_id = own_id,
                                      .nonce = client->nonce,
                                      .address_count = client->address_count};
    for (size_t i = 0; i < client->address_count; i++) {
        message.addresses[i] = multiaddr_bytes(&client->addresses[i]);
    }
    size_t size = message_size_max(client->version) + FRAME_HEAD_MAX;
    struct span room;
    int error = buffer_reserve(&client->out, size, &room);
    if (error == 0) {
        struct writer writer = writer_of(room);
        autonat_encode(client->version, &message, &writer);
        error = writer.error;
        buffer_commit(&client->out, error == 0 ? writer.size : 0);
    }
    return error;
}

int autonat_client_init(struct autonat_client *client, enum autonat_version version,
                        struct bytes own_id, const struct multiaddr *addresses, size_t count,
                        uint64_t nonce, struct memory *memory, nanos now) {
    if (count == 0 || count > AUTONAT_CLIENT_ADDRESSES_MAX) {
        return PLASM_INVALID;
    }
    memset(client, 0, sizeof(*client));
    client->version = version;
    client->memory = memory;
    client->nonce = nonce;
    client->address_count = count;
    client->deadline = nanos_add(now, version == AUTONAT_V1 ? AUTONAT_V1_CLIENT_TIMEOUT
                                                            : AUTONAT_V2_CLIENT_TIMEOUT);
    size_t size_max = message_size_max(version) + FRAME_HEAD_MAX;
    buffer_init(&client->in, memory, size_max);
    buffer_init(&client->out, memory, size_max);
    client->addresses = memory_get(memory, count * sizeof(*addresses));
    int error = client->addresses != NULL ? 0 : PLASM_NO_MEMORY;
    if (error == 0) {
        memcpy(client->addresses, addresses, count * sizeof(*addresses));
        error = write_request(client, own_id);
    }
    if (error != 0) {
        autonat_client_done(client);
    }
    return error;
}

void autonat_client_done(struct autonat_client *client) {
    buffer_done(&client->in);
    buffer_done(&client->out);
    memory_put(client->memory, client->addresses,
               client->address_count * sizeof(*client->addresses));
    client->addresses = NULL;
    client->address_count = 0;
}

static void decide(struct autonat_client *client, int error) {
    if (!client->decided) {
        client->decided = true;
        client->error = error;
        client->data_left = 0;
        buffer_clear(&client->out);
    }
}

static void take_v1_response(struct autonat_client *client, const struct autonat_message *message) {
    switch (message->status) {
    case AUTONAT_V1_OK:
        if (multiaddr_decode(message->address, &client->reached) != 0) {
            client->reached.size = 0;
        }
        for (size_t i = 0; i < client->address_count && !client->has_index; i++) {
            client->has_index = multiaddr_equal(&client->reached, &client->addresses[i]);
            client->index = i;
        }
        decide(client, 0);
        break;
    case AUTONAT_V1_DIAL_ERROR:
        decide(client, PLASM_UNREACHABLE);
        break;
    case AUTONAT_V1_DIAL_REFUSED:
        decide(client, PLASM_REFUSED);
        break;
    default:
        decide(client, PLASM_FAILED);
        break;
    }
}

/* What it says it dialled must be what the nonce came back on. */
static bool proven(const struct autonat_client *client) {
    return client->dialled_back &&
           autonat_same_protocols(&client->addresses[client->index], &client->dialler);
}

static void take_v2_result(struct autonat_client *client, const struct autonat_message *message,
                           nanos now) {
    if (message->index >= client->address_count) {
        decide(client, PLASM_MALFORMED);
        return;
    }
    client->has_index = true;
    client->index = (size_t)message->index;
    switch (message->dial_status) {
    case AUTONAT_DIAL_OK:
    case AUTONAT_DIAL_BACK_ERROR: /* what reached us counts, whatever it thinks of it */
        client->answered = true;
        if (proven(client)) {
            decide(client, 0);
        } else if (client->dialled_back || message->dial_status == AUTONAT_DIAL_BACK_ERROR) {
            decide(client, PLASM_UNTRUSTED);
        } else {
            client->deadline = nanos_min(client->deadline, nanos_add(now, AUTONAT_NONCE_TIMEOUT));
        }
        break;
    case AUTONAT_DIAL_ERROR:
        decide(client, PLASM_UNREACHABLE);
        break;
    default:
        decide(client, PLASM_MALFORMED);
        break;
    }
}

static void take_v2_response(struct autonat_client *client, const struct autonat_message *message,
                             nanos now) {
    switch (message->status) {
    case AUTONAT_V2_OK:
        take_v2_result(client, message, now);
        break;
    case AUTONAT_V2_REQUEST_REJECTED:
        decide(client, PLASM_LIMIT);
        break;
    case AUTONAT_V2_DIAL_REFUSED:
        decide(client, PLASM_REFUSED);
        break;
    default:
        decide(client, PLASM_FAILED);
        break;
    }
}

static void take_message(struct autonat_client *client, const struct autonat_message *message,
                         nanos now) {
    if (message->type == AUTONAT_DIAL_RESPONSE) {
        if (client->version == AUTONAT_V1) {
            take_v1_response(client, message);
        } else {
            take_v2_response(client, message, now);
        }
    } else if (message->type == AUTONAT_DATA_REQUEST && !client->paid &&
               message->index < client->address_count && message->size > 0 &&
               message->size <= AUTONAT_DATA_SIZE_MAX) {
        client->paid = true;
        client->data_left = (size_t)message->size;
    } else {
        decide(client, PLASM_MALFORMED);
    }
}

void autonat_client_receive(struct autonat_client *client, struct bytes input, bool fin,
                            nanos now) {
    if (client->decided || client->answered) {
        return;
    }
    if (buffer_append(&client->in, input) != 0) {
        decide(client, PLASM_MALFORMED);
        return;
    }
    struct bytes payload;
    size_t frame;
    int error = 0;
    while (!client->decided && !client->answered && error == 0) {
        error = frame_read(buffer_bytes(&client->in), message_size_max(client->version), &payload,
                           &frame);
        if (error != 0) {
            break;
        }
        struct autonat_message message;
        error = autonat_decode(client->version, payload, &message);
        if (error == 0) {
            take_message(client, &message, now);
            buffer_consume(&client->in, frame);
        }
    }
    if (error != 0 && error != PLASM_TRUNCATED) {
        decide(client, PLASM_MALFORMED);
    } else if (fin && !client->answered) {
        decide(client, PLASM_TRUNCATED);
    }
}

/* One more message full of data, as much as is asked for. */
static size_t write_data(struct autonat_client *client, struct span room) {
    static const uint8_t nothing[AUTONAT_DATA_PIECE_MAX];
    size_t piece = client->data_left < sizeof(nothing) ? client->data_left : sizeof(nothing);
    struct autonat_message message = {.type = AUTONAT_DATA, .data = bytes_of(nothing, piece)};
    struct writer writer = writer_of(room);
    autonat_encode(AUTONAT_V2, &message, &writer);
    if (writer.error != 0) {
        return 0;
    }
    client->data_left -= piece;
    return writer.size;
}

size_t autonat_client_transmit(struct autonat_client *client, struct span room) {
    if (client->out.size > 0) {
        struct bytes out = bytes_slice(buffer_bytes(&client->out), 0, room.size);
        memcpy(room.data, out.data, out.size);
        buffer_consume(&client->out, out.size);
        return out.size;
    }
    return client->data_left > 0 && !client->decided ? write_data(client, room) : 0;
}

bool autonat_client_dialled_back(struct autonat_client *client, uint64_t nonce,
                                 const struct multiaddr *remote) {
    if (client->version != AUTONAT_V2 || client->nonce != nonce || client->dialled_back ||
        client->decided) {
        return false;
    }
    client->dialled_back = true;
    client->dialler = *remote;
    if (client->answered) {
        decide(client, proven(client) ? 0 : PLASM_UNTRUSTED);
    }
    return true;
}

nanos autonat_client_deadline(const struct autonat_client *client) {
    return client->given ? NANOS_NEVER : client->deadline;
}

void autonat_client_expire(struct autonat_client *client, nanos now) {
    if (now >= client->deadline) {
        decide(client, client->answered ? PLASM_UNTRUSTED : PLASM_TIMEOUT);
    }
}

bool autonat_client_next_event(struct autonat_client *client, struct autonat_answer *ret_answer) {
    if (!client->decided || client->given) {
        return false;
    }
    client->given = true;
    *ret_answer =
        (struct autonat_answer){.error = client->error,
                                .has_index = client->has_index,
                                .index = client->index,
                                .address = client->reached.size > 0 ? &client->reached : NULL};
    return true;
}
