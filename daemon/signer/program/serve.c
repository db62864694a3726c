/* A poll loop over a listener and few connections. */
#include "signer/program/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a connection that does not read its answers no more requests are read. */
struct connection {
    int socket; /* -1: free */
    size_t unsent_size;
    uint8_t unsent[SIGN_ANSWERS_SIZE_MAX];
};

struct server {
    const struct sign_service *service;
    int listener; /* -1: none */
    size_t count;
    struct connection connections[SERVE_CONNECTIONS_MAX];
    uint8_t packet[SIGN_PACKET_SIZE_MAX];
};

static void hang_up(struct server *server, struct connection *connection) {
    close(connection->socket);
    connection->socket = -1;
    connection->unsent_size = 0;
    server->count--;
}

static void send_answers(struct server *server, struct connection *connection) {
    ssize_t size = send(connection->socket, connection->unsent, connection->unsent_size,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size >= 0) {
        connection->unsent_size = 0;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        hang_up(server, connection);
    }
}

static void take_packet(struct server *server, struct connection *connection) {
    /* The size of a packet that was cut is larger than the room. */
    ssize_t size =
        recv(connection->socket, server->packet, sizeof(server->packet), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    struct bytes answers;
    struct span room = {connection->unsent, sizeof(connection->unsent)};
    if (size <= 0 || (size_t)size > sizeof(server->packet) ||
        sign_service_answer(server->service, bytes_of(server->packet, (size_t)size), room,
                            &answers) != 0) {
        hang_up(server, connection);
        return;
    }
    connection->unsent_size = answers.size;
    send_answers(server, connection);
}

static void accept_one(struct server *server) {
    int socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; socket >= 0 && i < SERVE_CONNECTIONS_MAX; i++) {
        if (server->connections[i].socket < 0) {
            server->connections[i].socket = socket;
            server->count++;
            return;
        }
    }
}

static size_t fill(const struct server *server, struct pollfd *watched) {
    size_t count = 0;
    for (; count < SERVE_CONNECTIONS_MAX; count++) {
        const struct connection *connection = &server->connections[count];
        watched[count] = (struct pollfd){.fd = connection->socket,
                                         .events = connection->unsent_size > 0 ? POLLOUT : POLLIN};
    }
    if (server->listener >= 0 && server->count < SERVE_CONNECTIONS_MAX) {
        watched[count++] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    }
    return count;
}

/* Until there is no connection for `idle_ms`. */
static void loop(struct server *server, int idle_ms) {
    struct pollfd watched[SERVE_CONNECTIONS_MAX + 1];
    while (server->count > 0 || server->listener >= 0) {
        size_t count = fill(server, watched);
        int ready = poll(watched, (nfds_t)count, server->count > 0 ? -1 : idle_ms);
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            return;
        }
        for (size_t i = 0; ready > 0 && i < SERVE_CONNECTIONS_MAX; i++) {
            struct connection *connection = &server->connections[i];
            if (watched[i].revents == 0) {
                continue;
            }
            if (connection->unsent_size > 0) {
                send_answers(server, connection);
            } else {
                take_packet(server, connection);
            }
        }
        if (ready > 0 && count > SERVE_CONNECTIONS_MAX &&
            watched[SERVE_CONNECTIONS_MAX].revents != 0) {
            accept_one(server);
        }
    }
}

static struct server *server_new(const struct sign_service *service) {
    struct server *server = calloc(1, sizeof(*server));
    if (server != NULL) {
        server->service = service;
        server->listener = -1;
        for (size_t i = 0; i < SERVE_CONNECTIONS_MAX; i++) {
            server->connections[i].socket = -1;
        }
    }
    return server;
}

int serve_connection(const struct sign_service *service, int socket) {
    struct server *server = server_new(service);
    if (server == NULL) {
        return EXIT_FAILURE;
    }
    server->connections[0].socket = socket;
    server->count = 1;
    loop(server, -1);
    free(server);
    return EXIT_SUCCESS;
}

int serve_listener(const struct sign_service *service, int listener, int idle_ms) {
    struct server *server = server_new(service);
    if (server == NULL) {
        return EXIT_FAILURE;
    }
    server->listener = listener;
    loop(server, idle_ms);
    free(server);
    return EXIT_SUCCESS;
}
