/* Question and result hashes: the same members, with and without the answer. */
#include "receipt/question.h"

#include "receipt/canonical.h"

#define QUESTION_TYPE "phase.question/1"
#define RESULT_TYPE   "phase.result/1"
/* Arguments and environment fit a manifest; the rest is short. */
#define QUESTION_SIZE_MAX (MANIFEST_SIZE_MAX + 4096)

static int question_write(const struct manifest *manifest, const struct receipt *answer,
                          struct buffer *out) {
    struct json_writer writer;
    struct json_writer limits;
    json_object_begin(&writer, out);
    json_object_strings(&writer, "args", manifest->args, manifest->arg_count);
    json_object_strings(&writer, "env", manifest->env, manifest->env_count);
    if (answer != NULL) {
        json_object_integer(&writer, "exit_code", answer->exit_code);
        json_object_integer(&writer, "fuel", (int64_t)answer->fuel);
    }
    canonical_put_hash(&writer, "input_hash", &manifest->stdin_hash);
    canonical_put_object(&writer, "limits", &limits);
    json_object_integer(&limits, "fuel", (int64_t)manifest->limits.fuel);
    json_object_integer(&limits, "memory_bytes", (int64_t)manifest->limits.memory_bytes);
    json_object_integer(&limits, "output_bytes", (int64_t)manifest->limits.output_bytes);
    canonical_put_object_end(&writer, &limits);
    canonical_put_hash(&writer, "module_hash", &manifest->module_hash);
    canonical_put_string(&writer, "profile", job_profile_name(manifest->profile));
    if (answer != NULL) {
        canonical_put_string(&writer, "status", job_status_name(answer->status));
        canonical_put_hash(&writer, "stderr_hash", &answer->stderr_hash);
        canonical_put_hash(&writer, "stdout_hash", &answer->stdout_hash);
    }
    canonical_put_string(&writer, "type", answer != NULL ? RESULT_TYPE : QUESTION_TYPE);
    return json_object_end(&writer);
}

int question_hash(const struct manifest *manifest, const struct receipt *answer,
                  struct memory *memory, struct sha256_digest *ret_hash) {
    struct buffer json;
    buffer_init(&json, memory, QUESTION_SIZE_MAX);
    int error = question_write(manifest, answer, &json);
    if (error == 0) {
        *ret_hash = sha256(buffer_bytes(&json));
    }
    buffer_done(&json);
    return error;
}

int manifest_question_hash(const struct manifest *manifest, struct memory *memory,
                           struct sha256_digest *ret_hash) {
    return question_hash(manifest, NULL, memory, ret_hash);
}
