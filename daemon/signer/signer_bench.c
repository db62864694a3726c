/* What a signature from plasm-sign costs beside one of a key in the process itself: alone, as a
 * lone job asks for it, and as many at once as a packet holds. */
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/signing_testing.h"
#include "signer/client.h"
#include "signer/protocol.h"

#define ROUNDS 4000

static struct memory memory;
static size_t answered;

static nanos now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (nanos)time.tv_sec * NANOS_SECOND + (nanos)time.tv_nsec;
}

/* plasm-sign beside us, with a key of its own. */
static bool open_program(void *context, int *ret_socket, int *ret_pid) {
    int pair[2];
    char name[] = "plasm-sign";
    char fd_option[] = "--fd";
    char fd[] = "3";
    char key_option[] = "--key";
    char *arguments[] = {name, fd_option, fd, key_option, context, NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, pair[1], 3) != 0) {
        return false;
    }
    int error = posix_spawn(ret_pid, PLASM_BUILD_DIR "/bin/plasm-sign", &actions, NULL, arguments,
                            environment);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    *ret_socket = pair[0];
    return error == 0;
}

static void on_answer(struct signer_request *request, int error, const uint8_t *signature) {
    (void)request;
    (void)signature;
    ENSURE(error == 0);
    answered++;
}

/* `count` receipts at once; how long until the last is signed. */
static nanos sign_remote(struct sign_client *client, struct bytes receipt, size_t count) {
    static struct signer_request requests[SIGN_FRAMES_MAX];
    nanos began = now();
    answered = 0;
    for (size_t i = 0; i < count; i++) {
        requests[i] =
            (struct signer_request){.kind = SIGNING_RECEIPT, .payload = receipt, .done = on_answer};
        signer_submit(sign_client_signer(client), &requests[i]);
    }
    sign_client_flush(client);
    while (answered < count) {
        struct pollfd watched = {.fd = sign_client_fd(client), .events = POLLIN};
        (void)poll(&watched, 1, -1);
        sign_client_receive(client);
    }
    return now() - began;
}

static int by_size(const void *a, const void *b) {
    nanos left = *(const nanos *)a;
    nanos right = *(const nanos *)b;
    return (left > right) - (left < right);
}

static double median_us(nanos *times, size_t count) {
    qsort(times, count, sizeof(*times), by_size);
    return (double)times[count / 2] / 1000;
}

static nanos sign_local(const struct signing_identity *identity, struct bytes receipt) {
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    nanos began = now();
    ENSURE(signing_sign(identity, SIGNING_RECEIPT, receipt, &memory, signature) == 0);
    return now() - began;
}

int main(void) {
    static nanos times[3][ROUNDS];
    char directory[] = "/tmp/plasm-sign-bench-XXXXXX";
    char key[64];
    char fault[SIGN_CLIENT_FAULT_SIZE];
    struct sign_client *client;
    struct signing_identity own;
    struct signing_identity local;
    memory_init(&memory, SIZE_MAX);
    ENSURE(crypto_init() == 0 && mkdtemp(directory) != NULL);
    snprintf(key, sizeof(key), "%s/identity.key", directory);
    const struct sign_client_config config = {
        .open = open_program, .context = key, .memory = &memory, .now = now};
    ENSURE(sign_client_new(&config, &client) == 0);
    if (sign_client_start(client, 10 * NANOS_SECOND, fault) != 0) {
        printf("%s\n", fault);
        return EXIT_FAILURE;
    }
    own.key = *signer_public_key(sign_client_signer(client));
    peer_id_from_key(&own.key, &own.id);
    peer_id_format(&own.id, own.id_text);
    testing_identity(1, &local);
    struct bytes receipt = testing_receipt(&own, &memory);
    struct bytes local_receipt = testing_receipt(&local, &memory);
    for (size_t i = 0; i < ROUNDS; i++) {
        times[0][i] = sign_local(&local, local_receipt);
        times[1][i] = sign_remote(client, receipt, 1);
        times[2][i] = i % 16 == 0 ? sign_remote(client, receipt, SIGN_FRAMES_MAX) : times[2][i - 1];
    }
    double in_process = median_us(times[0], ROUNDS);
    double alone = median_us(times[1], ROUNDS);
    double packed = median_us(times[2], ROUNDS) / SIGN_FRAMES_MAX;
    printf("receipt checked and signed in this process  %6.1f us\n", in_process);
    printf("by plasm-sign, one at a time                %6.1f us  (%+.1f us)\n", alone,
           alone - in_process);
    printf("by plasm-sign, %2d at once, each             %6.1f us  (%.2f of it)\n", SIGN_FRAMES_MAX,
           packed, packed / in_process);
    signer_free(sign_client_signer(client));
    (void)unlink(key);
    (void)rmdir(directory);
    return EXIT_SUCCESS;
}
