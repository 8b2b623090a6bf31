/* test_client_snapshots.c - an engine follows a learner: fulls, deltas, a pin; it starts again from its file, or from an exported one. */
#include "tests/kit.h"

#include <unistd.h>

#include "tests/learn_kit.h"
#include "tests/snapshots.h"
#include "wire/wire_avro.h"

enum { ROUNDS = 4, RECORDS = 40 };

struct records {
    struct aft_buffer value[RECORDS]; /* framed */
    uint32_t n, end[ROUNDS + 1];
};

static enum aft_err
collect(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct records *r = ctx;
    if (r->n == RECORDS || key.n == 0)
        return AFT_FAIL(e, AFT_E_FAILED, "too many records");
    aft_buffer_reset(&r->value[r->n]);
    aft_frame_put_single(&r->value[r->n], AFT_RECORD_SNAPSHOT);
    aft_put_raw(&r->value[r->n++], body);
    return AFT_OK;
}

static struct aft_bytes
body_of(const struct aft_buffer *framed)
{
    return (struct aft_bytes){framed->p + 10, framed->n - 10};
}

/* Round 1 is full, the others deltas. */
static void
publish_all(struct records *out)
{
    struct kit_world w;
    struct aft_error e;
    struct aft_learner_settings s;
    kit_world_init(&w, 3);
    aft_learner_settings_default(&s);
    struct aft_learner *l = kit_learner(&s);
    struct aft_publish_spec spec = {.model = AFT_LITERAL("default")};
    out->n = 0;
    for (spec.round = 1; spec.round <= ROUNDS; spec.round++) {
        for (int i = 0; i < 30; i++) {
            struct aft_example x = kit_open(&w, NULL);
            assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        }
        spec.kind = spec.round == 1 ? AFT_SNAPSHOT_FULL : AFT_SNAPSHOT_DELTA;
        assert_int_equal(aft_learner_publish(l, &spec, collect, out, &e), AFT_OK);
        out->end[spec.round] = out->n;
    }
    aft_learner_free(l);
    kit_world_deinit(&w);
}

static int64_t
half_past(void *clock)
{
    (void)clock;
    return 1800000;
}

