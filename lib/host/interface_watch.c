/* Watching the machine's addresses. */
#include "host/interface_watch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#endif

#include "util/ensure.h"

/* Changes come in bunches: link up, address, second address. */
#define SETTLE_MS 250
/* Where nothing tells us. */
#define POLL_MS 10000

struct interface_watch {
    void (*on_change)(void *context);
    void *context;
    int fd; /* -1: by polling */
    uv_poll_t poll;
    uv_timer_t timer;
    uint64_t seen;
    size_t closing;
};

/* A number for the set of addresses, in whatever order the system lists them. */
static uint64_t fingerprint(void) {
    uv_interface_address_t *interfaces;
    int count;
    uint64_t sum = 0;
    if (uv_interface_addresses(&interfaces, &count) != 0) {
        return 0;
    }
    for (int i = 0; i < count; i++) {
        char text[64] = "";
        (void)uv_ip_name((const struct sockaddr *)(const void *)&interfaces[i].address, text,
                         sizeof(text));
        uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
        for (const char *c = text; *c != '\0'; c++) {
            hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
        }
        for (const char *c = interfaces[i].name; *c != '\0'; c++) {
            hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
        }
        sum += hash;
    }
    uv_free_interface_addresses(interfaces, count);
    return sum;
}

static void on_timer(uv_timer_t *timer) {
    struct interface_watch *watch = timer->data;
    uint64_t now = fingerprint();
    if (now != watch->seen) {
        watch->seen = now;
        watch->on_change(watch->context);
    }
}

#ifdef __linux__
static int open_netlink(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups =
                                      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* What the messages say does not matter: that there are any is reason to look. */
static void on_netlink(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct interface_watch *watch = poll->data;
    char room[8192];
    while (recv(watch->fd, room, sizeof(room), 0) > 0) {
    }
    (void)uv_timer_start(&watch->timer, on_timer, SETTLE_MS, 0);
}
#endif

int interface_watch_new(uv_loop_t *loop, void (*on_change)(void *context), void *context,
                        struct interface_watch **ret_watch) {
    struct interface_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return PLASM_NO_MEMORY;
    }
    watch->on_change = on_change;
    watch->context = context;
    watch->fd = -1;
    watch->seen = fingerprint();
    if (uv_timer_init(loop, &watch->timer) != 0) {
        free(watch);
        return PLASM_IO;
    }
    watch->timer.data = watch;
#ifdef __linux__
    watch->fd = open_netlink();
    if (watch->fd >= 0 && uv_poll_init(loop, &watch->poll, watch->fd) != 0) {
        (void)close(watch->fd);
        watch->fd = -1;
    }
    if (watch->fd >= 0) {
        watch->poll.data = watch;
        (void)uv_poll_start(&watch->poll, UV_READABLE, on_netlink);
        uv_unref((uv_handle_t *)&watch->poll);
    }
#endif
    if (watch->fd < 0) {
        (void)uv_timer_start(&watch->timer, on_timer, POLL_MS, POLL_MS);
    }
    uv_unref((uv_handle_t *)&watch->timer);
    *ret_watch = watch;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct interface_watch *watch = handle->data;
    watch->closing--;
    if (watch->closing == 0) {
        if (watch->fd >= 0) {
            (void)close(watch->fd);
        }
        free(watch);
    }
}

void interface_watch_free(struct interface_watch *watch) {
    if (watch == NULL) {
        return;
    }
    watch->closing = watch->fd >= 0 ? 2 : 1;
    uv_close((uv_handle_t *)&watch->timer, on_closed);
    if (watch->fd >= 0) {
        uv_close((uv_handle_t *)&watch->poll, on_closed);
    }
}
