/* Tests of assertions: they end the process in every build, and say where and why. */
#include "util/ensure.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/block.h"
#include "util/buffer.h"
#include "util/map.h"
#include "util/testing.h"

/* Runs `story` in a child; returns how it ended and what it wrote on standard error. */
static int run_child(void (*story)(void), char *ret_text, size_t text_size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        story();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t size = 0;
    ssize_t got;
    while (size < text_size - 1 &&
           (got = read(ends[0], ret_text + size, text_size - 1 - size)) > 0) {
        size += (size_t)got;
    }
    ret_text[size] = '\0';
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_false_condition(void) {
    int one = 1;
    ENSURE(one == 2);
}

static void a_true_condition(void) {
    int one = 1;
    ENSURE(one == 1);
}

static void too_much_committed(void) {
    struct memory memory;
    struct buffer buffer;
    struct span room;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&buffer, &memory, 8);
    if (buffer_reserve(&buffer, 8, &room) == 0) {
        buffer_commit(&buffer, 9);
    }
}

static void too_much_consumed(void) {
    struct memory memory;
    struct buffer buffer;
    memory_init(&memory, SIZE_MAX);
    buffer_init(&buffer, &memory, 8);
    buffer_consume(&buffer, 1);
}

static void too_much_given_back(void) {
    struct memory memory;
    memory_init(&memory, SIZE_MAX);
    void *block = memory_get(&memory, 8);
    memory_put(&memory, block, 9);
}

static void hex_without_room(void) {
    char room[4];
    bytes_to_hex(BYTES_LITERAL("ab"), room, sizeof(room));
}

static void removed_from_an_empty_map(void) {
    static const uint64_t secret[2] = {1, 2};
    struct memory memory;
    struct map map;
    struct map_node node = {0};
    memory_init(&memory, SIZE_MAX);
    map_init(&map, &memory, secret);
    map_remove(&map, &node);
}

static void a_true_condition_goes_on(void **state) {
    (void)state;
    char text[256];
    int status = run_child(a_true_condition, text, sizeof(text));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(text, "");
}

static void a_false_condition_aborts_and_says_where(void **state) {
    (void)state;
    char text[256];
    int status = run_child(a_false_condition, text, sizeof(text));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "ensure_test.c:"));
    assert_non_null(strstr(text, "one == 2"));
}

static void misuse_is_caught(void **state) {
    (void)state;
    static void (*const stories[])(void) = {too_much_committed, too_much_consumed,
                                            too_much_given_back, hex_without_room,
                                            removed_from_an_empty_map};
    for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
        char text[256];
        int status = run_child(stories[i], text, sizeof(text));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, "bug: "));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_condition_goes_on),
        cmocka_unit_test(a_false_condition_aborts_and_says_where),
        cmocka_unit_test(misuse_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
