/* Capability records: JSON in an envelope, and what they are good for. */
#include "proto/capability/capability.h"

#include <stdio.h>

#include "crypto/hash.h"
#include "wire/json.h"

uint64_t capability_bucket(uint64_t free_slots) {
    uint64_t bucket = free_slots > 0;
    while (bucket > 0 && bucket * 2 <= free_slots && bucket < CAPABILITY_SLOTS_MAX) {
        bucket *= 2;
    }
    return bucket;
}

/* The names of arch, runtime and profiles: what JSON need not escape and a log may show. */
static bool capability_name_valid(struct bytes name) {
    if (name.size == 0 || name.size >= CAPABILITY_NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            return false;
        }
    }
    return true;
}

static bool capability_names_valid(const struct capability *capability) {
    bool valid = capability_name_valid(bytes_of_string(capability->arch)) &&
                 capability_name_valid(bytes_of_string(capability->runtime)) &&
                 capability->profile_count <= CAPABILITY_PROFILES_MAX;
    for (size_t i = 0; valid && i < capability->profile_count; i++) {
        valid = capability_name_valid(bytes_of_string(capability->profiles[i]));
    }
    return valid;
}

/* The members that are plain numbers, for both directions; in canonical order. */
struct capability_number {
    const char *key;
    size_t offset;
};

static const struct capability_number capability_numbers[] = {
    {"free_slots", offsetof(struct capability, free_slots)},
    {"fuel_max", offsetof(struct capability, limits.fuel)},
    {"memory_bytes_max", offsetof(struct capability, limits.memory_bytes)},
    {"module_bytes_max", offsetof(struct capability, limits.module_bytes)},
    {"output_bytes_max", offsetof(struct capability, limits.output_bytes)},
    {"price", offsetof(struct capability, price)},
    {"seq", offsetof(struct capability, seq)},
    {"stdin_bytes_max", offsetof(struct capability, limits.stdin_bytes)},
    {"wall_ms_max", offsetof(struct capability, limits.wall_ms)},
};

static uint64_t *capability_number(const struct capability *capability,
                                   const struct capability_number *number) {
    return (uint64_t *)((uintptr_t)capability + number->offset);
}

static json_t *capability_string(struct bytes text) {
    return json_stringn((const char *)text.data, text.size);
}

/* PLASM_NO_MEMORY where jansson could make no value. Takes the value. */
static int capability_put(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0 ? 0 : PLASM_NO_MEMORY;
}

static int capability_put_addresses(const struct capability *capability, json_t *object) {
    json_t *list = json_array();
    int error = capability_put(object, "addresses", list);
    for (size_t i = 0; error == 0 && i < capability->address_count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        error = multiaddr_format(&capability->addresses[i], text, sizeof(text));
        if (error == 0 &&
            json_array_append_new(list, capability_string(bytes_of_string(text))) != 0) {
            error = PLASM_NO_MEMORY;
        }
    }
    return error;
}

static int capability_put_profiles(const struct capability *capability, json_t *object) {
    json_t *list = json_array();
    int error = capability_put(object, "profiles", list);
    for (size_t i = 0; error == 0 && i < capability->profile_count; i++) {
        struct bytes profile = bytes_of_string(capability->profiles[i]);
        if (json_array_append_new(list, capability_string(profile)) != 0) {
            error = PLASM_NO_MEMORY;
        }
    }
    return error;
}

static int capability_put_all(const struct capability *capability, json_t *object) {
    char worker[PEER_ID_TEXT_MAX];
    peer_id_format(&capability->worker, worker);
    const struct {
        const char *key;
        const char *value;
    } strings[] = {{"type", CAPABILITY_TYPE},
                   {"worker", worker},
                   {"arch", capability->arch},
                   {"runtime", capability->runtime}};
    int error = 0;
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(strings); i++) {
        error = capability_put(object, strings[i].key,
                               capability_string(bytes_of_string(strings[i].value)));
    }
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(capability_numbers); i++) {
        uint64_t value = *capability_number(capability, &capability_numbers[i]);
        error = capability_put(object, capability_numbers[i].key, json_integer((json_int_t)value));
    }
    if (error == 0) {
        error = capability_put(object, "expires", json_integer((json_int_t)capability->expires_s));
    }
    if (error == 0) {
        error = capability_put_profiles(capability, object);
    }
    return error == 0 ? capability_put_addresses(capability, object) : error;
}

