/* test_laws.c - each explorer, served by a model: what is logged is a pmf with its floor on any input; with one slot it is the
 * formula of docs/POLICIES.md; what is wanted inside the draw is in the probabilities. 100,000 random decisions (AFT_ROUNDS, or a
 * million with --long). Others' defects that are cases here: a law without support for what it did not choose (VW's --regcb and
 * --bag at their defaults: zeros; contextualbandits' and MABWiser's UCB and Thompson: no probability at all, or 1); SquareCB on
 * scores outside [0, 1] (VW #3680: negative). */
#include "tests/kit.h"

#include "tests/policy_kit.h"

static const struct policy_spec specs[] = {
    {"uniform", {"policy.explore", "uniform"}, false, 9},
    {"first, young", {"policy.explore", "first", "policy.first", "10"}, false, 9},
    {"first, grown", {"policy.explore", "first", "policy.first", "10"}, false, 10},
    {"epsilon", {"policy.explore", "epsilon"}, false, 0},
    {"epsilon, decaying",
     {"policy.explore", "epsilon_greedy", "policy.epsilon.decay", "0.5", "policy.epsilon.min",
      "1e-4"},
     false,
     99},
    {"softmax", {"policy.explore", "softmax"}, false, 0},
    {"softmax of log-odds", {"policy.explore", "softmax", "policy.epsilon", "1e-6"}, true, 0},
    {"squarecb", {"policy.explore", "squarecb", "policy.epsilon", "0.02"}, false, 100},
    {"squarecb of log-odds", {"policy.explore", "squarecb"}, true, 10000},
    {"squarecb-elim", {"policy.explore", "squarecb-elim", "policy.c0", "0.01"}, false, 100},
    {"regcb-elim", {"policy.explore", "regcb-elim", "policy.c0", "0.1"}, false, 50},
    {"regcb-elim of log-odds", {"policy.explore", "regcb-elim", "policy.c0", "0.1"}, true, 50},
    {"regcb-opt",
     {"policy.explore", "regcb-opt", "policy.reward.max", "3", "policy.c0", "0.1"},
     false,
     50},
    {"bagging", {"policy.explore", "bagging"}, false, 0},
    {"cover", {"policy.explore", "cover", "policy.epsilon", "0.2"}, true, 400},
    {"ucb", {"policy.explore", "ucb"}, false, 1000},
    {"linucb", {"policy.explore", "linucb"}, true, 0},
    {"thompson", {"policy.explore", "thompson", "policy.draws", "8"}, false, 0},
    {"thompson, diagonal",
     {"policy.explore", "thompson", "policy.draws", "8", "policy.covariance", "diagonal"},
     false,
     0},
    {"thompson of log-odds", {"policy.explore", "thompson", "policy.draws", "8"}, true, 0},
    {"exposure", {"policy.explore", "softmax", "policy.min.exposure", "0.03"}, false, 0},
    {"exposure of an arm",
     {"policy.explore", "epsilon", "policy.min.exposure.arm1", "0.4", "policy.min.exposure.arm2",
      "0.7"},
     false,
     0},
    {"diversity", {"policy.explore", "softmax", "policy.diversity", "0.1"}, false, 0},
    {"diversity, whole",
     {"policy.explore", "epsilon", "policy.diversity", "0", "policy.epsilon", "1e-6"},
     false,
     0},
    {"coverage",
     {"policy.explore", "linucb", "policy.coverage", "blue, red", "policy.coverage.factor", "0"},
     false,
     0},
    {"repetition", {"policy.explore", "softmax", "policy.repetition", "0.7"}, false, 0},
    {"slots", {"policy.explore", "softmax", "policy.slots.web", "2"}, false, 0},
};
enum { SPECS = sizeof specs / sizeof *specs };

static const struct policy_spec *
spec(const char *name)
{
    for (uint32_t i = 0; i < SPECS; i++)
        if (strcmp(specs[i].name, name) == 0)
            return &specs[i];
    fail_msg("no %s", name);
    return NULL;
}

