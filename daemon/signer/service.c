/* Answers requests one after the other. */
#include "signer/service.h"

#include "util/ensure.h"

static struct bytes text_of(int error) {
    return error == PLASM_NO_MEMORY
               ? BYTES_LITERAL("out of memory")
               : BYTES_LITERAL("not what its kind says, or not this identity's");
}

static void refuse(struct sign_answer *answer, enum sign_outcome outcome, struct bytes text) {
    answer->outcome = outcome;
    answer->body =
        bytes_slice(text, 0, text.size < SIGN_TEXT_SIZE_MAX ? text.size : SIGN_TEXT_SIZE_MAX);
}

static void identify(const struct sign_service *service, struct bytes payload,
                     struct sign_answer *answer) {
    struct cursor cursor = cursor_of(payload);
    if (cursor_u16(&cursor) != SIGN_PROTOCOL_VERSION) {
        refuse(answer, SIGN_VERSION, BYTES_LITERAL("plasm-sign is of another version"));
        return;
    }
    answer->body = bytes_of(service->identity->key.data, ED25519_PUBLIC_SIZE);
}

static void put_answer(const struct sign_service *service, const struct sign_request *request,
                       struct writer *writer) {
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    struct sign_answer answer = {.outcome = SIGN_OK, .number = request->number};
    if (service->identity == NULL) {
        refuse(&answer, SIGN_FAILED, bytes_of_string(service->fault));
    } else if (request->kind == SIGN_IDENTIFY) {
        identify(service, request->payload, &answer);
    } else {
        int error = signing_sign(service->identity, (enum signing_kind)request->kind,
                                 request->payload, service->memory, signature);
        answer.body = BYTES_ARRAY(signature);
        if (error != 0) {
            refuse(&answer, error == PLASM_NO_MEMORY ? SIGN_FAILED : SIGN_REFUSED, text_of(error));
        }
    }
    sign_answer_put(writer, &answer);
}

int sign_service_answer(const struct sign_service *service, struct bytes packet, struct span room,
                        struct bytes *ret_answers) {
    struct cursor cursor = cursor_of(packet);
    struct writer writer = writer_of(room);
    ENSURE(room.size >= SIGN_ANSWERS_SIZE_MAX);
    for (size_t count = 0; cursor.left.size > 0 || count == 0; count++) {
        struct sign_request request;
        if (count == SIGN_FRAMES_MAX || sign_request_next(&cursor, &request) != 0) {
            return PLASM_MALFORMED;
        }
        put_answer(service, &request, &writer);
    }
    ENSURE(writer.error == 0);
    *ret_answers = writer_bytes(&writer);
    return 0;
}
