/* Time as protocols see it: nanoseconds of a monotonic clock, always an argument. */
#ifndef UTIL_TIME_H
#define UTIL_TIME_H

#include <stdint.h>

typedef uint64_t nanos;

#define NANOS_NEVER       UINT64_MAX
#define NANOS_MICROSECOND UINT64_C(1000)
#define NANOS_MILLISECOND UINT64_C(1000000)
#define NANOS_SECOND      UINT64_C(1000000000)
#define NANOS_MINUTE      (60 * NANOS_SECOND)
#define NANOS_HOUR        (60 * NANOS_MINUTE)

static inline nanos nanos_min(nanos a, nanos b) {
    return a < b ? a : b;
}
static inline nanos nanos_max(nanos a, nanos b) {
    return a > b ? a : b;
}
/* a + b, NANOS_NEVER where that is beyond the end of time. */
static inline nanos nanos_add(nanos a, nanos b) {
    return a > NANOS_NEVER - b ? NANOS_NEVER : a + b;
}
/* a - b, 0 where b is later. */
static inline nanos nanos_since(nanos a, nanos b) {
    return a > b ? a - b : 0;
}

#endif
