/* The client's end: the vectors' conversations, what it asks, hostile workers, false receipts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/job/testing.h"
#include "wire/varint.h"

static struct memory memory;
static struct job_client client;
static struct testing_question question;

static void begin(void) {
    assert_int_equal(job_client_init(&client, &question.request, &memory), 0);
}

static void end(void) {
    job_client_done(&client);
    assert_int_equal(memory.used, 0);
}

static size_t drain(void) {
    uint8_t room[4096];
    size_t size;
    size_t total = 0;
    while ((size = job_client_transmit(&client,
                                       (struct span){.data = room, .size = sizeof(room)})) > 0) {
        total += size;
    }
    assert_int_equal(job_client_pending(&client), 0);
    return total;
}

static void give(const struct job_frame *frame) {
    static uint8_t storage[JOB_FRAME_SIZE_MAX + 16];
    struct memory heap;
    struct buffer out;
    memory_init(&heap, SIZE_MAX);
    buffer_init(&out, &heap, SIZE_MAX);
    assert_int_equal(job_frame_encode(frame, &out), 0);
    assert_true(out.size <= sizeof(storage));
    memcpy(storage, buffer_bytes(&out).data, out.size);
    job_client_receive(&client, bytes_of(storage, out.size));
    buffer_done(&out);
}

static void expect(enum job_client_event_type type, struct job_client_event *ret_event) {
    assert_true(job_client_next_event(&client, ret_event));
    if (ret_event->type != type && ret_event->type == JOB_CLIENT_FAILED) {
        fail_msg("%s", ret_event->failed.text);
    }
    assert_int_equal(ret_event->type, type);
}

static void expect_none(void) {
    struct job_client_event event;
    assert_false(job_client_next_event(&client, &event));
}

static void expect_failed(int error) {
    struct job_client_event event;
    expect(JOB_CLIENT_FAILED, &event);
    assert_int_equal(event.failed.error, error);
    assert_non_null(event.failed.text);
    expect_none();
    assert_int_equal(client.state, JOB_CLIENT_STATE_OVER);
    assert_int_equal(job_client_wants(&client) & JOB_WANTS_RESET, JOB_WANTS_RESET);
    assert_int_equal(job_client_pending(&client), 0);
    assert_int_equal(drain(), 0);
}

static void accept(void) {
    const struct job_frame frame = {.type = JOB_FRAME_ACCEPTED};
    struct job_client_event event;
    (void)drain();
    give(&frame);
    expect(JOB_CLIENT_ACCEPTED, &event);
    assert_memory_equal(&event.accepted.limits, &question.manifest.limits,
                        sizeof(event.accepted.limits));
}

static void give_output(uint64_t seq, enum job_stream stream, struct bytes data) {
    const struct job_frame frame = {.type = JOB_FRAME_OUTPUT,
                                    .output = {.seq = seq, .stream = stream, .data = data}};
    give(&frame);
}

/* --- Vectors ------------------------------------------------------------------------------ */

struct told {
    struct manifest manifest;
    struct job_request request;
    size_t output_bytes;
    bool over;
};

/* The request whose offer is `offer`. */
static void request_of(const struct job_frame *offer, struct bytes module, struct bytes input,
                       struct bytes secret, struct told *told) {
    struct ed25519_secret key;
    struct fault fault;
    *told = (struct told){0};
    assert_int_equal(manifest_decode(offer->offer.manifest, &memory, &told->manifest, &fault), 0);
    told->request = (struct job_request){
        .manifest = &told->manifest,
        .manifest_json = offer->offer.manifest,
        .module = offer->offer.only_fetch ? bytes_of(NULL, 0) : module,
        .stdin_bytes = input,
        .want_summary = offer->offer.want_summary,
        .only_fetch = offer->offer.only_fetch,
        .dry_run = offer->offer.dry_run,
        .stdin_size = offer->offer.stdin_size,
        .fetch_secret = offer->offer.fetch_secret.size > 0 ? secret : bytes_of(NULL, 0),
    };
    testing_key(&key, &told->request.worker);
}

