/* Frames: vectors of the independent implementation, refusals, heads of chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/job/testing.h"
#include "wire/varint.h"

static struct memory memory;

static enum job_frame_type type_of(const char *name) {
    static const struct {
        const char *name;
        enum job_frame_type type;
    } types[] = {{"offer", JOB_FRAME_OFFER},       {"module", JOB_FRAME_MODULE},
                 {"stdin", JOB_FRAME_STDIN},       {"cancel", JOB_FRAME_CANCEL},
                 {"accepted", JOB_FRAME_ACCEPTED}, {"rejected", JOB_FRAME_REJECTED},
                 {"output", JOB_FRAME_OUTPUT},     {"need_module", JOB_FRAME_NEED_MODULE},
                 {"progress", JOB_FRAME_PROGRESS}, {"finished", JOB_FRAME_FINISHED},
                 {"estimate", JOB_FRAME_ESTIMATE}};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].type;
        }
    }
    fail_msg("no frame %s", name);
    return 0;
}

static void check_bytes(const json_t *fields, const char *key, struct bytes found) {
    struct bytes expected =
        json_object_get(fields, key) != NULL ? testing_hex(fields, key) : bytes_of(NULL, 0);
    assert_true(bytes_equal(found, expected));
    testing_free(expected);
}

static void check_number(const json_t *fields, const char *key, uint64_t found) {
    const json_t *value = json_object_get(fields, key);
    uint64_t expected = json_is_true(value) ? 1
                        : value != NULL     ? (uint64_t)json_integer_value(value)
                                            : 0;
    assert_int_equal(found, expected);
}

static void check_limits(const json_t *fields, bool present, const struct job_limits *limits) {
    const json_t *expected = json_object_get(fields, "limits");
    assert_int_equal(present, expected != NULL);
    check_number(expected, "fuel", limits->fuel);
    check_number(expected, "memory_bytes", limits->memory_bytes);
    check_number(expected, "wall_ms", limits->wall_ms);
    check_number(expected, "output_bytes", limits->output_bytes);
}

static void check_client_fields(const json_t *fields, const struct job_frame *frame) {
    if (frame->type == JOB_FRAME_OFFER) {
        check_bytes(fields, "manifest", frame->offer.manifest);
        check_bytes(fields, "module", frame->offer.module);
        check_bytes(fields, "fetch_secret", frame->offer.fetch_secret);
        check_number(fields, "stdin_size", frame->offer.stdin_size);
        check_number(fields, "want_summary", frame->offer.want_summary);
        check_number(fields, "only_fetch", frame->offer.only_fetch);
        check_number(fields, "dry_run", frame->offer.dry_run);
    } else if (frame->type == JOB_FRAME_MODULE || frame->type == JOB_FRAME_STDIN) {
        check_bytes(fields, "data", frame->chunk);
    }
}

static void check_worker_fields(const json_t *fields, const struct job_frame *frame) {
    switch (frame->type) {
    case JOB_FRAME_ACCEPTED:
        check_number(fields, "queue_position", frame->accepted.queue_position);
        check_number(fields, "resumed", frame->accepted.resumed);
        check_number(fields, "without_output", frame->accepted.without_output);
        check_limits(fields, frame->accepted.clamped, &frame->accepted.limits);
        break;
    case JOB_FRAME_REJECTED:
        check_number(fields, "code", frame->rejected.code);
        check_bytes(fields, "text", frame->rejected.text);
        check_bytes(fields, "limit", frame->rejected.limit);
        check_number(fields, "retry_after_ms", frame->rejected.retry_after_ms);
        check_limits(fields, frame->rejected.has_limits, &frame->rejected.limits.job);
        check_number(json_object_get(fields, "limits"), "module_bytes",
                     frame->rejected.limits.module_bytes);
        check_number(json_object_get(fields, "limits"), "stdin_bytes",
                     frame->rejected.limits.stdin_bytes);
        break;
    case JOB_FRAME_OUTPUT:
        check_number(fields, "seq", frame->output.seq);
        check_number(fields, "stream", frame->output.stream);
        check_bytes(fields, "data", frame->output.data);
        break;
    case JOB_FRAME_PROGRESS:
        check_number(fields, "state", frame->progress.state);
        check_number(fields, "queue_position", frame->progress.queue_position);
        check_number(fields, "elapsed_ms", frame->progress.elapsed_ms);
        break;
    case JOB_FRAME_ESTIMATE:
        check_number(fields, "queue_position", frame->estimate.queue_position);
        check_limits(fields, frame->estimate.clamped, &frame->estimate.limits);
        check_number(fields, "module_held", frame->estimate.module_held);
        check_number(fields, "price", frame->estimate.price);
        break;
    case JOB_FRAME_FINISHED:
        check_bytes(fields, "receipt", frame->finished.receipt);
        check_bytes(fields, "signature", frame->finished.signature);
        check_bytes(fields, "public_key", frame->finished.public_key);
        check_bytes(fields, "summary_signature", frame->finished.summary_signature);
        check_bytes(fields, "message", frame->finished.message);
        break;
    default:
        break;
    }
}

static void check_valid(const json_t *item) {
    struct bytes hex = testing_hex(item, "hex");
    struct bytes payload;
    struct job_frame frame;
    struct buffer out;
    size_t size;
    assert_int_equal(frame_read(hex, JOB_FRAME_SIZE_MAX, &payload, &size), 0);
    assert_int_equal(size, hex.size);
    assert_int_equal(job_frame_decode(payload, &frame), 0);
    assert_int_equal(frame.type, type_of(json_string_value(json_object_get(item, "type"))));
    check_client_fields(json_object_get(item, "fields"), &frame);
    check_worker_fields(json_object_get(item, "fields"), &frame);
    buffer_init(&out, &memory, hex.size);
    assert_int_equal(job_frame_encode(&frame, &out), 0);
    assert_true(bytes_equal(buffer_bytes(&out), hex));
    assert_int_equal(job_frame_encode(&frame, &out), PLASM_TOO_LARGE);
    assert_int_equal(out.size, hex.size);
    buffer_done(&out);
    /* No prefix of a frame is a frame. */
    for (size_t i = 0; i < payload.size; i++) {
        assert_int_equal(job_frame_decode(bytes_slice(payload, 0, i), &frame), PLASM_MALFORMED);
    }
    testing_free(hex);
}

