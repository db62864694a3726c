/* What a client keeps of its jobs, to ask for them again: one small file a job in its state
 * directory, which nobody else may read. */
#ifndef HOST_STATE_JOBS_H
#define HOST_STATE_JOBS_H

#include "host/state.h"
#include "util/buffer.h"

/* Workers keep outputs for a day by default; a little more for clocks. */
#define STATE_JOB_LIFE_S (25 * 3600)
/* Beyond that many, younger ones go, too. */
#define STATE_JOBS_MAX     4096
#define STATE_JOB_SIZE_MAX (128 * 1024)

/* Writes <directory>/jobs/<job_id>, aside and renamed. Nothing where the directory is "".
 * PLASM_INVALID (no job id), PLASM_IO (errno). */
MUST_CHECK int state_job_save(const struct state *state, const char *job_id, struct bytes text);
/* Appends what was saved. PLASM_NOT_FOUND, PLASM_INVALID, PLASM_IO, PLASM_TOO_LARGE. */
MUST_CHECK int state_job_load(const struct state *state, const char *job_id, struct buffer *out);
/* Something was saved under this id. */
bool state_job_known(const struct state *state, const char *job_id);
void state_job_forget(const struct state *state, const char *job_id);
/* Deletes the files that are older than STATE_JOB_LIFE_S at `now_s`, and more while there are too
 * many. */
void state_jobs_prune(const struct state *state, int64_t now_s);

#endif
