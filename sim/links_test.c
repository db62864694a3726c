/* Tests of the simulated links by themselves: how long things take, what loss, silence and death
 * do, and that nothing is left over. */
#include "links.h"

#include "util/testing.h"

#define ACCESS   (10 * NANOS_MILLISECOND)
#define ONE_WAY  (2 * ACCESS)
#define PIECE    1000
#define SEEN_MAX 64

/* One end of the stage: what it was told, in order. */
struct seen {
    enum link_event_type type;
    nanos at;
    int error;
    uint64_t code;
    bool fin;
    struct link *link;
    struct link_stream *stream;
};

struct actor {
    struct stage *stage;
    struct site site;
    struct peer_id id;
    struct transport *transport;
    size_t seen_count;
    struct seen seen[SEEN_MAX];
    size_t bytes;
    bool is_changed; /* byte i of a stream is not i % 251 */
    bool consumes;
    char reason[64];
};

struct stage {
    struct sim sim;
    struct network network;
    struct links links;
    struct memory memory;
    struct actor actors[2];
};

static void take(struct actor *actor, const struct link_event *event) {
    if (event->type == LINK_STREAM_DATA) {
        for (size_t i = 0; i < event->data.size; i++) {
            actor->is_changed |= event->data.data[i] != (actor->bytes + i) % 251;
        }
        actor->bytes += event->data.size;
        if (actor->consumes) {
            actor->transport->verbs->consume(event->stream, event->data.size);
        }
        if (!event->fin) {
            return; /* only ends are noted */
        }
    }
    if (event->type == LINK_CLOSED) {
        assert_int_equal(bytes_to_string(event->data, actor->reason, sizeof(actor->reason)), 0);
    }
    assert_true(actor->seen_count < SEEN_MAX);
    actor->seen[actor->seen_count++] = (struct seen){.type = event->type,
                                                     .at = actor->stage->sim.now,
                                                     .error = event->error,
                                                     .code = event->code,
                                                     .fin = event->fin,
                                                     .link = event->link,
                                                     .stream = event->stream};
}

static void look(struct actor *actor) {
    struct link_event event;
    while (actor->transport != NULL &&
           actor->transport->verbs->next_event(actor->transport, &event)) {
        take(actor, &event);
    }
    if (actor->transport != NULL) {
        links_transport_flush(actor->transport);
    }
}

static void arrived(struct site *site) {
    look(CONTAINER_OF(site, struct actor, site));
}

static void stage_init(struct stage *stage, uint32_t loss_ppm) {
    memset(stage, 0, sizeof(*stage));
    struct network_options options = {
        .access_min = ACCESS, .access_max = ACCESS, .loss_ppm = loss_ppm};
    sim_init(&stage->sim, 5, NULL);
    network_init(&stage->network, &stage->sim, &options);
    links_init(&stage->links, &stage->network);
    memory_init(&stage->memory, SIZE_MAX);
    for (size_t i = 0; i < 2; i++) {
        struct actor *actor = &stage->actors[i];
        struct public_key key;
        uint8_t bytes[ED25519_PUBLIC_SIZE] = {(uint8_t)(i + 1)};
        public_key_from_ed25519(bytes, &key);
        peer_id_from_key(&key, &actor->id);
        actor->stage = stage;
        actor->consumes = true;
        actor->site = (struct site){.number = (uint32_t)i,
                                    .is_alive = true,
                                    .listens = true,
                                    .id = &actor->id,
                                    .arrived = arrived};
        network_add(&stage->network, &actor->site);
        actor->transport = links_transport_new(&stage->links, &actor->site);
    }
}

static void die(struct actor *actor) {
    actor->site.is_alive = false;
    actor->site.died = actor->stage->sim.now;
    links_transport_free(actor->transport);
    actor->transport = NULL;
}

static void stage_done(struct stage *stage) {
    for (size_t i = 0; i < 2; i++) {
        if (stage->actors[i].transport != NULL) {
            die(&stage->actors[i]);
        }
    }
    sim_run_out(&stage->sim);
    assert_int_equal(stage->memory.used, 0);
    links_done(&stage->links);
    network_done(&stage->network);
    sim_done(&stage->sim);
}

static void run(struct stage *stage, nanos time) {
    nanos until = stage->sim.now + time;
    for (size_t i = 0; i < 2; i++) {
        look(&stage->actors[i]);
    }
    while (sim_step(&stage->sim, until)) {
    }
}

static const struct seen *last(const struct actor *actor) {
    assert_true(actor->seen_count > 0);
    return &actor->seen[actor->seen_count - 1];
}

