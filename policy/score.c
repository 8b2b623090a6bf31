/* score.c - what a model thinks of the eligible candidates of one request -> log-weights. One thread a scratch.
 *
 *   softmax         score / temperature
 *   epsilon-greedy, LinUCB, Thompson: a pmf, as its logarithm (a weight of zero as -80: the floor is all that is left of it).
 *     Over K slots the greedy mass is spread over the best K by rank, 1 : 1/5 : 1/25 ..., normalised (over one slot: all of it
 *     on the
 *     best), so that the lower slots too prefer the next best. Thompson spreads every draw's mass that way and tallies.
 * All are then floored and drawn by the same code (decide.c), so conditional, prefix and marginal probabilities are exact for
 * all.
 * Thompson's draws are joint over the candidates: mean + L g, L L' = alpha^2 Gram, g from a table of 4096 normal quantiles
 * indexed by
 * Philox words keyed by (decision key, draw). Above GRAM_MAX candidates each is drawn by itself (no n^2).
 */
#include <math.h>
#include <stdlib.h>

#include "policy/inner.h"

enum { GRAM_MAX = 128 };
static const double rank_ratio = 0.2, log_zero = -80;

/* What is wanted besides the mean. */
struct want {
    bool variance, gram;
};

/* Rounding may leave a variance of nothing below zero. */
static double
deviation(double variance)
{
    return variance > 0 ? sqrt(variance) : 0;
}

static void *
grown(void *p, size_t *cap, size_t want, size_t size)
{
    if (want <= *cap)
        return p;
    *cap = want > 2 * *cap ? want : 2 * *cap;
    p = realloc(p, *cap * size);
    AFT_ASSERT(p);
    return p;
}

static void
keep_place(struct aft_scratch *s, uint32_t at, double value)
{
    s->places = grown(s->places, &s->places_cap, s->places_n + 1, sizeof *s->places);
    s->places[s->places_n++] = (struct afti_place){at, value};
}

/* Row a of the Gram matrix: against every b <= a, from a's dense vector. */
static void
gram_row(struct aft_scratch *s, uint32_t a, const double *dense)
{
    for (uint32_t b = 0; b <= a; b++) {
        double sum = 0;
        for (uint32_t i = s->start[b]; i < s->start[b + 1]; i++)
            sum += s->places[i].value * dense[s->places[i].at];
        s->gram[a * GRAM_MAX + b] = sum;
    }
}

static double
dot_sparse(const struct aft_sparse *x, const double *y, uint32_t d)
{
    double sum = 0;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->column[i] < d)
            sum += x->value[i] * y[x->column[i]];
    return sum;
}

/* ---- one block for all arms: x = shared + own, so x'Cx = s'Cs + 2 s'Co + o'Co, and s'C is made once */
static enum aft_err
linear_shared(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
              uint32_t n, struct want want, struct aft_error *e)
{
    static const struct aft_linear_block nothing = {0};
    const struct aft_linear *l = &m->weights.linear;
    const struct aft_linear_block *b = l->blocks_n ? &l->blocks[0] : &nothing;
    double base = aft_linear_score(b, &s->shared), common = s->shared.unknown / l->lambda;
    if (want.variance) {
        aft_linear_apply(b, &s->shared, s->shared_apply);
        common += dot_sparse(&s->shared, s->shared_apply, b->d);
    }
    for (uint32_t a = 0; a < n; a++) {
        const struct aft_candidate *c = &r->candidates[s->index[a]];
        AFT_TRY(aft_encode_arm(&m->plan, c->arm_id, c->features, &s->arm, e));
        uint32_t t = aft_terms_own(&m->plan, &s->context, &s->arm, 0, true, true, s->terms);
        s->own.n = 0;
        s->own.unknown = 0;
        aft_linear_resolve(l, s->terms, t, &s->own);
        s->mean[a] = base + aft_linear_score(b, &s->own);
        if (!want.variance)
            continue;
        double cross = dot_sparse(&s->own, s->shared_apply, b->d);
        aft_linear_apply(b, &s->own, s->own_apply);
        s->variance[a] = common + 2 * cross + dot_sparse(&s->own, s->own_apply, b->d) +
                         s->own.unknown / l->lambda;
        s->value[a] = cross;
        s->start[a] = (uint32_t)s->places_n;
        for (uint32_t i = 0; want.gram && i < s->own.n; i++)
            if (s->own.column[i] < b->d)
                keep_place(s, s->own.column[i], s->own.value[i]);
        s->start[a + 1] = (uint32_t)s->places_n;
        if (!want.gram)
            continue;
        gram_row(s, a, s->own_apply);
        for (uint32_t o = 0; o < a; o++)
            s->gram[a * GRAM_MAX + o] += common + cross + s->value[o];
        s->gram[a * GRAM_MAX + a] = s->variance[a];
    }
    return AFT_OK;
}

