/* The answering end of AutoNAT on one stream, v1 or v2: reads the question, makes whoever wants
 * another address dialled pay with data, writes the answer. Who dials, and whether at all, is the
 * owner's decision (see policy.h).
 *
 * After every input take events; after every call transmit until it gives 0. */
#ifndef AUTONAT_SERVER_H
#define AUTONAT_SERVER_H

#include "proto/autonat/message.h"
#include "util/buffer.h"
#include "util/time.h"

/* The question, with its data, must be there within this time, go-libp2p's. */
#define AUTONAT_SERVER_READ_TIMEOUT (15 * NANOS_SECOND)
/* Data in smaller pieces than this costs us more than the sender. */
#define AUTONAT_DATA_PIECE_MIN 100

enum autonat_server_state {
    AUTONAT_SERVER_READING,
    AUTONAT_SERVER_ASKED, /* the question was given to the owner */
    AUTONAT_SERVER_DATA,
    AUTONAT_SERVER_PAID,
    AUTONAT_SERVER_ANSWERED,
    AUTONAT_SERVER_FAILED,
};

struct autonat_server {
    enum autonat_version version;
    enum autonat_server_state state;
    struct memory *memory;
    struct buffer in;
    size_t data_left;
    bool has_event;
    int error;
    size_t out_size;
    size_t out_taken;
    uint8_t out[512];
};

enum autonat_server_event_type {
    AUTONAT_SERVER_REQUEST,  /* addresses, v1: peer_id (may be empty); v2: nonce */
    AUTONAT_SERVER_COMPLETE, /* the data that was asked for has come */
    AUTONAT_SERVER_BROKEN,   /* error: reset the stream */
};

struct autonat_server_event {
    enum autonat_server_event_type type;
    int error;
    uint64_t nonce;
    struct bytes peer_id; /* borrowed until the next call, as the addresses are */
    size_t address_count;
    struct bytes addresses[AUTONAT_ADDRESSES_MAX];
};

void autonat_server_init(struct autonat_server *server, enum autonat_version version,
                         struct memory *memory);
void autonat_server_done(struct autonat_server *server);
/* A FIN of the other side's needs no telling: some finish with their question. */
void autonat_server_receive(struct autonat_server *server, struct bytes input);
bool autonat_server_next_event(struct autonat_server *server,
                               struct autonat_server_event *ret_event);
/* v2, after AUTONAT_SERVER_REQUEST: asks for `size` bytes before the dial. */
void autonat_server_ask_data(struct autonat_server *server, size_t index, size_t size);
/* The end: `status` and `dial_status` of the version's own lists; v1 gives the address that was
 * reached (or NULL), v2 its index. */
void autonat_server_answer_v1(struct autonat_server *server, enum autonat_v1_status status,
                              const char *text, const struct multiaddr *address);
void autonat_server_answer_v2(struct autonat_server *server, enum autonat_v2_status status,
                              size_t index, enum autonat_dial_status dial_status);
size_t autonat_server_transmit(struct autonat_server *server, struct span room);

#endif
