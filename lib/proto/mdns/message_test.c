/* DNS messages: packets of other implementations, what is written is read again, and what must not
 * be believed. */
#include "proto/mdns/message.h"

#include <stdio.h>

#include "proto/mdns/vectors_testing.h"
#include "util/testing.h"

static struct mdns_name name_of(const char *text) {
    struct mdns_name name;
    mdns_name_init(&name, text);
    return name;
}

static void a_query_of_go(void **state) {
    (void)state;
    struct mdns_reader reader;
    struct mdns_question question;
    struct mdns_name service = name_of("_p2p._udp.local");
    assert_int_equal(mdns_reader_init(&reader, test_hex(go_query)), 0);
    assert_true(mdns_next_question(&reader, &question));
    assert_true(mdns_name_equal(&question.name, &service));
    assert_int_equal(question.type, MDNS_TYPE_PTR);
    assert_int_equal(question.class_code, MDNS_CLASS_IN);
    assert_false(question.unicast);
    assert_false(mdns_next_question(&reader, &question));
    assert_int_equal(reader.error, 0);
}

static void an_answer_of_go(void **state) {
    (void)state;
    struct mdns_reader reader;
    struct mdns_record record;
    struct mdns_name service = name_of("_p2p._udp.local");
    struct mdns_name instance;
    struct mdns_name host;
    static const uint16_t types[] = {MDNS_TYPE_PTR, MDNS_TYPE_SRV, MDNS_TYPE_TXT, MDNS_TYPE_A};
    assert_int_equal(mdns_reader_init(&reader, test_hex(go_answer)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_true(mdns_next_record(&reader, &record));
        assert_int_equal(record.type, types[i]);
        assert_int_equal(record.section, i == 0 ? MDNS_ANSWER : MDNS_ADDITIONAL);
        if (i == 0) {
            assert_int_equal(record.ttl_s, 3200);
            assert_int_equal(mdns_record_target(&reader, &record, &instance), 0);
            assert_int_equal(mdns_name_label(&instance, &service).size, 44);
        } else if (record.type == MDNS_TYPE_TXT) {
            struct bytes string;
            assert_true(mdns_name_equal(&record.name, &instance));
            assert_true(mdns_next_string(&record.data, &string));
            assert_true(bytes_start_with(string, BYTES_LITERAL("dnsaddr=/ip4/127.0.0.1/")));
            assert_true(mdns_next_string(&record.data, &string));
            assert_true(bytes_start_with(string, BYTES_LITERAL("dnsaddr=/ip4/192.168.7.1/")));
            assert_false(mdns_next_string(&record.data, &string));
        } else if (record.type == MDNS_TYPE_A) {
            host = record.name;
            assert_int_equal(record.data.size, 4);
            assert_int_equal(mdns_name_label(&host, &service).size, 0);
        }
    }
    assert_false(mdns_next_record(&reader, &record));
    assert_int_equal(reader.error, 0);
}

/* Cut anywhere: an error or fewer records, nothing else. */
static void cut_at_every_byte(void **state) {
    (void)state;
    static const char *const packets[] = {go_query, go_answer, go_probe,  go_announcement,
                                          js_query, js_answer, go_goodbye};
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        struct bytes whole = test_hex(packets[i]);
        for (size_t size = 0; size < whole.size; size++) {
            struct mdns_reader reader;
            struct mdns_record record;
            struct mdns_name target;
            int error = mdns_reader_init(&reader, test_copy(bytes_slice(whole, 0, size)));
            while (error == 0 && mdns_next_record(&reader, &record)) {
                assert_true(mdns_record_target(&reader, &record, &target) <= 0);
            }
            assert_true(error != 0 || reader.error != 0);
        }
    }
}

