/* Finding a key's namespace; the namespace of public keys. */
#include "proto/kad/namespace.h"

#include "identity/peer_id.h"
#include "proto/kad/limits.h"
#include "util/ensure.h"

#define PK_PREFIX "/pk/"

/* The value is the public key whose peer id the key names.
 * Spec: libp2p/specs kad-dht/README.md, "Value routing". */
static int pk_validate(void *context, struct bytes key, struct bytes value) {
    (void)context;
    struct peer_id id;
    struct public_key public_key;
    int error = peer_id_decode(bytes_slice(key, sizeof(PK_PREFIX) - 1, key.size), &id);
    if (error == 0) {
        error = public_key_decode(value, &public_key);
    }
    return error != 0 ? error : peer_id_check(&id, &public_key);
}

/* All valid values of a key are the same key. */
static bool pk_better(void *context, struct bytes key, struct bytes candidate,
                      struct bytes current) {
    (void)context;
    (void)key;
    (void)candidate;
    (void)current;
    return false;
}

static const struct kad_namespace pk_namespace = {
    .name = "pk", .validate = pk_validate, .better = pk_better};

/* The namespace of "/<name>/…", or NULL. */
static const struct kad_namespace *namespace_find(const struct kad_namespaces *namespaces,
                                                  struct bytes key) {
    if (key.size < 2 || key.data[0] != '/') {
        return NULL;
    }
    struct bytes rest = bytes_slice(key, 1, key.size);
    const uint8_t *slash = memchr(rest.data, '/', rest.size);
    if (slash == NULL) {
        return NULL;
    }
    struct bytes name = bytes_of(rest.data, (size_t)(slash - rest.data));
    if (bytes_equal_string(name, pk_namespace.name)) {
        return &pk_namespace;
    }
    for (size_t i = 0; i < namespaces->count; i++) {
        if (bytes_equal_string(name, namespaces->list[i].name)) {
            return &namespaces->list[i];
        }
    }
    return NULL;
}

int kad_value_check(const struct kad_namespaces *namespaces, struct bytes key, struct bytes value) {
    if (key.size > KAD_VALUE_KEY_SIZE_MAX || value.size > KAD_VALUE_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    const struct kad_namespace *found = namespace_find(namespaces, key);
    return found != NULL ? found->validate(found->context, key, value) : PLASM_UNSUPPORTED;
}

bool kad_value_better(const struct kad_namespaces *namespaces, struct bytes key,
                      struct bytes candidate, struct bytes current) {
    const struct kad_namespace *found = namespace_find(namespaces, key);
    ENSURE(found != NULL);
    return found->better(found->context, key, candidate, current);
}
