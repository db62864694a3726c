/* Hosts on real sockets on loopback: everything of lib/host together, on loops of their own and of
 * others. */
#include "host/host.h"

#include <errno.h>

#include "host/identity_file.h"
#include "util/testing.h"
#include "wire/multihash.h"

#define PATIENCE (20 * NANOS_SECOND)
#define TEST_KAD "/host-test/kad/1.0.0"

/* A host and what was heard of it last. */
struct side {
    struct memory memory;
    struct signer *signer;
    struct host_config config;
    struct host *host;
    struct peer_id id;
    uint64_t request; /* waited for */
    bool answered;
    struct peer_event answer;
    char text[1024];
    size_t identified;
    size_t disconnected;
    size_t bootstrapped;
    size_t found;
};

static const struct host_address loopback4 = {{.family = NETADDR_IP4, .ip = {127, 0, 0, 1}}, 0, 0};
static const struct host_address loopback6 = {{.family = NETADDR_IP6, .ip = {[15] = 1}}, 0, 0};
static const struct host_address tcp4 = {{.family = NETADDR_IP4, .ip = {127, 0, 0, 1}}, true, 0};
static const struct host_address tcp6 = {{.family = NETADDR_IP6, .ip = {[15] = 1}}, true, 0};

static void on_event(void *context, const struct peer_event *event) {
    struct side *side = context;
    side->identified += event->type == PEER_EVENT_IDENTIFIED && event->error == 0;
    side->disconnected += event->type == PEER_EVENT_DISCONNECTED;
    side->bootstrapped += event->type == PEER_EVENT_BOOTSTRAPPED;
    side->found += event->type == PEER_EVENT_PROVIDER;
    bool ends = event->type != PEER_EVENT_PROVIDER;
    if (side->request != 0 && event->request == side->request && ends) {
        side->answered = true;
        side->answer = *event;
        bytes_cut_string(event->data, side->text, sizeof(side->text));
    }
}

static void side_begin(struct side *side, uv_loop_t *loop) {
    memset(side, 0, sizeof(*side));
    memory_init(&side->memory, SIZE_MAX);
    struct ed25519_secret secret;
    identity_fresh(&secret);
    assert_int_equal(signer_local_new(&secret, &side->memory, &side->signer), 0);
    ed25519_done(&secret);
    peer_id_from_key(signer_public_key(side->signer), &side->id);
    side->config = (struct host_config){.loop = loop,
                                        .signer = side->signer,
                                        .memory = &side->memory,
                                        .agent = "host-test/1",
                                        .kad_protocol = TEST_KAD,
                                        .on_event = on_event,
                                        .context = side};
}

static int side_try(struct side *side, uv_loop_t *loop, const struct host_address *listen,
                    struct host_fault *ret_fault) {
    side_begin(side, loop);
    side->config.listen = listen;
    side->config.listen_count = listen != NULL;
    side->config.kad_server = listen != NULL;
    return host_new(&side->config, &side->host, ret_fault);
}

static void side_start(struct side *side, uv_loop_t *loop, const struct host_address *listen) {
    assert_int_equal(side_try(side, loop, listen, NULL), 0);
    if (listen != NULL) {
        struct multiaddr addresses[4];
        assert_int_equal(host_publish_addresses(side->host, addresses, 4), 1);
    }
}

static void side_stop(struct side *side) {
    host_free(side->host);
    signer_free(side->signer);
    assert_int_equal(side->memory.used, 0);
}

static struct multiaddr address_of(const struct side *side) {
    struct host_address listening[2];
    struct multiaddr address;
    assert_int_equal(host_listening(side->host, listening, 2), 1);
    host_address_to_multiaddr(&listening[0], &address);
    return address;
}

/* Runs both until the condition holds. */
static bool run_until(struct side *a, struct side *b, const size_t *counter, size_t wanted,
                      const bool *flag) {
    nanos end = host_now() + PATIENCE;
    while (host_now() < end) {
        if (flag != NULL ? *flag : *counter >= wanted) {
            return true;
        }
        host_wait(a->host, host_now() + NANOS_MILLISECOND);
        if (b != NULL) {
            host_wait(b->host, host_now() + NANOS_MILLISECOND);
        }
    }
    return false;
}

