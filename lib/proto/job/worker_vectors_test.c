/* The worker's end tells the vectors' conversations, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/job/testing.h"

static struct memory memory;
static struct job_worker worker;

/* What the worker has to say, appended to `out`. */
static void transmit(struct buffer *out) {
    struct span room;
    size_t pending = job_worker_pending(&worker, 0);
    assert_int_equal(buffer_reserve(out, pending + 1, &room), 0);
    size_t size = job_worker_transmit(&worker, room, 0);
    assert_int_equal(size, pending);
    buffer_commit(out, size);
}

/* The least daemon that tells the story a vector tells. */
static void react(const struct job_worker_event *event, struct bytes answer) {
    struct job_frame frame;
    struct job_reader reader;
    struct bytes payload;
    struct memory heap;
    size_t taken;
    memory_init(&heap, SIZE_MAX);
    if (event->type == JOB_WORKER_OFFER && !event->offer.only_fetch) {
        assert_int_equal(job_worker_need_module(&worker, 0), 0);
        return;
    }
    if (event->type != JOB_WORKER_READY && event->type != JOB_WORKER_OFFER &&
        event->type != JOB_WORKER_CANCEL) {
        return;
    }
    job_reader_init(&reader, &heap);
    job_reader_give(&reader, answer);
    while (job_reader_next(&reader, &payload) == 0) {
        assert_int_equal(job_frame_decode(payload, &frame), 0);
        if (frame.type == JOB_FRAME_ACCEPTED && frame.accepted.resumed) {
            assert_int_equal(job_worker_resume(&worker, NULL, 0, !frame.accepted.without_output),
                             0);
        } else if (frame.type == JOB_FRAME_ACCEPTED) {
            assert_int_equal(job_worker_accept(&worker, &worker.manifest.limits,
                                               frame.accepted.queue_position, 0),
                             0);
        } else if (frame.type == JOB_FRAME_ESTIMATE) {
            frame.estimate.limits = worker.manifest.limits;
            assert_int_equal(job_worker_estimate(&worker, &frame.estimate), 0);
        } else if (frame.type == JOB_FRAME_REJECTED) {
            assert_int_equal(job_worker_reject(&worker, &frame.rejected), 0);
        } else if (frame.type == JOB_FRAME_OUTPUT) {
            assert_int_equal(
                job_worker_output(&worker, frame.output.stream, frame.output.data, &taken), 0);
            assert_int_equal(taken, frame.output.data.size);
        } else if (frame.type == JOB_FRAME_PROGRESS) {
            assert_int_equal(job_worker_progress(&worker, &frame.progress), 0);
        } else if (frame.type == JOB_FRAME_FINISHED) {
            assert_int_equal(job_worker_finish(&worker, &frame.finished), 0);
        }
    }
    job_reader_done(&reader);
}

/* Gives the client's bytes in pieces and compares what the worker says with the vector. */
static void tell(const json_t *conversation, size_t piece) {
    json_t *steps;
    struct buffer said;
    struct job_worker_bounds bounds;
    job_worker_bounds_default(&bounds);
    job_worker_init(&worker, &bounds, &memory, 0);
    buffer_init(&said, &memory, SIZE_MAX);
    assert_int_equal(json_get_list(conversation, "steps", &steps), 0);
    for (size_t i = 0; i + 1 < json_array_size(steps); i += 2) {
        struct bytes client = testing_hex(json_array_get(steps, i), "hex");
        struct bytes answer = testing_hex(json_array_get(steps, i + 1), "hex");
        for (size_t offset = 0; offset < client.size; offset += piece) {
            struct job_worker_event event;
            job_worker_receive(&worker, bytes_slice(client, offset, piece), 0);
            while (job_worker_next_event(&worker, &event)) {
                react(&event, answer);
            }
            transmit(&said);
        }
        if (!bytes_equal(buffer_bytes(&said), answer)) {
            fail_msg("%s: step %zu, pieces of %zu",
                     json_string_value(json_object_get(conversation, "name")), i, piece);
        }
        buffer_clear(&said);
        testing_free(client);
        testing_free(answer);
    }
    assert_int_equal(worker.state, JOB_WORKER_STATE_OVER);
    job_worker_receive_fin(&worker);
    struct job_worker_event event;
    assert_false(job_worker_next_event(&worker, &event));
    assert_true((job_worker_wants(&worker) & JOB_WANTS_FIN) != 0);
    buffer_done(&said);
    job_worker_done(&worker);
    assert_int_equal(memory.used, 0);
}

static void vectors(void **state) {
    (void)state;
    json_t *all = TESTING_VECTORS("conversations.json");
    json_t *list;
    assert_int_equal(json_get_list(all, "conversations", &list), 0);
    assert_int_equal(json_array_size(list), 7);
    for (size_t i = 0; i < json_array_size(list); i++) {
        static const size_t pieces[] = {SIZE_MAX / 2, 1, 2, 3, 5, 17, 100, 1000, 65536};
        for (size_t j = 0; j < ARRAY_SIZE(pieces); j++) {
            tell(json_array_get(list, i), pieces[j]);
        }
    }
    json_decref(all);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
