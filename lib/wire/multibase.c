/* Text encodings: those of RFC 4648 by one coder over bits, base58 by long division. */
#include "wire/multibase.h"

#include "util/ensure.h"

/* An alphabet of 2^bits characters. `value` gives a character's place, or -1. */
struct alphabet {
    const char *characters;
    unsigned bits;
    int (*value)(uint8_t character);
};

static int digit_value(uint8_t character, uint8_t first, uint8_t last, int value) {
    return character >= first && character <= last ? character - first + value : -1;
}

static int base16_value(uint8_t c) {
    int value = digit_value(c, '0', '9', 0);
    value = value < 0 ? digit_value(c, 'a', 'f', 10) : value;
    return value < 0 ? digit_value(c, 'A', 'F', 10) : value;
}

static int base32_value(uint8_t c) {
    int value = digit_value(c, 'a', 'z', 0);
    value = value < 0 ? digit_value(c, '2', '7', 26) : value;
    return value < 0 ? digit_value(c, 'A', 'Z', 0) : value;
}

static int base64_letter_value(uint8_t c) {
    int value = digit_value(c, 'A', 'Z', 0);
    value = value < 0 ? digit_value(c, 'a', 'z', 26) : value;
    return value < 0 ? digit_value(c, '0', '9', 52) : value;
}

static int base64_value(uint8_t c) {
    int value = base64_letter_value(c);
    value = c == '+' ? 62 : value;
    return c == '/' ? 63 : value;
}

static int base64url_value(uint8_t c) {
    int value = base64_letter_value(c);
    value = c == '-' ? 62 : value;
    return c == '_' ? 63 : value;
}

static const struct alphabet base16 = {"0123456789abcdef", 4, base16_value};
static const struct alphabet base32 = {"abcdefghijklmnopqrstuvwxyz234567", 5, base32_value};
static const struct alphabet base64 = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 6, base64_value};
static const struct alphabet base64url = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6, base64url_value};

/* Most significant bits first; the last character is filled up with zero bits. No padding. */
static int alphabet_encode(const struct alphabet *alphabet, struct bytes from, char *room,
                           size_t room_size, size_t *ret_size) {
    if (from.size > SIZE_MAX / 8 - 1 ||
        (from.size * 8 + alphabet->bits - 1) / alphabet->bits >= room_size) {
        return PLASM_TOO_LARGE;
    }
    unsigned mask = (1U << alphabet->bits) - 1;
    unsigned held = 0;
    unsigned held_bits = 0;
    size_t size = 0;
    for (size_t i = 0; i < from.size; i++) {
        held = (held << 8 | from.data[i]) & 0xffff;
        held_bits += 8;
        while (held_bits >= alphabet->bits) {
            held_bits -= alphabet->bits;
            room[size++] = alphabet->characters[held >> held_bits & mask];
        }
    }
    if (held_bits > 0) {
        room[size++] = alphabet->characters[held << (alphabet->bits - held_bits) & mask];
    }
    room[size] = '\0';
    *ret_size = size;
    return 0;
}

/* Refuses characters that carry no whole byte and fill bits that are not zero: one text a value. */
static int alphabet_decode(const struct alphabet *alphabet, struct bytes text, struct span room,
                           size_t *ret_size) {
    unsigned held = 0;
    unsigned held_bits = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = alphabet->value(text.data[i]);
        if (value < 0) {
            return PLASM_MALFORMED;
        }
        held = (held << alphabet->bits | (unsigned)value) & 0xffff;
        held_bits += alphabet->bits;
        if (held_bits >= 8) {
            if (size == room.size) {
                return PLASM_TOO_LARGE;
            }
            held_bits -= 8;
            room.data[size++] = (uint8_t)(held >> held_bits);
        }
    }
    if (held_bits >= alphabet->bits || (held & ((1U << held_bits) - 1)) != 0) {
        return PLASM_MALFORMED;
    }
    *ret_size = size;
    return 0;
}

int base32_encode(struct bytes from, char *room, size_t room_size) {
    size_t size;
    return alphabet_encode(&base32, from, room, room_size, &size);
}

int base32_decode(struct bytes text, struct span room, size_t *ret_size) {
    return alphabet_decode(&base32, text, room, ret_size);
}

int base64_encode(struct bytes from, char *room, size_t room_size) {
    size_t size;
    if (from.size > SIZE_MAX / 4 || base64_size(from.size) >= room_size) {
        return PLASM_TOO_LARGE;
    }
    int error = alphabet_encode(&base64, from, room, room_size, &size);
    if (error != 0) {
        return error;
    }
    while (size % 4 != 0) {
        room[size++] = '=';
    }
    room[size] = '\0';
    return 0;
}

int base64_decode(struct bytes text, struct span room, size_t *ret_size) {
    if (text.size % 4 != 0) {
        return PLASM_MALFORMED;
    }
    for (int i = 0; i < 2 && text.size > 0 && text.data[text.size - 1] == '='; i++) {
        text.size--;
    }
    return alphabet_decode(&base64, text, room, ret_size);
}

static const char base58_characters[] =
    "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Characters of BASE58_INPUT_MAX bytes: 8 / log2(58) = 1.366 a byte. */
#define BASE58_TEXT_MAX ((size_t)BASE58_INPUT_MAX * 1366 / 1000 + 1)
/* Long division goes by five characters or four bytes at a time. */
#define BASE58_LIMB      UINT32_C(656356768) /* 58^5 */
#define BASE58_LIMB_SIZE 5

