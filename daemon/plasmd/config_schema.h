/* The schema of the settings: one row each, for the file, the command line and the manual. */
#ifndef PLASMD_CONFIG_SCHEMA_H
#define PLASMD_CONFIG_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

enum kind {
    KIND_NUMBER,
    KIND_BYTES,
    KIND_FLAG,
    KIND_TEXT,
    KIND_LISTEN,
    KIND_BOOTSTRAP,
    KIND_RELAYS,
    KIND_WORD,
    KIND_ACCESS,
    KIND_HOURS,
    KIND_MODULES
};

/* One setting. `words` of KIND_WORD in the order of the enum it sets. */
struct setting {
    const char *section;
    const char *key;
    enum kind kind;
    size_t offset;
    size_t size;
    uint64_t min;
    uint64_t max;
    const char *words[5];
    const char *shown; /* default, as one would write it */
    const char *help;
};

extern const struct setting config_settings[];
extern const size_t config_setting_count;

#endif
