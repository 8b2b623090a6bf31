/* test_draws.c - what is drawn against what is claimed: chi-squared of each slot's items, of the second item given the first, and of
 * the marginals, for every explorer, with and without masks. 100,000 decisions in all (AFT_ROUNDS), or a million of each with AFT_LONG. The bar
 * is the 1e-7 quantile; that the test can fail is tested too. */
#include "tests/kit.h"

#include "tests/policy_specs.h"

enum { N = 6, K = 3 };

struct tables {
    double seen[K][N], want[K][N];          /* an item in a slot, given what stood above it */
    double pairs[N][N], want_pairs[N][N];   /* the second, given the first */
    double placed[K][N], want_placed[K][N]; /* an item in a slot at all */
};

/* Candidates are known by their place in the request; who is masked is never seen and never wanted. */
static void
count(struct tables *t, const struct aft_decision *d, const struct policy_topics *topics)
{
    double w[POLICY_ARMS], rest[POLICY_ARMS], p[POLICY_ARMS];
    uint32_t index[POLICY_ARMS], n = policy_logged(d, N, w, index);
    aft_pl_rests(w, n, rest);
    for (uint32_t l = 0; l < d->n; l++) {
        uint32_t at = d->slots[l].candidate;
        policy_slot(d, topics, l, w, index, n, p);
        for (uint32_t i = 0; i < n; i++) {
            t->want[l][index[i]] += p[i];
            if (l == 1)
                t->want_pairs[d->slots[0].candidate][index[i]] += p[i];
            double q = topics->any ? 0 : aft_pl_marginal(w, rest, n, i, l);
            t->want_placed[l][index[i]] += q;
            if (index[i] == at && !topics->any)
                assert_true(fabs(d->slots[l].marginal / q - 1) < 1e-12);
        }
        assert_true(d->slots[l].has_marginal);
        if (topics->any) /* one law: what is claimed when it is shown is claimed always */
            t->want_placed[l][at] = d->slots[l].marginal;
        t->seen[l][at]++;
        t->placed[l][at]++;
        if (l == 1)
            t->pairs[d->slots[0].candidate][at]++;
    }
}

static double
chi_squared(const double *seen, const double *want, uint32_t n, uint32_t *cells)
{
    double chi = 0;
    *cells = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(want[i] > 0 || seen[i] == 0);
        if (want[i] <= 0)
            continue;
        chi += (seen[i] - want[i]) * (seen[i] - want[i]) / want[i];
        ++*cells;
    }
    return chi;
}

/* Wilson and Hilferty's quantile. */
static double
bar(uint32_t degrees)
{
    double f = degrees, c = 1 - 2 / (9 * f) + 5.2 * sqrt(2 / (9 * f));
    return f * c * c * c;
}

static void
compare(const char *name, const char *what, const double *seen, const double *want, uint32_t n,
        uint32_t groups)
{
    uint32_t cells;
    double chi = chi_squared(seen, want, n, &cells);
    if (cells > groups && chi > bar(cells - groups))
        fail_msg("%s: %s: chi-squared %.1f for %u degrees of freedom", name, what, chi,
                 cells - groups);
}

static void
drawn(const struct policy_spec *s, bool masked, long n, struct tables *t)
{
    struct aft_model *m = policy_model(s);
    struct aft_scratch *scratch = aft_scratch_new();
    struct policy_topics topics = policy_topics_of(s);
    static struct policy_request q;
    struct aft_decision d;
    struct aft_error e;
    memset(t, 0, sizeof *t);
    policy_request_init(&q, N, K);
    for (uint32_t a = 0; a < N; a++) {
        policy_score(&q, a, (double[]){0.2, 0.9, 0.85, 0.1, 0.9, 0.4}[a],
                     (double[]){0.3, 0.1, 0.3, 0.9, 0.2, 0.5}[a]);
        q.own[a][2].number = a % 2 ? 0.5 : -0.5;
        q.own[a][3].number = a % 3 ? 0.25 : -0.5;
        q.own[a][POLICY_NUMBERS + 1].number = a % 3;
    }
    if (masked)
        q.arms[1].mask = q.arms[3].mask = AFT_LITERAL("capped");
    for (long i = 0; i < n; i++) {
        policy_key(&q, (uint64_t)i * 1000003 + 17);
        if (aft_decide(m, scratch, &q.r, &d, &e) != AFT_OK)
            fail_msg("%s: %s", s->name, e.message);
        count(t, &d, &topics);
    }
    for (uint32_t l = 0; l < K && topics.any; l++)
        for (uint32_t i = 0; i < N; i++)
            t->want_placed[l][i] *= (double)n;
    aft_scratch_free(scratch);
    aft_model_free(m);
}

/* Decisions of each explorer, with a mask or without. */
static long
many(void)
{
#ifdef __SANITIZE_THREAD__ /* twenty times slower, and there is one thread */
    return 100000 / (2 * POLICY_SPECS) + 1;
#else
    return getenv("AFT_LONG") ? 1000000 : kit_rounds(100000) / (2 * POLICY_SPECS) + 1;
#endif
}

static void
test_draws_are_what_is_claimed(void **state)
{
    (void)state;
    static struct tables t;
    long n = many();
    for (uint32_t i = 0; i < POLICY_SPECS; i++)
        for (int masked = 0; masked < 2; masked++) {
            drawn(&policy_specs[i], masked, n, &t);
            for (uint32_t l = 0; l < K; l++) {
                compare(policy_specs[i].name, "a slot's items", t.seen[l], t.want[l], N, 1);
                compare(policy_specs[i].name, "marginals", t.placed[l], t.want_placed[l], N, 1);
            }
            uint32_t firsts = 0;
            for (uint32_t a = 0; a < N; a++)
                firsts += t.seen[0][a] > 0;
            compare(policy_specs[i].name, "pairs", t.pairs[0], t.want_pairs[0], N * N, firsts);
        }
}

/* The same bars, with claims that are wrong by a sixth for one item. */
static void
test_wrong_claims_are_seen(void **state)
{
    (void)state;
    static struct tables t;
    uint32_t cells;
    drawn(&policy_specs[4], false, 20000, &t);
    for (uint32_t l = 0; l < K; l++) {
        assert_true(chi_squared(t.seen[l], t.want[l], N, &cells) < bar(N - 1));
        double more = t.want[l][1] / 6;
        t.want[l][1] += more;
        t.want[l][0] -= more < t.want[l][0] / 2 ? more : t.want[l][0] / 2;
        assert_true(chi_squared(t.seen[l], t.want[l], N, &cells) > bar(N - 1));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_are_what_is_claimed),
        cmocka_unit_test(test_wrong_claims_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
