/* Client and worker over a stream in memory: every size of piece, large inputs, back-pressure,
 * cancels, resets, and every allocation failing in turn. The trace of both ends is the result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/job/testing.h"

/* One direction of a stream. */
struct pipe {
    struct buffer bytes;
    bool fin;
    bool fin_given;
    bool reset;
    bool stopped; /* the reader wants no more */
    size_t writes;
};

/* A daemon of a few lines: takes everything, writes `output`, finishes with `status`. */
struct daemon {
    bool holds_module;
    bool knows_job;
    bool keeps_output;
    bool rejects;
    bool waits; /* runs until it is cancelled */
    nanos hold;
    struct bytes output;
    enum job_status status;

    size_t output_sent;
    bool running;
    bool finished;
    uint64_t module_bytes;
    uint64_t stdin_bytes;
};

struct pair {
    struct memory *memory;
    struct testing_question *question;
    struct job_client client;
    struct job_worker worker;
    struct daemon daemon;
    struct pipe to_worker;
    struct pipe to_client;
    size_t piece;
    nanos now;
    char trace[4096];
    size_t trace_size;
    struct buffer shown;
    enum verdict verdict;
    bool over;
    bool no_memory;
    bool cancel_at_output;
    bool cancel_at_accept;
};

static struct memory heap;

static void note(struct pair *pair, const char *text) {
    size_t size = strlen(text);
    /* The same thing many times is noted once. */
    if (pair->trace_size >= size + 1 &&
        memcmp(pair->trace + pair->trace_size - size - 1, text, size) == 0) {
        return;
    }
    assert_true(pair->trace_size + size + 2 < sizeof(pair->trace));
    memcpy(pair->trace + pair->trace_size, text, size);
    pair->trace_size += size;
    pair->trace[pair->trace_size++] = ' ';
    pair->trace[pair->trace_size] = '\0';
}

static void check(struct pair *pair, int error) {
    if (error == PLASM_NO_MEMORY) {
        pair->no_memory = true;
    } else {
        assert_int_equal(error, 0);
    }
}

/* --- The daemon --------------------------------------------------------------------------- */

static void daemon_finish(struct pair *pair) {
    struct testing_answer answer;
    struct daemon *daemon = &pair->daemon;
    bool done = daemon->status == JOB_STATUS_OK;
    testing_answer_init(&answer, pair->question, daemon->status,
                        done || daemon->knows_job
                            ? daemon->output
                            : bytes_slice(daemon->output, 0, daemon->output_sent),
                        bytes_of(NULL, 0), &heap);
    check(pair, job_worker_finish(&pair->worker, &answer.finished));
    testing_answer_done(&answer);
    daemon->finished = true;
}

static void daemon_run(struct pair *pair) {
    struct daemon *daemon = &pair->daemon;
    struct bytes rest = bytes_slice(daemon->output, daemon->output_sent, SIZE_MAX);
    if (!daemon->running || daemon->finished || pair->no_memory) {
        return;
    }
    if (rest.size > 0 && !(daemon->knows_job && !daemon->keeps_output)) {
        size_t taken = 0;
        check(pair, job_worker_output(&pair->worker, JOB_STDOUT, rest, &taken));
        daemon->output_sent += taken;
        if (taken < rest.size) {
            return;
        }
    }
    if (!daemon->waits) {
        daemon_finish(pair);
    }
}

static void daemon_on_offer(struct pair *pair) {
    const struct job_rejected no = {.code = JOB_REJECTED_BUSY, .text = BYTES_LITERAL("full")};
    struct daemon *daemon = &pair->daemon;
    if (daemon->rejects) {
        check(pair, job_worker_reject(&pair->worker, &no));
    } else if (daemon->knows_job) {
        check(pair, job_worker_resume(&pair->worker, NULL, 0, daemon->keeps_output));
        daemon->running = true;
    } else if (daemon->holds_module) {
        check(pair, job_worker_have_module(&pair->worker, pair->now));
    } else {
        check(pair, job_worker_need_module(&pair->worker, pair->now));
    }
    if (pair->no_memory) { /* it can say no more */
        job_worker_receive_reset(&pair->worker);
        pair->to_client.reset = true;
    }
}

