/* Job frames by table: one row a field, read and written by the same rules. */
#include "proto/job/frames.h"

#include "util/ensure.h"
#include "wire/protobuf.h"
#include "wire/varint.h"

enum rule_kind {
    RULE_BOOL,    /* bool */
    RULE_COUNT,   /* uint64_t */
    RULE_ENUM,    /* an enum of ours */
    RULE_BYTES,   /* struct bytes */
    RULE_TEXT,    /* struct bytes, UTF-8 */
    RULE_MESSAGE, /* a message by its own table, and a bool that says it is there */
    RULE_RESERVED,
};

#define RULES_MAX 8

/* One field of a message. Zero, empty and absent are the same, as in proto3; `value_min` says where
 * that is not allowed. */
struct rule {
    uint32_t number;
    enum rule_kind kind;
    size_t offset;
    uint64_t value_min; /* numbers: least value; bytes: least size */
    uint64_t value_max;
    bool may_be_empty; /* bytes: empty is allowed though value_min is not 0 */
    const struct message *message;
    size_t present_offset;
};

struct message {
    size_t count;
    struct rule rules[RULES_MAX];
};

_Static_assert(sizeof(enum job_rejection) == sizeof(unsigned) &&
                   sizeof(enum job_state) == sizeof(unsigned) &&
                   sizeof(enum job_stream) == sizeof(unsigned),
               "RULE_ENUM copies an unsigned");

#define BOOL(number_, type, member)                                                                \
    { .number = (number_), .kind = RULE_BOOL, .offset = offsetof(type, member), .value_max = 1 }
#define COUNT(number_, type, member)                                                               \
    {                                                                                              \
        .number = (number_), .kind = RULE_COUNT, .offset = offsetof(type, member),                 \
        .value_max = JSON_INTEGER_MAX                                                              \
    }
#define ENUM(number_, type, member, min, max)                                                      \
    {                                                                                              \
        .number = (number_), .kind = RULE_ENUM, .offset = offsetof(type, member),                  \
        .value_min = (min), .value_max = (max)                                                     \
    }
#define BYTES(number_, type, member, min, max)                                                     \
    {                                                                                              \
        .number = (number_), .kind = RULE_BYTES, .offset = offsetof(type, member),                 \
        .value_min = (min), .value_max = (max)                                                     \
    }
#define OPTIONAL_BYTES(number_, type, member, size)                                                \
    {                                                                                              \
        .number = (number_), .kind = RULE_BYTES, .offset = offsetof(type, member),                 \
        .value_min = (size), .value_max = (size), .may_be_empty = true                             \
    }
#define TEXT(number_, type, member, max)                                                           \
    { .number = (number_), .kind = RULE_TEXT, .offset = offsetof(type, member), .value_max = (max) }
#define MESSAGE(number_, type, member, present, message_)                                          \
    {                                                                                              \
        .number = (number_), .kind = RULE_MESSAGE, .offset = offsetof(type, member),               \
        .present_offset = offsetof(type, present), .message = (message_)                           \
    }

static const struct message limits_message = {
    .count = 6,
    .rules = {
        COUNT(1, struct worker_limits, job.fuel), COUNT(2, struct worker_limits, job.memory_bytes),
        COUNT(3, struct worker_limits, job.wall_ms),
        COUNT(4, struct worker_limits, job.output_bytes),
        COUNT(5, struct worker_limits, module_bytes), COUNT(6, struct worker_limits, stdin_bytes)}};

/* What an accepted job runs under: the first four of the above. */
static const struct message job_limits_message = {
    .count = 4,
    .rules = {COUNT(1, struct job_limits, fuel), COUNT(2, struct job_limits, memory_bytes),
              COUNT(3, struct job_limits, wall_ms), COUNT(4, struct job_limits, output_bytes)}};

static const struct message offer_message = {
    .count = 7,
    .rules = {BYTES(1, struct job_offer, manifest, 1, MANIFEST_SIZE_MAX),
              BOOL(2, struct job_offer, want_summary), BOOL(3, struct job_offer, only_fetch),
              COUNT(4, struct job_offer, stdin_size),
              BYTES(5, struct job_offer, module, 0, JOB_MODULE_INLINE_MAX),
              OPTIONAL_BYTES(6, struct job_offer, fetch_secret, FETCH_SECRET_SIZE),
              BOOL(7, struct job_offer, dry_run)}};

