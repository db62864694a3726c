/* libplasm: discover nodes of the Phase network, run WebAssembly on them, check their receipts.
 *
 * The only public header. Everything is an opaque handle, an int, bytes or JSON text, so that a
 * foreign function interface can use it as it is. A client is single-threaded: one thread at a
 * time, and no callback ever arrives; each blocking call runs the client's own loop until its
 * answer, its deadline or an interrupt. Text and bytes a call returns are the library's and stay
 * valid until the next call on the same handle, unless said otherwise.
 */
#ifndef PLASM_H
#define PLASM_H

#ifndef PLASM_FFI
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && !defined(PLASM_NO_VISIBILITY)
#define PLASM_API __attribute__((visibility("default")))
#else
#define PLASM_API
#endif
#else
#define PLASM_API
#endif

/* Every call that can fail returns 0 or one of these, split by what the caller would do. */
enum plasm_error {
    PLASM_OK = 0,
    PLASM_TRUNCATED = -1,    /* the input ends early: read more and try again */
    PLASM_MALFORMED = -2,    /* the input is wrong: drop it, close the connection */
    PLASM_TOO_LARGE = -3,    /* the input or the request exceeds a documented bound */
    PLASM_NO_MEMORY = -4,    /* an allocation failed or its budget is spent */
    PLASM_INVALID = -5,      /* the caller's argument is wrong: correct it */
    PLASM_UNSUPPORTED = -6,  /* a version, algorithm or feature we or the peer lack */
    PLASM_NOT_FOUND = -7,    /* no such peer, record, provider, job or file */
    PLASM_CONFLICT = -8,     /* it exists already with another content */
    PLASM_LIMIT = -9,        /* a resource limit is reached: try later or elsewhere */
    PLASM_TIMEOUT = -10,     /* the deadline passed */
    PLASM_REFUSED = -11,     /* the peer answered no; the text says why */
    PLASM_UNREACHABLE = -12, /* no connection could be made */
    PLASM_CLOSED = -13,      /* the connection or stream ended */
    PLASM_RESET = -14,       /* the peer reset the stream */
    PLASM_UNTRUSTED = -15,   /* a signature, key, hash or identity does not match */
    PLASM_EXPIRED = -16,     /* a record, certificate or manifest is out of its time */
    PLASM_CANCELLED = -17,   /* stopped at the caller's wish */
    PLASM_IO = -18,          /* the operating system refused; errno has more */
    PLASM_STATE = -19,       /* the call does not fit the object's state */
    PLASM_FAILED = -20,      /* a failure that fits none of the above */
};

struct plasm_client;
struct plasm_job;

/* The library's version, "0.1.0". */
PLASM_API const char *plasm_version(void);
/* The error's name, "timeout", and what it means in a sentence. Never NULL. */
PLASM_API const char *plasm_error_name(int error);
PLASM_API const char *plasm_error_message(int error);

/* Makes a client with a key of its own. `options_json` is NULL or an object with any of
 *   "bootstrap"    list of multiaddrs or host[:port]
 *   "state_dir"    directory for remembered peers and known nodes; "" keeps nothing; default
 *                  $XDG_STATE_HOME/plasm or ~/.local/state/plasm
 *   "identity"     file with a private key; default is a fresh, anonymous key
 *   "kad_protocol" the DHT's protocol id, default "/phase/kad/1.0.0"
 *   "mdns"         true: look for workers on the local network, too; default where no bootstrap is
 *                  given here or in PLASM_BOOTSTRAP
 *   "timeout_ms"   default deadline of a call, 30000
 *   "trace"        true: protocol events as text on standard error
 * On failure *ret_client is NULL and `plasm_last_error()` explains. */
PLASM_API int plasm_client_new(const char *options_json, struct plasm_client **ret_client);
PLASM_API void plasm_client_free(struct plasm_client *client);
/* What failed, on what, and what to do: of the last failed call on this thread. Never NULL. */
PLASM_API const char *plasm_last_error(void);
/* What a person should know and has not been told yet, as a JSON list of sentences: a node that was
 * trusted on first use. Forgets them. */
PLASM_API const char *plasm_client_warnings(struct plasm_client *client);
/* The client's own peer id, "12D3KooW...". Valid as long as the client. */
PLASM_API const char *plasm_client_peer_id(const struct plasm_client *client);

