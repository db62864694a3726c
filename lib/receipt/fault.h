/* Why an input was refused: which field, and what is wrong with it. */
#ifndef RECEIPT_FAULT_H
#define RECEIPT_FAULT_H

#include "util/compiler.h"

#include <stddef.h>

/* Both are string literals of ours, so a fault owns nothing and may be copied: {"limits.fuel",
 * "must be at least 1"}. Functions that take one fill it when they fail and leave it alone when
 * they do not; NULL is allowed. */
struct fault {
    const char *field;
    const char *text;
};

/* Fills `fault` and returns `error`, so that a check is one line. */
static inline int fault_set(struct fault *fault, int error, const char *field, const char *text) {
    if (fault != NULL) {
        *fault = (struct fault){.field = field, .text = text};
    }
    return error;
}

#endif
