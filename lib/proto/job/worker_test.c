/* The worker's end: order, hostile clients, cancels, timeouts, holding back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/job/testing.h"

static struct memory memory;
static struct job_worker worker;
static struct job_worker_bounds bounds;

static void begin(void) {
    job_worker_bounds_default(&bounds);
    job_worker_init(&worker, &bounds, &memory, 0);
}

static void end(void) {
    job_worker_done(&worker);
    assert_int_equal(memory.used, 0);
}

/* What the worker has to say, appended to `out`. */
static void transmit(struct buffer *out, nanos now) {
    struct span room;
    size_t pending = job_worker_pending(&worker, now);
    assert_int_equal(buffer_reserve(out, pending + 1, &room), 0);
    size_t size = job_worker_transmit(&worker, room, now);
    assert_int_equal(size, pending);
    buffer_commit(out, size);
}

static void expect(enum job_worker_event_type type, struct job_worker_event *ret_event) {
    assert_true(job_worker_next_event(&worker, ret_event));
    assert_int_equal(ret_event->type, type);
}

static void expect_none(void) {
    struct job_worker_event event;
    assert_false(job_worker_next_event(&worker, &event));
}

/* A frame for the worker, as a client writes it. */
static struct bytes framed(const struct job_frame *frame) {
    static uint8_t storage[JOB_FRAME_SIZE_MAX + 16];
    struct memory heap;
    struct buffer out;
    memory_init(&heap, SIZE_MAX);
    buffer_init(&out, &heap, SIZE_MAX);
    assert_int_equal(job_frame_encode(frame, &out), 0);
    assert_true(out.size <= sizeof(storage));
    memcpy(storage, buffer_bytes(&out).data, out.size);
    size_t size = out.size;
    buffer_done(&out);
    return bytes_of(storage, size);
}

static struct job_frame offer_of(const struct testing_question *question, bool attach) {
    return (struct job_frame){
        .type = JOB_FRAME_OFFER,
        .offer = {.manifest = question->request.manifest_json,
                  .stdin_size = question->stdin_size,
                  .module = attach ? question->request.module : bytes_of(NULL, 0)}};
}

static void give_offer(const struct testing_question *question, bool attach) {
    const struct job_frame frame = offer_of(question, attach);
    struct job_worker_event event;
    job_worker_receive(&worker, framed(&frame), 0);
    expect(JOB_WORKER_OFFER, &event);
    assert_int_equal(event.offer.module_attached, attach);
}

static void give(enum job_frame_type type, struct bytes chunk) {
    const struct job_frame frame = {.type = type, .chunk = chunk};
    job_worker_receive(&worker, framed(&frame), 0);
}

static void check_refused(enum job_rejection code) {
    struct job_worker_event event;
    struct buffer out;
    struct job_frame frame;
    expect(JOB_WORKER_REFUSED, &event);
    assert_int_equal(event.refused.code, code);
    assert_non_null(event.refused.fault.text);
    expect_none();
    buffer_init(&out, &memory, SIZE_MAX);
    transmit(&out, 0);
    struct job_reader reader;
    struct bytes payload = {0};
    int error;
    job_reader_init(&reader, &memory);
    job_reader_give(&reader, buffer_bytes(&out));
    do { /* a need_module may stand before it */
        error = job_reader_next(&reader, &payload);
        assert_int_equal(error, 0);
        assert_int_equal(job_frame_decode(payload, &frame), 0);
    } while (frame.type == JOB_FRAME_NEED_MODULE);
    assert_int_equal(frame.type, JOB_FRAME_REJECTED);
    assert_int_equal(frame.rejected.code, code);
    assert_true(frame.rejected.text.size > 0);
    assert_int_equal(frame.rejected.has_limits, code == JOB_REJECTED_LIMIT);
    job_reader_done(&reader);
    buffer_done(&out);
    assert_true((job_worker_wants(&worker) & JOB_WANTS_FIN) != 0);
    assert_true(job_worker_deadline(&worker) == NANOS_NEVER);
    assert_int_equal(worker.state, JOB_WORKER_STATE_OVER);
}

