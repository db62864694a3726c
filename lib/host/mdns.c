/* Multicast sockets, the interfaces they are joined on, and the machine behind them. */
#ifdef __APPLE__
#define _DARWIN_C_SOURCE
#endif

#include "host/mdns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/random.h"
#include "host/alarm.h"
#include "host/sockaddr.h"
#include "proto/mdns/mdns.h"
#include "util/ensure.h"

#ifdef __APPLE__
#define JOIN_GROUP6 IPV6_JOIN_GROUP
#else
#define JOIN_GROUP6 IPV6_ADD_MEMBERSHIP
#endif

#define GROUP4        0xe00000fbU /* 224.0.0.251 */
#define HOPS          255         /* RFC 6762 section 11 */
#define DATAGRAMS_MAX 64          /* read before others have their turn */
#define CONTROL_SIZE  256

struct mdns_socket {
    int fd; /* -1: not there */
    uv_poll_t poll;
};

struct mdns_service {
    struct mdns_service_config config;
    struct multiaddr listening[MDNS_LISTENING_MAX];
    struct mdns *mdns;
    struct mdns_socket sockets[2]; /* IPv4, IPv6 */
    struct alarm alarm;
    bool has_alarm;
    size_t interface_count;
    size_t handles; /* open ones */
};

/* --- sockets ---------------------------------------------------------------------------------- */

static const uint8_t group6[16] = {0xff, 0x02, [15] = 0xfb};

static bool set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool prepare4(int fd) {
    struct sockaddr_in bound = {.sin_family = AF_INET, .sin_port = htons(MDNS_PORT)};
#ifdef __linux__
    bound.sin_addr.s_addr = htonl(GROUP4);
    (void)set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    bool informed = set(fd, IPPROTO_IP, IP_PKTINFO, 1);
#else
    bool informed = set(fd, IPPROTO_IP, IP_RECVPKTINFO, 1);
#endif
    return informed && set(fd, IPPROTO_IP, IP_MULTICAST_TTL, HOPS) &&
           set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1) &&
           bind(fd, (struct sockaddr *)&bound, sizeof(bound)) == 0;
}

static bool prepare6(int fd) {
    struct sockaddr_in6 bound = {.sin6_family = AF_INET6, .sin6_port = htons(MDNS_PORT)};
    return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
           set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS) &&
           set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1) &&
           bind(fd, (struct sockaddr *)&bound, sizeof(bound)) == 0;
}

/* -1 and errno when it cannot be had. */
static int open_socket(int family) {
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd < 0) {
        return -1;
    }
    bool ready = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
                 set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && set(fd, SOL_SOCKET, SO_REUSEPORT, 1) &&
                 (family == AF_INET ? prepare4(fd) : prepare6(fd));
    if (!ready) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* True when the group is joined, also when it was before. */
static bool join(const struct mdns_service *service, int which, uint32_t index) {
    int fd = service->sockets[which].fd;
    int result = -1;
    if (fd < 0) {
        return false;
    }
    if (which == 0) {
        struct ip_mreqn request = {.imr_multiaddr.s_addr = htonl(GROUP4),
                                   .imr_ifindex = (int)index};
        result = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request));
    } else {
        struct ipv6_mreq request = {.ipv6mr_interface = index};
        memcpy(&request.ipv6mr_multiaddr, group6, sizeof(group6));
        result = setsockopt(fd, IPPROTO_IPV6, JOIN_GROUP6, &request, sizeof(request));
    }
    return result == 0 || errno == EADDRINUSE;
}

/* --- interfaces ------------------------------------------------------------------------------- */

static uint8_t prefix_bits(const struct netaddr *mask) {
    struct bytes bytes = netaddr_ip(mask);
    uint8_t bits = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        for (uint8_t byte = bytes.data[i]; (byte & 0x80) != 0; byte = (uint8_t)(byte << 1)) {
            bits++;
        }
    }
    return bits;
}

