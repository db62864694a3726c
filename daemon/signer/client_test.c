/* The client against the real plasm-sign, and against others that misbehave. */
#include "signer/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/signing_testing.h"
#include "signer/service.h"

#define REQUESTS_MAX 400
#define PATIENCE     (10 * NANOS_SECOND)

static struct memory memory;
static char directory[64];
static char key_path[96];

/* A request of ours, and what came of it. */
struct asked {
    struct signer_request request;
    bool answered;
    int error;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
};

static size_t answered_count;

static nanos now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (nanos)time.tv_sec * NANOS_SECOND + (nanos)time.tv_nsec;
}

static int set_up(void **state) {
    (void)state;
    memory_init(&memory, SIZE_MAX);
    snprintf(directory, sizeof(directory), "/tmp/plasm-signer-XXXXXX");
    if (crypto_init() != 0 || mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(key_path, sizeof(key_path), "%s/identity.key", directory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(key_path);
    return rmdir(directory);
}

static void pair_of(int *ret_ours, int *ret_theirs) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
}

/* Starts the real program. */
static bool open_program(void *context, int *ret_socket, int *ret_pid) {
    int theirs;
    char name[] = "plasm-sign";
    char fd_option[] = "--fd";
    char fd[] = "3";
    char key_option[] = "--key";
    char *arguments[] = {name, fd_option, fd, key_option, key_path, NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    (void)context;
    pair_of(ret_socket, &theirs);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, theirs, 3), 0);
    if (theirs == 3) {
        (void)fcntl(theirs, F_SETFD, 0);
    }
    int error = posix_spawn(ret_pid, PLASM_BUILD_DIR "/bin/plasm-sign", &actions, NULL, arguments,
                            environment);
    posix_spawn_file_actions_destroy(&actions);
    close(theirs);
    return error == 0;
}

/* A signer in this process that the test plays. */
struct played {
    int socket; /* its end of the last connection */
    size_t opened;
};

static bool open_played(void *context, int *ret_socket, int *ret_pid) {
    struct played *played = context;
    if (played->opened > 0) {
        close(played->socket);
    }
    pair_of(ret_socket, &played->socket);
    *ret_pid = 0;
    played->opened++;
    return true;
}

static struct sign_client *client_of(bool (*open)(void *, int *, int *), void *context) {
    struct sign_client *client;
    const struct sign_client_config config = {
        .open = open, .context = context, .memory = &memory, .now = now};
    assert_int_equal(sign_client_new(&config, &client), 0);
    return client;
}

static void on_answer(struct signer_request *request, int error, const uint8_t *signature) {
    struct asked *asked = CONTAINER_OF(request, struct asked, request);
    assert_false(asked->answered);
    asked->answered = true;
    asked->error = error;
    memcpy(asked->signature, signature, ED25519_SIGNATURE_SIZE);
    answered_count++;
}

static void ask(struct sign_client *client, struct asked *asked, enum signing_kind kind,
                struct bytes payload) {
    *asked = (struct asked){.request = {.kind = kind, .payload = payload, .done = on_answer}};
    signer_submit(sign_client_signer(client), &asked->request);
}

/* As plasmd's loop does. */
static void turn(struct sign_client *client) {
    sign_client_flush(client);
    struct pollfd watched = {.fd = sign_client_fd(client), .events = POLLIN};
    (void)poll(&watched, 1, 10);
    if (watched.revents != 0) {
        sign_client_receive(client);
    }
    sign_client_expire(client);
}

static void turn_until(struct sign_client *client, size_t answered) {
    nanos until = nanos_add(now(), 6 * PATIENCE);
    while (answered_count < answered && now() < until) {
        turn(client);
    }
    assert_int_equal(answered_count, answered);
}

static void start(struct sign_client *client) {
    char fault[SIGN_CLIENT_FAULT_SIZE] = "";
    int error = sign_client_start(client, PATIENCE, fault);
    assert_string_equal(fault, "");
    assert_int_equal(error, 0);
}

static void identity_of(struct sign_client *client, struct signing_identity *ret_identity) {
    *ret_identity =
        (struct signing_identity){.key = *signer_public_key(sign_client_signer(client))};
    peer_id_from_key(&ret_identity->key, &ret_identity->id);
    peer_id_format(&ret_identity->id, ret_identity->id_text);
}

static void expect_receipt(const struct asked *asked, const struct signing_identity *identity) {
    assert_int_equal(asked->error, 0);
    assert_int_equal(
        ed25519_verify(identity->key.data, asked->request.payload, BYTES_ARRAY(asked->signature)),
        0);
}

