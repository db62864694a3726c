/* What the daemon keeps in <state>/store/plasm.db: the jobs it accepted, the receipts it gave, and
 * for a while their output. Reads are answered from memory for recent jobs; writes are batched in a
 * thread of their own, and until they are committed they are in a file beside the database
 * (store_tail.h): what a call here has taken survives the death of the process. */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include "identity/peer_id.h"
#include "receipt/receipt.h"
#include "util/block.h"

struct store;

/* An offer's manifest expires at most an hour ahead, give or take the clocks: what was accepted
 * longer ago is known to be old by its manifest. */
#define STORE_RECENT_S (MANIFEST_AHEAD_S + 2 * MANIFEST_SKEW_S)
/* Longest time an acknowledged write waits for its batch. */
#define STORE_BATCH_MS 20
/* Rows waiting to be written; when it is full the store says so and no job is accepted. */
#define STORE_PENDING_MAX 65536
#define STORE_PATH_SIZE   4096
/* "2001:db8:1:200::/56" with NUL. */
#define STORE_PREFIX_SIZE 48

/* What is kept how long. Zeroed, nothing is ever deleted and no output is kept. */
struct store_settings {
    uint64_t receipts_days;     /* jobs and receipts; 0: for ever */
    uint64_t size_bytes_max;    /* of the database; the oldest go first, but none of the last
                                   STORE_RECENT_S; 0: no bound */
    uint64_t outputs_hours;     /* 0: none is kept */
    uint64_t outputs_bytes_max; /* all together; the oldest go first */
};

/* Opens or creates the database, brings its schema up to date, writes what the last process had no
 * time to write, and notes which jobs were lost with it. False: `fault` says what to do. */
bool store_open(const char *path, const struct store_settings *settings, struct store **ret_store,
                char *fault, size_t fault_size);
/* Writes what is pending, and closes. NULL is allowed. */
void store_close(struct store *store);

/* A finished or accepted job. */
struct store_job {
    struct sha256_digest manifest_hash;
    bool finished; /* false: accepted, and no receipt was written: it is lost */
    char *receipt; /* canonical JSON, freed with store_job_done */
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    bool has_summary;
    uint8_t summary[ED25519_SIGNATURE_SIZE];
    bool output_kept;
    uint8_t *output; /* records of kept_output.h; NULL and 0: there was none */
    size_t output_size;
};

/* The job a client offered before under this id. `may_be_old` false: the caller knows that it
 * cannot have been accepted more than STORE_RECENT_S ago, so that memory has the answer for a new
 * one. PLASM_NOT_FOUND; PLASM_IO: the database cannot be read, nobody knows. */
MUST_CHECK int store_find(struct store *store, const struct peer_id *client, const char *job_id,
                          bool may_be_old, struct store_job *ret_job);
/* The job of whichever client, by its manifest; only those that have a fetch_hash. Likewise. */
MUST_CHECK int store_find_manifest(struct store *store, const struct sha256_digest *manifest_hash,
                                   int64_t expires_s, struct store_job *ret_job);
void store_job_done(struct store_job *job);

/* A job that is accepted. */
struct store_acceptance {
    const struct peer_id *client;
    const struct multiaddr *remote; /* where the client is; NULL: unknown */
    const struct manifest *manifest;
    struct sha256_digest manifest_hash;
    uint64_t bytes_in; /* module and input */
    uint64_t price;    /* of a started second */
    int64_t unix_ms;
};

/* Notes that a job was accepted; *ret_number is the store's name for it. PLASM_LIMIT, PLASM_IO: the
 * disk does not keep up, or failed; PLASM_NO_MEMORY. The job must not be accepted then. */
MUST_CHECK int store_accepted(struct store *store, const struct store_acceptance *acceptance,
                              int64_t *ret_number);

/* How a job ended. */
struct store_conclusion {
    int64_t number;
    const struct receipt *receipt;
    struct bytes receipt_json;
    const uint8_t *signature;
    const uint8_t *summary; /* NULL: none */
    uint64_t bytes_out;
    bool output_kept;    /* `output` is all of it */
    struct bytes output; /* records of kept_output.h */
    uint64_t price;
    int64_t unix_ms;
};

/* Notes its receipt. Errors as above. */
MUST_CHECK int store_finished(struct store *store, const struct store_conclusion *conclusion);

/* The routing table of the last run. PLASM_NOT_FOUND. Appends to `out`. */
MUST_CHECK int store_get_table(struct store *store, struct buffer *out);
void store_put_table(struct store *store, struct bytes table);

#endif
