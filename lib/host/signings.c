/* Keeps each payload until its signature comes, and puts the two into an envelope. */
#include "host/signings.h"

#include "identity/envelope.h"
#include "util/log.h"

struct signing {
    struct list_node node;
    struct signings *signings;
    struct signer_request request;
    uint64_t number; /* the peer's */
    size_t size;
    uint8_t payload[];
};

static const enum signing_kind kinds[] = {[PEER_SIGN_RECORD] = SIGNING_PEER_RECORD,
                                          [PEER_SIGN_CAPABILITY] = SIGNING_CAPABILITY,
                                          [PEER_SIGN_RELAY_VOUCHER] = SIGNING_RELAY_VOUCHER};

void signings_init(struct signings *signings, struct signer *signer, struct peer *peer,
                   nanos (*now)(void), struct memory *memory, const struct log_sink *log) {
    *signings =
        (struct signings){.signer = signer, .memory = memory, .log = log, .peer = peer, .now = now};
    list_init(&signings->under_way);
    buffer_init(&signings->envelope, memory, ENVELOPE_SIZE_MAX);
}

static void answer(struct signings *signings, uint64_t number, int error) {
    if (error != 0) {
        buffer_clear(&signings->envelope);
        log_event(signings->log, LOG_LEVEL_ERROR, "host", "cannot sign: %s",
                  plasm_error_message(error));
    }
    peer_signed(signings->peer, number, buffer_bytes(&signings->envelope), signings->now());
}

static void forget(struct signing *signing) {
    struct signings *signings = signing->signings;
    list_remove(&signings->under_way, &signing->node);
    memory_put(signings->memory, signing, sizeof(*signing) + signing->size);
}

static void on_signed(struct signer_request *request, int error,
                      const uint8_t signature[ED25519_SIGNATURE_SIZE]) {
    struct signing *signing = CONTAINER_OF(request, struct signing, request);
    struct signings *signings = signing->signings;
    uint64_t number = signing->number;
    buffer_clear(&signings->envelope);
    if (error == 0) {
        error = signer_seal(signings->signer, request->kind, request->payload, signature,
                            &signings->envelope);
    }
    forget(signing);
    answer(signings, number, error);
}

void signings_ask(struct signings *signings, const struct peer_event *event) {
    struct signing *signing =
        signings->under_way.size < SIGNINGS_MAX
            ? memory_zero(signings->memory, sizeof(*signing) + event->data.size)
            : NULL;
    if (signing == NULL) {
        buffer_clear(&signings->envelope);
        answer(signings, event->request,
               signings->under_way.size < SIGNINGS_MAX ? PLASM_NO_MEMORY : PLASM_LIMIT);
        return;
    }
    signing->signings = signings;
    signing->number = event->request;
    signing->size = event->data.size;
    if (event->data.size > 0) {
        memcpy(signing->payload, event->data.data, event->data.size);
    }
    signing->request = (struct signer_request){
        .kind = kinds[event->sign],
        .payload = bytes_of(signing->payload, signing->size),
        .done = on_signed,
    };
    list_append(&signings->under_way, &signing->node);
    signer_submit(signings->signer, &signing->request);
}

void signings_done(struct signings *signings) {
    struct list_node *node;
    while ((node = list_first(&signings->under_way)) != NULL) {
        struct signing *signing = CONTAINER_OF(node, struct signing, node);
        signer_withdraw(signings->signer, &signing->request);
        forget(signing);
    }
    buffer_done(&signings->envelope);
}