static struct peer_connection *connect_to(struct side *a, struct side *b,
                                          const struct multiaddr *address) {
    a->answered = false;
    assert_int_equal(peer_connect(host_peer(a->host), &b->id, address, 1, host_now(), &a->request),
                     0);
    assert_true(run_until(a, b, NULL, 0, &a->answered));
    assert_int_equal(a->answer.type, PEER_EVENT_CONNECTED);
    return a->answer.connection;
}

static void meet(const struct host_address *listen) {
    struct side server;
    struct side client;
    side_start(&server, NULL, listen);
    side_start(&client, NULL, NULL);
    struct multiaddr address = address_of(&server);
    struct peer_connection *connection = connect_to(&client, &server, &address);
    assert_true(run_until(&client, &server, &client.identified, 1, NULL));
    assert_true(run_until(&client, &server, &server.identified, 1, NULL));
    client.answered = false;
    assert_int_equal(peer_ping(host_peer(client.host), connection, host_now(), &client.request), 0);
    assert_true(run_until(&client, &server, NULL, 0, &client.answered));
    assert_int_equal(client.answer.error, 0);
    assert_in_range(client.answer.elapsed, 1, NANOS_SECOND);
    struct quic_stats quic;
    struct pipe_stats pipes;
    host_quic_stats(server.host, &quic);
    host_pipe_stats(server.host, &pipes);
    assert_int_equal(quic.accepted, listen->is_tcp ? 0 : 1);
    assert_int_equal(pipes.accepted, listen->is_tcp ? 1 : 0);
    assert_true(quic.bytes_received + pipes.bytes_received > 0);
    /* A host that goes says so. */
    side_stop(&client);
    assert_true(run_until(&server, NULL, &server.disconnected, 1, NULL));
    side_stop(&server);
}

static void by_ip4(void **state) {
    (void)state;
    meet(&loopback4);
}

static void by_ip6(void **state) {
    (void)state;
    struct side probe;
    if (side_try(&probe, NULL, &loopback6, NULL) != 0) {
        signer_free(probe.signer);
        skip(); /* this system has no IPv6 */
    }
    side_stop(&probe);
    meet(&loopback6);
    meet(&tcp6);
}

static void by_tcp(void **state) {
    (void)state;
    meet(&tcp4);
}

/* A system that lacks a family does without it, unless it was asked for by name. */
static void what_is_optional(void **state) {
    (void)state;
    struct side side;
    struct host_address nowhere = {{.family = NETADDR_IP4, .ip = {192, 0, 2, 1}}, true, false};
    struct host_fault fault = {.system_error = 0};
    assert_int_equal(side_try(&side, NULL, &nowhere, &fault), PLASM_IO);
    assert_int_equal(fault.system_error, EADDRNOTAVAIL);
    assert_true(fault.address.is_tcp);
    signer_free(side.signer);
    struct host_address listen[2] = {nowhere, tcp4};
    listen[0].is_optional = true;
    side_begin(&side, NULL);
    side.config.listen = listen;
    side.config.listen_count = 2;
    assert_int_equal(host_new(&side.config, &side.host, NULL), 0);
    struct host_address listening[2];
    assert_int_equal(host_listening(side.host, listening, 2), 1);
    assert_true(listening[0].is_tcp);
    side_stop(&side);
}

static void by_name(void **state) {
    (void)state;
    struct side server;
    struct side client;
    side_start(&server, NULL, &loopback4);
    side_start(&client, NULL, NULL);
    struct host_address listening;
    assert_int_equal(host_listening(server.host, &listening, 1), 1);
    char text[64];
    snprintf(text, sizeof(text), "/dns4/localhost/udp/%u/quic-v1", listening.netaddr.port);
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    (void)connect_to(&client, &server, &address);
    side_stop(&client);
    side_stop(&server);
}

