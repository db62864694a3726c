/* The client's two small text files: one address, or one address and identity, a line. */
#include "host/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE (MULTIADDR_TEXT_MAX + PEER_ID_TEXT_MAX + 4)

static void default_directory(char *room, size_t size) {
    const char *base = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length = -1;
    if (base != NULL && base[0] == '/') {
        length = snprintf(room, size, "%s/plasm", base);
    } else if (home != NULL && home[0] == '/') {
        length = snprintf(room, size, "%s/.local/state/plasm", home);
    }
    if (length < 0 || (size_t)length >= size) {
        room[0] = '\0';
    }
}

static FILE *open_file(const struct state *state, const char *name, const char *mode, char *path) {
    int length = snprintf(path, STATE_PATH_SIZE, "%s/%s", state->directory, name);
    if (state->directory[0] == '\0' || length < 0 || length >= STATE_PATH_SIZE) {
        return NULL;
    }
    return fopen(path, mode);
}

static bool read_line(FILE *file, char *line, struct bytes *ret_text) {
    while (fgets(line, LINE_SIZE, file) != NULL) {
        size_t size = strlen(line);
        if (size > 0 && line[size - 1] == '\n') {
            size--;
        }
        if (size > 0) {
            *ret_text = bytes_of(line, size);
            return true;
        }
    }
    return false;
}

static void load_peers(struct state *state) {
    char path[STATE_PATH_SIZE];
    char line[LINE_SIZE];
    FILE *file = open_file(state, "peers", "re", path);
    struct bytes text;
    while (file != NULL && state->peer_count < STATE_PEERS_MAX && read_line(file, line, &text)) {
        struct multiaddr *peer = &state->peers[state->peer_count];
        state->peer_count += multiaddr_parse(text, peer) == 0 && multiaddr_peer_id(peer).size > 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void load_known(struct state *state) {
    char path[STATE_PATH_SIZE];
    char line[LINE_SIZE];
    FILE *file = open_file(state, "known_nodes", "re", path);
    struct bytes text;
    while (file != NULL && state->known_count < STATE_KNOWN_MAX && read_line(file, line, &text)) {
        const uint8_t *space = memchr(text.data, ' ', text.size);
        size_t size = space != NULL ? (size_t)(space - text.data) : 0;
        struct state_known *known = &state->known[state->known_count];
        if (size > 0 && multiaddr_parse(bytes_slice(text, 0, size), &known->address) == 0 &&
            peer_id_parse(bytes_slice(text, size + 1, text.size), &known->id) == 0) {
            state->known_count++;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

void state_load(struct state *state, const char *directory) {
    memset(state, 0, sizeof(*state));
    if (directory == NULL) {
        default_directory(state->directory, sizeof(state->directory));
    } else if (strlen(directory) < sizeof(state->directory)) {
        memcpy(state->directory, directory, strlen(directory) + 1);
    }
    load_peers(state);
    load_known(state);
}

void state_make_directory(const char *directory) {
    char path[STATE_PATH_SIZE];
    size_t size = strlen(directory);
    memcpy(path, directory, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            char kept = path[i];
            path[i] = '\0';
            (void)mkdir(path, 0700);
            path[i] = kept;
        }
    }
}

/* Opens "<name>.new.<pid>" for writing; `finish` puts it in place. */
static FILE *begin_file(const struct state *state, const char *name, char *aside) {
    state_make_directory(state->directory);
    char file_name[64];
    snprintf(file_name, sizeof(file_name), "%s.new.%ld", name, (long)getpid());
    return open_file(state, file_name, "we", aside);
}

static void finish_file(const struct state *state, const char *name, const char *aside,
                        FILE *file) {
    char path[STATE_PATH_SIZE];
    bool written = ferror(file) == 0;
    written = fclose(file) == 0 && written;
    int length = snprintf(path, sizeof(path), "%s/%s", state->directory, name);
    if (!written || length < 0 || (size_t)length >= sizeof(path) || rename(aside, path) != 0) {
        (void)unlink(aside);
    }
}

static void save_peers(const struct state *state) {
    char aside[STATE_PATH_SIZE];
    FILE *file = begin_file(state, "peers", aside);
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < state->peer_count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(&state->peers[i], text, sizeof(text)) == 0) {
            (void)fprintf(file, "%s\n", text);
        }
    }
    finish_file(state, "peers", aside, file);
}

static void save_known(const struct state *state) {
    char aside[STATE_PATH_SIZE];
    FILE *file = begin_file(state, "known_nodes", aside);
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < state->known_count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        char id[PEER_ID_TEXT_MAX];
        peer_id_format(&state->known[i].id, id);
        if (multiaddr_format(&state->known[i].address, text, sizeof(text)) == 0) {
            (void)fprintf(file, "%s %s\n", text, id);
        }
    }
    finish_file(state, "known_nodes", aside, file);
}

void state_save(struct state *state) {
    if (state->directory[0] == '\0') {
        return;
    }
    if (state->peers_changed) {
        save_peers(state);
        state->peers_changed = false;
    }
    if (state->known_changed) {
        save_known(state);
        state->known_changed = false;
    }
}

void state_remember(struct state *state, const struct multiaddr *address) {
    size_t place = 0;
    while (place < state->peer_count && !multiaddr_equal(&state->peers[place], address)) {
        place++;
    }
    if (place == 0 && state->peer_count > 0) {
        return; /* first already */
    }
    if (place == state->peer_count && state->peer_count < STATE_PEERS_MAX) {
        state->peer_count++;
    }
    size_t moved = place < STATE_PEERS_MAX ? place : STATE_PEERS_MAX - 1;
    memmove(&state->peers[1], &state->peers[0], moved * sizeof(state->peers[0]));
    state->peers[0] = *address;
    state->peers_changed = true;
}

/* Whether two addresses are of one node: the same host and port, by QUIC or by TCP. */
static bool same_node(const struct multiaddr *a, const struct multiaddr *b) {
    struct cursor cursors[2] = {cursor_of(multiaddr_bytes(a)), cursor_of(multiaddr_bytes(b))};
    struct multiaddr_part host[2];
    struct multiaddr_part port[2];
    for (size_t i = 0; i < 2; i++) {
        if (!multiaddr_next(&cursors[i], &host[i]) || !multiaddr_next(&cursors[i], &port[i]) ||
            (port[i].code != MULTIADDR_UDP && port[i].code != MULTIADDR_TCP)) {
            return multiaddr_equal(a, b);
        }
    }
    return host[0].code == host[1].code && bytes_equal(host[0].value, host[1].value) &&
           bytes_equal(port[0].value, port[1].value);
}

const struct peer_id *state_identity(const struct state *state, const struct multiaddr *address) {
    for (size_t i = 0; i < state->known_count; i++) {
        if (same_node(&state->known[i].address, address)) {
            return &state->known[i].id;
        }
    }
    return NULL;
}

void state_remember_identity(struct state *state, const struct multiaddr *address,
                             const struct peer_id *id) {
    if (state_identity(state, address) != NULL) {
        return;
    }
    size_t place = state->known_count < STATE_KNOWN_MAX ? state->known_count++ : 0;
    state->known[place] = (struct state_known){.address = *address, .id = *id};
    state->known_changed = true;
}
