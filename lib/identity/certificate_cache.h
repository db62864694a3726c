/* Certificates that were found good lately: peers come back with the same one, and checking its two
 * signatures is most of what a handshake costs. Whether it is in its time is looked at again. */
#ifndef IDENTITY_CERTIFICATE_CACHE_H
#define IDENTITY_CERTIFICATE_CACHE_H

#include "identity/certificate.h"
#include "util/list.h"
#include "util/map.h"

/* The longest unused goes. */
#define CERTIFICATE_CACHE_MAX 256

struct certificate_cache {
    struct memory *memory;
    struct map map;   /* by the SHA-256 of the certificate */
    struct list used; /* longest unused first */
};

void certificate_cache_init(struct certificate_cache *cache, struct memory *memory);
void certificate_cache_done(struct certificate_cache *cache);
/* As certificate_check(). A certificate that does not hold is not remembered. */
MUST_CHECK int certificate_cache_check(struct certificate_cache *cache, struct bytes der,
                                       int64_t unix_seconds,
                                       struct certificate_identity *ret_identity);

#endif
