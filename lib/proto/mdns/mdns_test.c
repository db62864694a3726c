/* The mDNS machine: what it says and when, whom it believes, and that others' packets lead to them.
 * Time is virtual; two machines talk over an Ethernet that is a function call. */
#include "proto/mdns/mdns.h"

#include <stdio.h>

#include "proto/mdns/message.h"
#include "proto/mdns/vectors_testing.h"
#include "util/testing.h"

#define LAN 7 /* the interface's number */

struct station {
    struct memory memory;
    struct mdns *mdns;
    struct netaddr address;
    struct peer_id id;
};

static struct netaddr address_of(const char *text, uint16_t port) {
    struct netaddr address;
    assert_int_equal(netaddr_parse_ip(bytes_of_string(text), &address), 0);
    address.port = port;
    return address;
}

static struct multiaddr multiaddr_of(const char *text) {
    struct multiaddr address;
    assert_int_equal(multiaddr_parse(bytes_of_string(text), &address), 0);
    return address;
}

static struct peer_id peer_of(uint8_t number) {
    struct public_key key;
    struct peer_id id;
    uint8_t bytes[ED25519_PUBLIC_SIZE] = {number};
    public_key_from_ed25519(bytes, &key);
    peer_id_from_key(&key, &id);
    return id;
}

static void set_up(struct station *station, const char *ip, const char *const *addresses,
                   size_t count, nanos now) {
    struct mdns_interface interface = {.index = LAN, .ip4 = true, .subnet_count = 1};
    station->address = address_of(ip, MDNS_PORT);
    interface.subnets[0].address = station->address;
    interface.subnets[0].prefix_bits = 24;
    interface.address_count = count;
    for (size_t i = 0; i < count; i++) {
        interface.addresses[i] = multiaddr_of(addresses[i]);
    }
    mdns_set_interfaces(station->mdns, &interface, 1, now);
}

static void station_init(struct station *station, uint8_t number, bool announce) {
    *station = (struct station){.id = peer_of(number)};
    memory_init(&station->memory, SIZE_MAX);
    struct mdns_config config = {
        .id = station->id, .announce = announce, .memory = &station->memory, .seed = {number}};
    assert_int_equal(mdns_new(&config, &station->mdns), 0);
}

/* A worker at 192.168.7.1, whose announcements are over and forgotten. */
static void worker_init(struct station *worker, nanos now) {
    static const char *const addresses[] = {"/ip4/192.168.7.1/udp/4001/quic-v1"};
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    station_init(worker, 1, true);
    set_up(worker, "192.168.7.1", addresses, 1, now);
    size_t announcements = 0;
    for (nanos later = now; later <= now + 5 * NANOS_SECOND; later += NANOS_SECOND) {
        while (mdns_transmit(worker->mdns, test_span(room, sizeof(room)), later, &datagram)) {
            announcements++;
        }
    }
    assert_int_equal(announcements, 2); /* RFC 6762 section 8.3 */
}

static void station_done(struct station *station) {
    mdns_free(station->mdns);
    assert_int_equal(station->memory.used, 0);
}

/* The next datagram after `*now`, and when; false when there is none before `until`. */
static bool next_datagram(struct station *station, nanos *now, nanos until, uint8_t *room,
                          struct mdns_datagram *ret_datagram) {
    for (;;) {
        if (mdns_transmit(station->mdns, test_span(room, MDNS_MESSAGE_SIZE_MAX), *now,
                          ret_datagram)) {
            return true;
        }
        nanos deadline = mdns_deadline(station->mdns);
        if (deadline > until) {
            return false;
        }
        *now = nanos_max(*now, deadline);
        mdns_expire(station->mdns, *now);
    }
}

static bool is_silent(struct station *station, nanos now, nanos until) {
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    return !next_datagram(station, &now, until, room, &datagram);
}

static void hear(struct station *station, const char *from, uint16_t port, struct bytes message,
                 nanos now) {
    struct netaddr source = address_of(from, port);
    mdns_receive(station->mdns, LAN, &source, test_copy(message), now);
}

