/* plasm-peer: our libp2p peer, driven by JSON lines on standard input as ../README.md says, so that
 * the tests can set it against implementations nobody here wrote. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/address.h"
#include "host/identity_file.h"
#include "node.h"

#define LINE_SIZE_MAX  (16 << 20)
#define KAD_NAME_MAX   256
#define REFUSED_PREFIX "refuse:"

struct options {
    const char *listen;
    const char *prefix;
    const char *mode;
    bool mdns;
    bool verbose;
};

struct input {
    struct node *node;
    struct buffer buffer;
    uv_poll_t poll;
};

/* --- the DHT's values under /interop/ --------------------------------------------------------- */

static int interop_validate(void *context, struct bytes key, struct bytes value) {
    (void)context;
    (void)key;
    return bytes_start_with(value, BYTES_LITERAL(REFUSED_PREFIX)) ? PLASM_MALFORMED : 0;
}

static bool interop_better(void *context, struct bytes key, struct bytes candidate,
                           struct bytes current) {
    (void)context;
    (void)key;
    return bytes_compare(candidate, current) > 0;
}

static const struct kad_namespace interop_namespace = {"interop", interop_validate, interop_better,
                                                       NULL};

/* --- events ----------------------------------------------------------------------------------- */

static void on_event(void *context, const struct peer_event *event) {
    struct node *node = context;
    if (event->type == PEER_EVENT_STREAM_OPENED) {
        echo_serve(node, event->stream);
    } else if (event->stream != NULL) {
        struct speaker *speaker = *peer_stream_user(event->stream);
        if (speaker != NULL) {
            speaker->on_event(speaker, event);
        } else if (event->type == PEER_EVENT_STREAM_DATA) {
            peer_stream_consume(event->stream, event->data.size);
        }
    }
    commands_event(node, event);
}

static void on_log(void *context, enum log_level level, const char *topic, const char *text) {
    (void)context;
    (void)level;
    (void)fprintf(stderr, "%12.6f %s: %s\n", (double)host_now() / 1e9, topic, text);
}

/* --- input ------------------------------------------------------------------------------------ */

static void take_lines(struct input *input) {
    for (;;) {
        struct bytes all = buffer_bytes(&input->buffer);
        const uint8_t *end = all.size > 0 ? memchr(all.data, '\n', all.size) : NULL;
        if (end == NULL) {
            return;
        }
        size_t size = (size_t)(end - all.data);
        if (size > 0) {
            request_line(input->node, bytes_of(all.data, size));
        }
        buffer_consume(&input->buffer, size + 1);
    }
}

static void on_input(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct input *input = CONTAINER_OF(poll, struct input, poll);
    uint8_t room[65536];
    ssize_t size = read(STDIN_FILENO, room, sizeof(room));
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0 || buffer_append(&input->buffer, bytes_of(room, (size_t)size)) != 0) {
        input->node->quitting = true;
        (void)uv_poll_stop(poll);
        return;
    }
    take_lines(input);
}

/* --- life ------------------------------------------------------------------------------------- */

static void say_listening(struct node *node, const char *kad_protocol, const char *mode) {
    struct multiaddr addresses[PEER_OWN_ADDRESSES_MAX];
    size_t count = host_publish_addresses(node->host, addresses, ARRAY_SIZE(addresses));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (multiaddr_append(&addresses[i], MULTIADDR_P2P, peer_id_bytes(&node->id)) == 0) {
            json_array_append_new(list, json_of_address(multiaddr_bytes(&addresses[i])));
        }
    }
    host_wait(node->host, host_now()); /* the peer record is signed */
    json_t *line = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "event", "listening", "peer_id",
                             node->id_text, "addrs", list, "kad_protocol", kad_protocol, "mode",
                             mode, "implementation", "plasm", "version", PLASM_VERSION);
    line_write(line);
    json_decref(line);
}

static void run(struct node *node) {
    struct input input = {.node = node};
    buffer_init(&input.buffer, &node->memory, LINE_SIZE_MAX);
    uv_loop_t *loop = host_loop(node->host);
    if (uv_poll_init(loop, &input.poll, STDIN_FILENO) != 0 ||
        uv_poll_start(&input.poll, UV_READABLE, on_input) != 0) {
        (void)fprintf(stderr, "plasm-peer: standard input must be a pipe or a terminal\n");
        exit(EXIT_FAILURE);
    }
    while (!node->quitting) {
        host_wait(node->host, commands_deadline(node));
        commands_expire(node);
    }
    uv_close((uv_handle_t *)&input.poll, NULL);
    host_wait(node->host, host_now());
    buffer_done(&input.buffer);
    dials_command_free(node);
    commands_free(node);
    echoes_free(node);
}

