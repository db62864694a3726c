/* The operator's rules and the machine, now and then held against each other. */
#include "plasmd/worker.h"

#define SUPPLIES "/sys/class/power_supply"

void worker_look_at_policy(struct worker *worker) {
    struct policy_state state;
    policy_look(SUPPLIES, worker->running, &state);
    enum policy_pause pause = policy_decide(&worker->config->rules, &state);
    if (pause == worker->pause) {
        return;
    }
    worker->pause = pause;
    daemon_log(LOG_LEVEL_INFO, "%s: %s", pause == POLICY_LENDS ? "Lending again" : "Paused",
               policy_pause_text(pause));
}
