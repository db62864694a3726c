/* A first look at a module before the compiler sees it: what would make compiling expensive.
 *
 * It reads section heads, locals and limits only. Whether the module is valid is the compiler's to
 * say; what it reads is checked so far that no number here is wrong for a valid module. */
#ifndef SANDBOX_PRESCAN_H
#define SANDBOX_PRESCAN_H

#include "util/bytes.h"

/* Bounds. Measured with Cranelift: a function of 586 KiB takes 35 s at `speed` and 0.3 s without
 * optimisation; one of 626 KiB with 1,000 locals takes 1.65 GiB. */
#define PRESCAN_OPTIMISED_BODY_BYTES_MAX (256 * 1024)
#define PRESCAN_OPTIMISED_CODE_BYTES_MAX (4 * 1024 * 1024)
#define PRESCAN_LOCALS_MAX               2000
#define PRESCAN_FUNCTIONS_MAX            100000
#define PRESCAN_TABLE_ELEMENTS_MAX       10000

struct prescan {
    bool optimise;             /* false: the code is too large to be compiled at `speed` */
    uint64_t memory_min_bytes; /* what its memory begins with; 0 without one of its own */
    uint32_t function_count;
    uint64_t code_bytes;
    uint64_t body_bytes_max; /* of its largest function */
    uint64_t locals_max;     /* of the function with most, parameters not counted */
};

#define PRESCAN_TEXT_SIZE 128

/* Returns 0; PLASM_MALFORMED (no module, or one that ends early), PLASM_TOO_LARGE (over a bound),
 * PLASM_UNSUPPORTED (a component), each with one line in `ret_text`, PRESCAN_TEXT_SIZE bytes.
 * Spec: WebAssembly core 3.0, section 5.5, "Modules". */
MUST_CHECK int prescan(struct bytes module, struct prescan *ret_scan, char *ret_text);

#endif
