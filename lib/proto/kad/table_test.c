/* The routing table against a search through all peers; caps, renewal, who goes first. */
#include "proto/kad/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/kad/distance.h"
#include "proto/kad/kad_testing.h"

#define PEERS 2000

static const struct kad_groups nowhere = {0};

static int put(struct table *table, const struct peer_id *id, nanos now) {
    struct kad_addresses addresses = testing_address(id, 10, 0, 0, 1);
    struct sha256_digest hash = testing_hash(id);
    struct table_peer *peer;
    return table_put(table, id, &hash, &nowhere, kad_addresses_bytes(&addresses), now, &peer);
}

/* A table of random peers, as many as its buckets take. */
static void fill(struct table *table, struct memory *memory, struct random *random,
                 struct peer_id *own) {
    *own = testing_peer(random);
    struct sha256_digest hash = testing_hash(own);
    table_init(table, memory, &hash);
    for (int i = 0; i < PEERS; i++) {
        struct peer_id id = testing_peer(random);
        int error = put(table, &id, (nanos)i + 1);
        assert_true(error == 0 || error == PLASM_LIMIT);
    }
}

static void buckets_hold_what_belongs_there(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct random random;
    testing_random(&random, 1);
    struct table table;
    struct peer_id own;
    fill(&table, &memory, &random, &own);
    size_t total = 0;
    for (size_t i = 0; i < KAD_BUCKETS; i++) {
        for (size_t j = 0; j < table.bucket_sizes[i]; j++) {
            const struct table_peer *peer = table.buckets[i][j].peer;
            assert_int_equal(peer->place, j);
            assert_int_equal(kad_common_prefix(&table.own, &peer->hash), i);
            assert_ptr_equal(table_find(&table, &peer->hash), peer);
        }
        assert_true(table.bucket_sizes[i] <= KAD_K);
        total += table.bucket_sizes[i];
    }
    assert_int_equal(total, table.size);
    assert_int_equal(table.bucket_sizes[0], KAD_K);
    assert_int_equal(table.bucket_sizes[3], KAD_K);
    size_t walked = 0;
    for (struct table_peer *peer = table_next(&table, NULL); peer != NULL;
         peer = table_next(&table, peer)) {
        walked++;
    }
    assert_int_equal(walked, total);
    /* Never ourselves. */
    assert_int_equal(put(&table, &own, 1), PLASM_INVALID);
    table_done(&table);
    assert_int_equal(memory.used, 0);
}

/* The n nearest by looking at everybody. */
static size_t nearest(const struct table *table, const struct sha256_digest *target,
                      const struct peer_id *exclude, bool with_failed,
                      const struct table_peer **ret_peers, size_t n) {
    size_t count = 0;
    for (struct table_peer *peer = table_next(table, NULL); peer != NULL;
         peer = table_next(table, peer)) {
        if ((exclude != NULL && peer_id_equal(&peer->id, exclude)) ||
            (peer->failures > 0 && !with_failed)) {
            continue;
        }
        struct sha256_digest distance = kad_distance(&peer->hash, target);
        size_t place = count;
        while (place > 0) {
            struct sha256_digest other = kad_distance(&ret_peers[place - 1]->hash, target);
            if (kad_distance_compare(&other, &distance) < 0) {
                break;
            }
            place--;
        }
        if (place < n) {
            count += count < n;
            memmove(&ret_peers[place + 1], &ret_peers[place],
                    (count - place - 1) * sizeof(ret_peers[0]));
            ret_peers[place] = peer;
        }
    }
    return count;
}

static void closest_is_what_a_search_of_all_finds(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct random random;
    testing_random(&random, 2);
    struct table table;
    struct peer_id own;
    fill(&table, &memory, &random, &own);
    size_t number = 0;
    for (struct table_peer *peer = table_next(&table, NULL); peer != NULL;
         peer = table_next(&table, peer)) {
        peer->failures = number++ % 5 == 0;
    }
    for (int i = 0; i < 500; i++) {
        /* Random targets, ourselves, members, and neighbours of ours. */
        struct peer_id id = testing_peer(&random);
        struct sha256_digest target = testing_hash(i == 0 ? &own : &id);
        if (i % 3 == 1) {
            target = table.own;
            target.bytes[i / 8 % 6] ^= (uint8_t)(1u << i % 8);
        }
        const struct table_peer *member = table.buckets[i % 5][0].peer;
        if (i % 7 == 2) {
            target = member->hash;
        }
        size_t n = (size_t)random_below(&random, 60);
        bool with_failed = i % 2 == 0;
        const struct peer_id *exclude = i % 4 == 0 ? &member->id : NULL;
        const struct table_peer *expected[64];
        const struct table_peer *found[64];
        size_t count = nearest(&table, &target, exclude, with_failed, expected, n);
        assert_int_equal(table_closest(&table, &target, exclude, with_failed, found, n), count);
        for (size_t j = 0; j < count; j++) {
            assert_ptr_equal(found[j], expected[j]);
        }
    }
    table_done(&table);
}

