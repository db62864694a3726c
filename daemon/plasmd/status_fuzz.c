/* Strangers' texts for the page and the API, and the Host header. */
#include <jansson.h>
#include <stdlib.h>

#include "plasmd/http.h"
#include "plasmd/status.h"
#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_html(const char *text) {
    ENSURE(strpbrk(text, "<>\"'") == NULL);
}

static void check_json(const char *text) {
    json_error_t fault;
    json_t *json = json_loads(text, 0, &fault);
    ENSURE(json != NULL);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char room[STATUS_AGENT_SIZE];
    char *text = NULL;
    size_t text_size = 0;
    status_printable(bytes_of(data, size), room, sizeof(room));
    (void)http_host_is_local(room);
    (void)http_place_of(room);
    (void)http_route(room);
    FILE *out = open_memstream(&text, &text_size);
    if (out == NULL) {
        return 0;
    }
    html_write(out, room);
    (void)fflush(out);
    check_html(text);
    rewind(out);
    (void)fputs("[\"", out);
    json_write(out, room);
    (void)fputs("\"]", out);
    (void)fputc('\0', out);
    (void)fclose(out);
    check_json(text);
    free(text);
    return 0;
}
