/* The local HTTP port of the status page, the API and the metrics: whom it answers, and what is
 * asked. Driven by the worker's loop, without threads. It knows nothing of what it serves. */
#ifndef PLASMD_HTTP_H
#define PLASMD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "host/host.h"

/* Connections at a time; more wait to be accepted. */
#define HTTP_CONNECTIONS_MAX 32
/* The longest a connection lasts, whatever it does: one request, one answer. */
#define HTTP_CONNECTION_MS 15000
/* Without a byte. */
#define HTTP_IDLE_S 5
/* Request line and headers, and MHD's own state, of one connection. */
#define HTTP_CONNECTION_BYTES_MAX 32768
#define HTTP_FAULT_SIZE           256

enum http_page {
    HTTP_PAGE_STATUS,
    HTTP_PAGE_STYLE,
    HTTP_PAGE_SCRIPT,
    HTTP_PAGE_METRICS,
    HTTP_PAGE_API_STATUS,
    HTTP_PAGE_API_JOBS,
    HTTP_PAGE_API_PEERS,
    HTTP_PAGE_API_CONFIG,
    HTTP_PAGES,
    HTTP_PAGE_NONE = HTTP_PAGES
};

/* HTTP_PAGE_NONE for a path that there is not. */
enum http_page http_route(const char *path);

/* Whether a request for this host may be answered: an IP address or localhost, with or without a
 * port. A web page that has its own name point to this machine (DNS rebinding) says that name. */
bool http_host_is_local(const char *host);

/* Where to listen, from the setting's text. */
enum http_place { HTTP_OFF, HTTP_LOOPBACK, HTTP_REMOTE, HTTP_SOCKET, HTTP_WRONG };
/* "off", "127.0.0.1:4002", "[::1]:4002", or an absolute path of a Unix socket. */
enum http_place http_place_of(const char *listen);

/* What a bound socket's address is, with its port. */
struct sockaddr_storage;
void http_name_of(const struct sockaddr_storage *address, char *room, size_t room_size);

/* Opens the listening socket. False: `fault` says why. */
bool http_listen(const char *listen, int *ret_fd, char fault[HTTP_FAULT_SIZE]);

struct http;

struct http_config {
    uv_loop_t *loop;
    int fd; /* of http_listen, taken over also when http_new fails */
    /* The page's content, allocated by malloc and freed here; NULL where memory is out. */
    char *(*produce)(void *context, enum http_page page, size_t *ret_size);
    void *context;
};

/* PLASM_NO_MEMORY, PLASM_FAILED. */
MUST_CHECK int http_new(const struct http_config *config, struct http **ret_http);
/* NULL is allowed. The loop must still run until its handles are closed. */
void http_free(struct http *http);

#endif
