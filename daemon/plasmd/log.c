/* Writing log lines: each at once, or those of one turn of the loop together. */
#include "plasmd/log.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A line holds a text whose every byte was escaped, and its frame. */
#define LINE_SIZE (6 * LOG_TEXT_MAX + 256)

#define HELD_SIZE 16384
static_assert(HELD_SIZE >= LINE_SIZE, "a line must fit");

/* The store writes lines from its own thread. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool holds;
static size_t held_size;
static char held[HELD_SIZE];

static enum log_format log_format = LOG_FORMAT_TEXT;
static uint64_t lines[LOG_LEVEL_DEBUG + 1];
static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

static void write_all(const char *line, size_t size) {
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, line, size);
        if (written <= 0) {
            return; /* there is nowhere left to complain */
        }
        line += written;
        size -= (size_t)written;
    }
}

static void flush(void) {
    write_all(held, held_size);
    held_size = 0;
}

void daemon_log_flush(void) {
    (void)pthread_mutex_lock(&lock);
    flush();
    (void)pthread_mutex_unlock(&lock);
}

void daemon_log_hold(bool hold) {
    (void)pthread_mutex_lock(&lock);
    flush();
    holds = hold;
    (void)pthread_mutex_unlock(&lock);
}

static void write_line(enum log_level level, const char *line, size_t size) {
    (void)pthread_mutex_lock(&lock);
    lines[level]++;
    if (held_size + size > sizeof(held)) {
        flush();
    }
    memcpy(held + held_size, line, size);
    held_size += size;
    if (!holds || level <= LOG_LEVEL_WARNING) {
        flush();
    }
    (void)pthread_mutex_unlock(&lock);
}

static size_t escape(const char *text, char *room) {
    size_t size = 0;
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            room[size++] = '\\';
        }
        room[size++] = *text;
    }
    room[size] = '\0';
    return size;
}

static void write_json(enum log_level level, const char *topic, const char *text) {
    char escaped[2 * LOG_TEXT_MAX + 1];
    (void)escape(text, escaped);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    (void)gmtime_r(&now.tv_sec, &utc);
    char time_text[32];
    (void)strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S", &utc);
    char line[LINE_SIZE];
    int size = snprintf(line, sizeof(line),
                        "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"topic\":\"%s\","
                        "\"message\":\"%s\"}\n",
                        time_text, now.tv_nsec / 1000000, level_names[level], topic, escaped);
    write_line(level, line, size > 0 ? (size_t)size : 0);
}

uint64_t daemon_log_lines(enum log_level level) {
    return lines[level];
}

static void write_event(void *context, enum log_level level, const char *topic, const char *text) {
    (void)context;
    if (log_format == LOG_FORMAT_JSON) {
        write_json(level, topic, text);
        return;
    }
    char line[LINE_SIZE];
    bool own = topic[0] == '\0';
    int size = snprintf(line, sizeof(line), "%s plasmd: %s%s%s\n", level_names[level], topic,
                        own ? "" : ": ", text);
    write_line(level, line, size > 0 ? (size_t)size : 0);
}

static struct log_sink sink = {.write = write_event, .level = LOG_LEVEL_INFO};

void daemon_log_init(enum log_format format, enum log_level level) {
    log_format = format;
    sink.level = level;
}

void daemon_log(enum log_level level, const char *format, ...) {
    if (level > sink.level) {
        return;
    }
    char text[LOG_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_event(&sink, level, "", "%s", text);
}

const struct log_sink *daemon_log_sink(void) {
    return &sink;
}
