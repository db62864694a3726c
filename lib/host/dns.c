/* DNS on the loop: getaddrinfo in libuv's threads, c-ares on its own sockets. */
#include "host/dns.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/sockaddr.h"
#include "util/list.h"

/* A socket of c-ares, watched by the loop. */
struct dns_watch {
    struct list_node node;
    struct dns *dns;
    ares_socket_t fd;
    uv_poll_t poll;
};

struct dns {
    uv_loop_t *loop;
    dns_done *done;
    void *context;
    ares_channel channel;
    bool has_channel;
    bool freed;
    size_t references; /* the owner, requests and handles that the loop still holds */
    struct list watches;
    uv_timer_t timer;
};

struct dns_request {
    struct dns *dns;
    uint64_t request;
    uv_getaddrinfo_t lookup;
};

static void release(struct dns *dns) {
    dns->references--;
    if (dns->references == 0) {
        free(dns);
    }
}

static void finish(struct dns_request *request, const struct multiaddr *results, size_t count) {
    struct dns *dns = request->dns;
    if (!dns->freed) {
        dns->done(dns->context, request->request, results, count);
    }
    free(request);
    release(dns);
}

static void on_addresses(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list) {
    struct dns_request *request = CONTAINER_OF(lookup, struct dns_request, lookup);
    struct multiaddr results[DNS_RESULTS_MAX];
    size_t count = 0;
    for (struct addrinfo *info = status == 0 ? list : NULL; info != NULL && count < DNS_RESULTS_MAX;
         info = info->ai_next) {
        struct netaddr address;
        if (sockaddr_to_netaddr(info->ai_addr, &address) != 0) {
            continue;
        }
        results[count].size = 0;
        uint64_t code = address.family == NETADDR_IP4 ? MULTIADDR_IP4 : MULTIADDR_IP6;
        count += multiaddr_append(&results[count], code, netaddr_ip(&address)) == 0;
    }
    uv_freeaddrinfo(list);
    finish(request, results, count);
}

/* Records "dnsaddr=<multiaddr>"; others are somebody else's. */
static size_t read_records(const struct ares_txt_ext *records, struct multiaddr *results) {
    static const char prefix[] = "dnsaddr=";
    size_t count = 0;
    for (const struct ares_txt_ext *record = records; record != NULL && count < DNS_RESULTS_MAX;
         record = record->next) {
        struct bytes text = bytes_of(record->txt, record->length);
        if (bytes_start_with(text, BYTES_LITERAL(prefix))) {
            text = bytes_slice(text, sizeof(prefix) - 1, text.size);
            count += multiaddr_parse(text, &results[count]) == 0;
        }
    }
    return count;
}

static void on_records(void *context, int status, int timeouts, unsigned char *answer, int size) {
    (void)timeouts;
    struct dns_request *request = context;
    struct multiaddr results[DNS_RESULTS_MAX];
    struct ares_txt_ext *records = NULL;
    size_t count = 0;
    if (status == ARES_SUCCESS && ares_parse_txt_reply_ext(answer, size, &records) == 0) {
        count = read_records(records, results);
        ares_free_data(records);
    }
    finish(request, results, count);
}

static void on_watch_closed(uv_handle_t *handle) {
    struct dns_watch *watch = handle->data;
    struct dns *dns = watch->dns;
    free(watch);
    release(dns);
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct dns_watch *watch = CONTAINER_OF(poll, struct dns_watch, poll);
    struct dns *dns = watch->dns;
    bool readable = status < 0 || (events & UV_READABLE) != 0;
    bool writable = status < 0 || (events & UV_WRITABLE) != 0;
    ares_process_fd(dns->channel, readable ? watch->fd : ARES_SOCKET_BAD,
                    writable ? watch->fd : ARES_SOCKET_BAD);
}

static void on_timer(uv_timer_t *timer) {
    struct dns *dns = CONTAINER_OF(timer, struct dns, timer);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (list_empty(&dns->watches)) {
        (void)uv_timer_stop(timer);
    }
}

