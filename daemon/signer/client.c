/* Connecting, sending, matching answers to requests, and beginning again. */
#include "signer/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signer/protocol.h"
#include "util/ensure.h"

#define TOPIC "sign"
/* Number of the request that asks who the other end is. */
#define IDENTIFY_NUMBER 0
/* Packets under way: what comes meanwhile waits and goes together, so that the busier we are the
 * fewer times both processes wake up. */
#define PACKETS_MAX 1

enum state {
    STATE_AWAY,    /* until `deadline`, then it is tried again */
    STATE_STARTED, /* asked who it is */
    STATE_READY,
};

struct sign_client {
    struct signer signer;
    struct sign_client_config config;
    enum state state;
    bool has_key;     /* it answered once: no other key is taken */
    bool is_hopeless; /* trying again at once would bring the same fault */
    int epoll;
    int socket; /* -1: none */
    int pid;    /* 0: not our child */
    bool waits_writable;
    size_t packets; /* sent and not answered */
    nanos deadline;
    nanos pause;
    nanos away_since;
    uint64_t losses;
    uint32_t last_number;
    struct list waiting; /* to be sent */
    struct list sent;    /* in the order they were sent */
    nanos sent_since;    /* when the first of them was sent, or an answer came last */
    char fault[SIGN_CLIENT_FAULT_SIZE];
    uint8_t room[SIGN_PACKET_SIZE_MAX];
};

static void watch(struct sign_client *client, int operation, bool writable) {
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0)};
    client->waits_writable = writable;
    ENSURE(epoll_ctl(client->epoll, operation, client->socket, &event) == 0);
}

static void finish(struct signer_request *request, int error, const uint8_t *signature) {
    static const uint8_t none[ED25519_SIGNATURE_SIZE];
    request->done(request, error, error == 0 ? signature : none);
}

/* Ends our child, and says how it ended. */
static void reap(struct sign_client *client, char *text, size_t size) {
    int status = 0;
    (void)kill(client->pid, SIGKILL);
    while (waitpid(client->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            snprintf(text, size, "it is gone");
            return;
        }
    }
    if (WIFSIGNALED(status)) {
        snprintf(text, size, "signal %d", WTERMSIG(status));
    } else {
        snprintf(text, size, "exit code %d", WEXITSTATUS(status));
    }
}

/* What was sent is to be sent again, before everything else, in the same order. */
static void take_back(struct sign_client *client) {
    struct list_node *node;
    size_t fresh = client->waiting.size;
    while ((node = list_first(&client->sent)) != NULL) {
        list_remove(&client->sent, node);
        CONTAINER_OF(node, struct signer_request, node)->number = 0;
        list_append(&client->waiting, node);
    }
    for (; fresh > 0; fresh--) {
        node = list_first(&client->waiting);
        list_remove(&client->waiting, node);
        list_append(&client->waiting, node);
    }
}

/* Gives up what may be the cause. An answer may bring anything about: begins anew after each. */
static void give_up(struct sign_client *client) {
    struct list_node *node = list_first(&client->waiting);
    while (node != NULL) {
        struct signer_request *request = CONTAINER_OF(node, struct signer_request, node);
        node = list_next(&client->waiting, node);
        if (request->tries >= SIGN_CLIENT_TRIES_MAX) {
            list_remove(&client->waiting, &request->node);
            finish(request, PLASM_FAILED, NULL);
            node = list_first(&client->waiting);
        }
    }
}

/* Says each fault once, however often it is tried again. */
static void complain(struct sign_client *client, const char *fault) {
    if (strcmp(client->fault, fault) != 0) {
        snprintf(client->fault, sizeof(client->fault), "%s", fault);
        log_event(client->config.log, client->has_key ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, TOPIC,
                  "%s%s", fault, client->has_key ? "; trying again, receipts wait" : "");
    }
}

static void plan_next(struct sign_client *client) {
    nanos now = client->config.now();
    client->state = STATE_AWAY;
    client->away_since = client->away_since != 0 ? client->away_since : now;
    client->deadline = nanos_add(now, client->pause);
    nanos longer =
        2 * client->pause > SIGN_CLIENT_PAUSE_MIN ? 2 * client->pause : SIGN_CLIENT_PAUSE_MIN;
    client->pause = nanos_min(longer, SIGN_CLIENT_PAUSE_MAX);
}

