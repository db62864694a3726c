/* Which values the DHT keeps: validators by the first component of the key. */
#ifndef PROTO_KAD_NAMESPACE_H
#define PROTO_KAD_NAMESPACE_H

#include "util/bytes.h"

/* One namespace: keys "/<name>/…". The functions are pure: no clock but what `context` holds. */
struct kad_namespace {
    const char *name; /* "pk" for "/pk/" */
    /* 0 when `value` may be kept under `key`, else PLASM_MALFORMED, PLASM_UNTRUSTED, PLASM_EXPIRED
     * or another error. `key` is the whole key. */
    int (*validate)(void *context, struct bytes key, struct bytes value);
    /* True when `candidate` is better than `current`; both are valid. Must be an order: of two
     * equal values neither is better. */
    bool (*better)(void *context, struct bytes key, struct bytes candidate, struct bytes current);
    void *context;
};

/* The namespaces of one node: "/pk/" (a public key under its peer id) is always there. Borrowed. */
struct kad_namespaces {
    const struct kad_namespace *list;
    size_t count;
};

/* PLASM_UNSUPPORTED for a key in no namespace, PLASM_TOO_LARGE for a key or value over its bound,
 * or what the validator says. */
MUST_CHECK int kad_value_check(const struct kad_namespaces *namespaces, struct bytes key,
                               struct bytes value);
/* True when `candidate` should replace `current`. Both have been checked. */
bool kad_value_better(const struct kad_namespaces *namespaces, struct bytes key,
                      struct bytes candidate, struct bytes current);

#endif
