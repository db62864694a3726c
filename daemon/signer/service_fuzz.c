/* Any packet at plasm-sign: it is answered or hung up on, and whatever is signed is a message of
 * its kind under our own name. */
#include <stdlib.h>

#include "receipt/receipt.h"
#include "signer/service.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct signing_identity identity;

static void check(const struct sign_request *request, const struct sign_answer *answer) {
    struct receipt receipt;
    struct fault fault;
    ENSURE(answer->number == request->number);
    if (request->kind != SIGNING_RECEIPT || answer->outcome != SIGN_OK) {
        return;
    }
    ENSURE(receipt_decode(request->payload, &receipt, &fault) == 0);
    ENSURE(strcmp(receipt.worker, identity.id_text) == 0);
    ENSURE(ed25519_verify(identity.secret.public_key, request->payload, answer->body) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t room[SIGN_ANSWERS_SIZE_MAX];
    static const uint8_t seed[ED25519_SEED_SIZE] = {1};
    struct memory memory;
    if (identity.id.size == 0) {
        struct ed25519_secret secret;
        ENSURE(crypto_init() == 0);
        ed25519_from_seed(&secret, seed);
        signing_identity_init(&identity, &secret);
    }
    memory_init(&memory, (size_t)1 << 20);
    const struct sign_service service = {.identity = &identity, .memory = &memory};
    struct bytes answers;
    struct span span = {room, sizeof(room)};
    if (sign_service_answer(&service, bytes_of(data, size), span, &answers) != 0) {
        return 0;
    }
    struct cursor asked = cursor_of(bytes_of(data, size));
    struct cursor given = cursor_of(answers);
    while (asked.left.size > 0) {
        struct sign_request request;
        struct sign_answer answer;
        ENSURE(sign_request_next(&asked, &request) == 0);
        ENSURE(sign_answer_next(&given, &answer) == 0);
        check(&request, &answer);
    }
    ENSURE(given.left.size == 0 && memory.used == 0);
    return 0;
}
