/* Checking, writing and reading manifests, and fitting them to a worker. */
#include "receipt/manifest.h"

#include "receipt/canonical.h"

static const char *const profile_names[] = {
    [PROFILE_WASIP1] = "wasip1",
    [PROFILE_DETERMINISTIC_1] = "deterministic/1",
};

const char *job_profile_name(enum job_profile profile) {
    return profile_names[profile];
}

int job_profile_parse(struct bytes text, enum job_profile *ret_profile) {
    for (size_t i = 0; i < ARRAY_SIZE(profile_names); i++) {
        if (bytes_equal_string(text, profile_names[i])) {
            *ret_profile = (enum job_profile)i;
            return 0;
        }
    }
    return PLASM_UNSUPPORTED;
}

static int manifest_check_strings(const struct bytes *list, size_t count, size_t count_max,
                                  const char *field, struct fault *fault) {
    if (count > count_max) {
        return fault_set(fault, PLASM_TOO_LARGE, field, "has too many elements");
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].size > 0 && memchr(list[i].data, 0, list[i].size) != NULL) {
            return fault_set(fault, PLASM_INVALID, field, "has a NUL in it");
        }
        if (!bytes_are_utf8(list[i])) {
            return fault_set(fault, PLASM_INVALID, field, "is not UTF-8");
        }
    }
    return 0;
}

static int manifest_check_env(const struct manifest *manifest, struct fault *fault) {
    for (size_t i = 0; i < manifest->env_count; i++) {
        struct bytes entry = manifest->env[i];
        if (entry.size < 2 || entry.data[0] == '=' || memchr(entry.data, '=', entry.size) == NULL) {
            return fault_set(fault, PLASM_INVALID, "env", "has an entry that is not NAME=VALUE");
        }
    }
    return 0;
}