/* A query for `name`; with `known`, an answer that is known already and its life. */
static struct bytes query(const char *name, uint16_t type, uint16_t class_code, uint16_t id,
                          const struct mdns_name *known, uint32_t ttl_s) {
    uint8_t room[512];
    struct mdns_writer writer;
    struct mdns_name asked;
    mdns_name_init(&asked, name);
    mdns_writer_init(&writer, test_span(room, sizeof(room)), id, 0);
    mdns_write_question(&writer, &asked, type, class_code);
    if (known != NULL) {
        mdns_record_begin(&writer, MDNS_ANSWER, &asked, MDNS_TYPE_PTR, MDNS_CLASS_IN, ttl_s);
        mdns_write_name(&writer, known);
        assert_true(mdns_record_end(&writer));
    }
    return test_copy(bytes_of(room, mdns_writer_end(&writer)));
}

static struct bytes browse(void) {
    return query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN, 0, NULL, 0);
}

/* An answer as a stranger might give it: PTR and one TXT record with these strings. */
static struct bytes answer(const char *label, uint32_t ttl_s, const char *const *texts,
                           size_t count) {
    uint8_t room[1400];
    struct mdns_writer writer;
    struct mdns_name service;
    struct mdns_name instance;
    mdns_name_init(&service, MDNS_SERVICE);
    assert_int_equal(mdns_name_under(bytes_of_string(label), &service, &instance), 0);
    mdns_writer_init(&writer, test_span(room, sizeof(room)), 0, MDNS_FLAG_RESPONSE);
    mdns_record_begin(&writer, MDNS_ANSWER, &service, MDNS_TYPE_PTR, MDNS_CLASS_IN, ttl_s);
    mdns_write_name(&writer, &instance);
    assert_true(mdns_record_end(&writer));
    mdns_record_begin(&writer, MDNS_ADDITIONAL, &instance, MDNS_TYPE_TXT, MDNS_CLASS_IN, ttl_s);
    for (size_t i = 0; i < count; i++) {
        mdns_write_string(&writer, BYTES_LITERAL("dnsaddr="), bytes_of_string(texts[i]));
    }
    assert_true(mdns_record_end(&writer));
    return test_copy(bytes_of(room, mdns_writer_end(&writer)));
}

/* --- others' packets -------------------------------------------------------------------------- */

static void expect_found(struct station *client, const char *id, const char *address) {
    struct mdns_event event;
    struct multiaddr expected = multiaddr_of(address);
    char text[PEER_ID_TEXT_MAX];
    assert_true(mdns_next_event(client->mdns, &event));
    assert_int_equal(event.type, MDNS_FOUND);
    peer_id_format(&event.id, text);
    assert_string_equal(text, id);
    assert_int_equal(event.interface, LAN);
    assert_int_equal(event.address_count, 1); /* loopback is not taken */
    assert_true(multiaddr_equal(&event.addresses[0], &expected));
    assert_false(mdns_next_event(client->mdns, &event));
}

static void answers_of_go_and_js(void **state) {
    (void)state;
    static const char *const packets[] = {go_answer, go_announcement};
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        struct station client;
        struct mdns_event event;
        station_init(&client, 2, false);
        set_up(&client, "192.168.7.9", NULL, 0, 0);
        hear(&client, "192.168.7.1", MDNS_PORT, test_hex(packets[i]), 0);
        expect_found(&client, GO_PEER_ID, "/ip4/192.168.7.1/udp/4001/quic-v1");
        hear(&client, "192.168.7.2", MDNS_PORT, test_hex(js_answer), 0);
        expect_found(&client, JS_PEER_ID, "/ip4/192.168.7.2/udp/4001/quic-v1");
        hear(&client, "192.168.7.2", MDNS_PORT, test_hex(js_answer), 0);
        assert_false(mdns_next_event(client.mdns, &event)); /* known */
        assert_int_equal(mdns_peer_count(client.mdns), 2);
        hear(&client, "192.168.7.1", MDNS_PORT, test_hex(go_goodbye), NANOS_SECOND);
        assert_int_equal(mdns_deadline(client.mdns), 2 * NANOS_SECOND);
        mdns_expire(client.mdns, 2 * NANOS_SECOND);
        assert_true(mdns_next_event(client.mdns, &event));
        assert_int_equal(event.type, MDNS_LOST);
        assert_int_equal(mdns_peer_count(client.mdns), 1);
        station_done(&client);
    }
}

