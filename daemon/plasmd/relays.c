/* The worker and relays: reserving places on them while nobody reaches it directly, and being one.
 */
#include "peer/reachability.h"
#include "peer/relay.h"
#include "plasmd/log.h"
#include "plasmd/worker.h"

static void serve(struct worker *worker) {
    const struct config *config = worker->config;
    const struct relay_limits limits = {
        .reservations_max = (uint32_t)config->relay_reservations,
        .reservations_per_ip_max = (uint32_t)config->relay_reservations_per_ip,
        .circuits_max = (uint32_t)config->relay_circuits,
        .circuits_per_peer_max = (uint32_t)config->relay_circuits_per_peer,
        .reservation_life = relay_limits_default.reservation_life,
        .circuit_duration_max = config->relay_circuit_s * NANOS_SECOND,
        .circuit_bytes_max = config->relay_circuit_bytes,
    };
    int error = peer_serve_relay(host_peer(worker->host), &limits, host_now());
    if (error != 0) {
        daemon_log(LOG_LEVEL_ERROR, "relay: cannot serve: %s", plasm_error_message(error));
        return;
    }
    daemon_log(LOG_LEVEL_INFO, "relay: serving others, %llu places",
               (unsigned long long)config->relay_reservations);
}

/* Relays the operator named are used until somebody has reached us directly; those found in the
 * network only when it is known that nobody does. */
static void use_if_needed(struct worker *worker) {
    enum reachability reachability = peer_reachability(host_peer(worker->host));
    bool needed = reachability == REACHABILITY_PRIVATE ||
                  (reachability == REACHABILITY_UNKNOWN && worker->config->relay_count > 0);
    peer_use_relays(host_peer(worker->host), needed, host_now());
}

void relays_start(struct worker *worker) {
    const struct config *config = worker->config;
    for (size_t i = 0; i < config->relay_count; i++) {
        int error = peer_add_relay(host_peer(worker->host), &config->relays[i], host_now());
        if (error != 0) {
            daemon_log(LOG_LEVEL_WARNING, "relay: entry %zu is left out: %s", i + 1,
                       plasm_error_message(error));
        }
    }
    if (config->relay_service) {
        serve(worker);
    }
    use_if_needed(worker);
}

void relays_event(struct worker *worker, const struct peer_event *event) {
    if (event->type == PEER_EVENT_REACHABILITY) {
        use_if_needed(worker);
        return;
    }
    struct multiaddr own[PEER_OWN_ADDRESSES_MAX];
    size_t count = peer_relay_addresses(host_peer(worker->host), own, ARRAY_SIZE(own));
    if (count == 0) {
        daemon_log(LOG_LEVEL_INFO, "relay: no relay keeps a place for this node");
    }
    for (size_t i = 0; i < count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(&own[i], text, sizeof(text)) == 0) {
            daemon_log(LOG_LEVEL_INFO, "relay: reachable through %s", text);
        }
    }
}
