/* A client that says anything, in pieces the first bytes choose, to a daemon that takes what it
 * can: events come in their order and the bounds hold. */
#include "proto/job/testing.h"
#include "util/ensure.h"

struct run {
    struct job_worker worker;
    uint8_t options; /* 0 holds the module, 1 knows the job, 2 resets at the end, 3 is slow */
    bool offered;
    bool ready;
    bool ended;
    bool cancelled;
    uint64_t module_bytes;
    uint64_t stdin_bytes;
    nanos now;
};

static void run_decide(struct run *run, const struct job_worker_offer *offer) {
    const struct job_rejected no = {.code = JOB_REJECTED_NOT_FOUND};
    ENSURE(!run->offered && offer->manifest->module_size <= JSON_INTEGER_MAX);
    run->offered = true;
    int error;
    if (offer->dry_run) {
        const struct job_estimate estimate = {.limits = offer->manifest->limits};
        ENSURE(job_worker_resume(&run->worker, NULL, 0, true) == PLASM_STATE);
        error = job_worker_estimate(&run->worker, &estimate);
        ENSURE(error == 0);
    } else if ((run->options & 2) != 0) {
        error = job_worker_resume(&run->worker, NULL, 0, true);
        ENSURE(error == 0);
    } else if (offer->only_fetch) {
        error = job_worker_reject(&run->worker, &no);
        ENSURE(error == 0);
    } else if ((run->options & 1) != 0) {
        error = job_worker_have_module(&run->worker, run->now);
        ENSURE(error == 0 || error == PLASM_TOO_LARGE);
    } else {
        error = job_worker_need_module(&run->worker, run->now);
        ENSURE(error == 0 || error == PLASM_TOO_LARGE);
    }
}

static void run_answer(struct run *run) {
    size_t taken;
    const struct job_progress news = {.state = JOB_STATE_RUNNING};
    ENSURE(!run->ready);
    run->ready = true;
    ENSURE(job_worker_accept(&run->worker, &run->worker.manifest.limits, 0, run->now + 100) == 0);
    ENSURE(job_worker_progress(&run->worker, &news) == 0);
    ENSURE(job_worker_output(&run->worker, JOB_STDOUT, BYTES_LITERAL("output"), &taken) == 0);
    ENSURE(taken == 6);
}

static void run_events(struct run *run) {
    struct job_worker_event event;
    uint8_t room[200];
    while (job_worker_next_event(&run->worker, &event)) {
        ENSURE(!run->ended);
        switch (event.type) {
        case JOB_WORKER_OFFER:
            run_decide(run, &event.offer);
            break;
        case JOB_WORKER_MODULE_DATA:
            run->module_bytes += event.data.size;
            ENSURE(run->module_bytes <= run->worker.manifest.module_size);
            break;
        case JOB_WORKER_STDIN_DATA:
            run->stdin_bytes += event.data.size;
            ENSURE(run->stdin_bytes <= run->worker.stdin_input.size);
            break;
        case JOB_WORKER_READY:
            run_answer(run);
            break;
        case JOB_WORKER_REFUSED:
            ENSURE(!run->ready && event.refused.fault.text != NULL);
            run->ended = true;
            break;
        case JOB_WORKER_CANCEL:
            ENSURE(!run->cancelled && (run->ready || (run->options & 2) != 0));
            run->cancelled = true;
            break;
        case JOB_WORKER_LOST:
        case JOB_WORKER_WRITABLE:
        case JOB_WORKER_MODULE_COMPLETE:
        case JOB_WORKER_STDIN_COMPLETE:
            break;
        }
    }
    struct span span = {.data = room, .size = sizeof(room)};
    while (job_worker_transmit(&run->worker, span, run->now) > 0) {
    }
    ENSURE((job_worker_pending(&run->worker, run->now) == 0) ||
           job_worker_deadline(&run->worker) != NANOS_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory memory;
    struct job_worker_bounds bounds;
    if (size < 2 || crypto_init() != 0) {
        return 0;
    }
    struct run run = {.options = data[0]};
    size_t piece = (size_t)data[1] + 1;
    struct bytes input = bytes_of(data + 2, size - 2);
    memory_init(&memory, 8 * JOB_FRAME_SIZE_MAX);
    job_worker_bounds_default(&bounds);
    job_worker_init(&run.worker, &bounds, &memory, 0);
    for (size_t offset = 0; offset < input.size; offset += piece) {
        run.now += (run.options & 8) != 0 ? NANOS_SECOND : 10;
        job_worker_expire(&run.worker, run.now);
        run_events(&run);
        job_worker_receive(&run.worker, bytes_slice(input, offset, piece), run.now);
        run_events(&run);
    }
    if ((run.options & 4) != 0) {
        job_worker_receive_reset(&run.worker);
    } else {
        job_worker_receive_fin(&run.worker);
    }
    run_events(&run);
    job_worker_receive_lost(&run.worker);
    run_events(&run);
    job_worker_done(&run.worker);
    ENSURE(memory.used == 0);
    return 0;
}
