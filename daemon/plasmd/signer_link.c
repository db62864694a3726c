/* Choosing, starting and connecting to plasm-sign. */
#include "plasmd/signer_link.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/ensure.h"

/* A service may have to be started first. */
#define START_PATIENCE (15 * NANOS_SECOND)
/* Room for a directory that another name is appended to. */
#define SELF_SIZE (CONFIG_PATH_SIZE - 64)

void helper_find(const char *setting, const char *name, char room[CONFIG_PATH_SIZE]) {
    char self[SELF_SIZE];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = NULL;
    if (size > 0) {
        self[size] = '\0';
        slash = strrchr(self, '/');
    }
    if (setting[0] != '\0' || slash == NULL) {
        snprintf(room, CONFIG_PATH_SIZE, "%s", setting);
        return;
    }
    *slash = '\0';
    snprintf(room, CONFIG_PATH_SIZE, "%s/%.32s", self, name);
    if (access(room, X_OK) != 0) {
        snprintf(room, CONFIG_PATH_SIZE, "%s/../libexec/plasm/%.32s", self, name);
    }
}

void signer_link_init(struct signer_link *link, const struct config *config) {
    *link = (struct signer_link){.config = config};
    if (strcmp(config->signer, "auto") == 0) {
        bool is_service = !config->ephemeral &&
                          strcmp(config->state_dir, CONFIG_STATE_DIR_DEFAULT) == 0 &&
                          access(SIGNER_SOCKET_DEFAULT, F_OK) == 0;
        link->socket = is_service ? SIGNER_SOCKET_DEFAULT : NULL;
    } else {
        link->socket = strcmp(config->signer, "fork") == 0 ? NULL : config->signer;
    }
    snprintf(link->key_path, sizeof(link->key_path), "%s/identity.key", config->state_dir);
}

static bool complain(char *fault, const char *what, const char *why) {
    snprintf(fault, CONFIG_FAULT_SIZE, "%.250s: %.250s", what, why);
    return false;
}

bool signer_link_fork(struct signer_link *link, const struct starter_plan *runner, bool existing,
                      char *fault) {
    static char name[] = "plasm-sign";
    static char fd_option[] = "--fd";
    static char fd[] = "3"; /* STARTER_SOCKET_FD */
    static char key_fd_option[] = "--key-fd";
    static char key_fd[] = "4"; /* STARTER_KEY_FD */
    static char key_option[] = "--key";
    static char existing_option[] = "--existing";
    bool is_ephemeral = link->config->ephemeral;
    if (link->socket != NULL) {
        return !is_ephemeral ||
               complain(fault, "ephemeral = yes",
                        "a signing service has a key of its own: use signer = fork");
    }
    helper_find("", "plasm-sign", link->program);
    if (access(link->program, X_OK) != 0) {
        return complain(fault, link->program, "not there or not executable");
    }
    char *const own[] = {name,
                         fd_option,
                         fd,
                         is_ephemeral ? key_fd_option : key_option,
                         is_ephemeral ? key_fd : link->key_path,
                         existing ? existing_option : NULL,
                         NULL};
    memcpy(link->arguments, own, sizeof(own));
    struct starter_plan plans[STARTER_PROGRAMS] = {
        [STARTER_SIGNER] = {.path = link->program, .arguments = link->arguments}};
    if (runner != NULL) {
        plans[STARTER_RUNNER] = *runner;
    }
    int error = starter_new(plans, is_ephemeral, &link->starter);
    return error == 0 || complain(fault, "starting plasm-sign", strerror(errno));
}

static bool open_service(void *context, int *ret_socket, int *ret_pid) {
    const struct signer_link *link = context;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(link->socket) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, link->socket, strlen(link->socket));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return false;
    }
    *ret_socket = fd;
    *ret_pid = 0;
    return true;
}

static bool open_own(void *context, int *ret_socket, int *ret_pid) {
    const struct signer_link *link = context;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        return false;
    }
    int error = starter_start(link->starter, STARTER_SIGNER, pair[1], ret_pid);
    int saved = errno;
    close(pair[1]);
    if (error != 0) {
        close(pair[0]);
        errno = saved;
        return false;
    }
    *ret_socket = pair[0];
    return true;
}

bool signer_link_start(struct signer_link *link, struct memory *memory, const struct log_sink *log,
                       char *fault) {
    const struct sign_client_config config = {.open =
                                                  link->socket != NULL ? open_service : open_own,
                                              .context = link,
                                              .memory = memory,
                                              .log = log,
                                              .now = host_now};
    char why[SIGN_CLIENT_FAULT_SIZE];
    int error = sign_client_new(&config, &link->client);
    if (error != 0) {
        return complain(fault, "plasm-sign", plasm_error_message(error));
    }
    error = sign_client_start(link->client, START_PATIENCE, why);
    return error == 0 || complain(fault, link->socket != NULL ? link->socket : "identity", why);
}

void signer_link_done(struct signer_link *link) {
    if (link->client != NULL) {
        signer_free(sign_client_signer(link->client));
        link->client = NULL;
    }
    starter_free(link->starter);
    link->starter = NULL;
}

bool signer_link_is_away(const struct signer_link *link, nanos now) {
    nanos since = sign_client_away_since(link->client);
    return since != 0 && nanos_since(now, since) >= SIGNER_AWAY_MAX;
}