int base58_encode(struct bytes from, char *room, size_t room_size) {
    if (from.size > BASE58_INPUT_MAX) {
        return PLASM_TOO_LARGE;
    }
    size_t zeros = 0;
    while (zeros < from.size && from.data[zeros] == 0) {
        zeros++;
    }
    uint32_t limbs[BASE58_TEXT_MAX / BASE58_LIMB_SIZE + 1]; /* the least first */
    size_t limb_count = 0;
    for (size_t i = zeros; i < from.size; i++) {
        uint64_t carry = from.data[i];
        for (size_t j = 0; j < limb_count; j++) {
            carry += (uint64_t)limbs[j] << 8;
            limbs[j] = (uint32_t)(carry % BASE58_LIMB);
            carry /= BASE58_LIMB;
        }
        if (carry > 0) {
            ENSURE(limb_count < ARRAY_SIZE(limbs));
            limbs[limb_count++] = (uint32_t)carry;
        }
    }
    char reversed[ARRAY_SIZE(limbs) * BASE58_LIMB_SIZE];
    size_t size = 0;
    for (size_t j = 0; j < limb_count; j++) {
        for (int digit = 0; digit < BASE58_LIMB_SIZE; digit++) {
            reversed[size++] = base58_characters[limbs[j] % 58];
            limbs[j] /= 58;
        }
    }
    while (size > 0 && reversed[size - 1] == base58_characters[0]) {
        size--;
    }
    if (zeros + size >= room_size) {
        return PLASM_TOO_LARGE;
    }
    memset(room, base58_characters[0], zeros);
    for (size_t i = 0; i < size; i++) {
        room[zeros + i] = reversed[size - 1 - i];
    }
    room[zeros + size] = '\0';
    return 0;
}

static int base58_value(uint8_t c) {
    /* The gaps are the letters left out because they look like others: O, I, l. */
    int value = digit_value(c, '1', '9', 0);
    value = value < 0 ? digit_value(c, 'A', 'H', 9) : value;
    value = value < 0 ? digit_value(c, 'J', 'N', 17) : value;
    value = value < 0 ? digit_value(c, 'P', 'Z', 22) : value;
    value = value < 0 ? digit_value(c, 'a', 'k', 33) : value;
    return value < 0 ? digit_value(c, 'm', 'z', 44) : value;
}

int base58_decode(struct bytes text, struct span room, size_t *ret_size) {
    if (text.size > BASE58_TEXT_MAX) {
        return PLASM_TOO_LARGE;
    }
    size_t zeros = 0;
    while (zeros < text.size && text.data[zeros] == '1') {
        zeros++;
    }
    uint32_t limbs[BASE58_INPUT_MAX / 4 + 1]; /* the least first */
    size_t limb_count = 0;
    for (size_t i = zeros; i < text.size; i++) {
        int value = base58_value(text.data[i]);
        if (value < 0) {
            return PLASM_MALFORMED;
        }
        uint64_t carry = (uint64_t)value;
        for (size_t j = 0; j < limb_count; j++) {
            carry += (uint64_t)limbs[j] * 58;
            limbs[j] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry > 0) {
            ENSURE(limb_count < ARRAY_SIZE(limbs));
            limbs[limb_count++] = (uint32_t)carry;
        }
    }
    size_t size = limb_count * 4;
    while (size > 0 && (limbs[(size - 1) / 4] >> (8 * ((size - 1) % 4)) & 0xff) == 0) {
        size--;
    }
    if (zeros + size > room.size) {
        return PLASM_TOO_LARGE;
    }
    if (zeros > 0) {
        memset(room.data, 0, zeros);
    }
    for (size_t i = 0; i < size; i++) {
        size_t place = size - 1 - i;
        room.data[zeros + i] = (uint8_t)(limbs[place / 4] >> (8 * (place % 4)));
    }
    *ret_size = zeros + size;
    return 0;
}

/* The alphabet of a base of RFC 4648, or NULL. */
static const struct alphabet *multibase_alphabet(enum multibase base) {
    switch (base) {
    case MULTIBASE_BASE16:
        return &base16;
    case MULTIBASE_BASE32:
        return &base32;
    case MULTIBASE_BASE64:
        return &base64;
    case MULTIBASE_BASE64URL:
        return &base64url;
    default:
        return NULL;
    }
}

int multibase_encode(enum multibase base, struct bytes from, char *room, size_t room_size) {
    if (room_size < 2) {
        return PLASM_TOO_LARGE;
    }
    const struct alphabet *alphabet = multibase_alphabet(base);
    int error = PLASM_UNSUPPORTED;
    size_t size;
    if (alphabet != NULL) {
        error = alphabet_encode(alphabet, from, room + 1, room_size - 1, &size);
    } else if (base == MULTIBASE_BASE58BTC) {
        error = base58_encode(from, room + 1, room_size - 1);
    }
    if (error == 0) {
        room[0] = (char)base;
    }
    return error;
}

int multibase_decode(struct bytes text, struct span room, size_t *ret_size) {
    if (text.size == 0) {
        return PLASM_MALFORMED;
    }
    enum multibase base = (enum multibase)text.data[0];
    struct bytes rest = bytes_slice(text, 1, text.size);
    if (base == MULTIBASE_BASE58BTC) {
        return base58_decode(rest, room, ret_size);
    }
    const struct alphabet *alphabet = multibase_alphabet(base);
    return alphabet != NULL ? alphabet_decode(alphabet, rest, room, ret_size) : PLASM_UNSUPPORTED;
}