static void cut_answers_find_nobody(void **state) {
    (void)state;
    static const char *const packets[] = {go_answer, go_announcement, js_answer};
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        struct bytes whole = test_hex(packets[i]);
        struct station client;
        struct mdns_event event;
        station_init(&client, 2, false);
        set_up(&client, "192.168.7.9", NULL, 0, 0);
        for (size_t size = 0; size < whole.size; size++) {
            hear(&client, "192.168.7.1", MDNS_PORT, bytes_slice(whole, 0, size), 0);
            assert_false(mdns_next_event(client.mdns, &event));
        }
        station_done(&client);
    }
}

static void queries_of_go_and_js_are_answered(void **state) {
    (void)state;
    static const char *const packets[] = {go_query, js_query};
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        struct station worker;
        struct station client;
        uint8_t room[MDNS_MESSAGE_SIZE_MAX];
        struct mdns_datagram datagram;
        char id[PEER_ID_TEXT_MAX];
        nanos start = 100 * NANOS_SECOND;
        nanos now = start;
        worker_init(&worker, 0);
        hear(&worker, "192.168.7.2", MDNS_PORT, test_hex(packets[i]), now);
        assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
        assert_true(now - start >= 20 * NANOS_MILLISECOND);
        assert_true(now - start <= 120 * NANOS_MILLISECOND);
        assert_int_equal(datagram.interface, LAN);
        assert_int_equal(datagram.family, NETADDR_IP4);
        assert_int_equal(datagram.unicast.family, NETADDR_NONE);
        assert_true(is_silent(&worker, now, NANOS_NEVER - 1));

        station_init(&client, 2, false);
        set_up(&client, "192.168.7.9", NULL, 0, 0);
        hear(&client, "192.168.7.1", MDNS_PORT, bytes_of(room, datagram.size), now);
        peer_id_format(&worker.id, id);
        expect_found(&client, id, "/ip4/192.168.7.1/udp/4001/quic-v1");
        hear(&worker, "192.168.7.1", MDNS_PORT, bytes_of(room, datagram.size), now);
        assert_int_equal(mdns_peer_count(worker.mdns), 0); /* ourselves */
        station_done(&client);
        station_done(&worker);
    }
}

/* --- manners ---------------------------------------------------------------------------------- */

/* Our instance name, from an answer of ours. */
static struct mdns_name name_in(struct bytes message) {
    struct mdns_reader reader;
    struct mdns_record record;
    struct mdns_name name;
    assert_int_equal(mdns_reader_init(&reader, message), 0);
    assert_true(mdns_next_record(&reader, &record));
    assert_int_equal(record.type, MDNS_TYPE_PTR);
    assert_int_equal(mdns_record_target(&reader, &record, &name), 0);
    return name;
}

static void known_answers_are_not_repeated(void **state) {
    (void)state;
    struct station worker;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    nanos now = 100 * NANOS_SECOND;
    worker_init(&worker, 0);
    hear(&worker, "192.168.7.2", MDNS_PORT, browse(), now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    struct mdns_name name = name_in(test_copy(bytes_of(room, datagram.size)));

    now += 10 * NANOS_SECOND;
    hear(&worker, "192.168.7.2", MDNS_PORT,
         query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN, 0, &name, MDNS_TTL_S / 2), now);
    assert_true(is_silent(&worker, now, NANOS_NEVER - 1));
    /* One that expires soon is told again. */
    hear(&worker, "192.168.7.2", MDNS_PORT,
         query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN, 0, &name, MDNS_TTL_S / 2 - 1), now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    /* A question, and what its asker knows in a second message. */
    now += 10 * NANOS_SECOND;
    hear(&worker, "192.168.7.2", MDNS_PORT, browse(), now);
    hear(&worker, "192.168.7.2", MDNS_PORT,
         query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN, 0, &name, MDNS_TTL_S), now);
    assert_true(is_silent(&worker, now, NANOS_NEVER - 1));
    /* Somebody else asked, too: it is no answer to both any more. */
    hear(&worker, "192.168.7.2", MDNS_PORT, browse(), now);
    hear(&worker, "192.168.7.3", MDNS_PORT, browse(), now);
    hear(&worker, "192.168.7.2", MDNS_PORT,
         query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN, 0, &name, MDNS_TTL_S), now);
    assert_false(is_silent(&worker, now, NANOS_NEVER - 1));
    station_done(&worker);
}

