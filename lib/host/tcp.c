/* TCP sockets on the loop, watched with uv_poll: reads go into one large buffer for all, sends are
 * large and sealed at the last moment, when the kernel is known to want bytes. */
#include "host/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sockaddr.h"
#include "util/ensure.h"

#define TCP_BACKLOG 1024
/* Connections accepted, and rounds of reading or sending, before others have their turn. */
#define ACCEPTS_PER_TURN 32
/* Nothing is accepted for so long when the system has no descriptor or memory for one more. */
#define ACCEPT_PAUSE_MS 100
#define READS_PER_TURN  4
#define SENDS_PER_TURN  4

enum socket_state { SOCKET_CONNECTING, SOCKET_OPEN, SOCKET_CLOSED };

struct tcp_socket {
    struct tcp *tcp;
    struct list_node node;
    uv_poll_t poll;
    int fd;
    enum socket_state state;
    int watched;       /* what the loop is asked for */
    bool more_to_send; /* stopped while the pipe had more */
    bool finishes;     /* the sending direction ends after `unsent` */
    struct pipe *pipe; /* NULL once it was ended */
    uint8_t *unsent;   /* what the kernel did not take */
    size_t unsent_capacity;
    size_t unsent_start;
    size_t unsent_size;
};

struct tcp_listener {
    struct tcp *tcp;
    uv_poll_t poll;
    uv_timer_t pause; /* watching goes on when it is over */
    int fd;
    struct netaddr address;
};

struct tcp {
    struct pipe_provider provider;
    struct tcp_config config;
    struct list sockets;
    size_t listener_count;
    struct tcp_listener *listeners[TCP_LISTENERS_MAX];
    int spare_fd; /* given up for a moment to refuse a connection when there are no more */
    size_t open_handles;
    bool freeing;
    void (*freed)(void *context);
    void *freed_context;
    uint8_t *read_room; /* TCP_READ_SIZE */
    uint8_t *send_room; /* PIPE_ROOM_SIZE */
};

static bool tcp_dials(const struct pipe_provider *provider, const struct multiaddr *address) {
    (void)provider;
    struct netaddr remote;
    struct bytes id;
    return multiaddr_to_tcp(address, &remote, &id) == 0;
}

static int error_of(int system_error) {
    switch (system_error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EINVAL:
    case EPERM: /* a local firewall */
    case EACCES:
        return PLASM_UNREACHABLE;
    case ETIMEDOUT:
        return PLASM_TIMEOUT;
    case ENOMEM:
    case ENOBUFS:
        return PLASM_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return PLASM_LIMIT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return PLASM_CLOSED;
    default:
        return PLASM_IO;
    }
}

static void set_option(int fd, int level, int option, int value) {
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static bool make_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void set_stream_options(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
#ifdef TCP_USER_TIMEOUT
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS);
#endif
#ifdef SO_NOSIGPIPE
    set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
}

/* --- the life of a socket --------------------------------------------------------------------- */

static void handle_closed(struct tcp *tcp) {
    tcp->open_handles--;
    if (tcp->open_handles > 0 || !tcp->freeing) {
        return;
    }
    void (*freed)(void *context) = tcp->freed;
    void *context = tcp->freed_context;
    if (tcp->spare_fd >= 0) {
        (void)close(tcp->spare_fd);
    }
    free(tcp->read_room);
    free(tcp->send_room);
    free(tcp);
    freed(context);
}

static void on_socket_closed(uv_handle_t *handle) {
    struct tcp_socket *socket = CONTAINER_OF((uv_poll_t *)handle, struct tcp_socket, poll);
    struct tcp *tcp = socket->tcp;
    free(socket);
    handle_closed(tcp);
}

static void drop_unsent(struct tcp_socket *socket) {
    if (socket->tcp->config.budget != NULL) {
        socket->tcp->config.budget->bytes -= socket->unsent_capacity;
    }
    free(socket->unsent);
    socket->unsent = NULL;
    socket->unsent_capacity = 0;
    socket->unsent_size = 0;
}

/* Lets go of the descriptor; the pipe hears why, unless it wished for it. */
static void socket_close(struct tcp_socket *socket, int error) {
    struct tcp *tcp = socket->tcp;
    ENSURE(socket->state != SOCKET_CLOSED);
    socket->state = SOCKET_CLOSED;
    struct pipe *pipe = socket->pipe;
    socket->pipe = NULL;
    list_remove(&tcp->sockets, &socket->node);
    drop_unsent(socket);
    (void)uv_poll_stop(&socket->poll);
    (void)close(socket->fd);
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
    pipe_ended(pipe, error, tcp->config.now());
}

