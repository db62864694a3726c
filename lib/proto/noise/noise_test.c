/* Noise between two ends: muxers, splits, who is expected, bad bytes, memory. */
#include "proto/noise/noise.h"

#include "proto/noise/internal.h"
#include "proto/noise/pair_testing.h"

static const char *const yamux[] = {"/yamux/1.0.0"};
static const char *const mplex_yamux[] = {"/mplex/6.7.0", "/yamux/1.0.0"};
static const char *const yamux_mplex[] = {"/yamux/1.0.0", "/mplex/6.7.0"};

static struct pair_end a;
static struct pair_end b;
static struct memory memory;
static struct random generator;

static struct noise_config config_of(struct pair_end *end, bool initiator) {
    return (struct noise_config){.initiator = initiator,
                                 .identity = &end->identity,
                                 .muxers = yamux,
                                 .muxer_count = 1,
                                 .memory = &memory,
                                 .random = &generator};
}

static void begin(void) {
    static const uint8_t seed[32] = {42};
    pair_end_identity(&a, 1);
    pair_end_identity(&b, 2);
    memory_init(&memory, SIZE_MAX);
    random_init(&generator, seed);
}

static void end(void) {
    noise_free(a.noise);
    noise_free(b.noise);
    assert_int_equal(memory.used, 0);
}

static void connect_pair(struct noise_config from, struct noise_config to, size_t step) {
    assert_int_equal(noise_new(&from, &a.noise), 0);
    assert_int_equal(noise_new(&to, &b.noise), 0);
    pair_shake(&a, &b, step);
}

static void connect_default(void) {
    begin();
    connect_pair(config_of(&a, true), config_of(&b, false), SIZE_MAX / 2);
    assert_true(a.ready && b.ready);
}

/* What `from` seals of the pieces, all of it. */
static struct bytes sealed(struct pair_end *from, const struct bytes *pieces, size_t count) {
    static uint8_t room[PAIR_ROOM_SIZE];
    size_t taken;
    size_t size = noise_seal(from->noise, pieces, count, test_span(room, sizeof(room)), &taken);
    return bytes_of(room, size);
}

static void shakes_at_every_step(void **state) {
    (void)state;
    for (size_t step = 1; step < 400; step++) {
        begin();
        connect_pair(config_of(&a, true), config_of(&b, false), step);
        assert_true(a.ready && b.ready);
        assert_true(peer_id_equal(&a.remote, &b.peer_id));
        assert_true(peer_id_equal(&b.remote, &a.peer_id));
        assert_string_equal(a.muxer, yamux[0]);
        assert_string_equal(b.muxer, yamux[0]);
        struct bytes pieces[] = {BYTES_LITERAL("over "), bytes_of(NULL, 0), BYTES_LITERAL("here")};
        pair_hand_over(&b, sealed(&a, pieces, 3), step);
        assert_bytes_equal(bytes_of(b.data, b.data_size), BYTES_LITERAL("over here"));
        pair_hand_over(&a, sealed(&b, pieces, 1), step);
        assert_bytes_equal(bytes_of(a.data, a.data_size), BYTES_LITERAL("over "));
        end();
    }
}

static void carries_much_in_pieces(void **state) {
    (void)state;
    static uint8_t plain[200000];
    uint64_t seed = 5;
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)test_random(&seed);
    }
    connect_default();
    for (size_t step = 997; step < sizeof(plain) * 2; step *= 3) {
        struct bytes pieces[] = {bytes_of(plain, 12), bytes_of(plain + 12, 65536),
                                 bytes_of(plain + 65548, 12),
                                 bytes_of(plain + 65560, sizeof(plain) - 65560)};
        size_t taken;
        uint8_t small[100];
        assert_int_equal(noise_seal(a.noise, pieces, 4, test_span(small, 18), &taken), 0);
        assert_int_equal(taken, 0);
        b.data_size = 0;
        pair_hand_over(&b, sealed(&a, pieces, 4), step);
        assert_bytes_equal(bytes_of(b.data, b.data_size), BYTES_ARRAY(plain));
        assert_int_equal(noise_seal(a.noise, pieces, 4, test_span(small, 100), &taken), 100);
        assert_int_equal(taken, 82);
        pair_hand_over(&b, BYTES_ARRAY(small), step);
        assert_bytes_equal(bytes_of(b.data + sizeof(plain), 82), bytes_of(plain, 82));
    }
    assert_true(memory.used < 2048); /* nothing is kept for a pipe that is quiet */
    end();
}