static struct dns_watch *find_watch(struct dns *dns, ares_socket_t fd) {
    for (struct list_node *node = list_first(&dns->watches); node != NULL;
         node = list_next(&dns->watches, node)) {
        struct dns_watch *watch = CONTAINER_OF(node, struct dns_watch, node);
        if (watch->fd == fd) {
            return watch;
        }
    }
    return NULL;
}

static struct dns_watch *add_watch(struct dns *dns, ares_socket_t fd) {
    struct dns_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL || uv_poll_init(dns->loop, &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->dns = dns;
    watch->fd = fd;
    watch->poll.data = watch;
    dns->references++;
    list_append(&dns->watches, &watch->node);
    return watch;
}

/* c-ares says what it wants to know of a socket; nothing more means it closes it. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable) {
    struct dns *dns = context;
    struct dns_watch *watch = find_watch(dns, fd);
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    if (watch == NULL && events != 0) {
        watch = add_watch(dns, fd);
    }
    if (watch == NULL) {
        return;
    }
    if (events != 0) {
        (void)uv_poll_start(&watch->poll, events, on_socket);
        return;
    }
    list_remove(&dns->watches, &watch->node);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static void on_timer_closed(uv_handle_t *handle) {
    release(handle->data);
}

int dns_new(uv_loop_t *loop, dns_done *done, void *context, struct dns **ret_dns) {
    struct dns *dns = calloc(1, sizeof(*dns));
    if (dns == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (uv_timer_init(loop, &dns->timer) != 0) {
        free(dns);
        return PLASM_IO;
    }
    dns->loop = loop;
    dns->done = done;
    dns->context = context;
    dns->references = 2; /* the owner and the timer */
    dns->timer.data = dns;
    list_init(&dns->watches);
    *ret_dns = dns;
    return 0;
}

void dns_free(struct dns *dns) {
    if (dns == NULL) {
        return;
    }
    dns->freed = true;
    if (dns->has_channel) {
        ares_destroy(dns->channel); /* ends its requests and closes its sockets */
    }
    uv_close((uv_handle_t *)&dns->timer, on_timer_closed);
    release(dns);
}

/* Most programs never look up a /dnsaddr: c-ares and its configuration wait until one does. */
static int ensure_channel(struct dns *dns) {
    if (dns->has_channel) {
        return 0;
    }
    struct ares_options options = {.timeout = DNS_TIMEOUT_MS / 2,
                                   .tries = 2,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = dns};
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
        ares_init_options(&dns->channel, &options,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) !=
            ARES_SUCCESS) {
        return PLASM_FAILED;
    }
    dns->has_channel = true;
    return 0;
}

static int resolve_records(struct dns *dns, struct dns_request *request, const char *name) {
    char full[DNS_NAME_MAX + 16];
    snprintf(full, sizeof(full), "_dnsaddr.%s", name);
    int error = ensure_channel(dns);
    if (error == 0) {
        (void)uv_timer_start(&dns->timer, on_timer, DNS_TIMEOUT_MS / 4, DNS_TIMEOUT_MS / 4);
        ares_query(dns->channel, full, 1 /* IN */, 16 /* TXT */, on_records, request);
    }
    return error;
}

static int resolve_addresses(struct dns *dns, struct dns_request *request, enum multiaddr_code code,
                             const char *name) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    if (code == MULTIADDR_DNS4) {
        hints.ai_family = AF_INET;
    } else if (code == MULTIADDR_DNS6) {
        hints.ai_family = AF_INET6;
    }
    int status = uv_getaddrinfo(dns->loop, &request->lookup, on_addresses, name, NULL, &hints);
    return status == 0 ? 0 : PLASM_FAILED;
}

int dns_resolve(struct dns *dns, uint64_t request_id, enum multiaddr_code code, struct bytes name) {
    char text[DNS_NAME_MAX];
    if (name.size == 0 || bytes_to_string(name, text, sizeof(text)) != 0) {
        return PLASM_INVALID;
    }
    struct dns_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return PLASM_NO_MEMORY;
    }
    request->dns = dns;
    request->request = request_id;
    dns->references++;
    int error = code == MULTIADDR_DNSADDR ? resolve_records(dns, request, text)
                                          : resolve_addresses(dns, request, code, text);
    if (error != 0) {
        free(request);
        release(dns);
    }
    return error;
}