/* With a reset instead of an orderly end: nothing is left behind in the kernel. */
static void socket_abort(struct tcp_socket *socket, int error) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    socket_close(socket, error);
}

static void on_socket(uv_poll_t *poll, int status, int events);

static void watch(struct tcp_socket *socket) {
    int events = socket->state == SOCKET_CONNECTING ? UV_WRITABLE : UV_READABLE;
    events |= socket->unsent_size > 0 || socket->more_to_send ? UV_WRITABLE : 0;
    if (events != socket->watched) {
        socket->watched = events;
        (void)uv_poll_start(&socket->poll, events, on_socket);
    }
}

/* Takes over `fd`; NULL without memory, the descriptor is closed then. */
static struct tcp_socket *socket_new(struct tcp *tcp, int fd, enum socket_state state) {
    struct tcp_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL || uv_poll_init(tcp->config.loop, &socket->poll, fd) != 0) {
        (void)close(fd);
        free(socket);
        return NULL;
    }
    tcp->open_handles++;
    socket->tcp = tcp;
    socket->fd = fd;
    socket->state = state;
    list_append(&tcp->sockets, &socket->node);
    return socket;
}

/* A socket whose pipe could not be made. */
static void socket_discard(struct tcp_socket *socket) {
    socket->state = SOCKET_CLOSED;
    list_remove(&socket->tcp->sockets, &socket->node);
    (void)close(socket->fd);
    uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* 0, PLASM_LIMIT when the kernel takes no more now, or why the connection is over. */
static int send_some(struct tcp_socket *socket, struct bytes bytes, size_t *ret_sent) {
    int flags = 0;
#ifdef MSG_NOSIGNAL
    flags |= MSG_NOSIGNAL;
#endif
    ssize_t sent;
    do {
        sent = send(socket->fd, bytes.data, bytes.size, flags);
    } while (sent < 0 && errno == EINTR);
    *ret_sent = sent > 0 ? (size_t)sent : 0;
    if (sent < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? PLASM_LIMIT
                                                                           : error_of(errno);
    }
    return *ret_sent < bytes.size ? PLASM_LIMIT : 0;
}

static int keep_unsent(struct tcp_socket *socket, struct bytes rest) {
    struct budget *budget = socket->tcp->config.budget;
    if (budget != NULL && rest.size > TCP_UNSENT_BYTES_GUARANTEED &&
        !budget_has(budget, rest.size)) {
        return PLASM_NO_MEMORY;
    }
    socket->unsent = malloc(rest.size);
    if (socket->unsent == NULL) {
        return PLASM_NO_MEMORY;
    }
    memcpy(socket->unsent, rest.data, rest.size);
    socket->unsent_start = 0;
    socket->unsent_size = rest.size;
    socket->unsent_capacity = rest.size;
    if (budget != NULL) {
        budget->bytes += rest.size;
    }
    return PLASM_LIMIT;
}

static int send_unsent(struct tcp_socket *socket) {
    if (socket->unsent_size == 0) {
        return 0;
    }
    size_t sent = 0;
    int error = send_some(
        socket, bytes_of(socket->unsent + socket->unsent_start, socket->unsent_size), &sent);
    socket->unsent_start += sent;
    socket->unsent_size -= sent;
    if (socket->unsent_size == 0) {
        drop_unsent(socket);
    }
    return error;
}

static int send_pipe(struct tcp_socket *socket) {
    struct tcp *tcp = socket->tcp;
    const struct budget *budget = tcp->config.budget;
    for (int turn = 0; turn < SENDS_PER_TURN; turn++) {
        /* Where little is left only so much is taken as may be kept in any case. */
        bool scarce = budget != NULL && !budget_has(budget, PIPE_ROOM_SIZE);
        size_t room = scarce ? TCP_UNSENT_BYTES_GUARANTEED : PIPE_ROOM_SIZE;
        size_t size =
            pipe_transmit(socket->pipe, (struct span){tcp->send_room, room}, tcp->config.now());
        if (size == 0) {
            socket->more_to_send = false;
            return 0;
        }
        size_t sent = 0;
        int error = send_some(socket, bytes_of(tcp->send_room, size), &sent);
        if (error == PLASM_LIMIT && sent < size) {
            error = keep_unsent(socket, bytes_of(tcp->send_room + sent, size - sent));
        }
        if (error != 0) {
            return error;
        }
    }
    return PLASM_LIMIT;
}

/* Sends what there is, as long as the kernel takes it. */
static void socket_send(struct tcp_socket *socket) {
    socket->more_to_send = true;
    int error = send_unsent(socket);
    if (error == 0) {
        error = send_pipe(socket);
    }
    if (error != 0 && error != PLASM_LIMIT) {
        /* What the other side said before it went may still be there to be read. */
        socket->more_to_send = false;
        drop_unsent(socket);
        if (error == PLASM_NO_MEMORY) {
            socket_abort(socket, error);
            return;
        }
    }
    if (error == 0 && socket->finishes) {
        (void)shutdown(socket->fd, SHUT_WR);
    }
    watch(socket);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* True when there may be more. */
static bool socket_read(struct tcp_socket *socket) {
    struct tcp *tcp = socket->tcp;
    ssize_t size;
    do {
        size = recv(socket->fd, tcp->read_room, TCP_READ_SIZE, 0);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return false;
    }
    if (size <= 0) {
        socket_close(socket, size == 0 ? 0 : error_of(errno));
        tcp->config.drain(tcp->config.context);
        return false;
    }
    pipe_receive(socket->pipe, (struct span){tcp->read_room, (size_t)size}, tcp->config.now());
    tcp->config.drain(tcp->config.context);
    return (size_t)size == TCP_READ_SIZE;
}

static void on_connected(struct tcp_socket *socket) {
    int system_error = 0;
    socklen_t size = sizeof(system_error);
    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &system_error, &size) != 0) {
        system_error = errno;
    }
    if (system_error != 0) {
        socket_close(socket, error_of(system_error));
        return;
    }
    socket->state = SOCKET_OPEN;
    watch(socket);
    pipe_connected(socket->pipe, socket->tcp->config.now());
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct tcp_socket *socket = CONTAINER_OF(poll, struct tcp_socket, poll);
    if (socket->state == SOCKET_CONNECTING) {
        on_connected(socket);
        return;
    }
    if (status < 0) { /* libuv has stopped watching; reading tells what it was */
        socket->watched = 0;
        watch(socket);
        events |= UV_READABLE;
    }
    if ((events & UV_WRITABLE) != 0) {
        socket_send(socket);
    }
    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        if ((events & UV_READABLE) == 0 || socket->state != SOCKET_OPEN || !socket_read(socket)) {
            break;
        }
        (void)tcp_flush(socket->tcp); /* credit goes back while the rest is read */
    }
}