static void agrees_on_muxers(void **state) {
    (void)state;
    const struct {
        const char *const *ours;
        size_t our_count;
        const char *const *theirs;
        size_t their_count;
        const char *muxer;
    } cases[] = {
        {yamux, 1, mplex_yamux, 2, "/yamux/1.0.0"},
        {mplex_yamux, 2, yamux_mplex, 2, "/mplex/6.7.0"},
        {yamux_mplex, 2, mplex_yamux, 2, "/yamux/1.0.0"},
        {yamux, 1, NULL, 0, NULL},
        {NULL, 0, yamux, 1, NULL},
        {mplex_yamux, 1, yamux, 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin();
        struct noise_config from = config_of(&a, true);
        struct noise_config to = config_of(&b, false);
        from.muxers = cases[i].ours;
        from.muxer_count = cases[i].our_count;
        to.muxers = cases[i].theirs;
        to.muxer_count = cases[i].their_count;
        connect_pair(from, to, 1000);
        assert_true(a.ready && b.ready);
        if (cases[i].muxer == NULL) {
            assert_null(a.muxer);
            assert_null(b.muxer);
        } else {
            assert_string_equal(a.muxer, cases[i].muxer);
            assert_string_equal(b.muxer, cases[i].muxer);
        }
        end();
    }
}

static void insists_on_the_expected_peer(void **state) {
    (void)state;
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        begin();
        struct noise_config from = config_of(&a, true);
        struct noise_config to = config_of(&b, false);
        from.expected = wrong == 0 ? &a.peer_id : &b.peer_id;
        to.expected = wrong == 1 ? &b.peer_id : &a.peer_id;
        connect_pair(from, to, 1000);
        struct pair_end *judge = wrong == 0 ? &a : &b;
        assert_false(judge->ready);
        assert_int_equal(judge->error, PLASM_UNTRUSTED);
        assert_non_null(strstr(judge->text, "expected"));
        end();
    }
}

static void refuses_a_bad_signature(void **state) {
    (void)state;
    for (unsigned who = 0; who < 2; who++) {
        begin();
        struct pair_end *liar = who == 0 ? &a : &b;
        struct pair_end *judge = who == 0 ? &b : &a;
        liar->identity.payload[liar->identity.payload_size - 1] ^= 1;
        connect_pair(config_of(&a, true), config_of(&b, false), 1000);
        assert_false(judge->ready);
        assert_int_equal(judge->error, PLASM_UNTRUSTED);
        end();
    }
}

/* Each byte of each handshake message in turn. */
static void refuses_changed_handshakes(void **state) {
    (void)state;
    for (unsigned message = 0; message < 3; message++) {
        for (size_t at = 2;; at++) {
            begin();
            struct noise_config from = config_of(&a, true);
            struct noise_config to = config_of(&b, false);
            assert_int_equal(noise_new(&from, &a.noise), 0);
            assert_int_equal(noise_new(&to, &b.noise), 0);
            uint8_t room[2048];
            size_t size = 0;
            for (unsigned i = 0; i <= message; i++) {
                struct pair_end *sender = i % 2 == 0 ? &a : &b;
                size = noise_transmit(sender->noise, test_span(room, sizeof(room)));
                if (i == message && at < size) {
                    room[at] ^= 0x40;
                }
                pair_hand_over(i % 2 == 0 ? &b : &a, bytes_of(room, size), 4096);
            }
            pair_shake(&a, &b, 4096);
            if (at < size) {
                assert_true(a.error != 0 || b.error != 0);
                assert_false(b.ready);
            }
            end();
            if (at >= size) {
                break;
            }
        }
    }
}

