/* Fuzzes JSON: what is read has one canonical form, which reads as the same value and is its own
 * canonical form. */
#include "util/ensure.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *value;
    int error = json_read(bytes_of(data, size), &value);
    if (error != 0) {
        ENSURE(error == PLASM_MALFORMED);
        return 0;
    }
    struct memory memory;
    struct buffer out;
    struct buffer out_again;
    json_t *again;
    memory_init(&memory, SIZE_MAX);
    /* An escape of six bytes is the longest that one byte of input can become. */
    buffer_init(&out, &memory, 6 * size);
    buffer_init(&out_again, &memory, 6 * size);
    ENSURE(json_write_canonical(value, &out) == 0);
    ENSURE(json_read(buffer_bytes(&out), &again) == 0);
    ENSURE(json_equal(value, again));
    ENSURE(json_write_canonical(again, &out_again) == 0);
    ENSURE(bytes_equal(buffer_bytes(&out), buffer_bytes(&out_again)));
    json_decref(again);
    json_decref(value);
    buffer_done(&out);
    buffer_done(&out_again);
    ENSURE(memory.used == 0);
    return 0;
}
