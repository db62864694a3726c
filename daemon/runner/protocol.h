/* What plasmd, the zygote, the runners and the compile processes say to each other.
 *
 * Sockets are AF_UNIX SOCK_SEQPACKET pairs: one message a packet, whole or not at all. A message is
 * one type byte (enum runner_message) and then the fields of its struct in order, integers big
 * endian, byte strings behind their uint32 length. Descriptors travel with their message by
 * SCM_RIGHTS. Nobody trusts the runner's side: plasmd drops a runner whose message does not decode.
 *
 *   plasmd -> zygote   SPAWN    +1 descriptor: the runner's end of a pair plasmd made
 *                      COMPILE  +3: the compile process's end of such a pair, the module, and the
 *                      memfd that the image is to be written to
 *   zygote -> plasmd   HELLO once; SPAWNED +1 descriptor, the process's pidfd; EXITED
 *   compile -> plasmd  COMPILED, then it exits
 *   plasmd -> runner   LOAD   +1 descriptor: the image; once, the first message
 *                      JOB    +1 descriptor where standard input is a file; one at a time
 *                      CANCEL with SIGUSR1 through the pidfd, where the runner computes
 *   runner -> plasmd   OUTPUT, any number; FINISHED, once a job, with the rest of the output
 *
 * LOAD and JOB may be sent before the runner exists: the socket keeps them. A failed LOAD is
 * answered with the status of the jobs that follow. Closing a socket ends the process at its other
 * end. */
#ifndef RUNNER_PROTOCOL_H
#define RUNNER_PROTOCOL_H

#include "util/bytes.h"
#include "util/cursor.h"

/* Grows with every change of a message. */
#define RUNNER_PROTOCOL_VERSION 2

/* Bounds, in bytes. */
#define RUNNER_SEED_SIZE          32
#define RUNNER_STRINGS_SIZE_MAX   (64 * 1024) /* args and env of a job, each with its NUL */
#define RUNNER_STRINGS_MAX        2048        /* number of args, of env */
#define RUNNER_STDIN_INLINE_MAX   (32 * 1024)
#define RUNNER_OUTPUT_SIZE_MAX    (60 * 1024) /* output in one message */
#define RUNNER_TEXT_SIZE_MAX      255         /* one line for people */
#define RUNNER_TABLE_ELEMENTS_MAX 10000
/* Largest message of any type. */
#define RUNNER_MESSAGE_SIZE_MAX (RUNNER_STRINGS_SIZE_MAX + RUNNER_STDIN_INLINE_MAX + 256)

/* Engine, settings and image format: a part of the module cache's key. Changes with any of them. */
#define RUNNER_IMAGE_VERSION "wasmtime-48.0.8/1"
/* What receipts and capabilities call it. */
#define RUNNER_RUNTIME "wasmtime-48"

/* How code was compiled. */
enum runner_flavour {
    RUNNER_FLAVOUR_PLAIN = 1,   /* epochs; not metered */
    RUNNER_FLAVOUR_METERED = 2, /* epochs, fuel, canonical NaN */
};

/* How a job ended. Same order and meaning as enum job_status of receipt/receipt.h. */
enum runner_status {
    RUNNER_STATUS_OK,        /* _start returned, or proc_exit(0) */
    RUNNER_STATUS_EXIT,      /* proc_exit(n), n > 0 */
    RUNNER_STATUS_TRAP,      /* unreachable, out of bounds, ... */
    RUNNER_STATUS_FUEL,      /* out of fuel */
    RUNNER_STATUS_TIMEOUT,   /* over wall_ms */
    RUNNER_STATUS_MEMORY,    /* declares more memory than the limit */
    RUNNER_STATUS_OUTPUT,    /* wrote more than output_bytes; exactly output_bytes were given */
    RUNNER_STATUS_STACK,     /* call stack exhausted */
    RUNNER_STATUS_COMPILE,   /* not a module that can be run */
    RUNNER_STATUS_CANCELLED, /* by the client */
    RUNNER_STATUS_FAILED,    /* the worker's own failure */
    RUNNER_STATUS_COUNT
};

