/* test_kinds.c - every kind of model: against its rule written down once more, plainly; early and late; stopped and gone on. */
#include "tests/kit.h"

#include <math.h>

#include "tests/learn_kit.h"

static const char *const kinds[] = {"ridge", "flow", "flow-squared", "vw", "bayes", "bayes-full"};
enum { KINDS = 6, D = 9 };

static void
learn(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_error e;
    if (aft_learner_learn(l, x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

static struct aft_learner *
learner_of(const char *model, const char *weighting)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    kit_set(&s, "learner.weighting", weighting);
    kit_set(&s, "learner.memory", "0");
    kit_set(&s, "policy.explore", "epsilon_greedy");
    return kit_learner(&s);
}

/* One decision of one arm with D - 2 numbers of context: terms are the constant, the numbers, the arm's identity. */
struct one {
    struct aft_feature context[D - 2];
    struct aft_candidate arm;
    struct aft_example_item item;
    double x[D]; /* constant, numbers, identity */
};

static struct aft_example
one_example(struct aft_random *r, struct one *o)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    o->x[0] = o->x[D - 1] = 1;
    for (int i = 0; i < D - 2; i++) {
        o->x[i + 1] = aft_random_below(r, 4) ? aft_random_normal(r) : 0;
        o->context[i] = (struct aft_feature){
            .name = aft_text(names[i]), .type = AFT_FEATURE_NUMBER, .number = o->x[i + 1]};
    }
    o->arm = (struct aft_candidate){.arm_id = AFT_LITERAL("arm")};
    o->item = (struct aft_example_item){.arm_id = o->arm.arm_id,
                                        .propensity = 1,
                                        .reward_micro = aft_random_below(r, 2) ? AFT_MICRO : 0};
    return (struct aft_example){.phase = AFT_OPEN,
                                .decision_id = AFT_LITERAL("d"),
                                .policy = AFT_LITERAL("p"),
                                .context = {o->context, D - 2},
                                .candidates = &o->arm,
                                .candidates_n = 1,
                                .items = &o->item,
                                .items_n = 1};
}

static struct aft_model *
model_of(struct aft_learner *l, struct kit_follower *f)
{
    struct aft_error e;
    struct aft_model *m = NULL;
    f->set = aft_snapshot_set_new();
    kit_publish(l, 1, f);
    assert_int_equal(aft_model_load(f->set, &m, &e), AFT_OK);
    return m;
}

/* The weights of a linear kind, straight from the snapshot. */
static void
linear_weights(struct aft_learner *l, struct aft_weights *w)
{
    struct kit_follower f = {0};
    struct aft_error e;
    aft_model_free(model_of(l, &f));
    memset(w, 0, sizeof *w);
    assert_int_equal(aft_weights_decode(aft_snapshot_set_plane(f.set, AFT_PLANE_WEIGHTS), w, &e),
                     AFT_OK);
    aft_snapshot_set_free(f.set);
}

/* The Gaussian that the full-covariance rule keeps, with dense loops, on features divided by their N so far. */
struct gauss {
    double w[D], c[D][D], max[D];
    int seen[D];
};

static double
gauss_norm(const struct gauss *g, int i)
{
    return g->max[i] == 0 || (g->seen[i] < 64 && g->max[i] < 1) ? 1 : g->max[i];
}

static void
gauss_scale(struct gauss *g, int i, double x)
{
    double before = gauss_norm(g, i);
    g->max[i] = fmax(g->max[i], (double)fabsf((float)x));
    double now = gauss_norm(g, i), by = before / now;
    g->seen[i]++;
    for (int j = 0; j < D; j++)
        g->c[i][j] *= by;
    for (int j = 0; j < D; j++)
        g->c[j][i] *= by;
    g->w[i] *= by < 1 ? by : 1;
}

static void
gauss_learn(struct gauss *g, const double *x, double t, double late)
{
    double y[D] = {0}, v = 0, f = 0;
    for (int i = 0; i < D; i++)
        if (x[i] != 0)
            gauss_scale(g, i, x[i]);
    for (int i = 0; i < D; i++) {
        f += g->w[i] * x[i];
        for (int j = 0; j < D; j++)
            y[i] += g->c[i][j] * x[j];
    }
    for (int i = 0; i < D; i++)
        v += x[i] * y[i];
    double p = 1 / (1 + exp(-f / sqrt(1 + 0.39269908169872414 * v))), a = p * (1 - p);
    for (int i = 0; i < D; i++) { /* the label t; and `late` more, once C has x in it */
        g->w[i] += y[i] * (t - p + late) / (1 + a * v);
        for (int j = 0; j < D; j++)
            g->c[i][j] -= y[i] * y[j] * a / (1 + a * v);
    }
}

/* bayes-full is its rule; a correction right after is the same as having known at once. */
static void
test_full_covariance_by_hand(void **state)
{
    (void)state;
    struct aft_random r;
    struct gauss g = {.w = {0}};
    struct aft_weights w;
    struct one o;
    aft_random_init(&r, kit_seed(41), 0);
    struct aft_learner *l = learner_of("bayes-full", "none");
    struct aft_example x = one_example(&r, &o);
    int n = 0;
    for (int i = 1; i < D - 1; i++)
        n += o.x[i] != 0;
    for (
        int i = 0; i < D;
        i++) /* the first example brings those it has, the second may bring more: make it bring all */
        g.c[i][i] = i == 0 ? 9 : i == D - 1 ? 1 : 1. / (D - 2);
    for (int i = 1; n < D - 2 && i < D - 1; i++)
        o.context[i - 1].number = o.x[i] = 0.5;
    for (int i = 0; i < 400; i++) {
        bool late = i % 3 == 0 && o.item.reward_micro;
        gauss_learn(&g, o.x, late ? 0 : (double)o.item.reward_micro / AFT_MICRO, late);
        if (late) {
            o.item.reward_micro = 0;
            learn(l, &x);
            o.item.reward_micro = o.item.delta_micro = AFT_MICRO;
            x.phase = AFT_REVISE;
        }
        learn(l, &x);
        x = one_example(&r, &o);
    }
    linear_weights(l, &w);
    assert_int_equal(w.linear.columns.n, D);
    for (int i = 0; i < D; i++) {
        assert_true(fabs(w.linear.blocks[0].theta[i] - g.w[i]) < 1e-6 * (1 + fabs(g.w[i])));
        assert_true(fabs(w.linear.blocks[0].cov[(size_t)i * w.linear.blocks[0].stride + (size_t)i] -
                         g.c[i][i]) < 1e-6 * (1 + g.c[i][i]));
    }
    aft_weights_deinit(&w);
    aft_learner_free(l);
}

/* VW's rule with doubles and dense loops over the crosses of (constant, identity) x (constant, numbers). */
struct vw {
    double w[2 * D], g[2 * D], n[2 * D], s, t, low, high;
};

static void
vw_learn(struct vw *v, const double *x, double y)
{
    double f = 0, q = 0, z[2 * (D - 1)], dg;
    for (int i = 0; i < 2 * (D - 1); i++) {
        z[i] = x[i % (D - 1)]; /* rows: the constant, the arm */
        f += v->w[i] * z[i];
    }
    v->low = fmin(v->low, y);
    v->high = fmax(v->high, y);
    f = fmin(fmax(f, v->low), v->high);
    dg = 4 * (f - y) * (f - y);
    if (dg == 0)
        return;
    for (int i = 0; i < 2 * (D - 1); i++) {
        if (z[i] == 0)
            continue;
        v->g[i] += dg * z[i] * z[i];
        if (fabs(z[i]) > v->n[i]) {
            v->w[i] *= v->n[i] > 0 ? v->n[i] / fabs(z[i]) : 1;
            v->n[i] = fabs(z[i]);
        }
        v->s += z[i] * z[i] / (v->n[i] * v->n[i]);
    }
    v->t += 1;
    double mu = sqrt(v->t / v->s);
    for (int i = 0; i < 2 * (D - 1); i++)
        q += z[i] != 0 ? z[i] * z[i] * mu / (v->n[i] * sqrt(v->g[i])) : 0;
    double u = (y - f) * (1 - exp(-2 * 0.5 * q)) / q;
    for (int i = 0; i < 2 * (D - 1); i++)
        v->w[i] += z[i] != 0 ? u * z[i] * mu / (v->n[i] * sqrt(v->g[i])) : 0;
}

static void
test_vw_by_hand(void **state)
{
    (void)state;
    struct aft_random r;
    struct vw v = {.w = {0}};
    struct aft_weights w;
    struct one o;
    aft_random_init(&r, kit_seed(42), 0);
    struct aft_learner *l = learner_of("vw", "none");
    struct aft_example x = one_example(&r, &o);
    for (int i = 1; i < D - 1; i++)
        o.context[i - 1].number = o.x[i] = 0.5 * i; /* all columns in order */
    for (int i = 0; i < 500; i++) {
        for (int j = 1; j < D - 1; j++)
            o.x[j] = (double)(float)o.x[j];
        learn(l, &x);
        vw_learn(&v, o.x, (double)o.item.reward_micro / AFT_MICRO);
        x = one_example(&r, &o);
    }
    linear_weights(l, &w);
    assert_int_equal(w.bilinear.rows.n, 2);
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < D - 1; j++)
            assert_true(fabs((double)w.bilinear.w[aft_bilinear_at(&w.bilinear, i, 0) + j] -
                             v.w[i * (D - 1) + j]) < 1e-4);
    aft_weights_deinit(&w);
    aft_learner_free(l);
}

