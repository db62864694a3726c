/* Any bytes as a module: the pre-scan ends, reads nothing outside, and keeps its bounds. */
#include "runner/sandbox/prescan.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct prescan found;
    char text[PRESCAN_TEXT_SIZE] = "";
    int error = prescan(bytes_of(data, size), &found, text);
    if (error != 0) {
        ENSURE(error == PLASM_MALFORMED || error == PLASM_TOO_LARGE || error == PLASM_UNSUPPORTED);
        ENSURE(text[0] != '\0' && memchr(text, '\0', sizeof(text)) != NULL);
        return 0;
    }
    ENSURE(found.locals_max <= PRESCAN_LOCALS_MAX);
    ENSURE(found.function_count <= PRESCAN_FUNCTIONS_MAX);
    ENSURE(found.code_bytes <= size && found.body_bytes_max <= size);
    return 0;
}