/* ICMP says at once that nobody is there. */
static void nobody_at(const struct host_address *listen, const char *where) {
    struct side gone;
    struct side client;
    side_start(&gone, NULL, listen);
    struct multiaddr address = address_of(&gone);
    side_stop(&gone);
    side_start(&client, NULL, NULL);
    nanos begun = host_now();
    assert_int_equal(
        peer_connect(host_peer(client.host), NULL, &address, 1, host_now(), &client.request), 0);
    assert_true(run_until(&client, NULL, NULL, 0, &client.answered));
    assert_int_equal(client.answer.type, PEER_EVENT_CONNECT_FAILED);
#ifdef __linux__
    assert_int_equal(client.answer.error, PLASM_UNREACHABLE);
    assert_in_range(host_now() - begun, 0, 5 * NANOS_SECOND);
#endif
    assert_non_null(strstr(client.text, where));
    side_stop(&client);
}

static void nobody_there(void **state) {
    (void)state;
    nobody_at(&loopback4, "/ip4/127.0.0.1/udp/");
    nobody_at(&tcp4, "/ip4/127.0.0.1/tcp/");
}

static void in_use(const struct host_address *listen) {
    struct side first;
    struct side second;
    side_start(&first, NULL, listen);
    struct host_address listening;
    assert_int_equal(host_listening(first.host, &listening, 1), 1);
    struct host_fault fault = {.system_error = 0};
    assert_int_equal(side_try(&second, NULL, &listening, &fault), PLASM_IO);
    assert_int_equal(fault.system_error, EADDRINUSE);
    assert_true(netaddr_equal(&fault.address.netaddr, &listening.netaddr));
    signer_free(second.signer);
    assert_int_equal(second.memory.used, 0);
    side_stop(&first);
}

static void address_in_use(void **state) {
    (void)state;
    in_use(&loopback4);
    in_use(&tcp4);
}

/* Two hosts on a loop that is somebody else's, who goes on with it when they are gone. */
static void on_a_shared_loop(void **state) {
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct side server;
    struct side client;
    side_start(&server, &loop, &loopback4);
    side_start(&client, &loop, NULL);
    assert_ptr_equal(host_loop(server.host), &loop);
    struct multiaddr address = address_of(&server);
    (void)connect_to(&client, &server, &address);
    host_free(client.host);
    host_free(server.host);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    signer_free(client.signer);
    signer_free(server.signer);
    assert_int_equal(client.memory.used, 0);
    assert_int_equal(server.memory.used, 0);
}

static void into_the_dht(void **state) {
    (void)state;
    struct side first;
    struct side worker;
    side_start(&first, NULL, &loopback4);
    side_start(&worker, NULL, &loopback4);
    struct multiaddr address = address_of(&first);
    peer_bootstrap(host_peer(worker.host), &address, 1, host_now());
    assert_true(run_until(&worker, &first, &worker.bootstrapped, 1, NULL));
    uint8_t key[CONTENT_KEY_SIZE];
    content_key(BYTES_LITERAL("tag"), key);
    assert_int_equal(
        peer_provide(host_peer(worker.host), BYTES_ARRAY(key), host_now(), &worker.request), 0);
    assert_true(run_until(&worker, &first, NULL, 0, &worker.answered));
    assert_int_equal(worker.answer.error, 0);
    assert_int_equal(
        peer_find_providers(host_peer(first.host), BYTES_ARRAY(key), 1, host_now(), &first.request),
        0);
    assert_true(run_until(&first, &worker, NULL, 0, &first.answered));
    assert_int_equal(first.found, 1);
    side_stop(&worker);
    side_stop(&first);
}

static void waiting_ends(void **state) {
    (void)state;
    struct side side;
    side_start(&side, NULL, &loopback4);
    host_wake(side.host);
    host_wait(side.host, NANOS_NEVER); /* woken: does not wait for ever */
    nanos begun = host_now();
    while (host_now() < begun + 5 * NANOS_MILLISECOND) {
        host_wait(side.host, begun + 5 * NANOS_MILLISECOND);
    }
    assert_in_range(host_now() - begun, 5 * NANOS_MILLISECOND, PATIENCE);
    side_stop(&side);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_ip4),         cmocka_unit_test(by_ip6),
        cmocka_unit_test(by_tcp),         cmocka_unit_test(what_is_optional),
        cmocka_unit_test(by_name),        cmocka_unit_test(nobody_there),
        cmocka_unit_test(address_in_use), cmocka_unit_test(on_a_shared_loop),
        cmocka_unit_test(into_the_dht),   cmocka_unit_test(waiting_ends),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
