/* TCP sockets as pipes: sends that go in parts, ends of every kind, nobody there, and a system that
 * has nothing left to give. */
#include "host/tcp_testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sockaddr.h"

#define MIB ((size_t)1 << 20)

static struct tcp_pair pair;

static int set_up(void **state) {
    (void)state;
    tcp_pair_init(&pair, &pipe_limits_default);
    return 0;
}

static int set_up_hasty(void **state) {
    (void)state;
    struct pipe_limits limits = pipe_limits_default;
    limits.handshake_timeout = 200 * NANOS_MILLISECOND;
    limits.linger_timeout = 200 * NANOS_MILLISECOND;
    tcp_pair_init(&pair, &limits);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tcp_pair_done(&pair);
    return 0;
}

/* A plain socket, connecting to `to`. */
static int plain_socket(const struct netaddr *to) {
    struct sockaddr_storage name;
    socklen_t size = sockaddr_from_netaddr(to, &name);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_true(connect(fd, (struct sockaddr *)&name, size) == 0 || errno == EINPROGRESS);
    return fd;
}

/* A plain socket that listens, and where. */
static int plain_listener(int backlog, struct netaddr *ret_address) {
    const struct netaddr any = {.family = NETADDR_IP4, .ip = {127, 0, 0, 1}};
    struct sockaddr_storage name;
    socklen_t size = sockaddr_from_netaddr(&any, &name);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    size = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    assert_int_equal(sockaddr_to_netaddr((struct sockaddr *)&name, ret_address), 0);
    return fd;
}

/* Ends it with a reset. */
static void reset_socket(int fd) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    assert_int_equal(close(fd), 0);
}

/* True once the other side has ended it. */
static bool has_ended(int fd) {
    uint8_t room[256];
    ssize_t size = recv(fd, room, sizeof(room), MSG_DONTWAIT);
    while (size > 0) {
        size = recv(fd, room, sizeof(room), MSG_DONTWAIT);
    }
    return size == 0 || (errno != EAGAIN && errno != ENOTCONN);
}

/* Every connected socket of this process gets as little room for sending as the kernel gives:
 * whatever is sent is sent in many parts, and often not at all. How many there are. */
static size_t narrow_sockets(void) {
    size_t count = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage name;
        socklen_t size = sizeof(name);
        const int small = 2048;
        if (getpeername(fd, (struct sockaddr *)&name, &size) == 0 && name.ss_family == AF_INET) {
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
            count++;
        }
    }
    return count;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void both_ways(size_t size) {
    tcp_pair_connect(&pair);
    struct tcp_side *a = &pair.sides[0];
    struct tcp_side *b = &pair.sides[1];
    assert_int_equal(narrow_sockets(), 2);
    a->to_send = size;
    tcp_side_send(a);
    TCP_PAIR_UNTIL(&pair, b->stream != NULL);
    b->to_send = size;
    tcp_side_send(b);
    TCP_PAIR_UNTIL(&pair, a->ended && b->ended);
    assert_int_equal(a->received, size);
    assert_int_equal(b->received, size);
    assert_false(a->wrong || b->wrong);
    struct pipe_stats stats;
    pipe_transport_stats(a->pipes, &stats);
    assert_true(stats.bytes_sent > size && stats.bytes_received > size);
}

static void partial_sends(void **state) {
    (void)state;
    both_ways(4 * MIB);
}

/* What the kernel does not take counts in a budget; where that is spent less is taken at a time. */
static void unsent_bytes_are_bounded(void **state) {
    (void)state;
    const size_t spent = 50000;
    tcp_pair_connect(&pair);
    struct tcp_side *a = &pair.sides[0];
    struct tcp_side *b = &pair.sides[1];
    assert_int_equal(narrow_sockets(), 2);
    pair.budget = (struct budget){.bytes = spent, .bytes_max = spent};
    a->to_send = 4 * MIB;
    tcp_side_send(a);
    size_t most = 0;
    TCP_PAIR_UNTIL(&pair, (most = pair.budget.bytes > most ? pair.budget.bytes : most,
                           b->ended || a->closed > 0));
    assert_int_equal(a->closed, 0);
    assert_int_equal(b->received, 4 * MIB);
    assert_false(b->wrong);
    assert_in_range(most, spent + 1, spent + 2 * TCP_UNSENT_BYTES_GUARANTEED);
    TCP_PAIR_UNTIL(&pair, pair.budget.bytes == spent);
    pair.budget.bytes = 0;
}

/* What was written before an end still arrives. */
static void orderly_end(void **state) {
    (void)state;
    tcp_pair_connect(&pair);
    struct tcp_side *a = &pair.sides[0];
    struct tcp_side *b = &pair.sides[1];
    a->to_send = 100000;
    tcp_side_send(a);
    TCP_PAIR_UNTIL(&pair, b->ended);
    a->pipes->verbs->close(a->link, 0, "", host_now());
    TCP_PAIR_UNTIL(&pair, a->closed == 1 && b->closed == 1);
    assert_int_equal(a->error, 0);
    assert_int_equal(b->error, 0);
    assert_int_equal(b->received, 100000);
    TCP_PAIR_UNTIL(&pair, narrow_sockets() == 0); /* both sockets are gone */
}

