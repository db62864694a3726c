/* The value store and its namespaces: who decides, what is better, bounds, expiry. */
#include "proto/kad/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "identity/vectors_testing.h"
#include "proto/kad/distance.h"
#include "proto/kad/kad_testing.h"

/* "/seq/…": a value is valid when it begins with 'v', and better when its second byte is greater.
 * `context` may make everything expired. */
static int seq_validate(void *context, struct bytes key, struct bytes value) {
    (void)key;
    const bool *is_expired = context;
    if (*is_expired) {
        return PLASM_EXPIRED;
    }
    return value.size >= 2 && value.data[0] == 'v' ? 0 : PLASM_UNTRUSTED;
}

static bool seq_better(void *context, struct bytes key, struct bytes candidate,
                       struct bytes current) {
    (void)context;
    (void)key;
    return candidate.data[1] > current.data[1];
}

struct fixture {
    struct memory memory;
    struct kad_limits limits;
    bool is_expired;
    struct kad_namespace seq;
    struct kad_namespaces namespaces;
    struct sha256_digest own;
    struct records records;
};

static void setup_with(struct fixture *fixture, struct memory *memory) {
    *fixture =
        (struct fixture){.seq = {.name = "seq", .validate = seq_validate, .better = seq_better},
                         .own = sha256(BYTES_LITERAL("own"))};
    fixture->seq.context = &fixture->is_expired;
    fixture->namespaces = (struct kad_namespaces){.list = &fixture->seq, .count = 1};
    memory_init(&fixture->memory, SIZE_MAX);
    kad_limits_default(&fixture->limits);
    const uint64_t secret[2] = {1, 2};
    records_init(&fixture->records, memory != NULL ? memory : &fixture->memory, &fixture->limits,
                 &fixture->namespaces, &fixture->own, secret);
}

static void teardown(struct fixture *fixture) {
    records_done(&fixture->records);
    assert_int_equal(fixture->memory.used, 0);
}

static int put(struct fixture *fixture, const char *key, const char *value, nanos now) {
    return records_put(&fixture->records, bytes_of_string(key), bytes_of_string(value), now);
}

static void assert_value(struct fixture *fixture, const char *key, const char *value, nanos now) {
    struct bytes found;
    assert_int_equal(records_get(&fixture->records, bytes_of_string(key), now, &found), 0);
    assert_true(bytes_equal_string(found, value));
}

static void the_namespace_decides(void **state) {
    (void)state;
    struct fixture fixture;
    setup_with(&fixture, NULL);
    assert_int_equal(put(&fixture, "/seq/a", "v1", 0), 0);
    assert_int_equal(put(&fixture, "/seq/a", "x9", 0), PLASM_UNTRUSTED);
    assert_value(&fixture, "/seq/a", "v1", 0);
    const char *strange[] = {"/other/a", "/ipns/a", "seq/a", "/seq",   "/",
                             "",         "/pk",     "//a",   "/seqa/b"};
    for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
        assert_int_equal(put(&fixture, strange[i], "v1", 0), PLASM_UNSUPPORTED);
    }
    static uint8_t large[KAD_VALUE_SIZE_MAX + 1] = {'v'};
    assert_int_equal(records_put(&fixture.records, BYTES_LITERAL("/seq/a"), BYTES_ARRAY(large), 0),
                     PLASM_TOO_LARGE);
    uint8_t key[KAD_VALUE_KEY_SIZE_MAX + 1] = "/seq/";
    assert_int_equal(records_put(&fixture.records, BYTES_ARRAY(key), BYTES_LITERAL("v1"), 0),
                     PLASM_TOO_LARGE);
    assert_int_equal(fixture.records.map.size, 1);
    teardown(&fixture);
}

static void better_replaces_worse(void **state) {
    (void)state;
    struct fixture fixture;
    setup_with(&fixture, NULL);
    assert_int_equal(put(&fixture, "/seq/a", "v5", 0), 0);
    assert_int_equal(put(&fixture, "/seq/a", "v4", 0), PLASM_CONFLICT);
    assert_int_equal(put(&fixture, "/seq/a", "v5 but other", 0), PLASM_CONFLICT);
    assert_value(&fixture, "/seq/a", "v5", 0);
    assert_int_equal(put(&fixture, "/seq/a", "v6", 1), 0);
    assert_value(&fixture, "/seq/a", "v6", 1);
    assert_int_equal(fixture.records.map.size, 1);
    teardown(&fixture);
}

static void values_expire_unless_renewed(void **state) {
    (void)state;
    struct fixture fixture;
    setup_with(&fixture, NULL);
    nanos life = fixture.limits.record_life;
    struct bytes value;
    assert_int_equal(put(&fixture, "/seq/a", "v5", 0), 0);
    assert_int_equal(put(&fixture, "/seq/b", "v5", 0), 0);
    assert_int_equal(put(&fixture, "/seq/b", "v5", life / 2), 0);
    assert_value(&fixture, "/seq/a", "v5", life - 1);
    assert_int_equal(records_get(&fixture.records, BYTES_LITERAL("/seq/a"), life, &value),
                     PLASM_NOT_FOUND);
    assert_value(&fixture, "/seq/b", "v5", life);
    records_sweep(&fixture.records, life);
    assert_int_equal(fixture.records.map.size, 1);
    /* What has had its time does not stand in the way of a lesser one. */
    assert_int_equal(put(&fixture, "/seq/b", "v1", 2 * life), 0);
    assert_value(&fixture, "/seq/b", "v1", 2 * life);
    teardown(&fixture);
}

