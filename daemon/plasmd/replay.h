/* Answering for a job that is over: its receipt, and its output while that is kept. */
#ifndef PLASMD_REPLAY_H
#define PLASMD_REPLAY_H

#include "plasmd/job.h"

/* Output and receipt on their way to a client that asked again. */
struct replay;

/* Gives the receipt, behind the output where it is kept. Takes what `known` owns. False: there is
 * no memory for it, and nothing was said. */
MUST_CHECK bool replay_start(struct session *session, struct store_job *known);
/* There is room again. At the end session->replay is NULL. */
void replay_continue(struct session *session);
/* NULL is allowed. */
void replay_free(struct replay *replay);

#endif