static struct aft_client *
open_over(struct memory_transport *t, const char *file, bool follow)
{
    struct aft_client *c;
    struct aft_error e;
    struct aft_client_transport transport = memory_transport_of(t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    o.snapshot_file = file;
    o.now_ms = half_past;
    if (!follow)
        transport.poll_snapshots = NULL;
    if (aft_client_open_over(&o, &transport, &c, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return c;
}

static void
give(struct aft_client *c, struct memory_transport *t, const struct records *r, uint32_t from,
     uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        t->snapshots[t->snapshots_n++] = &r->value[i];
        aft_client_poll(c, 0);
    }
}

static struct aft_client_info
info_of(struct aft_client *c)
{
    struct aft_client_info x = AFT_CLIENT_INFO;
    aft_client_info(c, &x);
    return x;
}

static void
close_client(struct aft_client *c, struct memory_transport *t)
{
    struct aft_client_error why;
    assert_int_equal(aft_client_close(c, 0, &why), AFT_CLIENT_OK);
    memory_transport_deinit(t);
    memset(t, 0, sizeof *t);
}

static void
make_pin(const struct records *r, int64_t round, int64_t serial, struct records *out)
{
    struct aft_error e;
    struct aft_bytes bodies[RECORDS];
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    bool whole;
    uint32_t n = round ? r->end[round] : 0;
    for (uint32_t i = 0; i < n; i++) {
        bodies[i] = body_of(&r->value[i]);
        assert_int_equal(aft_snapshot_set_add(set, bodies[i], &whole, &e), AFT_OK);
    }
    struct aft_pin_spec spec = {.model = AFT_LITERAL("default"),
                                .bodies = bodies,
                                .bodies_n = n,
                                .round = round,
                                .serial = serial};
    if (round)
        spec.digest = aft_snapshot_set_newest(set)->manifest.digest;
    out->n = 0;
    assert_int_equal(aft_pin_encode(&spec, collect, out, &e), AFT_OK);
    aft_snapshot_set_free(set);
}

static void
records_free(struct records *r)
{
    for (int i = 0; i < RECORDS; i++)
        aft_buffer_deinit(&r->value[i]);
}

static void
test_follows_and_starts_again(void **state)
{
    (void)state;
    static struct records all, pin;
    struct memory_transport t = {0};
    char folder[64], file[80];
    kit_file(folder, file, "snapshots");
    publish_all(&all);
    struct aft_client *c = open_over(&t, file, true);
    for (uint32_t r = 1; r <= 3; r++) {
        give(c, &t, &all, r == 1 ? 0 : all.end[r - 1], all.end[r]);
        assert_int_equal(info_of(c).round, r);
    }
    struct aft_client_info x = info_of(c);
    assert_true(x.snapshots_applied == 3 && x.snapshot_deltas == 2 && x.snapshots_refused == 0);
    assert_true(x.snapshot_event_ms == 1000 * (3 * 30 - 1) && x.snapshot_applied_ms == 1800000);
    assert_true(x.snapshot_bytes > 100 && x.snapshot_bytes < 1000000 && !x.snapshot_pinned);
    close_client(c, &t);
    c = open_over(&t, file, true); /* full and deltas, from the file; the topic's history is old */
    assert_int_equal(info_of(c).round, 3);
    give(c, &t, &all, 0, all.n);
    x = info_of(c);
    assert_true(x.round == 4 && x.refused_old == 2 && x.refused_forged == 0);
    make_pin(&all, 2, 9, &pin);
    give(c, &t, &pin, 0, pin.n);
    x = info_of(c);
    assert_true(x.round == 2 && x.snapshot_pinned);
    close_client(c, &t);
    c = open_over(&t, file, false); /* no topic: what is pinned is served again */
    x = info_of(c);
    assert_true(x.round == 2 && x.snapshot_pinned);
    close_client(c, &t);
    c = open_over(&t, file, true);
    make_pin(&all, 0, 10, &pin);
    give(c, &t, &pin, 0, pin.n);
    assert_int_equal(info_of(c).round, 4);
    close_client(c, &t);
    kit_remove(folder);
    records_free(&all);
    records_free(&pin);
}

static void
test_starts_from_an_exported_file(void **state)
{
    (void)state;
    static struct records all;
    struct memory_transport t = {0};
    struct aft_file_writer *out;
    struct aft_error e;
    char folder[64], file[80];
    kit_file(folder, file, "exported");
    publish_all(&all);
    assert_int_equal(aft_file_create(file, AFT_RECORD_SNAPSHOT, false, &out, &e), AFT_OK);
    for (uint32_t i = 0; i < all.n; i++) {
        struct aft_file_record r = {.body = body_of(&all.value[i])};
        assert_int_equal(aft_file_append(out, &r, &e), AFT_OK);
    }
    assert_int_equal(aft_file_finish(out, &e), AFT_OK);
    struct aft_client *c = open_over(&t, file, false);
    assert_int_equal(info_of(c).round, ROUNDS);
    close_client(c, &t);
    FILE *f = fopen(file, "r+b"); /* one byte of the weights changed */
    assert_non_null(f);
    assert_int_equal(fseek(f, -400, SEEK_END), 0);
    int was = fgetc(f);
    assert_int_equal(fseek(f, -400, SEEK_END), 0);
    assert_true(fputc(was ^ 1, f) != EOF && fclose(f) == 0);
    struct aft_client_transport transport = memory_transport_of(&t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    transport.poll_snapshots = NULL;
    o.snapshot_file = file;
    assert_int_not_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    assert_int_equal(truncate(file, 1000), 0);
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_E_MALFORMED);
    kit_remove(folder);
    records_free(&all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_and_starts_again),
        cmocka_unit_test(test_starts_from_an_exported_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
