/* What the daemon keeps in <state>/store/plasm.db: the jobs it accepted and the receipts it gave.
 * Reads are answered from memory for recent jobs; writes are batched in a thread of their own. */
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

/* Opens or creates the database and brings its schema up to date. False: `fault` says what to do.
 */
bool store_open(const char *path, struct store **ret_store, char *fault, size_t fault_size);
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
    struct sha256_digest fetch_hash;
    bool fetchable;
};

/* The job a client offered before under this id. `may_be_old` false: the caller knows that it
 * cannot have been accepted more than STORE_RECENT_S ago, so that memory has the answer for a new
 * one. PLASM_NOT_FOUND, PLASM_IO. */
int store_find(struct store *store, const struct peer_id *client, const char *job_id,
               bool may_be_old, struct store_job *ret_job);
void store_job_done(struct store_job *job);

/* Notes that a job was accepted; *ret_number is the store's name for it. PLASM_LIMIT: the disk does
 * not keep up, or failed. */
MUST_CHECK int store_accepted(struct store *store, const struct peer_id *client, const char *job_id,
                              const struct sha256_digest *manifest_hash,
                              const struct sha256_digest *fetch_hash, int64_t unix_ms,
                              int64_t *ret_number);
/* Notes its receipt. `summary` may be NULL. */
MUST_CHECK int store_finished(struct store *store, int64_t number, struct bytes receipt,
                              const uint8_t signature[ED25519_SIGNATURE_SIZE],
                              const uint8_t *summary);

/* The routing table of the last run. PLASM_NOT_FOUND. Appends to `out`. */
MUST_CHECK int store_get_table(struct store *store, struct buffer *out);
void store_put_table(struct store *store, struct bytes table);

#endif
