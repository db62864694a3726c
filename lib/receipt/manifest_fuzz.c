/* Any bytes as a manifest: refused, or what was read says exactly these bytes again; and the strict
 * reader agrees with the general one on what is canonical. */
#include "receipt/manifest.h"
#include "util/ensure.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct manifest manifest;
    struct manifest other;
    memory_init(&memory, SIZE_MAX);
    struct bytes text = bytes_of(data, size);
    bool taken = manifest_decode(text, &memory, &manifest, NULL) == 0;
    struct buffer out;
    buffer_init(&out, &memory, SIZE_MAX);
    json_t *object;
    if (json_read(text, &object) == 0) {
        bool canonical =
            json_write_canonical(object, &out) == 0 && bytes_equal(buffer_bytes(&out), text);
        buffer_clear(&out);
        bool general = manifest_from_json(object, &memory, &other, NULL) == 0;
        ENSURE(taken == (general && canonical));
        if (general) {
            ENSURE(manifest_encode(&other, &out, NULL) == 0);
            buffer_clear(&out);
            manifest_done(&other);
        }
        json_decref(object);
    } else {
        ENSURE(!taken);
    }
    if (taken) {
        ENSURE(manifest_encode(&manifest, &out, NULL) == 0);
        ENSURE(bytes_equal(buffer_bytes(&out), text));
        manifest_done(&manifest);
    }
    buffer_done(&out);
    ENSURE(memory.used == 0);
    return 0;
}
