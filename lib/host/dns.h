/* Names to addresses: A and AAAA through the system's resolver, TXT of /dnsaddr through c-ares. */
#ifndef HOST_DNS_H
#define HOST_DNS_H

#include <uv.h>

#include "wire/multiaddr.h"

#define DNS_RESULTS_MAX 16
#define DNS_TIMEOUT_MS  4000
#define DNS_NAME_MAX    254

struct dns;

/* `done` is called from the loop, once for each request, with no results when the name has none.
 * Results are /ip4 or /ip6 alone, or the multiaddrs of a /dnsaddr's records. */
typedef void dns_done(void *context, uint64_t request, const struct multiaddr *results,
                      size_t count);

MUST_CHECK int dns_new(uv_loop_t *loop, dns_done *done, void *context, struct dns **ret_dns);
/* Requests under way end without `done`. The loop must run once more for all of it to be freed. */
void dns_free(struct dns *dns);
/* `code` is MULTIADDR_DNS, _DNS4, _DNS6 or _DNSADDR. PLASM_INVALID (no such name), PLASM_NO_MEMORY;
 * then `done` is not called. */
MUST_CHECK int dns_resolve(struct dns *dns, uint64_t request, enum multiaddr_code code,
                           struct bytes name);

#endif
