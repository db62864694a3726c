/* Both ask plasm-sign: this process never sees a private key. */
#include "plasmd/key_command.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "plasmd/signer_link.h"
#include "wire/multibase.h"

#define MEMORY_MAX ((size_t)1 * 1024 * 1024)
/* Where the package's signing service keeps its key, and where that really is (DynamicUser). */
#define SERVICE_KEY "/var/lib/plasm-sign/identity.key"

static int fail(const char *fault) {
    (void)fprintf(stderr, "plasmd: %s\n", fault);
    return 1;
}

static void print_key(const struct public_key *key, bool json) {
    struct peer_id id;
    char id_text[PEER_ID_TEXT_MAX];
    char key_text[64] = "";
    peer_id_from_key(key, &id);
    peer_id_format(&id, id_text);
    (void)!base64_encode(bytes_of(key->data, ED25519_PUBLIC_SIZE), key_text, sizeof(key_text));
    if (json) {
        printf("{\"peer_id\":\"%s\",\"public_key\":\"%s\"}\n", id_text, key_text);
    } else {
        printf("peer id     %s\npublic key  %s\n", id_text, key_text);
    }
}

int key_show(const struct config *config, bool json) {
    struct signer_link link;
    struct memory memory;
    char fault[CONFIG_FAULT_SIZE];
    memory_init(&memory, MEMORY_MAX);
    signer_link_init(&link, config);
    bool reached = signer_link_fork(&link, NULL, true, fault) &&
                   signer_link_start(&link, &memory, NULL, fault);
    if (reached) {
        print_key(signer_public_key(sign_client_signer(link.client)), json);
    }
    signer_link_done(&link);
    return reached ? 0 : fail(fault);
}

int key_rotate(const struct config *config, bool force) {
    struct signer_link link;
    char program[CONFIG_PATH_SIZE];
    char fault[CONFIG_FAULT_SIZE];
    signer_link_init(&link, config);
    if (link.socket != NULL && strcmp(link.socket, SIGNER_SOCKET_DEFAULT) != 0) {
        return fail(
            "the key is that of the service at another socket than the package's: rotate it "
            "there, with plasm-sign --rotate --key FILE");
    }
    helper_find("", "plasm-sign", program);
    const char *path = link.socket != NULL ? SERVICE_KEY : link.key_path;
    (void)fflush(stdout);
    (void)execl(program, "plasm-sign", "--rotate", "--key", path, force ? "--force" : NULL, NULL);
    snprintf(fault, sizeof(fault), "%.250s: %.200s", program, strerror(errno));
    return fail(fault);
}
