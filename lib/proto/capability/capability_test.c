/* Capability records: vectors of the independent implementation, refusals, matching, tags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/capability/capability.h"
#include "proto/capability/vectors_testing.h"

static struct memory memory;

static void check_contents(const struct capability *capability) {
    char text[MULTIADDR_TEXT_MAX];
    assert_string_equal(capability->arch, "x86_64");
    assert_string_equal(capability->runtime, "wasmtime-48");
    assert_int_equal(capability->profile_count, 2);
    assert_string_equal(capability->profiles[0], "wasip1");
    assert_string_equal(capability->profiles[1], "deterministic/1");
    assert_int_equal(capability->limits.fuel, 0);
    assert_int_equal(capability->limits.memory_bytes, 134217728);
    assert_int_equal(capability->limits.wall_ms, 30000);
    assert_int_equal(capability->limits.output_bytes, 1048576);
    assert_int_equal(capability->limits.module_bytes, 16777216);
    assert_int_equal(capability->limits.stdin_bytes, 16777216);
    assert_int_equal(capability->free_slots, 4);
    assert_int_equal(capability->price, 0);
    assert_int_equal(capability->seq, 1767225000000);
    assert_int_equal(capability->expires_s, 1767225900);
    assert_int_equal(capability->address_count, 2);
    assert_int_equal(multiaddr_format(&capability->addresses[1], text, sizeof(text)), 0);
    assert_string_equal(text, "/ip6/2001:db8::7/udp/4001/quic-v1");
}

static void vectors(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    struct bytes sealed = capability_vectors_hex(all, "envelope");
    struct bytes message = capability_vectors_hex(all, "message");
    struct bytes payload;
    int64_t now;
    struct capability capability;
    assert_int_equal(json_get_string(all, "payload", &payload), 0);
    assert_int_equal(json_get_integer(all, "now", &now), 0);
    assert_int_equal(capability_open(sealed, now, &capability), 0);
    check_contents(&capability);
    struct buffer out;
    buffer_init(&out, &memory, CAPABILITY_PAYLOAD_SIZE_MAX);
    assert_int_equal(capability_encode(&capability, &out), 0);
    assert_true(bytes_equal(buffer_bytes(&out), payload));
    buffer_clear(&out);
    assert_int_equal(capability_message(payload, &out), 0);
    assert_true(bytes_equal(buffer_bytes(&out), message));
    buffer_done(&out);
    free((void *)(uintptr_t)sealed.data);
    free((void *)(uintptr_t)message.data);
    json_decref(all);
    assert_int_equal(memory.used, 0);
}

/* Our own envelope, byte for byte, from the same key. */
static void sealed(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    json_t *keys = capability_vectors("keys.json");
    struct bytes expected = capability_vectors_hex(all, "envelope");
    struct bytes message = capability_vectors_hex(all, "message");
    struct bytes seed = capability_vectors_hex(json_object_get(keys, "worker"), "seed");
    struct bytes payload;
    struct ed25519_secret secret;
    struct public_key key;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    assert_int_equal(json_get_string(all, "payload", &payload), 0);
    ed25519_from_seed(&secret, seed.data);
    public_key_from_ed25519(secret.public_key, &key);
    ed25519_sign(&secret, message, signature);
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        struct buffer out;
        memory_failing_init(&failing, n, true);
        buffer_init(&out, &failing.memory, CAPABILITY_ENVELOPE_SIZE_MAX);
        int error = capability_seal(&key, payload, BYTES_ARRAY(signature), &out);
        failed = failing.failed;
        assert_int_equal(error, failed ? PLASM_NO_MEMORY : 0);
        assert_true(failed || bytes_equal(buffer_bytes(&out), expected));
        buffer_done(&out);
        assert_int_equal(failing.memory.used, 0);
    }
    ed25519_done(&secret);
    free((void *)(uintptr_t)expected.data);
    free((void *)(uintptr_t)message.data);
    free((void *)(uintptr_t)seed.data);
    json_decref(all);
    json_decref(keys);
}