static double
random_score(struct aft_random *r, uint32_t pattern)
{
    switch (pattern) {
    case 0: /* many alike */
        return 0.25 * aft_random_below(r, 3);
    case 1: /* all alike, of either sign of nothing */
        return aft_random_below(r, 2) ? -0.0 : 0.0;
    case 2: /* as far apart as is allowed */
        return (double[]){-9e28, -1, 0, 1e-300, 1, 9e28}[aft_random_below(r, 6)];
    case 3: /* one bit apart */
        return 0.5 + 0x1p-53 * aft_random_below(r, 3);
    case 4:
        return 1e-3 * aft_random_normal(r);
    default:
        return 2 * aft_random_normal(r);
    }
}

static void
random_request(struct aft_random *r, struct policy_request *q, uint64_t key)
{
    uint32_t n = (uint32_t[]){1, 2, 3, 5, 8, 13, 50}[aft_random_below(r, 7)];
    uint32_t pattern = aft_random_below(r, 8), eligible = aft_random_below(r, n);
    q->r.candidates_n = n;
    q->r.k = 1 + aft_random_below(r, 8);
    q->r.recent = aft_random_below(r, 2) ? q->recent : NULL;
    for (uint32_t a = 0; a < n; a++) {
        double score = random_score(r, pattern); /* one after the other, for any compiler */
        bool wide = aft_random_below(r, 4);
        policy_score(q, a, score, wide ? fabs(aft_random_normal(r)) : 0);
        for (uint32_t i = 2; i < POLICY_NUMBERS; i++)
            q->own[a][i].number = pattern == 2 ? 0 : 0.3 * aft_random_normal(r);
        q->recent[a] = (float)aft_random_below(r, 4);
        q->own[a][POLICY_NUMBERS + 1].number = (double)q->recent[a];
        q->arms[a].mask =
            a != eligible && aft_random_below(r, 4) == 0 ? AFT_LITERAL("capped") : AFT_ABSENT;
    }
    policy_key(q, key);
}

/* The least exposure that `m`'s spec asks for of a candidate, as far as all of them together leave room. */
static double
least(const struct policy_spec *s, uint32_t arm, uint32_t n)
{
    if (strcmp(s->name, "exposure") == 0)
        return 0.03 * n < 1 ? 0.03 : 0;
    bool both = strcmp(s->name, "exposure of an arm") == 0;
    return both && arm == 1 ? 0.34 : both && arm == 2 ? 0.58 : 0; /* 1.1 in all: each its part */
}

static struct policy_topics
topics_of(const struct policy_spec *s) /* red is topic 0, blue 2 */
{
    if (strcmp(s->name, "coverage") == 0)
        return (struct policy_topics){true, 1, 0, 5};
    if (strcmp(s->name, "diversity") == 0)
        return (struct policy_topics){true, 0.1, 1, 0};
    return (struct policy_topics){strcmp(s->name, "diversity, whole") == 0, 0, 1, 0};
}

