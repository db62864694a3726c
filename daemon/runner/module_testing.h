/* For tests: WebAssembly modules made byte by byte, right and wrong ones. */
#ifndef RUNNER_MODULE_TESTING_H
#define RUNNER_MODULE_TESTING_H

#include "util/buffer.h"

/* What a module is made of; all zero is an empty one. Its functions are of type () -> (). */
struct module_plan {
    bool no_export;          /* does not export its first function as _start */
    bool start_parameter;    /* _start takes an i32 */
    bool start_section;      /* the first function runs at instantiation too */
    const char *import_name; /* one function of wasi_snapshot_preview1, of type () -> () */
    bool import_memory;
    bool no_memory;
    uint32_t memory_pages;   /* of its memory, exported as "memory" */
    uint32_t memory_flags;   /* of its limits: 2 shared, 4 64-bit */
    uint32_t memory_count;   /* 0: one */
    uint32_t table_elements; /* 0: no table */
    uint8_t table_type;      /* 0: funcref */
    uint32_t function_count; /* 0: one; all with the same body */
    uint32_t locals;         /* i32 local variables */
    struct bytes code;       /* the body's instructions without the final end */
};

/* Builds it into `module`, which the caller has initialised. */
void module_build(const struct module_plan *plan, struct buffer *module);

/* Instructions. */
#define CODE_UNREACHABLE   BYTES_LITERAL("\x00")
#define CODE_LOOP          BYTES_LITERAL("\x03\x40\x0c\x00\x0b") /* loop br 0 end */
#define CODE_CALL_0        BYTES_LITERAL("\x10\x00")
#define CODE_DIVIDE_BY_0   BYTES_LITERAL("\x41\x01\x41\x00\x6d\x1a")
#define CODE_TYPE_MISMATCH BYTES_LITERAL("\x41\x01")     /* leaves a value */
#define CODE_ATOMIC        BYTES_LITERAL("\xfe\x03\x00") /* atomic.fence */
#define CODE_THROW         BYTES_LITERAL("\x08\x00")     /* throw 0 */
/* i8x16.relaxed_swizzle of two zeros, dropped. */
#define CODE_RELAXED_SIMD BYTES_LITERAL("\x41\x00\xfd\x0f\x41\x00\xfd\x0f\xfd\x80\x02\x1a")
/* i8x16.splat and add of zeros, dropped. */
#define CODE_SIMD BYTES_LITERAL("\x41\x00\xfd\x0f\x41\x00\xfd\x0f\xfd\x6e\x1a")

#endif
