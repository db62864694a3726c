/* plasm doctor: tries what the guide's troubleshooting tells to try, and says in plain words what
 * works, what does not, and what to do next. */
#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES_MAX  32
#define TEXT_SIZE  512
#define PING_COUNT 3
#define TIMEOUT_MS 5000
#define DHT_MS     6000
#define LIFE_S     900 /* of a capability record, at most */
#define SKEW_S     120
#define RELAY_HOP  "/libp2p/circuit/relay/0.2.0/hop"
#define AUTONAT    "/libp2p/autonat/2/dial-request"
#define LOCAL_NODE "/ip4/127.0.0.1/udp/4001/quic-v1"

void doctor_say(struct doctor *doctor, const char *name, enum doctor_status status,
                const char *next, const char *format, ...) {
    static const char *const words[] = {"ok", "note", "warning", "problem"};
    char text[2 * TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    doctor->failures += status == DOCTOR_FAIL;
    json_t *check =
        json_pack("{s:s, s:s, s:s}", "check", name, "status", words[status], "text", text);
    if (next != NULL) {
        (void)json_object_set_new(check, "next", json_string(next));
    }
    (void)json_array_append_new(doctor->checks, check);
    if (!doctor->options->json) {
        printf("%-8s %-10s %s\n", words[status], name, text);
        if (next != NULL) {
            printf("%-8s %-10s try: %s\n", "", "", next);
        }
        (void)fflush(stdout);
    }
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct nodes {
    size_t count;
    char names[NODES_MAX][TEXT_SIZE];
    size_t observed_count;
    char observed[NODES_MAX][TEXT_SIZE]; /* where nodes see this client over UDP */
    bool relay;
    bool autonat;
};

static void add_node(struct nodes *nodes, const char *text, size_t size) {
    if (size > 0 && size < TEXT_SIZE && nodes->count < NODES_MAX) {
        memcpy(nodes->names[nodes->count], text, size);
        nodes->names[nodes->count++][size] = '\0';
    }
}

/* Those of the command line, else those of PLASM_BOOTSTRAP. */
static void collect_nodes(const struct cli_options *options, struct nodes *nodes) {
    for (int i = 0; i < options->argument_count; i++) {
        add_node(nodes, options->arguments[i], strlen(options->arguments[i]));
    }
    for (size_t i = 0; i < options->bootstrap.count; i++) {
        add_node(nodes, options->bootstrap.items[i], strlen(options->bootstrap.items[i]));
    }
    const char *list = nodes->count == 0 ? getenv("PLASM_BOOTSTRAP") : NULL;
    while (list != NULL && *list != '\0') {
        size_t size = strcspn(list, ", \t\n");
        add_node(nodes, list, size);
        list += size + (list[size] != '\0');
    }
    (void)unsetenv("PLASM_BOOTSTRAP"); /* each client is told what to use */
}

/* The node over TCP: its port for QUIC is also its port for TCP. False where it has no such form.
 */
static bool over_tcp(const char *node, char *room) {
    const char *udp = strstr(node, "/udp/");
    const char *quic = strstr(node, "/quic-v1");
    if (node[0] != '/') {
        const char *colon = strrchr(node, ':');
        const char *dot = strchr(node, '.');
        const char *kind =
            dot != NULL && strspn(node, "0123456789.:") == strlen(node) ? "ip4" : "dns";
        size_t host = colon != NULL ? (size_t)(colon - node) : strlen(node);
        if (strchr(node, ':') != colon) {
            return false; /* an IPv6 address */
        }
        (void)snprintf(room, TEXT_SIZE, "/%s/%.*s/tcp/%s", kind, (int)host, node,
                       colon != NULL ? colon + 1 : "4001");
        return true;
    }
    if (udp == NULL || quic == NULL || quic < udp) {
        return false;
    }
    (void)snprintf(room, TEXT_SIZE, "%.*s/tcp/%.*s%s", (int)(udp - node), node,
                   (int)(quic - udp - 5), udp + 5, quic + 8);
    return true;
}

/* A client of its own, so that no other connection is used. */
static int fresh_client(const char *bootstrap, bool mdns, struct plasm_client **ret_client) {
    json_t *settings = json_pack("{s:s, s:i, s:b, s:[]}", "state_dir", "", "timeout_ms", TIMEOUT_MS,
                                 "mdns", mdns, "bootstrap");
    if (bootstrap != NULL) {
        (void)json_array_append_new(json_object_get(settings, "bootstrap"), json_string(bootstrap));
    }
    char *text = json_dumps(settings, JSON_COMPACT);
    json_decref(settings);
    int error = plasm_client_new(text, ret_client);
    free(text);
    return error;
}

/* The median round trip in microseconds, negative: no connection; the reason is the last error. */
static long long round_trip(const char *node) {
    struct plasm_client *client;
    const char *answer;
    if (fresh_client(NULL, false, &client) != 0) {
        return -1;
    }
    long long result = -1;
    if (plasm_ping(client, node, PING_COUNT, &answer) == 0) {
        json_t *pings = cli_parse(answer);
        long long best = -1;
        for (size_t i = 0; i < PING_COUNT; i++) {
            long long rtt =
                json_integer_value(json_array_get(json_object_get(pings, "rtts_us"), i));
            best = best < 0 || rtt < best ? rtt : best;
        }
        result = best;
        json_decref(pings);
    }
    plasm_client_free(client);
    return result;
}

static void try_node(struct doctor *doctor, const char *node) {
    char tcp[TEXT_SIZE];
    long long quic_us = round_trip(node);
    char why[TEXT_SIZE];
    (void)snprintf(why, sizeof(why), "%.300s", quic_us < 0 ? plasm_last_error() : "");
    bool has_tcp = over_tcp(node, tcp);
    long long tcp_us = has_tcp ? round_trip(tcp) : -1;
    if (quic_us >= 0) {
        doctor_say(doctor, "udp", DOCTOR_OK, NULL, "%s answers over QUIC (UDP) in %.1f ms.", node,
                   (double)quic_us / 1000);
    }
    if (tcp_us >= 0) {
        doctor_say(doctor, "tcp", DOCTOR_OK, NULL, "%s answers over TCP in %.1f ms.", node,
                   (double)tcp_us / 1000);
    }
    if (quic_us < 0 && tcp_us >= 0) {
        doctor_say(doctor, "udp", DOCTOR_WARN, "allow outgoing UDP to port 4001 in the firewall",
                   "%s answers over TCP but not over UDP: UDP is blocked on the way. Everything "
                   "works, more slowly.",
                   node);
    } else if (quic_us < 0) {
        doctor_say(doctor, "udp", DOCTOR_FAIL,
                   "on the node: sudo systemctl status plasmd; sudo ufw allow 4001/udp",
                   "%s does not answer: %s.", node, why);
    } else if (tcp_us < 0 && has_tcp) {
        doctor_say(doctor, "tcp", DOCTOR_NOTE, NULL,
                   "%s does not answer over TCP: clients whose network blocks UDP cannot use it.",
                   node);
    }
}

/* --- what nodes see --------------------------------------------------------------------------- */

static bool has_protocol(const json_t *identify, const char *protocol) {
    const json_t *list = json_object_get(identify, "protocols");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name != NULL && strcmp(name, protocol) == 0) {
            return true;
        }
    }
    return false;
}

