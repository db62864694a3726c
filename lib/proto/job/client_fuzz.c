/* A worker that says anything, in pieces the first bytes choose: the client stays within its
 * bounds, ends at most once, and never takes a receipt that is not the worker's. */
#include "proto/job/testing.h"
#include "util/ensure.h"

struct run {
    struct job_client client;
    size_t endings;
};

static void run_events(struct run *run) {
    struct job_client_event event;
    while (job_client_next_event(&run->client, &event)) {
        ENSURE(run->endings == 0);
        run->endings += event.type == JOB_CLIENT_FINISHED || event.type == JOB_CLIENT_REJECTED ||
                        event.type == JOB_CLIENT_ESTIMATE || event.type == JOB_CLIENT_FAILED;
        if (event.type == JOB_CLIENT_FINISHED) {
            ENSURE(event.finished.verdict != VERDICT_UNPINNED);
            ENSURE(event.finished.verdict == VERDICT_VERIFIED ||
                   event.finished.fault.field != NULL);
        }
    }
    uint8_t room[300];
    struct span span = {.data = room, .size = sizeof(room)};
    while (job_client_transmit(&run->client, span) > 0) {
    }
}

/* Bits: 0 the module is large, 1 it is believed to be known, 2 only fetched, 3 finish early,
 * 4 summary, 5 cancel after the first piece, 6 a dry run. */
static void run_input(struct testing_question *question, uint8_t options, size_t piece,
                      struct bytes input) {
    struct run run = {0};
    struct memory memory;
    memory_init(&memory, 4 * JOB_FRAME_SIZE_MAX);
    question->request.module_known = (options & 2) != 0;
    question->request.only_fetch = (options & 4) != 0;
    question->request.dry_run = (options & 68) == 68;
    question->request.finish_early = (options & 8) != 0;
    question->request.want_summary = (options & 16) != 0;
    ENSURE(job_client_init(&run.client, &question->request, &memory) == 0);
    run_events(&run);
    for (size_t offset = 0; offset < input.size; offset += piece) {
        job_client_receive(&run.client, bytes_slice(input, offset, piece));
        run_events(&run);
        if ((options & 32) != 0 && offset == 0) {
            job_client_cancel(&run.client);
            run_events(&run);
        }
    }
    job_client_receive_fin(&run.client);
    run_events(&run);
    ENSURE(run.endings == 1);
    ENSURE(job_client_wants(&run.client) != 0);
    job_client_done(&run.client);
    ENSURE(memory.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct testing_question question;
    if (size < 2 || crypto_init() != 0) {
        return 0;
    }
    testing_question_init(&question, (data[0] & 1) != 0 ? 20000 : 100, 10);
    run_input(&question, data[0], (size_t)data[1] + 1, bytes_of(data + 2, size - 2));
    testing_question_done(&question);
    return 0;
}
