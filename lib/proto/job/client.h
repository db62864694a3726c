/* The client's end of one job stream, without I/O: offers, sends what is asked for, checks what
 * comes back.
 *
 * After every input: take events until there is none, then transmit until it gives 0, then look at
 * job_client_wants(). Spec: docs/spec/job.md, "The client". */
#ifndef JOB_CLIENT_H
#define JOB_CLIENT_H

#include "identity/peer_id.h"
#include "proto/job/frames.h"
#include "proto/job/reader.h"
#include "receipt/verify.h"

/* Bounds: what a worker may make this end do. */
#define JOB_CLIENT_PROGRESS_FRAMES_MAX 100000

/* What is asked. Everything pointed to is borrowed until job_client_done; nothing is copied but
 * the offer. */
struct job_request {
    const struct manifest *manifest; /* as encoded in manifest_json */
    struct bytes manifest_json;      /* of manifest_encode */
    struct bytes module;       /* whole, or empty where it is known to be held or only fetched */
    struct bytes stdin_bytes;  /* whole */
    struct peer_id worker;     /* who was dialled: an Ed25519 identity */
    struct bytes fetch_secret; /* to ask again as another peer; else empty */
    bool module_known;         /* the worker is believed to hold it: do not attach it */
    bool want_summary;
    bool only_fetch;     /* do not run; no module and no stdin are sent */
    bool dry_run;        /* with only_fetch: only ask whether it would be taken */
    uint64_t stdin_size; /* of a dry run: what would be sent */
    /* FIN with the first write where nothing more can be asked for (module attached or known):
     * a packet less, but then a cancel is a reset and brings no receipt on this stream, and a
     * worker that lacks the module says JOB_REJECTED_MODULE_MISSING. */
    bool finish_early;
};

enum job_client_event_type {
    JOB_CLIENT_ACCEPTED,    /* `accepted`; limits are filled, clamped or not */
    JOB_CLIENT_NEED_MODULE, /* the machine sends it by itself */
    JOB_CLIENT_OUTPUT,      /* `output` */
    JOB_CLIENT_PROGRESS,    /* `progress` */
    JOB_CLIENT_FINISHED,    /* `finished`: over; it holds or not */
    JOB_CLIENT_REJECTED,    /* `rejected`: over */
    JOB_CLIENT_ESTIMATE,    /* `estimate`: over; the limits are filled, clamped or not */
    JOB_CLIENT_FAILED,      /* `failed`: over; the stream or the worker misbehaved */
};

struct job_client_finished {
    /* VERDICT_VERIFIED, or VERDICT_REFUSED with `fault` filled. What is below is filled in both
     * cases as far as it could be read. */
    enum verdict verdict;
    struct fault fault;
    struct receipt receipt;
    struct bytes receipt_json;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    bool has_summary; /* asked for, given, and checked */
    uint8_t summary_signature[ED25519_SIGNATURE_SIZE];
    struct bytes message;
    bool output_checked; /* false: resumed without output, its hashes were not compared */
};

struct job_client_failed {
    int error; /* PLASM_MALFORMED, PLASM_CLOSED, PLASM_RESET, PLASM_CANCELLED, PLASM_NO_MEMORY, ...
                */
    const char *text;
};

/* Bytes in an event are borrowed until the next call. */
struct job_client_event {
    enum job_client_event_type type;
    union {
        struct job_accepted accepted;
        struct job_output output;
        struct job_progress progress;
        struct job_client_finished finished;
        struct job_rejected rejected;
        struct job_estimate estimate;
        struct job_client_failed failed;
    };
};

enum job_client_state {
    JOB_CLIENT_STATE_OFFERED,  /* not answered yet */
    JOB_CLIENT_STATE_ACCEPTED, /* output and a receipt are to come */
    JOB_CLIENT_STATE_OVER,
};

struct job_client {
    struct memory *memory;
    struct job_request request;
    struct sha256_digest manifest_hash;
    enum job_client_state state;
    int error; /* latched */
    const char *error_text;
    bool error_reported;

    struct job_reader reader;
    struct buffer out; /* whole frames, not transmitted yet */
    /* The module or stdin frame under way: the rest of its head, then of its data. */
    uint8_t head[JOB_FRAME_OVERHEAD_MAX];
    size_t head_size;
    size_t head_sent;
    struct bytes chunk;
    size_t module_sent;
    size_t stdin_sent;
    bool module_wanted;  /* the worker asked for it */
    bool module_settled; /* attached, or nobody will ask for it */
    bool input_dropped;  /* cancelled or resumed: no further chunk is begun */
    bool cancelled;
    unsigned wants;

    struct job_limits limits; /* the job runs under */
    bool output_missing;      /* resumed, and none follows */
    uint64_t output_seq;
    uint64_t output_bytes;
    uint64_t progress_count;
    struct hash *stdout_hash; /* NULL until the first byte */
    struct hash *stderr_hash;
};

/* Builds the offer. PLASM_INVALID (sizes against the manifest, worker without Ed25519 key, a
 * fetch_secret that is not the manifest's), PLASM_TOO_LARGE, PLASM_NO_MEMORY. job_client_done is
 * due in any case. */
MUST_CHECK int job_client_init(struct job_client *client, const struct job_request *request,
                               struct memory *memory);

/* Gives bytes of the worker's. `input` is borrowed until job_client_next_event has returned false;
 * then all of it has been used up and may be credited to the stream. Not called again before. */
void job_client_receive(struct job_client *client, struct bytes input);
/* The worker finished its direction. After the bytes before it. */
void job_client_receive_fin(struct job_client *client);
/* The worker reset the stream (PLASM_RESET), or the connection is lost (PLASM_CLOSED, or a better
 * error). */
void job_client_receive_reset(struct job_client *client, int error);
MUST_CHECK bool job_client_next_event(struct job_client *client,
                                      struct job_client_event *ret_event);

/* Bytes that transmit would give, given room enough. */
size_t job_client_pending(const struct job_client *client);
/* Writes up to room.size bytes for the worker; returns how many. */
size_t job_client_transmit(struct job_client *client, struct span room);
/* Bits of enum job_wants. */
unsigned job_client_wants(const struct job_client *client);

/* Asks the worker to stop. The receipt, `cancelled`, comes as JOB_CLIENT_FINISHED as any other;
 * where our direction is finished already the stream is reset instead and the event is
 * JOB_CLIENT_FAILED with PLASM_CANCELLED (offer again with only_fetch for the receipt). */
void job_client_cancel(struct job_client *client);

void job_client_done(struct job_client *client);

#endif
