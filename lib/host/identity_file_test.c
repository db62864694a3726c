/* The identity file: made once, private, the same afterwards; refused when it is not right. */
#include "host/identity_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/testing.h"

static char directory[64];
static char path[128];

static int make_directory(void **state) {
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/plasm-identity-XXXXXX");
    if (crypto_init() != 0 || mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/identity.key", directory);
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(directory); /* fails when a temporary file was left behind */
}

static void made_once(void **state) {
    (void)state;
    struct ed25519_secret first;
    struct ed25519_secret second;
    assert_int_equal(identity_file_read(path, &first), PLASM_NOT_FOUND);
    assert_int_equal(identity_file_ensure(path, &first), 0);
    assert_int_equal(identity_file_ensure(path, &second), 0);
    assert_memory_equal(first.public_key, second.public_key, ED25519_PUBLIC_SIZE);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, PRIVATE_KEY_ENCODED_SIZE);
}

static void others_may_not_read_it(void **state) {
    (void)state;
    struct ed25519_secret secret;
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(identity_file_ensure(path, &secret), PLASM_UNTRUSTED);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(identity_file_ensure(path, &secret), 0);
}

static void damage_is_found(void **state) {
    (void)state;
    struct ed25519_secret secret;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, 10), 1); /* of the seed */
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 10), 1);
    assert_int_equal(identity_file_read(path, &secret), PLASM_UNTRUSTED);
    assert_int_equal(ftruncate(fd, 20), 0);
    assert_int_equal(identity_file_read(path, &secret), PLASM_MALFORMED);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(identity_file_ensure(path, &secret), PLASM_MALFORMED); /* never replaced */
    assert_int_equal(close(fd), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_once),
        cmocka_unit_test(others_may_not_read_it),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
