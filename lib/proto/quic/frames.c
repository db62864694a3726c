/* A walk over the frames of a packet. */
#include "proto/quic/frames.h"

#include "util/cursor.h"

enum frame_type {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_ACK_ECN = 0x03,
    FRAME_RESET_STREAM = 0x04,
    FRAME_STOP_SENDING = 0x05,
    FRAME_CRYPTO = 0x06,
    FRAME_NEW_TOKEN = 0x07,
    FRAME_STREAM = 0x08, /* to 0x0f */
    FRAME_STREAM_LAST = 0x0f,
    FRAME_MAX_DATA = 0x10,
    FRAME_MAX_STREAM_DATA = 0x11,
    FRAME_MAX_STREAMS_BIDI = 0x12,
    FRAME_MAX_STREAMS_UNI = 0x13,
    FRAME_DATA_BLOCKED = 0x14,
    FRAME_STREAM_DATA_BLOCKED = 0x15,
    FRAME_STREAMS_BLOCKED_BIDI = 0x16,
    FRAME_STREAMS_BLOCKED_UNI = 0x17,
    FRAME_NEW_CONNECTION_ID = 0x18,
    FRAME_RETIRE_CONNECTION_ID = 0x19,
    FRAME_PATH_CHALLENGE = 0x1a,
    FRAME_PATH_RESPONSE = 0x1b,
    FRAME_HANDSHAKE_DONE = 0x1e,
};

enum { STREAM_BIT_LENGTH = 0x02, STREAM_BIT_OFFSET = 0x04 };

/* RFC 9000, section 16: the two upper bits tell the size. */
static uint64_t take_varint(struct cursor *in) {
    uint8_t first = cursor_u8(in);
    uint64_t value = first & 0x3f;
    size_t more = ((size_t)1 << (first >> 6)) - 1;
    struct bytes rest = cursor_take(in, more);
    for (size_t i = 0; i < rest.size; i++) {
        value = value << 8 | rest.data[i];
    }
    return value;
}

static void skip_varints(struct cursor *in, size_t count) {
    for (size_t i = 0; i < count && in->error == 0; i++) {
        (void)take_varint(in);
    }
}

static void skip_sized(struct cursor *in) {
    uint64_t size = take_varint(in);
    if (size > in->left.size) {
        cursor_fail(in, PLASM_TRUNCATED);
        return;
    }
    (void)cursor_take(in, (size_t)size);
}

/* Largest acknowledged, delay, number of ranges, first range; gap and length of each. */
static void skip_ack(struct cursor *in, bool has_ecn) {
    skip_varints(in, 2);
    uint64_t ranges = take_varint(in);
    skip_varints(in, 1);
    if (ranges > in->left.size / 2) {
        cursor_fail(in, PLASM_TRUNCATED);
        return;
    }
    skip_varints(in, 2 * (size_t)ranges + (has_ecn ? 3 : 0));
}

static void skip_stream(struct cursor *in, uint64_t type) {
    skip_varints(in, (type & STREAM_BIT_OFFSET) != 0 ? 2 : 1);
    if ((type & STREAM_BIT_LENGTH) != 0) {
        skip_sized(in);
    } else {
        in->left = bytes_of(NULL, 0);
    }
}

static void skip_frame(struct cursor *in, uint64_t type) {
    switch (type) {
    case FRAME_PADDING:
    case FRAME_PING:
    case FRAME_HANDSHAKE_DONE:
        break;
    case FRAME_ACK:
    case FRAME_ACK_ECN:
        skip_ack(in, type == FRAME_ACK_ECN);
        break;
    case FRAME_CRYPTO:
        skip_varints(in, 1);
        skip_sized(in);
        break;
    case FRAME_NEW_TOKEN:
        skip_sized(in);
        break;
    case FRAME_RESET_STREAM:
        skip_varints(in, 3);
        break;
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED:
        skip_varints(in, 2);
        break;
    case FRAME_MAX_DATA:
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
    case FRAME_DATA_BLOCKED:
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
    case FRAME_RETIRE_CONNECTION_ID:
        skip_varints(in, 1);
        break;
    case FRAME_NEW_CONNECTION_ID:
        skip_varints(in, 2);
        (void)cursor_take(in, cursor_u8(in));
        (void)cursor_take(in, 16);
        break;
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
        (void)cursor_take(in, 8);
        break;
    default:
        cursor_fail(in, PLASM_UNSUPPORTED);
        break;
    }
}

size_t frames_find_stops(struct bytes payload, struct stop_sending *ret_stops, size_t stops_max) {
    struct cursor in = cursor_of(payload);
    size_t count = 0;
    while (in.error == 0 && in.left.size > 0 && count < stops_max) {
        uint64_t type = take_varint(&in);
        if (type >= FRAME_STREAM && type <= FRAME_STREAM_LAST) {
            skip_stream(&in, type);
        } else if (type == FRAME_STOP_SENDING) {
            struct stop_sending stop = {.stream_id = take_varint(&in)};
            stop.code = take_varint(&in);
            if (in.error == 0) {
                ret_stops[count++] = stop;
            }
        } else {
            skip_frame(&in, type);
        }
    }
    return count;
}