/* Accepts the offer with the module attached and stdin given. */
static void to_ready(const struct testing_question *question) {
    struct job_worker_event event;
    give_offer(question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    expect_none();
    give(JOB_FRAME_STDIN, question->request.stdin_bytes);
    expect(JOB_WORKER_STDIN_DATA, &event);
    assert_true(bytes_equal(event.data, question->request.stdin_bytes));
    expect(JOB_WORKER_STDIN_COMPLETE, &event);
    expect(JOB_WORKER_READY, &event);
    expect_none();
}

/* --- Order -------------------------------------------------------------------------------- */

static void in_turn(void **state) {
    (void)state;
    struct testing_question question;
    struct testing_answer answer;
    struct job_worker_event event;
    struct buffer out;
    size_t taken;
    testing_question_init(&question, 100, 10);
    begin();
    const struct job_rejected no = {.code = JOB_REJECTED_BUSY};
    const struct job_progress news = {.state = JOB_STATE_RUNNING};
    assert_int_equal(job_worker_have_module(&worker, 0), PLASM_STATE);
    assert_int_equal(job_worker_resume(&worker, NULL, 0, true), PLASM_STATE);
    give_offer(&question, true);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), PLASM_STATE);
    assert_int_equal(job_worker_need_module(&worker, 0), 0);
    assert_int_equal(job_worker_need_module(&worker, 0), PLASM_STATE);
    expect(JOB_WORKER_MODULE_DATA, &event);
    assert_true(bytes_equal(event.data, question.request.module));
    expect(JOB_WORKER_MODULE_COMPLETE, &event);
    expect_none();
    give(JOB_FRAME_STDIN, bytes_slice(question.request.stdin_bytes, 0, 4));
    expect(JOB_WORKER_STDIN_DATA, &event);
    expect_none();
    give(JOB_FRAME_STDIN, bytes_slice(question.request.stdin_bytes, 4, 6));
    expect(JOB_WORKER_STDIN_DATA, &event);
    expect(JOB_WORKER_STDIN_COMPLETE, &event);
    expect(JOB_WORKER_READY, &event);
    assert_int_equal(job_worker_output(&worker, JOB_STDOUT, BYTES_LITERAL("x"), &taken),
                     PLASM_STATE);
    assert_int_equal(job_worker_progress(&worker, &news), PLASM_STATE);
    testing_answer_init(&answer, &question, JOB_STATUS_OK, BYTES_LITERAL("x"), bytes_of(NULL, 0),
                        &memory);
    assert_int_equal(job_worker_finish(&worker, &answer.finished), PLASM_STATE);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    assert_int_equal(job_worker_reject(&worker, &no), PLASM_STATE);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), PLASM_STATE);
    assert_int_equal(job_worker_output(&worker, JOB_STDOUT, BYTES_LITERAL("x"), &taken), 0);
    assert_int_equal(job_worker_finish(&worker, &answer.finished), 0);
    assert_int_equal(job_worker_finish(&worker, &answer.finished), PLASM_STATE);
    assert_int_equal(job_worker_output(&worker, JOB_STDOUT, BYTES_LITERAL("x"), &taken),
                     PLASM_STATE);
    assert_int_equal(job_worker_wants(&worker), 0);
    buffer_init(&out, &memory, SIZE_MAX);
    transmit(&out, 0);
    buffer_done(&out);
    assert_int_equal(job_worker_wants(&worker), JOB_WANTS_FIN);
    testing_answer_done(&answer);
    end();
    testing_question_done(&question);
}

static void empty_module_and_stdin(void **state) {
    (void)state;
    struct testing_question question;
    struct job_worker_event event;
    testing_question_init(&question, 0, 0);
    begin();
    const struct job_frame frame = offer_of(&question, false);
    job_worker_receive(&worker, framed(&frame), 0);
    expect(JOB_WORKER_OFFER, &event);
    assert_true(event.offer.module_attached);
    assert_int_equal(job_worker_need_module(&worker, 0), 0);
    expect(JOB_WORKER_MODULE_COMPLETE, &event);
    expect(JOB_WORKER_STDIN_COMPLETE, &event);
    expect(JOB_WORKER_READY, &event);
    expect_none();
    assert_int_equal(job_worker_pending(&worker, 0), 0);
    end();
    testing_question_done(&question);
}