static void what_is_written_is_read(void **state) {
    (void)state;
    uint8_t room[512];
    struct mdns_writer writer;
    struct mdns_name service = name_of("_p2p._udp.local");
    struct mdns_name instance;
    assert_int_equal(mdns_name_under(BYTES_LITERAL("somebody"), &service, &instance), 0);
    mdns_writer_init(&writer, test_span(room, sizeof(room)), 77, MDNS_FLAG_RESPONSE);
    mdns_write_question(&writer, &service, MDNS_TYPE_PTR, MDNS_CLASS_IN | MDNS_CLASS_TOP);
    mdns_record_begin(&writer, MDNS_ANSWER, &service, MDNS_TYPE_PTR, MDNS_CLASS_IN, 120);
    mdns_write_name(&writer, &instance);
    assert_true(mdns_record_end(&writer));
    mdns_record_begin(&writer, MDNS_ADDITIONAL, &instance, MDNS_TYPE_TXT,
                      MDNS_CLASS_IN | MDNS_CLASS_TOP, 60);
    mdns_write_string(&writer, BYTES_LITERAL("key="), BYTES_LITERAL("value"));
    assert_true(mdns_record_end(&writer));
    size_t size = mdns_writer_end(&writer);
    /* header, question, PTR with one new label, TXT with none */
    assert_int_equal(size, 12 + 21 + 2 + 10 + 11 + 2 + 10 + 10);

    struct mdns_reader reader;
    struct mdns_question question;
    struct mdns_record record;
    struct mdns_name target;
    struct bytes string;
    assert_int_equal(mdns_reader_init(&reader, test_copy(bytes_of(room, size))), 0);
    assert_int_equal(reader.id, 77);
    assert_true(mdns_next_question(&reader, &question));
    assert_true(question.unicast);
    assert_true(mdns_next_record(&reader, &record));
    assert_int_equal(mdns_record_target(&reader, &record, &target), 0);
    assert_true(mdns_name_equal(&target, &instance));
    assert_true(mdns_next_record(&reader, &record));
    assert_true(record.flush);
    assert_int_equal(record.ttl_s, 60);
    assert_true(mdns_name_equal(&record.name, &instance));
    assert_true(mdns_next_string(&record.data, &string));
    assert_bytes_equal(string, BYTES_LITERAL("key=value"));
    assert_false(mdns_next_record(&reader, &record));
    assert_int_equal(reader.error, 0);
}

/* In too little room a record is left out whole, and what was before stays a message. */
static void little_room(void **state) {
    (void)state;
    struct mdns_name service = name_of("_p2p._udp.local");
    struct mdns_name host = name_of("a.p2p.local");
    for (size_t size = 0; size < 80; size++) {
        uint8_t room[80];
        struct mdns_writer writer;
        mdns_writer_init(&writer, test_span(room, size), 0, 0);
        mdns_write_question(&writer, &service, MDNS_TYPE_PTR, MDNS_CLASS_IN);
        bool asked = writer.writer.error == 0;
        size_t records = 0;
        for (size_t i = 0; i < 2 && asked; i++) {
            mdns_record_begin(&writer, MDNS_ANSWER, &host, MDNS_TYPE_A, MDNS_CLASS_IN, 1);
            writer_u32(&writer.writer, 0x0a000001);
            records += mdns_record_end(&writer);
        }
        size_t written = mdns_writer_end(&writer);
        assert_true(asked == (written > 0));
        if (asked) {
            struct mdns_reader reader;
            struct mdns_record record;
            size_t read = 0;
            assert_int_equal(mdns_reader_init(&reader, test_copy(bytes_of(room, written))), 0);
            while (mdns_next_record(&reader, &record)) {
                assert_true(mdns_name_equal(&record.name, &host));
                read++;
            }
            assert_int_equal(reader.error, 0);
            assert_int_equal(read, records);
        }
    }
}

static void names(void **state) {
    (void)state;
    struct mdns_name service = name_of("_p2p._udp.local");
    struct mdns_name same = name_of("_P2P._uDp.LOCAL");
    struct mdns_name other = name_of("_p2p._tcp.local");
    struct mdns_name deep = name_of("a.b._p2p._udp.local");
    struct mdns_name name;
    uint8_t label[64] = {0};
    assert_true(mdns_name_equal(&service, &same));
    assert_false(mdns_name_equal(&service, &other));
    assert_int_equal(mdns_name_label(&deep, &service).size, 0);
    assert_int_equal(mdns_name_label(&service, &service).size, 0);
    assert_int_equal(mdns_name_under(bytes_of(label, 0), &service, &name), PLASM_INVALID);
    assert_int_equal(mdns_name_under(bytes_of(label, 64), &service, &name), PLASM_INVALID);
    assert_int_equal(mdns_name_under(bytes_of(label, 63), &service, &name), 0);
    assert_int_equal(mdns_name_label(&name, &same).size, 63);
}