static void refusals(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    json_t *list;
    int64_t now;
    assert_int_equal(json_get_integer(all, "now", &now), 0);
    assert_int_equal(json_get_list(all, "refused", &list), 0);
    assert_int_equal(json_array_size(list), 6);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct bytes envelope = capability_vectors_hex(item, "envelope");
        struct capability capability;
        if (capability_open(envelope, now, &capability) == 0) {
            fail_msg("%s: taken", json_string_value(json_object_get(item, "name")));
        }
        free((void *)(uintptr_t)envelope.data);
    }
    struct bytes good = capability_vectors_hex(all, "envelope");
    uint8_t *copy = (uint8_t *)(uintptr_t)good.data;
    for (size_t i = 0; i < good.size; i++) {
        struct capability capability;
        copy[i] ^= 1;
        assert_int_not_equal(capability_open(good, now, &capability), 0);
        copy[i] ^= 1;
        assert_int_not_equal(capability_open(bytes_of(copy, i), now, &capability), 0);
    }
    free(copy);
    json_decref(all);
}

static void times(void **state) {
    (void)state;
    const struct capability capability = {.expires_s = 1000000};
    assert_int_equal(capability_check_time(&capability, 1000000), 0);
    assert_int_equal(capability_check_time(&capability, 1000299), 0);
    assert_int_equal(capability_check_time(&capability, 1000300), PLASM_EXPIRED);
    assert_int_equal(capability_check_time(&capability, 1000000 - 1200), 0);
    assert_int_equal(capability_check_time(&capability, 1000000 - 1201), PLASM_EXPIRED);
}

static void buckets(void **state) {
    (void)state;
    static const uint64_t cases[][2] = {
        {0, 0},      {1, 1},       {2, 2},       {3, 2}, {4, 4},
        {1023, 512}, {1024, 1024}, {5000, 1024}, {7, 4}, {UINT64_MAX, 1024}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(capability_bucket(cases[i][0]), cases[i][1]);
    }
}

/* What a newer worker, or a careless one, may put into a payload. */
static void payloads(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    struct bytes payload;
    assert_int_equal(json_get_string(all, "payload", &payload), 0);
    const struct {
        const char *key;
        const char *value; /* JSON; NULL takes the member out */
        int error;
        size_t addresses;
    } cases[] = {
        {"zone", "{\"a\":[1]}", 0, 2},
        {"addresses", "[]", 0, 0},
        {"addresses",
         "[\"/ip4/192.0.2.1/udp/1/quic-v1/p2p/"
         "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA\"]",
         0, 1},
        {"addresses", "[\"/unheard/of\",\"/ip4/192.0.2.1/udp/1/quic-v1\"]", 0, 1},
        {"addresses", "[\"ip4\"]", PLASM_MALFORMED, 0},
        {"addresses", "[1]", PLASM_MALFORMED, 0},
        {"profiles", "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]", 0, 2},
        {"profiles", "[\"a b\"]", PLASM_MALFORMED, 0},
        {"profiles", "\"wasip1\"", PLASM_MALFORMED, 0},
        {"arch", "\"\"", PLASM_MALFORMED, 0},
        {"arch", "7", PLASM_MALFORMED, 0},
        {"runtime", NULL, PLASM_MALFORMED, 0},
        {"seq", "-1", PLASM_MALFORMED, 0},
        {"seq", "\"1\"", PLASM_MALFORMED, 0},
        {"price", NULL, PLASM_MALFORMED, 0},
        {"expires", "-5", PLASM_MALFORMED, 0},
        {"free_slots", "2048", PLASM_MALFORMED, 0},
        {"worker", "\"nobody\"", PLASM_MALFORMED, 0},
        {"type", NULL, PLASM_UNSUPPORTED, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *object;
        struct buffer text;
        struct capability capability;
        assert_int_equal(json_read(payload, &object), 0);
        json_object_del(object, cases[i].key);
        if (cases[i].value != NULL) {
            json_t *value;
            assert_int_equal(json_read(bytes_of_string(cases[i].value), &value), 0);
            json_object_set_new(object, cases[i].key, value);
        }
        buffer_init(&text, &memory, SIZE_MAX);
        assert_int_equal(json_write_canonical(object, &text), 0);
        assert_int_equal(capability_decode(buffer_bytes(&text), &capability), cases[i].error);
        if (cases[i].error == 0) {
            assert_int_equal(capability.address_count, cases[i].addresses);
        }
        buffer_done(&text);
        json_decref(object);
    }
    json_decref(all);
    assert_int_equal(memory.used, 0);
}

static void own_mistakes(void **state) {
    (void)state;
    json_t *all = capability_vectors("capability.json");
    struct bytes payload;
    struct capability good;
    assert_int_equal(json_get_string(all, "payload", &payload), 0);
    assert_int_equal(capability_decode(payload, &good), 0);
    struct capability wrong[5] = {good, good, good, good, good};
    wrong[0].arch[0] = '\0';
    wrong[1].free_slots = 3;
    wrong[2].worker.size = 0;
    wrong[3].limits.fuel = UINT64_MAX;
    wrong[4].expires_s = -1;
    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(capability_encode(&wrong[i], &out), PLASM_INVALID);
        assert_int_equal(out.size, 0);
    }
    buffer_done(&out);
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, true);
        buffer_init(&out, &failing.memory, SIZE_MAX);
        int error = capability_encode(&good, &out);
        failed = failing.failed;
        assert_int_equal(error, failed ? PLASM_NO_MEMORY : 0);
        assert_true(!failed || out.size == 0);
        buffer_done(&out);
    }
    json_decref(all);
}

