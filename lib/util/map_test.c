/* Tests of the hash table: SipHash's vectors, random changes against a plain table, collisions. */
#include "util/map.h"

#include "util/testing.h"

struct item {
    uint32_t number;
    uint8_t key[8];
    size_t key_size;
    struct map_node node;
    bool inside;
};

static const uint64_t secret[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

/* Key 00..0f, messages of 0 to 63 bytes 00, 01, 02, ... Computed with a SipHash of its own in
 * Python and equal to vectors_sip64 of the reference implementation (veorq/SipHash); the sixteenth
 * is the one in the paper's appendix A. */
static const uint64_t siphash_vectors[64] = {
    UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
    UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
    UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
    UINT64_C(0x9e0082df0ba9e4b0), UINT64_C(0x7a5dbbc594ddb9f3), UINT64_C(0xf4b32f46226bada7),
    UINT64_C(0x751e8fbc860ee5fb), UINT64_C(0x14ea5627c0843d90), UINT64_C(0xf723ca908e7af2ee),
    UINT64_C(0xa129ca6149be45e5), UINT64_C(0x3f2acc7f57c29bdb), UINT64_C(0x699ae9f52cbe4794),
    UINT64_C(0x4bc1b3f0968dd39c), UINT64_C(0xbb6dc91da77961bd), UINT64_C(0xbed65cf21aa2ee98),
    UINT64_C(0xd0f2cbb02e3b67c7), UINT64_C(0x93536795e3a33e88), UINT64_C(0xa80c038ccd5ccec8),
    UINT64_C(0xb8ad50c6f649af94), UINT64_C(0xbce192de8a85b8ea), UINT64_C(0x17d835b85bbb15f3),
    UINT64_C(0x2f2e6163076bcfad), UINT64_C(0xde4daaaca71dc9a5), UINT64_C(0xa6a2506687956571),
    UINT64_C(0xad87a3535c49ef28), UINT64_C(0x32d892fad841c342), UINT64_C(0x7127512f72f27cce),
    UINT64_C(0xa7f32346f95978e3), UINT64_C(0x12e0b01abb051238), UINT64_C(0x15e034d40fa197ae),
    UINT64_C(0x314dffbe0815a3b4), UINT64_C(0x027990f029623981), UINT64_C(0xcadcd4e59ef40c4d),
    UINT64_C(0x9abfd8766a33735c), UINT64_C(0x0e3ea96b5304a7d0), UINT64_C(0xad0c42d6fc585992),
    UINT64_C(0x187306c89bc215a9), UINT64_C(0xd4a60abcf3792b95), UINT64_C(0xf935451de4f21df2),
    UINT64_C(0xa9538f0419755787), UINT64_C(0xdb9acddff56ca510), UINT64_C(0xd06c98cd5c0975eb),
    UINT64_C(0xe612a3cb9ecba951), UINT64_C(0xc766e62cfcadaf96), UINT64_C(0xee64435a9752fe72),
    UINT64_C(0xa192d576b245165a), UINT64_C(0x0a8787bf8ecb74b2), UINT64_C(0x81b3e73d20b49b6f),
    UINT64_C(0x7fa8220ba3b2ecea), UINT64_C(0x245731c13ca42499), UINT64_C(0xb78dbfaf3a8d83bd),
    UINT64_C(0xea1ad565322a1a0b), UINT64_C(0x60e61c23a3795013), UINT64_C(0x6606d7e446282b93),
    UINT64_C(0x6ca4ecb15c5f91e1), UINT64_C(0x9f626da15c9625f3), UINT64_C(0xe51b38608ef25f57),
    UINT64_C(0x958a324ceb064572),
};

static void hashes_are_siphash(void **state) {
    (void)state;
    uint8_t message[64];
    struct memory memory;
    struct map map;
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    memory_init(&memory, SIZE_MAX);
    map_init(&map, &memory, secret);
    for (size_t size = 0; size < sizeof(message); size++) {
        struct map_node node;
        assert_int_equal(map_put(&map, &node, test_copy(bytes_of(message, size))), 0);
        assert_true(node.hash == siphash_vectors[size]);
        map_remove(&map, &node);
    }
    map_done(&map);
    assert_int_equal(memory.used, 0);
}

static struct bytes item_key(const struct item *item) {
    return bytes_of(item->key, item->key_size);
}

/* The walk meets each item that is inside once and nothing else. */
static void check_walk(const struct map *map, struct item *items, size_t count) {
    static bool met[4096];
    size_t walked = 0;
    memset(met, 0, sizeof(met));
    for (struct map_node *node = map_next(map, NULL); node != NULL; node = map_next(map, node)) {
        struct item *item = MAP_ENTRY(node, struct item, node);
        assert_true(item >= items && item < items + count);
        assert_true(item->inside);
        assert_false(met[item - items]);
        met[item - items] = true;
        walked++;
    }
    assert_int_equal(walked, map->size);
}

static void fill_keys(struct item *items, size_t count) {
    memset(items, 0, count * sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        items[i].number = (uint32_t)i;
        items[i].key_size = i == 0 ? 0 : sizeof(items[i].number) + i % 5;
        memcpy(items[i].key, &items[i].number, sizeof(items[i].number));
    }
}

static void random_changes_against_a_reference(void **state) {
    (void)state;
    static struct item items[300];
    struct memory memory;
    struct map map;
    uint64_t seed = 24;
    size_t inside = 0;
    fill_keys(items, ARRAY_SIZE(items));
    memory_init(&memory, SIZE_MAX);
    map_init(&map, &memory, secret);
    assert_null(map_get(&map, BYTES_LITERAL("")));
    assert_null(map_next(&map, NULL));
    for (int round = 0; round < 50000; round++) {
        struct item *item = &items[test_random_below(&seed, ARRAY_SIZE(items))];
        struct map_node *found = map_get(&map, item_key(item));
        assert_ptr_equal(found, item->inside ? &item->node : NULL);
        if (item->inside) {
            struct map_node twin;
            assert_int_equal(map_put(&map, &twin, item_key(item)), PLASM_CONFLICT);
            map_remove(&map, &item->node);
        } else {
            assert_int_equal(map_put(&map, &item->node, item_key(item)), 0);
        }
        item->inside = !item->inside;
        inside += item->inside ? 1 : (size_t)-1;
        assert_int_equal(map.size, inside);
        if (round % 1000 == 0) {
            check_walk(&map, items, ARRAY_SIZE(items));
        }
    }
    map_done(&map);
    assert_int_equal(memory.used, 0);
}

static void walk_allows_removal(void **state) {
    (void)state;
    static struct item items[200];
    struct memory memory;
    struct map map;
    fill_keys(items, ARRAY_SIZE(items));
    memory_init(&memory, SIZE_MAX);
    map_init(&map, &memory, secret);
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        assert_int_equal(map_put(&map, &items[i].node, item_key(&items[i])), 0);
    }
    size_t removed = 0;
    for (struct map_node *node = map_next(&map, NULL); node != NULL;) {
        struct map_node *next = map_next(&map, node);
        map_remove(&map, node);
        removed++;
        node = next;
    }
    assert_int_equal(removed, ARRAY_SIZE(items));
    assert_int_equal(map.size, 0);
    assert_null(map_next(&map, NULL));
    map_done(&map);
}

