/* libp2p perf 1.0.0: one stream, some bytes up, then some bytes down. The dialling side says in 8
 * bytes how much it wants, sends what it likes and ends its direction; the other side then sends
 * what was asked for and ends too. Which bytes does not matter. Spec: libp2p/specs perf/perf.md. */
#ifndef PROTO_PERF_H
#define PROTO_PERF_H

#include "util/bytes.h"
#include "util/time.h"

#define PERF_PROTOCOL    "/perf/1.0.0"
#define PERF_HEADER_SIZE 8

/* The answering side; begins as zeros. */
struct perf_server {
    size_t header_size;
    uint8_t header[PERF_HEADER_SIZE];
    uint64_t received; /* without the header */
    bool ended;
    uint64_t unsent; /* once `ended`: the caller sends so much, counting it down */
};

/* Takes all input. PLASM_TRUNCATED when it ends within the header, PLASM_STATE after its end. */
MUST_CHECK int perf_server_receive(struct perf_server *server, struct bytes input, bool fin);

/* The asking side. */
struct perf_client {
    uint8_t header[PERF_HEADER_SIZE]; /* to be sent first */
    uint64_t unsent;                  /* after it, counted down by the caller; then the end */
    uint64_t wanted;                  /* bytes still to come */
    bool sent;
    bool answered;
    nanos started;
    nanos uploaded; /* when the answer began, or ended where it is empty */
    nanos ended;
};

/* Asks for `down_bytes` after `up_bytes`. */
void perf_client_init(struct perf_client *client, uint64_t up_bytes, uint64_t down_bytes,
                      nanos now);
/* The link has taken everything, and the end. */
void perf_client_sent(struct perf_client *client);
/* Takes all input; true in *ret_done when everything has come. PLASM_MALFORMED for more than was
 * asked for or an answer before our end, PLASM_TRUNCATED for less. */
MUST_CHECK int perf_client_receive(struct perf_client *client, struct bytes input, bool fin,
                                   nanos now, bool *ret_done);

#endif