static void vectors(void **state) {
    (void)state;
    json_t *all = TESTING_VECTORS("frames.json");
    json_t *list;
    assert_int_equal(json_get_list(all, "valid", &list), 0);
    assert_int_equal(json_array_size(list), 21);
    for (size_t i = 0; i < json_array_size(list); i++) {
        check_valid(json_array_get(list, i));
    }
    json_decref(all);
    assert_int_equal(memory.used, 0);
}

static void payloads(const char *name, size_t count_min, bool taken) {
    json_t *all = TESTING_VECTORS("frames.json");
    json_t *list;
    assert_int_equal(json_get_list(all, name, &list), 0);
    assert_true(json_array_size(list) >= count_min);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct bytes payload = testing_hex(item, "payload");
        struct job_frame frame;
        if ((job_frame_decode(payload, &frame) == 0) != taken) {
            fail_msg("%s", json_string_value(json_object_get(item, "name")));
        }
        testing_free(payload);
    }
    json_decref(all);
}

static void refused(void **state) {
    (void)state;
    payloads("refused", 25, false);
}

static void tolerated(void **state) {
    (void)state;
    payloads("tolerated", 3, true);
}

static void chunk_heads(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 100, 127, 128, 16383, 16384, JOB_CHUNK_SIZE_MAX};
    uint8_t *data = testing_pattern(JOB_CHUNK_SIZE_MAX, 3);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const struct job_frame frame = {.type = JOB_FRAME_STDIN, .chunk = bytes_of(data, sizes[i])};
        uint8_t head[JOB_FRAME_OVERHEAD_MAX];
        struct buffer out;
        buffer_init(&out, &memory, SIZE_MAX);
        assert_int_equal(job_frame_encode(&frame, &out), 0);
        size_t size = job_chunk_head(JOB_FRAME_STDIN, sizes[i], head);
        assert_int_equal(size + sizes[i], out.size);
        assert_true(bytes_start_with(buffer_bytes(&out), bytes_of(head, size)));
        buffer_done(&out);
    }
    free(data);
}

static void own_mistakes(void **state) {
    (void)state;
    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    struct job_frame frame = {.type = JOB_FRAME_OFFER};
    assert_int_equal(job_frame_encode(&frame, &out), PLASM_INVALID);
    frame = (struct job_frame){.type = JOB_FRAME_REJECTED};
    assert_int_equal(job_frame_encode(&frame, &out), PLASM_INVALID);
    uint8_t *data = testing_pattern(JOB_FRAME_SIZE_MAX, 0);
    frame =
        (struct job_frame){.type = JOB_FRAME_MODULE, .chunk = bytes_of(data, JOB_FRAME_SIZE_MAX)};
    assert_int_equal(job_frame_encode(&frame, &out), PLASM_TOO_LARGE);
    free(data);
    assert_int_equal(out.size, 0);
    struct memory_failing failing;
    memory_failing_init(&failing, 0, true);
    buffer_init(&out, &failing.memory, SIZE_MAX);
    frame = (struct job_frame){.type = JOB_FRAME_CANCEL};
    assert_int_equal(job_frame_encode(&frame, &out), PLASM_NO_MEMORY);
    assert_string_equal(job_rejection_name(JOB_REJECTED_BUSY), "busy");
    assert_string_equal(job_rejection_name((enum job_rejection)200), "unknown");
    assert_string_equal(job_rejection_name((enum job_rejection)0), "unknown");
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),     cmocka_unit_test(refused),      cmocka_unit_test(tolerated),
        cmocka_unit_test(chunk_heads), cmocka_unit_test(own_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
