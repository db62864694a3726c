/* Settings: the INI file, and values as people write them. */
#include "plasmd/config.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/address.h"
#include "plasmd/config_schema.h"
#include "plasmd/http.h"
#include "util/ensure.h"

void config_default(struct config *config) {
    memset(config, 0, sizeof(*config));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    config->jobs_running = cores > 0 ? (uint64_t)cores : 1;
    config->log_level = LOG_LEVEL_INFO;
    char fault[CONFIG_FAULT_SIZE];
    for (size_t i = 0; i < config_setting_count; i++) {
        bool computed = config_settings[i].offset == offsetof(struct config, jobs_running) ||
                        config_settings[i].kind == KIND_LISTEN;
        if (!computed && config_settings[i].shown[0] != '\0') {
            (void)config_set(config, config_settings[i].section, config_settings[i].key,
                             config_settings[i].shown, fault);
        }
    }
}

/* Beside <path>: what packages and tools add without touching the operator's file. */
#define DROP_INS       ".d"
#define DROP_IN_SUFFIX ".conf"

static bool fail(char fault[CONFIG_FAULT_SIZE], const char *key, const char *value,
                 const char *wanted) {
    snprintf(fault, CONFIG_FAULT_SIZE, "%.60s = %.200s: %.200s", key, value, wanted);
    return false;
}

static bool parse_number(const char *value, bool bytes, uint64_t *ret_number) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (end == value || errno != 0 || value[0] == '-') {
        return false;
    }
    static const char suffixes[] = "KMG";
    const char *suffix = bytes && *end != '\0' ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix != NULL ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    if (suffix != NULL) {
        end++;
    }
    if (*end != '\0' || number > UINT64_MAX >> shift) {
        return false;
    }
    *ret_number = (uint64_t)number << shift;
    return true;
}

static bool set_number(const struct setting *setting, void *place, const char *value,
                       char fault[CONFIG_FAULT_SIZE]) {
    uint64_t number;
    bool bytes = setting->kind == KIND_BYTES;
    if (!parse_number(value, bytes, &number) || number < setting->min || number > setting->max) {
        char wanted[160];
        snprintf(wanted, sizeof(wanted), "must be a number from %llu to %llu%s",
                 (unsigned long long)setting->min, (unsigned long long)setting->max,
                 bytes ? ", K, M or G may follow" : "");
        return fail(fault, setting->key, value, wanted);
    }
    memcpy(place, &number, sizeof(number));
    return true;
}

static bool set_word(const struct setting *setting, void *place, const char *value,
                     char fault[CONFIG_FAULT_SIZE]) {
    for (size_t i = 0; setting->words[i] != NULL; i++) {
        if (strcmp(setting->words[i], value) != 0) {
            continue;
        }
        if (setting->size == sizeof(bool)) {
            *(bool *)place = i != 0;
        } else {
            int number = (int)i;
            memcpy(place, &number, sizeof(number));
        }
        return true;
    }
    return fail(fault, setting->key, value, setting->help);
}

static bool set_flag(const struct setting *setting, void *place, const char *value,
                     char fault[CONFIG_FAULT_SIZE]) {
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0) {
        return fail(fault, setting->key, value, "must be yes or no");
    }
    *(bool *)place = yes;
    return true;
}

static bool add_listen(struct config *config, const char *value, char fault[CONFIG_FAULT_SIZE]) {
    struct multiaddr address;
    if (config->listen_count == CONFIG_LISTEN_MAX) {
        return fail(fault, "listen", value, "too many addresses");
    }
    if (multiaddr_parse(bytes_of_string(value), &address) != 0 ||
        host_address_from_multiaddr(&address, &config->listen[config->listen_count]) != 0) {
        return fail(fault, "listen", value,
                    "must be like /ip4/0.0.0.0/udp/4001/quic-v1 or /ip4/0.0.0.0/tcp/4001");
    }
    config->listen_count++;
    return true;
}

/* QUIC and TCP of both families, as far as this system has them. */
static bool listen_everywhere(struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    static const char *const addresses[] = {
        "/ip4/0.0.0.0/udp/4001/quic-v1",
        "/ip6/::/udp/4001/quic-v1",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip6/::/tcp/4001",
    };
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        if (!add_listen(config, addresses[i], fault)) {
            return false;
        }
        config->listen[i].is_optional = config->listen[i].netaddr.family == NETADDR_IP6;
    }
    return true;
}

static bool add_bootstrap(struct config *config, const char *value, char fault[CONFIG_FAULT_SIZE]) {
    if (config->bootstrap_count == CONFIG_BOOTSTRAP_MAX) {
        return fail(fault, "bootstrap", value, "too many addresses");
    }
    if (address_parse(bytes_of_string(value), &config->bootstrap[config->bootstrap_count]) != 0) {
        return fail(fault, "bootstrap", value, "must be a multiaddr or host[:port]");
    }
    config->bootstrap_count++;
    return true;
}