/* Keys that fall into the same bucket of the first table, found by trying. */
static void colliding_keys_are_told_apart(void **state) {
    (void)state;
    static struct item items[12];
    struct memory memory;
    struct map map;
    uint32_t number = 0;
    memory_init(&memory, SIZE_MAX);
    map_init(&map, &memory, secret);
    memset(items, 0, sizeof(items));
    for (size_t i = 0; i < ARRAY_SIZE(items); number++) {
        items[i].key_size = sizeof(number);
        memcpy(items[i].key, &number, sizeof(number));
        assert_int_equal(map_put(&map, &items[i].node, item_key(&items[i])), 0);
        if (items[i].node.hash % 16 == 5) {
            items[i].inside = true;
            i++;
        } else {
            map_remove(&map, &items[i].node);
        }
    }
    assert_int_equal(map.bucket_count, 16);
    check_walk(&map, items, ARRAY_SIZE(items));
    /* From the middle of the chain, its end and its start. */
    static const size_t order[] = {5, 0, 11, 6, 4, 1, 10, 2, 9, 3, 8, 7};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        map_remove(&map, &items[order[i]].node);
        items[order[i]].inside = false;
        for (size_t j = 0; j < ARRAY_SIZE(items); j++) {
            assert_ptr_equal(map_get(&map, item_key(&items[j])),
                             items[j].inside ? &items[j].node : NULL);
        }
    }
    map_done(&map);
}

/* As if two keys had the same 64 bits of hash: the bytes decide. */
static void equal_hashes_are_not_enough(void **state) {
    (void)state;
    struct memory memory;
    struct map map;
    struct map_node node;
    memory_init(&memory, SIZE_MAX);
    map_init(&map, &memory, secret);
    assert_int_equal(map_put(&map, &node, BYTES_LITERAL("a")), 0);
    node.key = BYTES_LITERAL("b");
    assert_null(map_get(&map, BYTES_LITERAL("a")));
    node.key = BYTES_LITERAL("a");
    assert_ptr_equal(map_get(&map, BYTES_LITERAL("a")), &node);
    map_done(&map);
}

static void every_failed_allocation_is_survived(void **state) {
    (void)state;
    static struct item items[200];
    for (size_t n = 0; n < 5; n++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            struct memory_failing failing;
            struct map map;
            fill_keys(items, ARRAY_SIZE(items));
            memory_failing_init(&failing, n, sticky == 1);
            map_init(&map, &failing.memory, secret);
            for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                int error = map_put(&map, &items[i].node, item_key(&items[i]));
                /* Only without any table is there no place for a node. */
                bool no_place = n == 0 && (sticky == 1 || i == 0);
                assert_int_equal(error, no_place ? PLASM_NO_MEMORY : 0);
                items[i].inside = error == 0;
            }
            assert_true(failing.failed);
            for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
                assert_ptr_equal(map_get(&map, item_key(&items[i])),
                                 items[i].inside ? &items[i].node : NULL);
            }
            check_walk(&map, items, ARRAY_SIZE(items));
            map_done(&map);
            assert_int_equal(failing.memory.used, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_siphash),
        cmocka_unit_test(random_changes_against_a_reference),
        cmocka_unit_test(walk_allows_removal),
        cmocka_unit_test(colliding_keys_are_told_apart),
        cmocka_unit_test(equal_hashes_are_not_enough),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
