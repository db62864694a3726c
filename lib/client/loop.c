/* Running the client's loop inside a blocking call, and from somebody else's loop. */
#include "client/client.h"

#include <unistd.h>

nanos client_deadline(int64_t timeout_ms) {
    return timeout_ms < 0 ? NANOS_NEVER
                          : nanos_add(host_now(), (nanos)timeout_ms * NANOS_MILLISECOND);
}

int client_enter(struct plasm_client *client) {
    if (client->pid != getpid()) {
        return client_fail(PLASM_STATE, "this client was made before a fork: make a new one in "
                                        "the child process");
    }
    atomic_store(&client->interrupted, false);
    return 0;
}

static void step(struct plasm_client *client, nanos deadline) {
    nanos now = host_now();
    core_expire(client->core, now);
    host_wait(client->host, nanos_min(deadline, core_deadline(client->core)));
    core_expire(client->core, host_now());
}

int client_run(struct plasm_client *client, bool (*done)(const void *context), const void *context,
               nanos deadline) {
    while (!done(context)) {
        if (atomic_exchange(&client->interrupted, false)) {
            return client_fail(PLASM_CANCELLED, "interrupted");
        }
        if (host_now() >= deadline) {
            return client_fail(PLASM_TIMEOUT, "no answer in time");
        }
        step(client, deadline);
    }
    return 0;
}

int plasm_client_wait(struct plasm_client *client, int timeout_ms) {
    if (client->pid != getpid()) {
        return client_enter(client);
    }
    step(client, client_deadline(timeout_ms));
    return atomic_exchange(&client->interrupted, false)
               ? client_fail(PLASM_CANCELLED, "interrupted")
               : 0;
}

int plasm_client_fd(struct plasm_client *client) {
    return uv_backend_fd(host_loop(client->host));
}

int64_t plasm_client_deadline_ms(struct plasm_client *client) {
    uv_update_time(host_loop(client->host));
    int wait = uv_backend_timeout(host_loop(client->host));
    nanos deadline = core_deadline(client->core);
    if (deadline == NANOS_NEVER) {
        return wait;
    }
    int64_t left =
        (int64_t)((nanos_since(deadline, host_now()) + NANOS_MILLISECOND - 1) / NANOS_MILLISECOND);
    return wait >= 0 && wait < left ? wait : left;
}

int plasm_client_poll(struct plasm_client *client) {
    int error = client_enter(client);
    if (error != 0) {
        return error;
    }
    (void)uv_run(host_loop(client->host), UV_RUN_NOWAIT);
    core_expire(client->core, host_now());
    /* What that left to be sent goes out before the outer loop sleeps. */
    (void)uv_run(host_loop(client->host), UV_RUN_NOWAIT);
    return 0;
}

void plasm_client_interrupt(struct plasm_client *client) {
    atomic_store(&client->interrupted, true);
    host_wake(client->host);
}
