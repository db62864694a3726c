/* A UDP socket for QUIC: batches in both directions, with GRO, GSO, ECN and the local address. */
#ifndef HOST_UDP_H
#define HOST_UDP_H

#include "util/bytes.h"
#include "util/error.h"
#include "util/netaddr.h"

/* Datagrams one udp_receive takes from the kernel at most; with GRO each may hold several packets
 * of the same size. */
#define UDP_BATCH_MAX     16
#define UDP_DATAGRAM_MAX  65536
#define UDP_SOCKET_BUFFER (4 * 1024 * 1024)

struct udp_datagram {
    struct netaddr local; /* where it arrived */
    struct netaddr remote;
    uint8_t ecn;           /* the two ECN bits, RFC 3168 */
    uint16_t segment_size; /* size of each packet but the last; 0: it is one packet */
    struct bytes bytes;
};

struct udp_socket {
    int fd;
    bool segments; /* the kernel takes several packets in one send (GSO), as far as is known */
    struct netaddr local;
    uint8_t *room; /* UDP_BATCH_MAX * UDP_DATAGRAM_MAX */
};

/* Binds to `address`; port 0 takes a free one, which is then in `local`. An IPv6 socket takes IPv6
 * only. PLASM_IO (errno), PLASM_NO_MEMORY. */
MUST_CHECK int udp_open(const struct netaddr *address, struct udp_socket *ret_socket);
void udp_close(struct udp_socket *socket);

/* Takes what has arrived, at most UDP_BATCH_MAX datagrams, valid until the next call. Returns how
 * many, 0 when there is nothing. Errors of single datagrams are skipped. */
size_t udp_receive(struct udp_socket *socket, struct udp_datagram *ret_datagrams);

/* Sends one datagram, or several of `segment_size` in one go. `local` without an address lets the
 * kernel choose. PLASM_LIMIT when the socket's buffer is full (wait until it is writable),
 * PLASM_UNREACHABLE when the network refuses this destination, PLASM_IO. */
MUST_CHECK int udp_send(struct udp_socket *socket, const struct udp_datagram *datagram);

/* The next destination that the network reported as unreachable (ICMP); false when none. */
bool udp_next_refusal(struct udp_socket *socket, struct netaddr *ret_remote);

#endif
