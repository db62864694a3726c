/* What of HTTP is text: paths, the Host header, and where to listen. */
#include "plasmd/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HOST_SIZE    64
#define LISTEN_QUEUE 16
#define PORT_MAX     65535

enum http_page http_route(const char *path) {
    static const char *const paths[HTTP_PAGES] = {
        [HTTP_PAGE_STATUS] = "/",
        [HTTP_PAGE_STYLE] = "/status.css",
        [HTTP_PAGE_SCRIPT] = "/status.js",
        [HTTP_PAGE_METRICS] = "/metrics",
        [HTTP_PAGE_API_STATUS] = "/api/v1/status",
        [HTTP_PAGE_API_JOBS] = "/api/v1/jobs",
        [HTTP_PAGE_API_PEERS] = "/api/v1/peers",
        [HTTP_PAGE_API_CONFIG] = "/api/v1/config",
    };
    enum http_page page = 0;
    while (page < HTTP_PAGES && strcmp(paths[page], path) != 0) {
        page++;
    }
    return page;
}

static bool parse_port(const char *text, uint16_t *ret_port) {
    char *end = NULL;
    unsigned long port = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (end == NULL || *end != '\0' || port > PORT_MAX) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

/* Splits "host:port", "[host]:port", or either without port. */
static bool split(const char *text, char host[HOST_SIZE], const char **ret_port) {
    bool bracketed = text[0] == '[';
    size_t size = strcspn(text + bracketed, bracketed ? "]" : ":");
    const char *rest = text + bracketed + size;
    if (size == 0 || size >= HOST_SIZE || (bracketed && *rest++ != ']') ||
        (*rest != '\0' && *rest != ':')) {
        return false;
    }
    memcpy(host, text + bracketed, size);
    host[size] = '\0';
    *ret_port = *rest == ':' ? rest + 1 : NULL;
    return true;
}

bool http_host_is_local(const char *host) {
    char name[HOST_SIZE];
    const char *port_text = NULL;
    struct in6_addr address;
    uint16_t port;
    if (host == NULL || !split(host, name, &port_text) ||
        (port_text != NULL && !parse_port(port_text, &port))) {
        return false;
    }
    if (host[0] == '[') {
        return inet_pton(AF_INET6, name, &address) == 1;
    }
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1;
}

/* False for what is not "address:port". */
static bool parse_address(const char *text, struct sockaddr_storage *ret_address,
                          socklen_t *ret_size) {
    char host[HOST_SIZE];
    const char *port_text = NULL;
    uint16_t port = 0;
    struct sockaddr_in ip4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    memset(ret_address, 0, sizeof(*ret_address));
    if (!split(text, host, &port_text) || port_text == NULL || !parse_port(port_text, &port)) {
        return false;
    }
    ip4.sin_port = htons(port);
    ip6.sin6_port = htons(port);
    if (text[0] == '[' && inet_pton(AF_INET6, host, &ip6.sin6_addr) == 1) {
        memcpy(ret_address, &ip6, sizeof(ip6));
        *ret_size = sizeof(ip6);
        return true;
    }
    if (text[0] != '[' && inet_pton(AF_INET, host, &ip4.sin_addr) == 1) {
        memcpy(ret_address, &ip4, sizeof(ip4));
        *ret_size = sizeof(ip4);
        return true;
    }
    return false;
}

enum http_place http_place_of(const char *listen) {
    struct sockaddr_storage address;
    socklen_t size = 0;
    if (strcmp(listen, "off") == 0) {
        return HTTP_OFF;
    }
    if (listen[0] == '/') {
        return strlen(listen) < sizeof(((struct sockaddr_un *)0)->sun_path) ? HTTP_SOCKET
                                                                            : HTTP_WRONG;
    }
    if (!parse_address(listen, &address, &size)) {
        return HTTP_WRONG;
    }
    if (address.ss_family == AF_INET) {
        struct sockaddr_in ip4;
        memcpy(&ip4, &address, sizeof(ip4));
        return ntohl(ip4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET ? HTTP_LOOPBACK : HTTP_REMOTE;
    }
    struct sockaddr_in6 ip6;
    memcpy(&ip6, &address, sizeof(ip6));
    return IN6_IS_ADDR_LOOPBACK(&ip6.sin6_addr) ? HTTP_LOOPBACK : HTTP_REMOTE;
}

void http_name_of(const struct sockaddr_storage *address, char *room, size_t room_size) {
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 ip6;
        memcpy(&ip6, address, sizeof(ip6));
        (void)inet_ntop(AF_INET6, &ip6.sin6_addr, host, sizeof(host));
        snprintf(room, room_size, "http://[%s]:%u/", host, (unsigned)ntohs(ip6.sin6_port));
    } else {
        struct sockaddr_in ip4;
        memcpy(&ip4, address, sizeof(ip4));
        (void)inet_ntop(AF_INET, &ip4.sin_addr, host, sizeof(host));
        snprintf(room, room_size, "http://%s:%u/", host, (unsigned)ntohs(ip4.sin_port));
    }
}

/* A socket that nobody answers at is what a process that was killed left. */
static void remove_stale(const struct sockaddr_un *address) {
    struct stat status;
    if (lstat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
            errno == ECONNREFUSED) {
            (void)unlink(address->sun_path);
        }
        (void)close(fd);
    }
}

static bool give_up(int fd, const char *listen, char fault[HTTP_FAULT_SIZE]) {
    snprintf(fault, HTTP_FAULT_SIZE, "%.120s: %s", listen, strerror(errno));
    if (fd >= 0) {
        (void)close(fd);
    }
    return false;
}

bool http_listen(const char *listen_text, int *ret_fd, char fault[HTTP_FAULT_SIZE]) {
    struct sockaddr_storage address;
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(path);
    bool is_path = listen_text[0] == '/';
    if (is_path) {
        snprintf(path.sun_path, sizeof(path.sun_path), "%s", listen_text);
        memcpy(&address, &path, sizeof(path));
        remove_stale(&path);
    } else if (!parse_address(listen_text, &address, &size)) {
        errno = EINVAL;
        return give_up(-1, listen_text, fault);
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    /* Who may connect to a Unix socket is up to its mode: the owner and the group. */
    mode_t mask = umask(S_IXUSR | S_IXGRP | S_IRWXO);
    bool bound =
        fd >= 0 && (is_path || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, LISTEN_QUEUE) == 0;
    int error = errno;
    (void)umask(mask);
    errno = error;
    if (!bound) {
        return give_up(fd, listen_text, fault);
    }
    *ret_fd = fd;
    return true;
}