static struct link *dial(struct actor *from, const struct actor *to,
                         const struct peer_id *expected) {
    struct multiaddr address;
    multiaddr_from_quic(&to->site.address, &address);
    struct link *link = NULL;
    assert_true(from->transport->verbs->dials(from->transport, &address));
    assert_int_equal(from->transport->verbs->dial(from->transport, &address, expected, 0,
                                                  from->stage->sim.now, &link),
                     0);
    return link;
}

/* The first actor's end. */
static struct link *connect_both(struct stage *stage) {
    struct link *link = dial(&stage->actors[0], &stage->actors[1], &stage->actors[1].id);
    run(stage, 20 * NANOS_SECOND);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(last(&stage->actors[i])->type, LINK_CONNECTED);
        assert_true(last(&stage->actors[i])->link->inbound == (i == 1));
    }
    return link;
}

/* Writes bytes [begin, begin + size) of the pattern; how many were taken. */
static size_t write_pattern(struct stage *stage, struct link_stream *stream, size_t begin,
                            size_t size, bool fin) {
    struct block *block = block_new(&stage->memory, size);
    assert_non_null(block);
    for (size_t i = 0; i < size; i++) {
        block->data[i] = (uint8_t)((begin + i) % 251);
    }
    size_t accepted = 0;
    assert_int_equal(stream->link->transport->verbs->write(stream, block, 0, size, fin, &accepted),
                     0);
    block_unref(block);
    return accepted;
}

static struct link_stream *open_stream(struct link *link) {
    struct link_stream *stream = NULL;
    assert_int_equal(link->transport->verbs->open(link, &stream), 0);
    return stream;
}

/* --- Connections ----------------------------------------------------------------------------- */

static void a_handshake_takes_its_time(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    nanos begun = stage.sim.now;
    (void)connect_both(&stage);
    assert_int_equal(last(&stage.actors[0])->at - begun, 2 * ONE_WAY);
    assert_int_equal(last(&stage.actors[1])->at - begun, 3 * ONE_WAY);
    assert_int_equal(stage.network.counts.connections, 1);
    stage_done(&stage);
}

static void who_does_not_answer_costs_a_time_out(void **state) {
    (void)state;
    for (int reason = 0; reason < 4; reason++) {
        static struct stage stage;
        stage_init(&stage, 0);
        struct actor *other = &stage.actors[1];
        other->site.is_natted = reason == 0;
        other->site.listens = reason != 1;
        nanos begun = stage.sim.now;
        struct actor nobody = {
            .site.address = {.family = NETADDR_IP4, .ip = {1, 1, 1, 1}, .port = 1}};
        (void)dial(&stage.actors[0], reason == 2 ? &nobody : other, NULL);
        run(&stage, ONE_WAY);
        if (reason == 3) {
            die(other); /* the answer was on its way */
        }
        run(&stage, 20 * NANOS_SECOND);
        assert_int_equal(stage.actors[0].seen_count, 1);
        assert_int_equal(last(&stage.actors[0])->type, LINK_CLOSED);
        assert_int_equal(last(&stage.actors[0])->error, PLASM_TIMEOUT);
        assert_int_equal(last(&stage.actors[0])->at - begun, LINKS_DIAL_TIMEOUT);
        assert_int_equal(other->seen_count, 0);
        assert_int_equal(stage.network.counts.dials_failed, 1);
        stage_done(&stage);
    }
}

static void another_identity_is_not_trusted(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    (void)dial(&stage.actors[0], &stage.actors[1], &stage.actors[0].id);
    run(&stage, 20 * NANOS_SECOND);
    assert_int_equal(last(&stage.actors[0])->error, PLASM_UNTRUSTED);
    assert_int_equal(stage.actors[1].seen_count, 0);
    stage_done(&stage);
}

static void a_dial_can_be_given_up(void **state) {
    (void)state;
    /* Before it is answered, and when it is but not told yet. */
    for (int answered = 0; answered < 2; answered++) {
        static struct stage stage;
        stage_init(&stage, 0);
        struct link *link = dial(&stage.actors[0], &stage.actors[1], NULL);
        if (answered != 0) {
            struct transport *kept = stage.actors[0].transport;
            stage.actors[0].transport = NULL; /* does not look */
            run(&stage, 2 * ONE_WAY);
            stage.actors[0].transport = kept;
        }
        link->transport->verbs->close(link, 0, "", stage.sim.now);
        run(&stage, 20 * NANOS_SECOND);
        assert_int_equal(stage.actors[0].seen_count, 1);
        assert_int_equal(last(&stage.actors[0])->type, LINK_CLOSED);
        assert_int_equal(last(&stage.actors[0])->error, 0);
        assert_int_equal(stage.actors[1].seen_count, answered == 0 ? 0 : 2);
        assert_true(answered == 0 || last(&stage.actors[1])->type == LINK_CLOSED);
        stage_done(&stage);
    }
}