static void matching(void **state) {
    (void)state;
    const struct capability capability = {.arch = "x86_64",
                                          .runtime = "wasmtime-48",
                                          .profiles = {"wasip1", "deterministic/1"},
                                          .profile_count = 2,
                                          .limits = {.fuel = 100,
                                                     .memory_bytes = 10,
                                                     .wall_ms = 10,
                                                     .output_bytes = 10,
                                                     .module_bytes = 10,
                                                     .stdin_bytes = 10}};
    struct capability_query query = {0};
    assert_true(capability_match(&capability, &query));
    query = (struct capability_query){.arch = "x86_64",
                                      .runtime = "wasmtime-48",
                                      .profile = "deterministic/1",
                                      .needs = capability.limits};
    assert_true(capability_match(&capability, &query));
    struct capability_query wrong[9];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        wrong[i] = query;
    }
    wrong[0].arch = "aarch64";
    wrong[1].runtime = "wasmtime-47";
    wrong[2].profile = "wasip2";
    wrong[3].needs.fuel = 101;
    wrong[4].needs.memory_bytes = 11;
    wrong[5].needs.wall_ms = 11;
    wrong[6].needs.output_bytes = 11;
    wrong[7].needs.module_bytes = 11;
    wrong[8].needs.stdin_bytes = 11;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(capability_match(&capability, &wrong[i]));
    }
    struct capability unbounded = capability;
    unbounded.limits.fuel = 0;
    assert_true(capability_match(&unbounded, &wrong[3]));
}

static void tags(void **state) {
    (void)state;
    json_t *all = capability_vectors("discovery.json");
    json_t *list;
    struct bytes name;
    struct peer_id worker;
    char made[5][CAPABILITY_TAG_MAX] = {CAPABILITY_TAG_WORKER};
    assert_int_equal(json_get_string(all, "worker", &name), 0);
    assert_int_equal(peer_id_parse(name, &worker), 0);
    assert_int_equal(capability_tag_arch("x86_64", made[1]), 0);
    assert_int_equal(capability_tag_arch("aarch64", made[2]), 0);
    assert_int_equal(capability_tag_runtime("wasmtime-48", made[3]), 0);
    capability_tag_shard(&worker, made[4]);
    assert_int_equal(json_get_list(all, "tags", &list), 0);
    assert_int_equal(json_array_size(list), ARRAY_SIZE(made));
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        const json_t *item = json_array_get(list, i);
        struct bytes expected = capability_vectors_hex(item, "key");
        uint8_t key[CONTENT_KEY_SIZE];
        assert_string_equal(json_string_value(json_object_get(item, "tag")), made[i]);
        content_key(bytes_of_string(made[i]), key);
        assert_true(bytes_equal(BYTES_ARRAY(key), expected));
        free((void *)(uintptr_t)expected.data);
    }
    char longest[CAPABILITY_TAG_MAX];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(capability_tag_arch(longest, made[0]), PLASM_TOO_LARGE);
    json_decref(all);
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),  cmocka_unit_test(sealed),  cmocka_unit_test(refusals),
        cmocka_unit_test(times),    cmocka_unit_test(buckets), cmocka_unit_test(payloads),
        cmocka_unit_test(matching), cmocka_unit_test(tags),    cmocka_unit_test(own_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
