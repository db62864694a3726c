/* Streams: the echo protocol at both ends, raw streams, and identify asked for anew. */
#include "node.h"

#include <stdlib.h>

#include "crypto/hash.h"
#include "wire/varint.h"

/* Bytes of the echo pattern repeat after this many. */
#define PATTERN_PERIOD 251
#define PATTERN_PIECE  ((size_t)256 * PATTERN_PERIOD)

/* --- serving echo ---------------------------------------------------------------------------- */

struct echo {
    struct speaker speaker;
    struct list_node node_link; /* in node->echoes */
    struct node *node;
    struct peer_stream *stream;
    struct buffer pending; /* received, not taken by the stream yet */
    bool ended;            /* nothing more comes */
    bool finished;
};

static void echo_free(struct echo *echo) {
    buffer_done(&echo->pending);
    list_remove(&echo->node->echoes, &echo->node_link);
    free(echo);
}

static void echo_give_up(struct echo *echo) {
    peer_stream_close(echo->stream, 1);
    echo_free(echo);
}

/* Credit is given back only for what has been passed on: the sender waits for a slow reader. */
static void echo_pump(struct echo *echo) {
    if (echo->finished || (echo->pending.size == 0 && !echo->ended)) {
        return;
    }
    struct block *block = block_copy(&echo->node->memory, buffer_bytes(&echo->pending));
    size_t accepted = 0;
    int error = block == NULL ? PLASM_NO_MEMORY
                              : peer_stream_write(echo->stream, block, 0, block->size, echo->ended,
                                                  &accepted);
    if (error == 0) {
        echo->finished = echo->ended && accepted == block->size;
        buffer_consume(&echo->pending, accepted);
        peer_stream_consume(echo->stream, accepted);
    }
    block_unref(block);
    if (error != 0) {
        echo_give_up(echo);
    }
}

static void echo_event(struct speaker *speaker, const struct peer_event *event) {
    struct echo *echo = CONTAINER_OF(speaker, struct echo, speaker);
    switch ((int)event->type) {
    case PEER_EVENT_STREAM_DATA:
        echo->ended = event->fin;
        if (buffer_append(&echo->pending, event->data) != 0) {
            echo_give_up(echo);
            return;
        }
        echo_pump(echo);
        break;
    case PEER_EVENT_STREAM_WRITABLE:
        echo_pump(echo);
        break;
    case PEER_EVENT_STREAM_CLOSED:
        echo_free(echo);
        break;
    }
}

void echo_serve(struct node *node, struct peer_stream *stream) {
    struct echo *echo = node->echoes.size < ECHO_STREAMS_MAX ? calloc(1, sizeof(*echo)) : NULL;
    if (echo == NULL) {
        peer_stream_close(stream, 1);
        return;
    }
    *echo = (struct echo){.speaker = {echo_event}, .node = node, .stream = stream};
    buffer_init(&echo->pending, &node->memory, SIZE_MAX);
    list_append(&node->echoes, &echo->node_link);
    *peer_stream_user(stream) = &echo->speaker;
}

void echoes_free(struct node *node) {
    struct list_node *link;
    while ((link = list_first(&node->echoes)) != NULL) {
        echo_give_up(CONTAINER_OF(link, struct echo, node_link));
    }
}

/* --- speaking -------------------------------------------------------------------------------- */

/* A stream of a command's own: writes, finishes, reads to the end. */
struct talk {
    struct speaker speaker;
    struct list_node node_link; /* in exchange->talks */
    struct exchange *exchange;
    struct peer_stream *stream;
    size_t written;
    bool finished;
    size_t received;
    struct hash *hash;    /* echo */
    struct buffer answer; /* open_stream, identify */
};

/* The work of a command that uses streams. */
struct exchange {
    struct request *request;
    const char *protocol;
    struct list talks;
    struct block *out;   /* what is written; of echo the pattern */
    size_t size;         /* of all that is written on each stream */
    size_t streams_left; /* not opened yet */
    size_t parallel;
    size_t reply_max;
    bool hashes;
    bool has_digest;
    struct sha256_digest digest;
    void (*on_reply)(struct request *request, struct bytes reply);
};

static void talk_free(struct talk *talk) {
    if (talk->stream != NULL) {
        *peer_stream_user(talk->stream) = NULL;
        peer_stream_close(talk->stream, 0);
    }
    list_remove(&talk->exchange->talks, &talk->node_link);
    hash_free(talk->hash);
    buffer_done(&talk->answer);
    free(talk);
}

