/* The capability stream: a record each way, or none. */
#include "proto/capability/exchange.h"

#include "util/ensure.h"
#include "wire/varint.h"

#define EXCHANGE_INPUT_MAX (UVARINT_SIZE_MAX + CAPABILITY_ENVELOPE_SIZE_MAX)

void capability_exchange_init(struct capability_exchange *exchange, struct bytes own,
                              struct memory *memory, nanos now) {
    ENSURE(own.size <= CAPABILITY_ENVELOPE_SIZE_MAX);
    *exchange = (struct capability_exchange){
        .own = own, .deadline = nanos_add(now, CAPABILITY_EXCHANGE_TIMEOUT)};
    buffer_init(&exchange->input, memory, EXCHANGE_INPUT_MAX);
    if (own.size > 0) {
        struct writer writer =
            writer_of((struct span){.data = exchange->head, .size = sizeof(exchange->head)});
        uvarint_write(&writer, own.size);
        ENSURE(writer.error == 0);
        exchange->head_size = writer.size;
    }
}

void capability_exchange_receive(struct capability_exchange *exchange, struct bytes input) {
    if (exchange->error != 0 || exchange->ended || exchange->given) {
        return;
    }
    exchange->error = buffer_append(&exchange->input, input);
}

void capability_exchange_receive_fin(struct capability_exchange *exchange) {
    exchange->ended = true;
}

void capability_exchange_expire(struct capability_exchange *exchange, nanos now) {
    if (now >= exchange->deadline && exchange->error == 0 && !exchange->given) {
        exchange->error = PLASM_TIMEOUT;
    }
}

nanos capability_exchange_deadline(const struct capability_exchange *exchange) {
    return exchange->given ? NANOS_NEVER : exchange->deadline;
}

/* What came so far: an event, or false while more must come. */
static bool exchange_read(struct capability_exchange *exchange,
                          struct capability_exchange_event *event) {
    struct bytes input = buffer_bytes(&exchange->input);
    if (exchange->error != 0) {
        event->error = exchange->error;
    } else if (input.size == 0) {
        event->type = CAPABILITY_EXCHANGE_NONE;
        return exchange->ended;
    } else {
        size_t frame_size = 0;
        event->error =
            frame_read(input, CAPABILITY_ENVELOPE_SIZE_MAX, &event->envelope, &frame_size);
        if (event->error == PLASM_TRUNCATED && !exchange->ended) {
            return false;
        }
        if (event->error == PLASM_TRUNCATED || frame_size < input.size) {
            event->error = event->error == PLASM_TOO_LARGE ? PLASM_TOO_LARGE : PLASM_MALFORMED;
        }
    }
    event->type = event->error == 0 ? CAPABILITY_EXCHANGE_RECORD : CAPABILITY_EXCHANGE_FAILED;
    return true;
}

bool capability_exchange_next_event(struct capability_exchange *exchange,
                                    struct capability_exchange_event *ret_event) {
    struct capability_exchange_event event = {0};
    if (exchange->given || !exchange_read(exchange, &event)) {
        return false;
    }
    exchange->given = true;
    *ret_event = event;
    return true;
}

size_t capability_exchange_transmit(struct capability_exchange *exchange, struct span room) {
    size_t written = 0;
    while (written < room.size && exchange->sent < exchange->head_size + exchange->own.size) {
        struct bytes rest = exchange->sent < exchange->head_size
                                ? bytes_slice(bytes_of(exchange->head, exchange->head_size),
                                              exchange->sent, exchange->head_size)
                                : bytes_slice(exchange->own, exchange->sent - exchange->head_size,
                                              exchange->own.size);
        struct bytes piece = bytes_slice(rest, 0, room.size - written);
        memcpy(room.data + written, piece.data, piece.size);
        written += piece.size;
        exchange->sent += piece.size;
    }
    return written;
}

void capability_exchange_done(struct capability_exchange *exchange) {
    buffer_done(&exchange->input);
}
