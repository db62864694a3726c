/* Formatting of trace events. */
#include "util/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/bytes.h"

/* Drops what was left of the last character when the text was cut in its middle. */
static void drop_cut_character(char *text) {
    size_t size = strlen(text);
    size_t start = size;
    while (start > 0 && size - start < 3 && ((uint8_t)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start > 0 && !bytes_are_utf8(bytes_of(text + start - 1, size - start + 1))) {
        text[start - 1] = '\0';
    }
}

/* Control characters, those of U+0080 to U+009F too, and whatever is no UTF-8 could do something to
 * a terminal or spoil a log of JSON. */
static void make_printable(char *text) {
    bool utf8 = bytes_are_utf8(bytes_of_string(text));
    for (uint8_t *byte = (uint8_t *)text; *byte != '\0'; byte++) {
        if (*byte < 0x20 || *byte == 0x7f || (!utf8 && *byte >= 0x80)) {
            *byte = '?';
        } else if (*byte == 0xc2 && byte[1] < 0xa0) {
            byte[0] = '?';
            byte[1] = '?';
        }
    }
}

void log_event(const struct log_sink *sink, enum log_level level, const char *topic,
               const char *format, ...) {
    if (sink == NULL || level > sink->level) {
        return;
    }
    char text[LOG_TEXT_MAX] = "";
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof(text)) {
        drop_cut_character(text);
    }
    make_printable(text);
    sink->write(sink->context, level, topic, text);
}