/* --- Hostile clients ---------------------------------------------------------------------- */

static void hostile_offers(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    static const char *const raw[] = {"\x01\x00", "\x02\x22\x00", "\x02\x52\x00", "\x80\x00",
                                      "\xff\xff\xff\x7f"};
    for (size_t i = 0; i < ARRAY_SIZE(raw); i++) {
        begin();
        /* The cancel before an offer is whole but out of turn. */
        job_worker_receive(&worker, bytes_of(raw[i], i == 0 ? 2 : i < 3 ? 3 : i == 3 ? 2 : 4), 0);
        check_refused(JOB_REJECTED_MALFORMED);
        end();
    }
    struct job_frame frame = offer_of(&question, true);
    frame.offer.manifest = BYTES_LITERAL("{}");
    begin();
    job_worker_receive(&worker, framed(&frame), 0);
    check_refused(JOB_REJECTED_MALFORMED);
    end();
    frame = offer_of(&question, true);
    frame.offer.module.size--;
    begin();
    job_worker_receive(&worker, framed(&frame), 0);
    check_refused(JOB_REJECTED_MALFORMED);
    end();
    frame = offer_of(&question, true);
    frame.offer.fetch_secret = bytes_of(question.module, FETCH_SECRET_SIZE);
    begin();
    job_worker_receive(&worker, framed(&frame), 0);
    check_refused(JOB_REJECTED_DENIED);
    end();
    begin();
    job_worker_receive_fin(&worker);
    check_refused(JOB_REJECTED_MALFORMED);
    end();
    testing_question_done(&question);
}

static void unsupported_profile(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    begin();
    struct job_frame frame = offer_of(&question, true);
    char text[2048];
    assert_int_equal(bytes_to_string(frame.offer.manifest, text, sizeof(text)), 0);
    char *profile = strstr(text, "wasip1");
    assert_non_null(profile);
    profile[5] = '2';
    frame.offer.manifest = bytes_of_string(text);
    job_worker_receive(&worker, framed(&frame), 0);
    check_refused(JOB_REJECTED_UNSUPPORTED);
    end();
    testing_question_done(&question);
}

/* Each before `accepted`: (what is done) -> (code). */
static void hostile_input(void **state) {
    (void)state;
    struct testing_question question;
    struct job_worker_event event;
    testing_question_init(&question, 100, 10);
    uint8_t wrong[100];
    memcpy(wrong, question.module, sizeof(wrong));
    wrong[99] ^= 1;

    begin(); /* a second offer */
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    const struct job_frame frame = offer_of(&question, true);
    job_worker_receive(&worker, framed(&frame), 0);
    check_refused(JOB_REJECTED_MALFORMED);
    end();

    begin(); /* a module nobody asked for */
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    give(JOB_FRAME_MODULE, question.request.module);
    check_refused(JOB_REJECTED_MALFORMED);
    end();

    begin(); /* another module than promised */
    give_offer(&question, false);
    assert_int_equal(job_worker_need_module(&worker, 0), 0);
    give(JOB_FRAME_MODULE, BYTES_ARRAY(wrong));
    expect(JOB_WORKER_MODULE_DATA, &event);
    check_refused(JOB_REJECTED_HASH_MISMATCH);
    end();

    begin(); /* the same in two pieces */
    give_offer(&question, false);
    assert_int_equal(job_worker_need_module(&worker, 0), 0);
    give(JOB_FRAME_MODULE, bytes_of(wrong, 50));
    expect(JOB_WORKER_MODULE_DATA, &event);
    give(JOB_FRAME_MODULE, bytes_of(wrong + 50, 50));
    expect(JOB_WORKER_MODULE_DATA, &event);
    check_refused(JOB_REJECTED_HASH_MISMATCH);
    end();

    begin(); /* more than promised */
    give_offer(&question, false);
    assert_int_equal(job_worker_need_module(&worker, 0), 0);
    give(JOB_FRAME_MODULE, bytes_of(wrong, 60));
    expect(JOB_WORKER_MODULE_DATA, &event);
    give(JOB_FRAME_MODULE, bytes_of(wrong, 60));
    check_refused(JOB_REJECTED_MALFORMED);
    end();

    begin(); /* stdin that is not what the manifest says */
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    give(JOB_FRAME_STDIN, BYTES_LITERAL("0123456789"));
    expect(JOB_WORKER_STDIN_DATA, &event);
    check_refused(JOB_REJECTED_HASH_MISMATCH);
    end();

    begin(); /* stdin after its end */
    to_ready(&question);
    give(JOB_FRAME_STDIN, BYTES_LITERAL("x"));
    check_refused(JOB_REJECTED_MALFORMED);
    end();
    testing_question_done(&question);
}