/* ---- a block an arm; an arm that nobody has learned has the prior */
static double
own_variance(const struct aft_linear *l, const struct aft_linear_block *b, struct aft_scratch *s)
{
    double beyond = s->own.unknown;
    for (uint32_t i = 0; i < s->own.n; i++)
        if (s->own.column[i] >= b->d)
            beyond += s->own.value[i] * s->own.value[i];
    aft_linear_apply(b, &s->own, s->own_apply);
    return beyond / l->lambda + dot_sparse(&s->own, s->own_apply, b->d);
}

static enum aft_err
linear_per_arm(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
               uint32_t n, struct want want, struct aft_error *e)
{
    static const struct aft_linear_block nothing = {0};
    const struct aft_linear *l = &m->weights.linear;
    for (uint32_t a = 0; a < n; a++) {
        const struct aft_candidate *c = &r->candidates[s->index[a]];
        AFT_TRY(aft_encode_arm(&m->plan, c->arm_id, c->features, &s->arm, e));
        uint32_t t = aft_terms_own(&m->plan, &s->context, &s->arm, 0, false, true, s->terms);
        uint32_t k = aft_dict_find(&l->arms, s->arm.v[0].hash);
        const struct aft_linear_block *b = k == AFT_NOWHERE ? &nothing : &l->blocks[k];
        memcpy(s->own.column, s->shared.column, s->shared.n * sizeof *s->own.column);
        memcpy(s->own.value, s->shared.value, s->shared.n * sizeof *s->own.value);
        s->own.n = s->shared.n;
        s->own.unknown = s->shared.unknown;
        aft_linear_resolve(l, s->terms, t, &s->own);
        s->mean[a] = aft_linear_score(b, &s->own);
        if (want.variance)
            s->variance[a] = own_variance(l, b, s);
    }
    return AFT_OK;
}

static enum aft_err
linear_moments(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
               uint32_t n, struct want want, struct aft_error *e)
{
    uint32_t t = aft_terms_shared(&m->plan, &s->context, 0, s->terms);
    s->shared.n = 0;
    s->shared.unknown = 0;
    aft_linear_resolve(&m->weights.linear, s->terms, t, &s->shared);
    return m->plan.settings.scope == AFT_SCOPE_PER_ARM ? linear_per_arm(m, s, r, n, want, e)
                                                       : linear_shared(m, s, r, n, want, e);
}

/* ---- bilinear: every row is folded with the context at most once a decision */
static double
bilinear_context(const struct aft_model *m, struct aft_scratch *s)
{
    const struct aft_bilinear *b = &m->weights.bilinear;
    uint32_t t = aft_terms_shared(&m->plan, &s->context, 0, s->terms);
    double unknown = 0;
    size_t cap = s->x_cap;
    s->x = grown(s->x, &cap, b->stride, sizeof *s->x);
    s->x2 = grown(s->x2, &s->x_cap, b->stride, sizeof *s->x2);
    for (uint32_t i = 0; i < b->stride; i++)
        s->x[i] = s->x2[i] = 0;
    for (uint32_t i = 0; i < t; i++) {
        uint32_t c = aft_dict_find(&b->columns, s->terms[i].hash);
        if (c == AFT_NOWHERE)
            unknown += s->terms[i].value * s->terms[i].value;
        else
            s->x[c] += (float)s->terms[i].value;
    }
    for (uint32_t i = 0; i < b->stride; i++)
        s->x2[i] = s->x[i] * s->x[i];
    return unknown;
}

