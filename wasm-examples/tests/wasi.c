/* Calls every function of WASI preview 1, rightly and wrongly, and says what was not as it should
 * be; exits with the number of such answers. What is right: the specification, and the cases of the
 * official test suite that need no files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasi_raw.h"

static int failures;

static void check(const char *call, u32 given, u32 expected) {
    if (given != expected) {
        fprintf(stderr, "%s: errno %u, not %u\n", call, given, expected);
        failures++;
    }
}

static void check_that(const char *what, int holds) {
    if (!holds) {
        fprintf(stderr, "not so: %s\n", what);
        failures++;
    }
}

#define EXPECT(expected, call) check(#call, call, expected)
#define THAT(condition)        check_that(#condition, condition)

#define NOWHERE 0xfffffff0u /* no memory reaches so far */
#define NO_FD   3u
#define MANY    0xffff8597u /* -31337, as the official suite has it */

static u32 memory_end(void) {
    return (u32)(__builtin_wasm_memory_size(0) * 65536);
}

/* Arguments: those the test gives. */
static void arguments(int argc, char **argv) {
    u32 count = 0;
    u32 size = 0;
    EXPECT(SUCCESS, raw_args_sizes_get(AT(&count), AT(&size)));
    THAT(count == (u32)argc);
    u32 *pointers = malloc((count + 1) * 4);
    char *strings = malloc(size + 1);
    EXPECT(SUCCESS, raw_args_get(AT(pointers), AT(strings)));
    u32 total = 0;
    for (int i = 0; i < argc; i++) {
        THAT(strcmp((char *)(uintptr_t)pointers[i], argv[i]) == 0);
        total += (u32)strlen(argv[i]) + 1;
    }
    THAT(total == size);
    EXPECT(FAULT, raw_args_sizes_get(NOWHERE, AT(&size)));
    EXPECT(FAULT, raw_args_sizes_get(AT(&count), memory_end() - 3));
    EXPECT(FAULT, raw_args_get(NOWHERE, AT(strings)));
    EXPECT(FAULT, raw_args_get(AT(pointers), memory_end() - 1));
}

static void environment(void) {
    u32 count = 0;
    u32 size = 0;
    EXPECT(SUCCESS, raw_environ_sizes_get(AT(&count), AT(&size)));
    THAT(count == 3);
    THAT(size == sizeof("a=text") + sizeof("b=escap \" ing") + sizeof("c=new\nline"));
    u32 pointers[3];
    char strings[64];
    EXPECT(SUCCESS, raw_environ_get(AT(pointers), AT(strings)));
    THAT(strcmp((char *)(uintptr_t)pointers[0], "a=text") == 0);
    THAT(strcmp((char *)(uintptr_t)pointers[1], "b=escap \" ing") == 0);
    THAT(strcmp((char *)(uintptr_t)pointers[2], "c=new\nline") == 0);
    EXPECT(FAULT, raw_environ_get(NOWHERE, AT(strings)));
    EXPECT(FAULT, raw_environ_sizes_get(AT(&count), NOWHERE));
}

static void clocks(void) {
    u64 first = 0;
    u64 second = 0;
    for (u32 id = 0; id <= 3; id++) {
        EXPECT(SUCCESS, raw_clock_res_get(id, AT(&first)));
        THAT(first > 0);
        EXPECT(SUCCESS, raw_clock_time_get(id, 1, AT(&first)));
        EXPECT(SUCCESS, raw_clock_time_get(id, 0, AT(&second)));
        THAT(first <= second);
    }
    EXPECT(SUCCESS, raw_clock_time_get(0, 0, AT(&first)));
    THAT(first > 946684800000000000);
    EXPECT(INVAL, raw_clock_res_get(4, AT(&first)));
    EXPECT(INVAL, raw_clock_time_get(17, 0, AT(&first)));
    EXPECT(FAULT, raw_clock_res_get(0, memory_end() - 7));
    EXPECT(FAULT, raw_clock_time_get(1, 0, NOWHERE));
}

static void random_numbers(void) {
    uint8_t *large = calloc(1, 200000);
    uint8_t small[16] = {0};
    EXPECT(SUCCESS, raw_random_get(AT(large), 200000));
    u32 zeros = 0;
    for (u32 i = 0; i < 200000; i++) {
        zeros += large[i] == 0;
    }
    THAT(zeros < 2000);
    EXPECT(SUCCESS, raw_random_get(AT(small), 0));
    for (u32 i = 0; i < sizeof(small); i++) {
        THAT(small[i] == 0);
    }
    EXPECT(FAULT, raw_random_get(NOWHERE, 17));
    EXPECT(FAULT, raw_random_get(memory_end() - 8, 9));
    EXPECT(FAULT, raw_random_get(8, 0xffffffff));
    free(large);
}