static void ends_early(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    begin(); /* within stdin */
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    expect_none();
    job_worker_receive_fin(&worker);
    check_refused(JOB_REJECTED_MALFORMED);
    end();
    begin(); /* a client that believed the module to be here */
    give_offer(&question, false);
    job_worker_receive_fin(&worker);
    assert_int_equal(job_worker_need_module(&worker, 0), 0);
    check_refused(JOB_REJECTED_MODULE_MISSING);
    end();
    begin(); /* FIN after all input does no harm */
    to_ready(&question);
    job_worker_receive_fin(&worker);
    expect_none();
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    expect_none();
    assert_int_equal(worker.state, JOB_WORKER_STATE_ACCEPTED);
    end();
    begin(); /* FIN within a frame does */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    job_worker_receive(&worker, BYTES_LITERAL("\x05"), 0);
    expect_none();
    job_worker_receive_fin(&worker);
    struct job_worker_event event;
    expect(JOB_WORKER_CANCEL, &event);
    expect_none();
    end();
    testing_question_done(&question);
}

static void over_the_bounds(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    begin();
    worker.bounds.limits.stdin_bytes = 9;
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), PLASM_TOO_LARGE);
    check_refused(JOB_REJECTED_LIMIT);
    end();
    begin();
    worker.bounds.limits.module_bytes = 99;
    give_offer(&question, false);
    assert_int_equal(job_worker_need_module(&worker, 0), PLASM_TOO_LARGE);
    check_refused(JOB_REJECTED_LIMIT);
    end();
    testing_question_done(&question);
}

/* A worker without memory to say yes or no ends the offer. */
static void no_memory_to_decide(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    for (int how = 0; how < 3; how++) {
        struct memory_failing failing;
        struct job_worker_event event;
        const struct job_rejected no = {.code = JOB_REJECTED_BUSY};
        const struct job_frame frame = offer_of(&question, false);
        job_worker_bounds_default(&bounds);
        memory_failing_init(&failing, SIZE_MAX, true);
        job_worker_init(&worker, &bounds, &failing.memory, 0);
        job_worker_receive(&worker, framed(&frame), 0);
        expect(JOB_WORKER_OFFER, &event);
        failing.countdown = 0;
        int error = how == 0   ? job_worker_need_module(&worker, 0)
                    : how == 1 ? job_worker_resume(&worker, NULL, 0, true)
                               : job_worker_reject(&worker, &no);
        assert_int_equal(error, PLASM_NO_MEMORY);
        if (how < 2) {
            expect(JOB_WORKER_REFUSED, &event);
            assert_int_equal(event.refused.code, JOB_REJECTED_BUSY);
        }
        expect_none();
        assert_int_equal(job_worker_wants(&worker), JOB_WANTS_FIN | JOB_WANTS_STOP);
        job_worker_done(&worker);
        assert_int_equal(failing.memory.used, 0);
    }
    testing_question_done(&question);
}