static int put_at(struct table *table, const struct peer_id *id, uint8_t network, nanos now) {
    struct kad_addresses addresses = testing_address(id, 192, network, 0, 1);
    struct sha256_digest hash = testing_hash(id);
    struct kad_groups groups = kad_groups_of(NULL, kad_addresses_bytes(&addresses));
    struct table_peer *peer;
    return table_put(table, id, &hash, &groups, kad_addresses_bytes(&addresses), now, &peer);
}

/* A random peer that belongs into the bucket. */
static struct peer_id peer_in(const struct table *table, struct random *random, size_t bucket) {
    for (;;) {
        struct peer_id id = testing_peer(random);
        struct sha256_digest hash = testing_hash(&id);
        if (table_bucket(table, &hash) == bucket) {
            return id;
        }
    }
}

static void a_network_gets_few_places(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct random random;
    testing_random(&random, 3);
    struct peer_id own = testing_peer(&random);
    struct sha256_digest hash = testing_hash(&own);
    struct table table;
    table_init(&table, &memory, &hash);
    /* Two a bucket, three a table. */
    struct peer_id ids[4];
    const size_t buckets[] = {0, 0, 0, 1};
    const int expected[] = {0, 0, PLASM_REFUSED, 0};
    for (size_t i = 0; i < ARRAY_SIZE(buckets); i++) {
        ids[i] = peer_in(&table, &random, buckets[i]);
        assert_int_equal(put_at(&table, &ids[i], 0, 1), expected[i]);
    }
    for (size_t bucket = 0; bucket < 3; bucket++) {
        struct peer_id id = peer_in(&table, &random, bucket);
        assert_int_equal(put_at(&table, &id, 0, 1), PLASM_REFUSED);
        struct sha256_digest of_id = testing_hash(&id);
        struct kad_addresses addresses = testing_address(&id, 192, 0, 9, 9);
        struct kad_groups groups = kad_groups_of(NULL, kad_addresses_bytes(&addresses));
        assert_false(table_group_allows(&table, table_bucket(&table, &of_id), &groups));
    }
    assert_int_equal(table.size, 3);
    /* Another network is welcome; moving into the full one is not, and keeps the old address. */
    struct peer_id other = peer_in(&table, &random, 2);
    assert_int_equal(put_at(&table, &other, 1, 1), 0);
    assert_int_equal(put_at(&table, &other, 0, 2), 0);
    struct sha256_digest of_other = testing_hash(&other);
    struct table_peer *peer = table_find(&table, &of_other);
    struct kad_addresses old = testing_address(&other, 192, 1, 0, 1);
    assert_true(bytes_equal(table_peer_addresses(peer), kad_addresses_bytes(&old)));
    assert_int_equal(peer->seen, 2);
    /* A place that is left can be taken. */
    struct sha256_digest first = testing_hash(&ids[0]);
    table_remove(&table, table_find(&table, &first));
    assert_int_equal(put_at(&table, &ids[2], 0, 3), 0);
    table_done(&table);
    assert_int_equal(memory.used, 0);
}

static void private_networks_are_exempt(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct random random;
    testing_random(&random, 4);
    struct table table;
    struct peer_id own;
    fill(&table, &memory, &random, &own); /* all at 10.0.0.1 */
    assert_true(table.size > 100);
    table_done(&table);
}