/* `listening` with the interface's address instead of a wildcard; false when it is another's. */
static bool put_in(const struct multiaddr *listening, const struct netaddr *ip,
                   struct multiaddr *ret_address) {
    struct cursor cursor = cursor_of(multiaddr_bytes(listening));
    struct multiaddr_part part;
    struct netaddr bound = {.family = NETADDR_NONE};
    struct multiaddr address = {.size = 0};
    while (multiaddr_next(&cursor, &part)) {
        struct bytes value = part.value;
        if (bound.family == NETADDR_NONE) {
            if (part.code != MULTIADDR_IP4 && part.code != MULTIADDR_IP6) {
                return false;
            }
            bound.family = part.code == MULTIADDR_IP4 ? NETADDR_IP4 : NETADDR_IP6;
            memcpy(bound.ip, value.data, value.size);
            if (bound.family != ip->family ||
                !(netaddr_is_unspecified(&bound) || netaddr_equal_ip(&bound, ip))) {
                return false;
            }
            value = netaddr_ip(ip);
        }
        if (multiaddr_append(&address, part.code, value) != 0) {
            return false;
        }
    }
    *ret_address = address;
    return bound.family != NETADDR_NONE;
}

static void add_address(const struct mdns_service *service, struct mdns_interface *interface,
                        const struct netaddr *address, uint8_t bits) {
    if (interface->subnet_count == MDNS_SUBNETS_MAX) {
        return;
    }
    interface->subnets[interface->subnet_count].address = *address;
    interface->subnets[interface->subnet_count++].prefix_bits = bits;
    for (size_t i = 0; i < service->config.listening_count; i++) {
        struct multiaddr ours;
        if (interface->address_count < MDNS_ADDRESSES_MAX &&
            put_in(&service->listening[i], address, &ours) && mdns_is_suitable(&ours)) {
            interface->addresses[interface->address_count++] = ours;
        }
    }
}

/* One address of the system's list into the interface it belongs to. */
static size_t take_ifaddr(const struct mdns_service *service, const struct ifaddrs *entry,
                          struct mdns_interface *interfaces, size_t count) {
    const unsigned wanted = IFF_UP | IFF_MULTICAST;
    struct netaddr address;
    struct netaddr mask;
    uint32_t index = if_nametoindex(entry->ifa_name);
    if (entry->ifa_addr == NULL || entry->ifa_netmask == NULL || index == 0 ||
        (entry->ifa_flags & wanted) != wanted || (entry->ifa_flags & IFF_LOOPBACK) != 0 ||
        sockaddr_to_netaddr(entry->ifa_addr, &address) != 0 ||
        sockaddr_to_netaddr(entry->ifa_netmask, &mask) != 0) {
        return count;
    }
    address.port = 0;
    address.scope = 0;
    size_t at = 0;
    while (at < count && interfaces[at].index != index) {
        at++;
    }
    if (at == count) {
        if (count == MDNS_INTERFACES_MAX) {
            return count;
        }
        interfaces[count++] = (struct mdns_interface){.index = index};
    }
    struct mdns_interface *interface = &interfaces[at];
    interface->ip4 = interface->ip4 || address.family == NETADDR_IP4;
    interface->ip6 = interface->ip6 || address.family == NETADDR_IP6;
    add_address(service, interface, &address, prefix_bits(&mask));
    return count;
}

static void refresh_interfaces(struct mdns_service *service) {
    struct mdns_interface *interfaces = calloc(MDNS_INTERFACES_MAX, sizeof(*interfaces));
    struct ifaddrs *list;
    if (interfaces == NULL || getifaddrs(&list) != 0) {
        free(interfaces);
        return;
    }
    size_t count = 0;
    for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
        count = take_ifaddr(service, entry, interfaces, count);
    }
    freeifaddrs(list);
    bool listens = service->config.listening_count > 0;
    service->interface_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct mdns_interface *interface = &interfaces[i];
        if (listens && interface->address_count == 0) {
            continue;
        }
        interface->ip4 = interface->ip4 && join(service, 0, interface->index);
        interface->ip6 = interface->ip6 && join(service, 1, interface->index);
        interfaces[service->interface_count] = *interface;
        service->interface_count++;
    }
    mdns_set_interfaces(service->mdns, interfaces, service->interface_count, alarm_now());
    free(interfaces);
}

