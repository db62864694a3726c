/* UDP as QUIC wants it. GSO and GRO are what makes it fast; both are looked for at run time. */
#include "host/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/errqueue.h>
#include <netinet/udp.h>
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#endif

#include "host/sockaddr.h"

/* Room for the control messages of one datagram: address, ECN, segment size. */
#define CONTROL_SIZE 128

static void set_option(int fd, int level, int option, int value) {
    /* Each of these is an improvement the kernel may refuse. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void set_options(struct udp_socket *udp, bool six) {
    int fd = udp->fd;
    set_option(fd, SOL_SOCKET, SO_RCVBUF, UDP_SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_SNDBUF, UDP_SOCKET_BUFFER);
    if (six) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    } else {
#ifdef IP_PKTINFO
        set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
#endif
        set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    }
    /* QUIC finds its packet size by itself and must not be fragmented. */
#ifdef __linux__
    if (six) {
        set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    } else {
        set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
    }
    set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
    int segment = 0;
    socklen_t size = sizeof(segment);
    udp->segments = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0;
#elif defined(IP_DONTFRAG) && defined(IPV6_DONTFRAG)
    set_option(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_DONTFRAG : IP_DONTFRAG, 1);
#endif
}

int udp_open(const struct netaddr *address, struct udp_socket *ret_socket) {
    bool six = address->family == NETADDR_IP6;
    struct udp_socket udp = {.fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0)};
    if (udp.fd < 0) {
        return PLASM_IO;
    }
    int error = PLASM_IO;
    struct sockaddr_storage storage;
    socklen_t size = sockaddr_from_netaddr(address, &storage);
    int flags = fcntl(udp.fd, F_GETFL);
    if (flags < 0 || fcntl(udp.fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(udp.fd, F_SETFD, FD_CLOEXEC) != 0) {
        goto out;
    }
    set_options(&udp, six);
    if (bind(udp.fd, (struct sockaddr *)&storage, size) != 0) {
        goto out;
    }
    size = sizeof(storage);
    if (getsockname(udp.fd, (struct sockaddr *)&storage, &size) != 0) {
        goto out;
    }
    error = sockaddr_to_netaddr((struct sockaddr *)&storage, &udp.local);
    if (error != 0) {
        goto out;
    }
    /* The pages are touched only as far as datagrams fill them. */
    udp.room = malloc((size_t)UDP_BATCH_MAX * UDP_DATAGRAM_MAX);
    error = udp.room == NULL ? PLASM_NO_MEMORY : 0;
out:
    if (error != 0) {
        int saved = errno;
        (void)close(udp.fd);
        errno = saved;
        return error;
    }
    *ret_socket = udp;
    return 0;
}

void udp_close(struct udp_socket *udp) {
    (void)close(udp->fd);
    free(udp->room);
    udp->fd = -1;
    udp->room = NULL;
}

static void read_control(struct msghdr *message, struct udp_datagram *datagram) {
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control != NULL;
         control = CMSG_NXTHDR(message, control)) {
        const void *data = CMSG_DATA(control);
        if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, data, sizeof(info));
            memcpy(datagram->local.ip, &info.ipi6_addr, 16);
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
            int class;
            memcpy(&class, data, sizeof(class));
            datagram->ecn = (uint8_t)(class & 3);
        } else if (control->cmsg_level == IPPROTO_IP &&
                   (control->cmsg_type == IP_TOS || control->cmsg_type == IP_RECVTOS)) {
            datagram->ecn = *(const uint8_t *)data & 3;
#ifdef IP_PKTINFO
        } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, data, sizeof(info));
            memcpy(datagram->local.ip, &info.ipi_addr, 4);
#endif
#ifdef __linux__
        } else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, data, sizeof(segment));
            datagram->segment_size = (uint16_t)segment;
#endif
        }
    }
}

/* False for a datagram that is to be skipped. */
static bool take_datagram(struct udp_socket *udp, struct msghdr *message, uint8_t *room,
                          size_t size, struct udp_datagram *datagram) {
    *datagram = (struct udp_datagram){.local = udp->local, .bytes = bytes_of(room, size)};
    if (size == 0 || (message->msg_flags & MSG_TRUNC) != 0 ||
        sockaddr_to_netaddr(message->msg_name, &datagram->remote) != 0) {
        return false;
    }
    read_control(message, datagram);
    if (datagram->segment_size >= size) {
        datagram->segment_size = 0;
    }
    return true;
}

#ifdef __linux__

size_t udp_receive(struct udp_socket *udp, struct udp_datagram *ret_datagrams) {
    struct mmsghdr messages[UDP_BATCH_MAX];
    struct iovec vectors[UDP_BATCH_MAX];
    struct sockaddr_storage names[UDP_BATCH_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[UDP_BATCH_MAX][CONTROL_SIZE];
    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < UDP_BATCH_MAX; i++) {
        vectors[i] = (struct iovec){udp->room + i * UDP_DATAGRAM_MAX, UDP_DATAGRAM_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
                                              .msg_namelen = sizeof(names[i]),
                                              .msg_iov = &vectors[i],
                                              .msg_iovlen = 1,
                                              .msg_control = controls[i],
                                              .msg_controllen = CONTROL_SIZE};
    }
    int received = recvmmsg(udp->fd, messages, UDP_BATCH_MAX, 0, NULL);
    size_t count = 0;
    for (int i = 0; i < received; i++) {
        count += take_datagram(udp, &messages[i].msg_hdr, vectors[i].iov_base, messages[i].msg_len,
                               &ret_datagrams[count]);
    }
    return count;
}