/* --- dialling --------------------------------------------------------------------------------- */

/* The port that we listen on with this family, 0 for none. */
static uint16_t listening_port(const struct tcp *tcp, uint8_t family) {
    for (size_t i = 0; i < tcp->listener_count; i++) {
        if (tcp->listeners[i]->address.family == family) {
            return tcp->listeners[i]->address.port;
        }
    }
    return 0;
}

static void share_port(int fd) {
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
#ifdef SO_REUSEPORT
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#endif
}

/* The descriptor of a connection being made, or -1 with errno. */
static int connect_from(const struct netaddr *remote, uint16_t port) {
    bool six = remote->family == NETADDR_IP6;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_storage name;
    socklen_t size;
    if (!make_nonblocking(fd)) {
        goto out;
    }
    set_stream_options(fd);
    if (port != 0) {
        const struct netaddr local = {.family = remote->family, .port = port};
        share_port(fd);
        size = sockaddr_from_netaddr(&local, &name);
        if (bind(fd, (struct sockaddr *)&name, size) != 0) {
            goto out;
        }
    }
    size = sockaddr_from_netaddr(remote, &name);
    if (connect(fd, (struct sockaddr *)&name, size) == 0 || errno == EINPROGRESS) {
        return fd;
    }
out:;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static void dial(struct tcp *tcp, struct pipe *pipe) {
    struct netaddr remote;
    struct bytes id;
    int fd = -1;
    errno = EINVAL;
    if (multiaddr_to_tcp(pipe_address(pipe), &remote, &id) == 0 && remote.port != 0) {
        /* The port we are reached at is what others should see us come from. On this very machine
         * nobody learns from it, and the pair of ports would soon be in use. */
        uint16_t port = netaddr_is_loopback(&remote) ? 0 : listening_port(tcp, remote.family);
        fd = connect_from(&remote, port);
        if (fd < 0 && port != 0) { /* an earlier connection of this pair of ports */
            fd = connect_from(&remote, 0);
        }
    }
    int system_error = errno;
    struct tcp_socket *socket = fd >= 0 ? socket_new(tcp, fd, SOCKET_CONNECTING) : NULL;
    if (socket == NULL) {
        pipe_ended(pipe, fd >= 0 ? PLASM_NO_MEMORY : error_of(system_error), tcp->config.now());
        return;
    }
    socket->pipe = pipe;
    *pipe_user(pipe) = socket;
    watch(socket);
}

/* --- listening -------------------------------------------------------------------------------- */

static void on_listener(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer) {
    struct tcp_listener *listener = CONTAINER_OF(timer, struct tcp_listener, pause);
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_listener);
}

