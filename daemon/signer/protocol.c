/* Reading and writing frames. */
#include "signer/protocol.h"

#include "util/ensure.h"

struct frame {
    uint8_t type;
    uint32_t number;
    struct bytes body;
};

static int take_frame(struct cursor *packet, struct frame *ret_frame) {
    struct frame frame;
    frame.type = cursor_u8(packet);
    frame.number = cursor_u32(packet);
    frame.body = cursor_take(packet, cursor_u16(packet));
    if (packet->error != 0) {
        return PLASM_MALFORMED;
    }
    *ret_frame = frame;
    return 0;
}

static void put_frame(struct writer *packet, uint8_t type, uint32_t number, struct bytes body) {
    ENSURE(body.size <= UINT16_MAX);
    writer_u8(packet, type);
    writer_u32(packet, number);
    writer_u16(packet, (uint16_t)body.size);
    writer_bytes_put(packet, body);
}

int sign_request_next(struct cursor *packet, struct sign_request *ret_request) {
    struct frame frame;
    int error = take_frame(packet, &frame);
    if (error != 0) {
        return error;
    }
    bool fits = frame.type == SIGN_IDENTIFY
                    ? frame.body.size == SIGN_VERSION_SIZE
                    : frame.type <= SIGNING_SUMMARY && frame.body.size > 0 &&
                          frame.body.size <= SIGNING_PAYLOAD_SIZE_MAX;
    if (!fits) {
        return PLASM_MALFORMED;
    }
    *ret_request = (struct sign_request){frame.type, frame.number, frame.body};
    return 0;
}

int sign_answer_next(struct cursor *packet, struct sign_answer *ret_answer) {
    struct frame frame;
    int error = take_frame(packet, &frame);
    if (error != 0) {
        return error;
    }
    bool fits =
        frame.type == SIGN_OK
            ? frame.body.size == ED25519_SIGNATURE_SIZE || frame.body.size == ED25519_PUBLIC_SIZE
            : frame.type <= SIGN_VERSION && frame.body.size <= SIGN_TEXT_SIZE_MAX;
    if (!fits) {
        return PLASM_MALFORMED;
    }
    *ret_answer = (struct sign_answer){(enum sign_outcome)frame.type, frame.number, frame.body};
    return 0;
}

void sign_request_put(struct writer *packet, const struct sign_request *request) {
    put_frame(packet, request->kind, request->number, request->payload);
}

void sign_answer_put(struct writer *packet, const struct sign_answer *answer) {
    put_frame(packet, (uint8_t)answer->outcome, answer->number, answer->body);
}
