/* Sends kept output piece by piece, as the client takes it, then the receipt. */
#include "plasmd/replay.h"

#include <stdlib.h>

#include "plasmd/kept_output.h"

struct replay {
    struct store_job job;
    struct bytes records; /* of job.output, not sent */
    struct bytes piece;   /* the rest of the one under way */
    uint8_t stream;
};

void replay_free(struct replay *replay) {
    if (replay != NULL) {
        store_job_done(&replay->job);
        free(replay);
    }
}

static bool finish(struct session *session, const struct store_job *known) {
    struct job_finished finished = {
        .receipt = bytes_of_string(known->receipt),
        .signature = bytes_of(known->signature, ED25519_SIGNATURE_SIZE),
        .public_key =
            bytes_of(signer_public_key(session->worker->signer)->data, ED25519_PUBLIC_SIZE)};
    if (known->has_summary) {
        finished.summary_signature = bytes_of(known->summary, ED25519_SIGNATURE_SIZE);
    }
    return job_worker_finish(&session->machine, &finished) == 0;
}

/* All is said: nothing is kept for it any more. */
static void end(struct session *session) {
    session_let_go(session, session->replay->job.output_size);
    replay_free(session->replay);
    session->replay = NULL;
}

void replay_continue(struct session *session) {
    struct replay *replay = session->replay;
    size_t taken = 0;
    for (;;) {
        if (replay->piece.size == 0 &&
            !kept_output_next(&replay->records, &replay->stream, &replay->piece)) {
            (void)!finish(session, &replay->job);
            end(session);
            return;
        }
        if (job_worker_output(&session->machine, (enum job_stream)replay->stream, replay->piece,
                              &taken) != 0) {
            end(session); /* nobody is there any more */
            return;
        }
        replay->piece = bytes_slice(replay->piece, taken, replay->piece.size);
        if (replay->piece.size > 0) {
            return; /* JOB_WORKER_WRITABLE follows */
        }
    }
}

bool replay_start(struct session *session, struct store_job *known) {
    struct replay *replay = calloc(1, sizeof(*replay));
    if (replay == NULL || !session_hold(session, known->output_size)) {
        free(replay);
        return false;
    }
    replay->job = *known;
    *known = (struct store_job){.finished = true};
    session->replay = replay;
    replay->records = bytes_of(replay->job.output, replay->job.output_size);
    if (job_worker_resume(&session->machine, NULL, 0, replay->job.output_kept) != 0) {
        end(session); /* the machine has said so */
    } else {
        replay_continue(session);
    }
    return true;
}