static void daemon_on_event(struct pair *pair, const struct job_worker_event *event) {
    struct daemon *daemon = &pair->daemon;
    switch (event->type) {
    case JOB_WORKER_OFFER:
        note(pair, event->offer.module_attached ? "w:offer+module" : "w:offer");
        daemon_on_offer(pair);
        break;
    case JOB_WORKER_MODULE_DATA:
        note(pair, "w:module");
        daemon->module_bytes += event->data.size;
        break;
    case JOB_WORKER_MODULE_COMPLETE:
        note(pair, "w:module_complete");
        break;
    case JOB_WORKER_STDIN_DATA:
        note(pair, "w:stdin");
        daemon->stdin_bytes += event->data.size;
        break;
    case JOB_WORKER_STDIN_COMPLETE:
        note(pair, "w:stdin_complete");
        break;
    case JOB_WORKER_READY:
        note(pair, "w:ready");
        check(pair, job_worker_accept(&pair->worker, &pair->question->manifest.limits, 0,
                                      daemon->hold > 0 ? pair->now + daemon->hold : 0));
        daemon->running = true;
        break;
    case JOB_WORKER_CANCEL:
        note(pair, "w:cancel");
        if (daemon->running && !daemon->finished) {
            daemon->status = JOB_STATUS_CANCELLED;
            daemon->waits = false;
            daemon_finish(pair);
        }
        break;
    case JOB_WORKER_LOST:
        note(pair, "w:lost");
        break;
    case JOB_WORKER_WRITABLE:
        note(pair, "w:writable");
        break;
    case JOB_WORKER_REFUSED:
        note(pair, "w:refused");
        note(pair, job_rejection_name(event->refused.code));
        break;
    }
}

/* --- The client --------------------------------------------------------------------------- */

static void client_on_event(struct pair *pair, const struct job_client_event *event) {
    switch (event->type) {
    case JOB_CLIENT_ACCEPTED:
        note(pair, event->accepted.resumed ? "c:resumed" : "c:accepted");
        if (pair->cancel_at_accept) {
            job_client_cancel(&pair->client);
        }
        break;
    case JOB_CLIENT_NEED_MODULE:
        note(pair, "c:need_module");
        break;
    case JOB_CLIENT_OUTPUT:
        note(pair, "c:output");
        assert_int_equal(buffer_append(&pair->shown, event->output.data), 0);
        if (pair->cancel_at_output) {
            job_client_cancel(&pair->client);
        }
        break;
    case JOB_CLIENT_PROGRESS:
        note(pair, "c:progress");
        break;
    case JOB_CLIENT_FINISHED:
        note(pair, "c:finished");
        note(pair, job_status_name(event->finished.receipt.status));
        pair->verdict = event->finished.verdict;
        pair->over = true;
        break;
    case JOB_CLIENT_REJECTED:
        note(pair, "c:rejected");
        note(pair, job_rejection_name(event->rejected.code));
        pair->over = true;
        break;
    case JOB_CLIENT_ESTIMATE:
        note(pair, "c:estimate");
        pair->over = true;
        break;
    case JOB_CLIENT_FAILED:
        note(pair, "c:failed");
        note(pair, plasm_error_name(event->failed.error));
        pair->over = true;
        break;
    }
}

/* --- The stream --------------------------------------------------------------------------- */

static void client_write(struct pair *pair) {
    size_t pending = job_client_pending(&pair->client);
    bool wrote = false;
    while (pending > 0 && pair->to_worker.bytes.size < (size_t)1 << 18) {
        struct span room;
        assert_int_equal(buffer_reserve(&pair->to_worker.bytes, pair->piece, &room), 0);
        size_t size = job_client_transmit(&pair->client, room);
        assert_int_equal(size, pending < pair->piece ? pending : pair->piece);
        buffer_commit(&pair->to_worker.bytes, size);
        pending = job_client_pending(&pair->client);
        wrote = true;
    }
    pair->to_worker.writes += wrote;
    unsigned wants = job_client_wants(&pair->client);
    pair->to_worker.fin = (wants & JOB_WANTS_FIN) != 0;
    pair->to_worker.reset = (wants & JOB_WANTS_RESET) != 0;
    pair->to_client.stopped |= (wants & JOB_WANTS_STOP) != 0;
}

