/* The explanation of the last failure, one for each thread. */
#include "client/client.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_error[1024] = "no error";

int client_fail(int error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof(last_error), format, arguments);
    va_end(arguments);
    return error;
}

const char *plasm_last_error(void) {
    return last_error;
}

const char *plasm_version(void) {
    return PLASM_VERSION;
}
