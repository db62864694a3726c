/* One file a job, named by its id. */
#include "host/state_jobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receipt/text.h"

#define PRUNE_LIFE_MIN_S 60

/* False where it does not fit, nothing is kept, or the id is none. */
static bool path_of(const struct state *state, const char *job_id, const char *ending,
                    char path[STATE_PATH_SIZE]) {
    int length = snprintf(path, STATE_PATH_SIZE, "%s/jobs/%s%s", state->directory, job_id, ending);
    return state->directory[0] != '\0' && job_id_valid(bytes_of_string(job_id)) && length > 0 &&
           length < STATE_PATH_SIZE;
}

static bool write_all(int fd, struct bytes text) {
    while (text.size > 0) {
        ssize_t written = write(fd, text.data, text.size);
        if (written <= 0) {
            return false;
        }
        text = bytes_slice(text, (size_t)written, text.size);
    }
    return true;
}

static void make_directory(const struct state *state) {
    char path[STATE_PATH_SIZE];
    state_make_directory(state->directory);
    if (snprintf(path, sizeof(path), "%s/jobs", state->directory) < STATE_PATH_SIZE) {
        (void)mkdir(path, 0700);
    }
}

int state_job_save(const struct state *state, const char *job_id, struct bytes text) {
    char path[STATE_PATH_SIZE];
    char aside[STATE_PATH_SIZE];
    char ending[32];
    snprintf(ending, sizeof(ending), ".new.%ld", (long)getpid());
    if (state->directory[0] == '\0') {
        return 0;
    }
    if (!path_of(state, job_id, "", path) || !path_of(state, job_id, ending, aside)) {
        return PLASM_INVALID;
    }
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    int fd = open(aside, flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        make_directory(state);
        fd = open(aside, flags, 0600);
    }
    if (fd < 0) {
        return PLASM_IO;
    }
    bool written = write_all(fd, text);
    written = close(fd) == 0 && written;
    if (!written || rename(aside, path) != 0) {
        (void)unlink(aside);
        return PLASM_IO;
    }
    return 0;
}

int state_job_load(const struct state *state, const char *job_id, struct buffer *out) {
    char path[STATE_PATH_SIZE];
    if (!job_id_valid(bytes_of_string(job_id))) {
        return PLASM_INVALID;
    }
    if (!path_of(state, job_id, "", path)) {
        return PLASM_NOT_FOUND;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? PLASM_NOT_FOUND : PLASM_IO;
    }
    int error = 0;
    ssize_t got = 1;
    while (error == 0 && got > 0) {
        uint8_t piece[4096];
        got = read(fd, piece, sizeof(piece));
        error = got < 0 ? PLASM_IO : buffer_append(out, bytes_of(piece, (size_t)got));
    }
    (void)close(fd);
    return error;
}

bool state_job_known(const struct state *state, const char *job_id) {
    char path[STATE_PATH_SIZE];
    return path_of(state, job_id, "", path) && access(path, F_OK) == 0;
}

void state_job_forget(const struct state *state, const char *job_id) {
    char path[STATE_PATH_SIZE];
    if (path_of(state, job_id, "", path)) {
        (void)unlink(path);
    }
}

/* Deletes what is older; gives how many stay. */
static size_t prune_older(const char *path, int64_t before_s) {
    DIR *directory = opendir(path);
    size_t stay = 0;
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        struct stat status;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (status.st_mtime < before_s) {
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
        } else {
            stay++;
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return stay;
}

void state_jobs_prune(const struct state *state, int64_t now_s) {
    char path[STATE_PATH_SIZE];
    int length = snprintf(path, sizeof(path), "%s/jobs", state->directory);
    if (state->directory[0] == '\0' || length < 0 || length >= STATE_PATH_SIZE) {
        return;
    }
    int64_t life_s = STATE_JOB_LIFE_S;
    while (prune_older(path, now_s - life_s) > STATE_JOBS_MAX && life_s > PRUNE_LIFE_MIN_S) {
        life_s /= 2;
    }
}
