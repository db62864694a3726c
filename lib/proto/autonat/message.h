/* The messages of AutoNAT v1 and v2, as one struct each way. Every message travels in a frame of
 * its own (uvarint length), which is not this file's business. Specs: libp2p/specs
 * autonat/autonat-v1.md, autonat-v2.md. */
#ifndef AUTONAT_MESSAGE_H
#define AUTONAT_MESSAGE_H

#include "wire/multiaddr.h"

#define AUTONAT_V1_PROTOCOL   "/libp2p/autonat/1.0.0"
#define AUTONAT_V2_PROTOCOL   "/libp2p/autonat/2/dial-request"
#define AUTONAT_BACK_PROTOCOL "/libp2p/autonat/2/dial-back"

/* Bounds. go-libp2p takes 4096 bytes of v1, 8192 of v2 and looks at 50 addresses. */
#define AUTONAT_V1_MESSAGE_SIZE_MAX   4096
#define AUTONAT_V2_MESSAGE_SIZE_MAX   8192
#define AUTONAT_BACK_MESSAGE_SIZE_MAX 1024
#define AUTONAT_ADDRESSES_MAX         50
#define AUTONAT_DATA_PIECE_MAX        4096

enum autonat_version { AUTONAT_V1 = 1, AUTONAT_V2 = 2 };

enum autonat_v1_status {
    AUTONAT_V1_OK = 0,
    AUTONAT_V1_DIAL_ERROR = 100,
    AUTONAT_V1_DIAL_REFUSED = 101,
    AUTONAT_V1_BAD_REQUEST = 200,
    AUTONAT_V1_INTERNAL_ERROR = 300,
};

enum autonat_v2_status {
    AUTONAT_V2_INTERNAL_ERROR = 0,
    AUTONAT_V2_REQUEST_REJECTED = 100,
    AUTONAT_V2_DIAL_REFUSED = 101,
    AUTONAT_V2_OK = 200,
};

enum autonat_dial_status {
    AUTONAT_DIAL_UNUSED = 0,
    AUTONAT_DIAL_ERROR = 100,
    AUTONAT_DIAL_BACK_ERROR = 101,
    AUTONAT_DIAL_OK = 200,
};

enum autonat_message_type {
    AUTONAT_DIAL,          /* v1: peer_id (may be empty), addresses; v2: addresses, nonce */
    AUTONAT_DIAL_RESPONSE, /* v1: status, text, address; v2: status, index, dial_status */
    AUTONAT_DATA_REQUEST,  /* v2: index, size */
    AUTONAT_DATA,          /* v2: data */
};

/* Everything is borrowed. A status may be one that this list does not know. */
struct autonat_message {
    enum autonat_message_type type;
    uint64_t status;
    uint64_t dial_status;
    uint64_t index;
    uint64_t nonce;
    uint64_t size;
    struct bytes peer_id;
    struct bytes text;
    struct bytes address;
    struct bytes data;
    size_t address_count; /* further ones are left out */
    struct bytes addresses[AUTONAT_ADDRESSES_MAX];
};

/* Reads the payload of a frame. PLASM_MALFORMED. Addresses are not looked at. */
MUST_CHECK int autonat_decode(enum autonat_version version, struct bytes payload,
                              struct autonat_message *ret_message);
/* Writes a message with its frame; overflow is latched in the writer. */
void autonat_encode(enum autonat_version version, const struct autonat_message *message,
                    struct writer *writer);

/* The nonce alone, as the dial-back stream has it, and its answer. PLASM_MALFORMED. */
void autonat_back_encode(uint64_t nonce, struct writer *writer);
MUST_CHECK int autonat_back_decode(struct bytes payload, uint64_t *ret_nonce);
/* The answer to a dial-back says only that it came. */
void autonat_back_response_encode(struct writer *writer);

#endif
