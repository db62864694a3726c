/* The peer's side of AutoNAT: dialling back who asks for it, and asking others to dial us back. */
#include "peer/internal.h"
#include "peer/reachability.h"
#include "proto/autonat/client.h"
#include "proto/autonat/policy.h"
#include "proto/autonat/server.h"
#include "proto/identify/identify.h"
#include "util/ensure.h"
#include "wire/varint.h"

/* Time for one dial-back, and then for its message; go-libp2p's. */
#define BACK_DIAL_TIMEOUT   (10 * NANOS_SECOND)
#define BACK_STREAM_TIMEOUT (5 * NANOS_SECOND)
/* A dial elsewhere waits a random time, so that many requests at once do not hit together. */
#define BACK_DELAY_MAX (2 * NANOS_SECOND)
/* After the answer the other side has this long to end its direction. */
#define ANSWER_LINGER_TIMEOUT (5 * NANOS_SECOND)
/* Addresses that one v1 request has dialled. */
#define BACK_TARGETS_MAX 4
/* Larger than any of the machines' messages. */
#define MESSAGE_ROOM (AUTONAT_DATA_PIECE_MAX + 64)

struct autonat_service {
    bool serves;
    bool asks;
    struct list questions;
    struct list jobs;
    struct autonat_limiter limiter;
};

/* A question of ours. */
struct question {
    struct list_node node;
    struct peer_stream *stream;
    struct autonat_client client;
    uint64_t request; /* 0: of the address book */
};

/* A question of somebody else's. */
enum job_state { JOB_READING, JOB_DELAYED, JOB_DIALLING, JOB_TELLING, JOB_DONE };
struct job {
    struct list_node node;
    struct peer_stream *stream;
    struct autonat_server server;
    enum autonat_version version;
    enum job_state state;
    uint64_t nonce;
    size_t index;
    size_t target_count;
    struct multiaddr targets[BACK_TARGETS_MAX];
    struct link *links[BACK_TARGETS_MAX]; /* dialling */
    struct peer_connection *connection;   /* v2: where the nonce is told */
    struct peer_stream *back;
};

static struct autonat_service *service_make(struct peer *peer) {
    if (peer->autonat == NULL) {
        peer->autonat = memory_zero(peer->memory, sizeof(*peer->autonat));
        if (peer->autonat != NULL) {
            list_init(&peer->autonat->questions);
            list_init(&peer->autonat->jobs);
        }
    }
    return peer->autonat;
}

static enum autonat_version version_of(const char *protocol) {
    return strcmp(protocol, AUTONAT_V1_PROTOCOL) == 0 ? AUTONAT_V1 : AUTONAT_V2;
}

bool connection_netaddr(const struct peer_connection *connection, struct netaddr *ret_netaddr) {
    struct bytes id;
    return multiaddr_to_quic(&connection->remote, ret_netaddr, &id) == 0 ||
           multiaddr_to_tcp(&connection->remote, ret_netaddr, &id) == 0;
}