/* "ok", "exit", ...; "unknown" for a number not above. */
const char *runner_status_name(enum runner_status status);

enum runner_stream { RUNNER_STDOUT = 1, RUNNER_STDERR = 2 };

/* What compiling came to; also the exit code of plasm-run --compile. Job status `compile` for all
 * but FAILED. */
enum runner_compile_outcome {
    RUNNER_COMPILE_OK = 0,
    RUNNER_COMPILE_INVALID = 10, /* not a valid module */
    RUNNER_COMPILE_UNSUPPORTED =
        11,                     /* valid, but wants what no profile offers: imports, features */
    RUNNER_COMPILE_LIMIT = 12,  /* too large, too slow or too hungry to compile */
    RUNNER_COMPILE_FAILED = 13, /* our failure, or cancelled */
};

/* Bounds of a compile process; operator settings. */
struct runner_compile_limits {
    uint64_t module_bytes_max;
    uint64_t memory_bytes_max; /* RLIMIT_DATA */
    uint64_t cpu_s_max;        /* RLIMIT_CPU */
    uint64_t image_bytes_max;  /* RLIMIT_FSIZE */
};

/* Defaults: 16 MiB, 1 GiB, 10 s, and 256 MiB for what comes of it. */
void runner_compile_limits_default(struct runner_compile_limits *ret_limits);

/* What a job may use. */
struct runner_limits {
    uint64_t fuel; /* 0: not metered, wasip1 only */
    uint64_t memory_bytes;
    uint64_t wall_ms;
    uint64_t output_bytes; /* standard output and standard error together */
};

/* How a job ended, and what it took. */
struct runner_result {
    enum runner_status status;
    int64_t exit_code; /* ok: 0; exit: 1 to 2^32-1; else -1 */
    uint64_t fuel;     /* consumed; 0 where it was not metered */
    uint64_t wall_us;
    struct bytes text; /* why, for people: printable ASCII, one line; "" for ok and exit */
};

/* The walls around a runner, as bits of HELLO. */
enum runner_wall {
    RUNNER_WALL_SECCOMP = 1,
    RUNNER_WALL_RLIMITS = 2,
    RUNNER_WALL_NO_NEW_PRIVILEGES = 4, /* and no capabilities */
    RUNNER_WALL_NOT_DUMPABLE = 8,
    RUNNER_WALL_LANDLOCK = 16,
    RUNNER_WALL_USER_NAMESPACE = 32,
    RUNNER_WALL_NETWORK_NAMESPACE = 64,
    RUNNER_WALL_MOUNT_NAMESPACE = 128, /* with an empty root */
    RUNNER_WALL_PID_NAMESPACE = 256,
    RUNNER_WALL_IPC_NAMESPACE = 512,
    RUNNER_WALL_UTS_NAMESPACE = 1024,
    RUNNER_WALL_OTHER_USER = 2048, /* runs as nobody: only where plasmd is root */
};

/* Why a zygote gave up before its HELLO: its exit code. */
enum runner_zygote_exit {
    RUNNER_ZYGOTE_NO_SANDBOX = 20,
    RUNNER_ZYGOTE_NO_SECCOMP = 21,
    RUNNER_ZYGOTE_NO_ENGINE = 22,
};

enum runner_message_type {
    RUNNER_MESSAGE_HELLO = 1,
    RUNNER_MESSAGE_SPAWN = 2,
    RUNNER_MESSAGE_SPAWNED = 3,
    RUNNER_MESSAGE_EXITED = 4,
    RUNNER_MESSAGE_COMPILE = 5,
    RUNNER_MESSAGE_COMPILED = 6,
    RUNNER_MESSAGE_CONFIGURE = 7,
    RUNNER_MESSAGE_LOAD = 8,
    RUNNER_MESSAGE_JOB = 9,
    RUNNER_MESSAGE_CANCEL = 10,
    RUNNER_MESSAGE_OUTPUT = 11,
    RUNNER_MESSAGE_FINISHED = 12,
};

