/* What a client remembers between its runs: peers that answered, and whose identity a host had. */
#ifndef HOST_STATE_H
#define HOST_STATE_H

#include "identity/peer_id.h"
#include "wire/multiaddr.h"

#define STATE_PATH_SIZE 4096
#define STATE_PEERS_MAX 32
#define STATE_KNOWN_MAX 256

/* One remembered host: an address written without a peer id, and the peer id found there. */
struct state_known {
    struct multiaddr address;
    struct peer_id id;
};

struct state {
    char directory[STATE_PATH_SIZE]; /* "" remembers nothing */
    size_t peer_count;
    struct multiaddr peers[STATE_PEERS_MAX]; /* with /p2p, the latest first */
    size_t known_count;
    struct state_known known[STATE_KNOWN_MAX];
    bool peers_changed;
    bool known_changed;
};

/* `directory` NULL takes $XDG_STATE_HOME/plasm or ~/.local/state/plasm. Files that are missing or
 * damaged count as empty. */
void state_load(struct state *state, const char *directory);
/* Writes what changed, each file aside and renamed. Failure is no error of the caller's: the next
 * run begins with less. */
void state_save(struct state *state);
/* Makes a directory and its parents, for nobody else to read. */
void state_make_directory(const char *directory);
/* Puts a peer's address (with /p2p) first. */
void state_remember(struct state *state, const struct multiaddr *address);
/* The identity remembered for an address, or for the same host and port by another protocol (QUIC,
 * TCP); or NULL. */
const struct peer_id *state_identity(const struct state *state, const struct multiaddr *address);
void state_remember_identity(struct state *state, const struct multiaddr *address,
                             const struct peer_id *id);

#endif