static void both_end_at_once(void **state) {
    (void)state;
    tcp_pair_connect(&pair);
    struct tcp_side *a = &pair.sides[0];
    struct tcp_side *b = &pair.sides[1];
    a->to_send = 3 * MIB; /* in the middle of something */
    tcp_side_send(a);
    TCP_PAIR_UNTIL(&pair, b->received > 0);
    a->pipes->verbs->close(a->link, 0, "", host_now());
    b->pipes->verbs->close(b->link, 0, "", host_now());
    TCP_PAIR_UNTIL(&pair, a->closed == 1 && b->closed == 1);
    TCP_PAIR_UNTIL(&pair, narrow_sockets() == 0);
}

/* --- ends ------------------------------------------------------------------------------------- */

/* The process on the other side has died, or its machine was restarted. */
static void reset_while_open(void **state) {
    (void)state;
    tcp_pair_connect(&pair);
    struct tcp_side *a = &pair.sides[0];
    struct tcp_side *b = &pair.sides[1];
    a->to_send = 64 * MIB;
    tcp_side_send(a);
    TCP_PAIR_UNTIL(&pair, b->received > 0);
    pipe_transport_close(b->pipes, host_now());
    tcp_free(b->tcp, tcp_side_freed, b);
    b->tcp = NULL;
    TCP_PAIR_UNTIL(&pair, a->closed == 1);
    assert_true(a->error == PLASM_CLOSED || a->error == 0);
    /* A new one in its place for what frees both. */
    const struct tcp_config again = {.loop = &pair.loop,
                                     .pipes = b->pipes,
                                     .now = host_now,
                                     .drain = tcp_side_drain,
                                     .context = b};
    TCP_PAIR_UNTIL(&pair, b->freed);
    b->freed = false;
    assert_int_equal(tcp_new(&again, &b->tcp), 0);
}

static void reset_in_a_handshake(void **state) {
    (void)state;
    struct netaddr to = tcp_pair_listen(&pair);
    struct pipe_stats stats;
    for (int i = 0; i < 30; i++) {
        int fd = plain_socket(&to);
        TCP_PAIR_UNTIL(&pair, (pipe_transport_stats(pair.sides[1].pipes, &stats),
                               stats.handshakes_inbound == 1));
        if (i % 2 == 0) {
            assert_true(send(fd, "\x13/multi", 7, MSG_NOSIGNAL) == 7);
        }
        if (i % 3 == 0) {
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
        } else {
            reset_socket(fd);
        }
        TCP_PAIR_UNTIL(&pair, (pipe_transport_stats(pair.sides[1].pipes, &stats),
                               stats.handshakes_inbound == 0));
        if (i % 3 == 0) {
            TCP_PAIR_UNTIL(&pair, has_ended(fd));
            (void)close(fd);
        }
    }
    assert_int_equal(stats.handshakes_failed, 30);
    assert_int_equal(pair.sides[1].connected, 0);
}

/* --- nobody ----------------------------------------------------------------------------------- */

static void refused(void **state) {
    (void)state;
    struct netaddr to;
    (void)close(plain_listener(1, &to));
    tcp_pair_dial(&pair, &to);
    TCP_PAIR_UNTIL(&pair, pair.sides[0].closed == 1);
    assert_int_equal(pair.sides[0].error, PLASM_UNREACHABLE);
}

/* It is accepted by the system, and nobody answers. */
static void silent(void **state) {
    (void)state;
    struct netaddr to;
    int listener = plain_listener(5, &to);
    tcp_pair_dial(&pair, &to);
    TCP_PAIR_UNTIL(&pair, pair.sides[0].closed == 1);
    assert_int_equal(pair.sides[0].error, PLASM_TIMEOUT);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    TCP_PAIR_UNTIL(&pair, has_ended(fd));
    (void)close(fd);
    (void)close(listener);
}

/* The other side's queue is full: its system does not answer at all. */
static void full_queue(void **state) {
    (void)state;
    struct netaddr to;
    int listener = plain_listener(0, &to);
    int waiting[4];
    for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
        waiting[i] = plain_socket(&to);
    }
    tcp_pair_dial(&pair, &to);
    TCP_PAIR_UNTIL(&pair, pair.sides[0].closed == 1);
    assert_int_equal(pair.sides[0].error, PLASM_TIMEOUT);
    assert_int_equal(pair.sides[0].connected, 0);
    for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
        (void)close(waiting[i]);
    }
    (void)close(listener);
}

/* --- many ------------------------------------------------------------------------------------- */