/* --- Ending ------------------------------------------------------------------------------- */

static void cancelling(void **state) {
    (void)state;
    struct testing_question question;
    struct job_worker_event event;
    const struct job_frame cancel = {.type = JOB_FRAME_CANCEL};
    testing_question_init(&question, 100, 10);

    begin(); /* before it is accepted: no job comes of it */
    to_ready(&question);
    job_worker_receive(&worker, framed(&cancel), 0);
    check_refused(JOB_REJECTED_CANCELLED);
    end();

    begin(); /* while it runs; the receipt still goes out */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    job_worker_receive(&worker, framed(&cancel), 0);
    expect(JOB_WORKER_CANCEL, &event);
    expect_none();
    assert_true(job_worker_connected(&worker));
    job_worker_receive(&worker, framed(&cancel), 0); /* twice is once */
    expect_none();
    struct testing_answer answer;
    testing_answer_init(&answer, &question, JOB_STATUS_CANCELLED, bytes_of(NULL, 0),
                        bytes_of(NULL, 0), &memory);
    assert_int_equal(job_worker_finish(&worker, &answer.finished), 0);
    assert_true(job_worker_pending(&worker, 0) > 0);
    testing_answer_done(&answer);
    end();

    begin(); /* by reset */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    job_worker_receive_reset(&worker);
    expect(JOB_WORKER_CANCEL, &event);
    expect_none();
    assert_false(job_worker_connected(&worker));
    assert_int_equal(job_worker_pending(&worker, 0), 0);
    assert_int_equal(job_worker_wants(&worker), 0);
    size_t taken;
    assert_int_equal(job_worker_output(&worker, JOB_STDOUT, BYTES_LITERAL("abc"), &taken), 0);
    assert_int_equal(taken, 3);
    job_worker_receive_reset(&worker);
    expect_none();
    end();

    begin(); /* by reset before it was accepted */
    to_ready(&question);
    job_worker_receive_reset(&worker);
    expect(JOB_WORKER_REFUSED, &event);
    assert_int_equal(event.refused.code, JOB_REJECTED_CANCELLED);
    expect_none();
    end();

    begin(); /* by nonsense */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    job_worker_receive(&worker, BYTES_LITERAL("\x01\x00"), 0);
    expect(JOB_WORKER_CANCEL, &event);
    expect_none();
    assert_int_equal(job_worker_wants(&worker), JOB_WANTS_STOP);
    assert_true(job_worker_connected(&worker));
    end();
    testing_question_done(&question);
}

static void losing(void **state) {
    (void)state;
    struct testing_question question;
    struct job_worker_event event;
    testing_question_init(&question, 100, 10);
    begin();
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    job_worker_receive_lost(&worker);
    expect(JOB_WORKER_LOST, &event);
    expect_none();
    const struct job_progress news = {.state = JOB_STATE_RUNNING};
    assert_int_equal(job_worker_progress(&worker, &news), 0);
    end();
    begin();
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    job_worker_receive_lost(&worker);
    expect(JOB_WORKER_REFUSED, &event);
    assert_int_equal(event.refused.code, JOB_REJECTED_UNAVAILABLE);
    end();
    begin();
    job_worker_receive_lost(&worker);
    expect_none();
    end();
    testing_question_done(&question);
}

