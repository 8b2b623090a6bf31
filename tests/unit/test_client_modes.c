/* Who decides: what each mode shows, claims and logs. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "tests/snapshots.h"

enum { ARMS = 6 };
static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3", "a4", "a5"};
static const double theta[ARMS] = {0, 0, 0, 0, 0, 3};

struct bed {
    struct memory_transport t;
    struct made_snapshot made;
    struct aft_client *c;
    struct aft_arena arena;
};

static void
begin(struct bed *b, enum aft_client_mode mode)
{
    static const uint64_t seed = 6;
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_error e;
    struct made_spec spec = {.round = 4,
                             .arms = arms,
                             .theta = theta,
                             .arms_n = ARMS,
                             .explore = "softmax",
                             .temperature = "0.2"};
    *b = (struct bed){0};
    make_snapshot(&spec, &b->made);
    memory_give(&b->t, &b->made);
    struct aft_client_transport transport = memory_transport_of(&b->t);
    o.seed = &seed;
    o.mode = mode;
    o.baseline_share = 1; /* counts only where the model decides */
    aft_arena_init(&b->arena, 1 << 20);
    assert_int_equal(aft_client_open_over(&o, &transport, &b->c, &e), AFT_OK);
}

static void
end(struct bed *b)
{
    assert_int_equal(aft_client_close(b->c, 0, NULL), AFT_CLIENT_OK);
    made_snapshot_deinit(&b->made);
    memory_transport_deinit(&b->t);
    aft_arena_deinit(&b->arena);
}

static struct aft_client_request
request_of(void)
{
    static struct aft_client_candidate candidates[ARMS];
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    for (int i = 0; i < ARMS; i++)
        candidates[i] = (struct aft_client_candidate){.arm_id = arms[i]};
    candidates[1].mask = "done";
    r.user_id = "u";
    r.time_ms = 1767225600000;
    r.candidates = candidates;
    r.candidates_n = ARMS;
    return r;
}

