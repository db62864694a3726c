/* A bounded byte queue in one allocation. */
#include "util/buffer.h"

#include "util/ensure.h"

#define BUFFER_CAPACITY_MIN 64

void buffer_init(struct buffer *buffer, struct memory *memory, size_t size_max) {
    *buffer = (struct buffer){.memory = memory, .size_max = size_max};
}

void buffer_done(struct buffer *buffer) {
    memory_put(buffer->memory, buffer->data, buffer->capacity);
    buffer_init(buffer, buffer->memory, buffer->size_max);
}

int buffer_reserve(struct buffer *buffer, size_t size, struct span *ret_room) {
    if (buffer->size > buffer->size_max || size > buffer->size_max - buffer->size) {
        return PLASM_TOO_LARGE;
    }
    if (size == 0) {
        *ret_room = (struct span){.data = NULL, .size = 0};
        return 0;
    }
    size_t needed = buffer->size + size;
    if (buffer->start > 0 && buffer->start + needed > buffer->capacity) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->size);
        buffer->start = 0;
    }
    if (needed > buffer->capacity) {
        size_t capacity =
            buffer->capacity > BUFFER_CAPACITY_MIN / 2 ? buffer->capacity * 2 : BUFFER_CAPACITY_MIN;
        if (capacity < needed) {
            capacity = needed;
        }
        if (capacity > buffer->size_max) {
            capacity = buffer->size_max;
        }
        uint8_t *data = memory_resize(buffer->memory, buffer->data, buffer->capacity, capacity);
        if (data == NULL) {
            return PLASM_NO_MEMORY;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    *ret_room = (struct span){.data = buffer->data + buffer->start + buffer->size, .size = size};
    return 0;
}

void buffer_commit(struct buffer *buffer, size_t size) {
    ENSURE(size <= buffer->capacity - buffer->start - buffer->size);
    buffer->size += size;
}

int buffer_append(struct buffer *buffer, struct bytes bytes) {
    if (bytes.size == 0) {
        return 0;
    }
    struct span room;
    int error = buffer_reserve(buffer, bytes.size, &room);
    if (error != 0) {
        return error;
    }
    memcpy(room.data, bytes.data, bytes.size);
    buffer_commit(buffer, bytes.size);
    return 0;
}

void buffer_consume(struct buffer *buffer, size_t size) {
    ENSURE(size <= buffer->size);
    buffer->size -= size;
    buffer->start = buffer->size == 0 ? 0 : buffer->start + size;
}

void buffer_clear(struct buffer *buffer) {
    buffer->start = 0;
    buffer->size = 0;
}