static void
check(const struct policy_spec *s, const struct policy_request *q, const struct aft_decision *d)
{
    double w[POLICY_ARMS], p[AFT_SLATE_MAX], sum = 0, prefix = 1;
    uint32_t index[POLICY_ARMS], slate[AFT_SLATE_MAX];
    uint32_t n = policy_logged(d, q->r.candidates_n, w, index), k = q->r.k;
    struct policy_topics topics = topics_of(s);
    assert_true(topics.any == aft_same(d->design.kind, AFT_LITERAL("diverse")));
    if (strcmp(s->name, "slots") == 0)
        k = k < 2 ? k : 2;
    assert_int_equal(d->n, k < n ? k : n);
    for (uint32_t i = 0; i < n; i++) {
        double low = least(s, index[i], n), floor = d->design.epsilon / n;
        assert_true(w[i] >= floor * (1 - 1e-12) && w[i] <= 1 + 1e-12 && w[i] >= low);
        assert_false(q->arms[index[i]].mask.p);
        sum += w[i];
    }
    assert_true(fabs(sum - 1) < 1e-12);
    for (uint32_t l = 0; l < d->n; l++)
        for (slate[l] = 0; index[slate[l]] != d->slots[l].candidate; slate[l]++)
            assert_true(slate[l] < n);
    for (uint32_t l = 0; l < d->n; l++) {
        double all[POLICY_ARMS];
        policy_slot(d, &topics, l, w, index, n, all);
        p[l] = all[slate[l]];
    }
    for (uint32_t l = 0; l < d->n; l++) {
        const struct aft_slot *x = &d->slots[l];
        prefix *= x->propensity;
        assert_true(x->prefix == prefix && fabs(x->propensity / p[l] - 1) < 1e-9);
        assert_true(x->propensity >= d->design.epsilon / n * (1 - 1e-12) && x->propensity <= 1);
        assert_true(!x->has_marginal || (x->marginal > 0 && x->marginal <= 1));
        assert_true(l > 0 || fabs(x->marginal / p[0] - 1) < 1e-9);
        assert_true(l > 0 || x->has_marginal);
        for (uint32_t j = 0; j < l; j++)
            assert_true(slate[j] != slate[l]);
    }
    if (d->n == n) /* the last one is forced */
        assert_true(fabs(d->slots[n - 1].propensity - 1) < 1e-12);
}

static long rounds_wanted = 100000;

static void
test_any_input_gives_a_pmf(void **state)
{
    (void)state;
    struct aft_model *m[SPECS];
    struct aft_scratch *s = aft_scratch_new();
    static struct policy_request q;
    struct aft_random r;
    struct aft_decision d;
    struct aft_error e;
    aft_random_init(&r, kit_seed(21), 0);
    policy_request_init(&q, 50, 3);
    for (uint32_t i = 0; i < SPECS; i++)
        m[i] = policy_model(&specs[i]);
    for (long round = 0; round < kit_rounds(rounds_wanted); round++) {
        uint32_t at = aft_random_below(&r, SPECS);
        random_request(&r, &q, (uint64_t)round);
        if (aft_decide(m[at], s, &q.r, &d, &e) != AFT_OK)
            fail_msg("%s: %s", specs[at].name, e.message);
        check(&specs[at], &q, &d);
    }
    for (uint32_t i = 0; i < SPECS; i++)
        aft_model_free(m[i]);
    aft_scratch_free(s);
}

static void
test_what_is_no_number_is_refused(void **state)
{
    (void)state;
    struct aft_scratch *s = aft_scratch_new();
    static struct policy_request q;
    struct aft_decision d;
    struct aft_error e;
    policy_request_init(&q, 5, 3);
    policy_key(&q, 1);
    for (uint32_t i = 2; i < SPECS; i++) { /* "uniform" and a young "first" read no feature */
        struct aft_model *m = policy_model(&specs[i]);
        const double big = (double)INFINITY, bad[] = {(double)NAN, big, -big, 1e300, -1e300};
        for (int j = 0; j < 5; j++) {
            policy_score(&q, 3, bad[j], 0);
            assert_int_equal(aft_decide(m, s, &q.r, &d, &e), AFT_E_VALUE);
            policy_score(&q, 3, 0, 0);
            assert_int_equal(aft_decide(m, s, &q.r, &d, &e), AFT_OK);
        }
        if (strcmp(specs[i].name, "repetition") == 0)
            for (int j = 0; j < 5; j++) {
                q.r.recent = q.recent;
                q.recent[2] = (float[]){NAN, INFINITY, -1, 2e9f, -INFINITY}[j];
                assert_int_equal(aft_decide(m, s, &q.r, &d, &e), AFT_E_VALUE);
                q.recent[2] = 0;
                q.r.recent = NULL;
            }
        aft_model_free(m);
    }
    aft_scratch_free(s);
}

