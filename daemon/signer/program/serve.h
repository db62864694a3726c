/* Answers on sockets until nobody is left. */
#ifndef SIGN_PROGRAM_SERVE_H
#define SIGN_PROGRAM_SERVE_H

#include "signer/service.h"
#include "util/time.h"

/* Connections at a time, of those that connect; more wait. */
#define SERVE_CONNECTIONS_MAX 8

/* One connected socket, until it is closed. The exit code. */
int serve_connection(const struct sign_service *service, int socket);
/* Whoever connects to a listening socket; ends once nobody has been connected for `idle_ms`. The
 * exit code. */
int serve_listener(const struct sign_service *service, int listener, int idle_ms);

#endif
