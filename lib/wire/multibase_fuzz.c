/* Fuzzes the text encodings: a text that is read is the one that its bytes are written as, and any
 * bytes come back. */
#include <stdlib.h>

#include "util/ensure.h"
#include "wire/multibase.h"

static const enum multibase bases[] = {MULTIBASE_BASE16, MULTIBASE_BASE32, MULTIBASE_BASE58BTC,
                                       MULTIBASE_BASE64, MULTIBASE_BASE64URL};

/* Base16 and base32 are read in either case and written in lower case. */
static bool same_text(enum multibase base, struct bytes a, struct bytes b) {
    bool fold = base == MULTIBASE_BASE16 || base == MULTIBASE_BASE32;
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        uint8_t letter = a.data[i];
        letter = fold && letter >= 'A' && letter <= 'Z' ? (uint8_t)(letter + 32) : letter;
        if (letter != b.data[i]) {
            return false;
        }
    }
    return true;
}

static void fuzz_text(struct bytes text, struct span bytes, char *room, size_t room_size) {
    size_t size;
    if (multibase_decode(text, bytes, &size) == 0) {
        enum multibase base = (enum multibase)text.data[0];
        int error = multibase_encode(base, bytes_of(bytes.data, size), room, room_size);
        ENSURE(error == 0 || (base == MULTIBASE_BASE58BTC && size > BASE58_INPUT_MAX));
        ENSURE(error != 0 || same_text(base, text, bytes_of_string(room)));
    }
    if (base64_decode(text, bytes, &size) == 0) {
        ENSURE(base64_encode(bytes_of(bytes.data, size), room, room_size) == 0);
        ENSURE(bytes_equal(text, bytes_of_string(room)));
    }
}

static void fuzz_bytes(struct bytes input, struct span bytes, char *room, size_t room_size) {
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        if (bases[i] == MULTIBASE_BASE58BTC && input.size > BASE58_INPUT_MAX) {
            continue;
        }
        size_t size;
        ENSURE(multibase_encode(bases[i], input, room, room_size) == 0);
        ENSURE(multibase_decode(bytes_of_string(room), bytes, &size) == 0);
        ENSURE(bytes_equal(bytes_of(bytes.data, size), input));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span bytes = {.data = malloc(size + 1), .size = size + 1};
    size_t room_size = 2 * size + 8;
    char *room = malloc(room_size);
    ENSURE(bytes.data != NULL && room != NULL);
    fuzz_text(bytes_of(data, size), bytes, room, room_size);
    fuzz_bytes(bytes_of(data, size), bytes, room, room_size);
    free(room);
    free(bytes.data);
    return 0;
}