/* Finds workers. `query_json` is NULL or an object with any of "arch", "runtime", "profile"
 * (strings a worker must match), "max" (stop at so many, default 20), "timeout_ms" (default 4000),
 * "settle_ms" (after the first worker wait this long for others; default: until all that the DHT
 * names have answered).
 * *ret_json is an object {"nodes": [{"peer_id", "addresses": [..], "arch", "runtime",
 * "profiles": [..], "agent", "free_slots", "price", "limits": {..}, "connect_us"}], "tried":
 * [{"address", "error"}], "warnings": those of plasm_client_warnings, "elapsed_us", "nearby": peers
 * found on the local network}. Returns PLASM_NOT_FOUND when no worker was found (ret_json is given
 * then too, for what was tried). */
PLASM_API int plasm_discover(struct plasm_client *client, const char *query_json,
                             const char **ret_json);

/* Offers a job and returns when a worker has accepted it. `request_json` is an object with any of
 *   "node"     peer id or multiaddr; default: the best discovered one
 *   "args", "env"   lists of strings (env as "K=V"); UTF-8 without NUL
 *   "limits"   {"fuel", "memory_bytes", "wall_ms", "output_bytes"}, each optional
 *   "profile"  "wasip1" (default) or "deterministic/1"
 *   "arch", "runtime"   what the node must be; default any
 *   "job_id"   UUID version 4; default a fresh one
 *   "summary"  true: also ask for the signature over the four-key summary
 *   "timeout_ms"   deadline of this call
 *   "remember"     true: keep what plasm_receipt needs in the state directory, for a day
 * Module and standard input are copied. Errors: PLASM_REFUSED with the node's reason,
 * PLASM_UNREACHABLE, PLASM_NOT_FOUND, PLASM_TIMEOUT. */
PLASM_API int plasm_submit(struct plasm_client *client, const char *request_json,
                           const uint8_t *module, size_t module_size, const uint8_t *input,
                           size_t input_size, struct plasm_job **ret_job);
/* The same without waiting: many jobs may be under way on one client, each driven by any call that
 * runs its loop (plasm_client_wait, plasm_client_poll, a blocking call). The node must be named, or
 * a worker have been discovered before. */
PLASM_API int plasm_submit_start(struct plasm_client *client, const char *request_json,
                                 const uint8_t *module, size_t module_size, const uint8_t *input,
                                 size_t input_size, struct plasm_job **ret_job);
/* 0: not accepted yet, 1: accepted, 2: over; then plasm_job_result gives the receipt or the
 * failure without waiting, and plasm_job_verdict only whether it holds. */
PLASM_API int plasm_job_state(const struct plasm_job *job);
/* Waits until something happens on the client, at most timeout_ms (< 0: for ever). Returns 0,
 * PLASM_CANCELLED after an interrupt. */
PLASM_API int plasm_client_wait(struct plasm_client *client, int timeout_ms);
/* Asks every worker that is found, or `node` alone, whether it would accept a job, and why not;
 * nothing runs. `request_json` as for plasm_submit; instead of the module it may have "manifest", a
 * manifest as an object. `input_size`: bytes of standard input there would be. *ret_json is
 * {"nodes": [{"peer_id", "address", "accepted", "price", "queue_position", "module_held", "limits":
 * {..} it would run under, "code": "limit" and "reason" where it is not accepted, "over":
 * [{"limit", "asked", "allowed"}] what is lowered, or is the reason}], "accepted": how many would,
 * "tried"}. PLASM_NOT_FOUND when nobody could be asked (ret_json is given then too). */
PLASM_API int plasm_explain(struct plasm_client *client, const char *request_json,
                            const uint8_t *module, size_t module_size, uint64_t input_size,
                            const char **ret_json);
/* {"job_id", "node", "module_hash", "manifest_hash", "fetch_secret", "limits": {..}, "clamped",
 * "manifest": {..}}: the limits the job runs under, and whether the worker lowered what was asked.
 * Whoever has node, manifest and fetch_secret can ask for the job's receipt and output
 * (plasm_receipt). Valid until the next call on the job. */
PLASM_API const char *plasm_job_info(struct plasm_job *job);
/* Waits for output of the running job. Returns 1 and a chunk (*ret_stream 1 standard output, 2
 * standard error), 0 when the job is over, PLASM_TIMEOUT, or the failure. timeout_ms < 0 waits
 * as long as the job may last. */
PLASM_API int plasm_job_read(struct plasm_job *job, int timeout_ms, int *ret_stream,
                             const uint8_t **ret_data, size_t *ret_size);
