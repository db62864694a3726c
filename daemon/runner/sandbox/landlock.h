/* Landlock: gives up every right to files, TCP ports, and whatever else this kernel knows. */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H

#include <stdint.h>

/* Restricts this process and its children for good; needs no_new_privs. Returns the kernel's ABI
 * version, or 0 where there is no Landlock (then nothing is restricted). */
uint32_t landlock_enter(void);

#endif
