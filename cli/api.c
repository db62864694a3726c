/* One GET of a worker's local API, over TCP or a Unix socket. */
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/api.h"

#define SCHEME      "http://"
#define ANSWER_MAX  ((size_t)4 << 20)
#define READ_SIZE   16384
#define HOST_SIZE   256
#define REQUEST_MAX 512

static int connect_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* "host:port" or "[host]:port". */
static int connect_host(const char *text) {
    char host[HOST_SIZE];
    snprintf(host, sizeof(host), "%s", text[0] == '[' ? text + 1 : text);
    char *port = strrchr(host, ':');
    if (port == NULL) {
        errno = EINVAL;
        return -1;
    }
    *port++ = '\0';
    host[strcspn(host, "]")] = '\0';
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *each = found; each != NULL && fd < 0; each = each->ai_next) {
        fd = socket(each->ai_family, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, each->ai_addr, each->ai_addrlen) != 0) {
            int error = errno;
            (void)close(fd);
            errno = error;
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* What comes until the end; NULL: errno. */
static char *read_all(int fd) {
    char *text = NULL;
    size_t size = 0;
    for (;;) {
        char *grown = size + READ_SIZE < ANSWER_MAX ? realloc(text, size + READ_SIZE + 1) : NULL;
        if (grown == NULL) {
            free(text);
            errno = EMSGSIZE;
            return NULL;
        }
        text = grown;
        ssize_t count = recv(fd, text + size, READ_SIZE, 0);
        if (count < 0) {
            free(text);
            return NULL;
        }
        size += (size_t)count;
        text[size] = '\0';
        if (count == 0) {
            return text;
        }
    }
}

/* The host's part of a URL, for the connection and the Host header. */
static bool host_of(const char *url, char host[HOST_SIZE]) {
    const char *begin = strncmp(url, SCHEME, strlen(SCHEME)) == 0 ? url + strlen(SCHEME) : url;
    size_t size = strcspn(begin, "/");
    if (size == 0 || size >= HOST_SIZE || begin[size + strspn(begin + size, "/")] != '\0') {
        return false;
    }
    memcpy(host, begin, size);
    host[size] = '\0';
    return true;
}

json_t *api_get(const char *url, const char *path) {
    char host[HOST_SIZE] = "localhost";
    char request[REQUEST_MAX];
    const struct timeval wait = {.tv_sec = API_WAIT_S};
    if (url[0] != '/' && !host_of(url, host)) {
        errno = EINVAL;
        return NULL;
    }
    int fd = url[0] == '/' ? connect_path(url) : connect_host(host);
    if (fd < 0) {
        return NULL;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             path, host);
    size_t size = strlen(request);
    char *answer = send(fd, request, size, MSG_NOSIGNAL) == (ssize_t)size ? read_all(fd) : NULL;
    int error = errno;
    (void)close(fd);
    errno = error;
    if (answer == NULL) {
        return NULL;
    }
    const char *body = strstr(answer, "\r\n\r\n");
    json_t *json = NULL;
    if (body != NULL && strncmp(answer, "HTTP/1.1 200 ", strlen("HTTP/1.1 200 ")) == 0) {
        json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    }
    free(answer);
    errno = EPROTO;
    return json;
}
