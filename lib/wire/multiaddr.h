/* Multiaddrs: self-describing addresses, binary inside, text at the edges. */
#ifndef WIRE_MULTIADDR_H
#define WIRE_MULTIADDR_H

#include "util/cursor.h"
#include "util/netaddr.h"

/* Codes of the multiaddr table (multiformats/multiaddr protocols.csv). */
enum multiaddr_code {
    MULTIADDR_IP4 = 4,
    MULTIADDR_TCP = 6,
    MULTIADDR_IP6 = 41,
    MULTIADDR_IP6ZONE = 42,
    MULTIADDR_IPCIDR = 43,
    MULTIADDR_DNS = 53,
    MULTIADDR_DNS4 = 54,
    MULTIADDR_DNS6 = 55,
    MULTIADDR_DNSADDR = 56,
    MULTIADDR_UDP = 273,
    MULTIADDR_WEBRTC_DIRECT = 280,
    MULTIADDR_WEBRTC = 281,
    MULTIADDR_P2P_CIRCUIT = 290,
    MULTIADDR_P2P = 421,
    MULTIADDR_TLS = 448,
    MULTIADDR_SNI = 449,
    MULTIADDR_NOISE = 454,
    MULTIADDR_QUIC = 460,
    MULTIADDR_QUIC_V1 = 461,
    MULTIADDR_WEBTRANSPORT = 465,
    MULTIADDR_CERTHASH = 466,
    MULTIADDR_WS = 477,
    MULTIADDR_WSS = 478,
    MULTIADDR_HTTP = 480,
};

/* Longest binary form and most components we keep; what is longer is PLASM_TOO_LARGE. Within both,
 * the longest text with NUL is that of fifteen /ip6: 661. */
#define MULTIADDR_SIZE_MAX  256
#define MULTIADDR_PARTS_MAX 16
#define MULTIADDR_TEXT_MAX  704

/* Owned by value: valid bytes only (made by the functions below). */
struct multiaddr {
    uint16_t size;
    uint8_t bytes[MULTIADDR_SIZE_MAX];
};

/* One component. `value` is borrowed and empty for protocols without one. */
struct multiaddr_part {
    uint64_t code;
    struct bytes value;
};

static inline struct bytes multiaddr_bytes(const struct multiaddr *address) {
    return bytes_of(address->bytes, address->size);
}

/* From text, "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3Koo...". "/ipfs/" is read as "/p2p/", a peer
 * id may also be a CID ("bafz..."), slashes at the end do not count. Names are UTF-8 without
 * control characters. PLASM_MALFORMED, PLASM_UNSUPPORTED (unknown protocol), PLASM_TOO_LARGE.
 * Spec: multiformats/multiaddr. */
MUST_CHECK int multiaddr_parse(struct bytes text, struct multiaddr *ret_address);
/* From the wire, checked component by component. The same errors. */
MUST_CHECK int multiaddr_decode(struct bytes binary, struct multiaddr *ret_address);
/* Text with NUL. `room` of MULTIADDR_TEXT_MAX always fits. */
MUST_CHECK int multiaddr_format(const struct multiaddr *address, char *room, size_t room_size);

/* Walks the components of a valid address: start with cursor_of(multiaddr_bytes(a)). False at the
 * end. */
bool multiaddr_next(struct cursor *cursor, struct multiaddr_part *ret_part);
/* Appends a component, its value in binary (a port is 2 bytes, big endian; a peer id a multihash).
 * An address begins as {.size = 0}. Unchanged on PLASM_TOO_LARGE, PLASM_UNSUPPORTED (code),
 * PLASM_MALFORMED (value). */
MUST_CHECK int multiaddr_append(struct multiaddr *address, uint64_t code, struct bytes value);
/* True when one of the components has this code. */
bool multiaddr_has(const struct multiaddr *address, uint64_t code);
bool multiaddr_equal(const struct multiaddr *a, const struct multiaddr *b);

/* "/ip4|ip6/…/udp/port/quic-v1" of a socket address, and the way back: takes an address that
 * begins with ip and udp and quic-v1, optionally followed by p2p; gives the socket address and the
 * peer id bytes (borrowed; empty when none). PLASM_UNSUPPORTED for any other shape. A scope has no
 * place in it and is left out. */
void multiaddr_from_quic(const struct netaddr *address, struct multiaddr *ret_address);
MUST_CHECK int multiaddr_to_quic(const struct multiaddr *address, struct netaddr *ret_netaddr,
                                 struct bytes *ret_peer_id);
/* The same for "/ip4|ip6/…/tcp/port". */
void multiaddr_from_tcp(const struct netaddr *address, struct multiaddr *ret_address);
MUST_CHECK int multiaddr_to_tcp(const struct multiaddr *address, struct netaddr *ret_netaddr,
                                struct bytes *ret_peer_id);
/* The peer that is meant: the value of /p2p where that is the last component, borrowed; else empty
 * (in ".../p2p/R/p2p-circuit" R is only the relay). */
struct bytes multiaddr_peer_id(const struct multiaddr *address);
/* Without that component, if there is one. */
void multiaddr_without_peer(const struct multiaddr *address, struct multiaddr *ret_address);

#endif