static void once_a_second(void **state) {
    (void)state;
    struct station worker;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    nanos start = 100 * NANOS_SECOND;
    size_t answers = 0;
    worker_init(&worker, 0);
    nanos last = 0;
    for (nanos now = start; now < start + 10 * NANOS_SECOND; now += 5 * NANOS_MILLISECOND) {
        hear(&worker, "192.168.7.2", MDNS_PORT, browse(), now);
        while (mdns_transmit(worker.mdns, test_span(room, sizeof(room)), now, &datagram)) {
            assert_true(last == 0 || now - last >= NANOS_SECOND);
            last = now;
            answers++;
        }
    }
    assert_true(answers >= 9 && answers <= 10);
    station_done(&worker);
}

static void unicast_answers(void **state) {
    (void)state;
    struct station worker;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    struct bytes asked =
        query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN | MDNS_CLASS_TOP, 0, NULL, 0);
    nanos now = 100 * NANOS_SECOND;
    worker_init(&worker, 0);
    /* Not heard for long: all get to hear it. */
    hear(&worker, "192.168.7.2", MDNS_PORT, asked, now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    assert_int_equal(datagram.unicast.family, NETADDR_NONE);
    now += NANOS_SECOND;
    hear(&worker, "192.168.7.2", MDNS_PORT, asked, now);
    hear(&worker, "192.168.7.2", MDNS_PORT, asked, now); /* one answer is enough */
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    struct netaddr asker = address_of("192.168.7.2", MDNS_PORT);
    assert_true(netaddr_equal(&datagram.unicast, &asker));
    assert_true(is_silent(&worker, now, NANOS_NEVER - 1));
    station_done(&worker);
}

/* RFC 6762 section 6.7: somebody who speaks plain DNS. */
static void legacy_askers(void **state) {
    (void)state;
    struct station worker;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    struct mdns_reader reader;
    struct mdns_question question;
    struct mdns_record record;
    nanos now = 100 * NANOS_SECOND;
    worker_init(&worker, 0);
    hear(&worker, "192.168.7.2", 40000,
         query(MDNS_SERVICE, MDNS_TYPE_PTR, MDNS_CLASS_IN, 0xbeef, NULL, 0), now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    assert_int_equal(datagram.unicast.port, 40000);
    assert_int_equal(mdns_reader_init(&reader, test_copy(bytes_of(room, datagram.size))), 0);
    assert_int_equal(reader.id, 0xbeef);
    assert_true(mdns_next_question(&reader, &question));
    assert_int_equal(question.type, MDNS_TYPE_PTR);
    size_t records = 0;
    while (mdns_next_record(&reader, &record)) {
        assert_true(record.ttl_s <= 10);
        assert_false(record.flush);
        records++;
    }
    assert_int_equal(records, 4); /* PTR, TXT, SRV, A */
    /* A flood of askers fills no memory and gets a few answers. */
    for (uint16_t i = 0; i < 1000; i++) {
        hear(&worker, "192.168.7.2", (uint16_t)(1000 + i), browse(), now);
    }
    size_t answers = 0;
    while (next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram)) {
        answers++;
    }
    assert_int_equal(answers, MDNS_UNICAST_MAX);
    station_done(&worker);
}

