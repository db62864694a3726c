/* Working hours in words, and a look at the machine. */
#include "plasmd/policy.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "receipt/text.h"

#define ALL_DAYS    0x7f
#define LOAD_SCALE  65536 /* of sysinfo */
#define SUPPLY_SIZE 32
#define PATH_ROOM   512
#define DAYS_A_WEEK 7

static const char day_names[DAYS_A_WEEK][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* The day that `*text` begins with, which is moved behind it; -1: none. */
static int take_day(const char **text) {
    for (int day = 0; day < DAYS_A_WEEK; day++) {
        if (strncmp(*text, day_names[day], 3) == 0) {
            *text += 3;
            return day;
        }
    }
    return -1;
}

/* "Mon" or "Mon-Fri"; what else begins there means every day. */
static bool take_days(const char **text, uint8_t *ret_days) {
    int first = take_day(text);
    if (first < 0) {
        *ret_days = ALL_DAYS;
        return true;
    }
    int last = first;
    if (**text == '-') {
        (*text)++;
        last = take_day(text);
        if (last < 0) {
            return false;
        }
    }
    *ret_days = 0;
    for (int day = first;; day = (day + 1) % DAYS_A_WEEK) {
        *ret_days |= (uint8_t)(1 << day);
        if (day == last) {
            return true;
        }
    }
}

/* "22:00"; 24:00 is the end of a day. */
static bool take_time(const char **text, uint16_t *ret_minutes) {
    unsigned hour;
    unsigned minute;
    int used = 0;
    if (sscanf(*text, "%2u:%2u%n", &hour, &minute, &used) != 2 || used < 4 || minute > 59 ||
        hour > 24 || (hour == 24 && minute > 0)) {
        return false;
    }
    *text += used;
    *ret_minutes = (uint16_t)(hour * 60 + minute);
    return true;
}

bool policy_hours_add(struct policy_hours *hours, const char *text) {
    struct policy_span span = {.from = 0, .to = POLICY_DAY_MINUTES};
    const char *start = text;
    if (hours->count == POLICY_SPANS_MAX || !take_days(&text, &span.days)) {
        return false;
    }
    bool has_days = text != start;
    text += strspn(text, " \t");
    if (*text != '\0' || !has_days) {
        if (!take_time(&text, &span.from) || *text++ != '-' || !take_time(&text, &span.to)) {
            return false;
        }
    }
    if (*text != '\0' || span.from == span.to) {
        return false;
    }
    hours->spans[hours->count++] = span;
    return true;
}

static bool has_day(const struct policy_span *span, int day) {
    return (span->days & (1 << day)) != 0;
}

bool policy_hours_open(const struct policy_hours *hours, const struct tm *local) {
    const int minute = local->tm_hour * 60 + local->tm_min;
    const int yesterday = (local->tm_wday + DAYS_A_WEEK - 1) % DAYS_A_WEEK;
    for (size_t i = 0; i < hours->count; i++) {
        const struct policy_span *span = &hours->spans[i];
        bool overnight = span->to < span->from;
        if (has_day(span, local->tm_wday) && minute >= span->from &&
            (overnight || minute < span->to)) {
            return true;
        }
        if (overnight && has_day(span, yesterday) && minute < span->to) {
            return true;
        }
    }
    return hours->count == 0;
}

bool policy_modules_add(struct policy_modules *modules, const char *text) {
    if (modules->count == POLICY_MODULES_MAX ||
        hash_parse(bytes_of_string(text), &modules->hashes[modules->count]) != 0) {
        return false;
    }
    modules->count++;
    return true;
}

static bool has_module(const struct policy_modules *modules, const struct sha256_digest *hash) {
    for (size_t i = 0; i < modules->count; i++) {
        if (memcmp(&modules->hashes[i], hash, sizeof(*hash)) == 0) {
            return true;
        }
    }
    return false;
}

bool policy_module_runs(const struct policy_modules *allowed, const struct policy_modules *denied,
                        const struct sha256_digest *hash) {
    return !has_module(denied, hash) && (allowed->count == 0 || has_module(allowed, hash));
}

const char *policy_pause_text(enum policy_pause pause) {
    static const char *const texts[] = {
        [POLICY_LENDS] = "jobs are taken",
        [POLICY_HOURS] = "outside this worker's working hours",
        [POLICY_BATTERY] = "the worker runs on its battery",
        [POLICY_LOAD] = "the worker's machine is busy with its owner's work",
    };
    return texts[pause];
}

enum policy_pause policy_decide(const struct policy_rules *rules,
                                const struct policy_state *state) {
    if (!policy_hours_open(&rules->hours, &state->local)) {
        return POLICY_HOURS;
    }
    if (!rules->on_battery && state->battery) {
        return POLICY_BATTERY;
    }
    if (rules->load_percent > 0 && state->load_percent >= rules->load_percent) {
        return POLICY_LOAD;
    }
    return POLICY_LENDS;
}

/* --- the machine ------------------------------------------------------------------------------ */

/* The first word of a supply's file; "" where it cannot be read. */
static void read_word(const char *supplies, const char *supply, const char *name,
                      char word[SUPPLY_SIZE]) {
    char path[PATH_ROOM];
    word[0] = '\0';
    int size = snprintf(path, sizeof(path), "%s/%s/%s", supplies, supply, name);
    FILE *file = size > 0 && (size_t)size < sizeof(path) ? fopen(path, "re") : NULL;
    if (file != NULL) {
        if (fgets(word, SUPPLY_SIZE, file) != NULL) {
            word[strcspn(word, "\n")] = '\0';
        }
        (void)fclose(file);
    }
}

/* A battery that empties, and nothing that is plugged in. A mouse's battery is none of ours. */
static bool is_on_battery(const char *supplies) {
    bool empties = false;
    bool plugged = false;
    DIR *directory = opendir(supplies);
    if (directory == NULL) {
        return false;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char word[SUPPLY_SIZE];
        if (entry->d_name[0] == '.') {
            continue;
        }
        read_word(supplies, entry->d_name, "scope", word);
        if (strcmp(word, "Device") == 0) {
            continue;
        }
        read_word(supplies, entry->d_name, "type", word);
        if (strcmp(word, "Battery") == 0) {
            read_word(supplies, entry->d_name, "status", word);
            empties = empties || strcmp(word, "Discharging") == 0;
        } else {
            read_word(supplies, entry->d_name, "online", word);
            plugged = plugged || strcmp(word, "1") == 0;
        }
    }
    (void)closedir(directory);
    return empties && !plugged;
}

static uint64_t others_load(size_t jobs_running) {
    struct sysinfo info;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (sysinfo(&info) != 0 || cores <= 0) {
        return 0;
    }
    uint64_t all = (uint64_t)info.loads[0] * 100 / LOAD_SCALE;
    uint64_t ours = (uint64_t)jobs_running * 100;
    return all > ours ? (all - ours) / (uint64_t)cores : 0;
}

void policy_look(const char *supplies, size_t jobs_running, struct policy_state *ret_state) {
    time_t now = time(NULL);
    memset(ret_state, 0, sizeof(*ret_state));
    (void)localtime_r(&now, &ret_state->local);
    ret_state->battery = is_on_battery(supplies);
    ret_state->load_percent = others_load(jobs_running);
}
