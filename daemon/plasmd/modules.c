/* Modules in memory and on disk. */
#include "plasmd/modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/mac.h"
#include "crypto/sign.h"
#include "plasmd/log.h"
#include "util/ensure.h"
#include "util/map.h"

#define PATH_SIZE       1200
#define HEX_SIZE        (2 * SHA256_SIZE + 1)
#define FLAVOUR_COUNT   3 /* enum runner_flavour counts from 1 */
#define FILE_SOURCE_MAX (UINT64_C(1) << 30)

struct image {
    enum module_state state;
    bool looked; /* on disk */
    bool transient;
    int fd;
    uint64_t size;
    char text[RUNNER_TEXT_SIZE_MAX + 1];
};

struct module {
    struct modules *modules;
    struct map_node node;
    struct list_node age; /* oldest first */
    struct sha256_digest hash;
    size_t users;
    uint8_t *source; /* NULL: on disk only */
    size_t source_size;
    struct image images[FLAVOUR_COUNT];
};

/* What a compile belongs to: the runner gives it back. */
struct compile {
    struct module *module;
    enum runner_flavour flavour;
};

struct modules {
    struct memory memory; /* the map's */
    char directory[PATH_SIZE - 128];
    uint8_t key[MAC_KEY_SIZE];
    struct sha256_digest processor; /* compiled code uses what this one can do */
    uint64_t disk_bytes_max;
    uint64_t disk_bytes;
    uint64_t memory_bytes;
    struct map by_hash;
    struct list by_age;
};

static void make_path(const struct modules *modules, const struct sha256_digest *hash,
                      const char *suffix, char path[PATH_SIZE]) {
    char hex[HEX_SIZE];
    bytes_to_hex(bytes_of(hash->bytes, SHA256_SIZE), hex, sizeof(hex));
    snprintf(path, PATH_SIZE, "%s/%s%s", modules->directory, hex, suffix);
}

static const char *image_suffix(enum runner_flavour flavour) {
    return flavour == RUNNER_FLAVOUR_METERED ? ".metered" : ".plain";
}

/* The whole file; NULL when it is not there or cannot be read. */
static uint8_t *read_file(const char *path, size_t *ret_size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    uint8_t *bytes = NULL;
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 &&
        (uint64_t)status.st_size <= FILE_SOURCE_MAX) {
        size_t size = (size_t)status.st_size;
        bytes = malloc(size);
        size_t got = 0;
        while (bytes != NULL && got < size) {
            ssize_t part = read(fd, bytes + got, size - got);
            if (part <= 0) {
                free(bytes);
                bytes = NULL;
                break;
            }
            got += (size_t)part;
        }
        *ret_size = size;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return bytes;
}

static bool write_all(int fd, struct bytes bytes) {
    while (bytes.size > 0) {
        ssize_t part = write(fd, bytes.data, bytes.size);
        if (part <= 0) {
            return false;
        }
        bytes = bytes_slice(bytes, (size_t)part, bytes.size);
    }
    return true;
}

/* Removes files, the longest unused first, until the cache fits. */
static void make_room(struct modules *modules) {
    while (modules->disk_bytes > modules->disk_bytes_max) {
        DIR *directory = opendir(modules->directory);
        char oldest[PATH_SIZE] = "";
        struct timespec oldest_time = {0};
        off_t oldest_size = 0;
        struct dirent *entry;
        while (directory != NULL && (entry = readdir(directory)) != NULL) {
            char path[PATH_SIZE];
            struct stat status;
            snprintf(path, sizeof(path), "%s/%.120s", modules->directory, entry->d_name);
            if (strlen(entry->d_name) < HEX_SIZE || stat(path, &status) != 0) {
                continue;
            }
            if (oldest[0] == '\0' || status.st_mtim.tv_sec < oldest_time.tv_sec) {
                memcpy(oldest, path, sizeof(oldest));
                oldest_time = status.st_mtim;
                oldest_size = status.st_size;
            }
        }
        if (directory != NULL) {
            (void)closedir(directory);
        }
        if (oldest[0] == '\0' || unlink(oldest) != 0) {
            break;
        }
        modules->disk_bytes -= (uint64_t)oldest_size < modules->disk_bytes ? (uint64_t)oldest_size
                                                                           : modules->disk_bytes;
    }
}

