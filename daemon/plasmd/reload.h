/* The configuration is read again while the worker runs (SIGHUP): what can change at run time does,
 * what cannot is named, and a faulty file changes nothing. */
#ifndef PLASMD_RELOAD_H
#define PLASMD_RELOAD_H

#include "plasmd/worker.h"

void reload_configuration(struct worker *worker, nanos now);

#endif