static struct afti_fold *
fold(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t row, double unknown,
     bool variance)
{
    struct afti_fold *f = &s->folds[row];
    if (f->stamp == s->stamp)
        return f;
    size_t at = (size_t)row * b->stride;
    f->stamp = s->stamp;
    f->dense = 0;
    f->mean = (double)aft_bilinear_dot(b->w + at, s->x, b->stride);
    f->variance = variance ? unknown + (double)aft_bilinear_dot(b->v + at, s->x2, b->stride) : 0;
    return f;
}

static void
bilinear_gram(struct aft_scratch *s, uint32_t n)
{
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++) {
            struct afti_fold *f = &s->folds[s->places[i].at];
            f->dense += s->places[i].value * f->variance;
        }
        for (uint32_t b = 0; b <= a; b++) {
            double sum = 0;
            for (uint32_t i = s->start[b]; i < s->start[b + 1]; i++)
                sum += s->places[i].value * s->folds[s->places[i].at].dense;
            s->gram[a * GRAM_MAX + b] = sum;
        }
        s->gram[a * GRAM_MAX + a] = s->variance[a];
        for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++)
            s->folds[s->places[i].at].dense = 0;
    }
}

static void
bilinear_begin(const struct aft_bilinear *b, struct aft_scratch *s)
{
    size_t before = s->folds_cap;
    s->folds = grown(s->folds, &s->folds_cap, b->rows.n, sizeof *s->folds);
    memset(s->folds + before, 0, (s->folds_cap - before) * sizeof *s->folds);
    if (++s->stamp == 0) {
        memset(s->folds, 0, s->folds_cap * sizeof *s->folds);
        s->stamp = 1;
    }
}

static enum aft_err
bilinear_moments(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t n, struct want want, struct aft_error *e)
{
    const struct aft_bilinear *b = &m->weights.bilinear;
    double unknown = bilinear_context(m, s), prior = unknown;
    bilinear_begin(b, s);
    for (uint32_t i = 0; i < b->stride; i++)
        prior += (double)s->x2[i];
    struct afti_fold none = {0}, *constant = &none;
    if (b->rows.n)
        constant = fold(b, s, 0, unknown, want.variance);
    for (uint32_t a = 0; a < n; a++) {
        const struct aft_candidate *c = &r->candidates[s->index[a]];
        AFT_TRY(aft_encode_arm(&m->plan, c->arm_id, c->features, &s->arm, e));
        uint32_t t = aft_terms_own(&m->plan, &s->context, &s->arm, 0, true, false, s->terms);
        double mean = constant->mean, variance = 0;
        s->start[a] = (uint32_t)s->places_n;
        for (uint32_t i = 0; i < t; i++) {
            uint32_t row = aft_dict_find(&b->rows, s->terms[i].hash);
            double v = s->terms[i].value;
            if (row == AFT_NOWHERE) {
                variance += v * v * prior;
                continue;
            }
            struct afti_fold *f = fold(b, s, row, unknown, want.variance);
            mean += v * f->mean;
            variance += v * v * f->variance;
            if (want.gram)
                keep_place(s, row, v);
        }
        s->start[a + 1] = (uint32_t)s->places_n;
        s->mean[a] = mean;
        s->variance[a] = variance;
    }
    if (want.gram)
        bilinear_gram(s, n);
    return AFT_OK;
}

/* ---- values -> tally: the greedy mass over the best k by rank, split evenly over ties */
static void
spread(struct aft_scratch *s, uint32_t n, uint32_t k, double mass)
{
    double share[AFT_SLATE_MAX], total = 0, at = 1;
    bool taken[AFT_CANDIDATES_MAX] = {false};
    for (uint32_t l = 0; l < k; l++, at *= rank_ratio)
        total += share[l] = at;
    for (uint32_t l = 0; l < k;) {
        double best = -(double)INFINITY, sum = 0;
        uint32_t ties = 0;
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && (s->value[i] > best || ties == 0)) {
                best = s->value[i];
                ties = 1;
            } else if (!taken[i] && s->value[i] == best) {
                ties++;
            }
        for (uint32_t j = l; j < k && j < l + ties; j++)
            sum += share[j];
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && s->value[i] == best) {
                taken[i] = true;
                s->tally[i] += mass * sum / (total * ties);
            }
        l += ties;
    }
}