static void refuses_changed_replayed_and_cut_data(void **state) {
    (void)state;
    struct bytes hello = BYTES_LITERAL("hello");
    for (size_t at = 0; at < 5 + NOISE_OVERHEAD; at++) {
        connect_default();
        struct bytes wire = sealed(&a, &hello, 1);
        uint8_t copy[5 + NOISE_OVERHEAD];
        assert_int_equal(wire.size, sizeof(copy));
        memcpy(copy, wire.data, sizeof(copy));
        copy[at] ^= 1;
        pair_hand_over(&b, BYTES_ARRAY(copy), 3);
        pair_hand_over(&b, BYTES_ARRAY(copy), 3);
        if (at != 0) { /* a longer message just is not there yet */
            assert_true(b.error == PLASM_UNTRUSTED || b.error == PLASM_MALFORMED);
        }
        assert_int_equal(b.data_size, 0);
        end();
    }
    connect_default();
    struct bytes wire = sealed(&a, &hello, 1);
    pair_hand_over(&b, wire, 100);
    pair_hand_over(&b, wire, 100);
    assert_int_equal(b.data_size, 5);
    assert_int_equal(b.error, PLASM_UNTRUSTED);
    end();
    connect_default();
    static const uint8_t short_message[] = {0, 15};
    pair_hand_over(&b, BYTES_ARRAY(short_message), 100);
    assert_int_equal(b.error, PLASM_MALFORMED);
    size_t taken;
    uint8_t room[100];
    assert_int_equal(noise_seal(b.noise, &hello, 1, test_span(room, sizeof(room)), &taken), 0);
    end();
    begin(); /* a handshake message of impossible size */
    struct noise_config to = config_of(&b, false);
    assert_int_equal(noise_new(&to, &b.noise), 0);
    static const uint8_t long_message[] = {0x10, 0x01};
    pair_hand_over(&b, BYTES_ARRAY(long_message), 1);
    assert_int_equal(b.error, PLASM_MALFORMED);
    end();
}

static void ends_where_nonces_end(void **state) {
    (void)state;
    struct bytes hello = BYTES_LITERAL("hello");
    connect_default();
    a.noise->sending.nonce = UINT64_MAX - 1;
    b.noise->receiving.nonce = UINT64_MAX - 1;
    struct bytes last = sealed(&a, &hello, 1);
    pair_hand_over(&b, last, 100);
    assert_int_equal(b.data_size, 5);
    pair_hand_over(&b, last, 100);
    assert_int_equal(b.error, PLASM_LIMIT);
    assert_int_equal(sealed(&a, &hello, 1).size, 0);
    pair_end_drain(&a);
    assert_int_equal(a.error, PLASM_LIMIT);
    end();
}

static void survives_failing_memory(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        begin();
        struct memory_failing failing;
        memory_failing_init(&failing, n, false);
        struct noise_config from = config_of(&a, true);
        struct noise_config to = config_of(&b, false);
        from.memory = to.memory = &failing.memory;
        if (noise_new(&from, &a.noise) == 0 && noise_new(&to, &b.noise) == 0) {
            pair_shake(&a, &b, 7);
            struct bytes hello = BYTES_LITERAL("hello");
            if (a.ready && b.ready) {
                pair_hand_over(&b, sealed(&a, &hello, 1), 7);
                assert_true(b.error == PLASM_NO_MEMORY || b.data_size == 5);
            } else {
                assert_true(a.error == PLASM_NO_MEMORY || b.error == PLASM_NO_MEMORY);
            }
        }
        failed = failing.failed;
        noise_free(a.noise);
        noise_free(b.noise);
        assert_int_equal(failing.memory.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shakes_at_every_step),
        cmocka_unit_test(carries_much_in_pieces),
        cmocka_unit_test(agrees_on_muxers),
        cmocka_unit_test(insists_on_the_expected_peer),
        cmocka_unit_test(refuses_a_bad_signature),
        cmocka_unit_test(refuses_changed_handshakes),
        cmocka_unit_test(refuses_changed_replayed_and_cut_data),
        cmocka_unit_test(ends_where_nonces_end),
        cmocka_unit_test(survives_failing_memory),
    };
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
