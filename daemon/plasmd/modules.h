/* The modules this worker holds: sources by their hash, and what they were compiled to. Kept in
 * <state>/modules over restarts; compiled code carries a MAC that is checked before it is loaded.
 */
#ifndef PLASMD_MODULES_H
#define PLASMD_MODULES_H

#include "crypto/hash.h"
#include "runner/runner_client.h"
#include "util/list.h"

struct modules;
struct module;

/* Modules and failures held in memory; beyond, those unused for longest go (to disk). */
#define MODULES_MEMORY_MAX       128
#define MODULES_MEMORY_BYTES_MAX (UINT64_C(256) << 20)

/* `directory` is made where it is missing. False: `fault` explains. */
bool modules_open(const char *directory, uint64_t disk_bytes_max, struct modules **ret_modules,
                  char *fault, size_t fault_size);
/* NULL is allowed. No module may be in use. */
void modules_close(struct modules *modules);

/* True when the source is held, so that it need not be sent. */
bool modules_hold(struct modules *modules, const struct sha256_digest *hash);
/* Takes a source whose hash was checked. PLASM_NO_MEMORY. A disk that is full is only logged. */
MUST_CHECK int modules_put(struct modules *modules, const struct sha256_digest *hash,
                           struct bytes source);

/* A use of a module: it stays while it is used. PLASM_NOT_FOUND, PLASM_NO_MEMORY. */
MUST_CHECK int module_acquire(struct modules *modules, const struct sha256_digest *hash,
                              struct module **ret_module);
void module_release(struct module *module);

enum module_state { MODULE_NONE, MODULE_COMPILING, MODULE_READY, MODULE_FAILED };

/* What there is of a flavour; looks on disk for it once. */
enum module_state module_state(struct module *module, enum runner_flavour flavour);
/* MODULE_READY: the image, for runner_request; the descriptor stays the module's. */
void module_image(const struct module *module, enum runner_flavour flavour, int *ret_fd,
                  uint64_t *ret_size);
/* MODULE_FAILED: why, one line; and true where another try may go better (our own failure). */
const char *module_fault(const struct module *module, enum runner_flavour flavour,
                         bool *ret_transient);
/* MODULE_NONE: begins compiling. PLASM_LIMIT: later. modules_compiled() follows. */
MUST_CHECK int module_compile(struct module *module, enum runner_flavour flavour,
                              struct runner_client *runner, nanos now);
/* Takes RUNNER_EVENT_COMPILED. */
void modules_compiled(struct modules *modules, const struct runner_event_compiled *compiled);

#endif
