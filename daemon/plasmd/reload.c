/* Which settings can change at run time, and what else has to happen then. */
#include "plasmd/reload.h"

#include <stdio.h>
#include <stdlib.h>

#include "plasmd/notify.h"

#define NAMES_SIZE 1024

/* What has to be done besides using the new value from now on. */
enum effect {
    EFFECT_NONE,
    EFFECT_LOG,     /* the log is another */
    EFFECT_ACCESS,  /* connections of those who are denied now end */
    EFFECT_POLICY,  /* jobs are taken now, or no longer */
    EFFECT_PUBLISH, /* the capability record says it */
    EFFECT_LOWER,   /* the same; not above the value at the start: processes were made for that */
};

static const struct live {
    const char *section;
    const char *key;
    enum effect effect;
} live[] = {
    {"node", "price", EFFECT_PUBLISH},
    {"log", "format", EFFECT_LOG},
    {"log", "level", EFFECT_LOG},
    {"jobs", "running", EFFECT_PUBLISH},
    {"jobs", "queued", EFFECT_NONE},
    {"jobs", "queued_per_client", EFFECT_NONE},
    {"jobs", "queued_bytes", EFFECT_NONE},
    {"jobs", "lost_grace_ms", EFFECT_NONE},
    {"jobs", "drain_timeout_ms", EFFECT_NONE},
    {"limits", "memory_bytes", EFFECT_LOWER},
    {"limits", "wall_ms", EFFECT_PUBLISH},
    {"limits", "output_bytes", EFFECT_PUBLISH},
    {"limits", "module_bytes", EFFECT_LOWER},
    {"limits", "stdin_bytes", EFFECT_PUBLISH},
    {"limits", "fuel", EFFECT_PUBLISH},
    {"policy", "hours", EFFECT_POLICY},
    {"policy", "on_battery", EFFECT_POLICY},
    {"policy", "load_percent", EFFECT_POLICY},
    {"policy", "deny_modules", EFFECT_NONE},
    {"policy", "allow_modules", EFFECT_NONE},
    {"access", "deny", EFFECT_ACCESS},
    {"access", "allow", EFFECT_ACCESS},
};

/* Names of settings for the log, as far as they fit. */
struct names {
    char text[NAMES_SIZE];
    size_t size;
};

struct change {
    struct worker *worker;
    const struct config *config; /* the new one */
    bool effects[EFFECT_LOWER + 1];
    struct names applied;
    struct names restart;
};

static void add_name(struct names *names, const char *section, const char *key) {
    size_t room = sizeof(names->text) - names->size;
    int written = snprintf(names->text + names->size, room, "%s[%s] %s",
                           names->size > 0 ? ", " : "", section, key);
    names->size += written > 0 && (size_t)written < room ? (size_t)written : 0;
}

static void on_difference(void *context, const char *section, const char *key) {
    struct change *change = context;
    struct worker *worker = change->worker;
    const struct live *found = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(live) && found == NULL; i++) {
        bool is_it = strcmp(live[i].section, section) == 0 && strcmp(live[i].key, key) == 0;
        found = is_it ? &live[i] : NULL;
    }
    bool fits = found != NULL && (found->effect != EFFECT_LOWER ||
                                  (change->config->memory_bytes <= worker->memory_bytes_max &&
                                   change->config->module_bytes <= worker->module_bytes_max));
    if (!fits) {
        add_name(&change->restart, section, key);
        return;
    }
    config_copy(worker->config, change->config, section, key);
    change->effects[found->effect] = true;
    add_name(&change->applied, section, key);
}

static void take_effect(const struct change *change, nanos now) {
    struct worker *worker = change->worker;
    if (change->effects[EFFECT_LOG]) {
        daemon_log_init(worker->config->log_format, worker->config->log_level);
    }
    if (change->effects[EFFECT_ACCESS]) {
        worker_set_access(worker);
    }
    if (change->effects[EFFECT_POLICY]) {
        worker_look_at_policy(worker);
    }
    if (change->effects[EFFECT_POLICY] || change->effects[EFFECT_PUBLISH] ||
        change->effects[EFFECT_LOWER]) {
        worker_publish(worker);
        jobs_schedule(worker, now);
    }
}

void reload_configuration(struct worker *worker, nanos now) {
    char fault[CONFIG_FAULT_SIZE];
    struct config *config = malloc(sizeof(*config));
    notify_state("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(now / NANOS_MICROSECOND));
    if (config == NULL || !worker->configure(worker->configure_context, config, fault)) {
        daemon_log(LOG_LEVEL_ERROR, "Configuration not reloaded, nothing has changed: %s",
                   config != NULL ? fault : plasm_error_message(PLASM_NO_MEMORY));
    } else {
        struct change change = {.worker = worker, .config = config};
        config_compare(worker->config, config, on_difference, &change);
        take_effect(&change, now);
        daemon_log(LOG_LEVEL_INFO, "Configuration reloaded: %s",
                   change.applied.size > 0 ? change.applied.text : "nothing to apply");
        if (change.restart.size > 0) {
            daemon_log(LOG_LEVEL_WARNING, "Configuration: a restart is needed for %s",
                       change.restart.text);
        }
    }
    free(config);
    notify_state("READY=1");
}
