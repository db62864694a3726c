/* The messages between plasmd and plasm-run: round trips, and everything that must not decode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h needs those above. */
#include <cmocka.h>

#include "runner/protocol.h"

static uint8_t room[RUNNER_MESSAGE_SIZE_MAX];

static struct bytes encode(const struct runner_message *message) {
    size_t size;
    assert_int_equal(runner_message_encode(message, (struct span){room, sizeof(room)}, &size), 0);
    return bytes_of(room, size);
}

static const uint8_t seed[RUNNER_SEED_SIZE] = {1, 2, 3};

/* One of each kind, with something in every field. */
static const struct runner_message examples[] = {
    {.type = RUNNER_MESSAGE_HELLO, .hello = {1, 0xffff, 7}},
    {.type = RUNNER_MESSAGE_SPAWN, .spawn = {77}},
    {.type = RUNNER_MESSAGE_SPAWNED, .spawned = {77, 1234, 0}},
    {.type = RUNNER_MESSAGE_EXITED, .exited = {77, 3, 9, 1000001}},
    {.type = RUNNER_MESSAGE_COMPILE,
     .compile = {5, RUNNER_FLAVOUR_METERED, {1, 2, 3, UINT64_MAX}, 99}},
    {.type = RUNNER_MESSAGE_COMPILED,
     .compiled = {RUNNER_COMPILE_LIMIT, 0, 17, {(const uint8_t *)"too large", 9}}},
    {.type = RUNNER_MESSAGE_LOAD, .load = {RUNNER_FLAVOUR_PLAIN, 1 << 20}},
    {.type = RUNNER_MESSAGE_JOB,
     .job = {.job = 9,
             .deterministic = true,
             .limits = {1, 2, 3, 4},
             .seed = {seed, sizeof(seed)},
             .arg_count = 2,
             .env_count = 1,
             .args = {(const uint8_t *)"a\0", 3}, /* "a", "" */
             .env = {(const uint8_t *)"K=V", 4},
             .stdin_size = 5,
             .stdin_bytes = {(const uint8_t *)"in\0ut", 5}}},
    {.type = RUNNER_MESSAGE_JOB, .job = {.job = 10, .stdin_is_file = true, .stdin_size = 1u << 31}},
    {.type = RUNNER_MESSAGE_CANCEL, .cancel = {9}},
    {.type = RUNNER_MESSAGE_OUTPUT, .output = {{(const uint8_t *)"\1\0\0\0\2hi", 7}}},
    {.type = RUNNER_MESSAGE_FINISHED,
     .finished = {9, {RUNNER_STATUS_EXIT, 7, 100, 200, {NULL, 0}}, {NULL, 0}}},
    {.type = RUNNER_MESSAGE_FINISHED,
     .finished = {9,
                  {RUNNER_STATUS_TRAP, -1, 0, 1, {(const uint8_t *)"unreachable", 11}},
                  {(const uint8_t *)"\1\0\0\0\1a\2\0\0\0\1b", 12}}},
    {.type = RUNNER_MESSAGE_CONFIGURE, .configure = {1, UINT64_MAX, 3}},
};

/* Encoding what was decoded gives the same bytes. */
static void messages_survive(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        static uint8_t again[RUNNER_MESSAGE_SIZE_MAX];
        struct bytes packet = encode(&examples[i]);
        struct runner_message decoded;
        size_t size;
        assert_int_equal(runner_message_decode(packet, &decoded), 0);
        assert_int_equal(decoded.type, examples[i].type);
        assert_int_equal(
            runner_message_encode(&decoded, (struct span){again, sizeof(again)}, &size), 0);
        assert_true(bytes_equal(packet, bytes_of(again, size)));
    }
}

