/* Whether there is a router at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/portmap/internal.h"

#ifdef __linux__

/* RTF_GATEWAY, as /proc/net/route shows it. */
#define ROUTE_GATEWAY 0x2UL
#define LINE_SIZE     256

bool portmap_gateway(uint32_t *ret_gateway) {
    FILE *routes = fopen("/proc/net/route", "re");
    char line[LINE_SIZE];
    uint32_t gateway = 0;
    while (routes != NULL && gateway == 0 && fgets(line, sizeof(line), routes) != NULL) {
        char *end = strchr(line, '\t'); /* behind the interface: destination, gateway, flags */
        if (end != NULL) {
            unsigned long to = strtoul(end, &end, 16);
            unsigned long through = strtoul(end, &end, 16);
            bool leads_on = (strtoul(end, &end, 16) & ROUTE_GATEWAY) != 0;
            gateway = to == 0 && leads_on ? (uint32_t)through : 0;
        }
    }
    if (routes != NULL) {
        (void)fclose(routes);
    }
    *ret_gateway = gateway;
    return gateway != 0;
}

#else

bool portmap_gateway(uint32_t *ret_gateway) {
    *ret_gateway = 0;
    return true;
}

#endif
