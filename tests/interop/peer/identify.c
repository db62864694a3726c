/* What an identify message says, as JSON, with the signed record opened and checked. */
#include "node.h"

#include "identity/envelope.h"

const char *identify_record(const struct identify *message, const struct peer_id *id,
                            json_t *addresses, int *ret_error) {
    *ret_error = 0;
    if (message->signed_record.size == 0) {
        return "none";
    }
    struct envelope envelope;
    struct peer_record record;
    int error = envelope_open(message->signed_record, BYTES_LITERAL(PEER_RECORD_DOMAIN), &envelope);
    if (error == 0 && !bytes_equal(envelope.payload_type, BYTES_LITERAL(PEER_RECORD_TYPE))) {
        error = PLASM_MALFORMED;
    }
    if (error == 0) {
        error = peer_record_decode(envelope.payload, &record);
    }
    if (error == 0 &&
        (!peer_id_equal(&record.peer_id, id) || !peer_id_equal(&envelope.signer, id))) {
        error = PLASM_UNTRUSTED;
    }
    if (error != 0) {
        *ret_error = error;
        return "invalid";
    }
    for (size_t i = 0; i < record.address_count; i++) {
        json_array_append_new(addresses, json_of_address(record.addresses[i]));
    }
    return "valid";
}

static bool key_matches(const struct identify *message, const struct peer_id *id) {
    struct public_key key;
    return public_key_decode(message->public_key, &key) == 0 && peer_id_check(id, &key) == 0;
}

json_t *identify_report(const struct identify *message, const struct peer_id *id) {
    json_t *protocols = json_array();
    for (size_t i = 0; i < message->protocol_count; i++) {
        json_array_append_new(protocols, json_of_bytes(message->protocols[i]));
    }
    json_t *addresses = json_array();
    for (size_t i = 0; i < message->address_count; i++) {
        json_array_append_new(addresses, json_of_address(message->addresses[i]));
    }
    json_t *signed_addresses = json_array();
    int error = 0;
    const char *record = identify_record(message, id, signed_addresses, &error);
    json_t *observed =
        message->observed.size > 0 ? json_of_address(message->observed) : json_string("");
    json_t *report = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:s, s:o}", "peer_id",
                               json_of_peer_id(id), "agent_version", json_of_bytes(message->agent),
                               "protocol_version", json_of_bytes(message->protocol_version),
                               "protocols", protocols, "listen_addrs", addresses, "observed_addr",
                               observed, "public_key_matches", key_matches(message, id),
                               "signed_peer_record", record, "signed_addrs", signed_addresses);
    if (error != 0) {
        json_object_set_new(report, "signed_peer_record_error",
                            json_string(plasm_error_message(error)));
    }
    return report;
}