/* More at once than are accepted in a turn. */
static void a_long_queue(void **state) {
    (void)state;
    struct netaddr to = tcp_pair_listen(&pair);
    int sockets[100];
    struct pipe_stats stats;
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        sockets[i] = plain_socket(&to);
    }
    TCP_PAIR_UNTIL(&pair, (pipe_transport_stats(pair.sides[1].pipes, &stats),
                           stats.handshakes_inbound == ARRAY_SIZE(sockets)));
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        TCP_PAIR_UNTIL(&pair, has_ended(sockets[i])); /* they have said nothing for too long */
        (void)close(sockets[i]);
    }
    pipe_transport_stats(pair.sides[1].pipes, &stats);
    assert_int_equal(stats.handshakes_failed, ARRAY_SIZE(sockets));
}

/* The lowest descriptor that is free: as many as may be open from now on. */
static rlim_t descriptors(void) {
    int fd = dup(0);
    assert_true(fd >= 0);
    (void)close(fd);
    return (rlim_t)fd;
}

static void allow(rlim_t count, struct rlimit *ret_before) {
    assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_before), 0);
    const struct rlimit limit = {.rlim_cur = count, .rlim_max = ret_before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Turns of the loop in some time in which nobody can be accepted. */
static size_t turns_in(nanos time) {
    size_t turns = 0;
    nanos end = host_now() + time;
    while (host_now() < end) {
        tcp_pair_turn(&pair);
        turns++;
    }
    return turns;
}

/* Without a descriptor for one more those who wait are turned away, by the one kept for that. */
static void no_descriptors(void **state) {
    (void)state;
    struct netaddr to = tcp_pair_listen(&pair);
    struct rlimit before;
    int sockets[8];
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        sockets[i] = plain_socket(&to);
    }
    allow(descriptors(), &before);
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        TCP_PAIR_UNTIL(&pair, has_ended(sockets[i]));
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    struct pipe_stats stats;
    pipe_transport_stats(pair.sides[1].pipes, &stats);
    assert_int_equal(stats.handshakes_inbound, 0);
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
        (void)close(sockets[i]);
    }
    tcp_pair_dial(&pair, &to);
    TCP_PAIR_UNTIL(&pair, pair.sides[1].connected == 1);
}

static int set_up_without_spare(void **state) {
    struct rlimit before;
    assert_int_equal(uv_loop_init(&pair.loop), 0); /* what a loop needs is open from now on */
    assert_int_equal(uv_loop_close(&pair.loop), 0);
    (void)state;
    tcp_pair_init(&pair, &pipe_limits_default);
    struct tcp_side *side = &pair.sides[1];
    tcp_free(side->tcp, tcp_side_freed, side);
    side->tcp = NULL;
    TCP_PAIR_UNTIL(&pair, side->freed);
    side->freed = false;
    pipe_transport_free(side->pipes);
    allow(descriptors(), &before);
    tcp_side_init(&pair, side, 2, &pipe_limits_default);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    return 0;
}

/* Where even that one is missing nobody is accepted for a while, instead of trying all the time. */
static void no_spare_descriptor(void **state) {
    (void)state;
    struct netaddr to = tcp_pair_listen(&pair);
    struct rlimit before;
    int fd = plain_socket(&to);
    allow(descriptors(), &before);
    size_t turns = turns_in(300 * NANOS_MILLISECOND);
    bool ended = has_ended(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(ended);
    assert_true(turns < 1000); /* a tick a millisecond, and a few for what waits */
    struct pipe_stats stats;
    TCP_PAIR_UNTIL(
        &pair, (pipe_transport_stats(pair.sides[1].pipes, &stats), stats.handshakes_inbound == 1));
    (void)close(fd);
}

/* It is freed while nobody is accepted: that ends with it. */
static void freed_in_a_pause(void **state) {
    (void)state;
    struct netaddr to = tcp_pair_listen(&pair);
    struct tcp_side *side = &pair.sides[1];
    struct rlimit before;
    int fd = plain_socket(&to);
    allow(descriptors(), &before);
    (void)turns_in(20 * NANOS_MILLISECOND);
    tcp_free(side->tcp, tcp_side_freed, side);
    side->tcp = NULL;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    nanos end = host_now() + 300 * NANOS_MILLISECOND;
    while (host_now() < end) { /* the loop does not turn before the pause would be over */
    }
    assert_false(side->freed);
    TCP_PAIR_UNTIL(&pair, side->freed);
    (void)close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(partial_sends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unsent_bytes_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(orderly_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_end_at_once, set_up_hasty, tear_down),
        cmocka_unit_test_setup_teardown(reset_while_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reset_in_a_handshake, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent, set_up_hasty, tear_down),
        cmocka_unit_test_setup_teardown(full_queue, set_up_hasty, tear_down),
        cmocka_unit_test_setup_teardown(a_long_queue, set_up_hasty, tear_down),
        cmocka_unit_test_setup_teardown(no_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_spare_descriptor, set_up_without_spare, tear_down),
        cmocka_unit_test_setup_teardown(freed_in_a_pause, set_up_without_spare, tear_down),
    };
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