static struct aft_impression
logged(struct bed *b, struct aft_client_decision *d)
{
    struct aft_impression x;
    struct aft_frame frame;
    struct aft_error e;
    assert_int_equal(aft_client_log_impression(b->c, d, NULL), AFT_CLIENT_OK);
    aft_client_decision_free(b->c, d);
    struct aft_bytes all = aft_buffer_bytes(&b->t.records[0]);
    assert_int_equal(
        aft_frame_parse((struct aft_bytes){all.p + 4, aft_load_le32(all.p)}, &frame, &e), AFT_OK);
    if (aft_decode_impression(frame.body, &b->arena, &x, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return x;
}

static void
an_apprentice_serves_the_given_order(void **state)
{
    (void)state;
    struct bed b;
    struct aft_client_decision *d;
    const uint32_t drop = 0;
    begin(&b, AFT_CLIENT_APPRENTICE);
    struct aft_client_request r = request_of();
    assert_int_equal(aft_client_decide(b.c, &r, &d, NULL), AFT_CLIENT_OK);
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    assert_int_equal(s->n, 3);
    assert_string_equal(s->slots[0].arm_id, "a0");
    assert_string_equal(s->slots[1].arm_id, "a2");
    assert_true(!s->baseline && !s->snapshot_id && s->propensity == AFT_CLIENT_EXACT);
    assert_int_equal(aft_client_decision_mask(b.c, d, &drop, 1, "capped", NULL), AFT_CLIENT_OK);
    assert_string_equal(s->slots[0].arm_id, "a2");
    assert_string_equal(s->slots[2].arm_id, "a4");
    struct aft_impression x = logged(&b, d);
    assert_true(aft_same(x.policy, AFT_LITERAL("engine")) && !x.snapshot.p);
    assert_true(aft_same(x.design.kind, AFT_LITERAL("deterministic")));
    assert_int_equal(x.propensity_kind, AFT_PROPENSITY_EXACT);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(x.slate[i].propensity == 1 && x.slate[i].marginal == 1);
    for (uint32_t i = 0; i < ARMS; i++)
        assert_false(x.candidates[i].has_log_weight);
    end(&b);
}

static void
an_engines_own_draw_is_logged_as_it_says(void **state)
{
    (void)state;
    static const double p[3] = {0.5, 0.25, 0.125};
    for (int known = 0; known < 2; known++) {
        struct bed b;
        struct aft_client_decision *d;
        const uint32_t drop = 0;
        begin(&b, AFT_CLIENT_LOG_ONLY);
        struct aft_client_request r = request_of();
        if (known)
            r.propensities = p;
        r.propensities_kind = AFT_CLIENT_ESTIMATED;
        assert_int_equal(aft_client_decide(b.c, &r, &d, NULL), AFT_CLIENT_OK);
        assert_int_equal(aft_client_decision_mask(b.c, d, &drop, 1, "late", NULL),
                         AFT_CLIENT_WRONG);
        struct aft_impression x = logged(&b, d);
        assert_true(aft_same(x.design.kind, AFT_LITERAL("engine")));
        assert_int_equal(x.propensity_kind,
                         known ? AFT_PROPENSITY_ESTIMATED : AFT_PROPENSITY_UNKNOWN);
        for (uint32_t i = 0; i < 3; i++)
            assert_true(x.slate[i].propensity == (known ? p[i] : 0) && !x.slate[i].has_marginal);
        end(&b);
    }
}

/* Records of another model come on the same topic: its probabilities are logged, and it decides nothing. */
static enum aft_err
poll_two(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx, bool *at_end,
         struct aft_error *e)
{
    struct made_snapshot **made = ctx;
    (void)timeout_ms, (void)e;
    for (int i = 0; made[i]; i++) {
        struct aft_bytes key = i ? AFT_LITERAL("next/x") : AFT_LITERAL("default/x");
        sink(sink_ctx, key, aft_buffer_bytes(&made[i]->part));
        sink(sink_ctx, key, aft_buffer_bytes(&made[i]->manifest));
    }
    made[0] = NULL;
    *at_end = true;
    return AFT_OK;
}

static struct aft_buffer noted; /* the last record */
static enum aft_err
keep_last(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
          struct aft_bytes value, struct aft_error *e)
{
    (void)ctx, (void)topic, (void)time_ms, (void)key, (void)e;
    aft_buffer_reset(&noted);
    aft_put_raw(&noted, value);
    return AFT_OK;
}

/* What a client of that model alone would claim of the slate's items, from the top: given the same eligible. */
static void
claims_of(struct made_snapshot *made, const struct aft_impression *x, double *p)
{
    struct memory_transport t = {0};
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_transport transport = memory_transport_of(&t);
    struct aft_client *c;
    struct aft_client_decision *d;
    struct aft_error e;
    double w[ARMS], left = 0;
    o.baseline_share = 0;
    memory_give(&t, made);
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    struct aft_client_request r = request_of();
    assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    for (int i = 0; i < ARMS; i++) {
        w[i] = exp((double)s->log_weights[i]);
        left += w[i];
    }
    double floor = 0.05; /* policy.epsilon */
    for (int i = 0; i < ARMS; i++)
        w[i] = i == 1 ? 0 : (1 - floor) * w[i] / left + floor / (ARMS - 1);
    left = 1;
    for (uint32_t l = 0; l < x->slate_n; l++) {
        int arm = x->slate[l].arm_id.p[1] - '0';
        p[l] = w[arm] / left;
        left -= w[arm];
    }
    aft_client_decision_free(c, d);
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

static void
a_shadow_is_noted(void **state)
{
    (void)state;
    static const double other[ARMS] = {0, 0, 0.4, 0.1, 0, 0.2};
    struct made_snapshot serving = {0}, shadow = {0};
    struct made_spec spec = {.round = 4,
                             .arms = arms,
                             .theta = theta,
                             .arms_n = ARMS,
                             .explore = "softmax",
                             .temperature = "0.2"};
    make_snapshot(&spec, &serving);
    spec.theta = other;
    make_snapshot(&spec, &shadow);
    struct made_snapshot *made[3] = {&serving, &shadow};
    struct aft_client_transport transport = {
        .ctx = made, .append = keep_last, .poll_snapshots = poll_two};
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client *c;
    struct aft_client_decision *d;
    struct aft_error e;
    struct aft_frame frame;
    struct aft_impression x;
    struct aft_arena arena;
    double want[3];
    aft_arena_init(&arena, 1 << 20);
    o.shadow_model = "next";
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_E_CONFIG);
    o.model = "default";
    o.baseline_share = 0;
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(c, &info);
    assert_int_equal(info.snapshots_applied, 1);
    assert_int_equal(info.shadow_applied, 1);
    for (int i = 0; i < 20; i++) {
        struct aft_client_request r = request_of();
        assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
        assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
        assert_int_equal(aft_frame_parse(aft_buffer_bytes(&noted), &frame, &e), AFT_OK);
        assert_int_equal(aft_decode_impression(frame.body, &arena, &x, &e), AFT_OK);
        assert_true(x.slate_n == 3 && x.design.shadow_n == 3 && x.design.shadow.n == 64);
        assert_false(aft_same(x.design.shadow, x.snapshot) || x.design.has_pass);
        claims_of(&shadow, &x, want);
        for (uint32_t l = 0; l < 3; l++)
            assert_true(fabs(x.design.shadow_p[l] - want[l]) < 1e-6);
        aft_client_decision_free(c, d);
    }
    aft_client_close(c, 0, NULL);
    made_snapshot_deinit(&serving);
    made_snapshot_deinit(&shadow);
    aft_buffer_deinit(&noted);
    aft_arena_deinit(&arena);
}

static void
a_share_is_logged(void **state)
{
    (void)state;
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_transport transport = {.append = keep_last};
    static const uint64_t seed = 12;
    struct aft_client *c;
    struct aft_error e;
    struct aft_frame frame;
    struct aft_impression x;
    struct aft_arena arena;
    aft_arena_init(&arena, 1 << 20);
    o.seed = &seed;
    o.impressions_share = 1.5;
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_E_CONFIG);
    o.impressions_share = 0.0005; /* the learner would refuse it */
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_E_CONFIG);
    o.impressions_share = 0.25;
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    for (int i = 0; i < 4000; i++) {
        struct aft_client_request r = request_of();
        struct aft_client_decision *d;
        assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
        assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
        assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_WRONG);
        aft_client_decision_free(c, d);
    }
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(c, &info);
    assert_int_equal(info.impressions + info.passed_over, 4000);
    assert_true(info.impressions > 1000 - 140 && info.impressions < 1000 + 140); /* 5 sigma */
    assert_int_equal(aft_frame_parse(aft_buffer_bytes(&noted), &frame, &e), AFT_OK);
    assert_int_equal(aft_decode_impression(frame.body, &arena, &x, &e), AFT_OK);
    assert_true(x.design.has_pass && x.design.pass == 0.25);
    aft_client_close(c, 0, NULL);
    aft_buffer_deinit(&noted);
    aft_arena_deinit(&arena);
}