static bool add_access(struct config_access *access, const char *key, const char *value,
                       char fault[CONFIG_FAULT_SIZE]) {
    struct bytes text = bytes_of_string(value);
    if (strcmp(value, "all") == 0 && strcmp(key, "deny") == 0) {
        access->all = true;
        return true;
    }
    if (access->prefix_count == CONFIG_ACCESS_MAX || access->peer_count == CONFIG_ACCESS_MAX) {
        return fail(fault, key, value, "the list is too long: use a firewall");
    }
    if (netprefix_parse(text, &access->prefixes[access->prefix_count]) == 0) {
        access->prefix_count++;
    } else if (peer_id_parse(text, &access->peers[access->peer_count]) == 0) {
        access->peer_count++;
    } else {
        return fail(fault, key, value, "must be like 203.0.113.0/24, 2001:db8::/32 or a peer id");
    }
    return true;
}

static bool add_relay(struct config *config, const char *value, char fault[CONFIG_FAULT_SIZE]) {
    struct multiaddr address;
    if (config->relay_count == CONFIG_RELAYS_MAX) {
        return fail(fault, "relays", value, "too many addresses");
    }
    if (multiaddr_parse(bytes_of_string(value), &address) != 0 ||
        multiaddr_peer_id(&address).size == 0) {
        return fail(fault, "relays", value, "must be a multiaddr that ends in /p2p/…");
    }
    config->relays[config->relay_count++] = address;
    return true;
}

static bool add_item(struct config *config, const struct setting *setting, const char *item,
                     char fault[CONFIG_FAULT_SIZE]) {
    void *place = (char *)config + setting->offset;
    switch (setting->kind) {
    case KIND_LISTEN:
        return add_listen(config, item, fault);
    case KIND_BOOTSTRAP:
        return add_bootstrap(config, item, fault);
    case KIND_RELAYS:
        return add_relay(config, item, fault);
    case KIND_HOURS:
        return policy_hours_add(place, item) ||
               fail(fault, setting->key, item,
                    "must be like Mon-Fri 22:00-06:00, Sat or 18:00-23:30");
    case KIND_MODULES:
        return policy_modules_add(place, item) ||
               fail(fault, setting->key, item, "must be sha256: and 64 hexadecimal digits");
    default:
        return add_access(place, setting->key, item, fault);
    }
}

/* Each item of a list separated by commas. */
static bool add_list(struct config *config, const struct setting *setting, const char *value,
                     char fault[CONFIG_FAULT_SIZE]) {
    char item[MULTIADDR_TEXT_MAX];
    while (*value != '\0') {
        size_t size = strcspn(value, ",");
        size_t start = strspn(value, " \t");
        size_t end = size;
        while (end > start && (value[end - 1] == ' ' || value[end - 1] == '\t')) {
            end--;
        }
        if (start < end) {
            if (bytes_to_string(bytes_of(value + start, end - start), item, sizeof(item)) != 0) {
                return fail(fault, setting->key, value, "is too long");
            }
            if (!add_item(config, setting, item, fault)) {
                return false;
            }
        }
        value += value[size] == ',' ? size + 1 : size;
    }
    return true;
}

bool config_set(struct config *config, const char *section, const char *key, const char *value,
                char fault[CONFIG_FAULT_SIZE]) {
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        if (strcmp(setting->section, section) != 0 || strcmp(setting->key, key) != 0) {
            continue;
        }
        void *place = (char *)config + setting->offset;
        switch (setting->kind) {
        case KIND_NUMBER:
        case KIND_BYTES:
            return set_number(setting, place, value, fault);
        case KIND_WORD:
            return set_word(setting, place, value, fault);
        case KIND_FLAG:
            return set_flag(setting, place, value, fault);
        case KIND_TEXT:
            return bytes_to_string(bytes_of_string(value), place, setting->size) == 0 ||
                   fail(fault, key, value, "is too long");
        case KIND_LISTEN:
        case KIND_BOOTSTRAP:
        case KIND_RELAYS:
        case KIND_ACCESS:
        case KIND_HOURS:
        case KIND_MODULES:
            return add_list(config, setting, value, fault);
        }
    }
    snprintf(fault, CONFIG_FAULT_SIZE, "there is no setting '%s' in section [%s]", key, section);
    return false;
}

struct reading {
    struct config *config;
    bool failed;
    char fault[CONFIG_FAULT_SIZE];
};

static int on_setting(void *context, const char *section, const char *key, const char *value) {
    struct reading *reading = context;
    if (!reading->failed && !config_set(reading->config, section, key, value, reading->fault)) {
        reading->failed = true;
    }
    return !reading->failed;
}

static bool read_file(struct config *config, const char *path, bool required,
                      char fault[CONFIG_FAULT_SIZE]) {
    struct reading reading = {.config = config};
    int line = ini_parse(path, on_setting, &reading);
    if (line == 0) {
        return true;
    }
    if (line < 0) {
        if (!required && errno == ENOENT) {
            return true;
        }
        snprintf(fault, CONFIG_FAULT_SIZE, "%.200s: %s", path, strerror(errno));
        return false;
    }
    snprintf(fault, CONFIG_FAULT_SIZE, "%.200s:%d: %.280s", path, line,
             reading.failed ? reading.fault : "neither a [section] nor key = value");
    return false;
}

