/* Reads documents of a known shape in canonical JSON, in place: the one spelling RFC 8785 allows is
 * the only one that is taken, so what was read can be hashed as it came. Internal to receipt/. */
#ifndef RECEIPT_CANONICAL_H
#define RECEIPT_CANONICAL_H

#include "receipt/fault.h"
#include "receipt/text.h"
#include "wire/json.h"

/* Longest list that canonical_put_hashes writes. */
#define CANONICAL_HASHES_MAX 16

/* After the first failure every read gives zeros or nothing; `error` and `fault` stay. */
struct canonical {
    struct bytes left;
    bool first; /* no member or element of the innermost object or list was read yet */
    const char *field;
    int error;
    struct fault fault;
};

void canonical_begin(struct canonical *reader, struct bytes json);
/* PLASM_MALFORMED when bytes are left; else what is latched. Copies the fault. */
MUST_CHECK int canonical_end(struct canonical *reader, struct fault *fault);
/* Latches `error` for the field that was read last. */
void canonical_fail(struct canonical *reader, int error, const char *text);

void canonical_open(struct canonical *reader);
void canonical_close(struct canonical *reader);
/* The next member must have this key. `field` names it in faults. */
void canonical_key(struct canonical *reader, const char *key, const char *field);
/* True and the key taken, if it is the next one. */
bool canonical_has_key(struct canonical *reader, const char *key, const char *field);

int64_t canonical_integer(struct canonical *reader);
/* An integer that is not negative. */
uint64_t canonical_count(struct canonical *reader);
/* A string of printable ASCII that needs no escape; borrowed. */
struct bytes canonical_plain(struct canonical *reader);
/* Such a string as a NUL-terminated name; PLASM_MALFORMED where it is empty (unless that is
 * allowed), too long or has characters no name has. */
void canonical_name(struct canonical *reader, char *room, size_t room_size, bool may_be_empty);
void canonical_hash(struct canonical *reader, struct sha256_digest *ret_digest);
/* The same or "": false. */
bool canonical_optional_hash(struct canonical *reader, struct sha256_digest *ret_digest);
/* Any string, unescaped into the start of `room`, which is then moved behind it; with room.data
 * NULL it is only measured. Returns its bytes (data NULL when measured). */
struct bytes canonical_text(struct canonical *reader, struct span *room);

void canonical_list(struct canonical *reader);
/* True while another element follows; takes the end of the list. */
bool canonical_more(struct canonical *reader);
/* A whole list of hashes; returns how many. PLASM_TOO_LARGE beyond `count_max`. */
size_t canonical_hashes(struct canonical *reader, struct sha256_digest *digests, size_t count_max);

/* Writes "key": {an object} into an object under way, whose first member it must not be: begin,
 * write the members with `nested`, end. */
void canonical_put_object(struct json_writer *writer, const char *key, struct json_writer *nested);
void canonical_put_object_end(struct json_writer *writer, struct json_writer *nested);
void canonical_put_hash(struct json_writer *writer, const char *key,
                        const struct sha256_digest *digest);
void canonical_put_hashes(struct json_writer *writer, const char *key,
                          const struct sha256_digest *digests, size_t count);
void canonical_put_string(struct json_writer *writer, const char *key, const char *value);

#endif
