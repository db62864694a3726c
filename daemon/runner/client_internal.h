/* What the files of the parent's side share: the client, its processes, and their lives. */
#ifndef RUNNER_CLIENT_INTERNAL_H
#define RUNNER_CLIENT_INTERNAL_H

#include <sys/epoll.h>

#include "runner/runner_client.h"
#include "util/heap.h"
#include "util/list.h"

#define CLIENT_READY_MAX     64 /* sockets looked at in one runner_client_receive */
#define CLIENT_BURST_PACKETS 8  /* read from one of them before the next has its turn */
#define CLIENT_TEXT_SIZE     160

/* What a process is, from fork to the report of its exit. */
enum process_state {
    PROCESS_FREE,      /* a slot without a process */
    PROCESS_WARM,      /* a runner without a module */
    PROCESS_IDLE,      /* a runner kept for its client and module */
    PROCESS_BUSY,      /* a runner with a job */
    PROCESS_COMPILING, /* a compile process */
    PROCESS_ENDING,    /* let go, and to be killed as soon as its pidfd comes */
};

struct process;

struct runner_job {
    struct process *process;
    uint32_t number;
    void *user;
    uint64_t fuel_max;
    uint64_t output_left_bytes; /* what it may still give: a runner is not believed */
    nanos started;              /* when it was submitted */
    nanos deadline;             /* when its runner is killed */
    bool paused;
    bool cancelled;
    /* Set when the client killed the runner: how the job is to end then. */
    bool killed;
    enum runner_status killed_status;
};

struct runner_compile {
    struct process *process;
    void *user;
    int image_fd;
    bool cancelled;
    bool late; /* killed because it took too long */
};

struct process {
    struct runner_client *client;
    enum process_state state;
    uint32_t token;  /* of its slot and generation, in messages and epoll; 0 while free */
    int socket;      /* -1: closed, or at its end */
    int pidfd;       /* -1: not known yet */
    bool kill_due;   /* as soon as pidfd is known */
    bool exited;     /* EXITED came, or the zygote is gone */
    bool concluded;  /* in `concluded` of the client: exited and read to the end */
    bool distrusted; /* it broke the protocol, and was killed for it */
    bool was_busy;   /* its job's FINISHED was given because it died */
    pid_t pid;
    int exit_code;
    int signal;
    uint64_t cpu_us;
    struct list_node link; /* in the list of its state */
    struct heap_node due;  /* idle: let go; busy, compiling: kill */
    enum runner_flavour flavour;
    uint8_t key[RUNNER_KEY_SIZE_MAX];
    size_t key_size;
    struct runner_job job;
    struct runner_compile compile;
};

struct runner_client {
    struct runner_client_config config;
    struct memory *memory;
    int epoll;
    int zygote_socket; /* -1: none */
    pid_t zygote_pid;  /* 0: it is a service's, not our child */
    int zygote_pidfd;  /* -1: it has not said hello */
    bool zygote_said_hello;
    bool stopping; /* the zygote is gone; STOPPED when its last process is dealt with */
    char stopped_text[CLIENT_TEXT_SIZE];

    struct process *processes; /* slots */
    size_t slot_count;
    struct list free;
    struct list warm;
    struct list idle; /* the one idle longest comes first */
    struct list busy;
    struct list compiling;
    struct list ending;
    struct list concluded; /* exited and read to the end; to be told */
    struct heap due;
    nanos now; /* of the last call that said */
    uint32_t next_job;
    uint64_t forks;
    uint64_t deaths;

    /* Events: what epoll said, and the packet that is being told. */
    struct epoll_event ready[CLIENT_READY_MAX];
    size_t ready_count;
    size_t ready_next;
    size_t burst;            /* packets read from the present one */
    struct process *telling; /* whose packet is in `room` */
    struct bytes segments;   /* of it, not told yet */
    bool finished_due;       /* after the segments */
    struct runner_result result;
    char text[CLIENT_TEXT_SIZE]; /* of the event last given */
    uint8_t room[RUNNER_OUTPUT_SIZE_MAX + 1024];

    uint8_t send_room[RUNNER_MESSAGE_SIZE_MAX]; /* the packet that is being sent */
};

/* The list that processes of a state are in. */
struct list *client_list(struct runner_client *client, enum process_state state);
/* Moves a process to another state and list. */
void process_move(struct process *process, enum process_state state);
/* A runner that waits for its module. PLASM_STATE (no zygote), PLASM_LIMIT (no slot, or the zygote
 * does not keep up), PLASM_IO. */
MUST_CHECK int process_spawn_runner(struct runner_client *client, struct process **ret_process);
/* A process that compiles what is in `module_fd` to `image_fd`; both stay the caller's. */
MUST_CHECK int process_spawn_compile(struct runner_client *client,
                                     const struct runner_compile_message *request, int module_fd,
                                     int image_fd, struct process **ret_process);
/* The process with that token, or NULL. */
struct process *process_find(struct runner_client *client, uint32_t token);
/* Encodes and sends on the process's socket. Errors of packet_send. */
MUST_CHECK int process_send(struct process *process, const struct runner_message *message, int fd);
/* Kills it now, or as soon as there is a pidfd. */
void process_kill(struct process *process);
/* Kills it and listens to it no more. */
void process_let_go(struct process *process);
/* Closes its socket. */
void process_hang_up(struct process *process);
/* Whether its socket is read. */
void process_pause(struct process *process, bool paused);
/* It has exited and its socket is at its end: what that means is told next. */
void process_conclude(struct process *process);
/* Sets or (NANOS_NEVER) clears when it is due. Nodes are put in at the start: never fails. */
void process_set_due(struct process *process, nanos deadline);
/* Frees the slot; the process has exited. */
void process_free(struct process *process);
/* Forks waiting runners up to the configured number, as far as that goes. */
void client_warm_up(struct runner_client *client);
/* The zygote is gone or must go: ends everything; `text` says why. */
void client_stop(struct runner_client *client, const char *text);
/* The zygote has closed its socket: finds out why, and stops. */
void client_zygote_ended(struct runner_client *client);

#endif