static void check_event(const struct job_client_event *event, struct told *told) {
    switch (event->type) {
    case JOB_CLIENT_FINISHED:
        assert_int_equal(event->finished.verdict, VERDICT_VERIFIED);
        assert_int_equal(event->finished.has_summary, told->request.want_summary);
        told->over = true;
        break;
    case JOB_CLIENT_ESTIMATE:
        assert_true(told->request.dry_run);
        assert_int_equal(event->estimate.queue_position, 2);
        assert_int_equal(event->estimate.price, 5);
        assert_true(event->estimate.module_held);
        assert_memory_equal(&event->estimate.limits, &told->manifest.limits,
                            sizeof(struct job_limits));
        told->over = true;
        break;
    case JOB_CLIENT_REJECTED:
        assert_int_equal(event->rejected.code, JOB_REJECTED_BUSY);
        assert_int_equal(event->rejected.retry_after_ms, 250);
        told->over = true;
        break;
    case JOB_CLIENT_OUTPUT:
        told->output_bytes += event->output.data.size;
        break;
    case JOB_CLIENT_FAILED:
        fail_msg("%s", event->failed.text);
        break;
    default:
        break;
    }
}

static void answer_in_pieces(struct bytes answer, size_t piece, struct told *told) {
    for (size_t offset = 0; offset < answer.size; offset += piece) {
        struct job_client_event event;
        job_client_receive(&client, bytes_slice(answer, offset, piece));
        while (job_client_next_event(&client, &event)) {
            check_event(&event, told);
        }
    }
}

/* The client must say what the vector says, and take what the worker of the vector says. */
static void tell(const json_t *all, const json_t *conversation, struct bytes module, size_t piece) {
    json_t *steps;
    struct told told;
    struct bytes input = testing_hex(all, "stdin");
    struct bytes secret = testing_hex(all, "fetch_secret");
    struct bytes first = {0};
    assert_int_equal(json_get_list(conversation, "steps", &steps), 0);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        struct bytes hex = testing_hex(json_array_get(steps, i), "hex");
        if (i % 2 == 1) {
            answer_in_pieces(hex, piece, &told);
            testing_free(hex);
            continue;
        }
        if (i == 0) {
            struct bytes payload;
            struct job_frame offer;
            size_t size;
            first = hex;
            assert_int_equal(frame_read(hex, JOB_FRAME_SIZE_MAX, &payload, &size), 0);
            assert_int_equal(job_frame_decode(payload, &offer), 0);
            request_of(&offer, module, input, secret, &told);
            assert_int_equal(job_client_init(&client, &told.request, &memory), 0);
        } else if (hex.size == 3) {
            job_client_cancel(&client);
        }
        uint8_t *said = malloc(hex.size + 1);
        assert_non_null(said);
        assert_true(job_client_pending(&client) >= hex.size);
        for (size_t at = 0; at < hex.size; at += piece) {
            size_t room = hex.size - at < piece ? hex.size - at : piece;
            assert_int_equal(
                job_client_transmit(&client, (struct span){.data = said + at, .size = room}), room);
        }
        assert_int_equal(job_client_transmit(&client, (struct span){.data = said, .size = 0}), 0);
        assert_int_equal(job_client_pending(&client), 0);
        assert_memory_equal(said, hex.data, hex.size);
        free(said);
        if (i > 0) {
            testing_free(hex);
        }
    }
    assert_true(told.over);
    assert_int_equal(job_client_wants(&client), JOB_WANTS_FIN);
    job_client_receive_fin(&client);
    expect_none();
    manifest_done(&told.manifest);
    testing_free(first);
    testing_free(input);
    testing_free(secret);
    end();
}

static void vectors(void **state) {
    (void)state;
    json_t *all = TESTING_VECTORS("conversations.json");
    json_t *list;
    struct bytes module = testing_hex(all, "module");
    /* vectors.py, large_module() */
    uint8_t *large = malloc(70000);
    assert_non_null(large);
    memcpy(large, module.data, module.size);
    for (size_t i = 0; i < 70000 - module.size; i++) {
        large[module.size + i] = (uint8_t)(i * 7 + (i >> 8));
    }
    assert_int_equal(json_get_list(all, "conversations", &list), 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        static const size_t pieces[] = {SIZE_MAX / 2, 1, 2, 3, 5, 17, 100, 1000, 65536};
        const json_t *conversation = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(conversation, "name"));
        for (size_t j = 0; j < ARRAY_SIZE(pieces); j++) {
            tell(all, conversation,
                 strcmp(name, "large_module") == 0 ? bytes_of(large, 70000) : module, pieces[j]);
        }
    }
    free(large);
    testing_free(module);
    json_decref(all);
}

