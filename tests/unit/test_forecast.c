/* test_forecast.c - learner.forecast: nothing is known before something has settled; then what is to come is what came, to the last
 * micro-unit; in between the model is nearer the truth than one that counts what is missing as zero; in the end it is the model that
 * waited; a snapshot carries all of it. */
#include "tests/kit.h"

#include <math.h>

#include "tests/learn_kit.h"

enum { IMPRESSIONS = 6000, ARMS = 5, DAYS = 60, EVENTS = 4 * IMPRESSIONS };
#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define WINDOW (14 * DAY + HOUR)

/* An impression: a click within minutes or not; a task within a fortnight, likelier after a click. */
struct shown {
    int64_t at, click_at, task_at; /* 0: never */
    int arm;
    bool app;
    int64_t reward; /* so far, while events are made */
};
struct event {
    int64_t fire;
    int shown;
    enum aft_phase phase;
    int64_t reward, delta;
};
struct scene {
    struct shown v[IMPRESSIONS];
    struct event events[EVENTS];
    int n;
    double mean; /* of the final rewards, in units */
};

static struct scene scene;

static int
by_fire(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    return x->fire != y->fire ? (x->fire < y->fire ? -1 : 1) : x->shown - y->shown;
}

static void
add_event(int shown, int64_t fire, enum aft_phase phase, int64_t delta)
{
    struct shown *s = &scene.v[shown];
    s->reward += delta;
    scene.events[scene.n++] = (struct event){fire, shown, phase, s->reward, delta};
}

static void
make_scene(uint64_t seed)
{
    struct aft_random r;
    aft_random_init(&r, seed, 3);
    memset(&scene, 0, sizeof scene);
    for (int i = 0; i < IMPRESSIONS; i++) {
        struct shown *s = &scene.v[i];
        s->at = 20000 * DAY + i * (DAYS * DAY / IMPRESSIONS);
        s->arm = (int)aft_random_below(&r, ARMS);
        s->app = aft_random_below(&r, 2);
        bool click = aft_random_unit(&r) < 0.1 + 0.05 * s->arm;
        bool task = aft_random_unit(&r) < (click ? 0.3 : 0.02) + (s->app ? 0.03 : 0);
        double u = aft_random_unit(&r);
        s->click_at = click ? s->at + 1000 + (int64_t)(u * 40 * 60000) : 0;
        s->task_at = task ? s->at + 3600 * 1000 + (int64_t)(u * u * 13.5 * (double)DAY) : 0;
        int64_t open = s->at + 600000, early = 0;
        if (click && s->click_at <= open)
            early = 50000;
        add_event(i, open, AFT_OPEN, early);
        if (click && !early)
            add_event(i, s->click_at, AFT_REVISE, 50000);
        if (task)
            add_event(i, s->task_at, AFT_REVISE, 1000000);
        add_event(i, s->at + WINDOW, AFT_SETTLE, 0);
        scene.mean += (double)s->reward / AFT_MICRO / IMPRESSIONS;
    }
    qsort(scene.events, (size_t)scene.n, sizeof *scene.events, by_fire);
}