static void a_job_comes_out_as_it_went_in(void **state) {
    struct runner_message decoded;
    (void)state;
    struct bytes packet = encode(&examples[7]);
    assert_int_equal(runner_message_decode(packet, &decoded), 0);
    assert_int_equal(decoded.job.job, 9);
    assert_true(decoded.job.deterministic);
    assert_int_equal(decoded.job.limits.fuel, 1);
    assert_int_equal(decoded.job.limits.memory_bytes, 2);
    assert_int_equal(decoded.job.limits.wall_ms, 3);
    assert_int_equal(decoded.job.limits.output_bytes, 4);
    assert_true(bytes_equal(decoded.job.seed, bytes_of(seed, sizeof(seed))));
    assert_int_equal(decoded.job.arg_count, 2);
    assert_true(bytes_equal(decoded.job.args, bytes_of("a\0\0", 3)));
    assert_true(bytes_equal(decoded.job.env, bytes_of("K=V\0", 4)));
    assert_false(decoded.job.stdin_is_file);
    assert_true(bytes_equal(decoded.job.stdin_bytes, bytes_of("in\0ut", 5)));
}

/* A packet is whole or wrong: no prefix decodes, nor one byte more. */
static void no_other_length_decodes(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        struct bytes packet = encode(&examples[i]);
        struct runner_message decoded;
        for (size_t size = 0; size < packet.size; size++) {
            /* Output has no length of its own: a shorter one may be a whole number of segments. */
            int error = runner_message_decode(bytes_of(room, size), &decoded);
            bool may = examples[i].type == RUNNER_MESSAGE_FINISHED && error == 0;
            assert_true(error == PLASM_MALFORMED || may);
        }
        room[packet.size] = 1;
        assert_int_equal(runner_message_decode(bytes_of(room, packet.size + 1), &decoded),
                         PLASM_MALFORMED);
    }
}

static void a_room_that_is_too_small_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        size_t whole = encode(&examples[i]).size;
        size_t size = 12345;
        for (size_t have = 0; have < whole; have++) {
            assert_int_equal(runner_message_encode(&examples[i], (struct span){room, have}, &size),
                             PLASM_TOO_LARGE);
            assert_int_equal(size, 12345);
        }
    }
}

static void refuse(struct runner_message message) {
    struct runner_message decoded;
    assert_int_equal(runner_message_decode(encode(&message), &decoded), PLASM_MALFORMED);
}

static void wrong_jobs_do_not_decode(void **state) {
    static uint8_t large[RUNNER_STRINGS_SIZE_MAX + 1];
    const struct runner_message right = examples[7];
    (void)state;
    struct runner_message wrong = right;
    wrong.job.seed.size = 31;
    refuse(wrong);
    wrong = right;
    wrong.job.deterministic = false; /* and a seed */
    refuse(wrong);
    wrong = right;
    wrong.job.limits.fuel = 0; /* and deterministic */
    refuse(wrong);
    wrong = right;
    wrong.job.arg_count = 1;
    refuse(wrong);
    wrong.job.arg_count = 3;
    refuse(wrong);
    wrong = right;
    wrong.job.env.size = 3; /* no NUL at its end */
    refuse(wrong);
    wrong = right;
    wrong.job.stdin_size = 4;
    refuse(wrong);
    wrong = right;
    wrong.job.stdin_is_file = true; /* and bytes */
    refuse(wrong);
    wrong = right;
    wrong.job.stdin_bytes = bytes_of(large, RUNNER_STDIN_INLINE_MAX + 1);
    wrong.job.stdin_size = RUNNER_STDIN_INLINE_MAX + 1;
    refuse(wrong);
    wrong = right;
    memset(large, 'a', sizeof(large));
    large[sizeof(large) - 1] = 0;
    wrong.job.args = bytes_of(large, sizeof(large));
    wrong.job.arg_count = 1;
    wrong.job.stdin_bytes.size = wrong.job.stdin_size = 0;
    refuse(wrong);
    wrong.job.args = bytes_of(large + 1, sizeof(large) - 1); /* fits, but not with env */
    refuse(wrong);
    memset(large, 0, sizeof(large));
    wrong.job.env = bytes_of(NULL, 0);
    wrong.job.env_count = 0;
    wrong.job.args = bytes_of(large, RUNNER_STRINGS_MAX + 1);
    wrong.job.arg_count = RUNNER_STRINGS_MAX + 1;
    refuse(wrong);
    wrong.job.args.size = wrong.job.arg_count = RUNNER_STRINGS_MAX;
    struct runner_message decoded;
    assert_int_equal(runner_message_decode(encode(&wrong), &decoded), 0);
}

