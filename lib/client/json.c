/* JSON in and out of the public interface. */
#include "client/client.h"

#include <stdlib.h>

#include "wire/json.h"

int client_options(const char *text, const char *what, json_t **ret_object) {
    json_t *object = NULL;
    if (text == NULL) {
        object = json_object();
        if (object == NULL) {
            return client_fail(PLASM_NO_MEMORY, "out of memory");
        }
    } else if (json_read(bytes_of_string(text), &object) != 0 || !json_is_object(object)) {
        json_decref(object);
        return client_fail(PLASM_INVALID, "%s must be a JSON object", what);
    }
    *ret_object = object;
    return 0;
}

int client_option_string(const json_t *object, const char *key, const char **value) {
    const json_t *member = json_object_get(object, key);
    if (member == NULL || json_is_null(member)) {
        return 0;
    }
    if (!json_is_string(member)) {
        return client_fail(PLASM_INVALID, "%s must be a string", key);
    }
    *value = json_string_value(member);
    return 0;
}

int client_option_integer(const json_t *object, const char *key, int64_t *value) {
    const json_t *member = json_object_get(object, key);
    if (member == NULL || json_is_null(member)) {
        return 0;
    }
    if (!json_is_integer(member) || json_integer_value(member) < 0) {
        return client_fail(PLASM_INVALID, "%s must be a whole number, not negative", key);
    }
    *value = json_integer_value(member);
    return 0;
}

int client_give_json(char **place, json_t *value, const char **ret_text) {
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(value);
    if (text == NULL) {
        return client_fail(PLASM_NO_MEMORY, "out of memory");
    }
    free(*place);
    *place = text;
    *ret_text = text;
    return 0;
}

static json_t *json_of(uint64_t value) {
    return json_integer((json_int_t)value);
}

json_t *client_capability_json(const struct capability *capability) {
    json_t *profiles = json_array();
    for (size_t i = 0; i < capability->profile_count; i++) {
        (void)json_array_append_new(profiles, json_string(capability->profiles[i]));
    }
    json_t *addresses = json_array();
    for (size_t i = 0; i < capability->address_count; i++) {
        char text[MULTIADDR_TEXT_MAX];
        if (multiaddr_format(&capability->addresses[i], text, sizeof(text)) == 0) {
            (void)json_array_append_new(addresses, json_string(text));
        }
    }
    const struct capability_limits *limits = &capability->limits;
    json_t *bounds = json_object();
    (void)json_object_set_new(bounds, "fuel", json_of(limits->fuel));
    (void)json_object_set_new(bounds, "memory_bytes", json_of(limits->memory_bytes));
    (void)json_object_set_new(bounds, "wall_ms", json_of(limits->wall_ms));
    (void)json_object_set_new(bounds, "output_bytes", json_of(limits->output_bytes));
    (void)json_object_set_new(bounds, "module_bytes", json_of(limits->module_bytes));
    (void)json_object_set_new(bounds, "stdin_bytes", json_of(limits->stdin_bytes));
    char id[PEER_ID_TEXT_MAX];
    peer_id_format(&capability->worker, id);
    json_t *object = json_object();
    (void)json_object_set_new(object, "peer_id", json_string(id));
    (void)json_object_set_new(object, "arch", json_string(capability->arch));
    (void)json_object_set_new(object, "runtime", json_string(capability->runtime));
    (void)json_object_set_new(object, "profiles", profiles);
    (void)json_object_set_new(object, "addresses", addresses);
    (void)json_object_set_new(object, "limits", bounds);
    (void)json_object_set_new(object, "free_slots", json_of(capability->free_slots));
    (void)json_object_set_new(object, "price", json_of(capability->price));
    (void)json_object_set_new(object, "expires", json_integer(capability->expires_s));
    return object;
}
