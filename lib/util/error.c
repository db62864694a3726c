/* Names and meanings of the error codes. */
#include "util/error.h"

#include <stdbool.h>

#include "util/compiler.h"

static const struct {
    const char *name;
    const char *message;
} errors[] = {
    [-PLASM_OK] = {"ok", "no error"},
    [-PLASM_TRUNCATED] = {"truncated", "the data ends early"},
    [-PLASM_MALFORMED] = {"malformed", "the data is not well-formed"},
    [-PLASM_TOO_LARGE] = {"too_large", "a size limit is exceeded"},
    [-PLASM_NO_MEMORY] = {"no_memory", "out of memory"},
    [-PLASM_INVALID] = {"invalid", "an argument is not valid"},
    [-PLASM_UNSUPPORTED] = {"unsupported", "not supported"},
    [-PLASM_NOT_FOUND] = {"not_found", "not found"},
    [-PLASM_CONFLICT] = {"conflict", "it exists already with another content"},
    [-PLASM_LIMIT] = {"limit", "a resource limit is reached"},
    [-PLASM_TIMEOUT] = {"timeout", "no answer in time"},
    [-PLASM_REFUSED] = {"refused", "the peer refused"},
    [-PLASM_UNREACHABLE] = {"unreachable", "the peer cannot be reached"},
    [-PLASM_CLOSED] = {"closed", "the connection was closed"},
    [-PLASM_RESET] = {"reset", "the peer reset the stream"},
    [-PLASM_UNTRUSTED] = {"untrusted", "a signature, key or hash does not match"},
    [-PLASM_EXPIRED] = {"expired", "out of its time of validity"},
    [-PLASM_CANCELLED] = {"cancelled", "cancelled"},
    [-PLASM_IO] = {"io", "the operating system reported an error"},
    [-PLASM_STATE] = {"state", "not possible in this state"},
    [-PLASM_FAILED] = {"failed", "failed"},
};

static bool error_is_known(int error) {
    return error <= 0 && error > -(int)ARRAY_SIZE(errors);
}

const char *plasm_error_name(int error) {
    if (!error_is_known(error)) {
        return "unknown";
    }
    return errors[-error].name;
}

const char *plasm_error_message(int error) {
    if (!error_is_known(error)) {
        return "unknown error";
    }
    return errors[-error].message;
}
