/* How fast the DHT machine is by itself, without network and cryptography, and how much memory a
 * node takes: closest in a filled table, answers, whole lookups among a hundred machines. */
#include <time.h>

#include "crypto/sign.h"
#include "proto/kad/machine_testing.h"
#include "proto/kad/network_testing.h"
#include "proto/kad/table.h"

#define PEERS    20000
#define SEARCHES 200000
#define ANSWERS  100000
#define LOOKUPS  2000

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void bench_table(void) {
    struct memory memory;
    struct random random;
    struct table table;
    memory_init(&memory, SIZE_MAX);
    testing_random(&random, 1);
    struct peer_id own = testing_peer(&random);
    struct sha256_digest hash = testing_hash(&own);
    table_init(&table, &memory, &hash);
    for (size_t i = 0; i < PEERS; i++) {
        struct peer_id id = testing_peer(&random);
        struct kad_addresses addresses = testing_address(&id, 10, 0, 0, 1);
        struct sha256_digest of_id = testing_hash(&id);
        const struct kad_groups nowhere = {0};
        struct table_peer *peer;
        int error =
            table_put(&table, &id, &of_id, &nowhere, kad_addresses_bytes(&addresses), i, &peer);
        ENSURE(error == 0 || error == PLASM_LIMIT);
    }
    printf("table filled from %d peers: %zu kept, %zu bytes, %zu a peer\n", PEERS, table.size,
           memory.used, memory.used / table.size);
    size_t found = 0;
    double start = now_s();
    for (uint64_t i = 0; i < SEARCHES; i++) {
        struct sha256_digest target = {{0}};
        memcpy(target.bytes, &i, sizeof(i));
        const struct table_peer *peers[KAD_K];
        found += table_closest(&table, &target, NULL, false, peers, KAD_K);
    }
    double elapsed = now_s() - start;
    ENSURE(found == (size_t)SEARCHES * KAD_K);
    printf("closest %d: %.0f/s\n", KAD_K, SEARCHES / elapsed);
    table_done(&table);
}

static void bench_answers(void) {
    static struct machine machine;
    machine_setup(&machine, KAD_SERVER, NULL);
    for (size_t i = 0; i < 2000; i++) {
        struct peer_id id = testing_peer(&machine.random);
        machine_admit(&machine, &id, NULL);
    }
    struct peer_id asker = testing_peer(&machine.random);
    size_t bytes = 0;
    double start = now_s();
    for (uint32_t i = 0; i < ANSWERS; i++) {
        uint8_t request[64];
        uint8_t room[KAD_MESSAGE_SIZE_MAX];
        size_t size;
        struct writer writer = writer_of((struct span){request, sizeof(request)});
        kad_message_put_head(&writer, KAD_MESSAGE_FIND_NODE, bytes_of(&i, sizeof(i)));
        int error = kad_request(machine.kad, &asker, NULL, writer_bytes(&writer),
                                (struct span){room, sizeof(room)}, machine.now, &size);
        ENSURE(error == 0);
        bytes += size;
    }
    double elapsed = now_s() - start;
    printf("FIND_NODE answered from a table of %zu: %.0f/s, %zu bytes each\n",
           machine_counts(&machine).table_peers, ANSWERS / elapsed, bytes / ANSWERS);
    machine_teardown(&machine);
}

static void bench_network(size_t count) {
    struct network network;
    network_init(&network, count, 1);
    double start = now_s();
    network_grow(&network, count);
    double grown = now_s() - start;
    size_t used = 0;
    size_t table_peers = 0;
    for (size_t i = 0; i < count; i++) {
        struct kad_counts counts;
        kad_count(network.nodes[i].kad, &counts);
        used += network.nodes[i].memory.used;
        table_peers += counts.table_peers;
    }
    printf(
        "network of %zu: %.2f s to join, %.1f us a request at both ends, %zu bytes and %zu table "
        "peers a node\n",
        count, grown, grown * 1e6 / (double)network.requests, used / count, table_peers / count);
    size_t asked = 0;
    size_t requests = network.requests;
    start = now_s();
    for (size_t i = 0; i < LOOKUPS; i++) {
        uint8_t room[34];
        struct bytes key = network_random_key(&network, room);
        const struct network_result *result =
            network_find_closest(&network, (size_t)random_below(&network.random, count), key);
        ENSURE(result->done.status == 0);
        asked += result->done.asked;
    }
    double elapsed = now_s() - start;
    printf("lookups: %.0f/s, %.1f requests each, %.1f us a request at both ends\n",
           LOOKUPS / elapsed, (double)asked / LOOKUPS,
           elapsed * 1e6 / (double)(network.requests - requests));
    network_done(&network);
}

int main(void) {
    int error = crypto_init();
    ENSURE(error == 0);
    bench_table();
    bench_answers();
    bench_network(50);
    bench_network(200);
    return 0;
}
