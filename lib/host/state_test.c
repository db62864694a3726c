/* What a client remembers: kept over runs, the latest first, damaged files count as empty. */
#include "host/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/testing.h"

#define ID "12D3KooWGjMCaZqSw4zYTvTkcv8sPLJWsa8yNKpVg3AXBmWKTYtq"

static char directory[64];

static int make_directory(void **state) {
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/plasm-state-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state) {
    (void)state;
    static const char *const names[] = {"peers", "known_nodes", "below/peers", "below"};
    char path[128];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)remove(path);
    }
    return rmdir(directory);
}

static struct multiaddr numbered(int number) {
    char text[160];
    snprintf(text, sizeof(text), "/ip4/192.0.2.1/udp/%d/quic-v1/p2p/" ID, number + 1);
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

static void peers_are_kept_latest_first(void **unused) {
    (void)unused;
    static struct state state;
    state_load(&state, directory);
    assert_int_equal(state.peer_count, 0);
    for (int i = 0; i < STATE_PEERS_MAX + 5; i++) {
        struct multiaddr address = numbered(i);
        state_remember(&state, &address);
    }
    struct multiaddr again = numbered(10);
    state_remember(&state, &again);
    state_save(&state);
    state_load(&state, directory);
    assert_int_equal(state.peer_count, STATE_PEERS_MAX);
    assert_true(multiaddr_equal(&state.peers[0], &again));
    struct multiaddr last = numbered(STATE_PEERS_MAX + 4);
    assert_true(multiaddr_equal(&state.peers[1], &last));
}

static void identities_are_trusted_on_first_use(void **unused) {
    (void)unused;
    static struct state state;
    struct peer_id id;
    struct multiaddr address;
    assert_int_equal(peer_id_parse(bytes_of_string(ID), &id), 0);
    assert_int_equal(
        multiaddr_parse(BYTES_LITERAL("/dns/worker.example/udp/4001/quic-v1"), &address), 0);
    state_load(&state, directory);
    assert_null(state_identity(&state, &address));
    state_remember_identity(&state, &address, &id);
    state_save(&state);
    state_load(&state, directory);
    const struct peer_id *known = state_identity(&state, &address);
    assert_non_null(known);
    assert_true(peer_id_equal(known, &id));
    /* QUIC or TCP, it is one node; another port or name is another. */
    static const struct {
        const char *text;
        bool known;
    } cases[] = {
        {"/dns/worker.example/tcp/4001", true},
        {"/dns/worker.example/tcp/4002", false},
        {"/dns/worker.example", false},
        {"/dns/other.example/udp/4001/quic-v1", false},
    };
    struct multiaddr alike;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(multiaddr_parse(bytes_of_string(cases[i].text), &alike), 0);
        assert_int_equal(state_identity(&state, &alike) != NULL, cases[i].known);
    }
    size_t count = state.known_count;
    assert_int_equal(multiaddr_parse(BYTES_LITERAL("/dns/worker.example/tcp/4001"), &alike), 0);
    state_remember_identity(&state, &alike, &id);
    assert_int_equal(state.known_count, count);
    /* The first one stays. */
    struct peer_id other = id;
    other.bytes[10] ^= 1;
    state_remember_identity(&state, &address, &other);
    assert_true(peer_id_equal(state_identity(&state, &address), &id));
}

static void damaged_files_count_as_empty(void **unused) {
    (void)unused;
    static struct state state;
    char path[128];
    snprintf(path, sizeof(path), "%s/peers", directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (int i = 0; i < 5000; i++) {
        (void)fputc(i % 251, file);
    }
    (void)fprintf(file,
                  "\n/ip4/192.0.2.1/udp/1/quic-v1\n/ip4/192.0.2.1/udp/1/quic-v1/p2p/" ID "\n");
    assert_int_equal(fclose(file), 0);
    state_load(&state, directory);
    assert_int_equal(state.peer_count, 1); /* the one good line with a peer id */
}

static void directories_are_made_and_may_be_missing(void **unused) {
    (void)unused;
    static struct state state;
    char below[128];
    snprintf(below, sizeof(below), "%s/below", directory);
    struct multiaddr address = numbered(1);
    state_load(&state, below);
    state_remember(&state, &address);
    state_save(&state);
    state_load(&state, below);
    assert_int_equal(state.peer_count, 1);
    state_load(&state, "");
    state_remember(&state, &address);
    state_save(&state); /* remembers nothing, and fails nothing */
    state_load(&state, "/proc/nowhere");
    state_remember(&state, &address);
    state_save(&state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_are_kept_latest_first),
        cmocka_unit_test(identities_are_trusted_on_first_use),
        cmocka_unit_test(damaged_files_count_as_empty),
        cmocka_unit_test(directories_are_made_and_may_be_missing),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