/* --- datagrams -------------------------------------------------------------------------------- */

union control {
    struct cmsghdr header;
    uint8_t room[CONTROL_SIZE];
};

static void put_interface(struct msghdr *message, uint32_t index, bool ip6) {
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (ip6) {
        struct in6_pktinfo info = {.ipi6_ifindex = index};
        header->cmsg_level = IPPROTO_IPV6;
        header->cmsg_type = IPV6_PKTINFO;
        header->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(header), &info, sizeof(info));
        message->msg_controllen = CMSG_SPACE(sizeof(info));
    } else {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        info.ipi_ifindex = (__typeof__(info.ipi_ifindex))index; /* signed here, unsigned there */
        header->cmsg_level = IPPROTO_IP;
        header->cmsg_type = IP_PKTINFO;
        header->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(header), &info, sizeof(info));
        message->msg_controllen = CMSG_SPACE(sizeof(info));
    }
}

/* Lost when the kernel does not take it: multicast is repeated anyway. */
static void send_datagram(const struct mdns_service *service, const struct mdns_datagram *datagram,
                          uint8_t *bytes) {
    bool ip6 = datagram->family == NETADDR_IP6;
    struct netaddr to = {.family = (uint8_t)datagram->family, .port = MDNS_PORT};
    if (ip6) {
        memcpy(to.ip, group6, sizeof(group6));
        to.scope = datagram->interface;
    } else {
        uint32_t group = htonl(GROUP4);
        memcpy(to.ip, &group, sizeof(group));
    }
    if (datagram->unicast.family != NETADDR_NONE) {
        to = datagram->unicast;
    }
    struct sockaddr_storage address;
    union control control = {.room = {0}};
    struct iovec piece = {.iov_base = bytes, .iov_len = datagram->size};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sockaddr_from_netaddr(&to, &address),
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    put_interface(&message, datagram->interface, ip6);
    if (sendmsg(service->sockets[ip6].fd, &message, 0) < 0) {
        log_event(service->config.log, LOG_LEVEL_DEBUG, "mdns", "cannot send on interface %u: %s",
                  datagram->interface, strerror(errno));
    }
}

/* The interface a datagram came in on; 0 when the system does not say. */
static uint32_t interface_of(struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof(info));
            return (uint32_t)info.ipi_ifindex;
        }
        if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof(info));
            return (uint32_t)info.ipi6_ifindex;
        }
    }
    return 0;
}

/* False when nothing waits. */
static bool receive_datagram(struct mdns_service *service, int fd) {
    uint8_t room[MDNS_MESSAGE_RECEIVED_MAX];
    struct sockaddr_storage address;
    union control control;
    struct iovec piece = {.iov_base = room, .iov_len = sizeof(room)};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sizeof(address),
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct netaddr source;
    ssize_t size = recvmsg(fd, &message, 0);
    if (size < 0) {
        return errno == EINTR;
    }
    if ((message.msg_flags & MSG_TRUNC) == 0 &&
        sockaddr_to_netaddr((const struct sockaddr *)(const void *)&address, &source) == 0) {
        mdns_receive(service->mdns, interface_of(&message), &source, bytes_of(room, (size_t)size),
                     alarm_now());
    }
    return true;
}

/* After anything happened. */
static void run(struct mdns_service *service) {
    struct mdns_event event;
    while (mdns_next_event(service->mdns, &event)) {
        char id[PEER_ID_TEXT_MAX];
        peer_id_format(&event.id, id);
        log_event(service->config.log, LOG_LEVEL_DEBUG, "mdns", "%s: %s",
                  event.type == MDNS_FOUND ? "found" : "lost", id);
        if (event.type == MDNS_FOUND) {
            service->config.on_found(service->config.context, &event.id, event.addresses,
                                     event.address_count);
        }
    }
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    while (
        mdns_transmit(service->mdns, (struct span){room, sizeof(room)}, alarm_now(), &datagram)) {
        send_datagram(service, &datagram, room);
    }
    alarm_set(&service->alarm, mdns_deadline(service->mdns));
}