/* The body is the `chunk` of struct job_frame itself. */
static const struct message chunk_message = {.count = 1,
                                             .rules = {{.number = 1,
                                                        .kind = RULE_BYTES,
                                                        .offset = 0,
                                                        .value_min = 1,
                                                        .value_max = JOB_FRAME_SIZE_MAX}}};

static const struct message empty_message = {.count = 0};

static const struct message accepted_message = {
    .count = 4,
    .rules = {COUNT(1, struct job_accepted, queue_position),
              MESSAGE(2, struct job_accepted, limits, clamped, &job_limits_message),
              BOOL(3, struct job_accepted, resumed), BOOL(4, struct job_accepted, without_output)}};

static const struct message rejected_message = {
    .count = 5,
    .rules = {ENUM(1, struct job_rejected, code, 1, 255),
              TEXT(2, struct job_rejected, text, JOB_TEXT_SIZE_MAX),
              TEXT(3, struct job_rejected, limit, JOB_LIMIT_NAME_MAX),
              MESSAGE(4, struct job_rejected, limits, has_limits, &limits_message),
              COUNT(5, struct job_rejected, retry_after_ms)}};

static const struct message output_message = {
    .count = 3,
    .rules = {COUNT(1, struct job_output, seq),
              ENUM(2, struct job_output, stream, JOB_STDOUT, JOB_STDERR),
              BYTES(3, struct job_output, data, 1, JOB_FRAME_SIZE_MAX)}};

static const struct message progress_message = {
    .count = 3,
    .rules = {ENUM(1, struct job_progress, state, JOB_STATE_QUEUED, JOB_STATE_RUNNING),
              COUNT(2, struct job_progress, queue_position),
              COUNT(3, struct job_progress, elapsed_ms)}};

static const struct message finished_message = {
    .count = 6,
    .rules = {
        BYTES(1, struct job_finished, receipt, 1, RECEIPT_SIZE_MAX),
        BYTES(2, struct job_finished, signature, ED25519_SIGNATURE_SIZE, ED25519_SIGNATURE_SIZE),
        BYTES(3, struct job_finished, public_key, ED25519_PUBLIC_SIZE, ED25519_PUBLIC_SIZE),
        OPTIONAL_BYTES(4, struct job_finished, summary_signature, ED25519_SIGNATURE_SIZE),
        TEXT(5, struct job_finished, message, JOB_TEXT_SIZE_MAX),
        /* The inclusion proof: nobody may skip what it would have to check. */
        {.number = 6, .kind = RULE_RESERVED}}};

static const struct message estimate_message = {
    .count = 4,
    .rules = {COUNT(1, struct job_estimate, queue_position),
              MESSAGE(2, struct job_estimate, limits, clamped, &job_limits_message),
              BOOL(3, struct job_estimate, module_held), COUNT(4, struct job_estimate, price)}};

static const struct message *job_frame_message(uint32_t type) {
    switch (type) {
    case JOB_FRAME_OFFER:
        return &offer_message;
    case JOB_FRAME_MODULE:
    case JOB_FRAME_STDIN:
        return &chunk_message;
    case JOB_FRAME_CANCEL:
    case JOB_FRAME_NEED_MODULE:
        return &empty_message;
    case JOB_FRAME_ACCEPTED:
        return &accepted_message;
    case JOB_FRAME_REJECTED:
        return &rejected_message;
    case JOB_FRAME_OUTPUT:
        return &output_message;
    case JOB_FRAME_PROGRESS:
        return &progress_message;
    case JOB_FRAME_FINISHED:
        return &finished_message;
    case JOB_FRAME_ESTIMATE:
        return &estimate_message;
    default:
        return NULL;
    }
}

const char *job_rejection_name(enum job_rejection code) {
    static const char *const names[] = {
        [JOB_REJECTED_MALFORMED] = "malformed",
        [JOB_REJECTED_UNSUPPORTED] = "unsupported",
        [JOB_REJECTED_LIMIT] = "limit",
        [JOB_REJECTED_BUSY] = "busy",
        [JOB_REJECTED_CONFLICT] = "conflict",
        [JOB_REJECTED_EXPIRED] = "expired",
        [JOB_REJECTED_MODULE_MISSING] = "module_missing",
        [JOB_REJECTED_HASH_MISMATCH] = "hash_mismatch",
        [JOB_REJECTED_NOT_FOUND] = "not_found",
        [JOB_REJECTED_LOST] = "lost",
        [JOB_REJECTED_DENIED] = "denied",
        [JOB_REJECTED_TIMEOUT] = "timeout",
        [JOB_REJECTED_UNAVAILABLE] = "unavailable",
        [JOB_REJECTED_CANCELLED] = "cancelled",
    };
    size_t index = (size_t)code;
    return index < ARRAY_SIZE(names) && names[index] != NULL ? names[index] : "unknown";
}