/* --- Asking ------------------------------------------------------------------------------- */

static void requests(void **state) {
    (void)state;
    struct job_request good = question.request;
    question.request.worker.size = 0;
    assert_int_equal(job_client_init(&client, &question.request, &memory), PLASM_INVALID);
    end();
    question.request = good;
    question.request.module.size--;
    assert_int_equal(job_client_init(&client, &question.request, &memory), PLASM_INVALID);
    end();
    question.request = good;
    question.request.module = bytes_of(NULL, 0);
    assert_int_equal(job_client_init(&client, &question.request, &memory), PLASM_INVALID);
    end();
    question.request = good;
    question.request.fetch_secret = bytes_of(question.module, FETCH_SECRET_SIZE);
    assert_int_equal(job_client_init(&client, &question.request, &memory), PLASM_INVALID);
    end();
    question.request.fetch_secret = BYTES_ARRAY(question.fetch_secret);
    begin();
    end();
    question.request = good;
}

/* A warm small job is one write, FIN included. */
static void one_write(void **state) {
    (void)state;
    for (int known = 0; known < 2; known++) {
        uint8_t room[8192];
        question.request.finish_early = true;
        question.request.module_known = known == 1;
        begin();
        size_t size =
            job_client_transmit(&client, (struct span){.data = room, .size = sizeof(room)});
        assert_true(size > question.manifest_json.size && size < sizeof(room));
        assert_int_equal(job_client_wants(&client), JOB_WANTS_FIN);
        assert_int_equal(job_client_pending(&client), 0);
        /* The worker turns out to lack it, and has not seen our FIN yet. */
        const struct job_frame need = {.type = JOB_FRAME_NEED_MODULE};
        give(&need);
        if (known == 0) {
            expect_failed(PLASM_MALFORMED);
        } else {
            struct job_client_event event;
            expect_none();
            const struct job_frame no = {.type = JOB_FRAME_REJECTED,
                                         .rejected = {.code = JOB_REJECTED_MODULE_MISSING}};
            give(&no);
            expect(JOB_CLIENT_REJECTED, &event);
        }
        end();
    }
    question.request.finish_early = false;
    question.request.module_known = false;
}

static void lacks_the_module(void **state) {
    (void)state;
    struct job_request good = question.request;
    question.request.module_known = true;
    question.request.module = bytes_of(NULL, 0);
    begin();
    (void)drain();
    const struct job_frame need = {.type = JOB_FRAME_NEED_MODULE};
    give(&need);
    expect_failed(PLASM_NOT_FOUND);
    end();
    question.request = good;
}

static void cancelling(void **state) {
    (void)state;
    struct job_client_event event;
    struct testing_answer answer;
    begin();
    accept();
    job_client_cancel(&client);
    job_client_cancel(&client);
    assert_int_equal(drain(), 3);
    testing_answer_init(&answer, &question, JOB_STATUS_CANCELLED, bytes_of(NULL, 0),
                        bytes_of(NULL, 0), &question.memory);
    const struct job_frame frame = {.type = JOB_FRAME_FINISHED, .finished = answer.finished};
    give(&frame);
    expect(JOB_CLIENT_FINISHED, &event);
    assert_int_equal(event.finished.verdict, VERDICT_VERIFIED);
    assert_int_equal(event.finished.receipt.status, JOB_STATUS_CANCELLED);
    assert_int_equal(job_client_wants(&client), JOB_WANTS_FIN);
    job_client_cancel(&client);
    expect_none();
    end();
    testing_answer_done(&answer);

    begin(); /* accepted while the cancel waits to be written */
    (void)drain();
    job_client_cancel(&client);
    const struct job_frame accepted = {.type = JOB_FRAME_ACCEPTED};
    give(&accepted);
    expect(JOB_CLIENT_ACCEPTED, &event);
    end();

    question.request.finish_early = true; /* nothing left to write it on */
    begin();
    (void)drain();
    job_client_cancel(&client);
    expect_failed(PLASM_CANCELLED);
    end();
    question.request.finish_early = false;
}

/* --- Hostile workers ---------------------------------------------------------------------- */

