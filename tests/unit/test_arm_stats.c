/* test_arm_stats.c - what the snapshot knows of an arm as features: the learner counts it, full and delta carry it, the model says it, the
 * client puts it beside the arm's own features and logs it. */
#include "tests/kit.h"

#include <math.h>

#include "tests/learn_kit.h"
#include "tests/snapshots.h"

enum { DAY = 86400000 };

static void
near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12))
        fail_msg("%.17g, wanted %.17g", a, b);
}

/* n decisions of one day, of which the first `settled` settle, by `policy`. */
static void
days_work(struct aft_learner *l, struct kit_world *w, int64_t day, int n, int settled)
{
    struct aft_error e;
    for (int i = 0; i < n; i++) {
        struct aft_example x = kit_open(w, NULL);
        x.timestamp_ms = x.fire_ms = day * DAY;
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        x.phase = AFT_SETTLE;
        if (i < settled)
            assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
    }
}

static void
publish(struct aft_learner *l, int64_t round, enum aft_snapshot_kind kind, struct kit_follower *f)
{
    struct aft_error e;
    struct aft_publish_spec spec = {.model = AFT_LITERAL("default"), .round = round, .kind = kind};
    assert_int_equal(aft_learner_publish(l, &spec, kit_follow, f, &e), AFT_OK);
}

static void
settings(struct aft_learner_settings *s, const char *stats)
{
    aft_learner_settings_default(s);
    kit_set(s, "features.arm.stats", stats);
}

static double
stat(const struct aft_model *m, const char *arm, int64_t time_ms, const char *name)
{
    struct aft_feature f[AFT_ARM_STATS_MAX];
    uint32_t n = aft_model_arm_stats(m, aft_text(arm), time_ms, f);
    for (uint32_t i = 0; i < n; i++)
        if (aft_same(f[i].name, aft_text(name)))
            return f[i].number;
    fail_msg("%s has no %s", arm, name);
    return 0;
}

static void
check(const struct aft_snapshot_set *set, const struct aft_learner *l, int64_t now_ms)
{
    struct aft_error e;
    struct aft_model *m;
    struct aft_arm_status a;
    double clicks = 0, settled = 0;
    assert_int_equal(aft_model_load(set, &m, &e), AFT_OK);
    for (uint32_t i = 0; aft_learner_arm(l, i, &a); i++) {
        clicks += (double)a.clicks;
        settled += (double)a.settled;
    }
    assert_true(clicks > 0 && settled > 0);
    for (uint32_t i = 0; aft_learner_arm(l, i, &a); i++) {
        char id[32];
        snprintf(id, sizeof id, "%.*s", (int)a.arm_id.n, (const char *)a.arm_id.p);
        double ctr = ((double)a.clicks + 20 * clicks / settled) / ((double)a.settled + 20);
        assert_true(a.exposures > a.settled && a.settled > 0);
        near(stat(m, id, now_ms, "arm.ctr"), ctr);
        near(stat(m, id, now_ms, "arm.uplift"), ctr - clicks / settled); /* all is baseline */
        near(stat(m, id, now_ms, "arm.exposures"), aft_log(1 + (double)a.exposures));
        near(stat(m, id, now_ms, "arm.age_days"), (double)(now_ms - a.first_seen_ms) / DAY);
        near(stat(m, id, now_ms, "arm.unseen_days"), (double)(now_ms - a.last_seen_ms) / DAY);
    }
    near(stat(m, "nobody", now_ms, "arm.ctr"), clicks / settled);
    near(stat(m, "nobody", now_ms, "arm.age_days"), 0);
    aft_model_free(m);
}

static void
test_full_and_delta_say_what_the_learner_counted(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_learner_settings s;
    struct kit_follower by_delta = {.set = aft_snapshot_set_new()};
    kit_world_init(&w, kit_seed(9));
    settings(&s, "arm.ctr, arm.uplift, arm.exposures, arm.age_days, arm.unseen_days");
    struct aft_learner *l = kit_learner(&s);
    days_work(l, &w, 100, 300, 200);
    publish(l, 1, AFT_SNAPSHOT_FULL, &by_delta);
    check(by_delta.set, l, 103 * (int64_t)DAY);
    days_work(l, &w, 102, 3, 1); /* of some arms alone */
    publish(l, 2, AFT_SNAPSHOT_DELTA, &by_delta);
    assert_int_equal(by_delta.whole, 2);
    check(by_delta.set, l, 103 * (int64_t)DAY);
    struct aft_learner *again = kit_learner(&s);
    struct aft_error e;
    struct aft_digest a, b;
    assert_int_equal(aft_learner_restore(again, by_delta.set, &e), AFT_OK);
    aft_learner_digest(l, &a);
    aft_learner_digest(again, &b);
    assert_memory_equal(&a, &b, sizeof a);
    check(by_delta.set, again, 103 * (int64_t)DAY);
    aft_snapshot_set_free(by_delta.set);
    aft_learner_free(l);
    aft_learner_free(again);
    kit_world_deinit(&w);
}

