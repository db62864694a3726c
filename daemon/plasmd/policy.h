/* When the operator lends the machine, and what for: working hours, power, other programs' load,
 * modules. Pure but for policy_look(), which asks the machine. */
#ifndef PLASMD_POLICY_H
#define PLASMD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "crypto/hash.h"
#include "util/compiler.h"

#define POLICY_SPANS_MAX   32
#define POLICY_MODULES_MAX 256
#define POLICY_DAY_MINUTES (24 * 60)

/* Minutes of a day, on some days of the week; `to` <= `from` goes on into the next day. */
struct policy_span {
    uint8_t days;  /* bit 0: Sunday, as in struct tm */
    uint16_t from; /* minutes after midnight, local time */
    uint16_t to;
};

/* None: always. */
struct policy_hours {
    size_t count;
    struct policy_span spans[POLICY_SPANS_MAX];
};

struct policy_modules {
    size_t count;
    struct sha256_digest hashes[POLICY_MODULES_MAX];
};

/* Adds "Mon-Fri 22:00-06:00", "Sat", "18:00-23:30". False where it is nothing of the kind. */
MUST_CHECK bool policy_hours_add(struct policy_hours *hours, const char *text);
/* Whether a moment lies in them. */
bool policy_hours_open(const struct policy_hours *hours, const struct tm *local);

/* Adds "sha256:HEX" or HEX; false where it is none, or the list is full. */
MUST_CHECK bool policy_modules_add(struct policy_modules *modules, const char *text);
/* Nothing that is denied; where some are allowed, nothing else. */
bool policy_module_runs(const struct policy_modules *allowed, const struct policy_modules *denied,
                        const struct sha256_digest *hash);

/* Why no job is taken now. */
enum policy_pause {
    POLICY_LENDS,
    POLICY_HOURS,   /* outside the working hours */
    POLICY_BATTERY, /* no power from the wall */
    POLICY_LOAD,    /* the machine's own programs need it */
};

/* A sentence for logs and refusals. */
const char *policy_pause_text(enum policy_pause pause);

struct policy_rules {
    struct policy_hours hours;
    bool on_battery;       /* lends also then */
    uint64_t load_percent; /* of all processors, by others than our jobs; 0: whatever it is */
};

/* What the machine says of itself. */
struct policy_state {
    struct tm local;
    bool battery;          /* it runs on it, and on nothing else */
    uint64_t load_percent; /* the last minute's average, our running jobs taken off */
};

enum policy_pause policy_decide(const struct policy_rules *rules, const struct policy_state *state);

/* Looks at clock, power supplies (`supplies`: /sys/class/power_supply) and load. */
void policy_look(const char *supplies, size_t jobs_running, struct policy_state *ret_state);

#endif
