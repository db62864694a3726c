/* IP prefixes: reading them, and whether an address lies in one. */
#include "util/netprefix.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct netaddr plain(const struct netaddr *address) {
    struct netaddr result = *address;
    if (address->family == NETADDR_IP6 && memcmp(address->ip, mapped, sizeof(mapped)) == 0) {
        result = (struct netaddr){.family = NETADDR_IP4};
        memcpy(result.ip, address->ip + sizeof(mapped), 4);
    }
    return result;
}

static bool parse_bits(struct bytes text, unsigned max, uint8_t *ret_bits) {
    unsigned bits = 0;
    if (text.size == 0 || text.size > 3) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        bits = bits * 10 + (unsigned)(text.data[i] - '0');
    }
    *ret_bits = (uint8_t)bits;
    return bits <= max;
}

int netprefix_parse(struct bytes text, struct netprefix *ret_prefix) {
    size_t slash = 0;
    while (slash < text.size && text.data[slash] != '/') {
        slash++;
    }
    struct netprefix prefix;
    if (netaddr_parse_ip(bytes_slice(text, 0, slash), &prefix.address) != 0) {
        return PLASM_MALFORMED;
    }
    unsigned max = prefix.address.family == NETADDR_IP4 ? 32 : 128;
    prefix.bits = (uint8_t)max;
    if (slash < text.size &&
        !parse_bits(bytes_slice(text, slash + 1, text.size), max, &prefix.bits)) {
        return PLASM_MALFORMED;
    }
    *ret_prefix = prefix;
    return 0;
}

bool netprefix_has(const struct netprefix *prefix, const struct netaddr *address) {
    struct netaddr ip = plain(address);
    if (ip.family != prefix->address.family) {
        return false;
    }
    size_t whole = prefix->bits / 8;
    unsigned rest = prefix->bits % 8;
    if (memcmp(prefix->address.ip, ip.ip, whole) != 0) {
        return false;
    }
    return rest == 0 || (prefix->address.ip[whole] ^ ip.ip[whole]) >> (8 - rest) == 0;
}