static void wrong_results_do_not_decode(void **state) {
    static uint8_t large[RUNNER_OUTPUT_SIZE_MAX + 1];
    const struct runner_message right = examples[11];
    (void)state;
    struct runner_message wrong = right;
    wrong.finished.result.status = RUNNER_STATUS_COUNT;
    refuse(wrong);
    wrong = right;
    wrong.finished.result.exit_code = 0; /* that is ok, not exit */
    refuse(wrong);
    wrong.finished.result.exit_code = (int64_t)UINT32_MAX + 1;
    refuse(wrong);
    wrong.finished.result.exit_code = -1;
    refuse(wrong);
    wrong = right;
    wrong.finished.result.status = RUNNER_STATUS_OK; /* with code 7 */
    refuse(wrong);
    wrong.finished.result.status = RUNNER_STATUS_FUEL;
    refuse(wrong);
    wrong = right;
    wrong.finished.result.text = BYTES_LITERAL("two\nlines");
    refuse(wrong);
    wrong.finished.result.text = bytes_of(large, RUNNER_TEXT_SIZE_MAX + 1);
    memset(large, 'x', sizeof(large));
    refuse(wrong);
    wrong = right;
    wrong.finished.segments = BYTES_LITERAL("\3\0\0\0\1a"); /* no such stream */
    refuse(wrong);
    wrong.finished.segments = BYTES_LITERAL("\1\0\0\0\0"); /* an empty one */
    refuse(wrong);
    wrong.finished.segments = BYTES_LITERAL("\1\0\0\0\2a");
    refuse(wrong);
    large[0] = RUNNER_STDOUT;
    runner_segment_head(large, RUNNER_STDOUT, sizeof(large) - RUNNER_SEGMENT_HEAD_SIZE);
    wrong.finished.segments = BYTES_ARRAY(large);
    refuse(wrong);
}

static void other_wrong_messages_do_not_decode(void **state) {
    struct runner_message decoded;
    (void)state;
    assert_int_equal(runner_message_decode(BYTES_LITERAL("\0"), &decoded), PLASM_MALFORMED);
    assert_int_equal(runner_message_decode(BYTES_LITERAL("\x07"), &decoded), PLASM_MALFORMED);
    assert_int_equal(runner_message_decode(BYTES_LITERAL("\xff"), &decoded), PLASM_MALFORMED);
    struct runner_message wrong = examples[6];
    wrong.load.flavour = (enum runner_flavour)3;
    refuse(wrong);
    wrong = examples[5];
    wrong.compiled.outcome = (enum runner_compile_outcome)5;
    refuse(wrong);
    wrong = examples[3];
    wrong.exited.signal = 256;
    refuse(wrong);
}

static void segments_come_one_by_one(void **state) {
    struct bytes segments = examples[12].finished.segments;
    enum runner_stream stream;
    struct bytes data;
    (void)state;
    assert_true(runner_segment_next(&segments, &stream, &data));
    assert_int_equal(stream, RUNNER_STDOUT);
    assert_true(bytes_equal_string(data, "a"));
    assert_true(runner_segment_next(&segments, &stream, &data));
    assert_int_equal(stream, RUNNER_STDERR);
    assert_true(bytes_equal_string(data, "b"));
    assert_false(runner_segment_next(&segments, &stream, &data));
}

static void statuses_have_names(void **state) {
    (void)state;
    assert_string_equal(runner_status_name(RUNNER_STATUS_OK), "ok");
    assert_string_equal(runner_status_name(RUNNER_STATUS_CANCELLED), "cancelled");
    assert_string_equal(runner_status_name(RUNNER_STATUS_FAILED), "failed");
    assert_string_equal(runner_status_name(RUNNER_STATUS_COUNT), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive),
        cmocka_unit_test(a_job_comes_out_as_it_went_in),
        cmocka_unit_test(no_other_length_decodes),
        cmocka_unit_test(a_room_that_is_too_small_is_told),
        cmocka_unit_test(wrong_jobs_do_not_decode),
        cmocka_unit_test(wrong_results_do_not_decode),
        cmocka_unit_test(other_wrong_messages_do_not_decode),
        cmocka_unit_test(segments_come_one_by_one),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
