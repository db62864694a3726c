/* Standard streams: copies, counts, and writes as slowly or as much as it is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int echo(void) {
    static char room[5000];
    ssize_t size;
    while ((size = read(0, room, sizeof(room))) > 0) {
        for (ssize_t done = 0; done < size;) {
            ssize_t written = write(1, room + done, (size_t)(size - done));
            if (written < 0) {
                return 1;
            }
            done += written;
        }
    }
    return size < 0;
}

/* Output and errors in turn. */
static int both(void) {
    for (int i = 0; i < 3; i++) {
        if (write(1, "out", 3) != 3 || write(2, "err", 3) != 3) {
            return 1;
        }
    }
    return 0;
}

/* So many bytes, in pieces of so many. */
static int count(size_t total, size_t piece) {
    char *room = malloc(piece);
    memset(room, 'x', piece);
    while (total > 0) {
        size_t size = piece < total ? piece : total;
        if (write(1, room, size) != (ssize_t)size) {
            return 1;
        }
        total -= size;
    }
    return 0;
}

/* So many bytes in small pieces, output and errors in turn. */
static int alternate(size_t total) {
    static char room[4096];
    memset(room, 'x', sizeof(room));
    for (size_t done = 0; done < total; done += sizeof(room)) {
        int stream = 1 + (int)(done / sizeof(room) % 2);
        if (write(stream, room, sizeof(room)) != (ssize_t)sizeof(room)) {
            return 1;
        }
    }
    return 0;
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A line, then computing for a while, without looking at the host but for the clock. */
static int lines(int number, int pause_ms) {
    for (int i = 0; i < number; i++) {
        dprintf(1, "line %d\n", i);
        long long until = now_ms() + pause_ms;
        while (now_ms() < until) {
            for (volatile int spin = 0; spin < 10000; spin++) {
            }
        }
    }
    return 0;
}

static int arguments(int argc, char **argv) {
    extern char **environ;
    for (int i = 0; i < argc; i++) {
        printf("arg %s\n", argv[i]);
    }
    for (char **variable = environ; *variable != NULL; variable++) {
        printf("env %s\n", *variable);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "echo";
    if (strcmp(command, "echo") == 0) {
        return echo();
    }
    if (strcmp(command, "both") == 0) {
        return both();
    }
    if (strcmp(command, "count") == 0 && argc > 3) {
        return count((size_t)strtoull(argv[2], NULL, 10), (size_t)strtoull(argv[3], NULL, 10));
    }
    if (strcmp(command, "alternate") == 0 && argc > 2) {
        return alternate((size_t)strtoull(argv[2], NULL, 10));
    }
    if (strcmp(command, "lines") == 0 && argc > 3) {
        return lines((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10));
    }
    return arguments(argc, argv);
}
