/* Receipt files: manifest, receipt, signature and key in one JSON object that can be kept, sent on
 * and checked by anybody. Spec: docs/spec/receipt.md, "Receipt files". */
#ifndef RECEIPT_RECEIPT_FILE_H
#define RECEIPT_RECEIPT_FILE_H

#include "receipt/receipt.h"

/* As read. `manifest_hash` and `receipt_json` are of the canonical forms, however the file spells
 * them. Free with receipt_file_done. */
struct receipt_file {
    struct manifest manifest;
    struct sha256_digest manifest_hash;
    struct receipt receipt;
    struct buffer receipt_json;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    uint8_t public_key[ED25519_PUBLIC_SIZE];
};

/* Appends {"manifest", "public_key", "receipt", "signature"} in canonical JSON; the two documents
 * are given in theirs. PLASM_TOO_LARGE, PLASM_NO_MEMORY. */
MUST_CHECK int receipt_file_encode(struct bytes manifest_json, struct bytes receipt_json,
                                   const uint8_t signature[ED25519_SIGNATURE_SIZE],
                                   const uint8_t public_key[ED25519_PUBLIC_SIZE],
                                   struct buffer *out);
/* Reads any JSON spelling. Checks form, not truth: that is receipt_file_verify's. An `inclusion`
 * member is PLASM_UNSUPPORTED, any other unknown member PLASM_MALFORMED; else the errors of
 * manifest_from_json and receipt_from_json. */
MUST_CHECK int receipt_file_decode(struct bytes text, struct memory *memory,
                                   struct receipt_file *ret_file, struct fault *fault);
void receipt_file_done(struct receipt_file *file);

#endif
