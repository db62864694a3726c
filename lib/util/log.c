/* Formatting of trace events. */
#include "util/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_event(const struct log_sink *sink, enum log_level level, const char *topic,
               const char *format, ...) {
    if (sink == NULL || level > sink->level) {
        return;
    }
    char text[LOG_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *byte = text; *byte != '\0'; byte++) {
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f) {
            *byte = '?';
        }
    }
    sink->write(sink->context, level, topic, text);
}
