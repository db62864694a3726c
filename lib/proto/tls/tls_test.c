/* TLS between two ends: muxers, splits, who is expected, bad certificates and bytes, goodbyes. */
#include "proto/tls/tls.h"

#include "identity/certificate_testing.h"
#include "proto/tls/internal.h"
#include "proto/tls/pair_testing.h"

static const char *const yamux[] = {"/yamux/1.0.0"};
static const char *const mplex_yamux[] = {"/mplex/6.7.0", "/yamux/1.0.0"};

static struct pair_end a;
static struct pair_end b;
static struct memory memory;
static struct memory identities;

static struct tls_config config_of(struct pair_end *end, bool initiator) {
    return (struct tls_config){.initiator = initiator,
                               .identity = end->identity,
                               .muxers = yamux,
                               .muxer_count = 1,
                               .unix_seconds = PAIR_NOW,
                               .memory = &memory};
}

static void connect_pair(struct tls_config from, struct tls_config to, size_t step) {
    pair_end_clear(&a);
    pair_end_clear(&b);
    assert_int_equal(tls_new(&from, &a.tls), 0);
    assert_int_equal(tls_new(&to, &b.tls), 0);
    pair_shake(&a, &b, step);
}

static void end(void) {
    tls_free(a.tls);
    tls_free(b.tls);
    assert_int_equal(memory.used, 0);
}

static struct bytes sealed(struct pair_end *from, const struct bytes *pieces, size_t count) {
    static uint8_t room[PAIR_ROOM_SIZE];
    size_t taken;
    size_t size = tls_seal(from->tls, pieces, count, test_span(room, sizeof(room)), &taken);
    return bytes_of(room, size);
}