static void
frames_as_a_registry_wants(void **state)
{
    (void)state;
    struct memory_transport t = {0};
    struct aft_client_transport transport = memory_transport_of(&t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client *c;
    struct aft_client_decision *d;
    struct aft_arena arena;
    struct aft_impression x;
    struct aft_outcome y;
    struct aft_frame frame;
    struct aft_error e;
    aft_arena_init(&arena, 1 << 20);
    o.impression_schema = 0x01020304;
    o.outcome_schema = 9;
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    struct aft_client_request r = request_of();
    assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
    assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
    aft_client_decision_free(c, d);
    struct aft_client_outcome out = AFT_CLIENT_OUTCOME;
    out.user_id = "u";
    out.kind = "click";
    assert_int_equal(aft_client_log_outcome(c, &out, NULL), AFT_CLIENT_OK);
    const uint32_t ids[2] = {o.impression_schema, o.outcome_schema};
    for (int i = 0; i < 2; i++) {
        struct aft_bytes all = aft_buffer_bytes(&t.records[i]);
        struct aft_bytes value = {all.p + 4, aft_load_le32(all.p)};
        assert_int_equal(aft_frame_parse(value, &frame, &e), AFT_OK);
        assert_true(frame.kind == AFT_FRAME_CONFLUENT && frame.id == ids[i]);
        assert_int_equal(i ? aft_decode_outcome(frame.body, &arena, &y, &e)
                           : aft_decode_impression(frame.body, &arena, &x, &e),
                         AFT_OK);
    }
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    memory_transport_deinit(&t);
    aft_arena_deinit(&arena);
}

static void
live_is_not_the_engines(void **state)
{
    (void)state;
    struct bed b;
    struct aft_client_decision *d;
    begin(&b, AFT_CLIENT_LIVE);
    struct aft_client_request r = request_of();
    assert_int_equal(aft_client_decide(b.c, &r, &d, NULL), AFT_CLIENT_OK);
    assert_true(aft_client_decision_slate(d)->baseline);
    struct aft_impression x = logged(&b, d);
    assert_true(aft_same(x.policy, AFT_LITERAL("baseline")));
    assert_true(aft_same(x.design.kind, AFT_LITERAL("uniform")));
    end(&b);
}

static void
wrong_is_said(void **state)
{
    (void)state;
    struct bed b;
    struct aft_client_decision *d;
    static const double p[3] = {0.5, 0, 0.125};
    const char *masks[ARMS];
    for (int i = 0; i < ARMS; i++)
        masks[i] = "done";
    begin(&b, AFT_CLIENT_LOG_ONLY);
    struct aft_client_request r = request_of();
    r.propensities = p;
    assert_int_equal(aft_client_decide(b.c, &r, &d, NULL), AFT_CLIENT_WRONG);
    r.propensities = NULL;
    r.masks = masks;
    assert_int_equal(aft_client_decide(b.c, &r, &d, NULL), AFT_CLIENT_WRONG);
    end(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_apprentice_serves_the_given_order),
        cmocka_unit_test(an_engines_own_draw_is_logged_as_it_says),
        cmocka_unit_test(a_shadow_is_noted),
        cmocka_unit_test(a_share_is_logged),
        cmocka_unit_test(frames_as_a_registry_wants),
        cmocka_unit_test(live_is_not_the_engines),
        cmocka_unit_test(wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