static int manifest_check_limits(const struct manifest *manifest, struct fault *fault) {
    const struct job_limits *limits = &manifest->limits;
    const struct {
        const char *field;
        uint64_t value;
        uint64_t value_min;
    } checks[] = {
        {"module_size", manifest->module_size, 0},
        {"limits.fuel", limits->fuel, manifest->profile == PROFILE_DETERMINISTIC_1},
        {"limits.memory_bytes", limits->memory_bytes, 1},
        {"limits.wall_ms", limits->wall_ms, 1},
        {"limits.output_bytes", limits->output_bytes, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        if (checks[i].value > JSON_INTEGER_MAX) {
            return fault_set(fault, PLASM_INVALID, checks[i].field, "is over 2^53-1");
        }
        if (checks[i].value < checks[i].value_min) {
            return fault_set(fault, PLASM_INVALID, checks[i].field, "must be at least 1");
        }
    }
    return 0;
}

static bool manifest_name_valid(const char *name, size_t room_size) {
    size_t size = strnlen(name, room_size);
    return size == 0 || name_valid(bytes_of(name, size), room_size);
}

int manifest_validate(const struct manifest *manifest, struct fault *fault) {
    if (!job_id_valid(bytes_of(manifest->job_id, strnlen(manifest->job_id, JOB_ID_SIZE)))) {
        return fault_set(fault, PLASM_INVALID, "job_id", "is not a UUID of version 4");
    }
    int error = manifest_check_strings(manifest->args, manifest->arg_count, MANIFEST_ARGS_MAX,
                                       "args", fault);
    if (error == 0) {
        error = manifest_check_strings(manifest->env, manifest->env_count, MANIFEST_ENV_MAX, "env",
                                       fault);
    }
    if (error == 0) {
        error = manifest_check_env(manifest, fault);
    }
    if (error == 0) {
        error = manifest_check_limits(manifest, fault);
    }
    if (error != 0) {
        return error;
    }
    if (!manifest_name_valid(manifest->arch, ARCH_SIZE)) {
        return fault_set(fault, PLASM_INVALID, "arch", "is not a name");
    }
    if (!manifest_name_valid(manifest->runtime, RUNTIME_SIZE)) {
        return fault_set(fault, PLASM_INVALID, "runtime", "is not a name");
    }
    if (!client_nonce_valid(
            bytes_of(manifest->client_nonce, strnlen(manifest->client_nonce, CLIENT_NONCE_SIZE)))) {
        return fault_set(fault, PLASM_INVALID, "client_nonce", "is not 32 hex digits");
    }
    if (manifest->expires_s < 0 || manifest->expires_s > JSON_INTEGER_MAX) {
        return fault_set(fault, PLASM_INVALID, "expires", "is not a time");
    }
    if (manifest->prev_count > MANIFEST_PREV_MAX) {
        return fault_set(fault, PLASM_TOO_LARGE, "prev", "has too many elements");
    }
    return 0;
}

static void manifest_put_limits(struct json_writer *writer, const struct job_limits *limits) {
    struct json_writer nested;
    canonical_put_object(writer, "limits", &nested);
    json_object_integer(&nested, "fuel", (int64_t)limits->fuel);
    json_object_integer(&nested, "memory_bytes", (int64_t)limits->memory_bytes);
    json_object_integer(&nested, "output_bytes", (int64_t)limits->output_bytes);
    json_object_integer(&nested, "wall_ms", (int64_t)limits->wall_ms);
    canonical_put_object_end(writer, &nested);
}

static int manifest_write(const struct manifest *manifest, struct buffer *out) {
    struct json_writer writer;
    json_object_begin(&writer, out);
    canonical_put_string(&writer, "arch", manifest->arch);
    json_object_strings(&writer, "args", manifest->args, manifest->arg_count);
    canonical_put_string(&writer, "client_nonce", manifest->client_nonce);
    json_object_strings(&writer, "env", manifest->env, manifest->env_count);
    json_object_integer(&writer, "expires", manifest->expires_s);
    if (manifest->fetchable) {
        canonical_put_hash(&writer, "fetch_hash", &manifest->fetch_hash);
    } else {
        canonical_put_string(&writer, "fetch_hash", "");
    }
    canonical_put_string(&writer, "job_id", manifest->job_id);
    manifest_put_limits(&writer, &manifest->limits);
    canonical_put_hash(&writer, "module_hash", &manifest->module_hash);
    json_object_integer(&writer, "module_size", (int64_t)manifest->module_size);
    if (manifest->prev_count > 0) {
        canonical_put_hashes(&writer, "prev", manifest->prev, manifest->prev_count);
    }
    canonical_put_string(&writer, "profile", job_profile_name(manifest->profile));
    canonical_put_string(&writer, "runtime", manifest->runtime);
    canonical_put_hash(&writer, "stdin_hash", &manifest->stdin_hash);
    canonical_put_string(&writer, "type", MANIFEST_TYPE);
    return json_object_end(&writer);
}

int manifest_encode(const struct manifest *manifest, struct buffer *out, struct fault *fault) {
    int error = manifest_validate(manifest, fault);
    if (error != 0) {
        return error;
    }
    size_t mark = out->size;
    error = manifest_write(manifest, out);
    if (error == 0 && out->size - mark > MANIFEST_SIZE_MAX) {
        error = PLASM_TOO_LARGE;
    }
    if (error == 0) {
        return 0;
    }
    out->size = mark;
    return error == PLASM_TOO_LARGE
               ? fault_set(fault, error, "manifest", "is too large")
               : fault_set(fault, error, "manifest", plasm_error_message(error));
}

/* A list of strings that was measured and is still to be copied. */
struct manifest_list {
    struct canonical start;
    size_t count;
    size_t size;
};

static void manifest_measure(struct canonical *reader, size_t count_max,
                             struct manifest_list *ret_list) {
    *ret_list = (struct manifest_list){.start = *reader};
    struct span nowhere = {0};
    canonical_list(reader);
    while (canonical_more(reader)) {
        ret_list->size += canonical_text(reader, &nowhere).size;
        ret_list->count++;
        if (ret_list->count > count_max) {
            canonical_fail(reader, PLASM_TOO_LARGE, "has too many elements");
        }
    }
}

static void manifest_copy(struct manifest_list *list, struct bytes *elements, struct span *room) {
    canonical_list(&list->start);
    for (size_t i = 0; canonical_more(&list->start); i++) {
        elements[i] = canonical_text(&list->start, room);
    }
}

/* Strings in one allocation: the elements of both lists, then their bytes. */
static int manifest_store(struct manifest *manifest, struct memory *memory,
                          struct manifest_list *args, struct manifest_list *env) {
    size_t elements_size = (args->count + env->count) * sizeof(struct bytes);
    size_t text_size = args->size + env->size;
    manifest->arg_count = args->count;
    manifest->env_count = env->count;
    if (elements_size == 0) {
        return 0;
    }
    struct bytes *elements = memory_get(memory, elements_size + text_size);
    if (elements == NULL) {
        return PLASM_NO_MEMORY;
    }
    struct span room = {.data = (uint8_t *)(elements + args->count + env->count),
                        .size = text_size};
    manifest_copy(args, elements, &room);
    manifest_copy(env, elements + args->count, &room);
    manifest->args = elements;
    manifest->env = elements + args->count;
    manifest->memory = memory;
    manifest->storage = elements;
    manifest->storage_size = elements_size + text_size;
    return 0;
}

static void manifest_read_limits(struct canonical *reader, struct job_limits *limits) {
    canonical_key(reader, "limits", "limits");
    canonical_open(reader);
    canonical_key(reader, "fuel", "limits.fuel");
    limits->fuel = canonical_count(reader);
    canonical_key(reader, "memory_bytes", "limits.memory_bytes");
    limits->memory_bytes = canonical_count(reader);
    canonical_key(reader, "output_bytes", "limits.output_bytes");
    limits->output_bytes = canonical_count(reader);
    canonical_key(reader, "wall_ms", "limits.wall_ms");
    limits->wall_ms = canonical_count(reader);
    canonical_close(reader);
}

/* The members before and after `profile`; lists are measured only. */
static void manifest_read_head(struct canonical *reader, struct manifest *manifest,
                               struct manifest_list *args, struct manifest_list *env) {
    canonical_open(reader);
    canonical_key(reader, "arch", "arch");
    canonical_name(reader, manifest->arch, ARCH_SIZE, true);
    canonical_key(reader, "args", "args");
    manifest_measure(reader, MANIFEST_ARGS_MAX, args);
    canonical_key(reader, "client_nonce", "client_nonce");
    canonical_name(reader, manifest->client_nonce, CLIENT_NONCE_SIZE, false);
    canonical_key(reader, "env", "env");
    manifest_measure(reader, MANIFEST_ENV_MAX, env);
    canonical_key(reader, "expires", "expires");
    manifest->expires_s = canonical_integer(reader);
    canonical_key(reader, "fetch_hash", "fetch_hash");
    manifest->fetchable = canonical_optional_hash(reader, &manifest->fetch_hash);
    canonical_key(reader, "job_id", "job_id");
    canonical_name(reader, manifest->job_id, JOB_ID_SIZE, false);
    manifest_read_limits(reader, &manifest->limits);
    canonical_key(reader, "module_hash", "module_hash");
    canonical_hash(reader, &manifest->module_hash);
    canonical_key(reader, "module_size", "module_size");
    manifest->module_size = canonical_count(reader);
}

static void manifest_read_tail(struct canonical *reader, struct manifest *manifest) {
    if (canonical_has_key(reader, "prev", "prev")) {
        manifest->prev_count = canonical_hashes(reader, manifest->prev, MANIFEST_PREV_MAX);
        if (manifest->prev_count == 0) {
            canonical_fail(reader, PLASM_MALFORMED, "is empty: leave it out");
        }
    }
    canonical_key(reader, "profile", "profile");
    if (job_profile_parse(canonical_plain(reader), &manifest->profile) != 0) {
        canonical_fail(reader, PLASM_UNSUPPORTED, "is not known");
    }
    canonical_key(reader, "runtime", "runtime");
    canonical_name(reader, manifest->runtime, RUNTIME_SIZE, true);
    canonical_key(reader, "stdin_hash", "stdin_hash");
    canonical_hash(reader, &manifest->stdin_hash);
    canonical_key(reader, "type", "type");
    if (!bytes_equal_string(canonical_plain(reader), MANIFEST_TYPE)) {
        canonical_fail(reader, PLASM_UNSUPPORTED, "is not " MANIFEST_TYPE);
    }
    canonical_close(reader);
}

int manifest_decode(struct bytes json, struct memory *memory, struct manifest *ret_manifest,
                    struct fault *fault) {
    if (json.size > MANIFEST_SIZE_MAX) {
        return fault_set(fault, PLASM_TOO_LARGE, "manifest", "is too large");
    }
    struct manifest manifest = {0};
    struct manifest_list args;
    struct manifest_list env;
    struct canonical reader;
    canonical_begin(&reader, json);
    manifest_read_head(&reader, &manifest, &args, &env);
    manifest_read_tail(&reader, &manifest);
    int error = canonical_end(&reader, fault);
    if (error != 0) {
        return error;
    }
    error = manifest_store(&manifest, memory, &args, &env);
    if (error != 0) {
        return fault_set(fault, error, "manifest", plasm_error_message(error));
    }
    error = manifest_validate(&manifest, fault);
    if (error != 0) {
        manifest_done(&manifest);
        return error == PLASM_INVALID ? PLASM_MALFORMED : error;
    }
    *ret_manifest = manifest;
    return 0;
}

int manifest_from_json(const json_t *object, struct memory *memory, struct manifest *ret_manifest,
                       struct fault *fault) {
    struct bytes type;
    int error = json_get_string(object, "type", &type);
    if (error != 0) {
        return fault_set(fault, PLASM_UNSUPPORTED, "manifest.type", "is missing");
    }
    struct buffer json;
    buffer_init(&json, memory, MANIFEST_SIZE_MAX);
    error = json_write_canonical(object, &json);
    if (error != 0) {
        error = error == PLASM_INVALID ? PLASM_MALFORMED : error;
        (void)fault_set(fault, error, "manifest", plasm_error_message(error));
    } else {
        error = manifest_decode(buffer_bytes(&json), memory, ret_manifest, fault);
    }
    buffer_done(&json);
    return error;
}

void manifest_done(struct manifest *manifest) {
    if (manifest->storage != NULL) {
        memory_put(manifest->memory, manifest->storage, manifest->storage_size);
    }
    *manifest = (struct manifest){0};
}

int manifest_check_time(const struct manifest *manifest, int64_t now_unix_s, struct fault *fault) {
    if (manifest->expires_s <= now_unix_s - MANIFEST_SKEW_S) {
        return fault_set(fault, PLASM_EXPIRED, "expires", "is past");
    }
    if (manifest->expires_s > now_unix_s + MANIFEST_AHEAD_S + MANIFEST_SKEW_S) {
        return fault_set(fault, PLASM_INVALID, "expires", "is more than an hour ahead");
    }
    return 0;
}

int manifest_fit(const struct manifest *manifest, const struct worker_limits *worker,
                 struct job_limits *ret_effective, struct fault *fault) {
    static const char over[] = "is over the worker's limit";
    if (manifest->module_size > worker->module_bytes) {
        return fault_set(fault, PLASM_TOO_LARGE, "module_bytes", over);
    }
    struct job_limits effective = manifest->limits;
    struct {
        const char *name;
        uint64_t *asked;
        uint64_t allowed;
    } limits[] = {
        {"memory_bytes", &effective.memory_bytes, worker->job.memory_bytes},
        {"wall_ms", &effective.wall_ms, worker->job.wall_ms},
        {"output_bytes", &effective.output_bytes, worker->job.output_bytes},
        {"fuel", &effective.fuel, worker->job.fuel},
    };
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        bool fuel = limits[i].asked == &effective.fuel;
        if (fuel && limits[i].allowed == 0) {
            continue;
        }
        /* No fuel limit is more than any. */
        if (*limits[i].asked <= limits[i].allowed && !(fuel && *limits[i].asked == 0)) {
            continue;
        }
        if (manifest->profile == PROFILE_DETERMINISTIC_1) {
            return fault_set(fault, PLASM_TOO_LARGE, limits[i].name, over);
        }
        *limits[i].asked = limits[i].allowed;
    }
    *ret_effective = effective;
    return 0;
}

int manifest_fit_node(const struct manifest *manifest, const char *arch, const char *runtime,
                      struct fault *fault) {
    if (manifest->arch[0] != '\0' && strcmp(manifest->arch, arch) != 0) {
        return fault_set(fault, PLASM_UNSUPPORTED, "arch", "is not this worker's");
    }
    if (manifest->runtime[0] != '\0' && strcmp(manifest->runtime, runtime) != 0) {
        return fault_set(fault, PLASM_UNSUPPORTED, "runtime", "is not this worker's");
    }
    return 0;
}
