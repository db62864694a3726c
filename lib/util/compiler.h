/* What the compiler can check for us. */
#ifndef UTIL_COMPILER_H
#define UTIL_COMPILER_H

#include <stddef.h>

/* The result says whether the call worked and must be looked at. */
#define MUST_CHECK                  __attribute__((warn_unused_result))
#define PRINTF_FORMAT(index, first) __attribute__((__format__(__printf__, index, first)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
/* The object of `type` whose field `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