static uint64_t rule_number(const struct rule *rule, const void *body) {
    const char *at = (const char *)body + rule->offset;
    switch (rule->kind) {
    case RULE_BOOL:
        return *(const bool *)(const void *)at;
    case RULE_ENUM: {
        unsigned value;
        memcpy(&value, at, sizeof(value));
        return value;
    }
    default:
        return *(const uint64_t *)(const void *)at;
    }
}

static void rule_set_number(const struct rule *rule, void *body, uint64_t value) {
    char *at = (char *)body + rule->offset;
    if (rule->kind == RULE_BOOL) {
        *(bool *)(void *)at = value != 0;
    } else if (rule->kind == RULE_ENUM) {
        unsigned small = (unsigned)value;
        memcpy(at, &small, sizeof(small));
    } else {
        *(uint64_t *)(void *)at = value;
    }
}

static bool rule_is_number(const struct rule *rule) {
    return rule->kind == RULE_BOOL || rule->kind == RULE_COUNT || rule->kind == RULE_ENUM;
}

static struct bytes *rule_bytes(const struct rule *rule, const void *body) {
    return (struct bytes *)(uintptr_t)((const char *)body + rule->offset);
}

static bool *rule_present(const struct rule *rule, const void *body) {
    return (bool *)(uintptr_t)((const char *)body + rule->present_offset);
}

static int message_decode(const struct message *message, struct bytes input, void *body);

static int rule_decode(const struct rule *rule, struct cursor *cursor,
                       const struct protobuf_field *field, void *body) {
    if (rule->kind == RULE_RESERVED) {
        return PLASM_UNSUPPORTED;
    }
    if (rule_is_number(rule)) {
        rule_set_number(rule, body, 0);
        uint64_t value = protobuf_varint(cursor, field);
        if (cursor->error != 0 || value > rule->value_max) {
            return PLASM_MALFORMED;
        }
        rule_set_number(rule, body, value);
        return 0;
    }
    struct bytes value = protobuf_bytes(cursor, field);
    if (cursor->error != 0) {
        return PLASM_MALFORMED;
    }
    if (rule->kind == RULE_MESSAGE) {
        *rule_present(rule, body) = true;
        return message_decode(rule->message, value, (char *)body + rule->offset);
    }
    *rule_bytes(rule, body) = value;
    return 0;
}

/* What one field may hold, whether it came or was left out. */
static bool rule_holds(const struct rule *rule, const void *body) {
    if (rule_is_number(rule)) {
        uint64_t value = rule_number(rule, body);
        return value >= rule->value_min && value <= rule->value_max;
    }
    if (rule->kind == RULE_BYTES || rule->kind == RULE_TEXT) {
        struct bytes value = *rule_bytes(rule, body);
        if (value.size == 0 && rule->may_be_empty) {
            return true;
        }
        return value.size >= rule->value_min && value.size <= rule->value_max &&
               (rule->kind == RULE_BYTES || bytes_are_utf8(value));
    }
    return true;
}

static bool message_holds(const struct message *message, const void *body) {
    for (size_t i = 0; i < message->count; i++) {
        if (!rule_holds(&message->rules[i], body)) {
            return false;
        }
    }
    return true;
}

static int message_decode(const struct message *message, struct bytes input, void *body) {
    struct cursor cursor = cursor_of(input);
    struct protobuf_field field;
    unsigned seen = 0;
    while (protobuf_next(&cursor, &field)) {
        size_t i = 0;
        while (i < message->count && message->rules[i].number != field.number) {
            i++;
        }
        if (i == message->count) {
            continue; /* a newer peer's */
        }
        if ((seen & 1u << i) != 0) {
            return PLASM_MALFORMED;
        }
        seen |= 1u << i;
        int error = rule_decode(&message->rules[i], &cursor, &field, body);
        if (error != 0) {
            return error;
        }
    }
    return cursor.error != 0 || !message_holds(message, body) ? PLASM_MALFORMED : 0;
}

