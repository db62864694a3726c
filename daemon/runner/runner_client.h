/* The parent's side of plasm-run: plasmd submits jobs and modules to compile, and takes events.
 *
 * One `struct runner_client` owns a zygote, the runners it forked, and the compile processes. All
 * of it is non-blocking and single-threaded; there is no loop in it. How to drive it:
 *
 *   runner_client_new, runner_client_start
 *   watch runner_client_fd() for readability (level-triggered; uv_poll, epoll, poll), keep one
 *   timer for runner_client_deadline()
 *   when readable: runner_client_receive(), then events until there is none
 *   when the timer fires: runner_client_expire(), then events until there is none
 *   after every other call: look at runner_client_deadline() again
 *
 * A job is one call, runner_client_submit(): the client finds the idle runner that serves this
 * client and this module, or gives a waiting one the module, or has one forked; the caller never
 * sees a runner. Every submitted job ends with exactly one RUNNER_EVENT_FINISHED, whatever happens
 * to the processes. Nothing in here hashes: what must be hashed are the bytes of
 * RUNNER_EVENT_OUTPUT, in order.
 *
 * The messages between the processes are in protocol.h, the walls in sandbox/sandbox.h. */
#ifndef RUNNER_RUNNER_CLIENT_H
#define RUNNER_RUNNER_CLIENT_H

#include <sys/types.h>

#include "runner/protocol.h"
#include "util/memory.h"
#include "util/time.h"

/* Longest key of runner_client_submit, in bytes. */
#define RUNNER_KEY_SIZE_MAX 128

struct runner_client;
struct runner_job;
struct runner_compile;

/* Zeroed fields are not defaults: begin with runner_client_config_default. */
struct runner_client_config {
    /* Path of plasm-run; or where `is_service`, of the SOCK_SEQPACKET socket at which a service
     * starts one for each connection. Borrowed for the client's life. */
    const char *program;
    bool is_service;
    size_t runners_max;        /* processes that serve or wait, without compiling ones */
    size_t runners_warm;       /* kept forked and waiting for their first module */
    bool runner_per_job;       /* a process a job (isolation = job): none is kept */
    nanos idle_timeout;        /* a runner without a job for so long ends */
    nanos kill_grace;          /* a job over its wall time for so long is killed */
    uint64_t memory_bytes_max; /* the largest limits.memory_bytes of a job: sizes RLIMIT_DATA */
    size_t compiles_max;       /* compile processes at once */
    struct runner_compile_limits compile; /* protocol.h */
    /* Starts plasm-run, with runner_client_arguments and the socket as RUNNER_ZYGOTE_FD, as a child
     * of this process; 0 or PLASM_IO (errno). NULL: the client starts it itself. */
    int (*start)(void *start_context, int socket, int *ret_pid);
    void *start_context;
};

void runner_client_config_default(struct runner_client_config *ret_config);

/* How plasm-run is called, ends with NULL. */
struct runner_arguments {
    char *list[4];
};
/* The descriptor it finds its socket at. */
#define RUNNER_ZYGOTE_FD 3
void runner_client_arguments(struct runner_arguments *ret_arguments);

/* One job. Everything pointed to is borrowed for the call only. */
struct runner_request {
    /* Whom the runner serves: bytes that are the same for the same client and module and for no
     * others (peer id, then the module's hash), RUNNER_KEY_SIZE_MAX at most. The flavour need not
     * be part of it. */
    struct bytes key;
    /* What RUNNER_EVENT_COMPILED gave, flavour runner_flavour(deterministic, limits.fuel), MAC
     * checked by the caller: a descriptor that nobody can write to any more (a sealed memfd, see
     * runner_memfd). Stays the caller's; may be closed after the call. */
    int image_fd;
    uint64_t image_size;
    const struct bytes *args; /* UTF-8 without NUL; by convention args[0] is the program's name */
    size_t arg_count;
    const struct bytes *env; /* "K=V" */
    size_t env_count;
    /* Standard input: either the bytes (RUNNER_STDIN_INLINE_MAX at most), or, where stdin_fd is
     * >= 0, the first stdin_size bytes of a file (again: sealed). */
    struct bytes stdin_bytes;
    int stdin_fd;
    uint64_t stdin_size;
    struct runner_limits limits;    /* protocol.h; the effective ones */
    bool deterministic;             /* profile deterministic/1: fuel must not be 0 */
    uint8_t seed[RUNNER_SEED_SIZE]; /* deterministic/1: seed of its random numbers */
    void *user;                     /* given back in events */
};

enum runner_event_type {
    /* The zygote is ready: `started`. Jobs may be submitted before: they wait for it. */
    RUNNER_EVENT_STARTED,
    /* The zygote is gone: `stopped`. All its jobs have been given their FINISHED before. Start
     * again with runner_client_start. */
    RUNNER_EVENT_STOPPED,
    RUNNER_EVENT_OUTPUT,   /* `output` of a job, as it is made */
    RUNNER_EVENT_FINISHED, /* `finished`: the job is over, its handle is no more */
    RUNNER_EVENT_DIED,     /* `died`: a runner ended otherwise than asked. For the log only */
    RUNNER_EVENT_COMPILED, /* `compiled`: over, its handle is no more */
};

struct runner_event_started {
    uint32_t walls;        /* bits of enum runner_wall: what stands between guest and host */
    uint32_t landlock_abi; /* 0: none */
    pid_t pid;
};

struct runner_event_stopped {
    const char *text;
};

