/* Bytes that many owners may hold together, whatever each of them is. */
#ifndef UTIL_BUDGET_H
#define UTIL_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t bytes; /* held; those who hold them count */
    size_t bytes_max;
};

static inline bool budget_has(const struct budget *budget, size_t more) {
    return more <= budget->bytes_max && budget->bytes <= budget->bytes_max - more;
}

#endif
