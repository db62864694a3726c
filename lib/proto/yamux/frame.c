/* Frame headers: version, type, flags, stream id, length, all big endian. */
#include "proto/yamux/frame.h"

#include "util/cursor.h"

#define YAMUX_VERSION 0

void yamux_frame_encode(const struct yamux_frame *frame, uint8_t room[YAMUX_HEADER_SIZE]) {
    struct writer writer = writer_of((struct span){.data = room, .size = YAMUX_HEADER_SIZE});
    writer_u8(&writer, YAMUX_VERSION);
    writer_u8(&writer, (uint8_t)frame->type);
    writer_u16(&writer, frame->flags);
    writer_u32(&writer, frame->stream_id);
    writer_u32(&writer, frame->length);
}

int yamux_frame_decode(const uint8_t header[YAMUX_HEADER_SIZE], struct yamux_frame *ret_frame) {
    struct cursor cursor = cursor_of(bytes_of(header, YAMUX_HEADER_SIZE));
    uint8_t version = cursor_u8(&cursor);
    uint8_t type = cursor_u8(&cursor);
    uint16_t flags = cursor_u16(&cursor);
    uint32_t stream_id = cursor_u32(&cursor);
    uint32_t length = cursor_u32(&cursor);
    if (version != YAMUX_VERSION) {
        return PLASM_UNSUPPORTED;
    }
    if (type >= YAMUX_TYPE_END || (type <= YAMUX_WINDOW && stream_id == 0)) {
        return PLASM_MALFORMED;
    }
    *ret_frame = (struct yamux_frame){
        .type = (enum yamux_type)type, .flags = flags, .stream_id = stream_id, .length = length};
    return 0;
}