static void skew(struct doctor *doctor, const char *node, const json_t *identify, int64_t now_s) {
    const json_t *expires = json_object_get(json_object_get(identify, "capability"), "expires");
    int64_t left = json_integer_value(expires) - now_s;
    if (json_is_integer(expires) && (left > LIFE_S + SKEW_S || left < -SKEW_S)) {
        doctor_say(doctor, "clock", DOCTOR_WARN, "timedatectl",
                   "The clock of %s and this machine's differ by minutes: jobs may be refused.",
                   node);
    }
}

static void ask_node(struct doctor *doctor, struct plasm_client *client, struct nodes *nodes,
                     const char *node) {
    const char *answer;
    if (plasm_identify(client, node, &answer) != 0) {
        return;
    }
    json_t *identify = cli_parse(answer);
    const char *observed = text_of(identify, "observed_address");
    if (strstr(observed, "/udp/") != NULL) {
        (void)snprintf(nodes->observed[nodes->observed_count++], TEXT_SIZE, "%s", observed);
    }
    nodes->relay = nodes->relay || has_protocol(identify, RELAY_HOP);
    nodes->autonat = nodes->autonat || has_protocol(identify, AUTONAT);
    skew(doctor, node, identify, (int64_t)time(NULL));
    json_decref(identify);
}