static bool capability_valid(const struct capability *capability) {
    for (size_t i = 0; i < ARRAY_SIZE(capability_numbers); i++) {
        if (*capability_number(capability, &capability_numbers[i]) > JSON_INTEGER_MAX) {
            return false;
        }
    }
    return capability_names_valid(capability) && capability->worker.size > 0 &&
           capability->free_slots == capability_bucket(capability->free_slots) &&
           capability->address_count <= CAPABILITY_ADDRESSES_MAX && capability->expires_s >= 0 &&
           capability->expires_s <= JSON_INTEGER_MAX;
}

int capability_encode(const struct capability *capability, struct buffer *out) {
    if (!capability_valid(capability)) {
        return PLASM_INVALID;
    }
    json_t *object = json_object();
    if (object == NULL) {
        return PLASM_NO_MEMORY;
    }
    size_t mark = out->size;
    int error = capability_put_all(capability, object);
    if (error == 0) {
        error = json_write_canonical(object, out);
    }
    json_decref(object);
    if (error == 0 && out->size - mark > CAPABILITY_PAYLOAD_SIZE_MAX) {
        error = PLASM_TOO_LARGE;
    }
    if (error != 0) {
        out->size = mark;
    }
    return error;
}

static int capability_get_name(const json_t *object, const char *key,
                               char room[CAPABILITY_NAME_SIZE]) {
    struct bytes text;
    if (json_get_string(object, key, &text) != 0 || !capability_name_valid(text)) {
        return PLASM_MALFORMED;
    }
    return bytes_to_string(text, room, CAPABILITY_NAME_SIZE);
}

static int capability_get_numbers(const json_t *object, struct capability *capability) {
    for (size_t i = 0; i < ARRAY_SIZE(capability_numbers); i++) {
        int64_t value;
        if (json_get_integer(object, capability_numbers[i].key, &value) != 0 || value < 0) {
            return PLASM_MALFORMED;
        }
        *capability_number(capability, &capability_numbers[i]) = (uint64_t)value;
    }
    return json_get_integer(object, "expires", &capability->expires_s) != 0 ? PLASM_MALFORMED : 0;
}