static void reading(void) {
    char room[8] = {0};
    u32 got = 99;
    struct iovec_raw vectors[] = {{AT(room), 2}, {AT(room + 2), 0}, {AT(room + 2), 3}};
    EXPECT(SUCCESS, raw_fd_read(0, AT(vectors), 3, AT(&got)));
    THAT(got == 5 && memcmp(room, "stand", 5) == 0);
    EXPECT(SUCCESS, raw_fd_read(0, AT(vectors), 0, AT(&got)));
    THAT(got == 0);
    struct iovec_raw far = {NOWHERE, 4};
    struct iovec_raw wide = {AT(room), 0xffffffff};
    EXPECT(FAULT, raw_fd_read(0, AT(&far), 1, AT(&got)));
    EXPECT(FAULT, raw_fd_read(0, AT(&wide), 1, AT(&got)));
    EXPECT(FAULT, raw_fd_read(0, NOWHERE, 1, AT(&got)));
    EXPECT(FAULT, raw_fd_read(0, AT(vectors), 0x20000001, AT(&got))); /* 8 times that is 8 */
    EXPECT(FAULT, raw_fd_read(0, AT(vectors), 0, NOWHERE));
    EXPECT(BADF, raw_fd_read(1, AT(vectors), 1, AT(&got)));
    EXPECT(BADF, raw_fd_read(NO_FD, AT(vectors), 1, AT(&got)));
    EXPECT(BADF, raw_fd_read(MANY, AT(vectors), 1, AT(&got)));
}

static void writing(void) {
    u32 written = 99;
    struct iovec_raw vectors[] = {{AT("he"), 2}, {AT("llo\n"), 4}};
    EXPECT(SUCCESS, raw_fd_write(1, AT(vectors), 2, AT(&written)));
    THAT(written == 6);
    EXPECT(SUCCESS, raw_fd_write(1, AT(vectors), 0, AT(&written)));
    THAT(written == 0);
    struct iovec_raw far = {memory_end() - 1, 2};
    EXPECT(FAULT, raw_fd_write(1, AT(&far), 1, AT(&written)));
    EXPECT(FAULT, raw_fd_write(1, memory_end() - 4, 1, AT(&written)));
    EXPECT(FAULT, raw_fd_write(1, AT(vectors), 0, NOWHERE));
    EXPECT(BADF, raw_fd_write(0, AT(vectors), 1, AT(&written)));
    EXPECT(BADF, raw_fd_write(NO_FD, AT(vectors), 1, AT(&written)));
    EXPECT(BADF, raw_fd_write(MANY, 0, 0, AT(&written)));
}

/* Streams taken for files: each function, on a stream and on nothing. */
static void no_files(void) {
    u64 room[8];
    EXPECT(SPIPE, raw_fd_advise(1, 0, 0, 0));
    EXPECT(BADF, raw_fd_advise(NO_FD, 0, 0, 0));
    EXPECT(SPIPE, raw_fd_allocate(1, 0, 1));
    EXPECT(BADF, raw_fd_allocate(NO_FD, 0, 1));
    EXPECT(INVAL, raw_fd_datasync(1));
    EXPECT(BADF, raw_fd_datasync(NO_FD));
    EXPECT(INVAL, raw_fd_sync(1));
    EXPECT(BADF, raw_fd_sync(NO_FD));
    EXPECT(INVAL, raw_fd_filestat_set_size(1, 0));
    EXPECT(BADF, raw_fd_filestat_set_size(NO_FD, 0));
    EXPECT(NOTCAPABLE, raw_fd_filestat_set_times(1, 0, 0, 0));
    EXPECT(BADF, raw_fd_filestat_set_times(NO_FD, 0, 0, 0));
    EXPECT(SPIPE, raw_fd_pread(0, AT(room), 0, 0, AT(room)));
    EXPECT(BADF, raw_fd_pread(NO_FD, AT(room), 0, 0, AT(room)));
    EXPECT(SPIPE, raw_fd_pwrite(1, AT(room), 0, 0, AT(room)));
    EXPECT(BADF, raw_fd_pwrite(NO_FD, AT(room), 0, 0, AT(room)));
    EXPECT(NOTDIR, raw_fd_readdir(0, AT(room), 8, 0, AT(room)));
    EXPECT(BADF, raw_fd_readdir(NO_FD, AT(room), 8, 0, AT(room)));
    EXPECT(SPIPE, raw_fd_seek(0, 0, 0, AT(room)));
    EXPECT(BADF, raw_fd_seek(NO_FD, 0, 0, AT(room)));
    EXPECT(SPIPE, raw_fd_tell(0, AT(room)));
    EXPECT(BADF, raw_fd_tell(NO_FD, AT(room)));
    for (u32 fd = 0; fd < 8; fd++) {
        EXPECT(BADF, raw_fd_prestat_get(fd, AT(room)));
        EXPECT(BADF, raw_fd_prestat_dir_name(fd, AT(room), 8));
    }
}

