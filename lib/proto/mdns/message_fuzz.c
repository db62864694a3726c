/* Reads every question, record, name and string of a message. */
#include "proto/mdns/message.h"

#include "util/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mdns_reader reader;
    struct mdns_question question;
    struct mdns_record record;
    if (mdns_reader_init(&reader, bytes_of(data, size)) != 0) {
        return 0;
    }
    size_t items = 0;
    while (mdns_next_question(&reader, &question)) {
        ENSURE(question.name.size > 0 && question.name.bytes[question.name.size - 1] == 0);
        items++;
    }
    while (mdns_next_record(&reader, &record)) {
        struct mdns_name name;
        struct bytes string;
        ENSURE(record.data_offset + record.data.size <= size);
        if (mdns_record_target(&reader, &record, &name) == 0) {
            ENSURE(mdns_name_equal(&name, &name));
        }
        while (mdns_next_string(&record.data, &string)) {
            ENSURE(string.size <= UINT8_MAX);
        }
        items++;
    }
    ENSURE(items <= MDNS_ITEMS_MAX);
    return 0;
}