static void streams_that_end(void **state) {
    (void)state;
    begin();
    job_client_receive_fin(&client);
    expect_failed(PLASM_CLOSED);
    end();
    begin();
    accept();
    job_client_receive(&client, BYTES_LITERAL("\x05"));
    expect_none();
    job_client_receive_fin(&client);
    expect_failed(PLASM_MALFORMED);
    end();
    begin();
    job_client_receive_reset(&client, PLASM_RESET);
    expect_failed(PLASM_RESET);
    job_client_receive(&client, BYTES_LITERAL("\x05"));
    expect_none();
    end();
    begin();
    job_client_receive_reset(&client, PLASM_CLOSED);
    expect_failed(PLASM_CLOSED);
    end();
}

/* Frames out of turn. `accepted`: after the worker has accepted. */
static void out_of_turn(void **state) {
    (void)state;
    const struct job_limits more = {.fuel = 1, .memory_bytes = 1 << 21, .wall_ms = 1};
    const struct {
        bool accepted;
        struct job_frame frame;
    } cases[] = {
        {false,
         {.type = JOB_FRAME_OUTPUT, .output = {.stream = JOB_STDOUT, .data = BYTES_LITERAL("x")}}},
        {false, {.type = JOB_FRAME_PROGRESS, .progress = {.state = JOB_STATE_RUNNING}}},
        {false, {.type = JOB_FRAME_CANCEL}},
        {false, {.type = JOB_FRAME_OFFER, .offer = {.manifest = BYTES_LITERAL("x")}}},
        {false, {.type = JOB_FRAME_STDIN, .chunk = BYTES_LITERAL("x")}},
        {false, {.type = JOB_FRAME_NEED_MODULE}}, /* it was attached */
        {false, {.type = JOB_FRAME_ACCEPTED, .accepted = {.without_output = true}}},
        {false, {.type = JOB_FRAME_ACCEPTED, .accepted = {.clamped = true, .limits = more}}},
        {true, {.type = JOB_FRAME_ACCEPTED}},
        {true, {.type = JOB_FRAME_REJECTED, .rejected = {.code = JOB_REJECTED_BUSY}}},
        {true, {.type = JOB_FRAME_NEED_MODULE}},
        {true,
         {.type = JOB_FRAME_OUTPUT,
          .output = {.seq = 1, .stream = JOB_STDOUT, .data = BYTES_LITERAL("x")}}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin();
        (void)drain();
        if (cases[i].accepted) {
            accept();
        }
        give(&cases[i].frame);
        expect_failed(PLASM_MALFORMED);
        end();
    }
}

static void accepted_without_input(void **state) {
    (void)state;
    uint8_t room[1];
    begin();
    (void)job_client_transmit(&client, (struct span){.data = room, .size = 1});
    const struct job_frame frame = {.type = JOB_FRAME_ACCEPTED};
    give(&frame);
    expect_failed(PLASM_MALFORMED);
    end();
    question.request.only_fetch = true; /* nobody asked to run it */
    begin();
    (void)drain();
    give(&frame);
    expect_failed(PLASM_MALFORMED);
    end();
    question.request.only_fetch = false;
}

static void clamped(void **state) {
    (void)state;
    struct job_client_event event;
    struct job_frame frame = {.type = JOB_FRAME_ACCEPTED, .accepted = {.clamped = true}};
    frame.accepted.limits = question.manifest.limits;
    frame.accepted.limits.fuel = 1000; /* from none */
    frame.accepted.limits.output_bytes = 3;
    begin();
    (void)drain();
    give(&frame);
    expect(JOB_CLIENT_ACCEPTED, &event);
    assert_int_equal(event.accepted.limits.fuel, 1000);
    give_output(0, JOB_STDOUT, BYTES_LITERAL("abc"));
    expect(JOB_CLIENT_OUTPUT, &event);
    give_output(1, JOB_STDERR, BYTES_LITERAL("d"));
    expect_failed(PLASM_MALFORMED);
    end();
    question.manifest.profile = PROFILE_DETERMINISTIC_1;
    question.manifest.limits.fuel = 2000;
    testing_question_encode(&question);
    begin();
    (void)drain();
    give(&frame);
    expect_failed(PLASM_MALFORMED); /* this profile is never clamped */
    end();
    question.manifest.profile = PROFILE_WASIP1;
    question.manifest.limits.fuel = 0;
    testing_question_encode(&question);
}

static void floods(void **state) {
    (void)state;
    struct job_client_event event;
    begin();
    accept();
    const struct job_frame news = {.type = JOB_FRAME_PROGRESS,
                                   .progress = {.state = JOB_STATE_RUNNING}};
    for (size_t i = 0; i < JOB_CLIENT_PROGRESS_FRAMES_MAX; i++) {
        give(&news);
        if (!job_client_next_event(&client, &event) || event.type != JOB_CLIENT_PROGRESS) {
            fail_msg("progress %zu", i);
        }
        expect_none();
    }
    give(&news);
    expect_failed(PLASM_MALFORMED);
    end();
}

/* --- Receipts ----------------------------------------------------------------------------- */

static enum verdict finish(const struct job_finished *finished, const char *field) {
    struct job_client_event event;
    const struct job_frame frame = {.type = JOB_FRAME_FINISHED, .finished = *finished};
    give(&frame);
    expect(JOB_CLIENT_FINISHED, &event);
    expect_none();
    if (field != NULL) {
        assert_string_equal(event.finished.fault.field, field);
    }
    return event.finished.verdict;
}

static void outputs_are_compared(void **state) {
    (void)state;
    static const struct {
        const char *shown;
        const char *signed_for;
        const char *field;
    } cases[] = {{"hello", "hello", NULL},
                 {"hello", "hellp", "stdout_hash"},
                 {"", "hello", "stdout_hash"},
                 {"hello", "", "stdout_hash"},
                 {"", "", NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct testing_answer answer;
        struct job_client_event event;
        begin();
        accept();
        for (size_t j = 0; j < strlen(cases[i].shown); j++) {
            give_output(j, JOB_STDOUT, bytes_of(cases[i].shown + j, 1));
            expect(JOB_CLIENT_OUTPUT, &event);
        }
        testing_answer_init(&answer, &question, JOB_STATUS_OK, bytes_of_string(cases[i].signed_for),
                            bytes_of(NULL, 0), &question.memory);
        assert_int_equal(finish(&answer.finished, cases[i].field),
                         cases[i].field == NULL ? VERDICT_VERIFIED : VERDICT_REFUSED);
        end();
        testing_answer_done(&answer);
    }
    struct testing_answer answer; /* the same bytes on the other stream */
    struct job_client_event event;
    begin();
    accept();
    give_output(0, JOB_STDERR, BYTES_LITERAL("hello"));
    expect(JOB_CLIENT_OUTPUT, &event);
    testing_answer_init(&answer, &question, JOB_STATUS_OK, BYTES_LITERAL("hello"),
                        bytes_of(NULL, 0), &question.memory);
    assert_int_equal(finish(&answer.finished, "stdout_hash"), VERDICT_REFUSED);
    end();
    testing_answer_done(&answer);
}

static void false_receipts(void **state) {
    (void)state;
    struct testing_answer answer;
    struct testing_question other;
    static const uint8_t seed[ED25519_SEED_SIZE] = {9};
    struct ed25519_secret stranger;
    struct bytes nothing = {0};
    ed25519_from_seed(&stranger, seed);

    testing_question_init(&other, 200, 20); /* another job's */
    testing_answer_init(&answer, &other, JOB_STATUS_OK, nothing, nothing, &question.memory);
    begin();
    accept();
    assert_int_equal(finish(&answer.finished, "module_hash"), VERDICT_REFUSED);
    end();
    testing_answer_done(&answer);
    testing_question_done(&other);

    testing_answer_init(&answer, &question, JOB_STATUS_OK, nothing, nothing, &question.memory);
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    struct job_finished finished = answer.finished;
    ed25519_sign(&stranger, finished.receipt, signature);
    finished.signature = BYTES_ARRAY(signature); /* another node's signature */
    begin();
    accept();
    assert_int_equal(finish(&finished, "signature"), VERDICT_REFUSED);
    end();
    finished.public_key = BYTES_ARRAY(stranger.public_key); /* and key */
    begin();
    accept();
    assert_int_equal(finish(&finished, "public_key"), VERDICT_REFUSED);
    end();

    finished = answer.finished; /* not a receipt at all, though well signed */
    finished.receipt = BYTES_LITERAL("{\"exit_code\":0}");
    ed25519_sign(&question.secret, finished.receipt, signature);
    finished.signature = BYTES_ARRAY(signature);
    begin();
    accept();
    assert_int_equal(finish(&finished, NULL), VERDICT_REFUSED);
    end();
    testing_answer_done(&answer);
}

/* One flipped bit anywhere in receipt, signature or key. */
static void damaged_receipts(void **state) {
    (void)state;
    struct testing_answer answer;
    struct bytes nothing = {0};
    testing_answer_init(&answer, &question, JOB_STATUS_TIMEOUT, nothing, nothing, &question.memory);
    uint8_t *receipt = testing_pattern(answer.json.size, 0);
    uint8_t key[ED25519_PUBLIC_SIZE];
    memcpy(receipt, answer.finished.receipt.data, answer.json.size);
    memcpy(key, question.secret.public_key, sizeof(key));
    struct job_finished finished = answer.finished;
    finished.receipt = bytes_of(receipt, answer.json.size);
    finished.public_key = BYTES_ARRAY(key);
    struct {
        uint8_t *data;
        size_t size;
    } parts[] = {{receipt, answer.json.size},
                 {answer.signature, sizeof(answer.signature)},
                 {key, sizeof(key)}};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        for (size_t at = 0; at < parts[i].size; at++) {
            parts[i].data[at] ^= (uint8_t)(1 << (at % 8));
            begin();
            accept();
            if (finish(&finished, NULL) != VERDICT_REFUSED) {
                fail_msg("part %zu, byte %zu", i, at);
            }
            end();
            parts[i].data[at] ^= (uint8_t)(1 << (at % 8));
        }
    }
    begin();
    accept();
    assert_int_equal(finish(&finished, NULL), VERDICT_VERIFIED);
    end();
    free(receipt);
    testing_answer_done(&answer);
}

static void summaries(void **state) {
    (void)state;
    struct testing_answer answer;
    struct job_client_event event;
    struct bytes nothing = {0};
    testing_answer_init(&answer, &question, JOB_STATUS_OK, nothing, nothing, &question.memory);
    struct job_frame frame = {.type = JOB_FRAME_FINISHED, .finished = answer.finished};
    frame.finished.message = BYTES_LITERAL("as it was");
    begin(); /* not asked for */
    accept();
    give(&frame);
    expect(JOB_CLIENT_FINISHED, &event);
    assert_false(event.finished.has_summary);
    assert_true(bytes_equal_string(event.finished.message, "as it was"));
    end();
    question.request.want_summary = true;
    begin();
    accept();
    give(&frame);
    expect(JOB_CLIENT_FINISHED, &event);
    assert_int_equal(event.finished.verdict, VERDICT_VERIFIED);
    assert_true(event.finished.has_summary);
    assert_memory_equal(event.finished.summary_signature, answer.summary_signature,
                        ED25519_SIGNATURE_SIZE);
    end();
    frame.finished.summary_signature = bytes_of(NULL, 0); /* asked for and not given */
    begin();
    accept();
    give(&frame);
    expect(JOB_CLIENT_FINISHED, &event);
    assert_int_equal(event.finished.verdict, VERDICT_VERIFIED);
    assert_false(event.finished.has_summary);
    end();
    frame.finished.summary_signature = answer.finished.signature; /* the receipt's own */
    begin();
    accept();
    give(&frame);
    expect(JOB_CLIENT_FINISHED, &event);
    assert_int_equal(event.finished.verdict, VERDICT_REFUSED);
    assert_string_equal(event.finished.fault.field, "summary_signature");
    end();
    question.request.want_summary = false;
    testing_answer_done(&answer);
}

static int set_up(void **state) {
    (void)state;
    testing_question_init(&question, 100, 10);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    testing_question_done(&question);
    return 0;
}

int main(void) {
    memory_init(&memory, SIZE_MAX);
    if (crypto_init() != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(requests),
        cmocka_unit_test(one_write),
        cmocka_unit_test(lacks_the_module),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(streams_that_end),
        cmocka_unit_test(out_of_turn),
        cmocka_unit_test(accepted_without_input),
        cmocka_unit_test(clamped),
        cmocka_unit_test(floods),
        cmocka_unit_test(outputs_are_compared),
        cmocka_unit_test(false_receipts),
        cmocka_unit_test(damaged_receipts),
        cmocka_unit_test(summaries),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
