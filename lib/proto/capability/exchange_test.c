/* The capability stream at both ends: pull, push, both, in pieces, and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/capability/exchange.h"
#include "proto/capability/vectors_testing.h"

static struct memory memory;

/* What `from` has to say goes to `to` in pieces, then the end. */
static void carry(struct capability_exchange *from, struct capability_exchange *to, size_t piece) {
    uint8_t room[64];
    size_t size;
    do {
        size = capability_exchange_transmit(from, (struct span){.data = room, .size = piece});
        capability_exchange_receive(to, bytes_of(room, size));
    } while (size > 0);
    capability_exchange_receive_fin(to);
}

static void expect(struct capability_exchange *exchange, struct bytes record) {
    struct capability_exchange_event event;
    assert_true(capability_exchange_next_event(exchange, &event));
    assert_int_equal(event.type,
                     record.size > 0 ? CAPABILITY_EXCHANGE_RECORD : CAPABILITY_EXCHANGE_NONE);
    assert_true(bytes_equal(event.envelope, record));
    assert_false(capability_exchange_next_event(exchange, &event));
    assert_true(capability_exchange_deadline(exchange) == NANOS_NEVER);
}

static void both_ways(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    struct bytes record = capability_vectors_hex(all, "envelope");
    struct bytes nothing = {0};
    for (size_t piece = 1; piece <= 64; piece++) {
        for (int who = 0; who < 4; who++) {
            struct bytes of_a = (who & 1) != 0 ? record : nothing;
            struct bytes of_b = (who & 2) != 0 ? record : nothing;
            struct capability_exchange a;
            struct capability_exchange b;
            capability_exchange_init(&a, of_a, &memory, 0);
            capability_exchange_init(&b, of_b, &memory, 0);
            carry(&a, &b, piece);
            carry(&b, &a, piece);
            expect(&b, of_a);
            expect(&a, of_b);
            capability_exchange_done(&a);
            capability_exchange_done(&b);
        }
    }
    free((void *)(uintptr_t)record.data);
    json_decref(all);
    assert_int_equal(memory.used, 0);
}

static void vector(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    struct bytes record = capability_vectors_hex(all, "envelope");
    struct bytes stream = capability_vectors_hex(all, "stream");
    struct capability_exchange exchange;
    uint8_t room[CAPABILITY_ENVELOPE_SIZE_MAX + 16];
    capability_exchange_init(&exchange, record, &memory, 0);
    size_t size =
        capability_exchange_transmit(&exchange, (struct span){.data = room, .size = sizeof(room)});
    assert_true(bytes_equal(bytes_of(room, size), stream));
    /* The record is complete before the end of the stream is seen. */
    capability_exchange_receive(&exchange, stream);
    expect(&exchange, record);
    capability_exchange_done(&exchange);
    free((void *)(uintptr_t)record.data);
    free((void *)(uintptr_t)stream.data);
    json_decref(all);
}

static void fails(struct bytes input, bool fin, int error) {
    struct capability_exchange exchange;
    struct capability_exchange_event event;
    capability_exchange_init(&exchange, bytes_of(NULL, 0), &memory, 0);
    capability_exchange_receive(&exchange, input);
    if (fin) {
        capability_exchange_receive_fin(&exchange);
    }
    assert_true(capability_exchange_next_event(&exchange, &event));
    assert_int_equal(event.type, CAPABILITY_EXCHANGE_FAILED);
    assert_int_equal(event.error, error);
    assert_false(capability_exchange_next_event(&exchange, &event));
    capability_exchange_done(&exchange);
}

static void hostile(void **state) {
    (void)state;
    static const uint8_t endless[2 * CAPABILITY_ENVELOPE_SIZE_MAX] = {0x80, 0x24};
    fails(BYTES_LITERAL("\x05"
                        "abc"),
          true, PLASM_MALFORMED); /* cut short */
    fails(BYTES_LITERAL("\x80"), true, PLASM_MALFORMED);
    fails(BYTES_LITERAL("\x03"
                        "abcd"),
          false, PLASM_MALFORMED); /* more than one record */
    fails(BYTES_LITERAL("\xff\xff\x7f"), false, PLASM_TOO_LARGE);
    fails(BYTES_LITERAL("\x80\x00"), false, PLASM_MALFORMED); /* not minimal */
    fails(BYTES_ARRAY(endless), false, PLASM_TOO_LARGE);
    assert_int_equal(memory.used, 0);
}

static void timeouts(void **state) {
    (void)state;
    struct capability_exchange exchange;
    struct capability_exchange_event event;
    capability_exchange_init(&exchange, bytes_of(NULL, 0), &memory, 5);
    nanos deadline = capability_exchange_deadline(&exchange);
    assert_int_equal(deadline, 5 + CAPABILITY_EXCHANGE_TIMEOUT);
    capability_exchange_expire(&exchange, deadline - 1);
    assert_false(capability_exchange_next_event(&exchange, &event));
    capability_exchange_expire(&exchange, deadline);
    assert_true(capability_exchange_next_event(&exchange, &event));
    assert_int_equal(event.error, PLASM_TIMEOUT);
    capability_exchange_done(&exchange);
}

static void no_memory(void **state) {
    (void)state;
    struct memory_failing failing;
    struct capability_exchange exchange;
    struct capability_exchange_event event;
    memory_failing_init(&failing, 0, true);
    capability_exchange_init(&exchange, bytes_of(NULL, 0), &failing.memory, 0);
    capability_exchange_receive(&exchange, BYTES_LITERAL("\x03"
                                                         "abc"));
    assert_true(capability_exchange_next_event(&exchange, &event));
    assert_int_equal(event.error, PLASM_NO_MEMORY);
    capability_exchange_done(&exchange);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways), cmocka_unit_test(vector),    cmocka_unit_test(hostile),
        cmocka_unit_test(timeouts),  cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
