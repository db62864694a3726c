/* Reading addresses that people wrote. */
#include "host/address.h"

#include "util/netaddr.h"

static int parse_port(struct bytes text, uint16_t *ret_port) {
    unsigned port = 0;
    if (text.size == 0 || text.size > 5) {
        return PLASM_MALFORMED;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return PLASM_MALFORMED;
        }
        port = 10 * port + (unsigned)(text.data[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return PLASM_MALFORMED;
    }
    *ret_port = (uint16_t)port;
    return 0;
}

/* Parts of "host:port" and "[host]:port"; an address with several colons has no port. */
static int split(struct bytes text, struct bytes *ret_host, uint16_t *ret_port) {
    *ret_port = ADDRESS_PORT_DEFAULT;
    *ret_host = text;
    const uint8_t *colon = NULL;
    size_t colons = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == ':') {
            colon = text.data + i;
            colons++;
        }
    }
    bool bracketed = text.size > 0 && text.data[0] == '[';
    if (bracketed) {
        const uint8_t *end = memchr(text.data, ']', text.size);
        if (end == NULL) {
            return PLASM_MALFORMED;
        }
        size_t size = (size_t)(end - text.data);
        *ret_host = bytes_slice(text, 1, size - 1);
        struct bytes rest = bytes_slice(text, size + 1, text.size);
        if (rest.size == 0) {
            return 0;
        }
        return rest.data[0] == ':' ? parse_port(bytes_slice(rest, 1, rest.size), ret_port)
                                   : PLASM_MALFORMED;
    }
    if (colons != 1) {
        return 0;
    }
    size_t size = (size_t)(colon - text.data);
    *ret_host = bytes_slice(text, 0, size);
    return parse_port(bytes_slice(text, size + 1, text.size), ret_port);
}

static bool is_host_name(struct bytes host) {
    if (host.size == 0 || host.size > 253) {
        return false;
    }
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_')) {
            return false;
        }
    }
    return true;
}

int address_parse(struct bytes text, struct multiaddr *ret_address) {
    if (text.size > 0 && text.data[0] == '/') {
        return multiaddr_parse(text, ret_address);
    }
    struct bytes host;
    uint16_t port;
    int error = split(text, &host, &port);
    if (error != 0) {
        return error;
    }
    struct multiaddr address = {.size = 0};
    struct netaddr netaddr;
    if (netaddr_parse_ip(host, &netaddr) == 0) {
        uint64_t ip = netaddr.family == NETADDR_IP4 ? MULTIADDR_IP4 : MULTIADDR_IP6;
        error = multiaddr_append(&address, ip, netaddr_ip(&netaddr));
    } else if (is_host_name(host)) {
        error = multiaddr_append(&address, MULTIADDR_DNS, host);
    } else {
        error = PLASM_MALFORMED;
    }
    const uint8_t port_bytes[2] = {(uint8_t)(port >> 8), (uint8_t)port};
    if (error == 0) {
        error = multiaddr_append(&address, MULTIADDR_UDP, BYTES_ARRAY(port_bytes));
    }
    if (error == 0) {
        *ret_address = address;
    }
    return error;
}
