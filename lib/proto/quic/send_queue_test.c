/* The send queue against a model: any order of pushing, sending and acknowledging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "proto/quic/send_queue.h"

/* The queue's bytes are counted up, so that place and value agree. */
struct model {
    struct send_queue queue;
    uint64_t pushed;
    uint64_t sent;
    uint64_t acked;
};

static void check(const struct model *model) {
    assert_int_equal(model->queue.unsent, model->pushed - model->sent);
    assert_int_equal(model->queue.unacked, model->pushed - model->acked);
    uint64_t at = model->sent;
    for (size_t i = 0;; i++) {
        struct bytes piece = send_queue_unsent(&model->queue, i);
        if (piece.size == 0) {
            break;
        }
        for (size_t k = 0; k < piece.size; k++) {
            assert_int_equal(piece.data[k], (uint8_t)at);
            at++;
        }
    }
    assert_int_equal(at, model->pushed);
}

static bool push(struct model *model, struct memory *memory, size_t size) {
    struct block *block = block_new(memory, size + 3);
    if (block == NULL) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        block->data[2 + i] = (uint8_t)(model->pushed + i);
    }
    int error = send_queue_push(&model->queue, block, 2, size);
    block_unref(block);
    model->pushed += error == 0 ? size : 0;
    return error == 0;
}

static void any_order(void **state) {
    (void)state;
    for (uint8_t seed = 0; seed < 50; seed++) {
        struct memory memory;
        struct random random;
        struct model model = {0};
        uint8_t bytes[32] = {seed};
        memory_init(&memory, SIZE_MAX);
        random_init(&random, bytes);
        send_queue_init(&model.queue, &memory);
        for (int step = 0; step < 300; step++) {
            switch (random_below(&random, 3)) {
            case 0:
                assert_true(push(&model, &memory, 1 + random_below(&random, 50)));
                break;
            case 1: {
                size_t size = random_below(&random, model.queue.unsent + 1);
                send_queue_sent(&model.queue, size);
                model.sent += size;
                break;
            }
            default: {
                size_t size = random_below(&random, model.sent - model.acked + 1);
                send_queue_acked(&model.queue, size);
                model.acked += size;
                break;
            }
            }
            check(&model);
        }
        if (seed % 2 == 0) { /* reset: what was sent may still be acknowledged */
            send_queue_drop_unsent(&model.queue);
            model.pushed = model.sent;
            check(&model);
            send_queue_acked(&model.queue, model.sent - model.acked);
            assert_int_equal(model.queue.unacked, 0);
        }
        send_queue_done(&model.queue);
        assert_int_equal(memory.used, 0);
    }
}

static void bounds(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct model model = {0};
    send_queue_init(&model.queue, &memory);
    for (size_t i = 0; i < SEND_QUEUE_SEGMENTS_MAX; i++) {
        assert_true(push(&model, &memory, 1));
    }
    struct block *block = block_new(&memory, 1);
    assert_non_null(block);
    assert_int_equal(send_queue_push(&model.queue, block, 0, 1), PLASM_LIMIT);
    assert_int_equal(block->references, 1);
    block_unref(block);
    check(&model);
    send_queue_done(&model.queue);
    assert_int_equal(memory.used, 0);
}

static void failing_memory(void **state) {
    (void)state;
    for (size_t n = 0;; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, true);
        struct model model = {0};
        send_queue_init(&model.queue, &failing.memory);
        for (int i = 0; i < 40 && push(&model, &failing.memory, 10); i++) {
            check(&model);
        }
        send_queue_done(&model.queue);
        assert_int_equal(failing.memory.used, 0);
        if (!failing.failed) {
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(bounds),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
