/* Fuzzes protocol buffer fields: fields of varints and bytes, written again, must read the same. */
#include <stdlib.h>

#include "util/ensure.h"
#include "wire/protobuf.h"

/* A varint grows no longer than it was, its minimal form is at most that. */
static void check_again(const struct protobuf_field *field, struct span room) {
    struct writer writer = writer_of(room);
    if (field->type == PROTOBUF_VARINT) {
        protobuf_put_varint(&writer, field->number, field->value);
        ENSURE(writer.size == protobuf_varint_size(field->number, field->value));
    } else if (field->type == PROTOBUF_BYTES) {
        size_t mark = protobuf_begin(&writer, field->number);
        writer_bytes_put(&writer, field->bytes);
        protobuf_end(&writer, mark);
        ENSURE(writer.size == protobuf_bytes_size(field->number, field->bytes.size));
    } else {
        return;
    }
    ENSURE(writer.error == 0);
    struct cursor again = cursor_of(writer_bytes(&writer));
    struct protobuf_field read;
    ENSURE(protobuf_next(&again, &read) && again.left.size == 0 && again.error == 0);
    ENSURE(read.number == field->number && read.type == field->type);
    ENSURE(read.value == field->value && bytes_equal(read.bytes, field->bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span room = {.data = malloc(size + 16), .size = size + 16};
    ENSURE(room.data != NULL);
    struct cursor message = cursor_of(bytes_of(data, size));
    struct protobuf_field field;
    while (protobuf_next(&message, &field)) {
        ENSURE(field.number > 0);
        check_again(&field, room);
        if (field.type == PROTOBUF_BYTES) {
            struct cursor inner = cursor_of(protobuf_bytes(&message, &field));
            struct protobuf_field inside;
            while (protobuf_next(&inner, &inside)) {
                (void)protobuf_varint(&inner, &inside);
            }
        }
    }
    ENSURE(message.error == 0 || message.error == PLASM_TRUNCATED ||
           message.error == PLASM_MALFORMED);
    ENSURE(message.left.size == 0);
    free(room.data);
    return 0;
}