static void tools_may_ask_for_anything(void **state) {
    (void)state;
    struct station worker;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    struct mdns_reader reader;
    struct mdns_record record;
    nanos now = 100 * NANOS_SECOND;
    worker_init(&worker, 0);
    hear(&worker, "192.168.7.2", MDNS_PORT,
         query("_services._dns-sd._udp.local", MDNS_TYPE_PTR, MDNS_CLASS_IN, 0, NULL, 0), now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    struct mdns_name service;
    mdns_name_init(&service, MDNS_SERVICE);
    struct mdns_name told = name_in(test_copy(bytes_of(room, datagram.size)));
    assert_true(mdns_name_equal(&told, &service));
    hear(&worker, "192.168.7.2", MDNS_PORT,
         query("_http._tcp.local", MDNS_TYPE_ANY, MDNS_CLASS_IN, 0, NULL, 0), now);
    assert_true(is_silent(&worker, now, NANOS_NEVER - 1));
    /* What a browser's answer names is asked for by itself. */
    hear(&worker, "192.168.7.2", MDNS_PORT, browse(), now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    assert_int_equal(mdns_reader_init(&reader, test_copy(bytes_of(room, datagram.size))), 0);
    struct mdns_name wanted[3] = {name_in(reader.message)};
    size_t count = 1;
    while (count < 3 && mdns_next_record(&reader, &record)) {
        if (record.type == MDNS_TYPE_A) {
            wanted[count++] = record.name;
        }
    }
    assert_int_equal(count, 2);
    static const uint16_t types[] = {MDNS_TYPE_TXT, MDNS_TYPE_A};
    for (size_t i = 0; i < 2; i++) {
        uint8_t asked[512];
        struct mdns_writer writer;
        now += 5 * NANOS_SECOND;
        mdns_writer_init(&writer, test_span(asked, sizeof(asked)), 0, 0);
        mdns_write_question(&writer, &wanted[i], types[i], MDNS_CLASS_IN);
        hear(&worker, "192.168.7.2", MDNS_PORT, bytes_of(asked, mdns_writer_end(&writer)), now);
        assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
        assert_int_equal(mdns_reader_init(&reader, test_copy(bytes_of(room, datagram.size))), 0);
        assert_true(mdns_next_record(&reader, &record));
        assert_int_equal(record.type, types[i]);
        assert_true(record.flush);
        assert_int_equal(record.ttl_s, MDNS_TTL_S);
    }
    station_done(&worker);
}

/* --- whom to believe -------------------------------------------------------------------------- */

static void strangers_are_not_heard(void **state) {
    (void)state;
    struct station client;
    struct mdns_event event;
    station_init(&client, 2, false);
    set_up(&client, "192.168.7.9", NULL, 0, 0);
    hear(&client, "192.168.8.1", MDNS_PORT, test_hex(go_answer), 0); /* another network */
    hear(&client, "192.168.7.1", 4711, test_hex(go_answer), 0);      /* not from the port */
    struct netaddr source = address_of("192.168.7.1", MDNS_PORT);
    mdns_receive(client.mdns, LAN + 1, &source, test_hex(go_answer), 0); /* another interface */
    source = address_of("fe80::1", MDNS_PORT);
    mdns_receive(client.mdns, LAN, &source, test_hex(go_answer), 0); /* a family that is off */
    assert_false(mdns_next_event(client.mdns, &event));
    station_done(&client);
}

static void unsuitable_addresses_are_not_taken(void **state) {
    (void)state;
    static const char *const texts[] = {
        "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/" GO_PEER_ID,
        "/ip4/8.8.8.8/udp/53/quic-v1/p2p/" GO_PEER_ID, /* a stranger, far away */
        "/ip4/224.0.0.1/udp/4001/quic-v1/p2p/" GO_PEER_ID,
        "/ip4/0.0.0.0/udp/4001/quic-v1/p2p/" GO_PEER_ID,
        "/ip6/fe80::1/udp/4001/quic-v1/p2p/" GO_PEER_ID,
        "/ip4/192.168.7.1/udp/4001/quic-v1", /* whose? */
        "/ip4/192.168.7.1/tcp/4001/ws/p2p/" GO_PEER_ID,
        "/ip4/192.168.7.1/udp/4001/quic-v1/p2p/" JS_PEER_ID "/p2p-circuit/p2p/" GO_PEER_ID,
        "/dns4/elsewhere.example/udp/4001/quic-v1/p2p/" GO_PEER_ID,
        "no multiaddr"};
    struct station client;
    struct mdns_event event;
    station_init(&client, 2, false);
    set_up(&client, "192.168.7.9", NULL, 0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        hear(&client, "192.168.7.1", MDNS_PORT, answer("somebody", 120, &texts[i], 1), 0);
        assert_false(mdns_next_event(client.mdns, &event));
    }
    /* A message may say good things beside bad ones; all must be of one peer. */
    static const char *const mixed[] = {"/ip4/8.8.8.8/udp/53/quic-v1/p2p/" GO_PEER_ID,
                                        "/ip4/192.168.7.1/tcp/4001/p2p/" GO_PEER_ID,
                                        "/ip4/192.168.7.1/tcp/4002/p2p/" JS_PEER_ID};
    hear(&client, "192.168.7.1", MDNS_PORT, answer("somebody", 120, mixed, 3), 0);
    expect_found(&client, GO_PEER_ID, "/ip4/192.168.7.1/tcp/4001");
    station_done(&client);
}

static void unsuitable_addresses_are_not_told(void **state) {
    (void)state;
    static const char *const addresses[] = {"/ip4/127.0.0.1/udp/4001/quic-v1",
                                            "/ip4/192.168.7.1/udp/4001/quic-v1/p2p/" GO_PEER_ID
                                            "/p2p-circuit",
                                            "/ip4/192.168.7.1/tcp/4001/ws"};
    struct station worker;
    station_init(&worker, 1, true);
    set_up(&worker, "192.168.7.1", addresses, ARRAY_SIZE(addresses), 0);
    assert_true(is_silent(&worker, 0, NANOS_NEVER - 1)); /* nothing to announce */
    hear(&worker, "192.168.7.2", MDNS_PORT, browse(), NANOS_SECOND);
    assert_true(is_silent(&worker, NANOS_SECOND, NANOS_NEVER - 1));
    station_done(&worker);
}

static void a_flood_of_names_is_bounded(void **state) {
    (void)state;
    static const char *const text[] = {"/ip4/192.168.7.1/tcp/4001/p2p/" GO_PEER_ID};
    struct station client;
    struct mdns_event event;
    size_t found = 0;
    station_init(&client, 2, false);
    set_up(&client, "192.168.7.9", NULL, 0, 0);
    for (size_t i = 0; i < 500; i++) {
        char label[16];
        (void)snprintf(label, sizeof(label), "name%zu", i);
        hear(&client, "192.168.7.1", MDNS_PORT, answer(label, 120, text, 1), 1);
        while (mdns_next_event(client.mdns, &event)) {
            found++;
        }
    }
    assert_int_equal(found, MDNS_FOUND_BURST);
    for (size_t i = 0; i < 500; i++) { /* patience does not help beyond a bound */
        char label[16];
        (void)snprintf(label, sizeof(label), "more%zu", i);
        hear(&client, "192.168.7.1", MDNS_PORT, answer(label, 4500, text, 1), i * NANOS_SECOND);
    }
    assert_int_equal(mdns_peer_count(client.mdns), MDNS_PEERS_MAX);
    station_done(&client);
}

/* --- looking ---------------------------------------------------------------------------------- */

static void questions_become_rarer(void **state) {
    (void)state;
    struct station client;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    nanos times[16];
    nanos now = 0;
    station_init(&client, 2, false);
    mdns_search(client.mdns, true, 0);
    set_up(&client, "192.168.7.9", NULL, 0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        assert_true(next_datagram(&client, &now, NANOS_NEVER - 1, room, &datagram));
        times[i] = now;
        struct mdns_reader reader;
        struct mdns_question question;
        assert_int_equal(mdns_reader_init(&reader, bytes_of(room, datagram.size)), 0);
        assert_true(mdns_next_question(&reader, &question));
        assert_false(question.unicast); /* the port may be shared */
    }
    assert_true(times[0] >= 20 * NANOS_MILLISECOND && times[0] <= 120 * NANOS_MILLISECOND);
    for (size_t i = 1; i < ARRAY_SIZE(times); i++) {
        nanos pause = times[i] - times[i - 1];
        nanos doubled = NANOS_SECOND << (i - 1);
        assert_int_equal(pause, doubled < NANOS_HOUR ? doubled : NANOS_HOUR);
    }
    mdns_search(client.mdns, false, now);
    assert_true(is_silent(&client, now, NANOS_NEVER - 1));
    station_done(&client);
}

static void the_found_are_asked_again_before_they_expire(void **state) {
    (void)state;
    struct station client;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    struct mdns_event event;
    nanos now = 1000 * NANOS_SECOND; /* between two questions that are far apart */
    station_init(&client, 2, false);
    mdns_search(client.mdns, true, 0);
    set_up(&client, "192.168.7.9", NULL, 0, 0);
    nanos past = 0;
    while (next_datagram(&client, &past, now, room, &datagram)) {
    }
    hear(&client, "192.168.7.2", MDNS_PORT, test_hex(js_answer), now); /* 120 s */
    assert_true(mdns_next_event(client.mdns, &event));
    nanos heard = now;
    size_t questions = 0;
    while (next_datagram(&client, &now, heard + 119 * NANOS_SECOND, room, &datagram)) {
        nanos age = now - heard;
        questions++;
        assert_true(age >= 96 * NANOS_SECOND || now % NANOS_SECOND != 0);
    }
    assert_true(questions >= 4);
    assert_false(mdns_next_event(client.mdns, &event));
    now = heard + 120 * NANOS_SECOND;
    mdns_expire(client.mdns, now);
    assert_true(mdns_next_event(client.mdns, &event));
    assert_int_equal(event.type, MDNS_LOST);
    /* It comes back. */
    hear(&client, "192.168.7.2", MDNS_PORT, test_hex(js_answer), now);
    assert_true(mdns_next_event(client.mdns, &event));
    assert_int_equal(event.type, MDNS_FOUND);
    /* What is known is said with the question. */
    mdns_search(client.mdns, true, now);
    assert_true(next_datagram(&client, &now, NANOS_NEVER - 1, room, &datagram));
    struct mdns_reader reader;
    struct mdns_record record;
    assert_int_equal(mdns_reader_init(&reader, bytes_of(room, datagram.size)), 0);
    assert_true(mdns_next_record(&reader, &record));
    assert_int_equal(record.section, MDNS_ANSWER);
    assert_true(record.ttl_s > 60 && record.ttl_s <= 120);
    station_done(&client);
}

/* --- networks change -------------------------------------------------------------------------- */

static void a_new_address_is_announced(void **state) {
    (void)state;
    static const char *const addresses[] = {"/ip4/192.168.9.5/udp/4001/quic-v1"};
    struct station worker;
    struct station client;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    char id[PEER_ID_TEXT_MAX];
    nanos now = 100 * NANOS_SECOND;
    worker_init(&worker, 0);
    set_up(&worker, "192.168.9.5", addresses, 1, now);
    assert_true(next_datagram(&worker, &now, NANOS_NEVER - 1, room, &datagram));
    assert_int_equal(now, 100 * NANOS_SECOND);
    station_init(&client, 2, false);
    set_up(&client, "192.168.9.9", NULL, 0, 0);
    hear(&client, "192.168.9.5", MDNS_PORT, bytes_of(room, datagram.size), now);
    peer_id_format(&worker.id, id);
    expect_found(&client, id, "/ip4/192.168.9.5/udp/4001/quic-v1");
    /* The same again is no news. */
    now += 10 * NANOS_SECOND;
    while (next_datagram(&worker, &now, now, room, &datagram)) {
    }
    set_up(&worker, "192.168.9.5", addresses, 1, now);
    assert_true(is_silent(&worker, now, NANOS_NEVER - 1));
    mdns_set_interfaces(worker.mdns, NULL, 0, now);
    assert_int_equal(mdns_deadline(worker.mdns), NANOS_NEVER);
    station_done(&client);
    station_done(&worker);
}

static void goodbye(void **state) {
    (void)state;
    struct station worker;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    struct mdns_reader reader;
    struct mdns_record record;
    worker_init(&worker, 0);
    mdns_stop(worker.mdns);
    assert_true(mdns_transmit(worker.mdns, test_span(room, sizeof(room)), 0, &datagram));
    assert_int_equal(mdns_reader_init(&reader, test_copy(bytes_of(room, datagram.size))), 0);
    while (mdns_next_record(&reader, &record)) {
        assert_int_equal(record.ttl_s, 0);
    }
    assert_int_equal(reader.error, 0);
    assert_false(mdns_transmit(worker.mdns, test_span(room, sizeof(room)), 0, &datagram));
    station_done(&worker);
}

static void many_addresses_fit_a_frame(void **state) {
    (void)state;
    static const char *const addresses[MDNS_ADDRESSES_MAX] = {
        "/ip4/192.168.7.1/udp/4001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab0/udp/40001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab1/udp/40001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab2/udp/40001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab3/udp/40001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab4/udp/40001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab5/udp/40001/quic-v1",
        "/ip6/fd00:1234:5678:9abc:def0:1234:5678:9ab6/udp/40001/quic-v1"};
    struct station worker;
    struct station client;
    struct mdns_event event;
    uint8_t room[MDNS_MESSAGE_SIZE_MAX];
    struct mdns_datagram datagram;
    station_init(&worker, 1, true);
    set_up(&worker, "192.168.7.1", addresses, MDNS_ADDRESSES_MAX, 0);
    assert_true(mdns_transmit(worker.mdns, test_span(room, sizeof(room)), 0, &datagram));
    station_init(&client, 2, false);
    set_up(&client, "192.168.7.9", NULL, 0, 0);
    hear(&client, "192.168.7.1", MDNS_PORT, bytes_of(room, datagram.size), 0);
    assert_true(mdns_next_event(client.mdns, &event));
    assert_int_equal(event.address_count, MDNS_ADDRESSES_MAX);
    station_done(&client);
    station_done(&worker);
}

static void memory_fails(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct memory_failing failing;
        memory_failing_init(&failing, n, false);
        struct station client = {.id = peer_of(3)};
        struct mdns_config config = {.id = client.id, .memory = &failing.memory};
        if (mdns_new(&config, &client.mdns) == 0) {
            struct mdns_event event;
            set_up(&client, "192.168.7.9", NULL, 0, 0);
            hear(&client, "192.168.7.1", MDNS_PORT, test_hex(go_answer), 0);
            assert_true(mdns_next_event(client.mdns, &event) == !failing.failed);
            mdns_free(client.mdns);
        }
        failed = failing.failed;
        assert_int_equal(failing.memory.used, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_go_and_js),
        cmocka_unit_test(cut_answers_find_nobody),
        cmocka_unit_test(queries_of_go_and_js_are_answered),
        cmocka_unit_test(known_answers_are_not_repeated),
        cmocka_unit_test(once_a_second),
        cmocka_unit_test(unicast_answers),
        cmocka_unit_test(legacy_askers),
        cmocka_unit_test(tools_may_ask_for_anything),
        cmocka_unit_test(strangers_are_not_heard),
        cmocka_unit_test(unsuitable_addresses_are_not_taken),
        cmocka_unit_test(unsuitable_addresses_are_not_told),
        cmocka_unit_test(a_flood_of_names_is_bounded),
        cmocka_unit_test(questions_become_rarer),
        cmocka_unit_test(the_found_are_asked_again_before_they_expire),
        cmocka_unit_test(a_new_address_is_announced),
        cmocka_unit_test(goodbye),
        cmocka_unit_test(many_addresses_fit_a_frame),
        cmocka_unit_test(memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
