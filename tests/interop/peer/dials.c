/* The command `dials`: many fresh connections to one peer, each by an identity of its own, for
 * measuring what a connection costs. */
#include "node.h"

#include <stdlib.h>

#include "host/identity_file.h"

#define DIALLERS_MAX 2000
#define DIALS_MAX    100000
/* Connections that are to be held are made so many at a time. */
#define HOLD_PARALLEL 16

struct dials;

/* One identity with its sockets; it has at most one connection at a time. */
struct dialler {
    struct dials *dials;
    struct signer *signer;
    struct host *host;
};

struct dials {
    struct request *request; /* NULL once it was answered: the connections are held */
    struct node *node;
    struct multiaddr address;
    bool hold;
    json_int_t wanted;
    json_int_t begun;
    json_int_t done;
    nanos started;
    size_t count;
    struct dialler *diallers;
};

static void dials_fail(struct dials *dials, const char *what, int error) {
    struct request *request = dials->request;
    dials->request = NULL;
    if (request != NULL) {
        request_fail_error(request, what, error);
    }
}

static void dial(struct dialler *dialler) {
    struct dials *dials = dialler->dials;
    if (dials->begun == dials->wanted || dials->request == NULL) {
        return;
    }
    dials->begun++;
    uint64_t request;
    int error =
        peer_connect(host_peer(dialler->host), NULL, &dials->address, 1, host_now(), &request);
    if (error != 0) {
        dials_fail(dials, "dial", error);
    }
}

static void finished(struct dials *dials) {
    struct request *request = dials->request;
    dials->done++;
    if (dials->done < dials->wanted || request == NULL) {
        return;
    }
    dials->request = NULL;
    request_done(request, json_pack("{s:I}", "elapsed_us",
                                    (json_int_t)(nanos_since(host_now(), dials->started) /
                                                 NANOS_MICROSECOND)));
}

/* Connected means identified, as other implementations count. */
static void on_event(void *context, const struct peer_event *event) {
    struct dialler *dialler = context;
    struct dials *dials = dialler->dials;
    switch ((int)event->type) {
    case PEER_EVENT_CONNECT_FAILED:
        dials_fail(dials, "dial", event->error);
        break;
    case PEER_EVENT_IDENTIFIED:
        if (dials->hold && dials->begun < (json_int_t)dials->count) {
            dial(&dials->diallers[dials->begun]);
        } else if (!dials->hold) {
            peer_disconnect(host_peer(dialler->host), event->connection, host_now());
        }
        finished(dials);
        break;
    case PEER_EVENT_DISCONNECTED:
        dial(dialler);
        break;
    default:
        break;
    }
}

static int dialler_start(struct dialler *dialler) {
    struct node *node = dialler->dials->node;
    struct ed25519_secret secret;
    identity_fresh(&secret);
    int error = signer_local_new(&secret, &node->memory, &dialler->signer);
    ed25519_done(&secret);
    if (error != 0) {
        return error;
    }
    struct host_config config = {.loop = host_loop(node->host),
                                 .signer = dialler->signer,
                                 .memory = &node->memory,
                                 .agent = "plasm-peer/" PLASM_VERSION,
                                 .kad_protocol = "/phase/interop/dials",
                                 .on_event = on_event,
                                 .context = dialler};
    return host_new(&config, &dialler->host, NULL);
}

void dials_command_free(struct node *node) {
    struct dials *dials = node->dials;
    node->dials = NULL;
    if (dials == NULL) {
        return;
    }
    dials->request = NULL;
    for (size_t i = 0; i < dials->count; i++) {
        host_free(dials->diallers[i].host);
        signer_free(dials->diallers[i].signer);
    }
    free(dials->diallers);
    free(dials);
}

void dials_command_begin(struct request *request) {
    json_int_t count;
    json_int_t parallel;
    if (!field_number(request, "count", 1, 1, DIALS_MAX, &count) ||
        !field_number(request, "parallel", 1, 1, DIALLERS_MAX, &parallel)) {
        return;
    }
    struct node *node = request->node;
    dials_command_free(node);
    struct dials *dials = calloc(1, sizeof(*dials));
    struct dialler *diallers = calloc((size_t)parallel, sizeof(*diallers));
    if (dials == NULL || diallers == NULL) {
        abort();
    }
    node->dials = dials;
    *dials = (struct dials){.request = request,
                            .node = node,
                            .hold = json_is_true(json_object_get(request->body, "hold")),
                            .wanted = count,
                            .diallers = diallers};
    if (multiaddr_parse(bytes_of_string(field_text(request, "to")), &dials->address) != 0) {
        dials->request = NULL;
        request_fail(request, "to is no address");
        return;
    }
    for (; dials->count < (size_t)parallel; dials->count++) {
        struct dialler *dialler = &diallers[dials->count];
        dialler->dials = dials;
        int error = dialler_start(dialler);
        if (error != 0) {
            signer_free(dialler->signer);
            dials_fail(dials, "cannot start a dialler", error);
            return;
        }
    }
    dials->started = host_now();
    for (size_t i = 0; i < dials->count && (!dials->hold || i < HOLD_PARALLEL); i++) {
        dial(&diallers[i]);
    }
}

void dials_command_release(struct request *request) {
    struct dials *dials = request->node->dials;
    if (dials != NULL && dials->request == request) {
        dials->request = NULL;
    }
}
