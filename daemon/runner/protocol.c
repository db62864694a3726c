/* Encoding and decoding of the messages between plasmd and its helper processes. */
#include "runner/protocol.h"

const char *runner_status_name(enum runner_status status) {
    static const char *const names[RUNNER_STATUS_COUNT] = {
        "ok",     "exit",  "trap",    "fuel",      "timeout", "memory",
        "output", "stack", "compile", "cancelled", "failed",
    };
    if (status < 0 || status >= RUNNER_STATUS_COUNT) {
        return "unknown";
    }
    return names[status];
}

void runner_compile_limits_default(struct runner_compile_limits *ret_limits) {
    *ret_limits = (struct runner_compile_limits){
        .module_bytes_max = UINT64_C(16) << 20,
        .memory_bytes_max = UINT64_C(1) << 30,
        .cpu_s_max = 10,
        .image_bytes_max = UINT64_C(256) << 20,
    };
}

bool runner_segment_next(struct bytes *segments, enum runner_stream *ret_stream,
                         struct bytes *ret_data) {
    struct cursor cursor = cursor_of(*segments);
    uint8_t stream = cursor_u8(&cursor);
    uint32_t size = cursor_u32(&cursor);
    struct bytes data = cursor_take(&cursor, size);
    if (cursor.error != 0 || size == 0 || (stream != RUNNER_STDOUT && stream != RUNNER_STDERR)) {
        return false;
    }
    *segments = cursor.left;
    *ret_stream = (enum runner_stream)stream;
    *ret_data = data;
    return true;
}

void runner_segment_head(uint8_t *room, enum runner_stream stream, uint32_t size) {
    room[0] = (uint8_t)stream;
    room[1] = (uint8_t)(size >> 24);
    room[2] = (uint8_t)(size >> 16);
    room[3] = (uint8_t)(size >> 8);
    room[4] = (uint8_t)size;
}

static bool segments_are_valid(struct bytes segments) {
    if (segments.size > RUNNER_OUTPUT_SIZE_MAX) {
        return false;
    }
    enum runner_stream stream;
    struct bytes data;
    while (segments.size > 0) {
        if (!runner_segment_next(&segments, &stream, &data)) {
            return false;
        }
    }
    return true;
}

/* `count` strings, each with its NUL. */
static bool strings_are_valid(struct bytes strings, uint32_t count) {
    if (count > RUNNER_STRINGS_MAX || strings.size > RUNNER_STRINGS_SIZE_MAX) {
        return false;
    }
    uint32_t found = 0;
    for (size_t i = 0; i < strings.size; i++) {
        found += strings.data[i] == 0;
    }
    return found == count && (strings.size == 0 || strings.data[strings.size - 1] == 0);
}