/* "/ip4/IP/..." -> "IP" */
static void ip_of(const char *address, char *room) {
    room[0] = '\0';
    const char *start = address[0] == '/' ? strchr(address + 1, '/') : NULL;
    if (start != NULL) {
        (void)snprintf(room, TEXT_SIZE, "%.*s", (int)strcspn(start + 1, "/"), start + 1);
    }
}

static void say_nat(struct doctor *doctor, const struct nodes *nodes) {
    if (nodes->observed_count == 0) {
        return;
    }
    char ip[TEXT_SIZE];
    ip_of(nodes->observed[0], ip);
    if (doctor_is_own_ip(ip)) {
        doctor_say(doctor, "nat", DOCTOR_OK, NULL,
                   "Nodes see this machine at %s, which is its own address: no NAT in between.",
                   ip);
        return;
    }
    size_t same = 0;
    for (size_t i = 0; i < nodes->observed_count; i++) {
        same += strcmp(nodes->observed[i], nodes->observed[0]) == 0;
    }
    if (nodes->observed_count == 1) {
        doctor_say(doctor, "nat", DOCTOR_NOTE, "plasm doctor NODE ANOTHER_NODE",
                   "Nodes see this machine at %s: a router is in between. A second node would "
                   "tell its kind.",
                   nodes->observed[0]);
    } else if (same == nodes->observed_count) {
        doctor_say(doctor, "nat", DOCTOR_OK, NULL,
                   "A router is in between (%s); it keeps ports, so direct connections can be "
                   "made through it.",
                   nodes->observed[0]);
    } else {
        doctor_say(doctor, "nat", DOCTOR_WARN, "forward UDP port 4001 in the router",
                   "A router is in between that uses another port for every destination "
                   "(symmetric): a worker here is reached by a relay or a forwarded port only.");
    }
}

static void say_services(struct doctor *doctor, const struct nodes *nodes, size_t answered) {
    if (answered == 0) {
        return;
    }
    doctor_say(doctor, "relay", nodes->relay ? DOCTOR_OK : DOCTOR_NOTE, NULL,
               nodes->relay ? "A relay for workers behind routers is there."
                            : "None of these nodes relays: a worker behind a router needs a "
                              "forwarded port.");
    doctor_say(doctor, "autonat", nodes->autonat ? DOCTOR_OK : DOCTOR_NOTE, NULL,
               nodes->autonat ? "A node tells workers whether they can be reached (AutoNAT)."
                              : "None of these nodes tells workers whether they can be reached.");
}

/* --- finding workers -------------------------------------------------------------------------- */

static size_t workers_found(struct plasm_client *client) {
    char query[64];
    const char *answer = NULL;
    (void)snprintf(query, sizeof(query), "{\"timeout_ms\": %d, \"settle_ms\": 500}", DHT_MS);
    int error = plasm_discover(client, query, &answer);
    size_t count = 0;
    if (error == 0 || answer != NULL) {
        json_t *found = cli_parse(answer);
        count = json_array_size(json_object_get(found, "nodes"));
        json_decref(found);
    }
    return count;
}