/* The first message, to the zygote: what it may use before it locks itself in. */
struct runner_configure {
    uint64_t data_bytes_max; /* RLIMIT_DATA of a runner */
    uint64_t compile_data_bytes_max;
    uint64_t file_bytes_max; /* RLIMIT_FSIZE while compiling and loading */
};

/* Comes with a pidfd of the zygote's own. */
struct runner_hello {
    uint32_t version; /* RUNNER_PROTOCOL_VERSION; another one is another build */
    uint32_t walls;
    uint32_t landlock_abi;
};

/* `token` is plasmd's number for the process, in all four. */
struct runner_spawn {
    uint32_t token;
};

struct runner_compile_message {
    uint32_t token;
    enum runner_flavour flavour;
    struct runner_compile_limits limits;
    uint64_t module_size;
};

struct runner_spawned {
    uint32_t token;
    uint32_t pid;   /* as the zygote counts; 0 and no descriptor: it could not fork */
    uint32_t error; /* then errno */
};

struct runner_exited {
    uint32_t token;
    uint32_t exit_code;
    uint32_t signal; /* 0: it exited by itself */
    uint64_t cpu_us; /* processor time it took */
};

struct runner_compiled {
    enum runner_compile_outcome outcome;
    uint64_t image_size; /* when ok */
    uint64_t cpu_us;     /* processor time it took */
    struct bytes text;   /* why not: as in runner_result */
};

struct runner_load {
    enum runner_flavour flavour;
    uint64_t image_size;
};

/* `args` and `env`: each string with its NUL, one after the other, as WASI's args_get gives them.
 */
struct runner_job_message {
    uint32_t job; /* plasmd's number for the job, in all messages about it */
    bool deterministic;
    struct runner_limits limits;
    struct bytes seed; /* RUNNER_SEED_SIZE bytes when deterministic, else none */
    uint32_t arg_count;
    uint32_t env_count;
    struct bytes args;
    struct bytes env;
    bool stdin_is_file; /* comes as a descriptor, `stdin_size` bytes of it */
    uint64_t stdin_size;
    struct bytes stdin_bytes; /* empty where it is a file */
};

struct runner_cancel {
    uint32_t job;
};

/* Output is a list of segments: stream (uint8), size (uint32), bytes; in the order the module wrote
 * them. It is the message's last field and has no length of its own. */
struct runner_output {
    struct bytes segments;
};

struct runner_finished {
    uint32_t job;
    struct runner_result result;
    struct bytes segments; /* what no OUTPUT has carried yet */
};

/* One message; bytes are borrowed. */
struct runner_message {
    enum runner_message_type type;
    union {
        struct runner_configure configure;
        struct runner_hello hello;
        struct runner_spawn spawn;
        struct runner_spawned spawned;
        struct runner_exited exited;
        struct runner_compile_message compile;
        struct runner_compiled compiled;
        struct runner_load load;
        struct runner_job_message job;
        struct runner_cancel cancel;
        struct runner_output output;
        struct runner_finished finished;
    };
};

/* Checks everything a message can say by itself: types, sizes, bounds, numbers of strings, texts,
 * segments, no trailing bytes. PLASM_MALFORMED. */
MUST_CHECK int runner_message_decode(struct bytes packet, struct runner_message *ret_message);
/* PLASM_TOO_LARGE when `room` is too small. Checks nothing else. */
MUST_CHECK int runner_message_encode(const struct runner_message *message, struct span room,
                                     size_t *ret_size);

/* The first of `segments`, which is cut from them. False when there is none (or, before decoding
 * has checked them, none that is well formed). */
MUST_CHECK bool runner_segment_next(struct bytes *segments, enum runner_stream *ret_stream,
                                    struct bytes *ret_data);
#define RUNNER_SEGMENT_HEAD_SIZE 5
/* Writes stream and size of a segment to RUNNER_SEGMENT_HEAD_SIZE bytes. */
void runner_segment_head(uint8_t *room, enum runner_stream stream, uint32_t size);

#endif