bool udp_next_refusal(struct udp_socket *udp, struct netaddr *ret_remote) {
    struct sockaddr_storage name;
    uint8_t payload[64];
    _Alignas(struct cmsghdr) uint8_t control_room[512];
    struct iovec vector = {payload, sizeof(payload)};
    struct msghdr message = {.msg_name = &name,
                             .msg_namelen = sizeof(name),
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control_room,
                             .msg_controllen = sizeof(control_room)};
    while (recvmsg(udp->fd, &message, MSG_ERRQUEUE) >= 0) {
        for (struct cmsghdr *control = CMSG_FIRSTHDR(&message); control != NULL;
             control = CMSG_NXTHDR(&message, control)) {
            bool reported =
                (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVERR) ||
                (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVERR);
            struct sock_extended_err error;
            if (!reported) {
                continue;
            }
            memcpy(&error, CMSG_DATA(control), sizeof(error));
            /* A packet that is too big is path discovery's business, not a refusal. */
            if (error.ee_errno != EMSGSIZE &&
                sockaddr_to_netaddr((struct sockaddr *)&name, ret_remote) == 0) {
                return true;
            }
        }
        message.msg_namelen = sizeof(name);
        message.msg_controllen = sizeof(control_room);
    }
    return false;
}

#else

size_t udp_receive(struct udp_socket *udp, struct udp_datagram *ret_datagrams) {
    size_t count = 0;
    while (count < UDP_BATCH_MAX) {
        struct sockaddr_storage name;
        _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
        uint8_t *room = udp->room + count * UDP_DATAGRAM_MAX;
        struct iovec vector = {room, UDP_DATAGRAM_MAX};
        struct msghdr message = {.msg_name = &name,
                                 .msg_namelen = sizeof(name),
                                 .msg_iov = &vector,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        ssize_t size = recvmsg(udp->fd, &message, 0);
        if (size < 0) {
            break;
        }
        count += take_datagram(udp, &message, room, (size_t)size, &ret_datagrams[count]);
    }
    return count;
}

bool udp_next_refusal(struct udp_socket *udp, struct netaddr *ret_remote) {
    (void)udp;
    (void)ret_remote;
    return false;
}

#endif

/* Appends a control message of one value. */
static void put_control(struct msghdr *message, int level, int type, const void *value,
                        size_t size) {
    uint8_t *place = (uint8_t *)message->msg_control + message->msg_controllen;
    struct cmsghdr *control = (struct cmsghdr *)(void *)place;
    control->cmsg_level = level;
    control->cmsg_type = type;
    /* These sizes are size_t on some systems and socklen_t on others. */
    control->cmsg_len = (socklen_t)CMSG_LEN(size);
    memcpy(CMSG_DATA(control), value, size);
    message->msg_controllen += (socklen_t)CMSG_SPACE(size);
}

static void put_source(struct msghdr *message, const struct netaddr *local) {
    if (netaddr_is_unspecified(local)) {
        return;
    }
    if (local->family == NETADDR_IP6) {
        struct in6_pktinfo info = {.ipi6_ifindex = 0};
        memcpy(&info.ipi6_addr, local->ip, 16);
        put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
#ifdef IP_PKTINFO
    } else {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, local->ip, 4);
        put_control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
#endif
    }
}

static int send_once(struct udp_socket *udp, const struct udp_datagram *datagram) {
    struct sockaddr_storage name;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE] = {0};
    struct iovec vector = {(void *)(uintptr_t)datagram->bytes.data, datagram->bytes.size};
    struct msghdr message = {.msg_name = &name,
                             .msg_namelen = sockaddr_from_netaddr(&datagram->remote, &name),
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control};
    put_source(&message, &datagram->local);
    if (datagram->ecn != 0) {
        int class = datagram->ecn;
        bool six = datagram->remote.family == NETADDR_IP6;
        put_control(&message, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS, &class,
                    sizeof(class));
    }
#ifdef __linux__
    if (datagram->segment_size > 0 && datagram->segment_size < datagram->bytes.size) {
        put_control(&message, IPPROTO_UDP, UDP_SEGMENT, &datagram->segment_size,
                    sizeof(datagram->segment_size));
    }
#endif
    if (message.msg_controllen == 0) {
        message.msg_control = NULL;
    }
    ssize_t sent;
    do {
        sent = sendmsg(udp->fd, &message, 0);
        /* A pending ICMP error of an earlier packet is reported here once and then cleared. */
    } while (sent < 0 && (errno == EINTR || errno == ECONNREFUSED));
    if (sent >= 0) {
        return 0;
    }
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
        return PLASM_LIMIT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
    case EPERM: /* a local firewall */
    case EACCES:
    case EINVAL:
        return PLASM_UNREACHABLE;
    default:
        return PLASM_IO;
    }
}

/* The interface on the way, not the socket, decides whether batches are split for us: without
 * checksum offload it is EIO. What is not sent any more is as lost on the way. */
static bool refuses_segments(const struct udp_datagram *datagram) {
    return datagram->segment_size > 0 && (errno == EIO || errno == EINVAL || errno == EOPNOTSUPP);
}

int udp_send(struct udp_socket *udp, const struct udp_datagram *datagram) {
    int error = send_once(udp, datagram);
    if (error == 0 || !refuses_segments(datagram)) {
        return error;
    }
    udp->segments = false;
    struct udp_datagram one = *datagram;
    one.segment_size = 0;
    struct bytes rest = datagram->bytes;
    error = 0;
    while (rest.size > 0 && error == 0) {
        one.bytes = bytes_slice(rest, 0, datagram->segment_size);
        rest = bytes_slice(rest, one.bytes.size, rest.size);
        error = send_once(udp, &one);
    }
    return error == PLASM_LIMIT ? 0 : error;
}
