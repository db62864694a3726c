/* Mappings by UPnP IGD, blocking. */
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <string.h>

#include "host/portmap/internal.h"

/* For each of five kinds of devices. */
#define DISCOVER_MS      1000
#define TEXT_PORT_MAX    8
#define PORTS_TRIED      4
#define ERROR_CONFLICT   718
#define ERROR_LEASE_ONLY 725 /* OnlyPermanentLeasesSupported */
#define IGD_CONNECTED    1

struct igd {
    struct UPNPDev *devices;
    struct UPNPUrls urls;
    struct IGDdatas data;
    char inside[64];
    bool found;
};

static bool igd_open(struct igd *igd, char *text) {
    int error = 0;
    memset(igd, 0, sizeof(*igd));
    igd->devices = upnpDiscover(DISCOVER_MS, NULL, NULL, UPNP_LOCAL_PORT_ANY, 0, 2, &error);
    if (igd->devices == NULL) {
        (void)snprintf(text, PORTMAP_TEXT_MAX, "no UPnP router answered");
        return false;
    }
#if MINIUPNPC_API_VERSION >= 18
    char outside[64];
    int kind = UPNP_GetValidIGD(igd->devices, &igd->urls, &igd->data, igd->inside,
                                sizeof(igd->inside), outside, sizeof(outside));
#else
    int kind =
        UPNP_GetValidIGD(igd->devices, &igd->urls, &igd->data, igd->inside, sizeof(igd->inside));
#endif
    igd->found = kind != 0;
    if (kind != IGD_CONNECTED) {
        (void)snprintf(text, PORTMAP_TEXT_MAX, "the UPnP device found is no connected router");
        return false;
    }
    return true;
}

static void igd_close(struct igd *igd) {
    if (igd->found) {
        FreeUPNPUrls(&igd->urls);
    }
    freeUPNPDevlist(igd->devices);
}

static const char *protocol_of(const struct portmap_port *port) {
    return port->tcp ? "TCP" : "UDP";
}

static int add(struct igd *igd, const struct portmap_port *port, unsigned outside) {
    char inner[TEXT_PORT_MAX];
    char outer[TEXT_PORT_MAX];
    char life[16];
    (void)snprintf(inner, sizeof(inner), "%u", (unsigned)port->port);
    (void)snprintf(outer, sizeof(outer), "%u", outside);
    (void)snprintf(life, sizeof(life), "%d", PORTMAP_LIFE_S);
    int error = UPNP_AddPortMapping(igd->urls.controlURL, igd->data.first.servicetype, outer, inner,
                                    igd->inside, "plasm", protocol_of(port), NULL, life);
    if (error == ERROR_LEASE_ONLY) {
        error = UPNP_AddPortMapping(igd->urls.controlURL, igd->data.first.servicetype, outer, inner,
                                    igd->inside, "plasm", protocol_of(port), NULL, "0");
    }
    return error;
}

static bool map_port(struct igd *igd, const struct portmap_port *port, const struct netaddr *ip,
                     struct portmap_result *result) {
    int error = ERROR_CONFLICT;
    unsigned outside = port->port;
    for (unsigned i = 0; i < PORTS_TRIED && error == ERROR_CONFLICT; i++) {
        outside = (unsigned)port->port + i <= UINT16_MAX ? port->port + i : port->port - i;
        error = add(igd, port, outside);
    }
    if (error != UPNPCOMMAND_SUCCESS) {
        (void)snprintf(result->text, PORTMAP_TEXT_MAX, "the UPnP router refuses %s port %u: %d",
                       protocol_of(port), (unsigned)port->port, error);
        return false;
    }
    result->ports[result->count] = *port;
    result->external[result->count] = *ip;
    result->external[result->count].port = (uint16_t)outside;
    result->count++;
    return true;
}

bool upnp_map(const struct portmap_port *ports, size_t count, struct portmap_result *result) {
    struct igd igd;
    char outside[64] = "";
    struct netaddr ip;
    bool open = igd_open(&igd, result->text);
    if (open && (UPNP_GetExternalIPAddress(igd.urls.controlURL, igd.data.first.servicetype,
                                           outside) != UPNPCOMMAND_SUCCESS ||
                 netaddr_parse_ip(bytes_of_string(outside), &ip) != 0)) {
        (void)snprintf(result->text, PORTMAP_TEXT_MAX,
                       "the UPnP router does not tell its outer address");
        open = false;
    }
    for (size_t i = 0; i < count && open; i++) {
        (void)map_port(&igd, &ports[i], &ip, result);
    }
    if (result->count > 0) {
        (void)snprintf(result->control_url, sizeof(result->control_url), "%s", igd.urls.controlURL);
        (void)snprintf(result->service, sizeof(result->service), "%s", igd.data.first.servicetype);
    }
    igd_close(&igd);
    if (result->count > 0) {
        result->method = PORTMAP_UPNP;
        (void)snprintf(result->text, PORTMAP_TEXT_MAX, "by UPnP at %.60s", outside);
    }
    return result->count > 0;
}

/* Where it was mapped: to look for the router once more takes seconds. */
void upnp_unmap(const struct portmap_result *mapped) {
    for (size_t i = 0; i < mapped->count; i++) {
        char outer[TEXT_PORT_MAX];
        (void)snprintf(outer, sizeof(outer), "%u", (unsigned)mapped->external[i].port);
        (void)UPNP_DeletePortMapping(mapped->control_url, mapped->service, outer,
                                     protocol_of(&mapped->ports[i]), NULL);
    }
}
