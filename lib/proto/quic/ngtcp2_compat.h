/* The one place that knows which ngtcp2 this is: 0.12 (Debian 12) or 1.x (newer distributions). */
#ifndef QUIC_NGTCP2_COMPAT_H
#define QUIC_NGTCP2_COMPAT_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "util/bytes.h"
#include "util/time.h"

#if NGTCP2_VERSION_NUM < 0x010000

typedef ngtcp2_crypto_level compat_level;
typedef int compat_cid_status;
typedef ngtcp2_connection_close_error compat_close;
#define COMPAT_CLOSE_APPLICATION NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION

/* Defines the callback path_validation; it hands on its user data only, the rest differs. */
#define COMPAT_PATH_VALIDATION(name, handle)                                                       \
    static int name(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path,                    \
                    ngtcp2_path_validation_result result, void *user_data) {                       \
        (void)conn, (void)flags, (void)path, (void)result;                                         \
        return handle(user_data);                                                                  \
    }

static inline void compat_close_application(compat_close *error, uint64_t code,
                                            struct bytes reason) {
    ngtcp2_connection_close_error_default(error);
    ngtcp2_connection_close_error_set_application_error(error, code, reason.data, reason.size);
}
static inline void compat_close_transport(compat_close *error, uint64_t code, struct bytes reason) {
    ngtcp2_connection_close_error_default(error);
    ngtcp2_connection_close_error_set_transport_error(error, code, reason.data, reason.size);
}
/* What the peer closed with; `reason` is borrowed from the connection. */
static inline void compat_close_received(ngtcp2_conn *conn, compat_close *ret_error) {
    ngtcp2_conn_get_connection_close_error(conn, ret_error);
}

static inline struct bytes compat_token(const ngtcp2_pkt_hd *hd) {
    return bytes_of(hd->token.base, hd->token.len);
}
static inline void compat_set_token(ngtcp2_settings *settings, struct bytes token) {
    settings->token.base = (uint8_t *)(uintptr_t)token.data;
    settings->token.len = token.size;
}
static inline void compat_set_original_dcid(ngtcp2_transport_params *params,
                                            const ngtcp2_cid *dcid) {
    params->original_dcid = *dcid;
}

typedef ngtcp2_conn_stat compat_info;
static inline void compat_get_info(ngtcp2_conn *conn, compat_info *ret_info) {
    ngtcp2_conn_get_conn_stat(conn, ret_info);
}
static inline bool compat_has_rtt(const compat_info *info) {
    return info->first_rtt_sample_ts != UINT64_MAX;
}
/* Of a congestion controller that has one (BBR), in bytes a nanosecond; 0 otherwise. */
static inline double compat_pacing_rate(const compat_info *info) {
    return info->pacing_rate;
}

static inline int compat_reset_stream(ngtcp2_conn *conn, int64_t id, uint64_t code) {
    return ngtcp2_conn_shutdown_stream_write(conn, id, code);
}
static inline int compat_stop_stream(ngtcp2_conn *conn, int64_t id, uint64_t code) {
    return ngtcp2_conn_shutdown_stream_read(conn, id, code);
}
/* NANOS_NEVER: no keep-alive. */
static inline void compat_keep_alive(ngtcp2_conn *conn, nanos interval) {
    ngtcp2_conn_set_keep_alive_timeout(conn, interval != NANOS_NEVER ? interval : 0);
}

#else

typedef ngtcp2_encryption_level compat_level;
typedef ngtcp2_connection_id_status_type compat_cid_status;
typedef ngtcp2_ccerr compat_close;
#define COMPAT_CLOSE_APPLICATION NGTCP2_CCERR_TYPE_APPLICATION

/* Defines the callback path_validation; it hands on its user data only, the rest differs. */
#define COMPAT_PATH_VALIDATION(name, handle)                                                       \
    static int name(ngtcp2_conn *conn, uint32_t flags, const ngtcp2_path *path,                    \
                    const ngtcp2_path *fallback, ngtcp2_path_validation_result result,             \
                    void *user_data) {                                                             \
        (void)conn, (void)flags, (void)path, (void)fallback, (void)result;                         \
        return handle(user_data);                                                                  \
    }

static inline void compat_close_application(compat_close *error, uint64_t code,
                                            struct bytes reason) {
    ngtcp2_ccerr_default(error);
    ngtcp2_ccerr_set_application_error(error, code, reason.data, reason.size);
}
static inline void compat_close_transport(compat_close *error, uint64_t code, struct bytes reason) {
    ngtcp2_ccerr_default(error);
    ngtcp2_ccerr_set_transport_error(error, code, reason.data, reason.size);
}
static inline void compat_close_received(ngtcp2_conn *conn, compat_close *ret_error) {
    *ret_error = *ngtcp2_conn_get_ccerr(conn);
}

static inline struct bytes compat_token(const ngtcp2_pkt_hd *hd) {
    return bytes_of(hd->token, hd->tokenlen);
}
static inline void compat_set_token(ngtcp2_settings *settings, struct bytes token) {
    settings->token = token.data;
    settings->tokenlen = token.size;
    settings->token_type = NGTCP2_TOKEN_TYPE_RETRY;
}
static inline void compat_set_original_dcid(ngtcp2_transport_params *params,
                                            const ngtcp2_cid *dcid) {
    params->original_dcid = *dcid;
    params->original_dcid_present = 1;
}

typedef ngtcp2_conn_info compat_info;
static inline void compat_get_info(ngtcp2_conn *conn, compat_info *ret_info) {
    ngtcp2_conn_get_conn_info(conn, ret_info);
}
static inline bool compat_has_rtt(const compat_info *info) {
    return info->min_rtt != UINT64_MAX;
}
static inline double compat_pacing_rate(const compat_info *info) {
    (void)info;
    return 0;
}

static inline int compat_reset_stream(ngtcp2_conn *conn, int64_t id, uint64_t code) {
    return ngtcp2_conn_shutdown_stream_write(conn, 0, id, code);
}
static inline int compat_stop_stream(ngtcp2_conn *conn, int64_t id, uint64_t code) {
    return ngtcp2_conn_shutdown_stream_read(conn, 0, id, code);
}
static inline void compat_keep_alive(ngtcp2_conn *conn, nanos interval) {
    ngtcp2_conn_set_keep_alive_timeout(conn, interval);
}

#endif

#endif