static void
test_only_what_is_asked_for(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_learner_settings s;
    struct aft_error e;
    struct aft_model *m, *uniform = aft_model_uniform();
    struct aft_feature f[AFT_ARM_STATS_MAX];
    bool known;
    static const char *const wanted[] = {"", "arm.ctr", " arm.unseen_days,arm.ctr "};
    kit_world_init(&w, kit_seed(10));
    for (uint32_t i = 0; i < 3; i++) {
        struct kit_follower follower = {.set = aft_snapshot_set_new()};
        settings(&s, wanted[i]);
        struct aft_learner *l = kit_learner(&s);
        days_work(l, &w, 1, 30, 20);
        publish(l, 1, AFT_SNAPSHOT_FULL, &follower);
        assert_int_equal(aft_model_load(follower.set, &m, &e), AFT_OK);
        assert_int_equal(aft_model_arm_stats(m, AFT_LITERAL("arm-1"), DAY, f), i);
        aft_model_free(m);
        aft_snapshot_set_free(follower.set);
        aft_learner_free(l);
    }
    assert_int_equal(aft_model_arm_stats(uniform, AFT_LITERAL("arm-1"), DAY, f), 0);
    aft_model_free(uniform);
    assert_int_equal(aft_learner_set(&s, "features.arm.stats", "ctr", &known, &e), AFT_E_CONFIG);
    assert_int_equal(aft_learner_set(&s, "features.arm.stats", "arm.ctr*arm.ctr", &known, &e),
                     AFT_E_CONFIG);
    kit_world_deinit(&w);
}

/* ---- the client */
struct sent {
    struct memory_transport t;
    struct aft_buffer snapshot[8];
    uint32_t n;
};

static enum aft_err
collect(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct sent *s = ctx;
    (void)key;
    (void)e;
    assert_true(s->n < 8);
    aft_frame_put_single(&s->snapshot[s->n], AFT_RECORD_SNAPSHOT);
    aft_put_raw(&s->snapshot[s->n], body);
    s->t.snapshots[s->t.snapshots_n++] = &s->snapshot[s->n++];
    return AFT_OK;
}

static int64_t
day_five(void *clock)
{
    (void)clock;
    return 5 * (int64_t)DAY;
}

static double
logged(struct aft_features f, const char *name)
{
    for (uint32_t i = 0; i < f.n; i++)
        if (aft_same(f.v[i].name, aft_text(name)))
            return f.v[i].number;
    fail_msg("%s was not logged", name);
    return 0;
}

static void
decide_and_check(struct aft_client *c, struct sent *s)
{
    struct aft_client_error why;
    struct aft_client_decision *d;
    struct aft_impression x;
    struct aft_error e;
    struct aft_arena arena;
    struct aft_client_feature own[] = {{"arm.ctr", AFT_CLIENT_NUMBER, 0.5, NULL}};
    struct aft_client_candidate arms[] = {{.arm_id = "arm-1"},
                                          {.arm_id = "arm-2", .features = own, .features_n = 1},
                                          {.arm_id = "new"}};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    r.user_id = "u";
    r.k = 2;
    r.candidates = arms;
    r.candidates_n = 3;
    assert_int_equal(aft_client_decide(c, &r, &d, &why), AFT_CLIENT_OK);
    assert_int_equal(aft_client_log_impression(c, d, &why), AFT_CLIENT_OK);
    aft_client_decision_free(c, d);
    const struct aft_buffer *all = &s->t.records[AFT_CLIENT_IMPRESSIONS];
    uint32_t n = aft_load_le32(all->p); /* length, then the frame's 10 bytes */
    struct aft_bytes value = {all->p + 14, n - 10};
    aft_arena_init(&arena, 1 << 20);
    assert_int_equal(aft_decode_impression(value, &arena, &x, &e), AFT_OK);
    near(logged(x.candidates[0].features, "arm.age_days"), 4);
    assert_true(logged(x.candidates[0].features, "arm.ctr") > 0);
    near(logged(x.candidates[1].features, "arm.ctr"), 0.5); /* the engine's own stands */
    assert_int_equal(x.candidates[1].features.n, 2);
    near(logged(x.candidates[2].features, "arm.age_days"), 0);
    assert_int_equal(x.slate_n, 2);
    for (uint32_t i = 0; i < x.slate_n; i++)
        logged(x.slate[i].features, "arm.ctr");
    aft_buffer_reset(&s->t.records[AFT_CLIENT_IMPRESSIONS]);
    aft_arena_deinit(&arena);
}

static void
test_the_client_decides_by_them_and_logs_them(void **state)
{
    (void)state;
    static struct sent s;
    struct kit_world w;
    struct aft_learner_settings l_settings;
    struct aft_error e;
    struct aft_client *c;
    struct aft_client_error why;
    kit_world_init(&w, kit_seed(11));
    settings(&l_settings, "arm.ctr, arm.age_days");
    struct aft_learner *l = kit_learner(&l_settings);
    days_work(l, &w, 1, 200, 150);
    struct aft_publish_spec spec = {.model = AFT_LITERAL("default"), .round = 1};
    assert_int_equal(aft_learner_publish(l, &spec, collect, &s, &e), AFT_OK);
    struct aft_client_transport transport = memory_transport_of(&s.t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    o.now_ms = day_five;
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    for (uint32_t i = 0; i < 8; i++)
        aft_client_poll(c, 0);
    for (int i = 0; i < 20; i++)
        decide_and_check(c, &s);
    assert_int_equal(aft_client_close(c, 0, &why), AFT_CLIENT_OK);
    for (uint32_t i = 0; i < s.n; i++)
        aft_buffer_deinit(&s.snapshot[i]);
    memory_transport_deinit(&s.t);
    aft_learner_free(l);
    kit_world_deinit(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_and_delta_say_what_the_learner_counted),
        cmocka_unit_test(test_only_what_is_asked_for),
        cmocka_unit_test(test_the_client_decides_by_them_and_logs_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
