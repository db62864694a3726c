/* Reading, making and replacing the key. */
#include "signer/program/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/identity_file.h"
#include "identity/peer_id.h"

#define PATH_SIZE_MAX 4096

static bool complain(char *fault, const char *what, const char *why) {
    snprintf(fault, KEY_FAULT_SIZE, "%.100s: %.90s", what, why);
    return false;
}

/* What the owner of the descriptor or systemd protects: its mode says nothing. */
static bool read_open(int fd, const char *name, struct ed25519_secret *ret_secret, char *fault) {
    uint8_t protobuf[PRIVATE_KEY_ENCODED_SIZE + 1];
    ssize_t size = pread(fd, protobuf, sizeof(protobuf), 0);
    int error =
        size < 0 ? PLASM_IO : private_key_decode(bytes_of(protobuf, (size_t)size), ret_secret);
    crypto_wipe(protobuf, sizeof(protobuf));
    return error == 0 ||
           complain(fault, name,
                    error == PLASM_IO ? strerror(errno) : "is no Ed25519 key of libp2p's");
}

/* True where there is one; then `*ret_good` says whether it is a key. */
static bool read_credential(struct ed25519_secret *ret_secret, bool *ret_good, char *fault) {
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_SIZE_MAX];
    if (directory == NULL ||
        snprintf(path, sizeof(path), "%s/%s", directory, KEY_CREDENTIAL) >= (int)sizeof(path)) {
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    *ret_good = read_open(fd, "credential " KEY_CREDENTIAL, ret_secret, fault);
    close(fd);
    return true;
}

bool key_load(const struct key_source *source, struct ed25519_secret *ret_secret, int *ret_lock,
              char *fault) {
    bool is_good = false;
    *ret_lock = -1;
    if (read_credential(ret_secret, &is_good, fault)) {
        return is_good;
    }
    if (source->fd >= 0) {
        return read_open(source->fd, "the key handed over", ret_secret, fault);
    }
    if (source->path == NULL) {
        return complain(fault, "key", "none is named");
    }
    int error = source->may_make ? identity_file_ensure(source->path, ret_secret)
                                 : identity_file_read(source->path, ret_secret);
    if (error != 0) {
        return complain(fault, source->path,
                        error == PLASM_IO          ? strerror(errno)
                        : error == PLASM_NOT_FOUND ? "there is no key yet: plasmd makes one at its "
                                                     "first start"
                        : error == PLASM_UNTRUSTED
                            ? "others may read it, or it is damaged: chmod 600 it"
                            : plasm_error_message(error));
    }
    *ret_lock = open(source->path, O_RDONLY | O_CLOEXEC);
    if (*ret_lock >= 0) {
        (void)flock(*ret_lock, LOCK_SH | LOCK_NB);
    }
    return true;
}

static void id_of(const struct ed25519_secret *secret, char text[PEER_ID_TEXT_MAX]) {
    struct public_key key;
    struct peer_id id;
    public_key_from_ed25519(secret->public_key, &key);
    peer_id_from_key(&key, &id);
    peer_id_format(&id, text);
}

static int fail(const char *what, const char *why) {
    (void)fprintf(stderr, "plasm-sign: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* "<path>.2026-11-25", with a number behind it where that is taken. */
static bool keep_old(const char *path, char kept[PATH_SIZE_MAX]) {
    time_t now = time(NULL);
    struct tm day;
    char date[16];
    (void)gmtime_r(&now, &day);
    (void)strftime(date, sizeof(date), "%Y-%m-%d", &day);
    for (int i = 0; i < 100; i++) {
        char ending[8] = "";
        if (i > 0) {
            snprintf(ending, sizeof(ending), ".%d", i);
        }
        if (snprintf(kept, PATH_SIZE_MAX, "%s.%s%s", path, date, ending) >= PATH_SIZE_MAX) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (link(path, kept) == 0) {
            return true;
        }
        if (errno != EEXIST) {
            return false;
        }
    }
    return false;
}

/* A new key beside the old one, its owner the same, put in its place in one step: at no time is
 * there none. */
static bool put_new(const char *path, const struct stat *old, struct ed25519_secret *ret_secret) {
    char aside[PATH_SIZE_MAX];
    if (snprintf(aside, sizeof(aside), "%s.rotated", path) >= (int)sizeof(aside)) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)unlink(aside); /* of a rotation that was cut off */
    if (identity_file_ensure(aside, ret_secret) != 0) {
        return false;
    }
    bool is_owner = geteuid() != 0 || chown(aside, old->st_uid, old->st_gid) == 0;
    if (!is_owner || rename(aside, path) != 0) {
        int saved = errno;
        (void)unlink(aside);
        errno = saved;
        return false;
    }
    return true;
}

int key_rotate(const char *path, bool force) {
    struct ed25519_secret old_secret;
    struct ed25519_secret new_secret;
    struct stat status;
    char kept[PATH_SIZE_MAX];
    char old_id[PEER_ID_TEXT_MAX];
    char new_id[PEER_ID_TEXT_MAX];
    int error = identity_file_read(path, &old_secret);
    if (error != 0) {
        return fail(path, error == PLASM_IO ? strerror(errno)
                          : error == PLASM_NOT_FOUND
                              ? "there is no key yet: plasmd makes one at its first start"
                              : plasm_error_message(error));
    }
    id_of(&old_secret, old_id);
    ed25519_done(&old_secret);
    int lock = open(path, O_RDONLY | O_CLOEXEC);
    if (lock < 0 || fstat(lock, &status) != 0) {
        return fail(path, strerror(errno));
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0 && !force) {
        close(lock);
        return fail(path, "a worker uses this key: stop it first, or say --force and restart it "
                          "afterwards");
    }
    if (!keep_old(path, kept) || !put_new(path, &status, &new_secret)) {
        error = errno;
        close(lock);
        return fail(path, strerror(error));
    }
    close(lock);
    id_of(&new_secret, new_id);
    ed25519_done(&new_secret);
    printf(
        "new peer id  %s\nold peer id  %s\nold key kept %s\n\n"
        "To everybody else this is another worker now: it has no reputation yet, addresses that\n"
        "end in /p2p/<old peer id> and keys that clients have pinned do not fit any more, and\n"
        "receipts signed before still verify against the old peer id alone.\n",
        new_id, old_id, kept);
    return EXIT_SUCCESS;
}
