/* Values as JSON, and whole lines on standard output. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/multiaddr.h"

void line_write(json_t *object) {
    if (json_dumpf(object, stdout, JSON_COMPACT) != 0 || fputc('\n', stdout) == EOF ||
        fflush(stdout) != 0) {
        perror("plasm-peer: cannot write an answer");
        exit(EXIT_FAILURE);
    }
}

json_t *json_of_address(struct bytes binary) {
    struct multiaddr address;
    char text[MULTIADDR_TEXT_MAX];
    if (multiaddr_decode(binary, &address) != 0 ||
        multiaddr_format(&address, text, sizeof(text)) != 0) {
        return json_string("(malformed)");
    }
    return json_string(text);
}

json_t *json_of_peer_id(const struct peer_id *id) {
    char text[PEER_ID_TEXT_MAX];
    peer_id_format(id, text);
    return json_string(text);
}

json_t *json_of_bytes(struct bytes bytes) {
    json_t *text = json_stringn(bytes.size > 0 ? (const char *)bytes.data : "", bytes.size);
    if (text != NULL) {
        return text;
    }
    char *shown = malloc(bytes.size);
    for (size_t i = 0; shown != NULL && i < bytes.size; i++) {
        shown[i] = bytes.data[i] < 0x80 ? (char)bytes.data[i] : '?';
    }
    text = shown != NULL ? json_stringn(shown, bytes.size) : NULL;
    free(shown);
    return text;
}

json_t *json_of_hex(struct bytes bytes) {
    size_t size = 2 * bytes.size + 1;
    char *hex = malloc(size);
    if (hex == NULL) {
        return NULL;
    }
    bytes_to_hex(bytes, hex, size);
    json_t *text = json_string(hex);
    free(hex);
    return text;
}