static int is_drop_in(const struct dirent *entry) {
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > strlen(DROP_IN_SUFFIX) &&
           strcmp(entry->d_name + size - strlen(DROP_IN_SUFFIX), DROP_IN_SUFFIX) == 0;
}

bool config_read(struct config *config, const char *path, bool required,
                 char fault[CONFIG_FAULT_SIZE]) {
    char directory[CONFIG_PATH_SIZE];
    struct dirent **entries = NULL;
    bool good = read_file(config, path, required, fault);
    snprintf(directory, sizeof(directory), "%s" DROP_INS, path);
    int count = good ? scandir(directory, &entries, is_drop_in, alphasort) : 0;
    if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
        snprintf(fault, CONFIG_FAULT_SIZE, "%.200s: %s", directory, strerror(errno));
        good = false;
    }
    for (int i = 0; i < count; i++) {
        char file[CONFIG_PATH_SIZE + NAME_MAX + 2];
        snprintf(file, sizeof(file), "%s/%s", directory, entries[i]->d_name);
        good = good && read_file(config, file, true, fault);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static bool check_status(const struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    switch (http_place_of(config->status_listen)) {
    case HTTP_WRONG:
        return fail(fault, "[status] listen", config->status_listen,
                    "must be like 127.0.0.1:4002 or [::1]:4002, a path like "
                    "/run/plasm/status.sock, or off");
    case HTTP_REMOTE:
        return config->status_allow_remote ||
               fail(fault, "[status] listen", config->status_listen,
                    "is not this machine alone: use 127.0.0.1 or [::1], or set allow_remote = yes "
                    "if everybody there may read it");
    default:
        return true;
    }
}

bool config_finish(struct config *config, char fault[CONFIG_FAULT_SIZE]) {
    if (config->listen_count == 0 && !listen_everywhere(config, fault)) {
        return false;
    }
    if (config->state_dir[0] == '\0') {
        return fail(fault, "state_dir", "", "must name a directory");
    }
    return check_status(config, fault);
}

/* Lists whose length stands beside them. */
static size_t *list_count(const struct setting *setting, const struct config *config) {
    const size_t *count = NULL;
    switch (setting->kind) {
    case KIND_LISTEN:
        count = &config->listen_count;
        break;
    case KIND_BOOTSTRAP:
        count = &config->bootstrap_count;
        break;
    case KIND_RELAYS:
        count = &config->relay_count;
        break;
    default:
        break;
    }
    return (size_t *)(uintptr_t)count;
}

static size_t item_size(const struct setting *setting) {
    switch (setting->kind) {
    case KIND_LISTEN:
        return sizeof(((struct config *)0)->listen[0]);
    case KIND_BOOTSTRAP:
        return sizeof(((struct config *)0)->bootstrap[0]);
    default:
        return sizeof(((struct config *)0)->relays[0]);
    }
}

static bool same(const struct setting *setting, const struct config *a, const struct config *b) {
    const char *left = (const char *)a + setting->offset;
    const char *right = (const char *)b + setting->offset;
    const size_t *count = list_count(setting, a);
    if (setting->kind == KIND_TEXT) {
        return strcmp(left, right) == 0;
    }
    if (count == NULL) {
        return memcmp(left, right, setting->size) == 0;
    }
    return *count == *list_count(setting, b) &&
           memcmp(left, right, *count * item_size(setting)) == 0;
}

void config_compare(const struct config *a, const struct config *b,
                    void (*found)(void *context, const char *section, const char *key),
                    void *context) {
    for (size_t i = 0; i < config_setting_count; i++) {
        if (!same(&config_settings[i], a, b)) {
            found(context, config_settings[i].section, config_settings[i].key);
        }
    }
}

void config_copy(struct config *to, const struct config *from, const char *section,
                 const char *key) {
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct setting *setting = &config_settings[i];
        if (strcmp(setting->section, section) == 0 && strcmp(setting->key, key) == 0) {
            memcpy((char *)to + setting->offset, (const char *)from + setting->offset,
                   setting->size);
            size_t *count = list_count(setting, to);
            if (count != NULL) {
                *count = *list_count(setting, from);
            }
            return;
        }
    }
    ENSURE(false);
}

void config_print_schema(void) {
    const char *section = "";
    for (size_t i = 0; i < config_setting_count; i++) {
        if (strcmp(section, config_settings[i].section) != 0) {
            section = config_settings[i].section;
            printf("%s[%s]\n", i > 0 ? "\n" : "", section);
        }
        printf("# %s\n# %s = %s\n", config_settings[i].help, config_settings[i].key,
               config_settings[i].shown);
    }
}