static void exchange_release(struct request *request) {
    struct exchange *exchange = request->work;
    if (exchange == NULL) {
        return;
    }
    struct list_node *link;
    while ((link = list_first(&exchange->talks)) != NULL) {
        talk_free(CONTAINER_OF(link, struct talk, node_link));
    }
    block_unref(exchange->out);
    free(exchange);
}

static int talk_write(struct talk *talk) {
    struct exchange *exchange = talk->exchange;
    while (!talk->finished) {
        size_t left = exchange->size - talk->written;
        size_t offset = exchange->hashes ? talk->written % PATTERN_PERIOD : talk->written;
        size_t piece = exchange->hashes && left > PATTERN_PIECE ? PATTERN_PIECE : left;
        bool last = piece == left;
        size_t accepted = 0;
        int error = peer_stream_write(talk->stream, exchange->out, offset, piece, last, &accepted);
        if (error != 0) {
            return error;
        }
        talk->written += accepted;
        if (accepted < piece) {
            return 0; /* goes on when writable */
        }
        talk->finished = last;
    }
    return 0;
}

static void open_more(struct exchange *exchange);

static void talk_complete(struct talk *talk) {
    struct exchange *exchange = talk->exchange;
    struct request *request = exchange->request;
    if (!exchange->hashes) {
        exchange->on_reply(request, buffer_bytes(&talk->answer));
        return;
    }
    struct sha256_digest digest = hash_digest(talk->hash);
    if (talk->received != exchange->size) {
        request_fail(request, "%zu bytes came back of %zu", talk->received, exchange->size);
        return;
    }
    if (exchange->has_digest && !sha256_equal(&digest, &exchange->digest)) {
        request_fail(request, "streams came back different from each other");
        return;
    }
    exchange->digest = digest;
    exchange->has_digest = true;
    talk_free(talk);
    open_more(exchange);
    if (!request->ended && list_empty(&exchange->talks)) {
        json_t *sha256 = json_of_hex(BYTES_ARRAY(exchange->digest.bytes));
        request_done(request, json_pack("{s:o, s:O, s:O}", "sha256", sha256, "size",
                                        json_object_get(request->body, "size"), "streams",
                                        json_object_get(request->body, "streams")));
    }
}

static void talk_data(struct talk *talk, const struct peer_event *event) {
    struct exchange *exchange = talk->exchange;
    talk->received += event->data.size;
    if (talk->received > exchange->reply_max) {
        request_fail(exchange->request, "more than %zu bytes came back", exchange->reply_max);
        return;
    }
    if (talk->hash != NULL) {
        hash_update(talk->hash, event->data);
    } else if (buffer_append(&talk->answer, event->data) != 0) {
        request_fail(exchange->request, "out of memory");
        return;
    }
    peer_stream_consume(talk->stream, event->data.size);
    if (event->fin) {
        talk_complete(talk);
    }
}

static void talk_event(struct speaker *speaker, const struct peer_event *event) {
    struct talk *talk = CONTAINER_OF(speaker, struct talk, speaker);
    struct request *request = talk->exchange->request;
    int error = 0;
    if (request->ended) {
        return;
    }
    switch ((int)event->type) {
    case PEER_EVENT_STREAM_DATA:
        talk_data(talk, event);
        break;
    case PEER_EVENT_STREAM_WRITABLE:
        error = talk_write(talk);
        break;
    case PEER_EVENT_STREAM_CLOSED:
        talk->stream = NULL;
        error = event->error != 0 ? event->error : PLASM_CLOSED;
        break;
    }
    if (error != 0) {
        request_fail_error(request, talk->exchange->protocol, error);
    }
}

static int open_one(struct exchange *exchange) {
    struct node *node = exchange->request->node;
    struct peer_stream *stream;
    int error = peer_stream_open(host_peer(node->host), exchange->request->connection,
                                 exchange->protocol, host_now(), &stream);
    if (error != 0) {
        return error;
    }
    struct talk *talk = calloc(1, sizeof(*talk));
    if (talk == NULL) {
        abort();
    }
    *talk = (struct talk){.speaker = {talk_event}, .exchange = exchange, .stream = stream};
    talk->hash = exchange->hashes ? hash_new() : NULL;
    buffer_init(&talk->answer, &node->memory, exchange->reply_max);
    list_append(&exchange->talks, &talk->node_link);
    *peer_stream_user(stream) = &talk->speaker;
    return talk_write(talk);
}