static void no_paths(void) {
    const u32 path = AT("/etc/passwd");
    u64 room[8];
    for (u32 fd = 0; fd < 5; fd++) {
        const u32 error = fd < 3 ? NOTDIR : BADF;
        EXPECT(error, raw_path_create_directory(fd, path, 11));
        EXPECT(error, raw_path_filestat_get(fd, 0, path, 11, AT(room)));
        EXPECT(error, raw_path_filestat_set_times(fd, 0, path, 11, 0, 0, 0));
        EXPECT(error, raw_path_link(fd, 0, path, 11, fd, path, 11));
        EXPECT(error, raw_path_open(fd, 0, path, 11, 0, ~0ull, ~0ull, 0, AT(room)));
        EXPECT(error, raw_path_readlink(fd, path, 11, AT(room), 8, AT(room)));
        EXPECT(error, raw_path_remove_directory(fd, path, 11));
        EXPECT(error, raw_path_rename(fd, path, 11, fd, path, 11));
        EXPECT(error, raw_path_symlink(path, 11, fd, path, 11));
        EXPECT(error, raw_path_unlink_file(fd, path, 11));
    }
    THAT(fopen("fs-tests.dir/file", "r") == NULL);
}

static void no_sockets(void) {
    u64 room[8];
    for (u32 fd = 0; fd < 5; fd++) {
        const u32 error = fd < 3 ? NOTSOCK : BADF;
        EXPECT(error, raw_sock_accept(fd, 0, AT(room)));
        EXPECT(error, raw_sock_recv(fd, AT(room), 0, 0, AT(room), AT(room)));
        EXPECT(error, raw_sock_send(fd, AT(room), 0, 0, AT(room)));
        EXPECT(error, raw_sock_shutdown(fd, 1));
    }
}

static void polling(void) {
    struct subscription_raw wanted[3];
    struct event_raw events[3];
    u32 count = 99;
    memset(wanted, 0, sizeof(wanted));
    EXPECT(INVAL, raw_poll_oneoff(AT(wanted), AT(events), 0, AT(&count)));
    /* A clock alone; it takes its time. */
    u64 before = 0;
    u64 after = 0;
    raw_clock_time_get(1, 0, AT(&before));
    wanted[0] = (struct subscription_raw){.userdata = 7, .id = 1, .timeout = 20000000};
    EXPECT(SUCCESS, raw_poll_oneoff(AT(wanted), AT(events), 1, AT(&count)));
    raw_clock_time_get(1, 0, AT(&after));
    THAT(count == 1 && events[0].userdata == 7 && events[0].error == 0 && events[0].type == 0);
    THAT(after - before >= 20000000);
    /* Until a point in time that has come; and the nearer of two. */
    wanted[0] = (struct subscription_raw){.userdata = 8, .id = 1, .timeout = after, .flags = 1};
    wanted[1] = (struct subscription_raw){
        .userdata = 9, .id = 1, .timeout = after + 3600000000000, .flags = 1};
    EXPECT(SUCCESS, raw_poll_oneoff(AT(wanted), AT(events), 2, AT(&count)));
    THAT(count == 1 && events[0].userdata == 8);
    /* Streams are ready at once: standard input has bytes, the others have room. */
    wanted[0] = (struct subscription_raw){.userdata = 1, .tag = 1, .id = 0};
    wanted[1] = (struct subscription_raw){.userdata = 2, .tag = 2, .id = 1};
    wanted[2] = (struct subscription_raw){.userdata = 3, .id = 1, .timeout = 3600000000000};
    EXPECT(SUCCESS, raw_poll_oneoff(AT(wanted), AT(events), 3, AT(&count)));
    THAT(count == 2 && events[0].userdata == 1 && events[0].type == 1 && events[0].bytes == 9);
    THAT(events[1].userdata == 2 && events[1].type == 2 && events[1].error == 0);
    /* What cannot be waited for is an event with an error. */
    wanted[0] = (struct subscription_raw){.userdata = 4, .tag = 1, .id = NO_FD};
    wanted[1] = (struct subscription_raw){.userdata = 5, .tag = 2, .id = 0};
    wanted[2] = (struct subscription_raw){.userdata = 6, .id = 2, .timeout = 1};
    EXPECT(SUCCESS, raw_poll_oneoff(AT(wanted), AT(events), 3, AT(&count)));
    THAT(count == 3 && events[0].error == BADF && events[1].error == BADF);
    THAT(events[2].error == INVAL);
    wanted[0].tag = 3;
    EXPECT(INVAL, raw_poll_oneoff(AT(wanted), AT(events), 1, AT(&count)));
    wanted[0].tag = 2;
    wanted[0].id = 1;
    EXPECT(FAULT, raw_poll_oneoff(NOWHERE, AT(events), 1, AT(&count)));
    EXPECT(FAULT, raw_poll_oneoff(AT(wanted), NOWHERE, 1, AT(&count)));
    EXPECT(FAULT, raw_poll_oneoff(AT(wanted), AT(events), 1, NOWHERE));
    EXPECT(FAULT, raw_poll_oneoff(memory_end() - 47, AT(events), 1, AT(&count)));
}

