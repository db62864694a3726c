/* Where trace events of the silent library go: a sink the program hands in, or nowhere. */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include "util/compiler.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* One event as text, one line without newline, printable. `context` is the sink owner's. */
struct log_sink {
    void (*write)(void *context, enum log_level level, const char *topic, const char *text);
    void *context;
    enum log_level level; /* events above this are not even formatted */
};

/* Longest text of an event in bytes; the rest is cut. */
#define LOG_TEXT_MAX 512

/* `sink` may be NULL. `topic` is the module, "kad" or "quic". Control characters and bytes that
 * are no UTF-8, which a peer may have chosen, are written as '?'. */
void log_event(const struct log_sink *sink, enum log_level level, const char *topic,
               const char *format, ...) PRINTF_FORMAT(4, 5);

#endif