static bool text_is_valid(struct bytes text) {
    if (text.size > RUNNER_TEXT_SIZE_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static struct bytes take_sized(struct cursor *cursor) {
    return cursor_take(cursor, cursor_u32(cursor));
}

static bool take_bool(struct cursor *cursor) {
    uint8_t value = cursor_u8(cursor);
    if (value > 1) {
        cursor_fail(cursor, PLASM_MALFORMED);
    }
    return value == 1;
}

static void check(struct cursor *cursor, bool holds) {
    if (!holds) {
        cursor_fail(cursor, PLASM_MALFORMED);
    }
}

static enum runner_flavour take_flavour(struct cursor *cursor) {
    uint8_t flavour = cursor_u8(cursor);
    check(cursor, flavour == RUNNER_FLAVOUR_PLAIN || flavour == RUNNER_FLAVOUR_METERED);
    return (enum runner_flavour)flavour;
}

static struct bytes take_text(struct cursor *cursor) {
    struct bytes text = take_sized(cursor);
    check(cursor, text_is_valid(text));
    return text;
}

static void compile_decode(struct cursor *cursor, struct runner_compile_message *compile) {
    compile->token = cursor_u32(cursor);
    compile->flavour = take_flavour(cursor);
    compile->limits.module_bytes_max = cursor_u64(cursor);
    compile->limits.memory_bytes_max = cursor_u64(cursor);
    compile->limits.cpu_s_max = cursor_u64(cursor);
    compile->limits.image_bytes_max = cursor_u64(cursor);
    compile->module_size = cursor_u64(cursor);
}

static void compiled_decode(struct cursor *cursor, struct runner_compiled *compiled) {
    uint8_t outcome = cursor_u8(cursor);
    check(cursor, outcome == RUNNER_COMPILE_OK ||
                      (outcome >= RUNNER_COMPILE_INVALID && outcome <= RUNNER_COMPILE_FAILED));
    compiled->outcome = (enum runner_compile_outcome)outcome;
    compiled->image_size = cursor_u64(cursor);
    compiled->cpu_us = cursor_u64(cursor);
    compiled->text = take_text(cursor);
}

static void load_decode(struct cursor *cursor, struct runner_load *load) {
    load->flavour = take_flavour(cursor);
    load->image_size = cursor_u64(cursor);
}

static void job_decode(struct cursor *cursor, struct runner_job_message *job) {
    job->job = cursor_u32(cursor);
    job->deterministic = take_bool(cursor);
    job->limits.fuel = cursor_u64(cursor);
    job->limits.memory_bytes = cursor_u64(cursor);
    job->limits.wall_ms = cursor_u64(cursor);
    job->limits.output_bytes = cursor_u64(cursor);
    job->seed = take_sized(cursor);
    check(cursor, job->seed.size == (job->deterministic ? RUNNER_SEED_SIZE : 0));
    check(cursor, !job->deterministic || job->limits.fuel > 0);
    job->arg_count = cursor_u32(cursor);
    job->args = take_sized(cursor);
    job->env_count = cursor_u32(cursor);
    job->env = take_sized(cursor);
    check(cursor, strings_are_valid(job->args, job->arg_count) &&
                      strings_are_valid(job->env, job->env_count) &&
                      job->args.size + job->env.size <= RUNNER_STRINGS_SIZE_MAX);
    job->stdin_is_file = take_bool(cursor);
    job->stdin_size = cursor_u64(cursor);
    job->stdin_bytes = take_sized(cursor);
    check(cursor, job->stdin_is_file ? job->stdin_bytes.size == 0
                                     : job->stdin_bytes.size == job->stdin_size);
    check(cursor, job->stdin_bytes.size <= RUNNER_STDIN_INLINE_MAX);
}

static void finished_decode(struct cursor *cursor, struct runner_finished *finished) {
    struct runner_result *result = &finished->result;
    finished->job = cursor_u32(cursor);
    uint8_t status = cursor_u8(cursor);
    check(cursor, status < RUNNER_STATUS_COUNT);
    result->status = (enum runner_status)status;
    uint64_t exit_code = cursor_u64(cursor);
    bool has_code = status == RUNNER_STATUS_OK || status == RUNNER_STATUS_EXIT;
    check(cursor, has_code ? exit_code <= UINT32_MAX && (exit_code == 0) == (status == 0)
                           : exit_code == UINT64_MAX);
    result->exit_code = has_code ? (int64_t)exit_code : -1;
    result->fuel = cursor_u64(cursor);
    result->wall_us = cursor_u64(cursor);
    result->text = take_text(cursor);
    finished->segments = cursor_take(cursor, cursor->left.size);
    check(cursor, segments_are_valid(finished->segments));
}

static void body_decode(struct cursor *cursor, struct runner_message *message) {
    switch (message->type) {
    case RUNNER_MESSAGE_CONFIGURE:
        message->configure.data_bytes_max = cursor_u64(cursor);
        message->configure.compile_data_bytes_max = cursor_u64(cursor);
        message->configure.file_bytes_max = cursor_u64(cursor);
        return;
    case RUNNER_MESSAGE_HELLO:
        message->hello.version = cursor_u32(cursor);
        message->hello.walls = cursor_u32(cursor);
        message->hello.landlock_abi = cursor_u32(cursor);
        return;
    case RUNNER_MESSAGE_SPAWN:
        message->spawn.token = cursor_u32(cursor);
        return;
    case RUNNER_MESSAGE_SPAWNED:
        message->spawned.token = cursor_u32(cursor);
        message->spawned.pid = cursor_u32(cursor);
        message->spawned.error = cursor_u32(cursor);
        return;
    case RUNNER_MESSAGE_EXITED:
        message->exited.token = cursor_u32(cursor);
        message->exited.exit_code = cursor_u32(cursor);
        message->exited.signal = cursor_u32(cursor);
        message->exited.cpu_us = cursor_u64(cursor);
        check(cursor, message->exited.exit_code <= 255 && message->exited.signal <= 255);
        return;
    case RUNNER_MESSAGE_COMPILE:
        compile_decode(cursor, &message->compile);
        return;
    case RUNNER_MESSAGE_COMPILED:
        compiled_decode(cursor, &message->compiled);
        return;
    case RUNNER_MESSAGE_LOAD:
        load_decode(cursor, &message->load);
        return;
    case RUNNER_MESSAGE_JOB:
        job_decode(cursor, &message->job);
        return;
    case RUNNER_MESSAGE_CANCEL:
        message->cancel.job = cursor_u32(cursor);
        return;
    case RUNNER_MESSAGE_OUTPUT:
        message->output.segments = cursor_take(cursor, cursor->left.size);
        check(cursor, message->output.segments.size > 0);
        check(cursor, segments_are_valid(message->output.segments));
        return;
    case RUNNER_MESSAGE_FINISHED:
        finished_decode(cursor, &message->finished);
        return;
    }
    cursor_fail(cursor, PLASM_MALFORMED);
}

int runner_message_decode(struct bytes packet, struct runner_message *ret_message) {
    struct cursor cursor = cursor_of(packet);
    struct runner_message message = {.type = (enum runner_message_type)cursor_u8(&cursor)};
    body_decode(&cursor, &message);
    /* A packet is whole: one that ends early is as wrong as any other. */
    if (cursor.error != 0 || cursor.left.size != 0) {
        return PLASM_MALFORMED;
    }
    *ret_message = message;
    return 0;
}

static void put_sized(struct writer *writer, struct bytes bytes) {
    writer_u32(writer, (uint32_t)bytes.size);
    writer_bytes_put(writer, bytes);
}

static void job_encode(const struct runner_job_message *job, struct writer *writer) {
    writer_u32(writer, job->job);
    writer_u8(writer, job->deterministic);
    writer_u64(writer, job->limits.fuel);
    writer_u64(writer, job->limits.memory_bytes);
    writer_u64(writer, job->limits.wall_ms);
    writer_u64(writer, job->limits.output_bytes);
    put_sized(writer, job->seed);
    writer_u32(writer, job->arg_count);
    put_sized(writer, job->args);
    writer_u32(writer, job->env_count);
    put_sized(writer, job->env);
    writer_u8(writer, job->stdin_is_file);
    writer_u64(writer, job->stdin_size);
    put_sized(writer, job->stdin_bytes);
}

static void finished_encode(const struct runner_finished *finished, struct writer *writer) {
    writer_u32(writer, finished->job);
    writer_u8(writer, (uint8_t)finished->result.status);
    writer_u64(writer, (uint64_t)finished->result.exit_code);
    writer_u64(writer, finished->result.fuel);
    writer_u64(writer, finished->result.wall_us);
    put_sized(writer, finished->result.text);
    writer_bytes_put(writer, finished->segments);
}

static void compile_encode(const struct runner_compile_message *compile, struct writer *writer) {
    writer_u32(writer, compile->token);
    writer_u8(writer, (uint8_t)compile->flavour);
    writer_u64(writer, compile->limits.module_bytes_max);
    writer_u64(writer, compile->limits.memory_bytes_max);
    writer_u64(writer, compile->limits.cpu_s_max);
    writer_u64(writer, compile->limits.image_bytes_max);
    writer_u64(writer, compile->module_size);
}

static void body_encode(const struct runner_message *message, struct writer *writer) {
    switch (message->type) {
    case RUNNER_MESSAGE_CONFIGURE:
        writer_u64(writer, message->configure.data_bytes_max);
        writer_u64(writer, message->configure.compile_data_bytes_max);
        writer_u64(writer, message->configure.file_bytes_max);
        break;
    case RUNNER_MESSAGE_HELLO:
        writer_u32(writer, message->hello.version);
        writer_u32(writer, message->hello.walls);
        writer_u32(writer, message->hello.landlock_abi);
        break;
    case RUNNER_MESSAGE_SPAWN:
        writer_u32(writer, message->spawn.token);
        break;
    case RUNNER_MESSAGE_SPAWNED:
        writer_u32(writer, message->spawned.token);
        writer_u32(writer, message->spawned.pid);
        writer_u32(writer, message->spawned.error);
        break;
    case RUNNER_MESSAGE_EXITED:
        writer_u32(writer, message->exited.token);
        writer_u32(writer, message->exited.exit_code);
        writer_u32(writer, message->exited.signal);
        writer_u64(writer, message->exited.cpu_us);
        break;
    case RUNNER_MESSAGE_COMPILE:
        compile_encode(&message->compile, writer);
        break;
    case RUNNER_MESSAGE_COMPILED:
        writer_u8(writer, (uint8_t)message->compiled.outcome);
        writer_u64(writer, message->compiled.image_size);
        writer_u64(writer, message->compiled.cpu_us);
        put_sized(writer, message->compiled.text);
        break;
    case RUNNER_MESSAGE_LOAD:
        writer_u8(writer, (uint8_t)message->load.flavour);
        writer_u64(writer, message->load.image_size);
        break;
    case RUNNER_MESSAGE_JOB:
        job_encode(&message->job, writer);
        break;
    case RUNNER_MESSAGE_CANCEL:
        writer_u32(writer, message->cancel.job);
        break;
    case RUNNER_MESSAGE_OUTPUT:
        writer_bytes_put(writer, message->output.segments);
        break;
    case RUNNER_MESSAGE_FINISHED:
        finished_encode(&message->finished, writer);
        break;
    }
}

int runner_message_encode(const struct runner_message *message, struct span room,
                          size_t *ret_size) {
    struct writer writer = writer_of(room);
    writer_u8(&writer, (uint8_t)message->type);
    body_encode(message, &writer);
    if (writer.error != 0) {
        return writer.error;
    }
    *ret_size = writer.size;
    return 0;
}
