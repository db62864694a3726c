/* A compiled module as it is kept and handed on: a head of ours, then wasmtime's own format. */
#ifndef SANDBOX_IMAGE_H
#define SANDBOX_IMAGE_H

#include "runner/protocol.h"

#define IMAGE_HEAD_SIZE 24

/* What the runner needs to know before it has loaded the code. */
struct image_head {
    enum runner_flavour flavour;
    uint64_t memory_min_bytes; /* what the module's memory begins with */
};

void image_head_encode(const struct image_head *head, uint8_t room[IMAGE_HEAD_SIZE]);
/* Gives the head and what follows it. PLASM_MALFORMED. Whether the rest is trustworthy is for
 * plasmd to know, by its MAC: loading anything else is running it. */
MUST_CHECK int image_decode(struct bytes image, struct image_head *ret_head,
                            struct bytes *ret_code);

#endif
