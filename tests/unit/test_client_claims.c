/* test_client_claims.c - what the library shows against what it claims, through its public header alone, from a snapshot file: every
 * explorer, with no mask, masks before the draw, after it, and both. 4,000 decisions each; a million each with AFT_LONG.
 *
 * C1  counts: where the law does not depend on the key, an arm is shown in a slot as often as the claimed marginals add up to
 *     (chi-squared), and a pair on top as often as its prefix probability says.
 * C2  weights: an arm's inverse claimed marginals, and pairs' inverse prefix probabilities, add up to the number of decisions: what
 *     every estimate from the logs rests on. It holds for Thompson too, whose claims follow his draws.
 * C3  the test can fail: a mask that looks at the draw (asked about the shown ones alone) is seen. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tests/policy_specs.h"
#include "tests/snapshots.h"

enum { N = 6, K = 3 };
static const double SIGMAS = 5.5; /* of some 4,000 figures a run */

struct cell {
    double shown, claim, weights,
        squares; /* counts; the last claim; sums of 1 / claim, and of its square */
};
struct claims {
    struct cell slot[K][N], pair[N][N];
    double n;
};
struct masks {
    const char *name;
    bool before[N], after[N];
    bool looks; /* C3: after, but named only when it is shown */
};

/* ---- a client from a file */
static void
give(struct memory_transport *t, struct aft_buffer *framed, const struct aft_buffer *body)
{
    aft_frame_put_single(framed, AFT_RECORD_SNAPSHOT);
    aft_put_raw(framed, aft_buffer_bytes(body));
    t->snapshots[t->snapshots_n++] = framed;
}