static void worker_write(struct pair *pair) {
    bool wrote = false;
    while (job_worker_pending(&pair->worker, pair->now) > 0 &&
           pair->to_client.bytes.size < (size_t)1 << 18) {
        struct span room;
        assert_int_equal(buffer_reserve(&pair->to_client.bytes, pair->piece, &room), 0);
        size_t size = job_worker_transmit(&pair->worker, room, pair->now);
        assert_true(size > 0);
        buffer_commit(&pair->to_client.bytes, size);
        wrote = true;
    }
    pair->to_client.writes += wrote;
    unsigned wants = job_worker_wants(&pair->worker);
    pair->to_client.fin = (wants & JOB_WANTS_FIN) != 0;
    pair->to_worker.stopped |= (wants & JOB_WANTS_STOP) != 0;
}

static void worker_events(struct pair *pair) {
    struct job_worker_event event;
    while (job_worker_next_event(&pair->worker, &event)) {
        daemon_on_event(pair, &event);
    }
}

static void client_events(struct pair *pair) {
    struct job_client_event event;
    while (job_client_next_event(&pair->client, &event)) {
        client_on_event(pair, &event);
    }
}

/* Moves one piece each way; false when nothing moved. */
static bool step(struct pair *pair) {
    bool moved = false;
    client_write(pair);
    struct pipe *pipe = &pair->to_worker;
    if (pipe->reset && !pipe->fin_given) {
        pipe->fin_given = true;
        job_worker_receive_reset(&pair->worker);
        moved = true;
    } else if (pipe->bytes.size > 0) {
        struct bytes piece = bytes_slice(buffer_bytes(&pipe->bytes), 0, pair->piece);
        job_worker_receive(&pair->worker, piece, pair->now);
        worker_events(pair);
        buffer_consume(&pipe->bytes, piece.size);
        moved = true;
    } else if (pipe->fin && !pipe->fin_given) {
        pipe->fin_given = true;
        job_worker_receive_fin(&pair->worker);
        moved = true;
    }
    worker_events(pair);
    daemon_run(pair);
    worker_write(pair);
    worker_events(pair);
    pipe = &pair->to_client;
    if (pipe->bytes.size > 0) {
        struct bytes piece = bytes_slice(buffer_bytes(&pipe->bytes), 0, pair->piece);
        job_client_receive(&pair->client, piece);
        client_events(pair);
        buffer_consume(&pipe->bytes, piece.size);
        moved = true;
    } else if (pipe->reset && !pipe->fin_given) {
        pipe->fin_given = true;
        job_client_receive_reset(&pair->client, PLASM_RESET);
        moved = true;
    } else if (pipe->fin && !pipe->fin_given) {
        pipe->fin_given = true;
        job_client_receive_fin(&pair->client);
        moved = true;
    }
    client_events(pair);
    return moved;
}

static void pair_init(struct pair *pair, struct testing_question *question, struct memory *memory) {
    *pair = (struct pair){.memory = memory, .question = question, .piece = 1 << 16};
    struct job_worker_bounds bounds;
    job_worker_bounds_default(&bounds);
    job_worker_init(&pair->worker, &bounds, memory, 0);
    buffer_init(&pair->to_worker.bytes, &heap, SIZE_MAX);
    buffer_init(&pair->to_client.bytes, &heap, SIZE_MAX);
    buffer_init(&pair->shown, &heap, SIZE_MAX);
    pair->daemon.output = BYTES_LITERAL("dlroW ,olleH\n");
}

static void pair_run(struct pair *pair) {
    int error = job_client_init(&pair->client, &pair->question->request, pair->memory);
    check(pair, error);
    if (error != 0) {
        pair->over = true;
        return;
    }
    size_t steps = 0;
    while (step(pair) || (pair->daemon.hold > 0 && !pair->over)) {
        pair->now += 1000;
        assert_true(steps++ < 100000000);
        if (pair->no_memory && !pair->to_client.reset) {
            pair->to_client.reset = true; /* a daemon that cannot go on */
        }
    }
}

