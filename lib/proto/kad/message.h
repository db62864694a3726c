/* The DHT's one message, read in place and written in order.
 * Spec: libp2p/specs kad-dht/README.md, "RPC messages". */
#ifndef PROTO_KAD_MESSAGE_H
#define PROTO_KAD_MESSAGE_H

#include "identity/peer_id.h"
#include "proto/kad/addresses.h"
#include "util/cursor.h"

enum kad_message_type {
    KAD_MESSAGE_PUT_VALUE = 0,
    KAD_MESSAGE_GET_VALUE = 1,
    KAD_MESSAGE_ADD_PROVIDER = 2,
    KAD_MESSAGE_GET_PROVIDERS = 3,
    KAD_MESSAGE_FIND_NODE = 4,
    KAD_MESSAGE_PING = 5,
};

/* What the writer of a message knows of a peer it names. */
enum kad_connection {
    KAD_NOT_CONNECTED = 0,
    KAD_CONNECTED = 1,
    KAD_CAN_CONNECT = 2,
    KAD_CANNOT_CONNECT = 3,
};

/* The two lists of peers, by their field numbers. */
enum kad_message_list { KAD_LIST_CLOSER = 8, KAD_LIST_PROVIDERS = 9 };

/* A read message; everything borrowed from the input. */
struct kad_message {
    enum kad_message_type type;
    struct bytes key; /* empty when absent, as in rust's answers */
    bool has_record;
    struct bytes record_key;
    struct bytes record_value;
    struct bytes whole;
};

/* Reads one payload (without length prefix). Checks the shape of all of it, so that walking it
 * cannot fail. Unknown fields are skipped. PLASM_TOO_LARGE, PLASM_MALFORMED, PLASM_UNSUPPORTED (an
 * unknown type). */
MUST_CHECK int kad_message_decode(struct bytes payload, struct kad_message *ret_message);

/* One peer of a list. */
struct kad_message_peer {
    struct peer_id id;
    struct bytes body; /* the submessage, for kad_message_addresses */
};

/* Walks a list of a decoded message: start with cursor_of(message->whole). Peers whose id is no
 * peer id are passed over. */
bool kad_message_peer_next(struct cursor *cursor, enum kad_message_list list,
                           struct kad_message_peer *ret_peer);
/* Collects the peer's addresses within their bounds (see kad_addresses_add), without private ones
 * when `only_public`. */
void kad_message_addresses(const struct kad_message_peer *peer, bool only_public,
                           struct kad_addresses *ret_addresses);

/* Writers. A message begins with its head; an empty key is left out. Overflow is latched in the
 * writer. */
void kad_message_put_head(struct writer *writer, enum kad_message_type type, struct bytes key);
void kad_message_put_record(struct writer *writer, struct bytes key, struct bytes value);
/* Appends a peer whose whole field takes at most `size_max` bytes: addresses that would take it
 * over are left out. Private addresses are left out when `only_public`. Returns false and writes
 * nothing when no address remains or not even one fits. */
bool kad_message_put_peer(struct writer *writer, enum kad_message_list list,
                          const struct peer_id *id, struct bytes packed_addresses,
                          enum kad_connection connection, bool only_public, size_t size_max);

#endif
