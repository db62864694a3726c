/* What every process of ours that locks itself in gives up: privileges, descriptors, resources. */
#ifndef WALLS_PROCESS_H
#define WALLS_PROCESS_H

#include "util/bytes.h"
#include "util/error.h"

/* Built with AddressSanitizer, whose memory and system calls are its own: gcc's and clang's way of
 * saying so. */
#if defined(__SANITIZE_ADDRESS__)
#define WALLS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WALLS_SANITIZED 1
#endif
#endif
#ifndef WALLS_SANITIZED
#define WALLS_SANITIZED 0
#endif

/* Lowers a limit, soft and hard; one that is lower already stays. PLASM_IO. */
MUST_CHECK int walls_limit(int resource, uint64_t value);
/* Closes descriptors from `first` on, all but those of `keep`. PLASM_IO. */
MUST_CHECK int walls_close_others(const int *keep, size_t keep_count, unsigned first);
/* No capabilities, none to be had by starting programs, no dumps and no tracing by processes of the
 * same user. PLASM_IO. */
MUST_CHECK int walls_drop_privileges(void);

#endif
