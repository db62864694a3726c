/* Whoever holds the identity key. Requests are typed: the signer builds every byte it signs, so
 * that nobody who talks to it can have something else signed. */
#ifndef HOST_SIGNER_H
#define HOST_SIGNER_H

#include "identity/certificate.h"
#include "proto/noise/noise.h"
#include "util/buffer.h"

struct signer;

/* A signer in this process; wipes its copy of the secret when freed. PLASM_NO_MEMORY. */
MUST_CHECK int signer_local_new(const struct ed25519_secret *secret, struct memory *memory,
                                struct signer **ret_signer);
void signer_free(struct signer *signer);

const struct public_key *signer_public_key(const struct signer *signer);

/* A fresh TLS certificate bound to the identity. */
MUST_CHECK int signer_certificate(struct signer *signer, int64_t unix_seconds,
                                  struct certificate *ret_certificate);
/* A fresh static key for Noise, bound to the identity; noise_identity_done() wipes it. */
MUST_CHECK int signer_noise_identity(struct signer *signer, struct noise_identity *ret_identity);
/* Appends the signed envelope of a peer record's or a capability's payload. */
MUST_CHECK int signer_peer_record(struct signer *signer, struct bytes payload, struct buffer *out);
MUST_CHECK int signer_capability(struct signer *signer, struct bytes payload, struct buffer *out);
/* Of a relay's voucher; PLASM_INVALID for one that names another relay than this identity. */
MUST_CHECK int signer_relay_voucher(struct signer *signer, struct bytes payload,
                                    struct buffer *out);
/* Over the canonical JSON of a receipt, or of its four-key summary; PLASM_INVALID for bytes that
 * are not of that type. */
MUST_CHECK int signer_receipt(struct signer *signer, struct bytes receipt,
                              uint8_t ret_signature[ED25519_SIGNATURE_SIZE]);
MUST_CHECK int signer_summary(struct signer *signer, struct bytes summary,
                              uint8_t ret_signature[ED25519_SIGNATURE_SIZE]);

#endif