static void open_more(struct exchange *exchange) {
    while (exchange->streams_left > 0 && exchange->talks.size < exchange->parallel) {
        int error = open_one(exchange);
        if (error == PLASM_LIMIT && !list_empty(&exchange->talks)) {
            return; /* again when one has ended */
        }
        if (error != 0) {
            request_fail_error(exchange->request, exchange->protocol, error);
            return;
        }
        exchange->streams_left--;
    }
}

/* Takes over `out`. */
static struct exchange *exchange_new(struct request *request, const char *protocol,
                                     struct block *out, size_t size) {
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL || out == NULL) {
        abort();
    }
    *exchange = (struct exchange){.request = request,
                                  .protocol = protocol,
                                  .out = out,
                                  .size = size,
                                  .streams_left = 1,
                                  .parallel = 1,
                                  .reply_max = REPLY_SIZE_MAX};
    list_init(&exchange->talks);
    request->work = exchange;
    return exchange;
}

static void echo_begin(struct request *request) {
    json_int_t size;
    json_int_t streams;
    json_int_t parallel;
    if (!field_number(request, "size", 0, 0, 256 << 20, &size) ||
        !field_number(request, "streams", 1, 1, 4096, &streams) ||
        !field_number(request, "parallel", 1, 1, 4096, &parallel)) {
        return;
    }
    struct block *pattern = block_new(&request->node->memory, PATTERN_PIECE + PATTERN_PERIOD);
    for (size_t i = 0; pattern != NULL && i < pattern->size; i++) {
        pattern->data[i] = (uint8_t)(i % PATTERN_PERIOD);
    }
    json_object_set_new(request->body, "streams", json_integer(streams));
    struct exchange *exchange = exchange_new(request, ECHO_PROTOCOL, pattern, (size_t)size);
    exchange->streams_left = (size_t)streams;
    exchange->parallel = (size_t)parallel;
    exchange->reply_max = (size_t)size;
    exchange->hashes = true;
    open_more(exchange);
}

static void open_stream_reply(struct request *request, struct bytes reply) {
    const struct exchange *exchange = request->work;
    request_done(request, json_pack("{s:o, s:s}", "hex", json_of_hex(reply), "protocol",
                                    exchange->protocol));
}

static void open_stream_begin(struct request *request) {
    uint8_t *bytes;
    size_t size;
    const char *protocol = field_text(request, "protocol");
    if (protocol[0] == '\0') {
        request_fail(request, "needs protocol");
        return;
    }
    if (!field_hex(request, "hex", &bytes, &size)) {
        return;
    }
    struct block *out = block_copy(&request->node->memory, bytes_of(bytes, size));
    free(bytes);
    struct exchange *exchange = exchange_new(request, protocol, out, size);
    exchange->on_reply = open_stream_reply;
    open_more(exchange);
}

static void identify_reply(struct request *request, struct bytes reply) {
    struct identify message = {0};
    json_int_t parts = 0;
    int error = reply.size > 0 ? 0 : PLASM_TRUNCATED;
    while (reply.size > 0 && error == 0) {
        struct bytes part;
        size_t frame;
        error = frame_read(reply, IDENTIFY_PART_MAX, &part, &frame);
        if (error == 0) {
            error = identify_merge(part, &message);
            reply = bytes_slice(reply, frame, reply.size);
            parts++;
        }
    }
    if (error != 0) {
        request_fail_error(request, "identify", error);
        return;
    }
    json_t *report = identify_report(&message, peer_connection_id(request->connection));
    json_object_set_new(report, "parts", json_integer(parts));
    request_done(request, report);
}

static void identify_begin(struct request *request) {
    struct block *nothing = block_new(&request->node->memory, 0);
    struct exchange *exchange = exchange_new(request, IDENTIFY_PROTOCOL, nothing, 0);
    exchange->reply_max = IDENTIFY_TOTAL_MAX;
    exchange->on_reply = identify_reply;
    open_more(exchange);
}

const struct command commands_stream[] = {
    {"echo", TARGET_PEER, echo_begin, NULL, exchange_release},
    {"open_stream", TARGET_PEER, open_stream_begin, NULL, exchange_release},
    {"identify", TARGET_PEER, identify_begin, NULL, exchange_release},
    {NULL, TARGET_NONE, NULL, NULL, NULL},
};