/* Every kind, by the real program. */
static void the_program_signs(void **state) {
    (void)state;
    struct sign_client *client = client_of(open_program, NULL);
    struct signing_identity identity;
    struct asked asked[SIGNING_SUMMARY + 1];
    start(client);
    identity_of(client, &identity);
    answered_count = 0;
    for (int kind = SIGNING_TLS; kind <= SIGNING_SUMMARY; kind++) {
        ask(client, &asked[kind], (enum signing_kind)kind,
            testing_payload(&identity, (enum signing_kind)kind, &memory));
    }
    turn_until(client, SIGNING_SUMMARY);
    for (int kind = SIGNING_TLS; kind <= SIGNING_SUMMARY; kind++) {
        assert_int_equal(asked[kind].error, 0);
    }
    expect_receipt(&asked[SIGNING_RECEIPT], &identity);
    /* Foreign bytes, and another worker's receipt. */
    struct signing_identity other;
    testing_identity(5, &other);
    ask(client, &asked[1], SIGNING_RECEIPT, BYTES_LITERAL("{\"type\":\"phase.receipt/1\"}"));
    ask(client, &asked[2], SIGNING_RECEIPT, testing_receipt(&other, &memory));
    turn_until(client, SIGNING_SUMMARY + 2);
    assert_int_equal(asked[1].error, PLASM_INVALID);
    assert_int_equal(asked[2].error, PLASM_INVALID);
    /* Waiting for an answer. */
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    assert_int_equal(
        signer_sign(sign_client_signer(client), SIGNING_TLS, testing_spki(), signature), 0);
    signer_free(sign_client_signer(client));
}

/* Our child, as long as there is one. */
static pid_t child_pid(void) {
    siginfo_t info = {.si_pid = 0};
    char path[64];
    pid_t pid = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    if (fscanf(file, "%d", &pid) != 1) {
        pid = 0;
    }
    (void)fclose(file);
    (void)info;
    return pid;
}

/* Killed again and again, with hundreds of requests under way: each is answered once, and right. */
static void killed_under_load(void **state) {
    (void)state;
    static struct asked asked[REQUESTS_MAX];
    struct sign_client *client = client_of(open_program, NULL);
    struct signing_identity identity;
    uint64_t random = 20261125;
    start(client);
    identity_of(client, &identity);
    answered_count = 0;
    struct bytes receipt = testing_receipt(&identity, &memory);
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        ask(client, &asked[i], SIGNING_RECEIPT, receipt);
        if (test_random(&random) % 20 == 0) {
            sign_client_flush(client);
            if (child_pid() > 0) {
                (void)kill(child_pid(), SIGKILL);
            }
        }
        if (test_random(&random) % 4 == 0) {
            turn(client);
        }
    }
    turn_until(client, REQUESTS_MAX);
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        expect_receipt(&asked[i], &identity);
    }
    assert_true(sign_client_losses(client) > 0);
    assert_int_equal(sign_client_pending(client), 0);
    signer_free(sign_client_signer(client));
}

/* Answers the next packet as a service with this identity would; false when there is none. */
static bool play_one(const struct played *played, const struct signing_identity *identity) {
    static uint8_t packet[SIGN_PACKET_SIZE_MAX];
    static uint8_t room[SIGN_ANSWERS_SIZE_MAX];
    const struct sign_service service = {.identity = identity, .memory = &memory};
    struct bytes answers;
    ssize_t size = recv(played->socket, packet, sizeof(packet), 0);
    return size > 0 &&
           sign_service_answer(&service, bytes_of(packet, (size_t)size),
                               test_span(room, sizeof(room)), &answers) == 0 &&
           send(played->socket, answers.data, answers.size, MSG_NOSIGNAL) == (ssize_t)answers.size;
}

static void play(const struct played *played, const struct signing_identity *identity) {
    assert_true(play_one(played, identity));
}

/* The client's start is a call that waits: the other end is a child. */
static bool open_forked(void *context, int *ret_socket, int *ret_pid) {
    struct signing_identity identity;
    int theirs;
    pair_of(ret_socket, &theirs);
    testing_identity(*(const uint8_t *)context, &identity);
    pid_t pid = fork();
    if (pid == 0) {
        const struct played played = {.socket = theirs};
        close(*ret_socket);
        _exit(play_one(&played, &identity) && play_one(&played, &identity) ? 3 : 4);
    }
    close(theirs);
    *ret_pid = pid;
    return pid > 0;
}