static void shakes_at_every_step(void **state) {
    (void)state;
    for (size_t step = 1; step < 1500; step += step < 40 ? 1 : 97) {
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
        tls_close(a.tls);
        pair_shake(&a, &b, step);
        assert_true(b.ended && !a.ended);
        assert_int_equal(sealed(&a, pieces, 1).size, 0);
        pair_hand_over(&a, sealed(&b, pieces, 3), step); /* the other direction goes on */
        assert_bytes_equal(bytes_of(a.data, a.data_size), BYTES_LITERAL("over over here"));
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
    connect_pair(config_of(&a, true), config_of(&b, false), 1000);
    for (size_t step = 997; step < sizeof(plain) * 2; step *= 3) {
        struct bytes pieces[] = {bytes_of(plain, 12), bytes_of(plain + 12, 65536),
                                 bytes_of(plain + 65548, 12),
                                 bytes_of(plain + 65560, sizeof(plain) - 65560)};
        size_t taken;
        uint8_t small[86];
        assert_int_equal(tls_seal(a.tls, pieces, 4, test_span(small, sizeof(small)), &taken), 0);
        assert_int_equal(taken, 0);
        b.data_size = 0;
        pair_hand_over(&b, sealed(&a, pieces, 4), step);
        assert_bytes_equal(bytes_of(b.data, b.data_size), BYTES_ARRAY(plain));
    }
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
        {yamux, 1, NULL, 0, NULL},
        {NULL, 0, yamux, 1, NULL},
        {mplex_yamux, 1, yamux, 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tls_config from = config_of(&a, true);
        struct tls_config to = config_of(&b, false);
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
    struct tls_config from = config_of(&a, true);
    struct tls_config to = config_of(&b, false);
    from.expected = &a.peer_id;
    connect_pair(from, to, 1000);
    assert_false(a.ready || b.ready);
    assert_int_equal(a.error, PLASM_UNTRUSTED);
    assert_non_null(strstr(a.text, ", not "));
    assert_int_equal(b.error, PLASM_REFUSED);
    end();
    from.expected = &b.peer_id;
    to.expected = &b.peer_id;
    connect_pair(from, to, 1000);
    assert_true(a.ready); /* an initiator is, before the other side has judged */
    assert_int_equal(a.error, PLASM_REFUSED);
    assert_false(b.ready);
    assert_int_equal(b.error, PLASM_UNTRUSTED);
    end();
}

static void refuses_an_expired_certificate(void **state) {
    (void)state;
    struct tls_config from = config_of(&a, true);
    from.unix_seconds = PAIR_NOW + INT64_C(101) * 365 * 86400;
    connect_pair(from, config_of(&b, false), 1000);
    assert_false(a.ready || b.ready);
    assert_int_equal(a.error, PLASM_EXPIRED);
    assert_int_equal(b.error, PLASM_REFUSED);
    end();
}

static void refuses_changed_data_and_plain_text(void **state) {
    (void)state;
    struct bytes hello = BYTES_LITERAL("hello");
    for (size_t at = 0; at < 5 + TLS_OVERHEAD; at++) {
        connect_pair(config_of(&a, true), config_of(&b, false), 1000);
        struct bytes wire = sealed(&a, &hello, 1);
        assert_int_equal(wire.size, 5 + TLS_OVERHEAD);
        uint8_t copy[5 + TLS_OVERHEAD];
        memcpy(copy, wire.data, sizeof(copy));
        copy[at] ^= 1;
        pair_hand_over(&b, BYTES_ARRAY(copy), 3);
        if (at < 3) { /* GnuTLS takes type and version of a sealed record for what they must be */
            assert_true(b.error != 0 || bytes_equal(bytes_of(b.data, b.data_size), hello));
        } else {
            assert_int_equal(b.data_size, 0);
        }
        pair_hand_over(&b, BYTES_ARRAY(copy), 3);
        if (at != 3 && at != 4) { /* a longer record just is not there yet */
            assert_int_not_equal(b.error, 0);
        }
        end();
    }
    for (unsigned initiator = 0; initiator < 2; initiator++) {
        struct tls_config config = config_of(&b, initiator == 1);
        pair_end_clear(&b);
        a.tls = NULL;
        assert_int_equal(tls_new(&config, &b.tls), 0);
        pair_hand_over(&b, BYTES_LITERAL("GET / HTTP/1.1\r\nHost: nowhere.example\r\n\r\n"), 5);
        assert_int_not_equal(b.error, 0);
        end();
    }
}

static void refuses_certificates_that_are_not_libp2ps(void **state) {
    (void)state;
    const struct {
        struct testing_certificate options;
        int error;
    } cases[] = {
        {{.no_binding = true}, PLASM_MALFORMED},
        {{.bad_binding = true}, PLASM_UNTRUSTED},
        {{.other_critical = true}, PLASM_UNSUPPORTED},
        {{.valid_to = TESTING_UNIX_SECONDS - 1}, PLASM_EXPIRED},
        {{.critical = true}, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct certificate certificate;
        struct tls_identity *other;
        testing_pack_certificate(&cases[i].options, &a.secret, &certificate);
        assert_int_equal(tls_identity_new(&certificate, &identities, &other), 0);
        for (unsigned initiator = 0; initiator < 2; initiator++) {
            struct tls_config bad = config_of(&a, initiator == 1);
            struct tls_config good = config_of(&b, initiator == 0);
            bad.identity = other;
            bad.unix_seconds = good.unix_seconds = TESTING_UNIX_SECONDS;
            struct pair_end *judge = initiator == 1 ? &b : &a;
            connect_pair(initiator == 1 ? bad : good, initiator == 1 ? good : bad, 1000);
            assert_int_equal(judge->error, cases[i].error);
            assert_true(judge->ready == (cases[i].error == 0));
            end();
        }
        tls_identity_free(other);
    }
}

static void refuses_other_protocols(void **state) {
    (void)state;
    static const char *const h2 = "h2";
    for (unsigned offered = 0; offered < 2; offered++) {
        struct tls_config from = config_of(&a, true);
        struct tls_config to = config_of(&b, false);
        pair_end_clear(&a);
        pair_end_clear(&b);
        /* The ClientHello is made in tls_new(): another takes its place. */
        assert_int_equal(tls_new(&from, &a.tls), 0);
        assert_int_equal(tls_new(&to, &b.tls), 0);
        gnutls_session_t session;
        assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_TICKETS), 0);
        gnutls_datum_t protocol = {.data = (unsigned char *)(uintptr_t)h2, .size = 2};
        assert_int_equal(gnutls_priority_set(session, a.identity->priority), 0);
        assert_int_equal(
            gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, a.identity->credentials), 0);
        if (offered == 1) {
            assert_int_equal(gnutls_alpn_set_protocols(session, &protocol, 1, 0), 0);
        }
        gnutls_deinit(a.tls->session);
        buffer_clear(&a.tls->out);
        a.tls->session = session;
        tls_use_session(a.tls);
        assert_int_equal(gnutls_handshake(session), GNUTLS_E_AGAIN);
        pair_shake(&a, &b, 1000);
        assert_false(b.ready);
        assert_int_equal(b.error, PLASM_UNSUPPORTED);
        end();
    }
}