static void public_keys_are_known_by_their_peer(void **state) {
    (void)state;
    struct fixture fixture;
    setup_with(&fixture, NULL);
    uint8_t raw[ED25519_PUBLIC_SIZE] = {1, 2, 3};
    struct public_key key;
    public_key_from_ed25519(raw, &key);
    struct peer_id id;
    peer_id_from_key(&key, &id);
    uint8_t encoded[KEY_ENCODED_MAX];
    struct writer value = writer_of((struct span){encoded, sizeof(encoded)});
    public_key_encode(&key, &value);
    uint8_t name[64];
    struct writer path = writer_of((struct span){name, sizeof(name)});
    writer_bytes_put(&path, BYTES_LITERAL("/pk/"));
    writer_bytes_put(&path, peer_id_bytes(&id));
    assert_int_equal(records_put(&fixture.records, writer_bytes(&path), writer_bytes(&value), 0),
                     0);
    encoded[10] ^= 1;
    assert_int_equal(records_put(&fixture.records, writer_bytes(&path), writer_bytes(&value), 0),
                     PLASM_UNTRUSTED);
    assert_int_equal(
        records_put(&fixture.records, BYTES_LITERAL("/pk/nobody"), writer_bytes(&value), 0),
        PLASM_MALFORMED);
    teardown(&fixture);
}

/* Keys of all kinds, as go-libp2p keeps them: we take what it takes. */
static void public_keys_are_taken_as_go_takes_them(void **state) {
    (void)state;
    struct vectors vectors;
    assert_true(vectors_open(&vectors, PLASM_SOURCE_DIR "/vectors/pk.txt"));
    size_t valid = 0;
    size_t refused = 0;
    while (vectors_next(&vectors)) {
        assert_int_equal(vectors.word_count, 4);
        struct bytes key = vectors_hex(vectors.words[2]);
        struct bytes value = vectors_hex(vectors.words[3]);
        struct fixture fixture;
        setup_with(&fixture, NULL);
        bool is_valid = strcmp(vectors.words[1], "valid") == 0;
        assert_int_equal(records_put(&fixture.records, key, value, 0) == 0, is_valid);
        valid += is_valid;
        refused += !is_valid;
        teardown(&fixture);
        vectors_free(value);
        vectors_free(key);
    }
    assert_int_equal(valid, 4);
    assert_int_equal(refused, 11);
}

static void near_keys_push_out_far_ones(void **state) {
    (void)state;
    struct fixture fixture;
    setup_with(&fixture, NULL);
    fixture.limits.records_max = 20;
    enum { KEYS = 200 };
    struct sha256_digest distances[KEYS];
    char keys[KEYS][16];
    for (size_t i = 0; i < KEYS; i++) {
        struct writer writer = writer_of((struct span){(uint8_t *)keys[i], sizeof(keys[i]) - 1});
        writer_bytes_put(&writer, BYTES_LITERAL("/seq/"));
        writer_u8(&writer, (uint8_t)('a' + i / 20));
        writer_u8(&writer, (uint8_t)('a' + i % 20));
        keys[i][writer.size] = '\0';
        struct sha256_digest hash = sha256(bytes_of_string(keys[i]));
        distances[i] = kad_distance(&fixture.own, &hash);
        int error = put(&fixture, keys[i], "v1", 0);
        assert_true(error == 0 || error == PLASM_LIMIT);
    }
    assert_int_equal(fixture.records.map.size, 20);
    for (size_t i = 0; i < KEYS; i++) {
        size_t nearer = 0;
        for (size_t j = 0; j < KEYS; j++) {
            nearer += kad_distance_compare(&distances[j], &distances[i]) < 0;
        }
        struct bytes value;
        assert_int_equal(records_get(&fixture.records, bytes_of_string(keys[i]), 0, &value),
                         nearer < 20 ? 0 : PLASM_NOT_FOUND);
    }
    teardown(&fixture);
}

/* What time has made invalid in its own eyes gives way, whatever it was worth. */
static void the_invalid_gives_way(void **state) {
    (void)state;
    struct fixture fixture;
    setup_with(&fixture, NULL);
    assert_int_equal(put(&fixture, "/seq/a", "v9", 0), 0);
    fixture.is_expired = true;
    assert_int_equal(put(&fixture, "/seq/a", "v9", 0), PLASM_EXPIRED);
    teardown(&fixture);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, false);
        struct fixture fixture;
        setup_with(&fixture, &failing.memory);
        int errors = 0;
        const char *keys[] = {"/seq/a", "/seq/b", "/seq/a", "/seq/c"};
        const char *values[] = {"v1", "v1", "v2", "v1"};
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
            int error = put(&fixture, keys[i], values[i], 0);
            assert_true(error == 0 || error == PLASM_NO_MEMORY);
            errors += error != 0;
        }
        failed = failing.failed;
        assert_int_equal(errors > 0, failed);
        /* A better value that found no room has left the old one alone. */
        struct bytes value;
        if (errors == 0) {
            assert_value(&fixture, "/seq/a", "v2", 0);
        } else if (records_get(&fixture.records, BYTES_LITERAL("/seq/a"), 0, &value) == 0) {
            assert_true(bytes_equal_string(value, "v1") || bytes_equal_string(value, "v2"));
        }
        teardown(&fixture);
        assert_int_equal(failing.memory.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_namespace_decides),
        cmocka_unit_test(better_replaces_worse),
        cmocka_unit_test(values_expire_unless_renewed),
        cmocka_unit_test(public_keys_are_known_by_their_peer),
        cmocka_unit_test(public_keys_are_taken_as_go_takes_them),
        cmocka_unit_test(near_keys_push_out_far_ones),
        cmocka_unit_test(the_invalid_gives_way),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
