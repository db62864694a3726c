/* An eclipse attempt: peers whose ids were chosen to be nearest to one key. They are servers like
 * others until they are asked for anything: then they know of each other only, and of no provider,
 * and forget what they are told. */
#ifndef SIM_SYBIL_H
#define SIM_SYBIL_H

#include "node.h"

/* As many names as an answer has room for. */
#define SYBIL_ANSWER_COUNT 20

struct sybils {
    size_t count;
    struct node **nodes; /* borrowed */
};

/* Gives the site an address in one of so many /16 networks. Before node_init. */
void sybil_place(struct network *network, struct site *site, size_t number, size_t network_count);
/* Takes an identity whose digest shares so many bits with the key's. After node_init. */
void sybil_pose(struct node *node, const struct sha256_digest *key, unsigned bits);
/* What the node does about an event. */
void sybil_take(const struct sybils *sybils, struct node *node, const struct peer_event *event);

#endif
