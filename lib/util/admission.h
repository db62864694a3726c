/* Whose connections are taken: how many there are in all and of a prefix, how fast new ones come,
 * which prefixes are not wanted, and who goes too far. One for a node: every transport asks it, so
 * that an address cannot have its share once by QUIC and again by TCP.
 *
 * A transport asks before it spends anything on a new connection, and keeps a ticket in it until it
 * ends. Loopback addresses count in the totals only.
 *
 * When all places are taken one more is welcome from a network (IPv4 /16, IPv6 /32) that has fewer
 * than the one that has most, and the owner of the connections ends one of the latter: who wants to
 * keep others out needs more networks than there are places. */
#ifndef UTIL_ADMISSION_H
#define UTIL_ADMISSION_H

#include "util/bucket.h"
#include "util/netprefix.h"
#include "util/network_groups.h"
#include "util/prefix_table.h"

/* Defaults: limits.md. */
struct admission_limits {
    size_t connections_inbound_max;
    size_t handshakes_inbound_max; /* not connected yet, of a transport; full: the oldest goes */
    size_t connections_per_ip_max; /* IPv4 address or IPv6 /56 */
    size_t connections_per_ip6_48_max;
    uint32_t accepts_per_ip_per_second; /* new connections of one IPv4 or IPv6 /56 */
    uint32_t accepts_per_ip_burst;
    uint32_t retry_accepts_per_second; /* of all addresses not proven: above, proof is wanted */
};
#define ADMISSION_LIMITS_DEFAULT                                                                   \
    {                                                                                              \
        .connections_inbound_max = 1024, .handshakes_inbound_max = 64,                             \
        .connections_per_ip_max = 64, .connections_per_ip6_48_max = 256,                           \
        .accepts_per_ip_per_second = 10, .accepts_per_ip_burst = 100,                              \
        .retry_accepts_per_second = 1000,                                                          \
    }

/* What a prefix may do wrong. Said by name in the log. */
enum admission_offence {
    ADMISSION_RATE,       /* new connections faster than allowed */
    ADMISSION_CONNECTED,  /* more connections than allowed */
    ADMISSION_DENIED,     /* the prefix or the peer is on the operator's list */
    ADMISSION_HANDSHAKES, /* began and did not end them, or failed */
    ADMISSION_PROTOCOL,   /* broke a protocol's rules */
    ADMISSION_STREAMS,    /* more streams than allowed, or reset as fast as they are opened */
    ADMISSION_REQUESTS,   /* refused or invalid requests */
};
#define ADMISSION_OFFENCES PREFIX_OFFENCES

/* Offences of one kind by one prefix within this time are counted together; from the threshold of
 * the kind on the prefix is named, once until it has been good for so long. */
#define ADMISSION_OFFENCE_WINDOW (60 * NANOS_SECOND)
/* Offenders waiting to be named; more are left out. */
#define ADMISSION_OFFENDERS_MAX 16

/* Who went too far: for the log. */
struct admission_offender {
    struct netaddr address; /* one of the prefix */
    enum admission_offence offence;
    uint32_t count;
    uint32_t seconds; /* since the first of them, at least 1 */
};

enum admission_verdict {
    ADMISSION_WELCOME,
    ADMISSION_PROVE,   /* after the address is proven: QUIC's Retry */
    ADMISSION_REFUSED, /* with a reason to be told */
};

struct admission {
    struct admission_limits limits;
    struct prefix_table prefixes;
    struct network_groups networks; /* of those connected */
    size_t local; /* of this machine: counted beside the networks, they yield to none */
    struct bucket unproven;
    size_t inbound;
    size_t handshakes;
    nanos now; /* of the last question */
    struct memory *memory;
    struct netprefix *rules; /* those denied, then those allowed */
    size_t denied;
    size_t allowed;
    struct admission_offender offenders[ADMISSION_OFFENDERS_MAX];
    size_t offender_count;
};

/* What a connection holds of it; zeroed at first. */
struct admission_ticket {
    struct netaddr address;
    bool proven;    /* the address */
    bool begun;     /* a handshake */
    bool connected; /* counted in all */
    bool grouped;   /* in its network */
    bool counted;   /* of its prefix */
};

void admission_init(struct admission *admission, const struct admission_limits *limits,
                    struct memory *memory, const uint64_t secret[2]);
void admission_done(struct admission *admission);
/* The operator's lists, instead of those before: denied prefixes, and exceptions from them. May be
 * called at any time; connections there are stay. PLASM_NO_MEMORY. */
MUST_CHECK int admission_set_rules(struct admission *admission, const struct netprefix *denied,
                                   size_t denied_count, const struct netprefix *allowed,
                                   size_t allowed_count);
bool admission_denies(const struct admission *admission, const struct netaddr *address);
/* True where an exception names it. */
bool admission_allows(const struct admission *admission, const struct netaddr *address);

/* Asks for one more connection from `remote`; `proven`: its address cannot be forged (TCP, a Retry
 * token). *ret_reason is set when refused; static. */
enum admission_verdict admission_ask(struct admission *admission, const struct netaddr *remote,
                                     bool proven, nanos now, const char **ret_reason);
/* True while no handshake more has its place beside the `own` ones of a transport (or socket): it
 * ends its oldest first. Those of another do not count: they could not be ended to make room. */
bool admission_is_full_of_handshakes(const struct admission *admission, size_t own);
/* Its handshake begins. */
void admission_begin(struct admission *admission, struct admission_ticket *ticket,
                     const struct netaddr *remote, bool proven);
/* It is connected. PLASM_NO_MEMORY. */
MUST_CHECK int admission_connect(struct admission *admission, struct admission_ticket *ticket);
/* More are connected than there are places: one has to go. */
bool admission_is_crowded(const struct admission *admission);
/* A connection of this address that is counted already may stay instead of one of the network that
 * has most; and: this one is of the network that has most. */
bool admission_outranks(const struct admission *admission, const struct netaddr *address);
bool admission_yields(const struct admission *admission, const struct netaddr *address);
/* The other side has another address now. */
void admission_move(struct admission *admission, struct admission_ticket *ticket,
                    const struct netaddr *remote);
/* It is over, wherever it was. Of a ticket that holds nothing `admission` is not looked at. */
void admission_end(struct admission *admission, struct admission_ticket *ticket);
size_t admission_count(const struct admission *admission, const struct netaddr *address);

/* Something wrong was done from an address, which must be proven: else a stranger could have its
 * owner named. Refusals of admission_ask() are counted by itself. */
void admission_offend(struct admission *admission, const struct netaddr *address,
                      enum admission_offence offence, nanos now);
/* The same, `count` times at once. */
void admission_blame(struct admission *admission, const struct netaddr *address,
                     enum admission_offence offence, uint32_t count, nanos now);
/* The next one to be named; false when there is none. */
bool admission_next_offender(struct admission *admission, struct admission_offender *ret_offender);
/* "refused connections", "connection rate": what was counted, and why. */
const char *admission_offence_what(enum admission_offence offence);
const char *admission_offence_why(enum admission_offence offence);

#endif
