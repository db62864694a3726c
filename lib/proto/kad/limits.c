/* The default settings. */
#include "proto/kad/limits.h"

void kad_limits_default(struct kad_limits *ret_limits) {
    *ret_limits = (struct kad_limits){
        .provider_keys_max = 1024,
        .providers_per_key_max = 256,
        .providers_bytes_max = (size_t)32 << 20,
        .records_max = 1024,
        .contacts_max = 128,
        .operations_max = 64,
        .requests_max = 256,
        .provider_life = 2 * NANOS_HOUR,
        .republish_interval = 30 * NANOS_MINUTE,
        .record_life = 36 * NANOS_HOUR,
        .refresh_interval = 10 * NANOS_MINUTE,
        .sweep_interval = 5 * NANOS_MINUTE,
        .request_timeout = 6 * NANOS_SECOND,
        .operation_timeout = 30 * NANOS_SECOND,
        .straggler_min = 300 * NANOS_MILLISECOND,
        .straggler_max = NANOS_SECOND,
        .check_interval = 30 * NANOS_SECOND,
        .stale_age = 10 * NANOS_MINUTE,
        .silence_max = 45 * NANOS_MINUTE,
    };
}