/* The bits of some thousand decisions, of every law. The same from gcc and clang, at every -O, with and without AVX2; the number
 * changes with the laws alone, and then for all builds alike. */
static void
test_bits_are_the_same_everywhere(void **state)
{
    (void)state;
    struct aft_scratch *s = aft_scratch_new();
    static struct policy_request q;
    struct aft_random r;
    struct aft_decision d;
    struct aft_error e;
    uint64_t hash = 0;
    aft_random_init(&r, 23, 0);
    policy_request_init(&q, 50, 3);
    for (uint32_t i = 0; i < SPECS; i++) {
        struct aft_model *m = policy_model(&specs[i]);
        for (uint64_t round = 0; round < 100; round++) {
            random_request(&r, &q, round);
            if (aft_decide(m, s, &q.r, &d, &e) != AFT_OK)
                fail_msg("%s: %s", specs[i].name, e.message);
            for (uint32_t l = 0; l < d.n; l++) {
                const struct aft_slot *x = &d.slots[l];
                double v[4] = {x->candidate, x->propensity, x->prefix,
                               x->has_marginal ? x->marginal : 0};
                hash = aft_hash64((struct aft_bytes){(const uint8_t *)v, sizeof v}, hash);
            }
            hash = aft_hash64((struct aft_bytes){(const uint8_t *)d.log_weights,
                                                 q.r.candidates_n * sizeof *d.log_weights},
                              hash);
        }
        aft_model_free(m);
    }
    aft_scratch_free(s);
    if (hash != UINT64_C(0x82c6f975b1dfed95))
        fail_msg("the bits' hash is 0x%016llx", (unsigned long long)hash);
}

/* ---- settings */
struct kept {
    struct aft_policy_settings s;
    char last[96];
};

static void
keep(void *ctx, const char *key, const char *value)
{
    struct kept *k = ctx;
    struct aft_error e;
    bool known;
    assert_true(strcmp(k->last, key) < 0); /* sorted */
    snprintf(k->last, sizeof k->last, "%s", key);
    assert_int_equal(aft_policy_set(&k->s, key, value, &known, &e), AFT_OK);
    assert_true(known);
}