static int start(struct node *node, const struct options *options, struct signer *signer,
                 const char *kad_protocol, const struct log_sink *log) {
    static const char *const protocols[] = {ECHO_PROTOCOL};
    struct multiaddr address;
    struct host_address listen;
    int error = multiaddr_parse(bytes_of_string(options->listen), &address);
    if (error == 0) {
        error = host_address_from_multiaddr(&address, &listen);
    }
    if (error != 0) {
        (void)fprintf(stderr, "plasm-peer: --listen %s: %s\n", options->listen,
                      plasm_error_message(error));
        return error;
    }
    struct host_config config = {.listen = &listen,
                                 .listen_count = 1,
                                 .signer = signer,
                                 .memory = &node->memory,
                                 .agent = "plasm-peer/" PLASM_VERSION,
                                 .kad_protocol = kad_protocol,
                                 .kad_server = strcmp(options->mode, "server") == 0,
                                 .perf_server = true,
                                 .kad_namespaces = {&interop_namespace, 1},
                                 .protocols = protocols,
                                 .protocol_count = ARRAY_SIZE(protocols),
                                 .log = log,
                                 .on_event = on_event,
                                 .context = node};
    struct host_fault fault;
    error = host_new(&config, &node->host, &fault);
    if (error != 0) {
        (void)fprintf(stderr, "plasm-peer: cannot listen on %s: %s (%s)\n", options->listen,
                      plasm_error_message(error), strerror(fault.system_error));
    }
    return error;
}

static bool read_options(int argc, char **argv, struct options *options) {
    static const struct option names[] = {
        {"listen", required_argument, NULL, 'l'}, {"prefix", required_argument, NULL, 'p'},
        {"mode", required_argument, NULL, 'm'},   {"mdns", no_argument, NULL, 'd'},
        {"verbose", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'l':
            options->listen = optarg;
            break;
        case 'p':
            options->prefix = optarg;
            break;
        case 'm':
            options->mode = optarg;
            break;
        case 'd':
            options->mdns = true;
            break;
        case 'v':
            options->verbose = true;
            break;
        default:
            return false;
        }
    }
    bool known = strcmp(options->mode, "server") == 0 || strcmp(options->mode, "client") == 0;
    if (!known) {
        (void)fprintf(stderr, "plasm-peer: --mode is server or client\n");
    }
    return known && optind == argc;
}

int main(int argc, char **argv) {
    struct options options = {
        .listen = "/ip4/127.0.0.1/udp/0/quic-v1", .prefix = "/phase", .mode = "server"};
    if (!read_options(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: plasm-peer [--listen MULTIADDR] [--prefix PREFIX] "
                              "[--mode server|client] [--mdns] [--verbose]\n");
        return 2;
    }
    struct node node = {.host = NULL};
    memory_init(&node.memory, SIZE_MAX);
    list_init(&node.requests);
    list_init(&node.echoes);
    struct log_sink log = {on_log, NULL, LOG_LEVEL_DEBUG};
    char kad_protocol[KAD_NAME_MAX];
    (void)snprintf(kad_protocol, sizeof(kad_protocol), "%s/kad/1.0.0", options.prefix);
    struct ed25519_secret secret;
    struct signer *signer;
    if (crypto_init() != 0) {
        return EXIT_FAILURE;
    }
    identity_fresh(&secret);
    if (signer_local_new(&secret, &node.memory, &signer) != 0) {
        return EXIT_FAILURE;
    }
    ed25519_done(&secret);
    peer_id_from_key(signer_public_key(signer), &node.id);
    peer_id_format(&node.id, node.id_text);
    int error = start(&node, &options, signer, kad_protocol, options.verbose ? &log : NULL);
    if (error == 0) {
        say_listening(&node, kad_protocol, options.mode);
        if (options.mdns && host_mdns_start(node.host) != 0) {
            (void)fprintf(stderr, "plasm-peer: mDNS: %s\n", strerror(errno));
        }
        run(&node);
        host_free(node.host);
    }
    signer_free(signer);
    for (size_t i = 0; i < node.added_count; i++) {
        free(node.added[i]);
    }
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