static void a_goodbye_is_told(void **state) {
    (void)state;
    for (uint64_t code = 0; code < 2; code++) {
        static struct stage stage;
        stage_init(&stage, 0);
        struct link *link = connect_both(&stage);
        nanos begun = stage.sim.now;
        link->transport->verbs->close(link, code, "enough", begun);
        link->transport->verbs->close(link, 7, "again", begun);
        run(&stage, NANOS_SECOND);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(last(&stage.actors[i])->type, LINK_CLOSED);
            assert_int_equal(last(&stage.actors[i])->error, code == 0 ? 0 : PLASM_CLOSED);
            assert_int_equal(last(&stage.actors[i])->code, code);
            assert_int_equal(last(&stage.actors[i])->at - begun, i * ONE_WAY);
        }
        assert_string_equal(stage.actors[1].reason, "enough");
        assert_int_equal(stage.links.channels.out, 0);
        stage_done(&stage);
    }
}

static void silence_ends_a_connection(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    nanos begun = stage.sim.now;
    struct link *link = connect_both(&stage);
    /* Something in between puts the end off. */
    struct link_stream *stream = open_stream(link);
    assert_int_equal(write_pattern(&stage, stream, 0, PIECE, false), PIECE);
    run(&stage, NANOS_MINUTE);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(last(&stage.actors[i])->type, LINK_CLOSED);
        assert_int_equal(last(&stage.actors[i])->error, PLASM_TIMEOUT);
        assert_in_range(last(&stage.actors[i])->at - begun, 20 * NANOS_SECOND + LINKS_IDLE_TIMEOUT,
                        20 * NANOS_SECOND + LINKS_IDLE_TIMEOUT + 2 * ONE_WAY);
    }
    assert_int_equal(stage.links.channels.out, 0);
    assert_int_equal(stage.links.streams.out, 0);
    stage_done(&stage);
}

static void kept_alive_it_lasts_until_a_death(void **state) {
    (void)state;
    for (size_t keeper = 0; keeper < 2; keeper++) {
        static struct stage stage;
        stage_init(&stage, 0);
        (void)connect_both(&stage);
        struct link *kept = last(&stage.actors[keeper])->link;
        kept->transport->verbs->keep_alive(kept, true);
        run(&stage, NANOS_HOUR);
        assert_int_equal(last(&stage.actors[0])->type, LINK_CONNECTED);
        nanos died = stage.sim.now;
        die(&stage.actors[1]);
        run(&stage, NANOS_HOUR);
        assert_int_equal(last(&stage.actors[0])->type, LINK_CLOSED);
        assert_int_equal(last(&stage.actors[0])->error, PLASM_TIMEOUT);
        assert_in_range(last(&stage.actors[0])->at - died, LINKS_IDLE_TIMEOUT / 2,
                        LINKS_IDLE_TIMEOUT);
        stage_done(&stage);
    }
}

/* What is written to the dead is not answered, and does not put off the end again and again. */
static void the_dead_do_not_answer(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    struct link *link = connect_both(&stage);
    die(&stage.actors[1]);
    struct link_stream *stream = open_stream(link);
    nanos begun = stage.sim.now;
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(write_pattern(&stage, stream, i * PIECE, PIECE, false), PIECE);
        run(&stage, NANOS_SECOND);
    }
    run(&stage, NANOS_MINUTE);
    assert_int_equal(last(&stage.actors[0])->type, LINK_CLOSED);
    assert_in_range(last(&stage.actors[0])->at - begun, LINKS_IDLE_TIMEOUT, LINKS_IDLE_TIMEOUT + 1);
    stage_done(&stage);
}

/* --- Streams --------------------------------------------------------------------------------- */

