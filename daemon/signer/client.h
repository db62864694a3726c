/* plasmd's side of plasm-sign: a signer (host/signer.h) in another process.
 *
 * Requests are gathered until sign_client_flush and then go in few packets; answers are taken as
 * they come. When the process is gone it is started or connected to again, with growing pauses, and
 * what was not answered is sent again: the same bytes get the same signature. Until then requests
 * wait. One that comes back with another key is refused. */
#ifndef SIGNER_CLIENT_H
#define SIGNER_CLIENT_H

#include "host/signer.h"
#include "util/log.h"
#include "util/time.h"

/* An answer that takes longer means that the process is stuck: it is left, or killed. */
#define SIGN_CLIENT_ANSWER_TIME (10 * NANOS_SECOND)
/* A request that was under way when the process died so often is given up: it may be the cause. */
#define SIGN_CLIENT_TRIES_MAX 32
/* Pauses between attempts: the first comes at once, the second after the first pause. */
#define SIGN_CLIENT_PAUSE_MIN (50 * NANOS_MILLISECOND)
#define SIGN_CLIENT_PAUSE_MAX (5 * NANOS_SECOND)
/* Room for a fault: one line. */
#define SIGN_CLIENT_FAULT_SIZE 256

struct sign_client;

struct sign_client_config {
    /* Gives a connected SOCK_SEQPACKET socket to a plasm-sign, and its process id where it is our
     * child, else 0. False: errno says why. */
    bool (*open)(void *context, int *ret_socket, int *ret_pid);
    void *context;
    struct memory *memory;
    const struct log_sink *log;
    nanos (*now)(void);
};

/* Not connected yet. PLASM_NO_MEMORY, PLASM_IO (errno). */
MUST_CHECK int sign_client_new(const struct sign_client_config *config,
                               struct sign_client **ret_client);
/* Starts or connects, and learns the public key; waits `patience` at most, trying again. On failure
 * `fault`, SIGN_CLIENT_FAULT_SIZE bytes, says why. */
MUST_CHECK int sign_client_start(struct sign_client *client, nanos patience, char *fault);

/* The signer it is; freeing that frees the client. Requests of the running loop may be submitted
 * once it was started. */
struct signer *sign_client_signer(struct sign_client *client);

/* One descriptor for the whole life: when it is readable, call sign_client_receive. */
int sign_client_fd(const struct sign_client *client);
void sign_client_receive(struct sign_client *client);
/* Sends what was gathered: once a turn of the loop. */
void sign_client_flush(struct sign_client *client);
/* NANOS_NEVER when there is none; sign_client_expire once it has come. */
nanos sign_client_deadline(const struct sign_client *client);
void sign_client_expire(struct sign_client *client);

/* Waits until nothing is pending, `patience` at most: before the program ends. */
void sign_client_settle(struct sign_client *client, nanos patience);

/* Since when nobody signs; 0 when somebody does. */
nanos sign_client_away_since(const struct sign_client *client);
/* Requests that wait for their answer. */
size_t sign_client_pending(const struct sign_client *client);
/* Times that a process was lost. */
uint64_t sign_client_losses(const struct sign_client *client);

#endif
