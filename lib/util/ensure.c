/* The end of a process that has found a bug in itself. */
#include "util/ensure.h"

#include <stdio.h>
#include <stdlib.h>

void ensure_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: bug: %s does not hold\n", file, line, condition);
    abort();
}
