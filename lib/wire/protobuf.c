/* Fields of protocol buffers, one after another. */
#include "wire/protobuf.h"

#include "util/ensure.h"
#include "wire/varint.h"

#define PROTOBUF_NUMBER_MAX      ((UINT32_C(1) << 29) - 1)
#define PROTOBUF_VARINT_SIZE_MAX 10

/* Other than a uvarint: 64 bits, and padding with zeros is allowed. */
static uint64_t varint_read(struct cursor *cursor) {
    uint64_t value = 0;
    for (unsigned i = 0; i < PROTOBUF_VARINT_SIZE_MAX; i++) {
        uint8_t byte = cursor_u8(cursor);
        if (cursor->error != 0) {
            return 0;
        }
        /* Of the tenth byte one bit is left to fill. */
        if (i == PROTOBUF_VARINT_SIZE_MAX - 1 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            return value;
        }
    }
    cursor_fail(cursor, PLASM_MALFORMED);
    return 0;
}

static void varint_write(struct writer *writer, uint64_t value) {
    uint8_t *room = writer_reserve(writer, uvarint_size(value));
    if (room == NULL) {
        return;
    }
    while (value >= 0x80) {
        *room++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *room = (uint8_t)value;
}

bool protobuf_next(struct cursor *message, struct protobuf_field *ret_field) {
    if (message->error != 0 || message->left.size == 0) {
        return false;
    }
    uint64_t tag = varint_read(message);
    struct protobuf_field field = {.number = (uint32_t)(tag >> 3),
                                   .type = (enum protobuf_type)(tag & 7)};
    if (message->error != 0) {
        return false;
    }
    if (tag >> 3 == 0 || tag >> 3 > PROTOBUF_NUMBER_MAX) {
        cursor_fail(message, PLASM_MALFORMED);
        return false;
    }
    switch (field.type) {
    case PROTOBUF_VARINT:
        field.value = varint_read(message);
        break;
    case PROTOBUF_FIXED64:
        field.value = cursor_u64_little(message);
        break;
    case PROTOBUF_FIXED32:
        field.value = cursor_u32_little(message);
        break;
    case PROTOBUF_BYTES: {
        uint64_t size = varint_read(message);
        if (message->error == 0 && size > message->left.size) {
            cursor_fail(message, PLASM_TRUNCATED);
        }
        field.bytes = cursor_take(message, (size_t)size);
        break;
    }
    default:
        cursor_fail(message, PLASM_MALFORMED);
    }
    if (message->error != 0) {
        return false;
    }
    *ret_field = field;
    return true;
}

uint64_t protobuf_varint(struct cursor *message, const struct protobuf_field *field) {
    if (field->type != PROTOBUF_VARINT) {
        cursor_fail(message, PLASM_MALFORMED);
        return 0;
    }
    return field->value;
}

struct bytes protobuf_bytes(struct cursor *message, const struct protobuf_field *field) {
    if (field->type != PROTOBUF_BYTES) {
        cursor_fail(message, PLASM_MALFORMED);
        return bytes_of(NULL, 0);
    }
    return field->bytes;
}

static void tag_write(struct writer *writer, uint32_t number, enum protobuf_type type) {
    ENSURE(number > 0 && number <= PROTOBUF_NUMBER_MAX);
    varint_write(writer, (uint64_t)number << 3 | (uint64_t)type);
}

void protobuf_put_varint(struct writer *writer, uint32_t number, uint64_t value) {
    tag_write(writer, number, PROTOBUF_VARINT);
    varint_write(writer, value);
}

void protobuf_put_bytes(struct writer *writer, uint32_t number, struct bytes bytes) {
    protobuf_put_head(writer, number, bytes.size);
    writer_bytes_put(writer, bytes);
}

void protobuf_put_string(struct writer *writer, uint32_t number, const char *string) {
    protobuf_put_bytes(writer, number, bytes_of_string(string));
}

void protobuf_put_head(struct writer *writer, uint32_t number, size_t size) {
    tag_write(writer, number, PROTOBUF_BYTES);
    varint_write(writer, size);
}

size_t protobuf_begin(struct writer *writer, uint32_t number) {
    protobuf_put_head(writer, number, 0);
    return writer->size;
}

void protobuf_end(struct writer *writer, size_t mark) {
    if (writer->error != 0) {
        return;
    }
    ENSURE(mark > 0 && mark <= writer->size);
    size_t size = writer->size - mark;
    /* One byte of length is there already. */
    size_t more = uvarint_size(size) - 1;
    uint8_t *content = writer->room.data + mark;
    if (writer_reserve(writer, more) == NULL) {
        return;
    }
    memmove(content + more, content, size);
    struct writer length = writer_of((struct span){.data = content - 1, .size = more + 1});
    varint_write(&length, size);
}

size_t protobuf_varint_size(uint32_t number, uint64_t value) {
    return uvarint_size((uint64_t)number << 3) + uvarint_size(value);
}

size_t protobuf_bytes_size(uint32_t number, size_t size) {
    return uvarint_size((uint64_t)number << 3) + uvarint_size(size) + size;
}