static double
ctr(struct kit_world *w, const struct aft_model *m, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        struct aft_example x = kit_open(w, m);
        sum += kit_chance(w, (uint32_t)atoi((const char *)x.items[0].arm_id.p + 4));
    }
    return sum / n;
}

/* Each kind learns; clicks that all come late teach nearly as much. */
static void
test_each_kind_learns_early_and_late(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(43);
    for (int k = 0; k < KINDS; k++) {
        double earned[2], base = 0;
        for (int late = 0; late < 2; late++) {
            struct kit_world w;
            struct kit_follower f = {0};
            struct aft_learner_settings s;
            aft_learner_settings_default(&s);
            kit_set(&s, "features.interactions", "device*topic");
            kit_set(&s, "features.buckets.days", "7,14,30,60");
            kit_set(&s, "learner.model", kinds[k]);
            kit_set(&s, "learner.weighting", "none");
            kit_set(&s, "policy.explore", "epsilon_greedy");
            struct aft_learner *l = kit_learner(&s);
            kit_world_init(&w, seed);
            for (int i = 0; i < 3000; i++) {
                struct aft_example x = kit_open(&w, NULL);
                int64_t reward[KIT_SLOTS];
                for (int j = 0; late && j < KIT_SLOTS; j++) {
                    reward[j] = w.items[j].reward_micro;
                    w.items[j].reward_micro = 0;
                }
                learn(l, &x);
                x.phase = AFT_REVISE;
                for (int j = 0; late && j < KIT_SLOTS; j++)
                    w.items[j].reward_micro = w.items[j].delta_micro = reward[j];
                if (late)
                    learn(l, &x);
            }
            struct aft_model *m = model_of(l, &f);
            base = ctr(&w, NULL, 1000);
            earned[late] = ctr(&w, m, 1000);
            aft_model_free(m);
            aft_snapshot_set_free(f.set);
            aft_learner_free(l);
            kit_world_deinit(&w);
        }
        printf("%s: uniform %.3f, at once %.3f, late %.3f\n", kinds[k], base, earned[0], earned[1]);
        assert_true(earned[0] > 2 * base && earned[1] > 0.85 * earned[0]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_covariance_by_hand),
        cmocka_unit_test(test_vw_by_hand),
        cmocka_unit_test(test_each_kind_learns_early_and_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