/* Leaves the connection, for the reason given or, where that is NULL, how the process ended. */
static void leave(struct sign_client *client, const char *reason) {
    char ending[48] = "the connection was closed";
    char fault[SIGN_CLIENT_FAULT_SIZE];
    close(client->socket); /* leaves epoll with it */
    client->socket = -1;
    if (client->pid > 0) {
        reap(client, ending, sizeof(ending));
        client->pid = 0;
    }
    snprintf(fault, sizeof(fault), "plasm-sign %s%s%s", reason != NULL ? reason : "ended (",
             reason != NULL ? "" : ending, reason != NULL ? "" : ")");
    client->losses++;
    take_back(client);
    plan_next(client);
    complain(client, fault);
    give_up(client);
}

static bool send_packet(struct sign_client *client, struct bytes packet) {
    ssize_t size;
    do {
        size = send(client->socket, packet.data, packet.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size >= 0) {
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!client->waits_writable) {
            watch(client, EPOLL_CTL_MOD, true);
        }
    } else {
        leave(client, NULL);
    }
    return false;
}

static void begin(struct sign_client *client) {
    static const uint8_t version[SIGN_VERSION_SIZE] = {0, SIGN_PROTOCOL_VERSION};
    const struct sign_request who = {
        .kind = SIGN_IDENTIFY, .number = IDENTIFY_NUMBER, .payload = BYTES_ARRAY(version)};
    struct writer writer = writer_of((struct span){client->room, sizeof(client->room)});
    if (!client->config.open(client->config.context, &client->socket, &client->pid)) {
        char fault[SIGN_CLIENT_FAULT_SIZE];
        snprintf(fault, sizeof(fault), "plasm-sign cannot be reached: %s", strerror(errno));
        client->socket = -1;
        client->is_hopeless = true;
        plan_next(client);
        complain(client, fault);
        return;
    }
    watch(client, EPOLL_CTL_ADD, false);
    client->state = STATE_STARTED;
    client->deadline = nanos_add(client->config.now(), SIGN_CLIENT_ANSWER_TIME);
    sign_request_put(&writer, &who);
    (void)send_packet(client, writer_bytes(&writer));
}

/* 0 is no request's. */
static uint32_t number_after(uint32_t number) {
    return number == UINT32_MAX ? 1 : number + 1;
}

/* Puts requests into a packet while there is room, with the numbers they get once it is sent; gives
 * how many. */
static size_t gather(const struct sign_client *client, struct writer *writer) {
    size_t count = 0;
    uint32_t number = client->last_number;
    struct list_node *node = list_first(&client->waiting);
    for (; node != NULL && count < SIGN_FRAMES_MAX; node = list_next(&client->waiting, node)) {
        struct signer_request *request = CONTAINER_OF(node, struct signer_request, node);
        struct sign_request frame = {.kind = (uint8_t)request->kind, .payload = request->payload};
        if (writer->room.size - writer->size < SIGN_FRAME_HEAD_SIZE + frame.payload.size) {
            break;
        }
        number = number_after(number);
        frame.number = number;
        sign_request_put(writer, &frame);
        count++;
    }
    return count;
}

void sign_client_flush(struct sign_client *client) {
    while (client->state == STATE_READY && !client->waits_writable &&
           client->packets < PACKETS_MAX && !list_empty(&client->waiting)) {
        struct writer writer = writer_of((struct span){client->room, sizeof(client->room)});
        size_t count = gather(client, &writer);
        if (!send_packet(client, writer_bytes(&writer))) {
            return;
        }
        client->packets++;
        for (; count > 0; count--) {
            struct list_node *node = list_first(&client->waiting);
            struct signer_request *request = CONTAINER_OF(node, struct signer_request, node);
            client->last_number = number_after(client->last_number);
            request->number = client->last_number;
            request->tries++;
            list_remove(&client->waiting, node);
            list_append(&client->sent, node);
        }
        client->deadline = nanos_add(client->config.now(), SIGN_CLIENT_ANSWER_TIME);
    }
}