/* --- handles ---------------------------------------------------------------------------------- */

static void on_socket(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct mdns_service *service = poll->data;
    struct mdns_socket *socket = CONTAINER_OF(poll, struct mdns_socket, poll);
    for (int i = 0; i < DATAGRAMS_MAX && receive_datagram(service, socket->fd); i++) {
    }
    run(service);
}

static void on_alarm(void *context) {
    struct mdns_service *service = context;
    mdns_expire(service->mdns, alarm_now());
    run(service);
}

static void on_closed(uv_handle_t *handle) {
    struct mdns_service *service = handle->data;
    if (--service->handles > 0) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        if (service->sockets[i].fd >= 0) {
            (void)close(service->sockets[i].fd);
        }
    }
    free(service);
}

static int open_handles(struct mdns_service *service) {
    int families[2] = {AF_INET, AF_INET6};
    uv_loop_t *loop = service->config.loop;
    if (alarm_init(&service->alarm, loop, on_alarm, service) != 0) {
        return PLASM_IO;
    }
    service->has_alarm = true;
    service->handles++;
    int system_error = 0;
    for (size_t i = 0; i < 2; i++) {
        struct mdns_socket *socket = &service->sockets[i];
        socket->fd = open_socket(families[i]);
        if (socket->fd < 0) {
            system_error = errno;
            continue;
        }
        if (uv_poll_init(loop, &socket->poll, socket->fd) != 0) {
            (void)close(socket->fd);
            socket->fd = -1;
            continue;
        }
        socket->poll.data = service;
        service->handles++;
        (void)uv_poll_start(&socket->poll, UV_READABLE, on_socket);
    }
    errno = system_error;
    return service->sockets[0].fd >= 0 || service->sockets[1].fd >= 0 ? 0 : PLASM_IO;
}

int mdns_service_new(const struct mdns_service_config *config, struct mdns_service **ret_service) {
    struct mdns_service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return PLASM_NO_MEMORY;
    }
    service->config = *config;
    service->sockets[0].fd = -1;
    service->sockets[1].fd = -1;
    if (service->config.listening_count > MDNS_LISTENING_MAX) {
        service->config.listening_count = MDNS_LISTENING_MAX;
    }
    for (size_t i = 0; i < service->config.listening_count; i++) {
        service->listening[i] = config->listening[i];
    }
    bool announces = service->config.listening_count > 0;
    struct mdns_config machine = {
        .id = config->id, .announce = announces, .prompt = !announces, .memory = config->memory};
    crypto_system_random((struct span){machine.seed, sizeof(machine.seed)});
    int error = mdns_new(&machine, &service->mdns);
    if (error != 0) {
        free(service);
        return error;
    }
    error = open_handles(service);
    if (error != 0) {
        int system_error = errno;
        mdns_service_free(service);
        errno = system_error;
        return error;
    }
    mdns_search(service->mdns, true, alarm_now());
    refresh_interfaces(service);
    run(service);
    *ret_service = service;
    return 0;
}

void mdns_service_free(struct mdns_service *service) {
    if (service == NULL) {
        return;
    }
    mdns_stop(service->mdns);
    if (service->has_alarm) {
        run(service);
        alarm_close(&service->alarm, on_closed, service);
    }
    mdns_free(service->mdns);
    service->mdns = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (service->sockets[i].fd >= 0) {
            uv_close((uv_handle_t *)&service->sockets[i].poll, on_closed);
        }
    }
    if (service->handles == 0) {
        free(service);
    }
}

void mdns_service_refresh(struct mdns_service *service) {
    refresh_interfaces(service);
    run(service);
}

void mdns_service_search(struct mdns_service *service, bool on) {
    mdns_search(service->mdns, on, alarm_now());
    run(service);
}

size_t mdns_service_peers(const struct mdns_service *service) {
    return mdns_peer_count(service->mdns);
}

size_t mdns_service_interfaces(const struct mdns_service *service) {
    return service->interface_count;
}
