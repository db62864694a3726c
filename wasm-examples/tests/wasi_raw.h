/* WASI preview 1 as the host sees it: numbers, no types, so that tests can pass any pointer. */
#ifndef WASI_RAW_H
#define WASI_RAW_H

#include <stdint.h>

#define RAW(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef uint32_t u32;
typedef uint64_t u64;

RAW(args_get) u32 raw_args_get(u32, u32);
RAW(args_sizes_get) u32 raw_args_sizes_get(u32, u32);
RAW(clock_res_get) u32 raw_clock_res_get(u32, u32);
RAW(clock_time_get) u32 raw_clock_time_get(u32, u64, u32);
RAW(environ_get) u32 raw_environ_get(u32, u32);
RAW(environ_sizes_get) u32 raw_environ_sizes_get(u32, u32);
RAW(fd_advise) u32 raw_fd_advise(u32, u64, u64, u32);
RAW(fd_allocate) u32 raw_fd_allocate(u32, u64, u64);
RAW(fd_close) u32 raw_fd_close(u32);
RAW(fd_datasync) u32 raw_fd_datasync(u32);
RAW(fd_fdstat_get) u32 raw_fd_fdstat_get(u32, u32);
RAW(fd_fdstat_set_flags) u32 raw_fd_fdstat_set_flags(u32, u32);
RAW(fd_fdstat_set_rights) u32 raw_fd_fdstat_set_rights(u32, u64, u64);
RAW(fd_filestat_get) u32 raw_fd_filestat_get(u32, u32);
RAW(fd_filestat_set_size) u32 raw_fd_filestat_set_size(u32, u64);
RAW(fd_filestat_set_times) u32 raw_fd_filestat_set_times(u32, u64, u64, u32);
RAW(fd_pread) u32 raw_fd_pread(u32, u32, u32, u64, u32);
RAW(fd_prestat_dir_name) u32 raw_fd_prestat_dir_name(u32, u32, u32);
RAW(fd_prestat_get) u32 raw_fd_prestat_get(u32, u32);
RAW(fd_pwrite) u32 raw_fd_pwrite(u32, u32, u32, u64, u32);
RAW(fd_read) u32 raw_fd_read(u32, u32, u32, u32);
RAW(fd_readdir) u32 raw_fd_readdir(u32, u32, u32, u64, u32);
RAW(fd_renumber) u32 raw_fd_renumber(u32, u32);
RAW(fd_seek) u32 raw_fd_seek(u32, u64, u32, u32);
RAW(fd_sync) u32 raw_fd_sync(u32);
RAW(fd_tell) u32 raw_fd_tell(u32, u32);
RAW(fd_write) u32 raw_fd_write(u32, u32, u32, u32);
RAW(path_create_directory) u32 raw_path_create_directory(u32, u32, u32);
RAW(path_filestat_get) u32 raw_path_filestat_get(u32, u32, u32, u32, u32);
RAW(path_filestat_set_times)
u32 raw_path_filestat_set_times(u32, u32, u32, u32, u64, u64, u32);
RAW(path_link) u32 raw_path_link(u32, u32, u32, u32, u32, u32, u32);
RAW(path_open) u32 raw_path_open(u32, u32, u32, u32, u32, u64, u64, u32, u32);
RAW(path_readlink) u32 raw_path_readlink(u32, u32, u32, u32, u32, u32);
RAW(path_remove_directory) u32 raw_path_remove_directory(u32, u32, u32);
RAW(path_rename) u32 raw_path_rename(u32, u32, u32, u32, u32, u32);
RAW(path_symlink) u32 raw_path_symlink(u32, u32, u32, u32, u32);
RAW(path_unlink_file) u32 raw_path_unlink_file(u32, u32, u32);
RAW(poll_oneoff) u32 raw_poll_oneoff(u32, u32, u32, u32);
RAW(proc_raise) u32 raw_proc_raise(u32);
RAW(random_get) u32 raw_random_get(u32, u32);
RAW(sched_yield) u32 raw_sched_yield(void);
RAW(sock_accept) u32 raw_sock_accept(u32, u32, u32);
RAW(sock_recv) u32 raw_sock_recv(u32, u32, u32, u32, u32, u32);
RAW(sock_send) u32 raw_sock_send(u32, u32, u32, u32, u32);
RAW(sock_shutdown) u32 raw_sock_shutdown(u32, u32);

enum {
    SUCCESS = 0,
    BADF = 8,
    FAULT = 21,
    INVAL = 28,
    NOTDIR = 54,
    NOTSOCK = 57,
    NOTSUP = 58,
    SPIPE = 70,
    NOTCAPABLE = 76,
};

#define AT(object) ((u32)(uintptr_t)(object))

struct iovec_raw {
    u32 buffer;
    u32 size;
};

struct subscription_raw {
    u64 userdata;
    uint8_t tag;
    uint8_t pad[7];
    u32 id; /* clock or descriptor */
    u32 pad2;
    u64 timeout;
    u64 precision;
    uint16_t flags;
    uint8_t pad3[6];
};

struct event_raw {
    u64 userdata;
    uint16_t error;
    uint8_t type;
    uint8_t pad[5];
    u64 bytes;
    uint16_t flags;
    uint8_t pad2[6];
};

_Static_assert(sizeof(struct subscription_raw) == 48, "preview 1 layout");
_Static_assert(sizeof(struct event_raw) == 32, "preview 1 layout");

#endif