static bool take_identity(struct sign_client *client, const struct sign_answer *answer) {
    struct public_key key;
    char fault[SIGN_CLIENT_FAULT_SIZE];
    if (answer->outcome != SIGN_OK || answer->body.size != ED25519_PUBLIC_SIZE) {
        client->is_hopeless = true;
        snprintf(fault, sizeof(fault), "cannot sign: %.*s",
                 answer->outcome != SIGN_OK ? (int)answer->body.size : 0,
                 (const char *)answer->body.data);
        leave(client, fault);
        return false;
    }
    public_key_from_ed25519(answer->body.data, &key);
    if (client->has_key &&
        !bytes_equal(bytes_of(key.data, key.size),
                     bytes_of(client->signer.key.data, client->signer.key.size))) {
        struct peer_id id;
        char text[PEER_ID_TEXT_MAX];
        peer_id_from_key(&key, &id);
        peer_id_format(&id, text);
        snprintf(fault, sizeof(fault),
                 "has another key now, that of %s: restart plasmd if that is meant", text);
        leave(client, fault);
        return false;
    }
    if (client->has_key) {
        log_event(client->config.log, LOG_LEVEL_WARNING, TOPIC,
                  "plasm-sign is back; %zu receipts "
                  "and records to sign",
                  client->waiting.size);
    }
    client->signer.key = key;
    client->has_key = true;
    client->state = STATE_READY;
    client->packets = 0;
    client->away_since = 0;
    client->deadline = NANOS_NEVER;
    client->fault[0] = '\0';
    return true;
}

/* False when the connection had to be left. */
static bool take_answer(struct sign_client *client, const struct sign_answer *answer) {
    struct signer_request *request =
        LIST_ENTRY(list_first(&client->sent), struct signer_request, node);
    if (client->state == STATE_STARTED && answer->number == IDENTIFY_NUMBER) {
        return take_identity(client, answer);
    }
    if (answer->number == 0 || client->state != STATE_READY) {
        leave(client, "answered what was not asked");
        return false;
    }
    /* Those withdrawn since have left the list: the next one's answer is still to come. */
    if (request == NULL || request->number != answer->number) {
        return true;
    }
    bool fits = answer->outcome != SIGN_OK || answer->body.size == ED25519_SIGNATURE_SIZE;
    list_remove(&client->sent, &request->node);
    request->number = 0;
    client->pause = 0;
    if (answer->outcome != SIGN_OK) {
        log_event(client->config.log, LOG_LEVEL_ERROR, TOPIC, "plasm-sign refused: %.*s",
                  (int)answer->body.size, (const char *)answer->body.data);
    }
    finish(request,
           answer->outcome == SIGN_OK && fits ? 0
           : answer->outcome == SIGN_REFUSED  ? PLASM_INVALID
                                              : PLASM_FAILED,
           answer->body.data);
    return true;
}

/* Answers' bytes are copied away from `room`: an answer may make somebody flush. */
static bool take_packet(struct sign_client *client, struct bytes packet) {
    struct cursor cursor = cursor_of(packet);
    while (cursor.left.size > 0) {
        struct sign_answer answer;
        if (sign_answer_next(&cursor, &answer) != 0) {
            leave(client, "sent what is no answer");
            return false;
        }
        if (!take_answer(client, &answer)) {
            return false;
        }
    }
    return true;
}

/* The packet that was under way is answered. */
static void end_packet(struct sign_client *client) {
    client->packets = 0;
    client->deadline = NANOS_NEVER;
    if (!list_empty(&client->sent)) {
        leave(client, "left requests without an answer");
    }
}

