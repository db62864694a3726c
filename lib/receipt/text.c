/* Hashes, job ids, nonces and names as text. */
#include "receipt/text.h"

#define HASH_PREFIX "sha256:"

void hash_format(const struct sha256_digest *digest, char room[HASH_TEXT_SIZE]) {
    size_t prefix_size = sizeof(HASH_PREFIX) - 1;
    memcpy(room, HASH_PREFIX, prefix_size);
    bytes_to_hex(BYTES_ARRAY(digest->bytes), room + prefix_size, HASH_TEXT_SIZE - prefix_size);
}

static bool hex_lower(struct bytes text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

int hash_parse(struct bytes text, struct sha256_digest *ret_digest) {
    if (text.size != HASH_TEXT_SIZE - 1 || !bytes_start_with(text, BYTES_LITERAL(HASH_PREFIX))) {
        return PLASM_MALFORMED;
    }
    struct bytes hex = bytes_slice(text, sizeof(HASH_PREFIX) - 1, text.size);
    if (!hex_lower(hex)) {
        return PLASM_MALFORMED;
    }
    size_t size;
    return bytes_from_hex(hex, (struct span){.data = ret_digest->bytes, .size = SHA256_SIZE},
                          &size);
}

bool job_id_valid(struct bytes text) {
    if (text.size != JOB_ID_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.data[i] != '-' : !hex_lower(bytes_slice(text, i, 1))) {
            return false;
        }
    }
    uint8_t variant = text.data[19];
    return text.data[14] == '4' &&
           (variant == '8' || variant == '9' || variant == 'a' || variant == 'b');
}

void job_id_make(struct random *random, char room[JOB_ID_SIZE]) {
    uint8_t bytes[16];
    random_fill(random, (struct span){.data = bytes, .size = sizeof(bytes)});
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* RFC 9562's variant */
    char hex[33];
    bytes_to_hex(BYTES_ARRAY(bytes), hex, sizeof(hex));
    static const size_t groups[] = {8, 4, 4, 4, 12};
    const char *from = hex;
    char *to = room;
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        memcpy(to, from, groups[i]);
        to += groups[i];
        from += groups[i];
        *to++ = '-';
    }
    room[JOB_ID_SIZE - 1] = '\0';
}

bool client_nonce_valid(struct bytes text) {
    return text.size == CLIENT_NONCE_SIZE - 1 && hex_lower(text);
}

void client_nonce_make(struct random *random, char room[CLIENT_NONCE_SIZE]) {
    uint8_t bytes[16];
    random_fill(random, (struct span){.data = bytes, .size = sizeof(bytes)});
    bytes_to_hex(BYTES_ARRAY(bytes), room, CLIENT_NONCE_SIZE);
}

bool name_valid(struct bytes text, size_t room_size) {
    if (text.size == 0 || text.size >= room_size) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        bool mark = c == '.' || c == '_' || c == '+' || c == '-' || c == '/';
        if (!letter && !digit && !mark) {
            return false;
        }
    }
    return true;
}
