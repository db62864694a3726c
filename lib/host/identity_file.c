/* Reading and making the identity key's file. */
#include "host/identity_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE_MAX 4096

void identity_fresh(struct ed25519_secret *ret_secret) {
    uint8_t seed[ED25519_SEED_SIZE];
    crypto_system_random((struct span){seed, sizeof(seed)});
    ed25519_from_seed(ret_secret, seed);
    crypto_wipe(seed, sizeof(seed));
}

int identity_file_read(const char *path, struct ed25519_secret *ret_secret) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? PLASM_NOT_FOUND : PLASM_IO;
    }
    uint8_t protobuf[PRIVATE_KEY_ENCODED_SIZE + 1];
    struct stat status;
    int error = PLASM_IO;
    ssize_t size = -1;
    if (fstat(fd, &status) == 0) {
        size = read(fd, protobuf, sizeof(protobuf));
    }
    if (size >= 0) {
        error = (status.st_mode & (S_IRWXG | S_IRWXO)) != 0
                    ? PLASM_UNTRUSTED
                    : private_key_decode(bytes_of(protobuf, (size_t)size), ret_secret);
    }
    crypto_wipe(protobuf, sizeof(protobuf));
    (void)close(fd);
    return error;
}

static int write_new(const char *path, const struct ed25519_secret *secret) {
    uint8_t protobuf[PRIVATE_KEY_ENCODED_SIZE];
    private_key_encode(secret, protobuf);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int error = PLASM_IO;
    if (fd >= 0) {
        if (write(fd, protobuf, sizeof(protobuf)) == (ssize_t)sizeof(protobuf) && fsync(fd) == 0) {
            error = 0;
        }
        if (close(fd) != 0) {
            error = PLASM_IO;
        }
    }
    crypto_wipe(protobuf, sizeof(protobuf));
    return error;
}

/* The new name is on the disk only when its directory is. */
static void sync_directory(const char *path) {
    char directory[PATH_SIZE_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash != NULL ? (size_t)(slash - path) : 0;
    if (bytes_to_string(size > 0 ? bytes_of(path, size) : BYTES_LITERAL("."), directory,
                        sizeof(directory)) != 0) {
        return;
    }
    int fd = open(directory, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

int identity_file_ensure(const char *path, struct ed25519_secret *ret_secret) {
    int error = identity_file_read(path, ret_secret);
    if (error != PLASM_NOT_FOUND) {
        return error;
    }
    char aside[PATH_SIZE_MAX];
    int size = snprintf(aside, sizeof(aside), "%s.new.%ld", path, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof(aside)) {
        return PLASM_TOO_LARGE;
    }
    struct ed25519_secret secret;
    identity_fresh(&secret);
    error = write_new(aside, &secret);
    if (error == 0 && link(aside, path) != 0 && errno != EEXIST) {
        error = PLASM_IO;
    }
    int saved = errno;
    (void)unlink(aside);
    errno = saved;
    ed25519_done(&secret);
    if (error != 0) {
        return error;
    }
    sync_directory(path);
    /* Ours, or that of a process that was faster. */
    return identity_file_read(path, ret_secret);
}