static void find_workers(struct doctor *doctor, const struct nodes *nodes, size_t *ret_found) {
    struct plasm_client *client;
    if (nodes->count > 0 && fresh_client(nodes->names[0], false, &client) == 0) {
        for (size_t i = 1; i < nodes->count; i++) {
            const char *answer;
            (void)plasm_ping(client, nodes->names[i], 1, &answer); /* the others, too */
        }
        size_t count = workers_found(client);
        plasm_client_free(client);
        *ret_found += count;
        doctor_say(doctor, "dht", count > 0 ? DOCTOR_OK : DOCTOR_FAIL,
                   count > 0
                       ? NULL
                       : "on the worker: sudo journalctl -u plasmd | grep -i 'bootstrap\\|kad'",
                   count > 0 ? "The network's directory (DHT) names workers: %zu answered."
                             : "The network's directory (DHT) names no worker that answers (%zu).",
                   count);
    }
    if (fresh_client(NULL, true, &client) == 0) {
        size_t count = workers_found(client);
        plasm_client_free(client);
        *ret_found += count;
        doctor_say(doctor, "mdns", count > 0 ? DOCTOR_OK : DOCTOR_NOTE, NULL,
                   count > 0 ? "Workers on the local network, found without any configuration: "
                               "%zu."
                             : "No worker announces itself on the local network (mDNS): %zu.",
                   count);
    }
}

/* The worker of this machine, if there is one: what it says of its addresses. */
static void local_worker(struct doctor *doctor) {
    struct plasm_client *client;
    const char *answer;
    if (!doctor_worker_listens()) {
        doctor_say(doctor, "worker", DOCTOR_NOTE, "sudo systemctl status plasmd",
                   "No worker listens on port 4001 of this machine. (A client needs none.)");
        return;
    }
    if (fresh_client(NULL, false, &client) != 0) {
        return;
    }
    if (plasm_identify(client, LOCAL_NODE, &answer) != 0) {
        doctor_say(doctor, "worker", DOCTOR_WARN, "sudo systemctl status plasmd",
                   "Something listens on port 4001 here, but does not answer as a node.");
        plasm_client_free(client);
        return;
    }
    json_t *identify = cli_parse(answer);
    const json_t *addresses = json_object_get(identify, "addresses");
    bool relayed = false;
    char list[TEXT_SIZE] = "";
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const char *address = json_string_value(json_array_get(addresses, i));
        size_t used = strlen(list);
        relayed = relayed || strstr(address, "/p2p-circuit") != NULL;
        (void)snprintf(list + used, sizeof(list) - used, "%s%s", used > 0 ? ", " : "", address);
    }
    doctor_say(doctor, "worker", DOCTOR_OK, NULL, "This machine's worker says it is reached %s: %s",
               relayed ? "through a relay" : "directly", list);
    json_decref(identify);
    plasm_client_free(client);
}

int command_doctor(struct cli_options *options) {
    struct doctor doctor = {.options = options, .checks = json_array()};
    static struct nodes nodes;
    collect_nodes(options, &nodes);
    doctor_clock(&doctor);
    doctor_firewall(&doctor);
    local_worker(&doctor);
    doctor_router(&doctor);
    if (nodes.count == 0) {
        doctor_say(&doctor, "bootstrap", DOCTOR_NOTE,
                   "plasm doctor NODE, or export PLASM_BOOTSTRAP=NODE",
                   "No node to begin with was named: only the local network is searched.");
    }
    for (size_t i = 0; i < nodes.count; i++) {
        try_node(&doctor, nodes.names[i]);
    }
    struct plasm_client *client;
    if (nodes.count > 0 && fresh_client(NULL, false, &client) == 0) {
        for (size_t i = 0; i < nodes.count; i++) {
            ask_node(&doctor, client, &nodes, nodes.names[i]);
        }
        plasm_client_free(client);
    }
    say_nat(&doctor, &nodes);
    say_services(&doctor, &nodes, nodes.observed_count);
    size_t found = 0;
    find_workers(&doctor, &nodes, &found);
    if (nodes.count == 0 && found == 0) {
        doctor_say(&doctor, "workers", DOCTOR_FAIL, "plasm doctor NODE",
                   "No worker was found anywhere.");
    }
    bool healthy = doctor.failures == 0;
    if (options->json) {
        (void)cli_print_event("doctor",
                              json_pack("{s:b, s:o}", "healthy", healthy, "checks", doctor.checks));
    } else {
        printf("\n%s\n", healthy ? "All that matters works."
                                 : "Something does not work; see the problems above.");
        json_decref(doctor.checks);
    }
    return healthy ? EXIT_DONE : EXIT_FAILED;
}