struct runner_event_output {
    struct runner_job *job;
    void *user;
    enum runner_stream stream;
    struct bytes data; /* borrowed until the next call */
};

struct runner_event_finished {
    void *user;
    struct runner_result result; /* protocol.h: status, exit code, fuel, wall time, text */
};

struct runner_event_died {
    pid_t pid; /* 0: it died before its number was known */
    int exit_code;
    int signal; /* 0: it exited by itself; SIGSYS: seccomp stopped it */
    bool busy;  /* it had a job: that one's FINISHED, `failed`, has come before */
    const char *text;
};

struct runner_event_compiled {
    void *user;
    enum runner_compile_outcome outcome; /* protocol.h */
    const char *text;                    /* why not: one line, printable; "" when ok */
    int image_fd; /* when ok: sealed memfd, now the caller's to close; else -1 */
    uint64_t image_size;
    uint64_t cpu_us; /* processor time the process took */
};

/* Text is borrowed until the next call. */
struct runner_event {
    enum runner_event_type type;
    union {
        struct runner_event_started started;
        struct runner_event_stopped stopped;
        struct runner_event_output output;
        struct runner_event_finished finished;
        struct runner_event_died died;
        struct runner_event_compiled compiled;
    };
};

/* A client without processes. `memory` and config->program outlive it. PLASM_NO_MEMORY, PLASM_IO,
 * PLASM_INVALID (a bound that makes no sense). On failure *ret_client is untouched. */
MUST_CHECK int runner_client_new(const struct runner_client_config *config, struct memory *memory,
                                 struct runner_client **ret_client);
/* Starts the zygote; RUNNER_EVENT_STARTED follows. PLASM_STATE when there is one, PLASM_IO
 * (the program cannot be executed; errno has more). */
MUST_CHECK int runner_client_start(struct runner_client *client);
/* Kills every process and frees the client. Gives no events. NULL is allowed. */
void runner_client_free(struct runner_client *client);

/* An epoll descriptor, the same for the client's whole life: readable while there is something
 * for runner_client_receive. */
int runner_client_fd(const struct runner_client *client);
/* Reads what the processes sent. Call runner_client_next_event until it gives false before the
 * next call. */
void runner_client_receive(struct runner_client *client, nanos now);
/* Kills what is over its time, lets idle runners go. */
void runner_client_expire(struct runner_client *client, nanos now);
/* When runner_client_expire is due; NANOS_NEVER when never. */
nanos runner_client_deadline(const struct runner_client *client);
MUST_CHECK bool runner_client_next_event(struct runner_client *client,
                                         struct runner_event *ret_event);

/* Begins a job. Returns 0 and its handle, which is valid until its FINISHED has been given.
 * PLASM_LIMIT: every runner is busy (runners_max), try again after a FINISHED; PLASM_STATE: no
 * zygote; PLASM_INVALID: request (key, stdin, fuel, limits); PLASM_TOO_LARGE: args and env beyond
 * RUNNER_STRINGS_SIZE_MAX; PLASM_NO_MEMORY; PLASM_IO. */
MUST_CHECK int runner_client_submit(struct runner_client *client,
                                    const struct runner_request *request, nanos now,
                                    struct runner_job **ret_job);
/* Asks the job to stop: its FINISHED, `cancelled` with what it wrote until then, comes within
 * 50 ms (the runner is killed where it does not listen), or another status when it was over
 * already. Gives nothing to wait for when the job is cancelled already. */
void runner_job_cancel(struct runner_job *job, nanos now);
/* Stops reading the job's output: RUNNER_EVENT_OUTPUT may still come for what was read already, at
 * most 64 KiB; then the module blocks in its write. Its wall time runs on. */
void runner_job_pause(struct runner_job *job);
void runner_job_resume(struct runner_job *job);
/* Ends every runner that serves this key and is idle (its client went away). */
void runner_client_forget(struct runner_client *client, struct bytes key);

/* Compiles a module in a process of its own. `module` is borrowed for the call only. PLASM_LIMIT:
 * compiles_max are running; PLASM_IO; PLASM_NO_MEMORY. */
MUST_CHECK int runner_client_compile(struct runner_client *client, struct bytes module,
                                     enum runner_flavour flavour, void *user, nanos now,
                                     struct runner_compile **ret_compile);
/* Kills the process; its COMPILED comes with RUNNER_COMPILE_FAILED. */
void runner_compile_cancel(struct runner_compile *compile);

/* Counters for metrics. */
struct runner_client_counts {
    size_t runners_busy;
    size_t runners_idle; /* kept for their client */
    size_t runners_warm;
    size_t compiles;
    uint64_t forks;
    uint64_t deaths; /* RUNNER_EVENT_DIED */
};

struct runner_client_counts runner_client_counts(const struct runner_client *client);

/* The flavour of code a job needs: metered where fuel is counted, as deterministic/1 always is. The
 * compiled module's cache key is (module hash, flavour, RUNNER_IMAGE_VERSION). */
enum runner_flavour runner_flavour(bool deterministic, uint64_t fuel);

/* A sealed memfd with a copy of `bytes`: nobody can change it any more. PLASM_IO. */
MUST_CHECK int runner_memfd(struct bytes bytes, int *ret_fd);

/* "user, network, mount namespaces, Landlock 4, seccomp; absent: pid namespace": what stands and
 * what not, for one log line. `room` is RUNNER_WALLS_TEXT_SIZE bytes. */
#define RUNNER_WALLS_TEXT_SIZE 256
void runner_walls_text(uint32_t walls, uint32_t landlock_abi, char *room);

#endif
