/* The frames of /phase/job/1.0.0: one protobuf message each, behind an uvarint length.
 *
 * Spec: docs/spec/job.md, "Frames". */
#ifndef JOB_FRAMES_H
#define JOB_FRAMES_H

#include "crypto/sign.h"
#include "receipt/manifest.h"
#include "receipt/receipt.h"

#define JOB_PROTOCOL "/phase/job/1.0.0"

/* Bounds. */
#define JOB_FRAME_SIZE_MAX     (64 * 1024) /* payload, without its length */
#define JOB_FRAME_OVERHEAD_MAX 32          /* length and heads of a frame with data */
#define JOB_MODULE_INLINE_MAX  (12 * 1024) /* a module that may travel in the offer */
#define JOB_CHUNK_SIZE_MAX     (JOB_FRAME_SIZE_MAX - JOB_FRAME_OVERHEAD_MAX)
#define JOB_TEXT_SIZE_MAX      1024 /* texts for people: reasons, messages */
#define JOB_LIMIT_NAME_MAX     32

/* The numbers are the wire's. From the client: */
enum job_frame_type {
    JOB_FRAME_OFFER = 1,
    JOB_FRAME_MODULE = 2,
    JOB_FRAME_STDIN = 3,
    JOB_FRAME_CANCEL = 4,
    /* From the worker: */
    JOB_FRAME_ACCEPTED = 8,
    JOB_FRAME_REJECTED = 9,
    JOB_FRAME_NEED_MODULE = 10,
    JOB_FRAME_OUTPUT = 11,
    JOB_FRAME_PROGRESS = 12,
    JOB_FRAME_FINISHED = 13,
    JOB_FRAME_ESTIMATE = 14,
};

/* Why a worker says no. What the client can do about it: */
enum job_rejection {
    JOB_REJECTED_MALFORMED = 1,      /* mend the client */
    JOB_REJECTED_UNSUPPORTED = 2,    /* another worker: profile, architecture, runtime */
    JOB_REJECTED_LIMIT = 3,          /* ask for less, `limit` says of what */
    JOB_REJECTED_BUSY = 4,           /* later or elsewhere, see retry_after_ms */
    JOB_REJECTED_CONFLICT = 5,       /* another job id: this one has another manifest */
    JOB_REJECTED_EXPIRED = 6,        /* a fresh `expires`, or set the clock */
    JOB_REJECTED_MODULE_MISSING = 7, /* offer again with the module */
    JOB_REJECTED_HASH_MISMATCH = 8,  /* module or stdin are not what the manifest says */
    JOB_REJECTED_NOT_FOUND = 9,      /* only_fetch, and there is no such job */
    JOB_REJECTED_LOST = 10,          /* accepted once, and lost in a crash: will not run */
    JOB_REJECTED_DENIED = 11,        /* not this client's job, or this client is not served */
    JOB_REJECTED_TIMEOUT = 12,       /* the client was too slow with its input */
    JOB_REJECTED_UNAVAILABLE = 13,   /* the worker is stopping or broken: elsewhere */
    JOB_REJECTED_CANCELLED = 14,     /* nothing: cancelled before it was accepted */
};

/* "malformed", "unsupported", ...; "unknown" for a number not above. */
const char *job_rejection_name(enum job_rejection code);

/* What the owner of a machine's stream should do, after transmit gave 0. Bits; each stays set once
 * it holds (STOP until the peer has finished by itself): act on what is new. */
enum job_wants {
    JOB_WANTS_FIN = 1,   /* all is written: finish our direction */
    JOB_WANTS_STOP = 2,  /* nothing more is read: STOP_SENDING to the peer's direction */
    JOB_WANTS_RESET = 4, /* reset our direction */
};

enum job_state { JOB_STATE_QUEUED = 1, JOB_STATE_COMPILING = 2, JOB_STATE_RUNNING = 3 };

enum job_stream { JOB_STDOUT = 1, JOB_STDERR = 2 };