/* Whoever waits would wake us again and again. */
static void pause_accepting(struct tcp_listener *listener) {
    (void)uv_poll_stop(&listener->poll);
    (void)uv_timer_start(&listener->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
}

/* No descriptor is left: the connection at the head of the queue is refused with the spare one, so
 * that who waits is told. False without a spare one: somebody else took it. */
static bool refuse_one(struct tcp_listener *listener) {
    struct tcp *tcp = listener->tcp;
    if (tcp->spare_fd < 0) {
        tcp->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (tcp->spare_fd < 0) {
        return false;
    }
    (void)close(tcp->spare_fd);
    int fd = accept(listener->fd, NULL, NULL);
    if (fd >= 0) {
        (void)close(fd);
    }
    tcp->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* After an accept that gave nothing: true when the next one may be tried. */
static bool accept_failed(struct tcp_listener *listener) {
    switch (errno) {
    case EINTR:
    case ECONNABORTED:
        return true;
    case EMFILE:
    case ENFILE:
        if (refuse_one(listener)) {
            return true;
        }
        pause_accepting(listener);
        return false;
    case ENOMEM:
    case ENOBUFS:
        pause_accepting(listener);
        return false;
    default: /* nobody waits any more */
        return false;
    }
}

/* False when nobody waits any more. */
static bool accept_one(struct tcp_listener *listener) {
    struct tcp *tcp = listener->tcp;
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    int fd = accept(listener->fd, (struct sockaddr *)&name, &size);
    if (fd < 0) {
        return accept_failed(listener);
    }
    struct netaddr remote;
    if (!make_nonblocking(fd) || sockaddr_to_netaddr((struct sockaddr *)&name, &remote) != 0) {
        (void)close(fd);
        return true;
    }
    set_stream_options(fd);
    struct tcp_socket *socket = socket_new(tcp, fd, SOCKET_OPEN);
    if (socket == NULL) {
        return false;
    }
    struct multiaddr address;
    multiaddr_from_tcp(&remote, &address);
    if (pipe_accept(tcp->config.pipes, &tcp->provider, &address, tcp->config.now(),
                    &socket->pipe) != 0) {
        socket_discard(socket);
        return true;
    }
    *pipe_user(socket->pipe) = socket;
    watch(socket);
    return true;
}

static void on_listener(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct tcp_listener *listener = CONTAINER_OF(poll, struct tcp_listener, poll);
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++) {
    }
}

/* Binds and gives the descriptor, or -1 with errno. */
static int bind_to(const struct netaddr *address, bool shares) {
    bool six = address->family == NETADDR_IP6;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return -1;
    }
    if (six) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    if (shares) {
        share_port(fd);
    } else {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    struct sockaddr_storage name;
    socklen_t size = sockaddr_from_netaddr(address, &name);
    if (!make_nonblocking(fd) || bind(fd, (struct sockaddr *)&name, size) != 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Sockets that dial share the port, which would let a second process listen there too: a socket
 * that does not share finds out first. */
static bool is_free(const struct netaddr *address) {
    int fd = bind_to(address, false);
    if (fd < 0) {
        return false;
    }
    bool listens = listen(fd, 1) == 0;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return listens;
}

static int listener_open(struct tcp_listener *listener, const struct netaddr *address) {
    if (!is_free(address)) {
        return PLASM_IO;
    }
    listener->fd = bind_to(address, true);
    if (listener->fd < 0) {
        return PLASM_IO;
    }
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    int error = PLASM_IO;
    if (listen(listener->fd, TCP_BACKLOG) == 0 &&
        getsockname(listener->fd, (struct sockaddr *)&name, &size) == 0) {
        error = sockaddr_to_netaddr((struct sockaddr *)&name, &listener->address);
    }
    if (error == 0 &&
        uv_poll_init(listener->tcp->config.loop, &listener->poll, listener->fd) != 0) {
        error = PLASM_IO;
    }
    if (error != 0) {
        int saved = errno;
        (void)close(listener->fd);
        errno = saved;
    }
    return error;
}

int tcp_listen(struct tcp *tcp, const struct netaddr *address) {
    if (tcp->listener_count == TCP_LISTENERS_MAX) {
        return PLASM_LIMIT;
    }
    struct tcp_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        return PLASM_NO_MEMORY;
    }
    listener->tcp = tcp;
    int error = listener_open(listener, address);
    if (error != 0) {
        free(listener);
        return error;
    }
    (void)uv_timer_init(tcp->config.loop, &listener->pause);
    tcp->open_handles++;
    tcp->listeners[tcp->listener_count++] = listener;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_listener);
    return 0;
}

size_t tcp_listening(const struct tcp *tcp, struct netaddr *ret_addresses, size_t count_max) {
    size_t count = 0;
    while (count < tcp->listener_count && count < count_max) {
        ret_addresses[count] = tcp->listeners[count]->address;
        count++;
    }
    return count;
}

/* --- the whole -------------------------------------------------------------------------------- */

int tcp_new(const struct tcp_config *config, struct tcp **ret_tcp) {
    struct tcp *tcp = calloc(1, sizeof(*tcp));
    if (tcp == NULL) {
        return PLASM_NO_MEMORY;
    }
    tcp->config = *config;
    tcp->provider.dials = tcp_dials;
    tcp->open_handles = 1; /* itself, until it is freed */
    list_init(&tcp->sockets);
    tcp->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tcp->read_room = malloc(TCP_READ_SIZE);
    tcp->send_room = malloc(PIPE_ROOM_SIZE);
    int error = tcp->read_room == NULL || tcp->send_room == NULL
                    ? PLASM_NO_MEMORY
                    : pipe_transport_add_provider(config->pipes, &tcp->provider);
    if (error != 0) {
        if (tcp->spare_fd >= 0) {
            (void)close(tcp->spare_fd);
        }
        free(tcp->read_room);
        free(tcp->send_room);
        free(tcp);
        return error;
    }
    *ret_tcp = tcp;
    return 0;
}

bool tcp_flush(struct tcp *tcp) {
    struct pipe *pipe;
    enum pipe_task task;
    bool any = false;
    while (pipe_provider_next(&tcp->provider, &pipe, &task)) {
        any = true;
        struct tcp_socket *socket = *pipe_user(pipe);
        switch (task) {
        case PIPE_DIAL:
            dial(tcp, pipe);
            break;
        case PIPE_SEND:
            if (socket->unsent_size == 0) { /* else it goes on when the kernel has room */
                socket_send(socket);
            }
            break;
        case PIPE_FINISH:
            socket->finishes = true;
            if (socket->unsent_size == 0 && !socket->more_to_send) {
                (void)shutdown(socket->fd, SHUT_WR);
            }
            break;
        case PIPE_DROP:
            if (socket != NULL) {
                socket_abort(socket, PLASM_CLOSED);
            } else {
                pipe_ended(pipe, PLASM_CLOSED, tcp->config.now());
            }
            break;
        }
    }
    return any;
}

static void on_listener_closed(uv_handle_t *handle) {
    struct tcp_listener *listener = CONTAINER_OF((uv_timer_t *)handle, struct tcp_listener, pause);
    struct tcp *tcp = listener->tcp;
    (void)close(listener->fd);
    free(listener);
    handle_closed(tcp);
}

static void on_listener_stopped(uv_handle_t *handle) {
    struct tcp_listener *listener = CONTAINER_OF((uv_poll_t *)handle, struct tcp_listener, poll);
    uv_close((uv_handle_t *)&listener->pause, on_listener_closed);
}

void tcp_free(struct tcp *tcp, void (*freed)(void *context), void *context) {
    if (tcp == NULL) {
        freed(context);
        return;
    }
    tcp->freeing = true;
    tcp->freed = freed;
    tcp->freed_context = context;
    struct list_node *node;
    while ((node = list_first(&tcp->sockets)) != NULL) {
        socket_close(CONTAINER_OF(node, struct tcp_socket, node), PLASM_CLOSED);
    }
    for (size_t i = 0; i < tcp->listener_count; i++) {
        (void)uv_poll_stop(&tcp->listeners[i]->poll);
        (void)uv_timer_stop(&tcp->listeners[i]->pause); /* its end would watch what is closing */
        uv_close((uv_handle_t *)&tcp->listeners[i]->poll, on_listener_stopped);
    }
    tcp->listener_count = 0;
    handle_closed(tcp);
}
