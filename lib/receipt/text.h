/* Text forms that manifests and receipts share: hashes, job ids, short printable names. */
#ifndef RECEIPT_TEXT_H
#define RECEIPT_TEXT_H

#include "crypto/hash.h"
#include "crypto/random.h"
#include "util/bytes.h"

/* "sha256:" and 64 lower-case hex digits, with NUL. */
#define HASH_TEXT_SIZE 72
/* A UUID of version 4 in lower case, with NUL. */
#define JOB_ID_SIZE 37
/* 16 bytes in lower-case hex, with NUL. */
#define CLIENT_NONCE_SIZE 33
/* Names of architectures ("x86_64") and runtimes ("wasmtime-48"), with NUL. */
#define ARCH_SIZE    33
#define RUNTIME_SIZE 65

void hash_format(const struct sha256_digest *digest, char room[HASH_TEXT_SIZE]);
/* PLASM_MALFORMED for anything but the exact form above. */
MUST_CHECK int hash_parse(struct bytes text, struct sha256_digest *ret_digest);

/* True for a UUID of version 4 and RFC 9562's variant, lower case, with dashes. */
bool job_id_valid(struct bytes text);
void job_id_make(struct random *random, char room[JOB_ID_SIZE]);

/* True for exactly 32 lower-case hex digits. */
bool client_nonce_valid(struct bytes text);
void client_nonce_make(struct random *random, char room[CLIENT_NONCE_SIZE]);

/* True for a name of letters, digits and "._+-/" that is not empty and fits `room_size` with NUL:
 * nothing that JSON would have to escape. */
bool name_valid(struct bytes text, size_t room_size);

#endif