int peer_add_probe_transport(struct peer *peer, struct transport *transport) {
    struct autonat_service *service = service_make(peer);
    if (service == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (peer->probe_transport_count == ARRAY_SIZE(peer->probe_transports)) {
        return PLASM_LIMIT;
    }
    int error = peer_add_transport(peer, transport);
    if (error != 0) {
        return error;
    }
    peer->probe_transports[peer->probe_transport_count++] = transport;
    if (!service->serves) {
        service->serves = true;
        error = peer_serve(peer, AUTONAT_V1_PROTOCOL, SERVICE_AUTONAT);
        if (error == 0) {
            error = peer_serve(peer, AUTONAT_V2_PROTOCOL, SERVICE_AUTONAT);
        }
    }
    return error;
}

bool transport_is_probe(const struct peer *peer, const struct transport *transport) {
    for (size_t i = 0; i < peer->probe_transport_count; i++) {
        if (peer->probe_transports[i] == transport) {
            return true;
        }
    }
    return false;
}

/* --- answering -------------------------------------------------------------------------------- */

static struct job *job_of(struct peer_stream *stream) {
    return stream->user;
}

/* Whatever was begun for the job ends. */
static void job_stop(struct peer *peer, struct job *job) {
    for (size_t i = 0; i < job->target_count; i++) {
        if (job->links[i] != NULL) {
            struct link *link = job->links[i];
            job->links[i] = NULL;
            link->transport->verbs->close(link, 0, "", peer->now);
        }
    }
    if (job->back != NULL) {
        job->back->user = NULL;
        job->back = NULL;
    }
    if (job->connection != NULL) {
        struct peer_connection *connection = job->connection;
        job->connection = NULL;
        if (!connection->ended) {
            connection->link->transport->verbs->close(connection->link, 0, "", peer->now);
        }
    }
}

static void job_free(struct peer *peer, struct job *job) {
    job_stop(peer, job);
    list_remove(&peer->autonat->jobs, &job->node);
    autonat_server_done(&job->server);
    memory_put(peer->memory, job, sizeof(*job));
}

/* Writes what the machine has to say. False: the stream is gone, and the job with it. */
static bool job_send(struct job *job, bool fin) {
    struct peer_stream *stream = job->stream;
    uint8_t room[sizeof(job->server.out)];
    size_t size = autonat_server_transmit(&job->server, (struct span){room, sizeof(room)});
    if (stream_send(stream, bytes_of(room, size), fin) == 0) {
        return true;
    }
    stream->user = NULL;
    job_free(stream->peer, job);
    stream_abort(stream, PEER_RESET_PROTOCOL);
    return false;
}

static void job_answered(struct job *job) {
    struct peer_stream *stream = job->stream;
    job->state = JOB_DONE;
    job_stop(stream->peer, job);
    if (job_send(job, true)) {
        peer_timer_set(stream->peer, &stream->timer,
                       nanos_add(stream->peer->now, ANSWER_LINGER_TIMEOUT));
    }
}

static void answer_v1(struct job *job, enum autonat_v1_status status, const char *text,
                      const struct multiaddr *reached) {
    autonat_server_answer_v1(&job->server, status, text, reached);
    job_answered(job);
}

static void answer_v2(struct job *job, enum autonat_v2_status status,
                      enum autonat_dial_status dial_status) {
    autonat_server_answer_v2(&job->server, status, job->index, dial_status);
    job_answered(job);
}

static void refuse_request(struct job *job, bool limit) {
    if (job->version == AUTONAT_V1) {
        answer_v1(job, AUTONAT_V1_DIAL_REFUSED, limit ? "too many requests" : "no address to dial",
                  NULL);
    } else {
        answer_v2(job, limit ? AUTONAT_V2_REQUEST_REJECTED : AUTONAT_V2_DIAL_REFUSED,
                  AUTONAT_DIAL_UNUSED);
    }
}

static void not_reached(struct job *job) {
    if (job->version == AUTONAT_V1) {
        answer_v1(job, AUTONAT_V1_DIAL_ERROR, "dial failed", NULL);
    } else {
        answer_v2(job, AUTONAT_V2_OK, AUTONAT_DIAL_ERROR);
    }
}

/* The transport that can dial it without using a port that the requester has heard from. */
static struct transport *back_transport(struct peer *peer, const struct multiaddr *address) {
    struct netaddr remote;
    struct bytes id;
    bool is_tcp = multiaddr_to_tcp(address, &remote, &id) == 0;
    for (size_t i = 0; i < peer->transport_count; i++) {
        struct transport *transport = peer->transports[i];
        /* Every TCP connection has a port of its own. */
        if ((is_tcp || transport_is_probe(peer, transport)) &&
            transport->verbs->dials(transport, address)) {
            return transport;
        }
    }
    return NULL;
}

static bool is_dialling(const struct job *job) {
    for (size_t i = 0; i < job->target_count; i++) {
        if (job->links[i] != NULL) {
            return true;
        }
    }
    return false;
}

static void job_dial(struct job *job) {
    struct peer *peer = job->stream->peer;
    struct peer_id id = job->stream->connection->known->id;
    job->state = JOB_DIALLING;
    for (size_t i = 0; i < job->target_count; i++) {
        struct transport *transport = back_transport(peer, &job->targets[i]);
        struct link *link = NULL;
        if (transport != NULL &&
            transport->verbs->dial(transport, &job->targets[i], &id, 0, peer->now, &link) == 0) {
            link->user = NULL;
            job->links[i] = link;
        }
    }
    if (is_dialling(job)) {
        peer_timer_set(peer, &job->stream->timer, nanos_add(peer->now, BACK_DIAL_TIMEOUT));
    } else {
        not_reached(job);
    }
}

static void add_target(struct job *job, const struct multiaddr *address) {
    for (size_t i = 0; i < job->target_count; i++) {
        if (multiaddr_equal(&job->targets[i], address)) {
            return;
        }
    }
    if (job->target_count < BACK_TARGETS_MAX &&
        back_transport(job->stream->peer, address) != NULL) {
        job->targets[job->target_count++] = *address;
    }
}

/* v1: the requester's IP with any ports it names. */
static void begin_v1(struct job *job, const struct autonat_server_event *event,
                     const struct netaddr *requester) {
    const struct peer_id *id = &job->stream->connection->known->id;
    if (event->peer_id.size > 0 && !bytes_equal(event->peer_id, peer_id_bytes(id))) {
        answer_v1(job, AUTONAT_V1_BAD_REQUEST, "not your peer id", NULL);
        return;
    }
    for (size_t i = 0; i < event->address_count; i++) {
        struct multiaddr address;
        if (multiaddr_decode(event->addresses[i], &address) == 0 &&
            autonat_with_ip(requester, &address, &address) == 0) {
            add_target(job, &address);
        }
    }
    if (job->target_count == 0) {
        refuse_request(job, false);
        return;
    }
    job_dial(job);
}

/* v2: exactly the first address that can and may be dialled. */
static void begin_v2(struct job *job, const struct autonat_server_event *event,
                     const struct netaddr *requester) {
    struct peer *peer = job->stream->peer;
    job->nonce = event->nonce;
    enum autonat_verdict verdict = AUTONAT_REFUSE;
    for (size_t i = 0; i < event->address_count && job->target_count == 0; i++) {
        struct multiaddr address;
        if (multiaddr_decode(event->addresses[i], &address) != 0) {
            continue;
        }
        verdict = autonat_judge(requester, &address);
        if (verdict != AUTONAT_REFUSE) {
            add_target(job, &address);
            job->index = i;
        }
    }
    if (job->target_count == 0) {
        job->index = 0;
        refuse_request(job, false);
    } else if (verdict == AUTONAT_DIAL_FREELY) {
        job_dial(job);
    } else if (!autonat_limiter_take_data(&peer->autonat->limiter,
                                          peer_id_bytes(&job->stream->connection->known->id),
                                          peer->now)) {
        refuse_request(job, true);
    } else {
        size_t size =
            AUTONAT_DATA_SIZE_MIN +
            (size_t)random_below(&peer->random, AUTONAT_DATA_SIZE_MAX - AUTONAT_DATA_SIZE_MIN);
        autonat_server_ask_data(&job->server, job->index, size);
        (void)job_send(job, false);
    }
}

static size_t jobs_of(const struct peer *peer, const struct peer_id *id) {
    size_t count = 0;
    for (struct list_node *node = list_first(&peer->autonat->jobs); node != NULL;
         node = list_next(&peer->autonat->jobs, node)) {
        const struct job *job = CONTAINER_OF(node, struct job, node);
        count += job->state != JOB_DONE && peer_id_equal(&job->stream->connection->known->id, id);
    }
    return count;
}

static void job_begin(struct job *job, const struct autonat_server_event *event) {
    struct peer_stream *stream = job->stream;
    struct peer *peer = stream->peer;
    const struct peer_id *id = &stream->connection->known->id;
    struct netaddr requester;
    bool direct = connection_netaddr(stream->connection, &requester);
    if (!direct) { /* over a relay nobody can tell whose address it is */
        refuse_request(job, false);
    } else if (jobs_of(peer, id) > AUTONAT_REQUESTS_PER_PEER_MAX ||
               peer->autonat->jobs.size > AUTONAT_REQUESTS_MAX ||
               !autonat_limiter_take(&peer->autonat->limiter, peer_id_bytes(id), &requester,
                                     peer->now)) {
        refuse_request(job, true);
    } else if (job->version == AUTONAT_V1) {
        begin_v1(job, event, &requester);
    } else {
        begin_v2(job, event, &requester);
    }
}

void autonat_opened(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    if (stream->service == SERVICE_AUTONAT_BACK) {
        buffer_init(&stream->in, peer->memory, AUTONAT_BACK_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX);
        return;
    }
    struct job *job = memory_zero(peer->memory, sizeof(*job));
    if (job == NULL) {
        stream_abort(stream, 0);
        return;
    }
    job->stream = stream;
    job->version = version_of(stream->protocol);
    autonat_server_init(&job->server, job->version, peer->memory);
    list_append(&peer->autonat->jobs, &job->node);
    stream->user = job;
    peer_timer_set(peer, &stream->timer, nanos_add(peer->now, AUTONAT_SERVER_READ_TIMEOUT));
}

static void job_data(struct peer_stream *stream, struct bytes data) {
    struct job *job = job_of(stream);
    struct peer *peer = stream->peer;
    autonat_server_receive(&job->server, data);
    struct autonat_server_event event;
    if (!autonat_server_next_event(&job->server, &event)) {
        return;
    }
    switch (event.type) {
    case AUTONAT_SERVER_REQUEST:
        job_begin(job, &event);
        break;
    case AUTONAT_SERVER_COMPLETE:
        job->state = JOB_DELAYED;
        peer_timer_set(peer, &stream->timer,
                       nanos_add(peer->now, random_below(&peer->random, BACK_DELAY_MAX)));
        break;
    case AUTONAT_SERVER_BROKEN:
        stream->user = NULL;
        job_free(peer, job);
        stream_abort(stream, PEER_RESET_PROTOCOL);
        break;
    }
}

static bool job_expire(struct job *job) {
    switch (job->state) {
    case JOB_DELAYED:
        job_dial(job);
        return true;
    case JOB_DIALLING:
        not_reached(job);
        return true;
    case JOB_TELLING:
        answer_v2(job, AUTONAT_V2_OK, AUTONAT_DIAL_BACK_ERROR);
        return true;
    case JOB_READING:
    case JOB_DONE:
        break;
    }
    return false;
}

/* --- dialling back ---------------------------------------------------------------------------- */

static struct job *job_of_link(struct peer *peer, const struct link *link, size_t *ret_index) {
    struct list_node *node = peer->autonat != NULL ? list_first(&peer->autonat->jobs) : NULL;
    for (; node != NULL; node = list_next(&peer->autonat->jobs, node)) {
        struct job *job = CONTAINER_OF(node, struct job, node);
        for (size_t i = 0; i < job->target_count; i++) {
            if (job->links[i] == link) {
                *ret_index = i;
                return job;
            }
        }
    }
    return NULL;
}

/* Tells the nonce on the connection that was made. */
static void tell_nonce(struct job *job, struct peer_connection *connection) {
    struct peer *peer = job->stream->peer;
    uint8_t room[32];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    autonat_back_encode(job->nonce, &writer);
    ENSURE(writer.error == 0);
    job->connection = connection;
    job->state = JOB_TELLING;
    peer_timer_set(peer, &job->stream->timer, nanos_add(peer->now, BACK_STREAM_TIMEOUT));
    struct peer_stream *back;
    int error = stream_open(connection, SERVICE_AUTONAT_BACK, AUTONAT_BACK_PROTOCOL, &back);
    if (error == 0) {
        back->user = job;
        job->back = back;
        error = stream_send(back, writer_bytes(&writer), false);
    }
    if (error != 0) {
        answer_v2(job, AUTONAT_V2_OK, AUTONAT_DIAL_BACK_ERROR);
    }
}

bool autonat_link_connected(struct peer *peer, const struct link_event *event) {
    size_t index;
    struct job *job = job_of_link(peer, event->link, &index);
    if (job == NULL) {
        return false;
    }
    job->links[index] = NULL;
    struct link *link = event->link;
    if (job->version == AUTONAT_V1) {
        link->transport->verbs->close(link, 0, "", peer->now);
        answer_v1(job, AUTONAT_V1_OK, "", &job->targets[index]);
        return true;
    }
    struct peer_connection *connection = connection_of_probe(peer, event);
    if (connection == NULL) {
        link->transport->verbs->close(link, 0, "", peer->now);
        answer_v2(job, AUTONAT_V2_INTERNAL_ERROR, AUTONAT_DIAL_UNUSED);
        return true;
    }
    link->user = connection;
    tell_nonce(job, connection);
    return true;
}

bool autonat_link_closed(struct peer *peer, const struct link *link) {
    size_t index;
    struct job *job = job_of_link(peer, link, &index);
    if (job == NULL) {
        return false;
    }
    job->links[index] = NULL;
    if (!is_dialling(job)) {
        not_reached(job);
    }
    return true;
}

/* The nonce arrived as soon as the other side has agreed to hear it and answered or ended. */
static void told(struct peer_stream *back, bool arrived) {
    struct job *job = back->user;
    if (job != NULL) {
        back->user = NULL;
        job->back = NULL;
        answer_v2(job, AUTONAT_V2_OK, arrived ? AUTONAT_DIAL_OK : AUTONAT_DIAL_BACK_ERROR);
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

static struct question *question_of(struct peer_stream *stream) {
    return stream->user;
}

static void question_free(struct peer *peer, struct question *question) {
    list_remove(&peer->autonat->questions, &question->node);
    autonat_client_done(&question->client);
    memory_put(peer->memory, question, sizeof(*question));
}

static void question_answered(struct peer_stream *stream, const struct autonat_answer *answer) {
    struct peer *peer = stream->peer;
    struct question *question = question_of(stream);
    const struct multiaddr *address =
        answer->has_index ? &question->client.addresses[answer->index] : answer->address;
    if (question->request == 0) {
        reachability_answered(stream->connection, &question->client, answer);
        return;
    }
    struct peer_event event = {.type = PEER_EVENT_PROBED,
                               .request = question->request,
                               .connection = stream->connection,
                               .error = answer->error,
                               .count = answer->has_index ? answer->index : 0,
                               .data =
                                   address != NULL ? multiaddr_bytes(address) : bytes_of(NULL, 0)};
    (void)peer_emit(peer, &event);
}

/* Takes the answer, if it is there: the question is then over. */
static void question_run(struct peer_stream *stream) {
    struct peer *peer = stream->peer;
    struct question *question = question_of(stream);
    uint8_t room[MESSAGE_ROOM];
    size_t size;
    int error = 0;
    while (error == 0 && (size = autonat_client_transmit(&question->client,
                                                         (struct span){room, sizeof(room)})) > 0) {
        error = stream_send(stream, bytes_of(room, size), false);
    }
    struct autonat_answer answer = {.error = error};
    bool answered = autonat_client_next_event(&question->client, &answer);
    if (!answered && error == 0) {
        peer_timer_set(peer, &stream->timer, autonat_client_deadline(&question->client));
        return;
    }
    question_answered(stream, &answer);
    stream->user = NULL;
    question_free(peer, question);
    if (answer.error == PLASM_MALFORMED || error != 0) {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    } else {
        stream_finish(stream, nanos_add(peer->now, ANSWER_LINGER_TIMEOUT));
    }
}

/* What a peer says it serves, from its identify. */
static int version_served(const struct peer_connection *connection,
                          enum autonat_version *ret_version) {
    struct identify message = {0};
    if (identify_merge(peer_connection_identify(connection), &message) != 0) {
        return PLASM_UNSUPPORTED;
    }
    bool v2 = identify_has_protocol(&message, AUTONAT_V2_PROTOCOL);
    if (!v2 && !identify_has_protocol(&message, AUTONAT_V1_PROTOCOL)) {
        return PLASM_UNSUPPORTED;
    }
    *ret_version = v2 ? AUTONAT_V2 : AUTONAT_V1;
    return 0;
}

int autonat_ready(struct peer *peer) {
    struct autonat_service *service = service_make(peer);
    if (service == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (!service->asks) { /* from now on the nonces that come are ours */
        service->asks = true;
        return peer_serve(peer, AUTONAT_BACK_PROTOCOL, SERVICE_AUTONAT_BACK);
    }
    return 0;
}

int autonat_ask(struct peer_connection *connection, enum autonat_version version,
                const struct multiaddr *addresses, size_t count, uint64_t request) {
    struct peer *peer = connection->peer;
    int error = autonat_ready(peer);
    if (error != 0) {
        return error;
    }
    struct question *question = memory_zero(peer->memory, sizeof(*question));
    if (question == NULL) {
        return PLASM_NO_MEMORY;
    }
    question->request = request;
    error =
        autonat_client_init(&question->client, version, peer_id_bytes(&peer->config.id), addresses,
                            count, random_u64(&peer->random), peer->memory, peer->now);
    if (error != 0) {
        memory_put(peer->memory, question, sizeof(*question));
        return error;
    }
    list_append(&peer->autonat->questions, &question->node);
    error = stream_open(connection, SERVICE_AUTONAT,
                        version == AUTONAT_V1 ? AUTONAT_V1_PROTOCOL : AUTONAT_V2_PROTOCOL,
                        &question->stream);
    if (error != 0) {
        question_free(peer, question);
        return error;
    }
    question->stream->user = question;
    uint8_t room[AUTONAT_V2_MESSAGE_SIZE_MAX + UVARINT_SIZE_MAX];
    size_t size = autonat_client_transmit(&question->client, (struct span){room, sizeof(room)});
    error = stream_send(question->stream, bytes_of(room, size), false);
    if (error != 0) {
        struct peer_stream *stream = question->stream;
        stream->user = NULL;
        question_free(peer, question);
        stream_abort(stream, 0);
        return error;
    }
    peer_timer_set(peer, &question->stream->timer, autonat_client_deadline(&question->client));
    return 0;
}

int peer_probe(struct peer *peer, struct peer_connection *connection,
               const struct multiaddr *addresses, size_t count, nanos now, uint64_t *ret_request) {
    peer->now = now;
    enum autonat_version version;
    uint64_t request = peer_request(peer);
    int error = version_served(connection, &version);
    if (error == 0) {
        error = autonat_ask(connection, version, addresses, count, request);
    }
    if (error == 0 || error == PLASM_UNSUPPORTED) {
        *ret_request = request;
    }
    if (error == PLASM_UNSUPPORTED) {
        struct peer_event event = {.type = PEER_EVENT_PROBED, .request = request, .error = error};
        return peer_emit(peer, &event) ? 0 : PLASM_NO_MEMORY;
    }
    return error;
}

/* A nonce proves an address only on a connection that was made to it: not on the one that we asked
 * on, nor on another that we dialled, nor through a relay. */
static bool proves(const struct peer_connection *connection, const struct question *question) {
    return connection->inbound && !connection->relayed &&
           connection != question->stream->connection;
}

/* A nonce came in: whoever sent it reached us. */
static void nonce_data(struct peer_stream *stream, struct bytes data, bool fin) {
    struct peer *peer = stream->peer;
    struct bytes payload;
    size_t frame;
    uint64_t nonce = 0;
    int error = buffer_append(&stream->in, data);
    if (error == 0) {
        error =
            frame_read(buffer_bytes(&stream->in), AUTONAT_BACK_MESSAGE_SIZE_MAX, &payload, &frame);
    }
    if (error == PLASM_TRUNCATED && !fin) {
        return;
    }
    if (error == 0) {
        error = autonat_back_decode(payload, &nonce);
    }
    struct list_node *node = error == 0 ? list_first(&peer->autonat->questions) : NULL;
    struct question *question = NULL;
    for (; node != NULL; node = list_next(&peer->autonat->questions, node)) {
        struct question *candidate = CONTAINER_OF(node, struct question, node);
        if (proves(stream->connection, candidate) &&
            autonat_client_dialled_back(&candidate->client, nonce, &stream->connection->remote)) {
            question = candidate;
            break;
        }
    }
    if (question == NULL) {
        stream_abort(stream, PEER_RESET_PROTOCOL);
        return;
    }
    uint8_t room[8];
    struct writer writer = writer_of((struct span){room, sizeof(room)});
    autonat_back_response_encode(&writer);
    buffer_clear(&stream->in);
    stream->request = 1; /* heard */
    if (stream_send(stream, writer_bytes(&writer), true) != 0) {
        stream_abort(stream, PEER_RESET_PROTOCOL);
    }
    question_run(question->stream);
}

/* --- streams ---------------------------------------------------------------------------------- */

void autonat_agreed(struct peer_stream *stream) {
    if (stream->service == SERVICE_AUTONAT_BACK) {
        stream->request = 1;
    }
}

void autonat_data(struct peer_stream *stream, struct bytes data, bool fin) {
    if (stream->service == SERVICE_AUTONAT_BACK) {
        if (!stream->inbound && (data.size > 0 || fin)) {
            told(stream, true);
        } else if (stream->inbound && stream->request == 0) {
            nonce_data(stream, data, fin);
        }
        return;
    }
    if (stream->user == NULL) {
        return;
    }
    if (stream->inbound) {
        job_data(stream, data);
        return;
    }
    autonat_client_receive(&question_of(stream)->client, data, fin, stream->peer->now);
    question_run(stream);
}

bool autonat_expire(struct peer_stream *stream) {
    if (stream->service != SERVICE_AUTONAT || stream->user == NULL) {
        return false;
    }
    if (stream->inbound) {
        return job_expire(job_of(stream));
    }
    autonat_client_expire(&question_of(stream)->client, stream->peer->now);
    question_run(stream);
    return true;
}

void autonat_ended(struct peer_stream *stream, int error) {
    struct peer *peer = stream->peer;
    if (stream->user == NULL) {
        return;
    }
    if (stream->service == SERVICE_AUTONAT_BACK) {
        /* go-libp2p resets the stream as soon as it has answered, which may overtake the answer. A
         * reset for a nonce it does not know looks the same: then it will not believe us anyway. */
        told(stream, stream->request == 1 || error == PLASM_RESET);
    } else if (stream->inbound) {
        struct job *job = job_of(stream);
        stream->user = NULL;
        job_free(peer, job);
    } else {
        struct question *question = question_of(stream);
        struct autonat_answer answer = {.error = error != 0 ? error : PLASM_CLOSED};
        question_answered(stream, &answer);
        stream->user = NULL;
        question_free(peer, question);
    }
}

void autonat_free(struct peer *peer) {
    if (peer->autonat != NULL) {
        ENSURE(list_empty(&peer->autonat->questions) && list_empty(&peer->autonat->jobs));
        memory_put(peer->memory, peer->autonat, sizeof(*peer->autonat));
    }
}
