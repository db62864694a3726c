/* Mappings by NAT-PMP (RFC 6886), blocking. */
#include <natpmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "host/portmap/internal.h"

/* The library would go on for a minute: a router that does it answers at once. */
#define TRIES_MAX 3

static bool open_natpmp(natpmp_t *natpmp) {
    uint32_t gateway;
    return portmap_gateway(&gateway) && initnatpmp(natpmp, gateway != 0, gateway) == 0;
}

static bool await(natpmp_t *natpmp, natpmpresp_t *response) {
    int status = NATPMP_TRYAGAIN;
    for (int i = 0; i < TRIES_MAX && status == NATPMP_TRYAGAIN; i++) {
        struct timeval wait;
        if (getnatpmprequesttimeout(natpmp, &wait) != 0) {
            return false;
        }
        struct pollfd fd = {.fd = natpmp->s, .events = POLLIN};
        (void)poll(&fd, 1, (int)(wait.tv_sec * 1000 + wait.tv_usec / 1000) + 1);
        status = readnatpmpresponseorretry(natpmp, response);
    }
    return status == 0;
}

static bool map_port(natpmp_t *natpmp, const struct portmap_port *port, uint16_t outside,
                     uint32_t life_s, uint16_t *ret_outside) {
    natpmpresp_t response;
    int protocol = port->tcp ? NATPMP_PROTOCOL_TCP : NATPMP_PROTOCOL_UDP;
    if (sendnewportmappingrequest(natpmp, protocol, port->port, outside, life_s) < 0 ||
        !await(natpmp, &response)) {
        return false;
    }
    *ret_outside = response.pnu.newportmapping.mappedpublicport;
    return true;
}

bool natpmp_map(const struct portmap_port *ports, size_t count, struct portmap_result *result) {
    natpmp_t natpmp;
    natpmpresp_t response;
    if (!open_natpmp(&natpmp)) {
        return false;
    }
    bool answered = sendpublicaddressrequest(&natpmp) >= 0 && await(&natpmp, &response);
    struct netaddr ip = {.family = NETADDR_IP4};
    if (answered) {
        memcpy(ip.ip, &response.pnu.publicaddress.addr, 4);
    }
    for (size_t i = 0; i < count && answered; i++) {
        uint16_t outside;
        if (map_port(&natpmp, &ports[i], ports[i].port, PORTMAP_LIFE_S, &outside)) {
            result->ports[result->count] = ports[i];
            result->external[result->count] = ip;
            result->external[result->count].port = outside;
            result->count++;
        }
    }
    (void)closenatpmp(&natpmp);
    if (result->count > 0) {
        char text[NETADDR_TEXT_MAX];
        netaddr_format_ip(&ip, text);
        result->method = PORTMAP_NATPMP;
        (void)snprintf(result->text, PORTMAP_TEXT_MAX, "by NAT-PMP at %s", text);
    }
    return result->count > 0;
}

void natpmp_unmap(const struct portmap_result *mapped) {
    natpmp_t natpmp;
    if (!open_natpmp(&natpmp)) {
        return;
    }
    for (size_t i = 0; i < mapped->count; i++) {
        uint16_t outside;
        (void)map_port(&natpmp, &mapped->ports[i], 0, 0, &outside); /* life 0 removes it */
    }
    (void)closenatpmp(&natpmp);
}