static void
test_settings_are_read_back(void **state)
{
    (void)state;
    static const char *const set[][2] = {
        {"policy.explore", "squarecb-elim"},
        {"policy.gamma.power", "0.25"},
        {"policy.min.exposure", "0.01"},
        {"policy.min.exposure.b", "0.2"},
        {"policy.min.exposure.a", "0.1"},
        {"policy.min.exposure.b", "0.3"},
        {"policy.slots.web", "3"},
        {"policy.slots.app", "2"},
        {"policy.coverage", " red,dark  blue "},
        {"policy.diversity.feature", "theme"},
        {"policy.covariance", "diagonal"},
        {"features.buckets.days", "7,30"},
    };
    static const char *const wrong[][2] = {
        {"policy.explore", "greedy"},      {"policy.slots.web", "9"},
        {"policy.slots.web", "1.5"},       {"policy.slots.", "2"},
        {"policy.min.exposure.a", "1.1"},  {"policy.coverage", "a,,b"},
        {"policy.diversity.feature", ""},  {"policy.diversity", "2"},
        {"policy.epsilon.min", "0"},       {"policy.reward.min", "1"},
        {"policy.covariance", "sideways"}, {"policy.draws", "2.5"},
    };
    static struct kept k;
    static struct aft_policy_settings s;
    struct aft_error e;
    bool known = false;
    aft_policy_settings_default(&s);
    aft_policy_settings_default(&k.s);
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        assert_int_equal(aft_policy_set(&s, set[i][0], set[i][1], &known, &e), AFT_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(aft_policy_set(&s, wrong[i][0], wrong[i][1], &known, &e), AFT_E_CONFIG);
    aft_policy_settings_each(&s, keep, &k);
    assert_int_equal(s.exposures_n, 2);
    assert_true(s.exposures[1].value == 0.3 && strcmp(s.coverage[1], "dark  blue") == 0);
    assert_true(memcmp(&s, &k.s, sizeof s) == 0);
    assert_int_equal(aft_policy_set(&s, "policy.slots.web", "", &known, &e), AFT_OK);
    assert_true(s.slots_n == 1 && strcmp(s.slots[0].name, "app") == 0);
    assert_int_equal(aft_policy_set(&s, "policy.slot", "2", &known, &e), AFT_OK);
    assert_false(known);
}

/* ---- with one slot, the formulas */
static const double scores[6] = {0.2, 0.9, 0.85, 0.1, 0.9, 0.4},
                    widths[6] = {0.1, 0.05, 0.3, 0.9, 0.05, 0};

static void
one_slot(const struct policy_spec *s, double *p)
{
    struct aft_model *m = policy_model(s);
    struct aft_scratch *scratch = aft_scratch_new();
    static struct policy_request q;
    struct aft_decision d;
    struct aft_error e;
    uint32_t index[POLICY_ARMS];
    policy_request_init(&q, 6, 1);
    q.r.context.n = 0;
    policy_key(&q, 7);
    for (uint32_t a = 0; a < 6; a++)
        policy_score(&q, a, scores[a], widths[a]);
    if (aft_decide(m, scratch, &q.r, &d, &e) != AFT_OK)
        fail_msg("%s: %s", s->name, e.message);
    assert_int_equal(policy_logged(&d, 6, p, index), 6);
    aft_scratch_free(scratch);
    aft_model_free(m);
}

static void
same(const struct policy_spec *s, double epsilon, const double *want)
{
    double p[POLICY_ARMS];
    one_slot(s, p);
    for (uint32_t i = 0; i < 6; i++)
        if (fabs(p[i] - ((1 - epsilon) * want[i] + epsilon / 6)) > 1e-6)
            fail_msg("%s: %.9f for candidate %u, should be %.9f", s->name, p[i], i,
                     (1 - epsilon) * want[i] + epsilon / 6);
}

/* The flow has never seen the arm's identity nor its topic: each has the prior's variance. */
static double
unknown(double width)
{
    return sqrt(width * width + 2);
}

static void
best_of(const double *v, double *want)
{
    aft_epsilon_greedy(v, 6, 0, want);
}

static void
test_squarecb_and_regcb_are_their_formulas(void **state)
{
    (void)state;
    double want[6], low[6], high[6], v[6], gamma = 10 * sqrt(100.0);
    aft_squarecb(scores, 6, gamma, want);
    same(&(struct policy_spec){"squarecb", {"policy.explore", "squarecb"}, false, 100}, 0.05, want);
    for (uint32_t i = 0; i < 6; i++)
        v[i] = 1 / (1 + exp(-scores[i]));
    aft_squarecb(v, 6, gamma, want);
    same(&(struct policy_spec){"squarecb flow", {"policy.explore", "squarecb"}, true, 100}, 0.05,
         want);
    for (uint32_t i = 0; i < 6; i++) {
        double half = sqrt(0.1 * log(6 * 100.0)) * widths[i];
        low[i] = fmax(0, scores[i] - half);
        high[i] = fmin(1, scores[i] + half);
    }
    aft_regcb_elim(low, high, 6, want);
    same(
        &(struct policy_spec){
            "regcb-elim", {"policy.explore", "regcb-elim", "policy.c0", "0.1"}, false, 100},
        0.05, want);
    aft_squarecb_elim(scores, low, high, 6, gamma, want);
    same(
        &(struct policy_spec){
            "squarecb-elim", {"policy.explore", "squarecb-elim", "policy.c0", "0.1"}, false, 100},
        0.05, want);
    best_of(high, want);
    same(
        &(struct policy_spec){
            "regcb-opt", {"policy.explore", "regcb-opt", "policy.c0", "0.1"}, false, 100},
        0.05, want);
    for (uint32_t i = 0; i < 6; i++) {
        double half = sqrt(2 * 0.1 * log(6 * 100.0)) * unknown(widths[i]);
        low[i] = 1 / (1 + exp(half - scores[i]));
        high[i] = 1 / (1 + exp(-half - scores[i]));
    }
    aft_regcb_elim(low, high, 6, want);
    same(
        &(struct policy_spec){
            "regcb-elim flow", {"policy.explore", "regcb-elim", "policy.c0", "0.1"}, true, 100},
        0.05, want);
}

static void
test_the_others_are_their_formulas(void **state)
{
    (void)state;
    double want[6], v[6], flat[6] = {0};
    best_of(scores, want);
    same(spec("first, grown"), 0.05, want);
    same(spec("epsilon"), 0.05, want);
    same(spec("epsilon, decaying"), 0.05 / 10, want); /* (1 + 99)^-1/2 */
    for (uint32_t i = 0; i < 6; i++)
        flat[i] = 1. / 6;
    same(spec("first, young"), 0, flat);
    aft_softmax(scores, 6, 10, want);
    same(spec("softmax"), 0.05, want);
    for (uint32_t i = 0; i < 6; i++)
        v[i] = scores[i] + 0.5 * sqrt(2 * log(1001)) * widths[i];
    best_of(v, want);
    same(&(struct policy_spec){"ucb", {"policy.explore", "ucb"}, false, 1000}, 0.05, want);
    for (uint32_t i = 0; i < 6; i++)
        v[i] = scores[i] + 0.5 * unknown(widths[i]);
    best_of(v, want);
    same(&(struct policy_spec){"linucb", {"policy.explore", "linucb"}, true, 0}, 0.05, want);
    best_of(scores, want); /* z is nothing here: all members agree */
    same(spec("bagging"), 0.05, want);
    same(spec("cover"), 0.2 * sqrt(6.0 / 400), want);
}

/* Five members see z each in its own way; bagging's pmf is the share of their votes. */
static void
test_bagging_counts_votes(void **state)
{
    (void)state;
    struct aft_model *m = policy_model(spec("bagging"));
    struct aft_scratch *s = aft_scratch_new();
    static struct policy_request q;
    struct aft_random r;
    struct aft_decision d;
    struct aft_error e;
    aft_random_init(&r, kit_seed(22), 0);
    policy_request_init(&q, 6, 1);
    for (long round = 0; round < kit_rounds(200); round++) {
        uint32_t votes[POLICY_MEMBERS], index[POLICY_ARMS];
        double want[6], p[POLICY_ARMS];
        for (uint32_t a = 0; a < 6; a++)
            for (uint32_t i = 2; i < POLICY_NUMBERS; i++)
                q.own[a][i].number = aft_random_normal(&r);
        for (uint32_t j = 0; j < POLICY_MEMBERS; j++) {
            double best = -(double)INFINITY;
            for (uint32_t a = 0; a < 6; a++) {
                double sum = 0;
                for (uint32_t i = 2; i < POLICY_NUMBERS; i++)
                    sum += policy_weight(j, i) * q.own[a][i].number;
                votes[j] = sum > best ? a : votes[j];
                best = sum > best ? sum : best;
            }
        }
        policy_key(&q, (uint64_t)round);
        q.r.revision = round % 2 ? (uint64_t)round : 0; /* resolved once, or read */
        assert_int_equal(aft_decide(m, s, &q.r, &d, &e), AFT_OK);
        policy_logged(&d, 6, p, index);
        aft_bag(votes, POLICY_MEMBERS, 6, want);
        for (uint32_t a = 0; a < 6; a++)
            assert_true(fabs(p[a] - (0.95 * want[a] + 0.05 / 6)) < 1e-6);
    }
    aft_scratch_free(s);
    aft_model_free(m);
}

/* ---- inside the draw */
static void
decided(const struct aft_model *m, struct policy_request *q, struct aft_decision *d, double *w)
{
    struct aft_scratch *s = aft_scratch_new();
    struct aft_error e;
    uint32_t index[POLICY_ARMS];
    assert_int_equal(aft_decide(m, s, &q->r, d, &e), AFT_OK);
    policy_logged(d, q->r.candidates_n, w, index);
    d->log_weights = NULL;
    aft_scratch_free(s);
}

static void
test_repetition_and_slots(void **state)
{
    (void)state;
    struct aft_model *tired = policy_model(spec("repetition")),
                     *slots = policy_model(spec("slots"));
    static struct policy_request q;
    struct aft_decision d;
    double fresh[POLICY_ARMS], w[POLICY_ARMS], other[POLICY_ARMS];
    policy_request_init(&q, 6, 3);
    policy_key(&q, 1);
    decided(tired, &q, &d, fresh);
    q.own[2][POLICY_NUMBERS + 1].number = 2;
    decided(tired, &q, &d, w);
    double part = (w[2] - 0.05 / 6) / (w[1] - 0.05 / 6);
    assert_true(fabs(fresh[2] - 1. / 6) < 1e-12 && fabs(part - exp(-1.4)) < 1e-6);
    q.own[2][POLICY_NUMBERS + 1].number = 0;
    q.r.recent = q.recent;
    q.recent[2] = 2;
    decided(tired, &q, &d, other);
    assert_true(memcmp(w, other, 6 * sizeof *w) == 0);
    decided(slots, &q, &d, w);
    assert_true(d.n == 2 && d.design.k == 2);
    q.device.text = AFT_LITERAL("kiosk");
    decided(slots, &q, &d, w);
    assert_true(d.n == 3 && d.design.k == 3);
    aft_model_free(tired);
    aft_model_free(slots);
}

/* Diversity 0 and a floor of a millionth: the topics of a slate differ while there are others. Coverage 0: the declared come first. */
static void
test_topics(void **state)
{
    (void)state;
    struct aft_model *whole = policy_model(spec("diversity, whole")),
                     *cover = policy_model(spec("coverage"));
    struct aft_scratch *s = aft_scratch_new();
    static struct policy_request q;
    struct aft_decision d;
    struct aft_error e;
    long seen[2] = {0};
    policy_request_init(&q, 12, 3);
    for (uint32_t a = 0; a < 12; a++)
        policy_score(&q, a, a % 4 == 1 ? 1 : 0, 0); /* the best are all of one topic */
    for (int i = 0; i < 400; i++) {
        policy_key(&q, (uint64_t)i);
        assert_int_equal(aft_decide(whole, s, &q.r, &d, &e), AFT_OK);
        uint32_t t[3];
        for (int l = 0; l < 3; l++)
            t[l] = d.slots[l].candidate % 4;
        seen[0] += t[0] == t[1] || t[0] == t[2] || t[1] == t[2];
        assert_int_equal(aft_decide(cover, s, &q.r, &d, &e), AFT_OK);
        uint32_t covered = 0; /* red is 0, blue 2 */
        for (int l = 0; l < 2; l++)
            covered |= 1u << d.slots[l].candidate % 4;
        seen[1] += covered != 5;
    }
    assert_true(seen[0] == 0);
    assert_true(seen[1] < 60); /* but for epsilon = 0.05 in each of two slots */
    aft_scratch_free(s);
    aft_model_free(whole);
    aft_model_free(cover);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_input_gives_a_pmf),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_bits_are_the_same_everywhere),
        cmocka_unit_test(test_settings_are_read_back),
        cmocka_unit_test(test_squarecb_and_regcb_are_their_formulas),
        cmocka_unit_test(test_the_others_are_their_formulas),
        cmocka_unit_test(test_bagging_counts_votes),
        cmocka_unit_test(test_repetition_and_slots),
        cmocka_unit_test(test_topics),
    };
    if (getenv("AFT_LONG") || (argc > 1 && strcmp(argv[1], "--long") == 0))
        rounds_wanted = 1000000;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
