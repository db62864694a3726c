/* What strangers say, made harmless for each place it is shown in. */
#include "plasmd/status.h"

#include <string.h>

/* U+200B to U+200F, U+2028 to U+202E, U+2060 to U+2069, U+FEFF: nothing to see, or the direction
 * of text turned, so that a name could look like another. */
static bool is_invisible(const uint8_t *at, size_t left) {
    if (left < 3) {
        return false;
    }
    if (at[0] == 0xe2 && at[1] == 0x80) {
        return (at[2] >= 0x8b && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae);
    }
    if (at[0] == 0xe2 && at[1] == 0x81) {
        return at[2] >= 0xa0 && at[2] <= 0xa9;
    }
    return at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf;
}

static size_t character_size(uint8_t first) {
    if (first < 0x80) {
        return 1;
    }
    return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

void status_printable(struct bytes text, char *room, size_t room_size) {
    bool is_utf8 = bytes_are_utf8(text);
    size_t written = 0;
    size_t at = 0;
    while (at < text.size) {
        uint8_t byte = text.data[at];
        size_t size = is_utf8 ? character_size(byte) : 1;
        bool bad = byte < 0x20 || byte == 0x7f || (!is_utf8 && byte >= 0x80) ||
                   (byte == 0xc2 && text.data[at + 1] < 0xa0) ||
                   is_invisible(text.data + at, text.size - at);
        size_t needed = bad ? 1 : size;
        if (written + needed >= room_size) {
            break;
        }
        if (bad) {
            room[written] = '?';
        } else {
            memcpy(room + written, text.data + at, size);
        }
        written += needed;
        at += size;
    }
    room[written] = '\0';
}

void html_write(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        case '\'':
            (void)fputs("&#39;", out);
            break;
        default:
            (void)fputc(*text, out);
        }
    }
}

void json_write(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        unsigned byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f) {
            (void)fprintf(out, "\\u%04x", byte);
        } else {
            if (byte == '"' || byte == '\\') {
                (void)fputc('\\', out);
            }
            (void)fputc(*text, out);
        }
    }
}
