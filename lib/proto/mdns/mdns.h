/* Finding peers on the local network, and being found there: libp2p's use of multicast DNS.
 *
 * Use: tell the interfaces with mdns_set_interfaces(), give every datagram to mdns_receive(), call
 * mdns_expire() at mdns_deadline(); after any of them drain mdns_next_event() and send what
 * mdns_transmit() gives, each to its group (224.0.0.251 or ff02::fb, port 5353) on its interface,
 * or to one address. Sent datagrams come back to us and are ignored.
 *
 * Whoever announces answers queries with a random name that says nothing of the peer, and with a
 * TXT record of "dnsaddr=" multiaddrs. Answers wait 20 to 120 ms, are left out when the asker knows
 * them, and go out at most once a second an interface; questions are asked again after pauses that
 * double, and shortly before what was found expires. Loopback, relayed and browsers' addresses are
 * neither told nor taken; nor is anything from or about another network, so that nobody on the LAN
 * can send us to a stranger.
 *
 * Specs: libp2p/specs discovery/mdns.md r2; RFC 6762 (5.2 queries, 6 answers, 7.1 known answers,
 * 7.3 duplicate questions, 8.3 announcing, 10.1 goodbye, 11 sources); RFC 6763. */
#ifndef PROTO_MDNS_H
#define PROTO_MDNS_H

#include "crypto/random.h"
#include "identity/peer_id.h"
#include "util/memory.h"
#include "util/netaddr.h"
#include "util/time.h"
#include "wire/multiaddr.h"

#define MDNS_PORT    5353
#define MDNS_SERVICE "_p2p._udp.local"

/* Bounds: interfaces; networks and addresses of one; peers remembered and their addresses; size of
 * a message we send (fits an Ethernet frame) and of one we look at. */
#define MDNS_INTERFACES_MAX       16
#define MDNS_SUBNETS_MAX          8
#define MDNS_ADDRESSES_MAX        8
#define MDNS_PEERS_MAX            128
#define MDNS_MESSAGE_SIZE_MAX     1440
#define MDNS_MESSAGE_RECEIVED_MAX 9000
/* Unicast answers that wait, an interface and family; peers found a second, and at once. */
#define MDNS_UNICAST_MAX     4
#define MDNS_FOUND_PER_S     4
#define MDNS_FOUND_BURST     32
#define MDNS_TTL_S           120
#define MDNS_TTL_TAKEN_S_MAX 4500

struct mdns_subnet {
    struct netaddr address; /* ours in it */
    uint8_t prefix_bits;
};

/* What the machine has, and what is announced there. */
struct mdns_interface {
    uint32_t index; /* the system's number; not 0 */
    bool ip4;       /* multicast works with this family */
    bool ip6;
    size_t subnet_count;
    struct mdns_subnet subnets[MDNS_SUBNETS_MAX];
    size_t address_count;                           /* 0: nothing to announce */
    struct multiaddr addresses[MDNS_ADDRESSES_MAX]; /* ours there, without /p2p */
};

struct mdns_config {
    struct peer_id id;
    bool announce; /* tell others of us */
    bool prompt;   /* a person waits: ask at once, not after 20 to 120 ms */
    struct memory *memory;
    uint8_t seed[32];
};

enum mdns_event_type {
    MDNS_FOUND, /* new, or at other addresses than before */
    MDNS_LOST,  /* said goodbye, or was not heard of any more */
};

struct mdns_event {
    enum mdns_event_type type;
    struct peer_id id;
    uint32_t interface;
    size_t address_count;
    struct multiaddr addresses[MDNS_ADDRESSES_MAX]; /* without /p2p */
};

/* What to send: to the group of `family` on `interface`, or to `unicast` when that has a family. */
struct mdns_datagram {
    uint32_t interface;
    enum netaddr_family family;
    struct netaddr unicast;
    size_t size;
};

struct mdns;

/* PLASM_NO_MEMORY. `config` is copied. */
MUST_CHECK int mdns_new(const struct mdns_config *config, struct mdns **ret_mdns);
void mdns_free(struct mdns *mdns);

/* Replaces what is known of the interfaces; what is over a bound is left out, unsuitable addresses
 * too. New or changed ones are announced and asked on. */
void mdns_set_interfaces(struct mdns *mdns, const struct mdns_interface *interfaces, size_t count,
                         nanos now);
/* Looks for peers from now on, beginning anew; or no more. */
void mdns_search(struct mdns *mdns, bool on, nanos now);
/* What arrived on an interface. Bad messages are ignored. */
void mdns_receive(struct mdns *mdns, uint32_t interface, const struct netaddr *source,
                  struct bytes message, nanos now);
nanos mdns_deadline(const struct mdns *mdns);
void mdns_expire(struct mdns *mdns, nanos now);
bool mdns_next_event(struct mdns *mdns, struct mdns_event *ret_event);
/* The next datagram, at most MDNS_MESSAGE_SIZE_MAX bytes into `room`; false when none is due. */
bool mdns_transmit(struct mdns *mdns, struct span room, nanos now,
                   struct mdns_datagram *ret_datagram);
/* Says goodbye: transmit once more, then free it. */
void mdns_stop(struct mdns *mdns);

/* Peers known now. */
size_t mdns_peer_count(const struct mdns *mdns);
/* An address that means something to others on the network: begins with /ip4 or /ip6, neither
 * loopback nor unspecified nor multicast nor IPv6 link-local (it lacks its zone elsewhere), and
 * neither relayed nor for browsers. */
bool mdns_is_suitable(const struct multiaddr *address);

#endif
