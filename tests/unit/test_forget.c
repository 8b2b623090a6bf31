/* test_forget.c - learner.half.life: a reward that comes late, in pieces, counts what it would have left had it come at once; what is
 * old counts by the age of its impression alone; a learner that forgets follows a world that changed. */
#include "tests/kit.h"

#include <math.h>

#include "learner/inner.h"
#include "tests/learn_kit.h"

enum { DECISIONS = 400, LAG = 150 };

static struct aft_learner_settings
settings_of(const char *model, const char *half_life)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "features.interactions", "device*topic");
    kit_set(&s, "learner.model", model);
    kit_set(&s, "learner.half.life", half_life);
    kit_set(&s, "learner.weighting", "none");
    return s;
}

static void
learn(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_error e;
    if (aft_learner_learn(l, x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

struct kept { /* a decision whose reward comes later */
    struct kit_world w;
    struct aft_example x;
    int64_t reward[KIT_SLOTS];
};

static void
keep(struct kept *k, const struct kit_world *w)
{
    k->w = *w;
    k->x.items = k->w.items;
    k->x.context.v = k->w.context;
    k->x.decision_id = aft_text(k->w.id);
    for (uint32_t i = 0; i < k->x.items_n; i++) {
        k->reward[i] = k->w.items[i].reward_micro;
        k->w.items[i].reward_micro = 0;
    }
}

/* Half of the reward now, and the rest; fired at `now_ms`. */
static void
pay(struct aft_learner *l, struct kept *k, int64_t now_ms)
{
    k->x.phase = AFT_REVISE;
    k->x.fire_ms = now_ms;
    for (int part = 0; part < 2; part++) {
        for (uint32_t i = 0; i < k->x.items_n; i++) {
            int64_t now = part ? k->reward[i] : k->reward[i] / 2;
            k->w.items[i].delta_micro = now - k->w.items[i].reward_micro;
            k->w.items[i].reward_micro = now;
        }
        learn(l, &k->x);
    }
}

static void
same_ridge(const struct aft_learner *a, const struct aft_learner *b)
{
    const struct aft_linear_block *x = aft_linear_block(&a->table.weights.linear, 0, 0);
    const struct aft_linear_block *y = aft_linear_block(&b->table.weights.linear, 0, 0);
    assert_int_equal(x->d, y->d);
    for (uint32_t i = 0; i < x->d; i++)
        assert_true(fabs(x->theta[i] - y->theta[i]) < 1e-9);
    for (uint32_t i = 0; i < x->d; i++)
        for (uint32_t j = 0; j < x->d; j++)
            assert_true(
                fabs(x->cov[(size_t)i * x->stride + j] - y->cov[(size_t)i * y->stride + j]) < 1e-9);
}

/* One learner has the rewards at once, the other LAG decisions later, in pieces: three half-lives of the whole. */
static void
test_late_is_exact(void **state)
{
    (void)state;
    static struct kept kept[DECISIONS];
    struct aft_learner_settings s = settings_of("ridge", "130s");
    struct aft_learner *at_once = kit_learner(&s), *late = kit_learner(&s);
    struct kit_world w;
    kit_world_init(&w, kit_seed(3));
    for (int i = 0; i < DECISIONS + LAG; i++) {
        int64_t now_ms = 1000 * i;
        if (i < DECISIONS) {
            kept[i].x = kit_open(&w, NULL);
            learn(at_once, &kept[i].x);
            keep(&kept[i], &w);
            learn(late, &kept[i].x);
        } else { /* time goes on for both */
            struct aft_example tick = kept[0].x;
            tick.phase = AFT_ERASE;
            tick.fire_ms = now_ms;
            learn(at_once, &tick);
        }
        if (i >= LAG)
            pay(late, &kept[i - LAG], now_ms);
    }
    assert_true(late->counts[AFTI_FORGOTTEN_TO] > 100000);
    same_ridge(at_once, late);
    aft_learner_free(at_once);
    aft_learner_free(late);
    kit_world_deinit(&w);
}

/* A - lambda I over the constant's column is the sum of what each shown item counts. */
static void
test_age_alone_counts(void **state)
{
    (void)state;
    struct aft_learner_settings s = settings_of("ridge", "100s");
    struct aft_learner *l = kit_learner(&s);
    struct kit_world w;
    double want = 0;
    kit_world_init(&w, kit_seed(4));
    for (int i = 0; i < DECISIONS; i++) {
        struct aft_example x = kit_open(&w, NULL);
        learn(l, &x);
    }
    for (int i = 0; i < DECISIONS; i++)
        want += KIT_SLOTS * pow(2, (1000.0 * i - (double)l->counts[AFTI_FORGOTTEN_TO]) / 100e3);
    aft_ridge_settle(&l->members[0].ridge);
    assert_true(fabs(l->members[0].ridge.blocks[0].a[0] - s.lambda - want) < 1e-9 * want);
    aft_learner_free(l);
    kit_world_deinit(&w);
}

/* After the world has turned over: arm 2's topic was liked, now it is arm 1's. Squared error of the scores against the truth. */
static double
error_after_change(const char *half_life)
{
    struct aft_learner_settings s = settings_of("ridge", half_life);
    struct aft_learner *l = kit_learner(&s);
    struct kit_world w;
    double sum = 0;
    kit_world_init(&w, 5);
    for (int i = 0; i < 6000; i++) {
        struct aft_example x = kit_open(&w, NULL);
        for (uint32_t k = 0; k < x.items_n; k++) {
            bool good = atoi((const char *)x.items[k].arm_id.p + 4) % 4 == (i < 4500 ? 2 : 1);
            double truth = good ? 0.6 : 0.1;
            w.items[k].reward_micro = aft_random_unit(&w.random) < truth ? AFT_MICRO : 0;
            assert_true(afti_take_context(&l->table, x.context));
            assert_true(afti_take_slot(&l->table, 0));
            assert_true(afti_take_arm(&l->table, x.items[k].arm_id, x.items[k].features, 0));
            l->table.kind->item(&l->table, false);
            double off = l->table.kind->score(&l->table, &l->members[0]) - truth;
            sum += i >= 4500 ? off * off : 0;
        }
        learn(l, &x);
    }
    aft_learner_free(l);
    kit_world_deinit(&w);
    return sum / 4500;
}

static void
test_follows_a_change(void **state)
{
    (void)state;
    double never = error_after_change("0"), soon = error_after_change("300s");
    printf("ridge: error %.4f without forgetting, %.4f with\n", never, soon);
    assert_true(soon < 0.5 * never);
}

/* The flow's information halves with time, and its rates and variances grow again; its weights stay. */
static void
test_flow_forgets_information(void **state)
{
    (void)state;
    struct aft_learner_settings s = settings_of("flow", "100s");
    struct aft_learner *l = kit_learner(&s);
    struct kit_world w;
    kit_world_init(&w, kit_seed(6));
    for (int i = 0; i < 200; i++) {
        struct aft_example x = kit_open(&w, NULL);
        learn(l, &x);
    }
    float before = l->table.grid.plane[0][0], weight = l->table.weights.bilinear.w[0];
    int64_t from = l->counts[AFTI_FORGOTTEN_TO];
    struct aft_example later = {.phase = AFT_ERASE, .fire_ms = 400000};
    learn(l, &later);
    double want = (double)before * pow(2, (double)(from - l->counts[AFTI_FORGOTTEN_TO]) / 100e3);
    assert_true(before > 1);
    assert_true(fabs((double)l->table.grid.plane[0][0] - want) < 1e-5 * want);
    assert_true(l->table.weights.bilinear.w[0] == weight);
    aft_learner_free(l);
    kit_world_deinit(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_is_exact), cmocka_unit_test(test_age_alone_counts),
        cmocka_unit_test(test_follows_a_change), cmocka_unit_test(test_flow_forgets_information)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
