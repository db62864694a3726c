/* The daemon's log: lines for people, or JSON objects, on standard error. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "util/log.h"

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Settings of the whole process. */
void daemon_log_init(enum log_format format, enum log_level level);
/* While held, lines wait for daemon_log_flush; warnings and errors do not. */
void daemon_log_hold(bool hold);
void daemon_log_flush(void);
/* Lines of this level so far. */
uint64_t daemon_log_lines(enum log_level level);
/* "INFO plasmd: <text>", or {"time","level","topic","message"}. */
void daemon_log(enum log_level level, const char *format, ...) PRINTF_FORMAT(2, 3);
/* The sink for the library's events; their topic is in the line: "DEBUG plasmd: kad: ...". */
const struct log_sink *daemon_log_sink(void);

#endif