/* L L' = gram in place; a pivot that is nothing (two candidates alike) gives an empty column. */
static void
factor(double *g, uint32_t n)
{
    for (uint32_t j = 0; j < n; j++) {
        double *rj = g + (size_t)j * GRAM_MAX, d = rj[j], was = rj[j];
        for (uint32_t m = 0; m < j; m++)
            d -= rj[m] * rj[m];
        double root = d > 1e-10 * was ? sqrt(d) : 0;
        rj[j] = root;
        for (uint32_t i = j + 1; i < n; i++) {
            double *ri = g + (size_t)i * GRAM_MAX, v = ri[j];
            for (uint32_t m = 0; m < j; m++)
                v -= ri[m] * rj[m];
            ri[j] = root > 0 ? v / root : 0;
        }
    }
}

static void
normals(const struct aft_model *m, uint64_t key, uint32_t draw, uint32_t n, double *out)
{
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    for (uint32_t i = 0; i < n; i += 8) {
        const uint32_t counter[4] = {i / 8, draw, 2, 0};
        uint32_t u[4];
        aft_philox(k, counter, u);
        for (uint32_t h = 0; h < 8; h++)
            out[i + h] = (double)m->quantiles[(u[h / 2] >> (16 * (h & 1))) & 4095];
    }
}

static void
thompson(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
         uint32_t k, bool joint)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    uint64_t key = aft_hash64(r->key, 0);
    if (joint)
        factor(s->gram, n);
    for (uint32_t i = 0; i < n; i++)
        s->variance[i] = deviation(s->variance[i]);
    for (uint32_t d = 0; d < set->draws; d++) {
        normals(m, key, d, n, s->normal);
        for (uint32_t i = 0; i < n; i++) {
            double z = joint ? 0 : s->variance[i] * s->normal[i];
            for (uint32_t j = 0; joint && j <= i; j++)
                z += s->gram[(size_t)i * GRAM_MAX + j] * s->normal[j];
            s->value[i] = s->mean[i] + set->alpha * z;
        }
        spread(s, n, k, 1.0 / set->draws);
    }
}

enum aft_err
afti_log_weights(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t n, uint32_t k, struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    bool ts = set->explore == AFT_EXPLORE_THOMPSON, flow = m->weights.kind == AFT_MODEL_FLOW;
    struct want want = {ts || set->explore == AFT_EXPLORE_LINUCB,
                        ts && n <= GRAM_MAX && (flow || set->scope == AFT_SCOPE_SHARED)};
    if (want.gram && !s->gram)
        s->gram = malloc(sizeof(double) * GRAM_MAX * GRAM_MAX);
    AFT_ASSERT(!want.gram || s->gram);
    s->places_n = 0;
    AFT_TRY(aft_encode_context(&m->plan, r->context, &s->context, e));
    AFT_TRY(flow ? bilinear_moments(m, s, r, n, want, e) : linear_moments(m, s, r, n, want, e));
    if (set->explore == AFT_EXPLORE_SOFTMAX) {
        for (uint32_t i = 0; i < n; i++)
            s->log_w[i] = s->mean[i] / set->temperature;
        return AFT_OK;
    }
    memset(s->tally, 0, n * sizeof *s->tally);
    if (ts) {
        thompson(m, s, r, n, k, want.gram);
    } else {
        for (uint32_t i = 0; i < n; i++)
            s->value[i] = s->mean[i] + (want.variance ? set->alpha * deviation(s->variance[i]) : 0);
        spread(s, n, k, 1);
    }
    for (uint32_t i = 0; i < n; i++)
        s->log_w[i] = s->tally[i] > 0 ? aft_log(s->tally[i]) : log_zero;
    return AFT_OK;
}