void sign_client_receive(struct sign_client *client) {
    uint8_t packet[SIGN_ANSWERS_SIZE_MAX];
    if (client->socket >= 0 && client->waits_writable) {
        watch(client, EPOLL_CTL_MOD, false); /* the next flush finds out */
    }
    while (client->socket >= 0) {
        ssize_t size = recv(client->socket, packet, sizeof(packet), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (size <= 0) {
            leave(client, NULL);
            return;
        }
        bool was_ready = client->state == STATE_READY;
        if (!take_packet(client, bytes_of(packet, (size_t)size))) {
            return;
        }
        if (was_ready) {
            end_packet(client);
            return; /* nothing more is to come */
        }
    }
}

int sign_client_fd(const struct sign_client *client) {
    return client->epoll;
}

nanos sign_client_deadline(const struct sign_client *client) {
    return client->deadline;
}

void sign_client_expire(struct sign_client *client) {
    if (client->config.now() < client->deadline) {
        return;
    }
    if (client->state == STATE_AWAY) {
        begin(client);
    } else {
        leave(client, "does not answer");
    }
}

nanos sign_client_away_since(const struct sign_client *client) {
    return client->away_since;
}

size_t sign_client_pending(const struct sign_client *client) {
    return client->waiting.size + client->sent.size;
}

uint64_t sign_client_losses(const struct sign_client *client) {
    return client->losses;
}

static void client_submit(struct signer *signer, struct signer_request *request) {
    struct sign_client *client = CONTAINER_OF(signer, struct sign_client, signer);
    request->number = 0;
    request->tries = 0;
    list_append(&client->waiting, &request->node);
}

static void client_withdraw(struct signer *signer, struct signer_request *request) {
    struct sign_client *client = CONTAINER_OF(signer, struct sign_client, signer);
    if (!list_linked(&request->node)) {
        return;
    }
    list_remove(request->number != 0 ? &client->sent : &client->waiting, &request->node);
}

/* One round of waiting for whatever comes, until `until` at most. */
static void wait_once(struct sign_client *client, nanos until) {
    sign_client_flush(client);
    sign_client_expire(client);
    sign_client_flush(client);
    nanos now = client->config.now();
    nanos wake = nanos_min(until, client->deadline);
    struct pollfd watched = {.fd = client->epoll, .events = POLLIN};
    int timeout_ms = wake <= now ? 0 : (int)((wake - now) / NANOS_MILLISECOND) + 1;
    if (poll(&watched, 1, timeout_ms) > 0) {
        sign_client_receive(client);
    }
}

struct waiting_request {
    struct signer_request request;
    bool done;
    int error;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
};

static void on_waited(struct signer_request *request, int error, const uint8_t *signature) {
    struct waiting_request *waiting = CONTAINER_OF(request, struct waiting_request, request);
    waiting->done = true;
    waiting->error = error;
    memcpy(waiting->signature, signature, ED25519_SIGNATURE_SIZE);
}

static int client_sign(struct signer *signer, enum signing_kind kind, struct bytes payload,
                       uint8_t ret_signature[ED25519_SIGNATURE_SIZE]) {
    struct sign_client *client = CONTAINER_OF(signer, struct sign_client, signer);
    struct waiting_request waiting = {
        .request = {.kind = kind, .payload = payload, .done = on_waited}};
    nanos until = nanos_add(client->config.now(), SIGN_CLIENT_ANSWER_TIME);
    client_submit(signer, &waiting.request);
    while (!waiting.done && client->config.now() < until) {
        wait_once(client, until);
    }
    if (!waiting.done) {
        client_withdraw(signer, &waiting.request);
        return PLASM_TIMEOUT;
    }
    if (waiting.error == 0) {
        memcpy(ret_signature, waiting.signature, ED25519_SIGNATURE_SIZE);
    }
    return waiting.error;
}

static void client_free(struct signer *signer) {
    struct sign_client *client = CONTAINER_OF(signer, struct sign_client, signer);
    char ending[48];
    if (client->socket >= 0) {
        close(client->socket);
    }
    if (client->pid > 0) {
        reap(client, ending, sizeof(ending));
    }
    if (client->epoll >= 0) {
        close(client->epoll);
    }
    memory_put(client->config.memory, client, sizeof(*client));
}

static const struct signer_verbs verbs = {
    .sign = client_sign, .submit = client_submit, .withdraw = client_withdraw, .free = client_free};

int sign_client_new(const struct sign_client_config *config, struct sign_client **ret_client) {
    struct sign_client *client = memory_zero(config->memory, sizeof(*client));
    if (client == NULL) {
        return PLASM_NO_MEMORY;
    }
    client->config = *config;
    client->signer.verbs = &verbs;
    client->socket = -1;
    client->deadline = NANOS_NEVER;
    list_init(&client->waiting);
    list_init(&client->sent);
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->epoll < 0) {
        client_free(&client->signer);
        return PLASM_IO;
    }
    *ret_client = client;
    return 0;
}

int sign_client_start(struct sign_client *client, nanos patience, char *fault) {
    nanos until = nanos_add(client->config.now(), patience);
    begin(client);
    while (client->state != STATE_READY && !client->is_hopeless && client->config.now() < until) {
        wait_once(client, until);
    }
    if (client->state == STATE_READY) {
        return 0;
    }
    snprintf(fault, SIGN_CLIENT_FAULT_SIZE, "%s",
             client->fault[0] != '\0' ? client->fault : "plasm-sign does not answer");
    return PLASM_FAILED;
}

void sign_client_settle(struct sign_client *client, nanos patience) {
    nanos until = nanos_add(client->config.now(), patience);
    while (sign_client_pending(client) > 0 && client->config.now() < until) {
        wait_once(client, until);
    }
}

struct signer *sign_client_signer(struct sign_client *client) {
    return &client->signer;
}