static void follows_key_updates(void **state) {
    (void)state;
    struct bytes hello = BYTES_LITERAL("hello");
    connect_pair(config_of(&a, true), config_of(&b, false), 1000);
    for (unsigned i = 0; i < 3; i++) {
        a.data_size = b.data_size = 0;
        assert_int_equal(gnutls_session_key_update(a.tls->session, GNUTLS_KU_PEER), 0);
        assert_int_equal(sealed(&a, &hello, 1).size, 0); /* the order would be wrong */
        pair_shake(&a, &b, 1000);
        pair_hand_over(&b, sealed(&a, &hello, 1), 1);
        pair_hand_over(&a, sealed(&b, &hello, 1), 1);
        assert_bytes_equal(bytes_of(a.data, a.data_size), hello);
        assert_bytes_equal(bytes_of(b.data, b.data_size), hello);
    }
    end();
}

/* Records that come together with one that GnuTLS keeps to itself: a key update here, a session
 * ticket from others. */
static void takes_what_lies_behind_a_key_update(void **state) {
    (void)state;
    struct bytes hello = BYTES_LITERAL("hello");
    connect_pair(config_of(&a, true), config_of(&b, false), 1000);
    uint8_t wire[1000];
    size_t size = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(gnutls_session_key_update(a.tls->session, 0), 0);
        size += tls_transmit(a.tls, test_span(wire + size, sizeof(wire) - size));
        struct bytes data = sealed(&a, &hello, 1);
        memcpy(wire + size, data.data, data.size);
        size += data.size;
    }
    pair_hand_over(&b, bytes_of(wire, size), size);
    assert_int_equal(b.error, 0);
    assert_bytes_equal(bytes_of(b.data, b.data_size), BYTES_LITERAL("hellohello"));
    end();
}

static void refuses_a_replay(void **state) {
    (void)state;
    struct bytes hello = BYTES_LITERAL("hello");
    connect_pair(config_of(&a, true), config_of(&b, false), 1000);
    struct bytes wire = sealed(&a, &hello, 1);
    pair_hand_over(&b, wire, 100);
    pair_hand_over(&b, wire, 100);
    assert_int_equal(b.data_size, 5);
    assert_int_not_equal(b.error, 0);
    end();
}

static void survives_failing_memory(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, false);
        struct tls_config from = config_of(&a, true);
        struct tls_config to = config_of(&b, false);
        from.memory = to.memory = &failing.memory;
        pair_end_clear(&a);
        pair_end_clear(&b);
        if (tls_new(&from, &a.tls) == 0 && tls_new(&to, &b.tls) == 0) {
            pair_shake(&a, &b, 700);
            assert_true((a.ready && b.ready && a.error == 0) || a.error != 0 || b.error != 0);
        }
        failed = failing.failed;
        tls_free(a.tls);
        tls_free(b.tls);
        assert_int_equal(failing.memory.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shakes_at_every_step),
        cmocka_unit_test(carries_much_in_pieces),
        cmocka_unit_test(agrees_on_muxers),
        cmocka_unit_test(insists_on_the_expected_peer),
        cmocka_unit_test(refuses_an_expired_certificate),
        cmocka_unit_test(refuses_changed_data_and_plain_text),
        cmocka_unit_test(refuses_certificates_that_are_not_libp2ps),
        cmocka_unit_test(refuses_other_protocols),
        cmocka_unit_test(follows_key_updates),
        cmocka_unit_test(takes_what_lies_behind_a_key_update),
        cmocka_unit_test(refuses_a_replay),
        cmocka_unit_test(survives_failing_memory),
    };
    if (crypto_init() != 0) {
        return 1;
    }
    memory_init(&memory, SIZE_MAX);
    memory_init(&identities, SIZE_MAX);
    pair_end_identity(&a, 1, &identities);
    pair_end_identity(&b, 2, &identities);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_identity_free(a.identity);
    tls_identity_free(b.identity);
    return identities.used == 0 ? failed : 1;
}