static void pair_done(struct pair *pair) {
    job_client_done(&pair->client);
    job_worker_done(&pair->worker);
    buffer_done(&pair->to_worker.bytes);
    buffer_done(&pair->to_client.bytes);
    buffer_done(&pair->shown);
}

static void expect_shown(const struct pair *pair) {
    assert_true(bytes_equal(buffer_bytes(&pair->shown), pair->daemon.output));
    assert_int_equal(pair->verdict, VERDICT_VERIFIED);
}

#define HELLO_TRACE                                                                                \
    "w:offer+module w:module w:module_complete w:stdin w:stdin_complete w:ready c:accepted "       \
    "c:output c:finished ok "

/* --- Stories ------------------------------------------------------------------------------ */

static void hello(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    for (size_t piece = 1; piece < 3000; piece += piece < 100 ? 1 : 97) {
        struct pair pair;
        pair_init(&pair, &question, &heap);
        pair.piece = piece;
        pair_run(&pair);
        assert_string_equal(pair.trace, HELLO_TRACE);
        expect_shown(&pair);
        assert_true(pair.to_worker.fin_given && pair.to_client.fin_given);
        pair_done(&pair);
    }
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

/* A warm small job is one write each way. */
static void one_write_each_way(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 889, 13);
    question.request.finish_early = true;
    for (int known = 0; known < 2; known++) {
        struct pair pair;
        question.request.module_known = known == 1;
        pair_init(&pair, &question, &heap);
        pair.daemon.holds_module = true;
        pair.daemon.hold = 1000000;
        pair_run(&pair);
        assert_int_equal(pair.to_worker.writes, 1);
        assert_int_equal(pair.to_client.writes, 1);
        expect_shown(&pair);
        pair_done(&pair);
    }
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

static void large(void **state) {
    (void)state;
    struct testing_question question;
    const size_t output_size = 3 << 20;
    testing_question_init(&question, 3000000, 2000000);
    uint8_t *output = testing_pattern(output_size, 5);
    static const size_t pieces[] = {1200, 65536, 200000};
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        struct pair pair;
        pair_init(&pair, &question, &heap);
        pair.piece = pieces[i];
        pair.daemon.output = bytes_of(output, output_size);
        pair_run(&pair);
        expect_shown(&pair);
        assert_int_equal(pair.daemon.module_bytes, 3000000);
        assert_int_equal(pair.daemon.stdin_bytes, 2000000);
        assert_non_null(strstr(pair.trace, "w:offer "));
        assert_non_null(strstr(pair.trace, "c:need_module "));
        assert_non_null(strstr(pair.trace, "w:module_complete "));
        assert_non_null(strstr(pair.trace, "w:writable "));
        pair_done(&pair);
    }
    free(output);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

static void large_known(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 3000000, 10);
    struct pair pair;
    pair_init(&pair, &question, &heap);
    pair.daemon.holds_module = true;
    pair_run(&pair);
    assert_string_equal(pair.trace, "w:offer w:stdin w:stdin_complete w:ready c:accepted c:output "
                                    "c:finished ok ");
    assert_int_equal(pair.to_worker.writes, 1);
    pair_done(&pair);

    question.request.module_known = true; /* wrongly, and FIN was sent: offer again */
    question.request.finish_early = true;
    pair_init(&pair, &question, &heap);
    pair_run(&pair);
    assert_string_equal(pair.trace,
                        "w:offer w:stdin w:stdin_complete w:refused module_missing c:rejected "
                        "module_missing ");
    pair_done(&pair);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

static void rejected(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 1000000);
    struct pair pair;
    pair_init(&pair, &question, &heap);
    pair.daemon.rejects = true;
    pair_run(&pair);
    assert_string_equal(pair.trace, "w:offer+module c:rejected busy ");
    assert_true(pair.to_worker.stopped); /* the rest of stdin is not wanted */
    pair_done(&pair);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

static void resumed(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100000, 1000000);
    for (int output = 0; output < 2; output++) {
        struct pair pair;
        pair_init(&pair, &question, &heap);
        pair.daemon.knows_job = true;
        pair.daemon.keeps_output = output == 1;
        pair_run(&pair);
        assert_string_equal(pair.trace, output == 1 ? "w:offer c:resumed c:output c:finished ok "
                                                    : "w:offer c:resumed c:finished ok ");
        assert_int_equal(pair.verdict, VERDICT_VERIFIED);
        pair_done(&pair);
    }
    question.request.only_fetch = true;
    question.request.module = bytes_of(NULL, 0);
    question.request.fetch_secret = BYTES_ARRAY(question.fetch_secret);
    struct pair pair;
    pair_init(&pair, &question, &heap);
    pair.daemon.knows_job = true;
    pair_run(&pair);
    assert_string_equal(pair.trace, "w:offer c:resumed c:finished ok ");
    pair_done(&pair);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

static void cancelled(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    struct pair pair;
    pair_init(&pair, &question, &heap); /* before any output */
    pair.daemon.waits = true;
    pair.daemon.output = bytes_of(NULL, 0);
    pair.cancel_at_accept = true;
    pair_run(&pair);
    assert_string_equal(pair.trace,
                        "w:offer+module w:module w:module_complete w:stdin w:stdin_complete "
                        "w:ready c:accepted w:cancel c:finished cancelled ");
    assert_int_equal(pair.verdict, VERDICT_VERIFIED);
    pair_done(&pair);

    pair_init(&pair, &question, &heap); /* after some */
    pair.daemon.waits = true;
    pair.cancel_at_output = true;
    pair_run(&pair);
    assert_non_null(strstr(pair.trace, "c:output w:cancel c:finished cancelled "));
    expect_shown(&pair);
    pair_done(&pair);

    question.request.finish_early = true; /* with no way left to say it but a reset */
    pair_init(&pair, &question, &heap);
    pair.daemon.waits = true;
    pair.cancel_at_output = true;
    pair_run(&pair);
    assert_non_null(strstr(pair.trace, "c:output c:failed cancelled "));
    pair_done(&pair);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

static void reset_while_it_runs(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 100, 10);
    struct pair pair;
    pair_init(&pair, &question, &heap);
    pair.daemon.waits = true;
    pair_run(&pair);
    assert_int_equal(pair.worker.state, JOB_WORKER_STATE_ACCEPTED);
    pair.to_worker.reset = true;
    pair.to_worker.fin_given = false;
    job_client_receive_reset(&pair.client, PLASM_CLOSED);
    while (step(&pair)) {
    }
    assert_non_null(strstr(pair.trace, "c:failed closed "));
    assert_non_null(strstr(pair.trace, "w:cancel "));
    assert_true(pair.daemon.finished);
    pair_done(&pair);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

/* Whatever allocation fails, both ends end and nothing is left behind. */
static void allocations(void **state) {
    (void)state;
    struct testing_question question;
    testing_question_init(&question, 30000, 5000);
    uint8_t *output = testing_pattern(100000, 5);
    for (int sticky = 0; sticky < 2; sticky++) {
        bool failed = true;
        size_t n = 0;
        for (; failed; n++) {
            struct memory_failing failing;
            struct pair pair;
            memory_failing_init(&failing, n, sticky == 1);
            pair_init(&pair, &question, &failing.memory);
            pair.piece = 777;
            pair.daemon.output = bytes_of(output, 100000);
            pair_run(&pair);
            failed = failing.failed;
            assert_true(pair.over);
            if (!failed) {
                expect_shown(&pair);
            }
            pair_done(&pair);
            assert_int_equal(failing.memory.used, 0);
        }
        assert_true(n > 10);
    }
    free(output);
    testing_question_done(&question);
    assert_int_equal(heap.used, 0);
}

int main(void) {
    memory_init(&heap, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),       cmocka_unit_test(one_write_each_way),
        cmocka_unit_test(large),       cmocka_unit_test(large_known),
        cmocka_unit_test(rejected),    cmocka_unit_test(resumed),
        cmocka_unit_test(cancelled),   cmocka_unit_test(reset_while_it_runs),
        cmocka_unit_test(allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
