/* How many connections an address has, and how fast it makes new ones. */
#ifndef UTIL_PREFIX_TABLE_H
#define UTIL_PREFIX_TABLE_H

#include "util/list.h"
#include "util/map.h"
#include "util/netaddr.h"
#include "util/time.h"

/* Prefixes remembered: those without connections go when their rate is forgiven, the longest unused
 * first. */
#define PREFIXES_MAX 8192

/* Kinds of offences that are counted. */
#define PREFIX_OFFENCES 7

/* What was done wrong from a prefix; the owner of the table keeps it. */
struct prefix_offences {
    uint32_t counts[PREFIX_OFFENCES];
    nanos begun[PREFIX_OFFENCES];
    nanos last;
    bool named;
};

struct prefix_table {
    struct memory *memory;
    struct map map;
    struct list idle; /* without connections, longest unused first */
};

void prefix_table_init(struct prefix_table *table, struct memory *memory, const uint64_t secret[2]);
void prefix_table_done(struct prefix_table *table);
/* Connections of the IPv4 address or IPv6 /56, and of the IPv6 /48 (0 for IPv4). */
size_t prefix_table_count(const struct prefix_table *table, const struct netaddr *address);
size_t prefix_table_count48(const struct prefix_table *table, const struct netaddr *address);
/* Counts one more new connection; false when the prefix makes more than `per_second` beyond its
 * `burst`, or when nothing can be remembered of it. Those with a proven address are counted apart:
 * whoever forges an address must not spend what its owner has. */
bool prefix_table_allow(struct prefix_table *table, const struct netaddr *address, bool proven,
                        uint32_t per_second, uint32_t burst, nanos now);
/* A connection begins, and ends. PLASM_NO_MEMORY. */
MUST_CHECK int prefix_table_add(struct prefix_table *table, const struct netaddr *address);
void prefix_table_remove(struct prefix_table *table, const struct netaddr *address);
/* The offences of the IPv4 address or IPv6 /56; zeros at first. NULL when nothing can be remembered
 * of it. Borrowed until the next call. */
struct prefix_offences *prefix_table_offences(struct prefix_table *table,
                                              const struct netaddr *address);

#endif