/* All bodies lie at the same place. */
static void *job_frame_body(const struct job_frame *frame) {
    return (void *)(uintptr_t)&frame->offer;
}

int job_frame_decode(struct bytes payload, struct job_frame *ret_frame) {
    if (payload.size > JOB_FRAME_SIZE_MAX) {
        return PLASM_MALFORMED;
    }
    struct cursor cursor = cursor_of(payload);
    struct protobuf_field field;
    if (!protobuf_next(&cursor, &field) || cursor.left.size > 0 || field.type != PROTOBUF_BYTES) {
        return PLASM_MALFORMED;
    }
    const struct message *message = job_frame_message(field.number);
    if (message == NULL) {
        return PLASM_MALFORMED;
    }
    struct job_frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.type = (enum job_frame_type)field.number;
    int error = message_decode(message, field.bytes, job_frame_body(&frame));
    if (error == 0) {
        *ret_frame = frame;
    }
    return error;
}

static size_t message_size(const struct message *message, const void *body) {
    size_t size = 0;
    for (size_t i = 0; i < message->count; i++) {
        const struct rule *rule = &message->rules[i];
        if (rule->kind == RULE_RESERVED) {
            continue;
        }
        if (rule_is_number(rule)) {
            uint64_t value = rule_number(rule, body);
            size += value != 0 ? protobuf_varint_size(rule->number, value) : 0;
        } else if (rule->kind == RULE_MESSAGE) {
            const void *nested = (const char *)body + rule->offset;
            size += *rule_present(rule, body)
                        ? protobuf_bytes_size(rule->number, message_size(rule->message, nested))
                        : 0;
        } else {
            size_t bytes_size = rule_bytes(rule, body)->size;
            size += bytes_size > 0 ? protobuf_bytes_size(rule->number, bytes_size) : 0;
        }
    }
    return size;
}

static void message_put(const struct message *message, const void *body, struct writer *writer) {
    for (size_t i = 0; i < message->count; i++) {
        const struct rule *rule = &message->rules[i];
        if (rule->kind == RULE_RESERVED) {
            continue;
        }
        if (rule_is_number(rule)) {
            uint64_t value = rule_number(rule, body);
            if (value != 0) {
                protobuf_put_varint(writer, rule->number, value);
            }
        } else if (rule->kind == RULE_MESSAGE) {
            const void *nested = (const char *)body + rule->offset;
            if (*rule_present(rule, body)) {
                protobuf_put_head(writer, rule->number, message_size(rule->message, nested));
                message_put(rule->message, nested, writer);
            }
        } else if (rule_bytes(rule, body)->size > 0) {
            protobuf_put_bytes(writer, rule->number, *rule_bytes(rule, body));
        }
    }
}

int job_frame_encode(const struct job_frame *frame, struct buffer *out) {
    const struct message *message = job_frame_message((uint32_t)frame->type);
    const void *body = job_frame_body(frame);
    ENSURE(message != NULL);
    if (!message_holds(message, body)) {
        return PLASM_INVALID;
    }
    size_t body_size = message_size(message, body);
    size_t payload_size = protobuf_bytes_size((uint32_t)frame->type, body_size);
    if (payload_size > JOB_FRAME_SIZE_MAX) {
        return PLASM_TOO_LARGE;
    }
    struct span room;
    int error = buffer_reserve(out, uvarint_size(payload_size) + payload_size, &room);
    if (error != 0) {
        return error;
    }
    struct writer writer = writer_of(room);
    uvarint_write(&writer, payload_size);
    protobuf_put_head(&writer, (uint32_t)frame->type, body_size);
    message_put(message, body, &writer);
    ENSURE(writer.error == 0 && writer.size == room.size);
    buffer_commit(out, room.size);
    return 0;
}

size_t job_chunk_head(enum job_frame_type type, size_t size, uint8_t *room) {
    ENSURE(type == JOB_FRAME_MODULE || type == JOB_FRAME_STDIN);
    ENSURE(size > 0 && size <= JOB_CHUNK_SIZE_MAX);
    size_t body_size = protobuf_bytes_size(1, size);
    struct writer writer = writer_of((struct span){.data = room, .size = JOB_FRAME_OVERHEAD_MAX});
    uvarint_write(&writer, protobuf_bytes_size((uint32_t)type, body_size));
    protobuf_put_head(&writer, (uint32_t)type, body_size);
    protobuf_put_head(&writer, 1, size);
    ENSURE(writer.error == 0);
    return writer.size;
}