static void timeouts(void **state) {
    (void)state;
    struct testing_question question;
    struct job_worker_event event;
    testing_question_init(&question, 100, 100000);
    begin();
    assert_int_equal(job_worker_deadline(&worker), bounds.offer_timeout);
    job_worker_expire(&worker, bounds.offer_timeout - 1);
    expect_none();
    job_worker_expire(&worker, bounds.offer_timeout);
    check_refused(JOB_REJECTED_TIMEOUT);
    end();

    begin(); /* silence */
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 5), 0);
    expect_none();
    assert_int_equal(job_worker_deadline(&worker), 5 + bounds.input_timeout);
    job_worker_expire(&worker, 5 + bounds.input_timeout);
    check_refused(JOB_REJECTED_TIMEOUT);
    end();

    begin(); /* a trickle */
    give_offer(&question, true);
    assert_int_equal(job_worker_have_module(&worker, 0), 0);
    expect_none();
    nanos now = 0;
    for (size_t i = 0; i < 20 && worker.state == JOB_WORKER_STATE_INPUT; i++) {
        const struct job_frame frame = {.type = JOB_FRAME_STDIN,
                                        .chunk = bytes_slice(question.request.stdin_bytes, i, 1)};
        job_worker_receive(&worker, framed(&frame), now);
        while (job_worker_next_event(&worker, &event)) {
        }
        now += 10 * NANOS_SECOND;
        job_worker_expire(&worker, now);
    }
    assert_true(now <= bounds.input_timeout + 10 * NANOS_SECOND);
    check_refused(JOB_REJECTED_TIMEOUT);
    end();

    begin(); /* the daemon may take its time */
    struct testing_question small;
    testing_question_init(&small, 100, 10);
    to_ready(&small);
    assert_true(job_worker_deadline(&worker) == NANOS_NEVER);
    job_worker_expire(&worker, NANOS_HOUR);
    expect_none();
    end();
    testing_question_done(&small);
    testing_question_done(&question);
}

/* --- Writing ------------------------------------------------------------------------------ */

static void holding_back(void **state) {
    (void)state;
    struct testing_question question;
    struct testing_answer answer;
    struct buffer out;
    size_t taken;
    testing_question_init(&question, 100, 10);
    testing_answer_init(&answer, &question, JOB_STATUS_OK, BYTES_LITERAL("out"), bytes_of(NULL, 0),
                        &memory);
    struct memory outside;
    memory_init(&outside, SIZE_MAX);
    buffer_init(&out, &outside, SIZE_MAX);

    begin(); /* done within the hold: one write */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 1000), 0);
    assert_int_equal(job_worker_deadline(&worker), 1000);
    transmit(&out, 10);
    assert_int_equal(out.size, 0);
    assert_int_equal(job_worker_output(&worker, JOB_STDOUT, BYTES_LITERAL("out"), &taken), 0);
    transmit(&out, 20);
    assert_int_equal(out.size, 0);
    assert_int_equal(job_worker_finish(&worker, &answer.finished), 0);
    transmit(&out, 30);
    assert_true(out.size > answer.json.size);
    assert_int_equal(job_worker_wants(&worker), JOB_WANTS_FIN);
    buffer_clear(&out);
    job_worker_done(&worker);

    begin(); /* not done by then: the rest goes out as it comes */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 1000), 0);
    transmit(&out, 999);
    assert_int_equal(out.size, 0);
    transmit(&out, 1000);
    assert_int_equal(out.size, 3);
    assert_int_equal(job_worker_output(&worker, JOB_STDOUT, BYTES_LITERAL("out"), &taken), 0);
    transmit(&out, 1001);
    assert_true(out.size > 3);
    buffer_clear(&out);
    job_worker_done(&worker);

    begin(); /* much output is not held back */
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 1000), 0);
    uint8_t *much = testing_pattern(JOB_WORKER_HOLD_BYTES_MAX, 0);
    assert_int_equal(
        job_worker_output(&worker, JOB_STDOUT, bytes_of(much, JOB_WORKER_HOLD_BYTES_MAX), &taken),
        0);
    transmit(&out, 10);
    assert_true(out.size > JOB_WORKER_HOLD_BYTES_MAX);
    free(much);
    buffer_done(&out);
    testing_answer_done(&answer);
    end();
    testing_question_done(&question);
}