struct job_offer {
    struct bytes manifest;     /* canonical JSON */
    bool want_summary;         /* also sign the four-key summary */
    bool only_fetch;           /* do not run: give the state or receipt of a known job */
    uint64_t stdin_size;       /* all of it follows in stdin frames */
    struct bytes module;       /* the whole module, or empty */
    struct bytes fetch_secret; /* FETCH_SECRET_SIZE bytes, or empty */
    bool
        dry_run; /* only say whether it would be taken; with only_fetch, which older workers obey */
};

struct job_accepted {
    uint64_t queue_position;  /* jobs before this one; 0 runs now */
    bool clamped;             /* `limits` differ from what was asked */
    struct job_limits limits; /* what the job runs under, when clamped */
    bool resumed;             /* the job was known already */
    bool without_output;      /* resumed, and its output is not kept: none follows */
};

struct job_rejected {
    enum job_rejection code;
    struct bytes text;  /* for people, UTF-8 */
    struct bytes limit; /* LIMIT: its name, "memory_bytes" */
    bool has_limits;    /* LIMIT: the worker's bounds */
    struct worker_limits limits;
    uint64_t retry_after_ms; /* BUSY; 0 is no advice */
};

struct job_output {
    uint64_t seq; /* 0, 1, 2 ... over both streams */
    enum job_stream stream;
    struct bytes data; /* never empty */
};

struct job_progress {
    enum job_state state;
    uint64_t queue_position;
    uint64_t elapsed_ms; /* since it was accepted */
};

/* The answer to a dry run that would be accepted. */
struct job_estimate {
    uint64_t queue_position;
    bool clamped;             /* `limits` differ from what was asked */
    struct job_limits limits; /* what it would run under, when clamped */
    bool module_held;
    uint64_t price; /* as in the capability record */
};

struct job_finished {
    struct bytes receipt;           /* canonical JSON */
    struct bytes signature;         /* ED25519_SIGNATURE_SIZE bytes */
    struct bytes public_key;        /* ED25519_PUBLIC_SIZE bytes */
    struct bytes summary_signature; /* ED25519_SIGNATURE_SIZE bytes, or empty */
    struct bytes message;           /* for people, not signed: why it trapped, UTF-8 */
};

/* One frame; every `bytes` is borrowed. */
struct job_frame {
    enum job_frame_type type;
    union {
        struct job_offer offer;
        struct bytes chunk; /* JOB_FRAME_MODULE, JOB_FRAME_STDIN; never empty */
        struct job_accepted accepted;
        struct job_rejected rejected;
        struct job_output output;
        struct job_progress progress;
        struct job_finished finished;
        struct job_estimate estimate;
    };
};

/* Decodes one payload, without its length, as wire/varint.h's frame_read gives it. Checks all that
 * one frame can say by itself: exactly one body, no field twice, sizes, UTF-8, numbers at most
 * JSON_INTEGER_MAX. Unknown fields in a body are skipped. PLASM_MALFORMED; PLASM_UNSUPPORTED for a
 * `finished` with an inclusion proof (reserved). */
MUST_CHECK int job_frame_decode(struct bytes payload, struct job_frame *ret_frame);

/* Appends the frame with its length. PLASM_INVALID (what job_frame_decode would refuse),
 * PLASM_TOO_LARGE (JOB_FRAME_SIZE_MAX or the buffer's bound), PLASM_NO_MEMORY. Nothing is appended
 * on failure. */
MUST_CHECK int job_frame_encode(const struct job_frame *frame, struct buffer *out);

/* Writes all of a module or stdin frame but its last `size` bytes, which the caller sends right
 * after: so a large module is never copied. 1 <= size <= JOB_CHUNK_SIZE_MAX; `room` of
 * JOB_FRAME_OVERHEAD_MAX bytes is enough. Returns the size of the head. */
size_t job_chunk_head(enum job_frame_type type, size_t size, uint8_t *room);

#endif
