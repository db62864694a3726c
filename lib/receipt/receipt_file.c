/* Receipt files, written in canonical JSON and read in any. */
#include "receipt/receipt_file.h"

#include "receipt/canonical.h"
#include "wire/multibase.h"

static void receipt_file_append(struct buffer *out, struct bytes bytes, int *error) {
    if (*error == 0) {
        *error = buffer_append(out, bytes);
    }
}

int receipt_file_encode(struct bytes manifest_json, struct bytes receipt_json,
                        const uint8_t signature[ED25519_SIGNATURE_SIZE],
                        const uint8_t public_key[ED25519_PUBLIC_SIZE], struct buffer *out) {
    char signature_text[96];
    char key_text[48];
    int error = base64_encode(bytes_of(signature, ED25519_SIGNATURE_SIZE), signature_text,
                              sizeof(signature_text));
    if (error == 0) {
        error =
            base64_encode(bytes_of(public_key, ED25519_PUBLIC_SIZE), key_text, sizeof(key_text));
    }
    size_t mark = out->size;
    receipt_file_append(out, BYTES_LITERAL("{\"manifest\":"), &error);
    receipt_file_append(out, manifest_json, &error);
    receipt_file_append(out, BYTES_LITERAL(",\"public_key\":\""), &error);
    receipt_file_append(out, bytes_of_string(key_text), &error);
    receipt_file_append(out, BYTES_LITERAL("\",\"receipt\":"), &error);
    receipt_file_append(out, receipt_json, &error);
    receipt_file_append(out, BYTES_LITERAL(",\"signature\":\""), &error);
    receipt_file_append(out, bytes_of_string(signature_text), &error);
    receipt_file_append(out, BYTES_LITERAL("\"}"), &error);
    if (error != 0) {
        out->size = mark;
    }
    return error;
}

/* No other members than these: a member that was not checked must not look as if it were. */
static int receipt_file_check_members(const json_t *object, struct fault *fault) {
    static const char *const members[] = {"manifest", "receipt", "signature", "public_key"};
    if (!json_is_object(object)) {
        return fault_set(fault, PLASM_MALFORMED, "file", "is not a JSON object");
    }
    if (json_object_get(object, "inclusion") != NULL) {
        return fault_set(fault, PLASM_UNSUPPORTED, "inclusion", "is not supported yet");
    }
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (json_object_get(object, members[i]) == NULL) {
            return fault_set(fault, PLASM_MALFORMED, members[i], "is missing");
        }
    }
    if (json_object_size(object) != ARRAY_SIZE(members)) {
        return fault_set(fault, PLASM_MALFORMED, "file", "has an unknown member");
    }
    return 0;
}

static int receipt_file_base64(const json_t *object, const char *key, struct span room,
                               struct fault *fault) {
    struct bytes text;
    size_t size;
    if (json_get_string(object, key, &text) != 0 || base64_decode(text, room, &size) != 0 ||
        size != room.size) {
        return fault_set(fault, PLASM_MALFORMED, key, "is not base64 of the right length");
    }
    return 0;
}

static int receipt_file_hash_manifest(struct receipt_file *file, struct memory *memory) {
    struct buffer json;
    buffer_init(&json, memory, MANIFEST_SIZE_MAX);
    int error = manifest_encode(&file->manifest, &json, NULL);
    if (error == 0) {
        file->manifest_hash = sha256(buffer_bytes(&json));
    }
    buffer_done(&json);
    return error;
}

static int receipt_file_read(const json_t *object, struct memory *memory, struct receipt_file *file,
                             struct fault *fault) {
    int error = receipt_file_check_members(object, fault);
    if (error == 0) {
        error = receipt_file_base64(
            object, "signature",
            (struct span){.data = file->signature, .size = sizeof(file->signature)}, fault);
    }
    if (error == 0) {
        error = receipt_file_base64(
            object, "public_key",
            (struct span){.data = file->public_key, .size = sizeof(file->public_key)}, fault);
    }
    if (error == 0) {
        error = receipt_from_json(json_object_get(object, "receipt"), memory, &file->receipt,
                                  &file->receipt_json, fault);
    }
    if (error == 0) {
        error =
            manifest_from_json(json_object_get(object, "manifest"), memory, &file->manifest, fault);
    }
    if (error == 0) {
        error = receipt_file_hash_manifest(file, memory);
    }
    return error;
}

int receipt_file_decode(struct bytes text, struct memory *memory, struct receipt_file *ret_file,
                        struct fault *fault) {
    if (text.size > RECEIPT_FILE_SIZE_MAX) {
        return fault_set(fault, PLASM_TOO_LARGE, "file", "is too large");
    }
    json_t *object;
    int error = json_read(text, &object);
    if (error != 0) {
        return fault_set(fault, error, "file", "is not JSON of integers and UTF-8 strings");
    }
    struct receipt_file file = {0};
    buffer_init(&file.receipt_json, memory, RECEIPT_SIZE_MAX);
    error = receipt_file_read(object, memory, &file, fault);
    json_decref(object);
    if (error != 0) {
        if (error == PLASM_NO_MEMORY) {
            (void)fault_set(fault, error, "memory", "is out");
        }
        receipt_file_done(&file);
        return error;
    }
    *ret_file = file;
    return 0;
}

void receipt_file_done(struct receipt_file *file) {
    manifest_done(&file->manifest);
    if (file->receipt_json.memory != NULL) {
        buffer_done(&file->receipt_json);
    }
}