static int capability_get_profiles(const json_t *object, struct capability *capability) {
    json_t *list;
    if (json_get_list(object, "profiles", &list) != 0) {
        return PLASM_MALFORMED;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct bytes name = bytes_of(json_string_value(item), json_string_length(item));
        if (!json_is_string(item) || !capability_name_valid(name)) {
            return PLASM_MALFORMED;
        }
        if (capability->profile_count < CAPABILITY_PROFILES_MAX) {
            int error = bytes_to_string(name, capability->profiles[capability->profile_count++],
                                        CAPABILITY_NAME_SIZE);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

static int capability_get_addresses(const json_t *object, struct capability *capability) {
    json_t *list;
    if (json_get_list(object, "addresses", &list) != 0) {
        return PLASM_MALFORMED;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct multiaddr address;
        if (!json_is_string(item)) {
            return PLASM_MALFORMED;
        }
        int error =
            multiaddr_parse(bytes_of(json_string_value(item), json_string_length(item)), &address);
        if (error == PLASM_MALFORMED) {
            return error;
        }
        if (error == 0 && capability->address_count < CAPABILITY_ADDRESSES_MAX) {
            multiaddr_without_peer(&address, &capability->addresses[capability->address_count++]);
        }
    }
    return 0;
}

static int capability_get_all(const json_t *object, struct capability *capability) {
    struct bytes type;
    struct bytes worker;
    if (json_get_string(object, "type", &type) != 0 || !bytes_equal_string(type, CAPABILITY_TYPE)) {
        return PLASM_UNSUPPORTED;
    }
    if (json_get_string(object, "worker", &worker) != 0 ||
        peer_id_parse(worker, &capability->worker) != 0) {
        return PLASM_MALFORMED;
    }
    int error = capability_get_name(object, "arch", capability->arch);
    if (error == 0) {
        error = capability_get_name(object, "runtime", capability->runtime);
    }
    if (error == 0) {
        error = capability_get_numbers(object, capability);
    }
    if (error == 0) {
        error = capability_get_profiles(object, capability);
    }
    if (error == 0) {
        error = capability_get_addresses(object, capability);
    }
    return error == 0 && !capability_valid(capability) ? PLASM_MALFORMED : error;
}

int capability_decode(struct bytes payload, struct capability *ret_capability) {
    if (payload.size > CAPABILITY_PAYLOAD_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    json_t *object;
    int error = json_read(payload, &object);
    if (error != 0) {
        return error;
    }
    struct capability capability = {0};
    error = capability_get_all(object, &capability);
    json_decref(object);
    if (error == 0) {
        *ret_capability = capability;
    }
    return error;
}

int capability_check_time(const struct capability *capability, int64_t now_unix_s) {
    bool past = capability->expires_s <= now_unix_s - CAPABILITY_SKEW_S;
    bool ahead = capability->expires_s > now_unix_s + CAPABILITY_LIFE_S + CAPABILITY_SKEW_S;
    return past || ahead ? PLASM_EXPIRED : 0;
}

int capability_message(struct bytes payload, struct buffer *out) {
    return envelope_message(BYTES_LITERAL(CAPABILITY_DOMAIN),
                            BYTES_LITERAL(CAPABILITY_PAYLOAD_TYPE), payload, out);
}

int capability_seal(const struct public_key *key, struct bytes payload, struct bytes signature,
                    struct buffer *out) {
    size_t mark = out->size;
    int error = envelope_seal(key, BYTES_LITERAL(CAPABILITY_PAYLOAD_TYPE), payload, signature, out);
    if (error == 0 && out->size - mark > CAPABILITY_ENVELOPE_SIZE_MAX) {
        out->size = mark;
        error = PLASM_TOO_LARGE;
    }
    return error;
}

int capability_open(struct bytes envelope, int64_t now_unix_s, struct capability *ret_capability) {
    struct envelope opened;
    if (envelope.size > CAPABILITY_ENVELOPE_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    int error = envelope_open(envelope, BYTES_LITERAL(CAPABILITY_DOMAIN), &opened);
    if (error != 0) {
        return error;
    }
    if (!bytes_equal(opened.payload_type, BYTES_LITERAL(CAPABILITY_PAYLOAD_TYPE))) {
        return PLASM_UNSUPPORTED;
    }
    struct capability capability;
    error = capability_decode(opened.payload, &capability);
    if (error != 0) {
        return error;
    }
    if (!peer_id_equal(&capability.worker, &opened.signer)) {
        return PLASM_UNTRUSTED;
    }
    error = capability_check_time(&capability, now_unix_s);
    if (error == 0) {
        *ret_capability = capability;
    }
    return error;
}

static bool capability_name_matches(const char *wanted, const char *found) {
    return wanted == NULL || wanted[0] == '\0' || strcmp(wanted, found) == 0;
}

bool capability_match(const struct capability *capability, const struct capability_query *query) {
    if (!capability_name_matches(query->arch, capability->arch) ||
        !capability_name_matches(query->runtime, capability->runtime)) {
        return false;
    }
    bool profile = query->profile == NULL || query->profile[0] == '\0';
    for (size_t i = 0; !profile && i < capability->profile_count; i++) {
        profile = strcmp(query->profile, capability->profiles[i]) == 0;
    }
    const struct capability_limits *has = &capability->limits;
    const struct capability_limits *needs = &query->needs;
    return profile && (has->fuel == 0 || needs->fuel <= has->fuel) &&
           needs->memory_bytes <= has->memory_bytes && needs->wall_ms <= has->wall_ms &&
           needs->output_bytes <= has->output_bytes && needs->module_bytes <= has->module_bytes &&
           needs->stdin_bytes <= has->stdin_bytes;
}

static int capability_tag(const char *prefix, const char *value, char room[CAPABILITY_TAG_MAX]) {
    int size = snprintf(room, CAPABILITY_TAG_MAX, "%s%s", prefix, value);
    return size < CAPABILITY_TAG_MAX ? 0 : PLASM_TOO_LARGE;
}

int capability_tag_arch(const char *arch, char room[CAPABILITY_TAG_MAX]) {
    return capability_tag("phase:arch:", arch, room);
}

int capability_tag_runtime(const char *runtime, char room[CAPABILITY_TAG_MAX]) {
    return capability_tag("phase:runtime:", runtime, room);
}

void capability_tag_of_shard(size_t shard, char room[CAPABILITY_TAG_MAX]) {
    (void)snprintf(room, CAPABILITY_TAG_MAX, "%s:%zx", CAPABILITY_TAG_WORKER, shard);
}

void capability_tag_shard(const struct peer_id *worker, char room[CAPABILITY_TAG_MAX]) {
    struct sha256_digest digest = sha256(peer_id_bytes(worker));
    capability_tag_of_shard(digest.bytes[0] >> 4, room);
}
