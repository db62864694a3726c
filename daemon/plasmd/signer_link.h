/* Where the key is: plasm-sign as a service, or one of plasmd's own, and how it is reached. */
#ifndef PLASMD_SIGNER_LINK_H
#define PLASMD_SIGNER_LINK_H

#include "plasmd/config.h"
#include "plasmd/starter.h"
#include "runner/runner_client.h"
#include "signer/client.h"

/* The package's socket. */
#define SIGNER_SOCKET_DEFAULT "/run/plasm/sign.sock"
/* Without a signer for so long new jobs are refused. */
#define SIGNER_AWAY_MAX (1 * NANOS_SECOND)

struct signer_link {
    const struct config *config;
    const char *socket; /* of the service; NULL: plasm-sign is our own */
    struct starter *starter;
    struct sign_client *client;
    char program[CONFIG_PATH_SIZE];
    char key_path[CONFIG_PATH_SIZE + 32];
    char *arguments[8];
};

/* Chooses as the setting says. */
void signer_link_init(struct signer_link *link, const struct config *config);
/* Prepares plasm-sign of our own and, where `runner` is given, its plan beside it, and forks the
 * starter: first of all, while there is one thread. Nothing to do for a service. `existing`: a
 * missing key is not made. False: `fault`, CONFIG_FAULT_SIZE bytes. */
bool signer_link_fork(struct signer_link *link, const struct starter_plan *runner, bool existing,
                      char *fault);
/* Reaches the signer and learns who we are. False: `fault`. */
bool signer_link_start(struct signer_link *link, struct memory *memory, const struct log_sink *log,
                       char *fault);
/* Only after everything that signs was freed. */
void signer_link_done(struct signer_link *link);

/* Whether jobs should go elsewhere: nobody has signed for a while. */
bool signer_link_is_away(const struct signer_link *link, nanos now);

/* Path of a helper program: `setting`, or beside plasmd, or where the package puts it. */
void helper_find(const char *setting, const char *name, char room[CONFIG_PATH_SIZE]);

#endif