/* Waits for the end and checks the receipt against the dialled peer, the manifest that was sent
 * and the output that was received. Output not read by plasm_job_read is kept (up to the job's
 * output limit) and is in the result. *ret_json is an object {"file": {manifest, receipt,
 * signature, public_key}, "status", "exit_code", "stdout_base64", "stderr_base64", "message",
 * "summary": {"receipt": {..}, "signature"} | null, "output_given": false where the worker had only
 * the receipt (plasm_receipt), "timings_us": {"discover", "submit", "execute", "return", "total"}}.
 * PLASM_UNTRUSTED: the receipt does not hold. */
PLASM_API int plasm_job_result(struct plasm_job *job, const char **ret_json);
/* Asks for the receipt and the output of a job that was accepted before, by whichever client;
 * workers keep them for a day, by default. Waits where the job has not ended. `request_json` is an
 * object with
 *   "job_id"       of a job that was submitted with "remember" and the same state directory
 *   "node"         optional: where to ask; default is where the job was accepted
 *   "manifest", "fetch_secret"   instead of a job that is remembered: from plasm_job_info
 *   "timeout_ms"   until the worker has answered
 * *ret_json is as plasm_job_result's, and checked likewise; "output_given" false: the worker does
 * not have the output any more. PLASM_NOT_FOUND: nothing is remembered of this job; PLASM_REFUSED
 * with the node's reason ("lost": it will have no receipt; "not_found"); PLASM_UNTRUSTED. */
PLASM_API int plasm_receipt(struct plasm_client *client, const char *request_json,
                            const char **ret_json);
/* Of a job that is over: 0 when its receipt holds (*ret_exit_code is the module's, -1 where the
 * status is neither ok nor exit), PLASM_UNTRUSTED when it does not, or the failure. PLASM_STATE
 * before. Costs nothing: for those who run many jobs and keep few receipts. */
PLASM_API int plasm_job_verdict(const struct plasm_job *job, int64_t *ret_exit_code);
PLASM_API int plasm_job_cancel(struct plasm_job *job);
PLASM_API void plasm_job_free(struct plasm_job *job);

/* Round trips of /ipfs/ping/1.0.0: {"peer_id", "rtts_us": [..]}. */
PLASM_API int plasm_ping(struct plasm_client *client, const char *node, int count,
                         const char **ret_json);
/* Throughput by /perf/1.0.0, over one stream: sends, then receives so many bytes. {"peer_id",
 * "up_bytes", "up_us", "down_bytes", "down_us"}. PLASM_UNSUPPORTED where the node does not answer
 * it. Ends when nothing has moved for 20 seconds at the latest. */
PLASM_API int plasm_perf(struct plasm_client *client, const char *node, uint64_t up_bytes,
                         uint64_t down_bytes, const char **ret_json);
/* What the node says of itself: {"peer_id", "agent", "protocol_version", "protocols": [..],
 * "addresses": [..], "observed_address", "signed_record", "capability": {..} | null}. */
PLASM_API int plasm_identify(struct plasm_client *client, const char *node, const char **ret_json);

/* Checks a receipt file without any network. `expect_json` is NULL or an object with any of "key"
 * (peer id, or public key in base64 or hex), "module_hash", "input_hash", "stdout_hash",
 * "stderr_hash", "job_id" ("sha256:<hex>" and UUID). *ret_json: {"verdict": "verified" |
 * "unpinned" | "refused", "reason", "worker", "receipt_hash", ...}. Returns 0 when verified,
 * PLASM_UNTRUSTED when refused, PLASM_STATE when it holds but no key was given to pin it to.
 * `ret_json` stays valid until the next call on this thread. */
PLASM_API int plasm_verify(const char *receipt_file_json, const char *expect_json,
                           const char **ret_json);

/* For an outer event loop: the descriptor to watch for readability, milliseconds until
 * plasm_client_poll() is due (-1: never), and a step that never blocks. */
PLASM_API int plasm_client_fd(struct plasm_client *client);
PLASM_API int64_t plasm_client_deadline_ms(struct plasm_client *client);
PLASM_API int plasm_client_poll(struct plasm_client *client);
/* Makes the blocking call that is under way on `client` return PLASM_CANCELLED. The only call that
 * may be made from a signal handler or from another thread. */
PLASM_API void plasm_client_interrupt(struct plasm_client *client);

#ifndef PLASM_FFI
#ifdef __cplusplus
}
#endif
#endif

#endif
