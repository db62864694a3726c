/* The API of a worker on this machine (docs/api.md). */
#ifndef CLI_API_H
#define CLI_API_H

#include <jansson.h>

#define API_URL_DEFAULT "http://127.0.0.1:4002"
#define API_WAIT_S      5

/* Gets "/api/v1/…" from "http://host:port" or the path of a Unix socket. NULL: errno; EPROTO where
 * what answers is no worker. */
json_t *api_get(const char *url, const char *path);

#endif
