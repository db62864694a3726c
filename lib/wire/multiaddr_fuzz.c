/* Fuzzes multiaddrs in both forms: an address that is read comes back from its text and from its
 * binary form, and its parts put together again are the address. */
#include "util/ensure.h"
#include "wire/multiaddr.h"

static void check_address(const struct multiaddr *address) {
    char text[MULTIADDR_TEXT_MAX];
    struct multiaddr again;
    ENSURE(multiaddr_format(address, text, sizeof(text)) == 0);
    ENSURE(multiaddr_parse(bytes_of_string(text), &again) == 0);
    ENSURE(multiaddr_equal(address, &again));
    ENSURE(multiaddr_decode(multiaddr_bytes(address), &again) == 0);
    ENSURE(multiaddr_equal(address, &again));

    struct multiaddr built = {.size = 0};
    struct cursor cursor = cursor_of(multiaddr_bytes(address));
    struct multiaddr_part part;
    while (multiaddr_next(&cursor, &part)) {
        ENSURE(multiaddr_append(&built, part.code, part.value) == 0);
    }
    ENSURE(cursor.error == 0 && multiaddr_equal(address, &built));

    struct multiaddr bare;
    struct bytes peer_id = multiaddr_peer_id(address);
    multiaddr_without_peer(address, &bare);
    if (peer_id.size > 0) {
        ENSURE(multiaddr_append(&bare, MULTIADDR_P2P, peer_id) == 0);
    }
    ENSURE(multiaddr_equal(address, &bare));

    struct netaddr netaddr;
    struct bytes quic_peer_id;
    if (multiaddr_to_quic(address, &netaddr, &quic_peer_id) == 0) {
        struct multiaddr made;
        multiaddr_from_quic(&netaddr, &made);
        multiaddr_without_peer(address, &bare);
        ENSURE(multiaddr_equal(&made, &bare) && bytes_equal(peer_id, quic_peer_id));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct multiaddr address;
    if (multiaddr_decode(bytes_of(data, size), &address) == 0) {
        ENSURE(bytes_equal(multiaddr_bytes(&address), bytes_of(data, size)));
        check_address(&address);
    }
    if (multiaddr_parse(bytes_of(data, size), &address) == 0) {
        check_address(&address);
    }
    return 0;
}
