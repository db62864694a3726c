/* The walls around plasm-sign once it has read its key: no files, no network, no processes, no
 * dumps, and no system call but those that answering takes. */
#ifndef SIGN_PROGRAM_CONFINE_H
#define SIGN_PROGRAM_CONFINE_H

#include "util/bytes.h"
#include "util/error.h"

/* Before the key is read: no core dump, no tracing by processes of the same user. PLASM_IO. */
MUST_CHECK int confine_memory(void);
/* After it was read, for good. Descriptors from 3 on but those of `keep` are closed, and the
 * standard ones but 2 become /dev/null. PLASM_IO where a wall that every kernel has does not
 * stand. */
MUST_CHECK int confine_process(const int *keep, size_t keep_count);

#endif