/* Rights and flags of a stream, closing and renumbering; last, for it closes them. */
static void descriptors(void) {
    uint8_t stat[24];
    uint8_t file[64];
    u64 rights;
    EXPECT(SUCCESS, raw_fd_fdstat_get(1, AT(stat)));
    THAT(stat[0] == 0 && stat[2] == 0);
    memcpy(&rights, stat + 8, 8);
    THAT((rights & 1 << 6) != 0 && (rights & 1 << 1) == 0 && (rights & 1 << 2) == 0);
    EXPECT(BADF, raw_fd_fdstat_get(NO_FD, AT(stat)));
    EXPECT(FAULT, raw_fd_fdstat_get(1, memory_end() - 23));
    EXPECT(SUCCESS, raw_fd_fdstat_set_flags(1, 1 | 4));
    EXPECT(SUCCESS, raw_fd_fdstat_get(1, AT(stat)));
    THAT(stat[2] == 5);
    EXPECT(NOTSUP, raw_fd_fdstat_set_flags(1, 16));
    EXPECT(INVAL, raw_fd_fdstat_set_flags(1, 32));
    EXPECT(BADF, raw_fd_fdstat_set_flags(NO_FD, 0));
    EXPECT(SUCCESS, raw_fd_filestat_get(1, AT(file)));
    THAT(file[16] == 0);
    EXPECT(BADF, raw_fd_filestat_get(NO_FD, AT(file)));
    EXPECT(FAULT, raw_fd_filestat_get(1, NOWHERE));
    EXPECT(NOTCAPABLE, raw_fd_fdstat_set_rights(1, ~0ull, 0));
    EXPECT(NOTCAPABLE, raw_fd_fdstat_set_rights(1, rights, 1));
    EXPECT(SUCCESS, raw_fd_fdstat_set_rights(1, rights & ~(1ull << 27), 0));
    EXPECT(NOTCAPABLE, raw_fd_fdstat_set_rights(1, rights, 0));
    EXPECT(BADF, raw_fd_fdstat_set_rights(NO_FD, 0, 0));

    EXPECT(BADF, raw_fd_renumber(0, NO_FD));
    EXPECT(BADF, raw_fd_renumber(NO_FD, 0));
    EXPECT(SUCCESS, raw_fd_renumber(0, 0));
    EXPECT(SUCCESS, raw_fd_renumber(1, 0)); /* 0 is standard output now, 1 is closed */
    EXPECT(BADF, raw_fd_close(1));
    EXPECT(BADF, raw_fd_fdstat_get(1, AT(stat)));
    u32 written = 0;
    struct iovec_raw vector = {AT("renumbered\n"), 11};
    EXPECT(SUCCESS, raw_fd_write(0, AT(&vector), 1, AT(&written)));
    EXPECT(SUCCESS, raw_fd_close(0));
    EXPECT(BADF, raw_fd_write(0, AT(&vector), 1, AT(&written)));
    EXPECT(BADF, raw_fd_close(0));
    EXPECT(BADF, raw_fd_close(NO_FD));
    EXPECT(BADF, raw_fd_close(MANY));
}

int main(int argc, char **argv) {
    arguments(argc, argv);
    environment();
    clocks();
    random_numbers();
    reading();
    writing();
    no_files();
    no_paths();
    no_sockets();
    EXPECT(SUCCESS, raw_sched_yield());
    EXPECT(NOTSUP, raw_proc_raise(9));
    polling();
    descriptors();
    return failures;
}
