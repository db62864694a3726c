/* Records of output: stream, size in four bytes, data. */
#include "plasmd/kept_output.h"

#include "util/cursor.h"

#define HEAD_SIZE 5
/* Room for heads besides the bytes kept. */
#define HEADS_SIZE_MAX (64 * 1024)

void kept_output_init(struct kept_output *output, struct memory *memory, size_t size_max) {
    *output = (struct kept_output){.is_cut = size_max == 0};
    output->bytes_max = size_max;
    buffer_init(&output->records, memory, size_max + HEADS_SIZE_MAX);
}

void kept_output_done(struct kept_output *output) {
    buffer_done(&output->records);
}

static void write_head(uint8_t *head, uint8_t stream, size_t size) {
    struct writer writer = writer_of((struct span){head, HEAD_SIZE});
    writer_u8(&writer, stream);
    writer_u32(&writer, (uint32_t)size);
}

void kept_output_add(struct kept_output *output, uint8_t stream, struct bytes data) {
    output->bytes += data.size;
    if (output->is_cut || data.size == 0) {
        return;
    }
    struct buffer *records = &output->records;
    uint8_t head[HEAD_SIZE];
    write_head(head, stream, data.size);
    bool joined = stream == output->stream;
    size_t last = joined ? output->last : records->size;
    if (output->bytes > output->bytes_max ||
        (!joined && buffer_append(records, BYTES_ARRAY(head)) != 0) ||
        buffer_append(records, data) != 0) {
        buffer_done(records);
        output->is_cut = true;
        return;
    }
    write_head(records->data + records->start + last, stream, records->size - last - HEAD_SIZE);
    output->last = last;
    output->stream = stream;
}

bool kept_output_next(struct bytes *records, uint8_t *ret_stream, struct bytes *ret_data) {
    struct cursor cursor = cursor_of(*records);
    uint8_t stream = cursor_u8(&cursor);
    uint32_t size = cursor_u32(&cursor);
    struct bytes data = cursor_take(&cursor, size);
    if (cursor.error != 0 || data.size == 0 || (stream != 1 && stream != 2)) {
        return false;
    }
    *ret_stream = stream;
    *ret_data = data;
    *records = cursor.left;
    return true;
}