static void bytes_arrive_in_order_however_many_are_lost(void **state) {
    (void)state;
    static const uint32_t losses[] = {0, 50000, 300000};
    for (size_t loss = 0; loss < ARRAY_SIZE(losses); loss++) {
        static struct stage stage;
        stage_init(&stage, losses[loss]);
        struct link *link = connect_both(&stage);
        struct link_stream *stream = open_stream(link);
        nanos begun = stage.sim.now;
        for (size_t i = 0; i < 100; i++) {
            assert_int_equal(write_pattern(&stage, stream, i * PIECE, PIECE, i == 99), PIECE);
            run(&stage, NANOS_MILLISECOND);
        }
        run(&stage, 20 * NANOS_SECOND);
        const struct actor *reader = &stage.actors[1];
        assert_int_equal(reader->bytes, 100 * PIECE);
        assert_false(reader->is_changed);
        assert_int_equal(last(reader)->type, LINK_STREAM_DATA);
        assert_true(last(reader)->fin);
        nanos took = last(reader)->at - begun;
        if (losses[loss] == 0) {
            assert_int_equal(took, 99 * NANOS_MILLISECOND + ONE_WAY);
        } else {
            assert_true(stage.network.counts.datagrams_lost > 0);
            assert_true(took > 99 * NANOS_MILLISECOND + ONE_WAY);
        }
        stage_done(&stage);
    }
}

static void a_stream_ends_when_both_directions_did(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    struct link *link = connect_both(&stage);
    struct link_stream *stream = open_stream(link);
    nanos begun = stage.sim.now;
    assert_int_equal(write_pattern(&stage, stream, 0, PIECE, true), PIECE);
    size_t accepted = 0;
    assert_int_equal(link->transport->verbs->write(stream, NULL, 0, 0, true, &accepted),
                     PLASM_CLOSED);
    run(&stage, NANOS_SECOND);
    const struct actor *writer = &stage.actors[0];
    struct actor *reader = &stage.actors[1];
    assert_int_equal(reader->seen_count, 3); /* connected, opened, the end */
    assert_int_equal(reader->seen[1].type, LINK_STREAM_OPENED);
    assert_int_equal(last(writer)->type, LINK_CONNECTED);
    struct link_stream *back = last(reader)->stream;
    nanos answered = stage.sim.now;
    assert_int_equal(write_pattern(&stage, back, 0, PIECE, true), PIECE);
    run(&stage, NANOS_SECOND);
    assert_int_equal(last(reader)->type, LINK_STREAM_CLOSED);
    assert_int_equal(last(reader)->at - answered, 2 * ONE_WAY); /* the end was received */
    assert_int_equal(last(writer)->type, LINK_STREAM_CLOSED);
    assert_int_equal(last(writer)->at - answered, ONE_WAY);
    assert_int_equal(writer->seen[1].type, LINK_STREAM_DATA);
    assert_true(answered - begun >= ONE_WAY);
    assert_int_equal(stage.links.streams.out, 0);
    stage_done(&stage);
}

static void a_reset_ends_both_directions(void **state) {
    (void)state;
    for (int by_opener = 0; by_opener < 2; by_opener++) {
        static struct stage stage;
        stage_init(&stage, 0);
        struct link *link = connect_both(&stage);
        struct link_stream *stream = open_stream(link);
        assert_int_equal(write_pattern(&stage, stream, 0, PIECE, false), PIECE);
        run(&stage, NANOS_SECOND);
        struct actor *resetter = &stage.actors[by_opener == 0];
        struct actor *other = &stage.actors[by_opener != 0];
        struct link_stream *its = by_opener != 0 ? stream : last(&stage.actors[1])->stream;
        size_t before = other->seen_count;
        link->transport->verbs->reset(its, 42);
        /* What is under way the other way is of no interest any more. */
        struct link_stream *theirs = by_opener != 0 ? last(&stage.actors[1])->stream : stream;
        (void)write_pattern(&stage, theirs, PIECE, PIECE, false);
        run(&stage, NANOS_SECOND);
        assert_int_equal(last(resetter)->type, LINK_STREAM_CLOSED);
        assert_int_equal(other->seen_count, before + 3);
        assert_int_equal(other->seen[before].type, LINK_STREAM_RESET);
        assert_int_equal(other->seen[before].code, 42);
        assert_int_equal(other->seen[before + 1].type, LINK_STREAM_STOPPED);
        assert_int_equal(other->seen[before + 1].code, 42);
        assert_int_equal(other->seen[before + 2].type, LINK_STREAM_CLOSED);
        assert_int_equal(stage.links.streams.out, 0);
        stage_done(&stage);
    }
}

/* A stream nothing was written on is never heard of. */
static void a_stream_without_bytes_is_nothing(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    struct link *link = connect_both(&stage);
    link->transport->verbs->reset(open_stream(link), 1);
    run(&stage, NANOS_SECOND);
    assert_int_equal(last(&stage.actors[0])->type, LINK_STREAM_CLOSED);
    assert_int_equal(last(&stage.actors[1])->type, LINK_CONNECTED);
    assert_int_equal(stage.links.streams.out, 0);
    stage_done(&stage);
}

