/* The worker's end of one job stream, without I/O: reads the offer and its bytes, checks hashes,
 * and says what the daemon tells it to say.
 *
 * The order of a job, as the daemon sees it:
 *   JOB_WORKER_OFFER       decide at once, before the next event: job_worker_have_module or
 *                          job_worker_need_module; or job_worker_resume for a job that is known; or
 *                          job_worker_reject; or, for a dry run, job_worker_estimate
 *   JOB_WORKER_MODULE_DATA ..., JOB_WORKER_MODULE_COMPLETE     only after need_module
 *   JOB_WORKER_STDIN_DATA ..., JOB_WORKER_STDIN_COMPLETE       always, also for no stdin
 *   JOB_WORKER_READY       all input is here and right: job_worker_accept or job_worker_reject,
 *                          now or later
 *   job_worker_output, job_worker_progress ..., job_worker_finish
 * After every input: take events until there is none, then transmit until it gives 0, then look at
 * job_worker_wants(), job_worker_deadline() and, after transmitting, events again. Spec:
 * docs/spec/job.md, "The worker". */
#ifndef JOB_WORKER_H
#define JOB_WORKER_H

#include "proto/job/frames.h"
#include "proto/job/input.h"
#include "proto/job/reader.h"
#include "util/time.h"

/* Held back answers are sent early when so many bytes wait. */
#define JOB_WORKER_HOLD_BYTES_MAX (16 * 1024)

/* Bounds of one stream. A zeroed one is not usable: begin with job_worker_bounds_default. */
struct job_worker_bounds {
    struct worker_limits limits;      /* module_bytes and stdin_bytes are enforced here */
    size_t output_buffered_bytes_max; /* of frames not transmitted yet */
    nanos offer_timeout;              /* until the offer is whole */
    nanos input_timeout;              /* without a byte of the module or stdin */
    uint64_t input_rate_min;          /* bytes a second, on the average, after input_timeout */
};

void job_worker_bounds_default(struct job_worker_bounds *ret_bounds);

enum job_worker_event_type {
    JOB_WORKER_OFFER,
    JOB_WORKER_MODULE_DATA, /* `data` */
    JOB_WORKER_MODULE_COMPLETE,
    JOB_WORKER_STDIN_DATA, /* `data` */
    JOB_WORKER_STDIN_COMPLETE,
    JOB_WORKER_READY,
    JOB_WORKER_CANCEL, /* the client asked, or reset or broke the stream: stop the job, once. Where
                          job_worker_connected, job_worker_finish still reaches it */
    JOB_WORKER_LOST,   /* the connection is gone: the grace period begins */
    JOB_WORKER_WRITABLE, /* after an output that was not taken whole */
    JOB_WORKER_REFUSED,  /* `refused`: the machine ended the offer, no job came of it */
};

struct job_worker_offer {
    const struct manifest *manifest; /* lives as long as the machine */
    struct bytes manifest_json;      /* likewise */
    struct sha256_digest manifest_hash;
    uint64_t stdin_size;
    bool module_attached; /* need_module will cost no round trip */
    bool want_summary;
    bool only_fetch;
    bool dry_run;      /* with only_fetch: nothing but the answer is wanted */
    bool fetch_proved; /* the fetch secret came and is the manifest's */
};

struct job_worker_refused {
    enum job_rejection code;
    struct fault fault;
};

/* Bytes in an event are borrowed until the next call. */
struct job_worker_event {
    enum job_worker_event_type type;
    union {
        struct job_worker_offer offer;
        struct bytes data;
        struct job_worker_refused refused;
    };
};

enum job_worker_state {
    JOB_WORKER_STATE_WAITING,  /* for the offer */
    JOB_WORKER_STATE_OFFERED,  /* the daemon decides */
    JOB_WORKER_STATE_INPUT,    /* module and stdin are coming */
    JOB_WORKER_STATE_READY,    /* the daemon decides */
    JOB_WORKER_STATE_ACCEPTED, /* runs */
    JOB_WORKER_STATE_OVER,     /* rejected, finished, or no stream any more */
};

struct job_worker {
    struct memory *memory;
    struct job_worker_bounds bounds;
    enum job_worker_state state;
    nanos deadline;
    nanos hold_until; /* transmit gives nothing before; 0: no hold */

    struct job_reader reader;
    bool connected;

    struct buffer manifest_json;
    struct manifest manifest;
    struct sha256_digest manifest_hash;
    bool want_summary;
    bool only_fetch;
    bool dry_run;
    bool resumed;
    bool output_missing; /* resumed, and none is sent */

    struct job_input module;
    struct job_input stdin_input;
    struct bytes attached; /* the module in the offer, borrowed while it is decided on */
    nanos input_began;

