/* What PHP calls of libplasm. Made by generate.sh from lib/include/plasm.h. */
enum plasm_error {
    PLASM_OK = 0,
    PLASM_TRUNCATED = -1,
    PLASM_MALFORMED = -2,
    PLASM_TOO_LARGE = -3,
    PLASM_NO_MEMORY = -4,
    PLASM_INVALID = -5,
    PLASM_UNSUPPORTED = -6,
    PLASM_NOT_FOUND = -7,
    PLASM_CONFLICT = -8,
    PLASM_LIMIT = -9,
    PLASM_TIMEOUT = -10,
    PLASM_REFUSED = -11,
    PLASM_UNREACHABLE = -12,
    PLASM_CLOSED = -13,
    PLASM_RESET = -14,
    PLASM_UNTRUSTED = -15,
    PLASM_EXPIRED = -16,
    PLASM_CANCELLED = -17,
    PLASM_IO = -18,
    PLASM_STATE = -19,
    PLASM_FAILED = -20,
};
struct plasm_client;
struct plasm_job;
const char *plasm_version(void);
const char *plasm_error_name(int error);
const char *plasm_error_message(int error);
int plasm_client_new(const char *options_json, struct plasm_client **ret_client);
void plasm_client_free(struct plasm_client *client);
const char *plasm_last_error(void);
const char *plasm_client_warnings(struct plasm_client *client);
const char *plasm_client_peer_id(const struct plasm_client *client);
int plasm_discover(struct plasm_client *client, const char *query_json, const char **ret_json);
int plasm_submit(struct plasm_client *client, const char *request_json, const uint8_t *module,
                 size_t module_size, const uint8_t *input, size_t input_size,
                 struct plasm_job **ret_job);
int plasm_submit_start(struct plasm_client *client, const char *request_json, const uint8_t *module,
                       size_t module_size, const uint8_t *input, size_t input_size,
                       struct plasm_job **ret_job);
int plasm_job_state(const struct plasm_job *job);
int plasm_client_wait(struct plasm_client *client, int timeout_ms);
int plasm_explain(struct plasm_client *client, const char *request_json, const uint8_t *module,
                  size_t module_size, uint64_t input_size, const char **ret_json);
const char *plasm_job_info(struct plasm_job *job);
int plasm_job_read(struct plasm_job *job, int timeout_ms, int *ret_stream, const uint8_t **ret_data,
                   size_t *ret_size);
int plasm_job_result(struct plasm_job *job, const char **ret_json);
int plasm_receipt(struct plasm_client *client, const char *request_json, const char **ret_json);
int plasm_job_verdict(const struct plasm_job *job, int64_t *ret_exit_code);
int plasm_job_cancel(struct plasm_job *job);
void plasm_job_free(struct plasm_job *job);
int plasm_ping(struct plasm_client *client, const char *node, int count, const char **ret_json);
int plasm_perf(struct plasm_client *client, const char *node, uint64_t up_bytes,
               uint64_t down_bytes, const char **ret_json);
int plasm_identify(struct plasm_client *client, const char *node, const char **ret_json);
int plasm_verify(const char *receipt_file_json, const char *expect_json, const char **ret_json);
int plasm_client_fd(struct plasm_client *client);
int64_t plasm_client_deadline_ms(struct plasm_client *client);
int plasm_client_poll(struct plasm_client *client);
void plasm_client_interrupt(struct plasm_client *client);
