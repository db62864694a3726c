/* What systemd is told, where it asked for it: sd_notify(3). */
#ifndef PLASMD_NOTIFY_H
#define PLASMD_NOTIFY_H

#include "util/compiler.h"

/* "READY=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=…", one setting a line. */
void notify_state(const char *format, ...) PRINTF_FORMAT(1, 2);

#endif