    bool cancel_due; /* events to be given */
    bool cancel_given;
    bool lost_due;
    bool refused_due;
    bool writable_due;
    bool writable_wanted;
    struct job_worker_refused refused;

    struct buffer out;
    uint64_t output_seq;
    bool stop_reading;
};

void job_worker_init(struct job_worker *worker, const struct job_worker_bounds *bounds,
                     struct memory *memory, nanos now);

/* Gives bytes of the client's. `input` is borrowed until job_worker_next_event has returned false;
 * then all of it has been used up and may be credited to the stream. Not called again before. */
void job_worker_receive(struct job_worker *worker, struct bytes input, nanos now);
/* The client finished its direction: input ends, the job does not. */
void job_worker_receive_fin(struct job_worker *worker);
/* The client reset the stream or sent STOP_SENDING: this cancels. */
void job_worker_receive_reset(struct job_worker *worker);
/* The connection is gone: this does not. */
void job_worker_receive_lost(struct job_worker *worker);
/* Timeouts of a client that is too slow. */
void job_worker_expire(struct job_worker *worker, nanos now);
nanos job_worker_deadline(const struct job_worker *worker);
MUST_CHECK bool job_worker_next_event(struct job_worker *worker,
                                      struct job_worker_event *ret_event);

/* After JOB_WORKER_OFFER. PLASM_STATE at any other time and for an offer that only fetches;
 * PLASM_TOO_LARGE when module or stdin are over the bounds, and PLASM_NO_MEMORY: the machine has
 * ended the offer then, and JOB_WORKER_REFUSED follows. */
MUST_CHECK int job_worker_have_module(struct job_worker *worker, nanos now);
MUST_CHECK int job_worker_need_module(struct job_worker *worker, nanos now);
/* The job is known: `accepted.resumed` is said at once, whatever input comes is dropped. With
 * `with_output` its output follows from the beginning, else only state and receipt. `effective` are
 * the limits it runs under; NULL: those of the manifest. PLASM_STATE, PLASM_NO_MEMORY as above. */
MUST_CHECK int job_worker_resume(struct job_worker *worker, const struct job_limits *effective,
                                 uint64_t queue_position, bool with_output);
/* The answer to a dry run, and the end of the stream: `limits` are what it would run under,
 * `clamped` is found here. PLASM_STATE (no dry run), PLASM_NO_MEMORY. */
MUST_CHECK int job_worker_estimate(struct job_worker *worker, const struct job_estimate *estimate);
/* At any time before `accepted`. Texts are copied. `rejected` may leave out everything but the
 * code. The stream is over then, also when PLASM_NO_MEMORY says that it ends without a word.
 * PLASM_STATE, PLASM_INVALID (too long a text). */
MUST_CHECK int job_worker_reject(struct job_worker *worker, const struct job_rejected *rejected);
/* A rejection for a failed check: code and fault as text and limit name. */
MUST_CHECK int job_worker_reject_fault(struct job_worker *worker, enum job_rejection code,
                                       const struct fault *fault,
                                       const struct worker_limits *limits);

/* After JOB_WORKER_READY. `effective` are manifest_fit's. Everything written is held back
 * until `hold_until` (0: not at all), so that a job that is done sooner answers with one write;
 * finish or JOB_WORKER_HOLD_BYTES_MAX waiting end the hold early. PLASM_STATE, PLASM_NO_MEMORY. */
MUST_CHECK int job_worker_accept(struct job_worker *worker, const struct job_limits *effective,
                                 uint64_t queue_position, nanos hold_until);
/* Takes as much of `data` as the buffer's bound allows, gives how many bytes; where that is not
 * all, JOB_WORKER_WRITABLE follows. When the client is gone all of it counts as taken.
 * PLASM_STATE before accept or after finish, PLASM_NO_MEMORY. */
MUST_CHECK int job_worker_output(struct job_worker *worker, enum job_stream stream,
                                 struct bytes data, size_t *ret_taken);
MUST_CHECK int job_worker_progress(struct job_worker *worker, const struct job_progress *progress);
/* The receipt's bytes are copied. `summary_signature` is left out unless the client asked.
 * PLASM_STATE, PLASM_INVALID, PLASM_NO_MEMORY. */
MUST_CHECK int job_worker_finish(struct job_worker *worker, const struct job_finished *finished);

/* False when nobody is there to be told anything. */
static inline bool job_worker_connected(const struct job_worker *worker) {
    return worker->connected;
}
/* Bytes that transmit would give now. */
size_t job_worker_pending(const struct job_worker *worker, nanos now);
size_t job_worker_transmit(struct job_worker *worker, struct span room, nanos now);
/* Bits of enum job_wants. */
unsigned job_worker_wants(const struct job_worker *worker);

void job_worker_done(struct job_worker *worker);

#endif