/* Writes aside and renames; what cannot be kept is compiled or sent again some day. */
static void write_file(struct modules *modules, const char *path, struct bytes head,
                       struct bytes bytes) {
    char aside[PATH_SIZE];
    snprintf(aside, sizeof(aside), "%s/new", modules->directory);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write_all(fd, head) && write_all(fd, bytes);
    if (fd >= 0 && close(fd) != 0) {
        written = false;
    }
    if (!written || rename(aside, path) != 0) {
        daemon_log(LOG_LEVEL_WARNING, "Module cache %s: %s", modules->directory, strerror(errno));
        (void)unlink(aside);
        return;
    }
    modules->disk_bytes += head.size + bytes.size;
    make_room(modules);
}

static bool load_key(struct modules *modules, char *fault, size_t fault_size) {
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/key", modules->directory);
    size_t size = 0;
    uint8_t *bytes = read_file(path, &size);
    if (bytes != NULL && size == MAC_KEY_SIZE) {
        memcpy(modules->key, bytes, MAC_KEY_SIZE);
        free(bytes);
        return true;
    }
    free(bytes);
    crypto_system_random((struct span){modules->key, MAC_KEY_SIZE});
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write_all(fd, bytes_of(modules->key, MAC_KEY_SIZE));
    if (fd < 0 || close(fd) != 0 || !written) {
        snprintf(fault, fault_size, "%s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

/* The processor's features, as Linux lists them: code that another one compiled may not run here.
 */
static struct sha256_digest processor_features(void) {
    static const char *const titles[] = {"flags", "Features"};
    char line[8192];
    struct sha256_digest digest = sha256(bytes_of(NULL, 0));
    FILE *file = fopen("/proc/cpuinfo", "re");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
            found = found || strncmp(line, titles[i], strlen(titles[i])) == 0;
        }
        if (found) {
            digest = sha256(bytes_of_string(line));
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return digest;
}

static void count_disk(struct modules *modules) {
    DIR *directory = opendir(modules->directory);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char path[PATH_SIZE];
        struct stat status;
        snprintf(path, sizeof(path), "%s/%.120s", modules->directory, entry->d_name);
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
            modules->disk_bytes += (uint64_t)status.st_size;
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    make_room(modules);
}

bool modules_open(const char *directory, uint64_t disk_bytes_max, struct modules **ret_modules,
                  char *fault, size_t fault_size) {
    struct modules *modules = calloc(1, sizeof(*modules));
    ENSURE(modules != NULL);
    memory_init(&modules->memory, SIZE_MAX);
    uint64_t secret[2];
    crypto_system_random((struct span){(uint8_t *)secret, sizeof(secret)});
    map_init(&modules->by_hash, &modules->memory, secret);
    list_init(&modules->by_age);
    modules->disk_bytes_max = disk_bytes_max;
    if (bytes_to_string(bytes_of_string(directory), modules->directory,
                        sizeof(modules->directory)) != 0 ||
        (mkdir(directory, 0700) != 0 && errno != EEXIST)) {
        snprintf(fault, fault_size, "%s: %s", directory, strerror(errno));
        free(modules);
        return false;
    }
    if (!load_key(modules, fault, fault_size)) {
        free(modules);
        return false;
    }
    modules->processor = processor_features();
    count_disk(modules);
    *ret_modules = modules;
    return true;
}

static uint64_t memory_of(const struct module *module) {
    uint64_t size = module->source != NULL ? module->source_size : 0;
    for (size_t i = 0; i < FLAVOUR_COUNT; i++) {
        size += module->images[i].state == MODULE_READY ? module->images[i].size : 0;
    }
    return size;
}

static void module_free(struct module *module) {
    struct modules *modules = module->modules;
    modules->memory_bytes -= memory_of(module);
    for (size_t i = 0; i < FLAVOUR_COUNT; i++) {
        if (module->images[i].state == MODULE_READY) {
            (void)close(module->images[i].fd);
        }
    }
    map_remove(&modules->by_hash, &module->node);
    list_remove(&modules->by_age, &module->age);
    free(module->source);
    free(module);
}

void modules_close(struct modules *modules) {
    if (modules == NULL) {
        return;
    }
    struct list_node *node;
    while ((node = list_first(&modules->by_age)) != NULL) {
        module_free(CONTAINER_OF(node, struct module, age));
    }
    map_done(&modules->by_hash);
    crypto_wipe(modules->key, sizeof(modules->key));
    free(modules);
}

static struct module *find(struct modules *modules, const struct sha256_digest *hash) {
    return MAP_ENTRY(map_get(&modules->by_hash, bytes_of(hash->bytes, SHA256_SIZE)), struct module,
                     node);
}

/* Lets go of what nobody uses, the oldest first, until the bounds hold. */
static void forget_unused(struct modules *modules) {
    struct list_node *node = list_first(&modules->by_age);
    while (node != NULL && (modules->by_age.size > MODULES_MEMORY_MAX ||
                            modules->memory_bytes > MODULES_MEMORY_BYTES_MAX)) {
        struct module *module = CONTAINER_OF(node, struct module, age);
        node = list_next(&modules->by_age, node);
        if (module->users == 0) {
            module_free(module);
        }
    }
}

static struct module *make(struct modules *modules, const struct sha256_digest *hash) {
    struct module *module = calloc(1, sizeof(*module));
    if (module == NULL) {
        return NULL;
    }
    module->modules = modules;
    module->hash = *hash;
    if (map_put(&modules->by_hash, &module->node, bytes_of(module->hash.bytes, SHA256_SIZE)) != 0) {
        free(module);
        return NULL;
    }
    list_append(&modules->by_age, &module->age);
    return module;
}

bool modules_hold(struct modules *modules, const struct sha256_digest *hash) {
    char path[PATH_SIZE];
    make_path(modules, hash, ".wasm", path);
    return find(modules, hash) != NULL || access(path, R_OK) == 0;
}

int modules_put(struct modules *modules, const struct sha256_digest *hash, struct bytes source) {
    struct module *module = find(modules, hash);
    if (module != NULL && module->source != NULL) {
        return 0;
    }
    uint8_t *copy = malloc(source.size > 0 ? source.size : 1);
    if (copy == NULL) {
        return PLASM_NO_MEMORY;
    }
    if (source.size > 0) {
        memcpy(copy, source.data, source.size);
    }
    if (module == NULL) {
        module = make(modules, hash);
    }
    if (module == NULL) {
        free(copy);
        return PLASM_NO_MEMORY;
    }
    module->source = copy;
    module->source_size = source.size;
    modules->memory_bytes += source.size;
    char path[PATH_SIZE];
    make_path(modules, hash, ".wasm", path);
    if (source.size > 0 && access(path, R_OK) != 0) {
        write_file(modules, path, bytes_of(NULL, 0), source);
    }
    return 0;
}

/* The source from disk: its name is its hash, so that a damaged file is none. */
static bool load_source(struct module *module) {
    if (module->source != NULL) {
        return true;
    }
    char path[PATH_SIZE];
    make_path(module->modules, &module->hash, ".wasm", path);
    size_t size = 0;
    uint8_t *source = read_file(path, &size);
    if (source == NULL) {
        return false;
    }
    struct sha256_digest hash = sha256(bytes_of(source, size));
    if (!sha256_equal(&hash, &module->hash)) {
        free(source);
        (void)unlink(path);
        return false;
    }
    (void)utimensat(AT_FDCWD, path, NULL, 0);
    module->source = source;
    module->source_size = size;
    module->modules->memory_bytes += size;
    return true;
}

int module_acquire(struct modules *modules, const struct sha256_digest *hash,
                   struct module **ret_module) {
    struct module *module = find(modules, hash);
    if (module == NULL) {
        if (!modules_hold(modules, hash)) {
            return PLASM_NOT_FOUND;
        }
        module = make(modules, hash);
        if (module == NULL) {
            return PLASM_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < FLAVOUR_COUNT && module->users == 0; i++) {
        struct image *image = &module->images[i];
        if (image->state == MODULE_FAILED && image->transient) {
            image->state = MODULE_NONE; /* our own failure: worth another try */
        }
    }
    module->users++;
    list_remove(&modules->by_age, &module->age);
    list_append(&modules->by_age, &module->age);
    *ret_module = module;
    return 0;
}

void module_release(struct module *module) {
    ENSURE(module->users > 0);
    module->users--;
    forget_unused(module->modules);
}

/* What the MAC covers besides the image: another module's, flavour's, processor's or version's must
 * not pass. */
static struct sha256_digest image_mac(const struct module *module, enum runner_flavour flavour,
                                      struct bytes image) {
    struct sha256_digest image_hash = sha256(image);
    uint8_t message[3 * SHA256_SIZE + 1 + sizeof(RUNNER_IMAGE_VERSION)];
    struct writer writer = writer_of((struct span){message, sizeof(message)});
    writer_bytes_put(&writer, bytes_of(module->hash.bytes, SHA256_SIZE));
    writer_u8(&writer, (uint8_t)flavour);
    writer_bytes_put(&writer, bytes_of(image_hash.bytes, SHA256_SIZE));
    writer_bytes_put(&writer, bytes_of(module->modules->processor.bytes, SHA256_SIZE));
    writer_bytes_put(&writer, BYTES_LITERAL(RUNNER_IMAGE_VERSION));
    ENSURE(writer.error == 0);
    return mac_sha256(module->modules->key, writer_bytes(&writer));
}

static void load_image(struct module *module, enum runner_flavour flavour) {
    struct image *image = &module->images[flavour];
    image->looked = true;
    char path[PATH_SIZE];
    make_path(module->modules, &module->hash, image_suffix(flavour), path);
    size_t size = 0;
    uint8_t *bytes = read_file(path, &size);
    if (bytes == NULL) {
        return;
    }
    struct bytes code = bytes_slice(bytes_of(bytes, size), SHA256_SIZE, size);
    struct sha256_digest mac = image_mac(module, flavour, code);
    if (size > SHA256_SIZE && crypto_equal(mac.bytes, bytes, SHA256_SIZE) &&
        runner_memfd(code, &image->fd) == 0) {
        image->state = MODULE_READY;
        image->size = code.size;
        module->modules->memory_bytes += code.size;
        (void)utimensat(AT_FDCWD, path, NULL, 0);
    } else {
        daemon_log(LOG_LEVEL_WARNING,
                   "Module cache: %s is damaged, or of another version or processor", path);
        (void)unlink(path);
    }
    free(bytes);
}

enum module_state module_state(struct module *module, enum runner_flavour flavour) {
    if (module->images[flavour].state == MODULE_NONE && !module->images[flavour].looked) {
        load_image(module, flavour);
    }
    return module->images[flavour].state;
}

void module_image(const struct module *module, enum runner_flavour flavour, int *ret_fd,
                  uint64_t *ret_size) {
    *ret_fd = module->images[flavour].fd;
    *ret_size = module->images[flavour].size;
}

const char *module_fault(const struct module *module, enum runner_flavour flavour,
                         bool *ret_transient) {
    *ret_transient = module->images[flavour].transient;
    return module->images[flavour].text;
}

static void set_failed(struct image *image, const char *text, bool transient) {
    image->state = MODULE_FAILED;
    image->transient = transient;
    bytes_cut_string(bytes_of_string(text), image->text, sizeof(image->text));
}

int module_compile(struct module *module, enum runner_flavour flavour, struct runner_client *runner,
                   nanos now) {
    struct image *image = &module->images[flavour];
    if (!load_source(module)) {
        set_failed(image, "the module is not held any more: offer it again", true);
        return 0;
    }
    struct compile *compile = calloc(1, sizeof(*compile));
    if (compile == NULL) {
        return PLASM_NO_MEMORY;
    }
    *compile = (struct compile){.module = module, .flavour = flavour};
    struct runner_compile *handle;
    int error = runner_client_compile(runner, bytes_of(module->source, module->source_size),
                                      flavour, compile, now, &handle);
    if (error != 0) {
        free(compile);
        return error;
    }
    module->users++; /* until modules_compiled */
    image->state = MODULE_COMPILING;
    return 0;
}

/* Keeps compiled code for the next start. */
static void save_image(struct module *module, enum runner_flavour flavour) {
    const struct image *image = &module->images[flavour];
    void *code = mmap(NULL, (size_t)image->size, PROT_READ, MAP_PRIVATE, image->fd, 0);
    if (code == MAP_FAILED) {
        return;
    }
    struct sha256_digest mac = image_mac(module, flavour, bytes_of(code, (size_t)image->size));
    char path[PATH_SIZE];
    make_path(module->modules, &module->hash, image_suffix(flavour), path);
    write_file(module->modules, path, bytes_of(mac.bytes, SHA256_SIZE),
               bytes_of(code, (size_t)image->size));
    (void)munmap(code, (size_t)image->size);
}

void modules_compiled(struct modules *modules, const struct runner_event_compiled *compiled) {
    struct compile *compile = compiled->user;
    struct module *module = compile->module;
    enum runner_flavour flavour = compile->flavour;
    free(compile);
    struct image *image = &module->images[flavour];
    if (compiled->outcome == RUNNER_COMPILE_OK) {
        image->state = MODULE_READY;
        image->fd = compiled->image_fd;
        image->size = compiled->image_size;
        modules->memory_bytes += compiled->image_size;
        save_image(module, flavour);
    } else {
        set_failed(image, compiled->text, compiled->outcome == RUNNER_COMPILE_FAILED);
    }
    module_release(module);
}
