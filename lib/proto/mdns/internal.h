/* The parts of the mDNS machine that its files share. Nothing outside the directory includes it. */
#ifndef PROTO_MDNS_INTERNAL_H
#define PROTO_MDNS_INTERNAL_H

#include "proto/mdns/mdns.h"
#include "proto/mdns/message.h"
#include "util/list.h"

/* What is asked of us and answered; bits. */
enum answer_kind {
    ANSWER_BROWSE = 1, /* who is there: our PTR */
    ANSWER_LOOKUP = 2, /* our SRV and TXT */
    ANSWER_HOST = 4,   /* our A and AAAA */
    ANSWER_META = 8,   /* which services are there */
};
#define ANSWER_KINDS 4

/* An answer to one asker. */
struct unicast {
    struct netaddr to; /* family 0: unused */
    nanos at;
    uint8_t kinds;
    bool legacy; /* the asker is no multicast DNS querier: a plain DNS answer, question included */
    uint16_t id;
    struct mdns_question question;
};

/* One family on one interface. */
struct link {
    bool on;
    nanos query_at;
    nanos query_pause;
    nanos answer_at; /* of the kinds below; NANOS_NEVER: nothing to say */
    uint8_t answer_kinds;
    struct netaddr answer_asker;     /* the only one who asked, or family 0 */
    nanos answered_at[ANSWER_KINDS]; /* last multicast, by bit; 0: never */
    size_t announcements;            /* still to be made */
    nanos announce_at;
    bool announced; /* a goodbye is due */
    struct unicast unicasts[MDNS_UNICAST_MAX];
};

struct interface {
    struct mdns_interface is;
    struct link links[2]; /* IPv4, IPv6 */
};

/* A peer as one instance name on one interface told of it. */
struct found {
    struct list_node node;
    struct peer_id id;
    struct mdns_name name;
    uint32_t interface;
    uint32_t ttl_s;
    nanos expires;
    nanos refresh_at;   /* ask again */
    unsigned refreshes; /* of this life: at 80, 85, 90, 95 % */
    bool fresh;         /* MDNS_FOUND is due */
    bool gone;          /* MDNS_LOST is due, then it is freed */
    size_t address_count;
    struct multiaddr addresses[MDNS_ADDRESSES_MAX];
};

struct mdns {
    struct mdns_config config;
    struct memory *memory;
    struct random random;
    struct mdns_name service;
    struct mdns_name meta;
    struct mdns_name instance; /* random label in front of the service */
    struct mdns_name host;
    bool searching;
    bool stopping;
    size_t interface_count;
    struct interface *interfaces; /* MDNS_INTERFACES_MAX */
    struct list found;
    uint64_t tokens_ms; /* of new findings: thousandths of one */
    nanos tokens_at;
};

/* write.c */
/* Each writes a whole message and gives its size. */
size_t mdns_write_query(const struct mdns *mdns, const struct interface *interface, nanos now,
                        struct span room);
/* `ttl_s` 0 is goodbye. `legacy` is the asker's where it is a plain DNS resolver, else NULL. */
size_t mdns_write_answer(const struct mdns *mdns, const struct interface *interface, uint8_t kinds,
                         uint32_t ttl_s, const struct unicast *legacy, struct span room);

/* receive.c */
bool mdns_is_on_link(const struct interface *interface, const struct netaddr *address);
void mdns_take_answer(struct mdns *mdns, const struct interface *interface, struct bytes message,
                      nanos now);

#endif