/* The event as an example into l; `waits`: settled impressions alone, with all of their reward. */
static void
give(struct aft_learner *l, const struct event *v, bool waits)
{
    const struct shown *s = &scene.v[v->shown];
    struct aft_error e;
    char id[16], arm[16];
    snprintf(id, sizeof id, "d%d", v->shown);
    snprintf(arm, sizeof arm, "arm-%d", s->arm);
    struct aft_feature context = {
        .name = AFT_LITERAL("app"), .type = AFT_FEATURE_FLAG, .flag = s->app};
    struct aft_example_item item = {.arm_id = aft_text(arm),
                                    .propensity = 0.2,
                                    .reward_micro = v->reward,
                                    .delta_micro = v->delta};
    struct aft_example x = {.phase = waits ? AFT_OPEN : v->phase,
                            .fire_ms = v->fire,
                            .decision_id = aft_text(id),
                            .user_id = aft_text(id),
                            .timestamp_ms = s->at,
                            .policy = AFT_LITERAL("p"),
                            .context = {&context, 1},
                            .items = &item,
                            .items_n = 1};
    if (waits && v->phase != AFT_SETTLE)
        return;
    if (aft_learner_learn(l, &x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

static struct aft_learner *
learner_of(const char *model, const char *forecast)
{
    struct aft_learner_settings s;
    bool per_arm = strcmp(model, "per_arm") == 0;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", per_arm ? "ridge" : model);
    kit_set(&s, "learner.scope", per_arm ? "per_arm" : "shared");
    kit_set(&s, "learner.weighting", "none");
    kit_set(&s, "learner.reward.scale", strcmp(model, "ridge") == 0 ? "1" : "1.05");
    kit_set(&s, "learner.forecast", forecast);
    return kit_learner(&s);
}

static struct aft_learner *
learner(const char *forecast)
{
    return learner_of("ridge", forecast);
}

/* The model's means: each arm on each device. */
static void
scores(struct aft_learner *l, double out[2 * ARMS])
{
    struct kit_follower f = {.set = aft_snapshot_set_new()};
    struct aft_model *m = NULL;
    struct aft_error e;
    struct aft_scratch *scratch = aft_scratch_new();
    struct aft_candidate c[ARMS];
    char names[ARMS][16];
    kit_publish(l, 1, &f);
    assert_int_equal(aft_model_load(f.set, &m, &e), AFT_OK);
    memset(c, 0, sizeof c);
    for (int i = 0; i < ARMS; i++) {
        snprintf(names[i], sizeof names[i], "arm-%d", i);
        c[i].arm_id = aft_text(names[i]);
    }
    for (int app = 0; app < 2; app++) {
        struct aft_feature context = {
            .name = AFT_LITERAL("app"), .type = AFT_FEATURE_FLAG, .flag = app};
        struct aft_decision d;
        struct aft_request q = {.context = {&context, 1},
                                .candidates = c,
                                .candidates_n = ARMS,
                                .k = 1,
                                .key = AFT_LITERAL("k")};
        assert_int_equal(aft_decide(m, scratch, &q, &d, &e), AFT_OK);
        for (int i = 0; i < ARMS; i++) /* softmax: score / temperature */
            out[ARMS * app + i] = (double)d.log_weights[i];
    }
    aft_scratch_free(scratch);
    aft_model_free(m);
    aft_snapshot_set_free(f.set);
}

static double
distance(struct aft_learner *a, struct aft_learner *b)
{
    double x[2 * ARMS], y[2 * ARMS], sum = 0;
    scores(a, x);
    scores(b, y);
    for (int i = 0; i < 2 * ARMS; i++)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum / (2 * ARMS));
}

static void
test_nothing_settled_nothing_known(void **state)
{
    (void)state;
    struct aft_learner *on = learner("on"), *off = learner("off");
    make_scene(kit_seed(11));
    for (int i = 0; scene.events[i].phase != AFT_SETTLE; i++) {
        give(on, &scene.events[i], false);
        give(off, &scene.events[i], false);
    }
    assert_true(aft_learner_forecast(on, 0, 0) == 0);
    assert_true(distance(on, off) == 0);
    aft_learner_free(on);
    aft_learner_free(off);
}

/* Over all that has settled, the forecast at opening is what came after it. */
static void
test_forecast_is_what_came(void **state)
{
    (void)state;
    struct aft_learner *on = learner("on");
    double opened[4] = {0}, came[4] = {0}, forecast = 0, all = 0;
    make_scene(kit_seed(12));
    for (int i = 0; i < scene.n; i++) {
        const struct event *v = &scene.events[i];
        give(on, v, false);
        if (v->phase == AFT_OPEN) {
            int level = v->reward > 0;
            opened[level]++;
            came[level] += (double)(scene.v[v->shown].reward - v->reward) / AFT_MICRO;
        }
    }
    struct event late = scene.events[scene.n - 1]; /* two hours on: the last cohort closes */
    late.fire += 3 * HOUR;
    late.phase = AFT_ERASE;
    give(on, &late, false);
    for (int level = 0; level < 2; level++) {
        forecast += opened[level] * aft_learner_forecast(on, 0, level ? 0.05 : 0);
        all += came[level];
    }
    assert_true(came[0] > 0 && came[1] > 0);
    assert_true(fabs(forecast - all) < 1e-9 * all);
    assert_true(aft_learner_forecast(on, 0, 0.05) > 3 * aft_learner_forecast(on, 0, 0));
    assert_true(aft_learner_forecast(on, 7 * DAY, 0) < 0.6 * aft_learner_forecast(on, 0, 0));
    assert_true(fabs(aft_learner_forecast(on, 30 * DAY, 0)) < 1e-12);
    aft_learner_free(on);
}

/* Once all has settled: to 1e-9 the model that waited, and the one that counted what was missing as zero. */
static void
unbiased_at_the_end(const char *model)
{
    struct aft_learner *on = learner_of(model, "on"), *off = learner_of(model, "off"),
                       *waits = learner_of(model, "off");
    make_scene(kit_seed(13));
    for (int i = 0; i < scene.n; i++) {
        give(on, &scene.events[i], false);
        give(off, &scene.events[i], false);
        give(waits, &scene.events[i], true);
    }
    double apart = distance(on, waits), of_off = distance(off, waits);
    printf("apart in the end: %g with, %g without forecast\n", apart, of_off);
    assert_true(apart < 1e-6 && of_off < 1e-6); /* log-weights are floats, of scores times ten */
    aft_learner_free(on);
    aft_learner_free(off);
    aft_learner_free(waits);
}

static void
test_unbiased_at_the_end(void **state)
{
    (void)state;
    unbiased_at_the_end("ridge");
    unbiased_at_the_end("per_arm"); /* by labels, not by sums */
}

/* From the first settlements on: nearer the final model than without, on the whole. */
static void
test_nearer_on_the_way(void **state)
{
    (void)state;
    struct aft_learner *on = learner("on"), *off = learner("off"), *end = learner("off");
    double with = 0, without = 0;
    make_scene(kit_seed(14));
    for (int i = 0; i < scene.n; i++)
        give(end, &scene.events[i], true);
    int64_t next = scene.v[0].at + 16 * DAY;
    for (int i = 0; i < scene.n; i++) {
        const struct event *v = &scene.events[i];
        give(on, v, false);
        give(off, v, false);
        if (v->fire < next || v->fire > scene.v[0].at + DAYS * DAY)
            continue;
        with += distance(on, end);
        without += distance(off, end);
        next += 2 * DAY;
    }
    printf("distance to the end on the way: %g with, %g without forecast\n", with, without);
    assert_true(with < 0.8 * without);
    aft_learner_free(on);
    aft_learner_free(off);
    aft_learner_free(end);
}

/* Published half way and restored: the same digest, then and in the end. */
static void
snapshot_of(const char *model)
{
    struct aft_learner *on = learner_of(model, "on"), *again = learner_of(model, "on");
    struct kit_follower f = {.set = aft_snapshot_set_new()};
    struct aft_digest a, b;
    struct aft_error e;
    make_scene(kit_seed(15));
    int half = scene.n / 2;
    for (int i = 0; i < half; i++)
        give(on, &scene.events[i], false);
    kit_publish(on, 1, &f);
    assert_int_equal(f.whole, 1);
    if (aft_learner_restore(again, f.set, &e) != AFT_OK)
        fail_msg("%s", e.message);
    aft_learner_digest(on, &a);
    for (int i = half; i < scene.n; i++) {
        give(on, &scene.events[i], false);
        give(again, &scene.events[i], false);
    }
    aft_learner_digest(on, &a);
    aft_learner_digest(again, &b);
    assert_memory_equal(a.b, b.b, sizeof a.b);
    aft_snapshot_set_free(f.set);
    aft_learner_free(on);
    aft_learner_free(again);
}

static void
test_snapshot(void **state)
{
    (void)state;
    snapshot_of("ridge");
    snapshot_of("flow");
}

/* ---- the models that are not sums */
static const char *const others[] = {"flow", "bayes", "flow-squared", "bayes-full", "vw"};
enum { OTHERS = 5 };

/* Mean reward that a model expects, over arms and devices. */
static double
expected(struct aft_learner *l, const char *model)
{
    double v[2 * ARMS], sum = 0;
    bool logistic = strcmp(model, "vw") != 0 && strcmp(model, "flow-squared") != 0;
    scores(l, v);
    for (int i = 0; i < 2 * ARMS; i++) {
        double score = v[i] / 10; /* a temperature of 0.1 */
        sum += 1.05 * (logistic ? aft_logistic(score) : score);
    }
    return sum / (2 * ARMS);
}

/* From the day on which settled impressions can tell, to the last impression: the mean of what each expects, over what came; and then when
 * nothing opens any more and the rest comes and settles: where what comes late has no counterweight, a forecast that is taken back is one,
 * and the pace holds the rest. */
static void
test_others_are_less_biased(void **state)
{
    (void)state;
    for (int k = 0; k < OTHERS; k++) {
        struct aft_learner *on = learner_of(others[k], "on"), *off = learner_of(others[k], "off"),
                           *waits = learner_of(others[k], "off");
        double with = 0, without = 0, n = 0;
        make_scene(kit_seed(16));
        int64_t next = scene.v[0].at + 24 * DAY;
        for (int i = 0; i < scene.n; i++) {
            const struct event *v = &scene.events[i];
            give(on, v, false);
            give(off, v, false);
            give(waits, v, true);
            if (v->fire < next || v->fire > scene.v[0].at + DAYS * DAY)
                continue;
            with += expected(on, others[k]) / scene.mean;
            without += expected(off, others[k]) / scene.mean;
            n++;
            next += 2 * DAY;
        }
        double end[3] = {expected(on, others[k]) / scene.mean,
                         expected(off, others[k]) / scene.mean,
                         expected(waits, others[k]) / scene.mean};
        printf("| `%s` | %.3f | %.3f | %.3f | %.3f | %.3f |\n", others[k], with / n, without / n,
               end[0], end[1], end[2]);
        assert_true(fabs(end[0] - 1) < (k == 1 || k == 3 ? 0.15 : 0.3 * fabs(end[1] - 1)));
        assert_true(with > without); /* zeros are too low */
        aft_learner_free(on);
        aft_learner_free(off);
        aft_learner_free(waits);
    }
}

static void
test_others_know_nothing_before_something_settled(void **state)
{
    (void)state;
    for (int k = 0; k < OTHERS; k++) {
        struct aft_learner *on = learner_of(others[k], "on");
        make_scene(kit_seed(17));
        for (int i = 0; scene.events[i].phase != AFT_SETTLE; i++)
            give(on, &scene.events[i], false);
        assert_true(aft_learner_forecast(on, 0, 0) == 0);
        for (int i = 0; i < scene.n; i++)
            if (scene.events[i].phase == AFT_SETTLE)
                give(on, &scene.events[i], false);
        assert_true(aft_learner_forecast(on, 0, 0) > 0);
        aft_learner_free(on);
    }
}

static void
test_made_up_rewards_have_none(void **state)
{
    (void)state;
    struct aft_learner_settings s;
    struct aft_learner *l = NULL;
    struct aft_error e;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", "vw");
    kit_set(&s, "learner.reduction", "dr");
    kit_set(&s, "learner.forecast", "on");
    assert_int_equal(aft_learner_new(&s, &l, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "learner.forecast"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_settled_nothing_known),
        cmocka_unit_test(test_forecast_is_what_came),
        cmocka_unit_test(test_unbiased_at_the_end),
        cmocka_unit_test(test_nearer_on_the_way),
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_others_are_less_biased),
        cmocka_unit_test(test_others_know_nothing_before_something_settled),
        cmocka_unit_test(test_made_up_rewards_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