/* One question with the given name bytes, after a header. */
static int read_one(const char *hex) {
    char text[2048];
    (void)snprintf(text, sizeof(text), "000000000001000000000000%s", hex);
    struct mdns_reader reader;
    struct mdns_question question;
    int error = mdns_reader_init(&reader, test_hex(text));
    if (error == 0 && !mdns_next_question(&reader, &question)) {
        error = reader.error;
    }
    return error;
}

static void hostile_names(void **state) {
    (void)state;
    assert_int_equal(read_one("0161"
                              "00"
                              "000c0001"),
                     0);
    assert_int_equal(read_one("c00c"
                              "000c0001"),
                     PLASM_MALFORMED); /* itself */
    assert_int_equal(read_one("0161c00c"
                              "000c0001"),
                     PLASM_MALFORMED); /* a loop */
    assert_int_equal(read_one("c020"
                              "000c0001"),
                     PLASM_MALFORMED); /* forwards */
    assert_int_equal(read_one("c000"
                              "000c0001"),
                     PLASM_MALFORMED); /* into the header */
    assert_int_equal(read_one("4161"
                              "00"
                              "000c0001"),
                     PLASM_MALFORMED); /* reserved bits */
    assert_int_equal(read_one("8161"
                              "00"
                              "000c0001"),
                     PLASM_MALFORMED);
    assert_int_equal(read_one("3f61"), PLASM_TRUNCATED);
    assert_int_equal(read_one("c0"), PLASM_TRUNCATED);
    char longest[1024];
    size_t size = 0;
    for (size_t i = 0; i < 4 * 64; i++) { /* 4 × 64 and the root: 257 bytes */
        memcpy(longest + size, i % 64 == 0 ? "3f" : "61", 2);
        size += 2;
    }
    memcpy(longest + size, "00000c0001", sizeof("00000c0001"));
    assert_int_equal(read_one(longest), PLASM_MALFORMED);
}

static void hostile_messages(void **state) {
    (void)state;
    struct mdns_reader reader;
    struct bytes string;
    assert_int_equal(mdns_reader_init(&reader, test_hex("0000000000ff000000000000")), PLASM_LIMIT);
    assert_int_equal(mdns_reader_init(&reader, test_hex("0000080000000000000000")),
                     PLASM_TRUNCATED);
    /* opcode 1, response code 3 */
    assert_int_equal(mdns_reader_init(&reader, test_hex("000008000000000000000000")),
                     PLASM_UNSUPPORTED);
    assert_int_equal(mdns_reader_init(&reader, test_hex("000080030000000000000000")),
                     PLASM_UNSUPPORTED);
    struct bytes data = test_hex("036162");
    assert_false(mdns_next_string(&data, &string)); /* longer than the record */
    data = test_hex("00");
    assert_true(mdns_next_string(&data, &string));
    assert_int_equal(string.size, 0);
    assert_false(mdns_next_string(&data, &string));
}

/* A name of pointers to pointers ends at a bound. */
static void a_chain_of_pointers(void **state) {
    (void)state;
    for (size_t links = 1; links < 40; links++) {
        uint8_t message[128] = {[5] = 2};
        size_t at = MDNS_HEADER_SIZE;
        message[at++] = 0; /* the root's name, then a question of it */
        at += 4;
        size_t target = MDNS_HEADER_SIZE;
        size_t start = at;
        for (size_t i = 0; i < links; i++) {
            message[at] = 0xc0;
            message[at + 1] = (uint8_t)target;
            target = at;
            at += 2;
        }
        struct mdns_reader reader = {.message = test_copy(bytes_of(message, at + 4)),
                                     .offset = at - 2,
                                     .left = {1, 0, 0, 0}};
        struct mdns_question question;
        assert_true(start < at);
        assert_true(mdns_next_question(&reader, &question) == (links <= MDNS_POINTERS_MAX));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_of_go),      cmocka_unit_test(an_answer_of_go),
        cmocka_unit_test(cut_at_every_byte),  cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(little_room),        cmocka_unit_test(names),
        cmocka_unit_test(hostile_names),      cmocka_unit_test(hostile_messages),
        cmocka_unit_test(a_chain_of_pointers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