/* The file as a client writes it that follows the topic. */
static void
write_file(const struct policy_spec *s, const char *path)
{
    struct memory_transport t = {0};
    struct aft_buffer bodies[2] = {{0}}, framed[2] = {{0}};
    struct aft_client_transport transport = memory_transport_of(&t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client *c;
    struct aft_error e;
    policy_records(s, &bodies[0], &bodies[1]);
    give(&t, &framed[0], &bodies[0]);
    give(&t, &framed[1], &bodies[1]);
    o.snapshot_file = path;
    if (aft_client_open_over(&o, &transport, &c, &e) != AFT_OK)
        fail_msg("%s: %s", s->name, e.message);
    aft_client_close(c, 0, NULL);
    for (int i = 0; i < 2; i++) {
        aft_buffer_deinit(&bodies[i]);
        aft_buffer_deinit(&framed[i]);
    }
    memory_transport_deinit(&t);
}

static struct aft_client *
open_file(const struct policy_spec *s, const uint64_t *seed)
{
    char folder[64], path[80];
    kit_file(folder, path, "claims");
    write_file(s, path);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_error why;
    struct aft_client_info info = AFT_CLIENT_INFO;
    struct aft_client *c;
    o.snapshot_file = path;
    o.seed = seed;
    o.baseline_share = 0;
    if (aft_client_open(&o, &c, &why) != AFT_CLIENT_OK)
        fail_msg("%s: %s", s->name, why.message);
    aft_client_info(c, &info);
    assert_int_equal(info.round, 1);
    kit_remove(folder);
    return c;
}

/* ---- a request: the numbers that tests/policy_kit.h gives a meaning to */
struct question {
    char ids[N][8];
    struct aft_client_feature features[N][POLICY_OWN];
    struct aft_client_candidate candidates[N];
    struct aft_client_request r;
};

static void
question_init(struct question *q)
{
    static const char *const topics[] = {"red", "green", "blue", "white"};
    *q = (struct question){.r = AFT_CLIENT_REQUEST};
    for (uint32_t a = 0; a < N; a++) {
        const double numbers[POLICY_NUMBERS] = {(double[]){0.2, 0.9, 0.85, 0.1, 0.9, 0.4}[a],
                                                (double[]){0.3, 0.1, 0.3, 0.9, 0.2, 0.5}[a],
                                                a % 2 ? 0.5 : -0.5, a % 3 ? 0.25 : -0.5, 0};
        struct aft_client_feature *f = q->features[a];
        for (uint32_t i = 0; i < POLICY_NUMBERS; i++)
            f[i] =
                (struct aft_client_feature){policy_number(i), AFT_CLIENT_NUMBER, numbers[i], NULL};
        f[POLICY_NUMBERS] = (struct aft_client_feature){"topic", AFT_CLIENT_TEXT, 0, topics[a % 4]};
        f[POLICY_NUMBERS + 1] =
            (struct aft_client_feature){"recent_exposures", AFT_CLIENT_NUMBER, a % 3, NULL};
        snprintf(q->ids[a], sizeof q->ids[a], "arm%u", a);
        q->candidates[a] = (struct aft_client_candidate){
            .arm_id = q->ids[a], .features = f, .features_n = POLICY_OWN};
    }
    q->r.user_id = "u";
    q->r.device = "web";
    q->r.time_ms = 1;
    q->r.k = K;
    q->r.candidates = q->candidates;
    q->r.candidates_n = N;
}

/* ---- shown and claimed */
static void
add(struct cell *c, double claim)
{
    c->shown++;
    c->claim = claim;
    c->weights += 1 / claim;
    c->squares += 1 / (claim * claim);
}

static void
count(struct claims *x, const struct aft_client_slate *s)
{
    assert_int_equal(s->n, K);
    x->n++;
    for (uint32_t l = 0; l < K; l++) {
        assert_true(s->slots[l].has_marginal);
        add(&x->slot[l][s->slots[l].candidate], s->slots[l].marginal);
    }
    add(&x->pair[s->slots[0].candidate][s->slots[1].candidate], s->slots[1].prefix);
}

static void
drop(struct aft_client *c, struct aft_client_decision *d, const struct masks *m)
{
    uint32_t list[N], n = 0;
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    for (uint32_t a = 0; a < N; a++) {
        bool named = m->after[a] && !m->looks;
        for (uint32_t l = 0; m->after[a] && l < s->n; l++)
            named |= s->slots[l].candidate == a;
        if (named)
            list[n++] = a;
    }
    if (n > 0)
        assert_int_equal(aft_client_decision_mask(c, d, list, n, "capped", NULL), AFT_CLIENT_OK);
}

static void
decide(struct aft_client *c, const struct masks *m, long n, struct claims *x)
{
    static struct question q;
    struct aft_client_error why;
    memset(x, 0, sizeof *x);
    question_init(&q);
    for (uint32_t a = 0; a < N; a++)
        q.candidates[a].mask = m->before[a] ? "not eligible" : NULL;
    for (long i = 0; i < n; i++) {
        struct aft_client_decision *d;
        if (aft_client_decide(c, &q.r, &d, &why) != AFT_CLIENT_OK)
            fail_msg("%s", why.message);
        drop(c, d, m);
        count(x, aft_client_decision_slate(d));
        aft_client_decision_free(c, d);
    }
}

/* C2: the worst of the cells' distances from n, in standard errors. */
static double
worst_weight(const struct cell *cells, int cells_n, double n)
{
    double worst = 0;
    for (int i = 0; i < cells_n; i++) {
        double variance = cells[i].squares - n;
        if (cells[i].shown >= 30 && variance > 1e-9)
            worst = fmax(worst, fabs(cells[i].weights - n) / sqrt(variance));
    }
    return worst;
}

/* C1: chi-squared as a normal score (Wilson and Hilferty); the claims of what was never shown are not known: their rest is a cell. */
static double
worst_count(const struct cell *cells, int cells_n, double n)
{
    double chi = 0, claimed = 0;
    int used = 0;
    for (int i = 0; i < cells_n; i++) {
        double want = cells[i].claim * n;
        claimed += cells[i].claim;
        if (want < 5)
            continue;
        chi += (cells[i].shown - want) * (cells[i].shown - want) / want;
        used++;
    }
    assert_true(used > 1 && claimed < 1 + 1e-9 && claimed > 1 - 10. * cells_n / n);
    double df = used - 1;
    return (cbrt(chi / df) - (1 - 2 / (9 * df))) / sqrt(2 / (9 * df));
}

static double
worst(const struct claims *x, bool constant)
{
    double w = worst_weight(&x->pair[0][0], N * N, x->n);
    for (int l = 0; l < K; l++)
        w = fmax(w, worst_weight(x->slot[l], N, x->n));
    if (!constant)
        return w;
    w = fmax(w, worst_count(&x->pair[0][0], N * N, x->n));
    for (int l = 0; l < K; l++)
        w = fmax(w, worst_count(x->slot[l], N, x->n));
    return w;
}

static const struct masks all_masks[] = {
    {.name = "no mask"},
    {.name = "masks before", .before = {[1] = true, [3] = true}},
    {.name = "masks after", .after = {[1] = true, [3] = true}},
    {.name = "masks before and after", .before = {[3] = true}, .after = {[1] = true}},
};

/* Decisions of each explorer and mask. */
static long
many(void)
{
#ifdef __SANITIZE_THREAD__ /* twenty times slower, and there is one thread */
    return 400;
#else
    return getenv("AFT_LONG") ? 1000000 : 4000;
#endif
}

static void
shown_is_claimed(void **state)
{
    (void)state;
    static struct claims x;
    uint64_t seed = kit_seed(31);
    long n = many();
    for (uint32_t i = 0; i < POLICY_SPECS; i++) {
        struct aft_client *c = open_file(&policy_specs[i], &seed);
        bool constant = strstr(policy_specs[i].name, "thompson") == NULL;
        for (uint32_t m = 0; m < sizeof all_masks / sizeof *all_masks; m++) {
            decide(c, &all_masks[m], n, &x);
            double w = worst(&x, constant);
            if (!(w < SIGMAS))
                fail_msg("%s, %s: %.1f standard errors between shown and claimed",
                         policy_specs[i].name, all_masks[m].name, w);
            for (int a = 0; a < N; a++)
                if (all_masks[m].before[a] || all_masks[m].after[a])
                    assert_true(x.slot[0][a].shown + x.slot[1][a].shown + x.slot[2][a].shown == 0);
        }
        aft_client_close(c, 0, NULL);
    }
}

static void
a_mask_that_looks_is_seen(void **state)
{
    (void)state;
    static struct claims x;
    uint64_t seed = kit_seed(32);
    const struct masks looks = {.after = {[1] = true}, .looks = true};
    struct aft_client *c = open_file(&policy_specs[4], &seed);
    decide(c, &looks, 20000, &x);
    assert_true(worst(&x, false) > SIGMAS);
    aft_client_close(c, 0, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown_is_claimed),
        cmocka_unit_test(a_mask_that_looks_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