/* Whoever comes back with another key is not taken; requests wait until the right one is there. */
static void another_key_is_refused(void **state) {
    (void)state;
    uint8_t number = 1;
    struct sign_client *client = client_of(open_forked, &number);
    struct signing_identity identity;
    struct asked asked[3];
    start(client);
    testing_identity(1, &identity);
    struct bytes receipt = testing_receipt(&identity, &memory);
    answered_count = 0;
    ask(client, &asked[0], SIGNING_RECEIPT, receipt);
    turn_until(client, 1); /* then it ends */
    number = 2;
    ask(client, &asked[1], SIGNING_RECEIPT, receipt);
    uint64_t losses = sign_client_losses(client);
    nanos until = nanos_add(now(), PATIENCE);
    while (sign_client_losses(client) < losses + 3 && now() < until) {
        turn(client);
    }
    assert_true(sign_client_losses(client) >= losses + 3);
    assert_true(sign_client_away_since(client) != 0);
    assert_int_equal(answered_count, 1);
    number = 1;
    turn_until(client, 2);
    expect_receipt(&asked[0], &identity);
    expect_receipt(&asked[1], &identity);
    signer_free(sign_client_signer(client));
}

/* What is no answer, or an answer to nothing, ends the connection and not the request. */
static void nonsense_is_survived(void **state) {
    (void)state;
    static const uint8_t nonsense[] = {9, 0, 0, 0, 1, 0, 0};
    static const uint8_t unasked[] = {0, 0, 0, 0, 0, 0, 0};
    struct played played = {.opened = 0};
    struct sign_client *client = client_of(open_played, &played);
    struct signing_identity identity;
    struct asked asked;
    char fault[SIGN_CLIENT_FAULT_SIZE];
    testing_identity(1, &identity);
    assert_int_equal(sign_client_start(client, 0, fault), PLASM_FAILED); /* nobody played yet */
    play(&played, &identity);
    answered_count = 0;
    ask(client, &asked, SIGNING_RECEIPT, testing_receipt(&identity, &memory));
    turn(client);
    for (size_t i = 0; i < 2; i++) {
        sign_client_flush(client);
        size_t opened = played.opened;
        (void)send(played.socket, i == 0 ? nonsense : unasked, sizeof(nonsense), MSG_NOSIGNAL);
        nanos until = nanos_add(now(), PATIENCE);
        while (played.opened == opened && now() < until) {
            turn(client);
        }
        assert_true(played.opened > opened);
        play(&played, &identity); /* who it is */
        turn(client);
    }
    assert_int_equal(answered_count, 0);
    sign_client_flush(client);
    play(&played, &identity);
    turn_until(client, 1);
    expect_receipt(&asked, &identity);
    signer_free(sign_client_signer(client));
    close(played.socket);
}

/* A withdrawn request is not answered, and does not confuse the others. */
static void withdrawn(void **state) {
    (void)state;
    struct played played = {.opened = 0};
    struct sign_client *client = client_of(open_played, &played);
    struct signing_identity identity;
    struct asked asked[4];
    char fault[SIGN_CLIENT_FAULT_SIZE];
    testing_identity(1, &identity);
    assert_int_equal(sign_client_start(client, 0, fault), PLASM_FAILED);
    play(&played, &identity);
    turn(client);
    answered_count = 0;
    for (size_t i = 0; i < 4; i++) {
        ask(client, &asked[i], SIGNING_RECEIPT, testing_receipt(&identity, &memory));
    }
    signer_withdraw(sign_client_signer(client), &asked[3].request); /* not sent yet */
    sign_client_flush(client);
    signer_withdraw(sign_client_signer(client), &asked[0].request);
    signer_withdraw(sign_client_signer(client), &asked[0].request); /* does nothing */
    play(&played, &identity);
    turn_until(client, 2);
    assert_false(asked[0].answered || asked[3].answered);
    expect_receipt(&asked[1], &identity);
    expect_receipt(&asked[2], &identity);
    assert_int_equal(sign_client_deadline(client), NANOS_NEVER);
    signer_free(sign_client_signer(client));
    close(played.socket);
}

static bool open_never(void *context, int *ret_socket, int *ret_pid) {
    (void)context;
    (void)ret_socket;
    (void)ret_pid;
    errno = ENOENT;
    return false;
}

static void says_why_it_cannot_start(void **state) {
    (void)state;
    char fault[SIGN_CLIENT_FAULT_SIZE];
    struct sign_client *client = client_of(open_never, NULL);
    assert_int_equal(sign_client_start(client, PATIENCE, fault), PLASM_FAILED);
    assert_string_equal(fault, "plasm-sign cannot be reached: No such file or directory");
    signer_free(sign_client_signer(client));
    assert_int_equal(chmod(key_path, 0644), 0);
    client = client_of(open_program, NULL);
    assert_int_equal(sign_client_start(client, PATIENCE, fault), PLASM_FAILED);
    assert_non_null(strstr(fault, "others may read it"));
    signer_free(sign_client_signer(client));
    assert_int_equal(chmod(key_path, 0600), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_signs),
        cmocka_unit_test(killed_under_load),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(nonsense_is_survived),
        cmocka_unit_test(withdrawn),
        cmocka_unit_test(says_why_it_cannot_start),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