static void back_pressure(void **state) {
    (void)state;
    struct testing_question question;
    struct job_worker_event event;
    uint8_t room[1000];
    const struct job_progress news = {.state = JOB_STATE_RUNNING};
    testing_question_init(&question, 100, 10);
    begin();
    worker.bounds.output_buffered_bytes_max = 40000;
    to_ready(&question);
    assert_int_equal(job_worker_accept(&worker, &question.manifest.limits, 0, 0), 0);
    uint8_t *data = testing_pattern(200000, 0);
    size_t taken;
    assert_int_equal(job_worker_output(&worker, JOB_STDERR, bytes_of(data, 200000), &taken), 0);
    assert_true(taken > 0 && taken < 200000);
    assert_true(worker.out.size < 40000 + 33000);
    size_t more;
    assert_int_equal(job_worker_output(&worker, JOB_STDERR, bytes_of(data, 1000), &more), 0);
    assert_int_equal(more, 0);
    size_t before = worker.out.size;
    assert_int_equal(job_worker_progress(&worker, &news), 0); /* news is dropped */
    assert_int_equal(worker.out.size, before);
    while (worker.out.size > 20000) {
        expect_none();
        assert_int_equal(
            job_worker_transmit(&worker, (struct span){.data = room, .size = sizeof(room)}, 0),
            sizeof(room));
    }
    expect(JOB_WORKER_WRITABLE, &event);
    expect_none();
    assert_int_equal(job_worker_output(&worker, JOB_STDERR, bytes_of(data, 10), &more), 0);
    assert_int_equal(more, 10);
    free(data);
    end();
    testing_question_done(&question);
}

static void summary_only_on_request(void **state) {
    (void)state;
    struct testing_question question;
    struct testing_answer answer;
    testing_question_init(&question, 100, 10);
    testing_answer_init(&answer, &question, JOB_STATUS_OK, bytes_of(NULL, 0), bytes_of(NULL, 0),
                        &memory);
    size_t sizes[2];
    for (int wanted = 0; wanted < 2; wanted++) {
        begin();
        struct job_frame frame = offer_of(&question, true);
        struct job_worker_event event;
        frame.offer.want_summary = wanted == 1;
        frame.offer.stdin_size = 10;
        job_worker_receive(&worker, framed(&frame), 0);
        expect(JOB_WORKER_OFFER, &event);
        assert_int_equal(event.offer.want_summary, wanted);
        assert_int_equal(job_worker_resume(&worker, NULL, 0, false), 0);
        assert_int_equal(job_worker_finish(&worker, &answer.finished), 0);
        sizes[wanted] = job_worker_pending(&worker, 0);
        job_worker_done(&worker);
    }
    assert_int_equal(sizes[1] - sizes[0], 2 + ED25519_SIGNATURE_SIZE);
    testing_answer_done(&answer);
    testing_question_done(&question);
    assert_int_equal(memory.used, 0);
}

static void clamped(void **state) {
    (void)state;
    struct testing_question question;
    struct buffer out;
    struct job_frame frame;
    testing_question_init(&question, 100, 10);
    begin();
    to_ready(&question);
    struct job_limits effective = question.manifest.limits;
    effective.wall_ms = 7;
    assert_int_equal(job_worker_accept(&worker, &effective, 2, 0), 0);
    buffer_init(&out, &memory, SIZE_MAX);
    transmit(&out, 0);
    assert_int_equal(job_frame_decode(bytes_slice(buffer_bytes(&out), 1, SIZE_MAX), &frame), 0);
    assert_true(frame.accepted.clamped);
    assert_int_equal(frame.accepted.queue_position, 2);
    assert_memory_equal(&frame.accepted.limits, &effective, sizeof(effective));
    buffer_done(&out);
    end();
    testing_question_done(&question);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn),         cmocka_unit_test(empty_module_and_stdin),
        cmocka_unit_test(hostile_offers),  cmocka_unit_test(unsupported_profile),
        cmocka_unit_test(hostile_input),   cmocka_unit_test(ends_early),
        cmocka_unit_test(over_the_bounds), cmocka_unit_test(no_memory_to_decide),
        cmocka_unit_test(cancelling),      cmocka_unit_test(losing),
        cmocka_unit_test(timeouts),        cmocka_unit_test(holding_back),
        cmocka_unit_test(back_pressure),   cmocka_unit_test(summary_only_on_request),
        cmocka_unit_test(clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
