/* Names: addresses through the system's resolver, and /dnsaddr against a name server of our own, in
 * a network and a file system of its own, since resolvers take their server from /etc/resolv.conf.
 */
#include "host/dns.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/testing.h"

#ifdef __linux__
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#endif

#define TEST_ADDRESS                                                                               \
    "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"

/* What a lookup brought. */
struct result {
    size_t answers;
    uint64_t request;
    size_t count;
    struct multiaddr addresses[DNS_RESULTS_MAX];
};

static void on_done(void *context, uint64_t request, const struct multiaddr *results,
                    size_t count) {
    struct result *result = context;
    result->answers++;
    result->request = request;
    result->count = count;
    memcpy(result->addresses, results, count * sizeof(*results));
}

static void lookup(enum multiaddr_code code, const char *name, struct result *ret_result) {
    uv_loop_t loop;
    struct dns *dns;
    struct result result = {.answers = 0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(dns_new(&loop, on_done, &result, &dns), 0);
    assert_int_equal(dns_resolve(dns, 7, code, bytes_of_string(name)), 0);
    while (result.answers == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    dns_free(dns);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(result.answers, 1);
    assert_int_equal(result.request, 7);
    *ret_result = result;
}

static bool has(const struct result *result, const char *text) {
    struct multiaddr wanted;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &wanted), 0);
    for (size_t i = 0; i < result->count; i++) {
        if (multiaddr_equal(&result->addresses[i], &wanted)) {
            return true;
        }
    }
    return false;
}

static void localhost(void **state) {
    (void)state;
    struct result result;
    lookup(MULTIADDR_DNS4, "localhost", &result);
    assert_int_equal(result.count, 1);
    assert_true(has(&result, "/ip4/127.0.0.1"));
    lookup(MULTIADDR_DNS, "localhost", &result);
    assert_true(has(&result, "/ip4/127.0.0.1") || has(&result, "/ip6/::1"));
}

static void bad_names(void **state) {
    (void)state;
    uv_loop_t loop;
    struct dns *dns;
    struct result result = {.answers = 0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(dns_new(&loop, on_done, &result, &dns), 0);
    char long_name[DNS_NAME_MAX + 2];
    memset(long_name, 'a', sizeof(long_name));
    assert_int_equal(dns_resolve(dns, 1, MULTIADDR_DNS, bytes_of(NULL, 0)), PLASM_INVALID);
    assert_int_equal(dns_resolve(dns, 1, MULTIADDR_DNS, BYTES_LITERAL("a\0b")), PLASM_INVALID);
    assert_int_equal(dns_resolve(dns, 1, MULTIADDR_DNSADDR, bytes_of(long_name, sizeof(long_name))),
                     PLASM_INVALID);
    dns_free(dns);
    dns_free(NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(result.answers, 0);
}

#ifdef __linux__

/* Appends a TXT record for the question's name. */
static size_t put_txt(uint8_t *at, const char *text) {
    size_t size = strlen(text);
    static const uint8_t head[] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60};
    memcpy(at, head, sizeof(head));
    at[10] = (uint8_t)((size + 1) >> 8);
    at[11] = (uint8_t)(size + 1);
    at[12] = (uint8_t)size;
    memcpy(at + 13, text, size);
    return 13 + size;
}

/* Answers every question: for names that begin with "_dnsaddr" TXT records, for others that there
 * is no such name. */
static void *serve(void *context) {
    static const char *const records[] = {
        ("dnsaddr=" TEST_ADDRESS),
        "v=spf1 -all",
        "dnsaddr=/dnsaddr/other.example",
        "dnsaddr=nonsense",
    };
    int fd = *(int *)context;
    for (;;) {
        uint8_t packet[1500];
        struct sockaddr_storage from;
        socklen_t from_size = sizeof(from);
        ssize_t size = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &from_size);
        if (size < 17) {
            return NULL;
        }
        /* The question alone: what follows it (EDNS) is not answered. */
        size_t end = 12;
        while (packet[end] != 0) {
            end += 1u + packet[end];
        }
        end += 5;
        bool known = packet[12] == 8 && memcmp(packet + 13, "_dnsaddr", 8) == 0 &&
                     memcmp(packet + 22, "boot", 4) == 0;
        packet[2] = 0x84;
        packet[3] = known ? 0x80 : 0x83;
        packet[6] = 0;
        packet[7] = known ? ARRAY_SIZE(records) : 0;
        memset(packet + 8, 0, 4);
        for (size_t i = 0; known && i < ARRAY_SIZE(records); i++) {
            end += put_txt(packet + end, records[i]);
        }
        (void)sendto(fd, packet, end, 0, (struct sockaddr *)&from, from_size);
    }
}

static bool write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    (void)close(fd);
    return written;
}

/* A world with one name server, 127.0.0.1. False where the system does not allow it. */
static bool enter_own_world(int *ret_fd) {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
        return false;
    }
    char path[] = "/tmp/dns-test-XXXXXX";
    int file = mkstemp(path);
    bool mounted = file >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   write_file(path, "nameserver 127.0.0.1\n") &&
                   mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
    (void)close(file);
    (void)unlink(path);
    struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_up = ioctl(control, SIOCSIFFLAGS, &up) == 0;
    (void)close(control);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *ret_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return mounted && is_up && bind(*ret_fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

enum { CANNOT = 77 };

/* In a process of its own, since there is no way back. */
static int in_own_world(void) {
    int fd = -1;
    pthread_t server;
    if (!enter_own_world(&fd) || pthread_create(&server, NULL, serve, &fd) != 0) {
        return CANNOT;
    }
    struct result result;
    lookup(MULTIADDR_DNSADDR, "boot.example", &result);
    bool found =
        result.count == 2 && has(&result, "/dnsaddr/other.example") && has(&result, TEST_ADDRESS);
    lookup(MULTIADDR_DNSADDR, "none.example", &result);
    bool none = result.count == 0;
    lookup(MULTIADDR_DNS4, "none.example", &result);
    none = none && result.count == 0;
    return found && none ? 0 : 1;
}

static void dnsaddr(void **state) {
    (void)state;
    (void)fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(in_own_world());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost),
        cmocka_unit_test(bad_names),
#ifdef __linux__
        cmocka_unit_test(dnsaddr),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
