/* Comparing, slicing and spelling borrowed bytes. */
#include "util/bytes.h"

#include "util/ensure.h"

int bytes_compare(struct bytes a, struct bytes b) {
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;
    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

struct bytes bytes_slice(struct bytes from, size_t offset, size_t size) {
    if (offset > from.size) {
        offset = from.size;
    }
    if (size > from.size - offset) {
        size = from.size - offset;
    }
    return bytes_of(offset > 0 ? from.data + offset : from.data, size);
}

/* Length of the well-formed sequence at the start of `text`, or 0. RFC 3629, section 4. */
static size_t utf8_sequence(struct bytes text) {
    const uint8_t *byte = text.data;
    if (byte[0] < 0x80) {
        return 1;
    }
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t size = 0;
    if (byte[0] >= 0xc2 && byte[0] <= 0xdf) {
        size = 2;
    } else if (byte[0] >= 0xe0 && byte[0] <= 0xef) {
        size = 3;
        low = byte[0] == 0xe0 ? 0xa0 : low;
        high = byte[0] == 0xed ? 0x9f : high;
    } else if (byte[0] >= 0xf0 && byte[0] <= 0xf4) {
        size = 4;
        low = byte[0] == 0xf0 ? 0x90 : low;
        high = byte[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (text.size < size || byte[1] < low || byte[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if (byte[i] < 0x80 || byte[i] > 0xbf) {
            return 0;
        }
    }
    return size;
}

bool bytes_are_utf8(struct bytes text) {
    while (text.size > 0) {
        size_t size = utf8_sequence(text);
        if (size == 0) {
            return false;
        }
        text = bytes_slice(text, size, text.size);
    }
    return true;
}

int bytes_to_string(struct bytes from, char *room, size_t room_size) {
    if (from.size >= room_size) {
        return PLASM_TOO_LARGE;
    }
    if (from.size > 0) {
        if (memchr(from.data, 0, from.size) != NULL) {
            return PLASM_MALFORMED;
        }
        memcpy(room, from.data, from.size);
    }
    room[from.size] = '\0';
    return 0;
}

void bytes_cut_string(struct bytes from, char *room, size_t room_size) {
    ENSURE(room_size > 0);
    size_t size = from.size < room_size ? from.size : room_size - 1;
    const uint8_t *nul = size > 0 ? memchr(from.data, 0, size) : NULL;
    if (nul != NULL) {
        size = (size_t)(nul - from.data);
    } else if (size < from.size) {
        while (size > 0 && (from.data[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    if (size > 0) {
        memcpy(room, from.data, size);
    }
    room[size] = '\0';
}

void bytes_to_hex(struct bytes from, char *room, size_t room_size) {
    static const char digits[] = "0123456789abcdef";
    ENSURE(room_size > 2 * from.size);
    for (size_t i = 0; i < from.size; i++) {
        room[2 * i] = digits[from.data[i] >> 4];
        room[2 * i + 1] = digits[from.data[i] & 15];
    }
    room[2 * from.size] = '\0';
}

static int hex_digit(uint8_t digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

int bytes_from_hex(struct bytes hex, struct span room, size_t *ret_size) {
    if (hex.size % 2 != 0) {
        return PLASM_MALFORMED;
    }
    if (hex.size / 2 > room.size) {
        return PLASM_TOO_LARGE;
    }
    for (size_t i = 0; i < hex.size / 2; i++) {
        int high = hex_digit(hex.data[2 * i]);
        int low = hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return PLASM_MALFORMED;
        }
        room.data[i] = (uint8_t)(high << 4 | low);
    }
    *ret_size = hex.size / 2;
    return 0;
}
