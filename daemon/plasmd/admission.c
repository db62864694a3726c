/* The checks an offer goes through, in order. */
#include "plasmd/admission.h"

#include <stdarg.h>
#include <stdio.h>

struct question {
    const struct admit_node *node;
    const struct admit_load *load;
    const struct admit_offer *offer;
};

/* One more reason to say no. */
static void PRINTF_FORMAT(3, 4)
    refuse(struct admit_answer *answer, enum job_rejection code, const char *format, ...) {
    size_t used = strlen(answer->text);
    size_t room = sizeof(answer->text) - used;
    if (answer->verdict == ADMIT_REJECT) {
        int written = snprintf(answer->text + used, room, "; ");
        used += written > 0 && (size_t)written < room ? (size_t)written : 0;
        room = sizeof(answer->text) - used;
    } else {
        answer->code = code;
    }
    answer->verdict = ADMIT_REJECT;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(answer->text + used, room, format, arguments);
    va_end(arguments);
    if (code == JOB_REJECTED_BUSY) {
        answer->retry_after_ms = ADMIT_RETRY_MS;
    }
}

static void check_state(const struct question *question, struct admit_answer *answer) {
    if (question->load->draining) {
        refuse(answer, JOB_REJECTED_UNAVAILABLE,
               "draining: the worker is stopping and takes no new jobs");
    } else if (question->load->pause != NULL) {
        refuse(answer, JOB_REJECTED_UNAVAILABLE, "paused: %s", question->load->pause);
    } else if (!question->load->sandbox_ready) {
        refuse(answer, JOB_REJECTED_UNAVAILABLE, "the sandbox is starting");
    } else if (question->load->signer_away) {
        refuse(answer, JOB_REJECTED_UNAVAILABLE, "nobody is there to sign receipts");
    }
}

static void check_time(const struct question *question, struct admit_answer *answer) {
    struct fault fault;
    if (manifest_check_time(question->offer->manifest, question->offer->now_unix_s, &fault) != 0) {
        refuse(answer, JOB_REJECTED_EXPIRED, "%s %s", fault.field, fault.text);
    }
}

static void check_node(const struct question *question, struct admit_answer *answer) {
    const struct manifest *manifest = question->offer->manifest;
    const struct admit_node *node = question->node;
    if (question->offer->module_denied) {
        refuse(answer, JOB_REJECTED_DENIED, "this worker's operator does not run this module");
    }
    if (manifest->arch[0] != '\0' && strcmp(manifest->arch, node->arch) != 0) {
        refuse(answer, JOB_REJECTED_UNSUPPORTED, "arch is not this worker's: %s asked, it is %s",
               manifest->arch, node->arch);
    }
    if (manifest->runtime[0] != '\0' && strcmp(manifest->runtime, node->runtime) != 0) {
        refuse(answer, JOB_REJECTED_UNSUPPORTED, "runtime is not this worker's: %s asked, it is %s",
               manifest->runtime, node->runtime);
    }
}

static void add_limit(struct admit_answer *answer, const char *name, uint64_t asked,
                      uint64_t allowed, bool is_reason) {
    answer->limits[answer->limit_count++] =
        (struct admit_limit){.name = name, .asked = asked, .allowed = allowed};
    if (is_reason && asked == 0) {
        refuse(answer, JOB_REJECTED_LIMIT,
               "%s is over the worker's limit: no bound asked, %llu allowed", name,
               (unsigned long long)allowed);
    } else if (is_reason) {
        refuse(answer, JOB_REJECTED_LIMIT,
               "%s is over the worker's limit: %llu asked, %llu allowed", name,
               (unsigned long long)asked, (unsigned long long)allowed);
    }
}

/* What may be lowered is, for a profile whose answer does not depend on it. */
static void check_limits(const struct question *question, struct admit_answer *answer) {
    const struct manifest *manifest = question->offer->manifest;
    const struct worker_limits *allowed = &question->node->limits;
    bool fixed = manifest->profile == PROFILE_DETERMINISTIC_1;
    if (manifest->module_size > allowed->module_bytes) {
        add_limit(answer, "module_bytes", manifest->module_size, allowed->module_bytes, true);
    }
    if (question->offer->stdin_size > allowed->stdin_bytes) {
        add_limit(answer, "stdin_bytes", question->offer->stdin_size, allowed->stdin_bytes, true);
    }
    answer->effective = manifest->limits;
    const struct {
        const char *name;
        uint64_t *asked;
        uint64_t allowed;
        bool zero_is_none;
    } limits[] = {
        {"memory_bytes", &answer->effective.memory_bytes, allowed->job.memory_bytes, false},
        {"wall_ms", &answer->effective.wall_ms, allowed->job.wall_ms, false},
        {"output_bytes", &answer->effective.output_bytes, allowed->job.output_bytes, false},
        {"fuel", &answer->effective.fuel, allowed->job.fuel, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        uint64_t asked = *limits[i].asked;
        bool unbounded = limits[i].zero_is_none && asked == 0;
        bool no_bound = limits[i].zero_is_none && limits[i].allowed == 0;
        if (no_bound || (asked <= limits[i].allowed && !unbounded)) {
            continue;
        }
        add_limit(answer, limits[i].name, asked, limits[i].allowed, fixed);
        if (!fixed) {
            *limits[i].asked = limits[i].allowed;
        }
    }
    if (answer->limit_count > 0 && answer->verdict == ADMIT_RUN) {
        answer->verdict = ADMIT_CLAMP;
    }
}

static void check_load(const struct question *question, struct admit_answer *answer) {
    const struct admit_node *node = question->node;
    const struct admit_load *load = question->load;
    const struct admit_offer *offer = question->offer;
    if (load->jobs >= node->jobs_max) {
        refuse(answer, JOB_REJECTED_BUSY, "the queue is full: %llu jobs",
               (unsigned long long)load->jobs);
    }
    if (load->client_jobs >= node->jobs_per_client_max) {
        refuse(answer, JOB_REJECTED_BUSY, "too many of your jobs are waiting here: %llu",
               (unsigned long long)load->client_jobs);
    } else if (load->share_jobs >= node->jobs_per_client_max) {
        refuse(answer, JOB_REJECTED_BUSY, "too many jobs from your address are waiting here: %llu",
               (unsigned long long)load->share_jobs);
    }
    uint64_t left = load->bytes_left;
    uint64_t module = offer->manifest->module_size;
    if (module > left || offer->stdin_size > left - module) {
        refuse(answer, JOB_REJECTED_BUSY, "too many bytes are waiting here");
    }
}

/* In this order: what no other offer would change comes first. */
static void (*const checks[])(const struct question *, struct admit_answer *) = {
    check_state, check_time, check_node, check_limits, check_load,
};

void admit(const struct admit_node *node, const struct admit_load *load,
           const struct admit_offer *offer, bool all_reasons, struct admit_answer *ret_answer) {
    const struct question question = {.node = node, .load = load, .offer = offer};
    ret_answer->verdict = ADMIT_RUN;
    ret_answer->limit_count = 0;
    ret_answer->code = 0;
    ret_answer->text[0] = '\0';
    ret_answer->retry_after_ms = 0;
    ret_answer->effective = offer->manifest->limits;
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        checks[i](&question, ret_answer);
        if (ret_answer->verdict == ADMIT_REJECT && !all_reasons) {
            return;
        }
    }
}
