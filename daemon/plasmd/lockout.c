/* The places that plasmd still opens files in. */
#include "plasmd/lockout.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "walls/landlock.h"

#define PLACES_MAX 32
#define PLACE_SIZE (CONFIG_PATH_SIZE + 16)

/* Read by the C library, c-ares, GnuTLS, SQLite and ourselves: names, time zones, libraries, the
 * processor, power and network. Trees that have the key in them are left out; the files below are
 * those of them that a worker cannot be without. */
static const char *const readable[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/urandom",
    "/dev/random",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/localtime",
};

struct places {
    size_t count;
    struct landlock_place places[PLACES_MAX];
    char key_directory[PATH_MAX]; /* without links */
};

static void add(struct places *places, const char *path, enum landlock_use use) {
    places->places[places->count++] = (struct landlock_place){.path = path, .use = use};
}

/* Whether the key lies below `path`. */
static bool has_key(const struct places *places, const char *path) {
    char real[PATH_MAX];
    if (realpath(path, real) == NULL) {
        return false;
    }
    size_t size = strlen(real);
    return strncmp(places->key_directory, real, size) == 0 &&
           (places->key_directory[size] == '\0' || places->key_directory[size] == '/' || size == 1);
}

static void add_readable(struct places *places, const char *path) {
    if (!has_key(places, path)) {
        add(places, path, LANDLOCK_READ);
    }
}

/* The directory a file is in; "." where it has none. */
static void directory_of(const char *path, char room[PLACE_SIZE]) {
    snprintf(room, PLACE_SIZE, "%s", path);
    char *slash = strrchr(room, '/');
    if (slash == NULL) {
        snprintf(room, PLACE_SIZE, ".");
    } else {
        slash[slash == room ? 1 : 0] = '\0';
    }
}

void lockout_enter(const struct config *config) {
    struct places places = {.count = 0};
    char store[PLACE_SIZE];
    char modules[PLACE_SIZE];
    char configuration[PLACE_SIZE];
    char drop_ins[PLACE_SIZE];
    char addresses[PLACE_SIZE];
    if (realpath(config->state_dir, places.key_directory) == NULL) {
        daemon_log(LOG_LEVEL_WARNING, "%s: %s: plasmd can open its key", config->state_dir,
                   strerror(errno));
        return;
    }
    snprintf(store, sizeof(store), "%s/store", config->state_dir);
    snprintf(modules, sizeof(modules), "%s/modules", config->state_dir);
    add(&places, store, LANDLOCK_CHANGE);
    add(&places, modules, LANDLOCK_CHANGE);
    add(&places, "/dev/null", LANDLOCK_CHANGE);
    for (size_t i = 0; i < ARRAY_SIZE(readable); i++) {
        add_readable(&places, readable[i]);
    }
    directory_of(config->path, configuration);
    add_readable(&places, configuration);
    snprintf(drop_ins, sizeof(drop_ins), "%s.d", config->path);
    add_readable(&places, drop_ins);
    add_readable(&places, config->path); /* also where the key is its neighbour */
    if (config->print_addresses[0] != '\0') {
        directory_of(config->print_addresses, addresses);
        add(&places, addresses, LANDLOCK_NAMES); /* to rename what is open already */
    }
    (void)setenv("SQLITE_TMPDIR", store, 1);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int error = landlock_keep_to(places.places, places.count);
    if (error != 0) {
        daemon_log(LOG_LEVEL_WARNING,
                   "This kernel cannot keep plasmd from its key (Landlock: %s); plasm-sign alone "
                   "reads it",
                   error == PLASM_IO ? strerror(errno) : "not there, or switched off");
    }
}