static void a_writer_waits_for_credit(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    struct link *link = connect_both(&stage);
    struct actor *reader = &stage.actors[1];
    reader->consumes = false;
    struct link_stream *stream = open_stream(link);
    size_t most = write_pattern(&stage, stream, 0, 2 * LINKS_WINDOW_BYTES, true);
    assert_int_equal(most, LINKS_WINDOW_BYTES);
    run(&stage, NANOS_SECOND);
    assert_int_equal(reader->bytes, most);
    assert_int_equal(last(&stage.actors[0])->type, LINK_CONNECTED);
    assert_int_equal(write_pattern(&stage, stream, most, 1, false), 0);

    /* Little is not worth telling; half a window is. */
    struct link_stream *back = last(reader)->stream;
    link->transport->verbs->consume(back, LINKS_WINDOW_BYTES / 2 - 1);
    run(&stage, NANOS_SECOND);
    assert_int_equal(last(&stage.actors[0])->type, LINK_CONNECTED);
    link->transport->verbs->consume(back, 1);
    run(&stage, NANOS_SECOND);
    assert_int_equal(last(&stage.actors[0])->type, LINK_STREAM_WRITABLE);
    size_t more = write_pattern(&stage, stream, most, LINKS_WINDOW_BYTES, true);
    assert_int_equal(more, LINKS_WINDOW_BYTES / 2);
    run(&stage, NANOS_SECOND);
    assert_int_equal(reader->bytes, most + more);
    assert_false(reader->is_changed);
    stage_done(&stage);
}

static void streams_are_bounded(void **state) {
    (void)state;
    static struct stage stage;
    stage_init(&stage, 0);
    struct link *link = connect_both(&stage);
    struct link_stream *streams[LINKS_STREAMS_MAX];
    for (size_t i = 0; i < LINKS_STREAMS_MAX; i++) {
        streams[i] = open_stream(link);
    }
    struct link_stream *stream;
    assert_int_equal(link->transport->verbs->open(link, &stream), PLASM_LIMIT);
    link->transport->verbs->reset(streams[3], 0);
    run(&stage, NANOS_SECOND);
    (void)open_stream(link);
    link->transport->verbs->close(link, 0, "", stage.sim.now);
    assert_int_equal(link->transport->verbs->open(link, &stream), PLASM_CLOSED);
    run(&stage, NANOS_SECOND);
    assert_int_equal(stage.links.streams.out, 0);
    stage_done(&stage);
}

/* An end of everything at any moment leaves nothing behind. */
static void death_at_any_moment(void **state) {
    (void)state;
    for (size_t victim = 0; victim < 2; victim++) {
        for (nanos moment = 0; moment < 10 * ONE_WAY; moment += ONE_WAY / 4) {
            static struct stage stage;
            stage_init(&stage, 100000);
            struct link *link = dial(&stage.actors[0], &stage.actors[1], NULL);
            for (nanos time = 0; time < moment; time += ONE_WAY / 4) {
                run(&stage, ONE_WAY / 4);
                bool is_open = stage.actors[0].seen_count > 0 &&
                               last(&stage.actors[0])->type == LINK_CONNECTED;
                if (is_open) {
                    (void)write_pattern(&stage, open_stream(link), 0, PIECE, true);
                }
            }
            die(&stage.actors[victim]);
            run(&stage, 2 * NANOS_MINUTE);
            assert_int_equal(stage.links.channels.out, 0);
            assert_int_equal(stage.links.streams.out, 0);
            assert_int_equal(stage.links.frames.out, 0);
            stage_done(&stage);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_takes_its_time),
        cmocka_unit_test(who_does_not_answer_costs_a_time_out),
        cmocka_unit_test(another_identity_is_not_trusted),
        cmocka_unit_test(a_dial_can_be_given_up),
        cmocka_unit_test(a_goodbye_is_told),
        cmocka_unit_test(silence_ends_a_connection),
        cmocka_unit_test(kept_alive_it_lasts_until_a_death),
        cmocka_unit_test(the_dead_do_not_answer),
        cmocka_unit_test(bytes_arrive_in_order_however_many_are_lost),
        cmocka_unit_test(a_stream_ends_when_both_directions_did),
        cmocka_unit_test(a_reset_ends_both_directions),
        cmocka_unit_test(a_stream_without_bytes_is_nothing),
        cmocka_unit_test(a_writer_waits_for_credit),
        cmocka_unit_test(streams_are_bounded),
        cmocka_unit_test(death_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