static void renewal_changes_the_addresses(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct random random;
    testing_random(&random, 5);
    struct peer_id own = testing_peer(&random);
    struct sha256_digest own_hash = testing_hash(&own);
    struct table table;
    table_init(&table, &memory, &own_hash);
    struct peer_id id = testing_peer(&random);
    struct sha256_digest hash = testing_hash(&id);
    assert_int_equal(put(&table, &id, 5), 0);
    struct table_peer *peer = table_find(&table, &hash);
    peer->failures = 2;
    struct kad_addresses addresses = testing_address(&id, 192, 0, 2, 1);
    struct multiaddr more;
    assert_int_equal(multiaddr_parse(BYTES_LITERAL("/ip4/192.0.2.1/tcp/4001"), &more), 0);
    assert_true(kad_addresses_add(&addresses, &id, multiaddr_bytes(&more)));
    assert_int_equal(
        table_put(&table, &id, &hash, &nowhere, kad_addresses_bytes(&addresses), 9, &peer), 0);
    assert_ptr_equal(table_find(&table, &hash), peer);
    assert_int_equal(peer->failures, 0);
    assert_int_equal(peer->seen, 9);
    assert_true(bytes_equal(table_peer_addresses(peer), kad_addresses_bytes(&addresses)));
    /* Without any, the old ones stay. */
    assert_int_equal(table_put(&table, &id, &hash, &nowhere, bytes_of(NULL, 0), 10, &peer), 0);
    assert_true(bytes_equal(table_peer_addresses(peer), kad_addresses_bytes(&addresses)));
    assert_int_equal(table.size, 1);
    table_done(&table);
    assert_int_equal(memory.used, 0);
}

static void the_stalest_is_named(void **state) {
    (void)state;
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    struct random random;
    testing_random(&random, 6);
    struct peer_id own = testing_peer(&random);
    struct sha256_digest own_hash = testing_hash(&own);
    struct table table;
    table_init(&table, &memory, &own_hash);
    assert_null(table_oldest(&table, 0));
    struct table_peer *peers[4];
    for (size_t i = 0; i < 4; i++) {
        struct peer_id id = peer_in(&table, &random, 0);
        assert_int_equal(put(&table, &id, 10 + i), 0);
        struct sha256_digest hash = testing_hash(&id);
        peers[i] = table_find(&table, &hash);
    }
    peers[0]->is_connected = true;
    assert_ptr_equal(table_oldest(&table, 0), peers[1]);
    peers[3]->failures = 1;
    assert_ptr_equal(table_oldest(&table, 0), peers[3]);
    peers[3]->failures = 0;
    for (size_t i = 0; i < 4; i++) {
        peers[i]->is_connected = true;
    }
    assert_ptr_equal(table_oldest(&table, 0), peers[0]);
    table_done(&table);
}

static void without_memory_nothing_is_lost(void **state) {
    (void)state;
    struct random random;
    testing_random(&random, 7);
    struct memory_failing failing;
    memory_failing_init(&failing, 0, true);
    struct peer_id own = testing_peer(&random);
    struct sha256_digest own_hash = testing_hash(&own);
    struct table table;
    table_init(&table, &failing.memory, &own_hash);
    struct peer_id id = testing_peer(&random);
    for (size_t n = 0; n < 2; n++) { /* of the bucket, of the peer */
        failing.countdown = n;
        assert_int_equal(put(&table, &id, 1), PLASM_NO_MEMORY);
        assert_int_equal(table.size, 0);
        assert_null(table_find(&table, &own_hash));
        assert_null(table_next(&table, NULL));
    }
    failing.countdown = 1;
    failing.failed = false;
    assert_int_equal(put(&table, &id, 1), 0);
    /* New addresses do not fit: the old ones stay and the peer is renewed. */
    struct kad_addresses addresses = testing_address(&id, 10, 0, 0, 2);
    struct multiaddr more;
    assert_int_equal(multiaddr_parse(BYTES_LITERAL("/ip4/10.0.0.2/tcp/4001"), &more), 0);
    assert_true(kad_addresses_add(&addresses, &id, multiaddr_bytes(&more)));
    struct sha256_digest hash = testing_hash(&id);
    struct table_peer *peer;
    assert_int_equal(
        table_put(&table, &id, &hash, &nowhere, kad_addresses_bytes(&addresses), 7, &peer), 0);
    assert_int_equal(peer->seen, 7);
    assert_true(failing.failed);
    table_done(&table);
    assert_int_equal(failing.memory.used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_hold_what_belongs_there),
        cmocka_unit_test(closest_is_what_a_search_of_all_finds),
        cmocka_unit_test(a_network_gets_few_places),
        cmocka_unit_test(private_networks_are_exempt),
        cmocka_unit_test(renewal_changes_the_addresses),
        cmocka_unit_test(the_stalest_is_named),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
