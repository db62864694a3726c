/* libmicrohttpd on the worker's loop. */
#include "plasmd/http.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/error.h"
#include "util/time.h"

struct connection {
    struct http *http;
    struct MHD_Connection *handle; /* NULL: the place is free */
    uint64_t until_ms;             /* the loop's time */
};

struct http {
    struct http_config config;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    size_t open_handles;
    struct connection connections[HTTP_CONNECTIONS_MAX];
};

static const char *const types[HTTP_PAGES] = {
    [HTTP_PAGE_STATUS] = "text/html; charset=utf-8",
    [HTTP_PAGE_STYLE] = "text/css; charset=utf-8",
    [HTTP_PAGE_SCRIPT] = "text/javascript; charset=utf-8",
    [HTTP_PAGE_METRICS] = "text/plain; version=0.0.4; charset=utf-8",
    [HTTP_PAGE_API_STATUS] = "application/json",
    [HTTP_PAGE_API_JOBS] = "application/json",
    [HTTP_PAGE_API_PEERS] = "application/json",
    [HTTP_PAGE_API_CONFIG] = "application/json",
};

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' "
     "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
    {"Connection", "close"},
};

/* Takes `content`. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              char *content, size_t size) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, content, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(content);
        return MHD_NO;
    }
    enum MHD_Result done = MHD_add_response_header(response, "Content-Type", type);
    for (size_t i = 0; i < ARRAY_SIZE(headers) && done == MHD_YES; i++) {
        done = MHD_add_response_header(response, headers[i][0], headers[i][1]);
    }
    if (done == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        done = MHD_add_response_header(response, "Allow", "GET, HEAD");
    }
    if (done == MHD_YES) {
        done = MHD_queue_response(connection, status, response);
    }
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status,
                              const char *text) {
    char *copy = strdup(text);
    return copy != NULL
               ? answer(connection, status, "text/plain; charset=utf-8", copy, strlen(copy))
               : MHD_NO;
}

/* libmicrohttpd's own type of this callback has parameters that are not const. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **request) {
    struct http *http = context;
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request;
    if (!http_host_is_local(
            MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST))) {
        return refuse(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                      "421: this is reached by an IP address or as localhost, not by a name.\n");
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                      "405: nothing can be changed here, only GET and HEAD are answered.\n");
    }
    enum http_page page = http_route(path);
    if (page == HTTP_PAGE_NONE) {
        return refuse(connection, MHD_HTTP_NOT_FOUND,
                      "404: there are /, /metrics, /api/v1/status, /api/v1/jobs, /api/v1/peers and "
                      "/api/v1/config.\n");
    }
    size_t size = 0;
    char *content = http->config.produce(http->config.context, page, &size);
    if (content == NULL) {
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "503: out of memory.\n");
    }
    return answer(connection, MHD_HTTP_OK, types[page], content, size);
}

static void on_connection(void *context, struct MHD_Connection *handle, void **user,
                          enum MHD_ConnectionNotificationCode code) {
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct connection *ended = *user;
        if (ended != NULL) {
            ended->handle = NULL;
        }
        return;
    }
    *user = NULL;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct connection *place = &http->connections[i];
        if (place->handle == NULL) {
            *place =
                (struct connection){.http = http,
                                    .handle = handle,
                                    .until_ms = uv_now(http->config.loop) + HTTP_CONNECTION_MS};
            *user = place;
            return;
        }
    }
}

/* Ends what lasts too long, however busy it looks; when the next one is due. */
static uint64_t cut_overdue(struct http *http) {
    uint64_t now = uv_now(http->config.loop);
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct connection *place = &http->connections[i];
        if (place->handle == NULL) {
            continue;
        }
        if (place->until_ms <= now) {
            const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(place->handle, MHD_CONNECTION_INFO_CONNECTION_FD);
            if (info != NULL) {
                (void)shutdown(info->connect_fd, SHUT_RDWR);
            }
            place->until_ms = now + HTTP_CONNECTION_MS;
        }
        next = place->until_ms < next ? place->until_ms : next;
    }
    return next;
}

static void run(struct http *http);

static void on_timer(uv_timer_t *timer) {
    run(timer->data);
}

static void run(struct http *http) {
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    uint64_t now = uv_now(http->config.loop);
    uint64_t next = cut_overdue(http);
    (void)MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES && now + wait_ms < next) {
        next = now + wait_ms;
    }
    if (next == UINT64_MAX) {
        (void)uv_timer_stop(&http->timer);
    } else {
        (void)uv_timer_start(&http->timer, on_timer, next > now ? next - now : 0, 0);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    run(poll->data);
}

static void on_closed(uv_handle_t *handle) {
    struct http *http = handle->data;
    http->open_handles--;
    if (http->open_handles == 0) {
        free(http);
    }
}

/* Both are closed, however far http_new came. */
void http_free(struct http *http) {
    if (http == NULL) {
        return;
    }
    (void)uv_poll_stop(&http->poll);
    MHD_stop_daemon(http->daemon);
    uv_close((uv_handle_t *)&http->poll, on_closed);
    uv_close((uv_handle_t *)&http->timer, on_closed);
}

static struct MHD_Daemon *start_daemon(struct http *http) {
    return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http,
                            MHD_OPTION_LISTEN_SOCKET, http->config.fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)HTTP_CONNECTION_BYTES_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
}

int http_new(const struct http_config *config, struct http **ret_http) {
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        (void)close(config->fd);
        return PLASM_NO_MEMORY;
    }
    http->config = *config;
    http->daemon = start_daemon(http);
    if (http->daemon == NULL) {
        (void)close(config->fd);
        free(http);
        return PLASM_FAILED;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || uv_timer_init(config->loop, &http->timer) != 0) {
        MHD_stop_daemon(http->daemon);
        free(http);
        return PLASM_FAILED;
    }
    http->timer.data = http;
    http->poll.data = http;
    if (uv_poll_init(config->loop, &http->poll, info->epoll_fd) != 0) {
        http->open_handles = 1;
        MHD_stop_daemon(http->daemon);
        uv_close((uv_handle_t *)&http->timer, on_closed);
        return PLASM_FAILED;
    }
    http->open_handles = 2;
    if (uv_poll_start(&http->poll, UV_READABLE, on_poll) != 0) {
        http_free(http);
        return PLASM_FAILED;
    }
    *ret_http = http;
    return 0;
}
