/* score.c - what a model thinks of the eligible candidates of one request: a mean for each, and what the law asks for besides:
 * a variance, and how the candidates vary together. One thread a scratch.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/inner.h"

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

void
afti_keep_places(struct aft_scratch *s, const struct afti_place *v, uint32_t n)
{
    s->places = grown(s->places, &s->places_cap, s->places_n + n + 1, sizeof *s->places);
    memcpy(s->places + s->places_n, v, n * sizeof *v);
    s->places_n += n;
}

/* Row a of the Gram matrix: against every b <= a, from a's dense vector. */
static void
gram_row(struct aft_scratch *s, uint32_t a, const double *dense)
{
    for (uint32_t b = 0; b <= a; b++) {
        double sum = 0;
        for (uint32_t i = s->start[b]; i < s->start[b + 1]; i++)
            sum += s->places[i].value * dense[s->places[i].at];
        s->gram[a * AFTI_GRAM_MAX + b] = sum;
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

/* y = C x, or with what is on C's diagonal alone. */
static void
apply(const struct aft_model *m, const struct aft_linear_block *b, const struct aft_sparse *x,
      double *y)
{
    if (m->plan.settings.covariance == AFT_COVARIANCE_FULL) {
        aft_linear_apply(b, x, y);
        return;
    }
    memset(y, 0, b->stride * sizeof *y);
    for (uint32_t i = 0; i < x->n; i++)
        if (x->column[i] < b->d)
            y[x->column[i]] = b->cov[(size_t)x->column[i] * b->stride + x->column[i]] * x->value[i];
}

/* ---- one block for all arms: x = shared + own, so x'Cx = s'Cs + 2 s'Co + o'Co, and s'C is made once */
static enum aft_err
linear_shared(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
              uint32_t n, struct afti_want want, struct aft_error *e)
{
    static const struct aft_linear_block nothing = {0};
    const struct aft_linear *l = &m->weights.linear;
    const struct aft_linear_block *b = l->blocks_n ? aft_linear_block(l, 0, s->member) : &nothing;
    double base = aft_linear_score(b, &s->shared), common = s->shared.unknown / l->lambda;
    if (want.variance) {
        apply(m, b, &s->shared, s->shared_apply);
        common += dot_sparse(&s->shared, s->shared_apply, b->d);
    }
    if (!want.variance && afti_plain_means(m, s, r, n, 0)) {
        afti_span_add(s->mean, n, base);
        return AFT_OK;
    }
    for (uint32_t a = 0; a < n; a++) {
        const struct aft_candidate *c = &r->candidates[s->index[a]];
        AFT_TRY(aft_encode_arm_known(&m->plan, s->arm_names, c->arm_id, c->features, &s->arm, e));
        uint32_t t = aft_terms_own(&m->plan, &s->context, &s->arm, 0, true, true, s->terms);
        s->own.n = 0;
        s->own.unknown = 0;
        aft_linear_resolve(l, s->terms, t, &s->own);
        s->mean[a] = base + aft_linear_score(b, &s->own);
        if (!want.variance)
            continue;
        double cross = dot_sparse(&s->own, s->shared_apply, b->d);
        apply(m, b, &s->own, s->own_apply);
        s->variance[a] = common + 2 * cross + dot_sparse(&s->own, s->own_apply, b->d) +
                         s->own.unknown / l->lambda;
        s->value[a] = cross;
        s->start[a] = (uint32_t)s->places_n;
        for (uint32_t i = 0; want.gram && i < s->own.n; i++)
            if (s->own.column[i] < b->d)
                afti_keep_places(s, &(struct afti_place){s->own.column[i], s->own.value[i]}, 1);
        s->start[a + 1] = (uint32_t)s->places_n;
        if (!want.gram)
            continue;
        gram_row(s, a, s->own_apply);
        for (uint32_t o = 0; o < a; o++)
            s->gram[a * AFTI_GRAM_MAX + o] += common + cross + s->value[o];
        s->gram[a * AFTI_GRAM_MAX + a] = s->variance[a];
    }
    return AFT_OK;
}

/* ---- a block an arm; an arm that nobody has learned has the prior */
static double
own_variance(const struct aft_model *m, const struct aft_linear_block *b, struct aft_scratch *s)
{
    const struct aft_linear *l = &m->weights.linear;
    double beyond = s->own.unknown;
    for (uint32_t i = 0; i < s->own.n; i++)
        if (s->own.column[i] >= b->d)
            beyond += s->own.value[i] * s->own.value[i];
    apply(m, b, &s->own, s->own_apply);
    return beyond / l->lambda + dot_sparse(&s->own, s->own_apply, b->d);
}

/* The arms' blocks, by candidate; found once a revision. */
static const uint32_t *
blocks_of(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    struct afti_catalogue *c = &s->catalogue;
    if (r->revision && c->revision == r->revision && c->n == r->candidates_n)
        return c->identity;
    c->revision = r->revision;
    c->n = r->candidates_n;
    c->usable = false;
    for (uint32_t i = 0; i < c->n; i++) {
        struct aft_known *id = aft_arm_known(s->ids, r->candidates[i].arm_id);
        c->identity[i] = id ? aft_known_place(id, &m->weights.linear.arms) : AFT_NOWHERE;
    }
    return c->identity;
}

/* The context as a vector into s->form_x, and scaled into s->form_x32. */
static void
form_context(struct aft_scratch *s, uint32_t columns, double *scale, double *square)
{
    memset(s->form_x, 0, sizeof s->form_x);
    for (uint32_t i = 0; i < s->shared.n; i++)
        s->form_x[s->shared.column[i]] = s->shared.value[i];
    *square = 0;
    for (uint32_t i = 0; i < columns; i++)
        *square += s->form_x[i] * s->form_x[i];
    *scale = afti_form_scaled(s->form_x, columns, s->form_x32);
}

/* Forms whose squares are still to be added to a candidate's variance: two at once where they are equally large. */
struct forms {
    const float *form[2];
    uint32_t candidate[2], d, n;
    double scale;
};

static void
add_squares(struct aft_scratch *s, struct forms *f)
{
    double square[2] = {0};
    if (f->n == 2)
        afti_form_squares(f->form, s->form_x32, f->d, square);
    else if (f->n == 1)
        square[0] = afti_form_square(f->form[0], s->form_x32, f->d);
    for (uint32_t i = 0; i < f->n; i++)
        s->variance[f->candidate[i]] += f->scale * f->scale * square[i];
    f->n = 0;
}

/* Every arm sees the context alone (quadratic.c), and theta is as long as x. */
static void
per_arm_forms(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
              uint32_t n)
{
    const struct aft_linear *l = &m->weights.linear;
    const uint32_t *block = blocks_of(m, s, r);
    uint32_t columns = aft_linear_columns(l);
    size_t size = afti_form_size(columns);
    struct forms f = {.n = 0};
    double square;
    form_context(s, columns, &f.scale, &square);
    for (uint32_t a = 0; a < n; a++) {
        uint32_t k = block[s->index[a]];
        s->mean[a] = 0;
        s->variance[a] = (square + s->shared.unknown) / l->lambda;
        if (k == AFT_NOWHERE)
            continue;
        const struct aft_linear_block *b = aft_linear_block(l, k, s->member);
        double beyond = s->shared.unknown;
        for (uint32_t i = b->d; i < columns; i++)
            beyond += s->form_x[i] * s->form_x[i];
        s->mean[a] = afti_form_dot(b->theta, s->form_x, b->d + (8 - b->d % 8) % 8);
        s->variance[a] = beyond / l->lambda;
        if (f.n == 2 || f.d != b->d)
            add_squares(s, &f);
        f.d = b->d;
        f.candidate[f.n] = a;
        f.form[f.n++] = m->forms + k * size;
    }
    add_squares(s, &f);
}

/* Whether no candidate has anything of its own that the model sees. */
static bool
context_alone(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
              uint32_t n)
{
    if (!m->forms || !aft_features_plain(&m->plan, true))
        return false;
    for (uint32_t a = 0; a < n; a++)
        if (r->candidates[s->index[a]].features.n ||
            r->candidates[s->index[a]].arm_id.n - 1 >= AFT_NAME_BYTES)
            return false;
    return true;
}

static enum aft_err
linear_per_arm(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
               uint32_t n, struct afti_want want, struct aft_error *e)
{
    static const struct aft_linear_block nothing = {0};
    const struct aft_linear *l = &m->weights.linear;
    if (want.variance && context_alone(m, s, r, n)) {
        per_arm_forms(m, s, r, n);
        return AFT_OK;
    }
    for (uint32_t a = 0; a < n; a++) {
        const struct aft_candidate *c = &r->candidates[s->index[a]];
        AFT_TRY(aft_encode_arm_known(&m->plan, s->arm_names, c->arm_id, c->features, &s->arm, e));
        uint32_t t = aft_terms_own(&m->plan, &s->context, &s->arm, 0, false, true, s->terms);
        uint32_t k = aft_dict_find(&l->arms, s->arm.v[0].hash);
        const struct aft_linear_block *b =
            k == AFT_NOWHERE ? &nothing : aft_linear_block(l, k, s->member);
        memcpy(s->own.column, s->shared.column, s->shared.n * sizeof *s->own.column);
        memcpy(s->own.value, s->shared.value, s->shared.n * sizeof *s->own.value);
        s->own.n = s->shared.n;
        s->own.unknown = s->shared.unknown;
        aft_linear_resolve(l, s->terms, t, &s->own);
        s->mean[a] = aft_linear_score(b, &s->own);
        if (want.variance)
            s->variance[a] = own_variance(m, b, s);
    }
    return AFT_OK;
}

static void
linear_context(const struct aft_model *m, struct aft_scratch *s)
{
    uint32_t t = aft_terms_shared(&m->plan, &s->context, 0, s->terms);
    s->shared.n = 0;
    s->shared.unknown = 0;
    aft_linear_resolve_known(&m->weights.linear, s->terms, t, s->context_names, &s->shared);
}

static enum aft_err
linear_moments(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
               uint32_t n, struct afti_want want, struct aft_error *e)
{
    return m->plan.settings.scope == AFT_SCOPE_PER_ARM ? linear_per_arm(m, s, r, n, want, e)
                                                       : linear_shared(m, s, r, n, want, e);
}

/* ---- bilinear: every row is folded with the context at most once a decision */
static void
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
        uint32_t c = aft_term_place(&s->terms[i], s->context_names, &b->columns);
        if (c == AFT_NOWHERE)
            unknown += s->terms[i].value * s->terms[i].value;
        else
            s->x[c] += (float)s->terms[i].value;
    }
    for (uint32_t i = 0; i < b->stride; i++)
        s->x2[i] = s->x[i] * s->x[i];
    s->unknown = unknown;
}

struct afti_fold *
afti_fold(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t row, double unknown,
          bool variance)
{
    struct afti_fold *f = &s->folds[row];
    if (f->stamp == s->stamp)
        return f;
    size_t at = aft_bilinear_at(b, row, s->member);
    float dots[2];
    f->stamp = s->stamp;
    f->dense = 0;
    if (variance)
        aft_bilinear_dots((const float *const[]){b->w + at, b->v + at},
                          (const float *const[]){s->x, s->x2}, b->stride, dots);
    else
        dots[0] = aft_dot8(b->w + at, s->x, b->stride);
    f->mean = (double)dots[0];
    f->variance = variance ? unknown + (double)dots[1] : 0;
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
            s->gram[a * AFTI_GRAM_MAX + b] = sum;
        }
        s->gram[a * AFTI_GRAM_MAX + a] = s->variance[a];
        for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++)
            s->folds[s->places[i].at].dense = 0;
    }
}

void
afti_directions_room(struct aft_scratch *s, uint32_t n, uint32_t directions)
{
    size_t size = (size_t)directions * afti_whole(n);
    s->direction = grown(s->direction, &s->direction_cap, size + 1, sizeof *s->direction);
}

/* The same joint law without n^2: a normal for each row that several candidates share, and one for what is a candidate's own.
 * false: too many rows. From here s->variance[] is what is their own. */
static bool
bilinear_directions(struct aft_scratch *s, uint32_t n)
{
    uint32_t stride = afti_whole(n);
    s->directions = 0;
    for (uint32_t i = 0; i < s->places_n; i++)
        s->directions += (s->folds[s->places[i].at].dense += 1) == 2;
    bool good = s->directions <= AFTI_DIRECTIONS;
    size_t size = (size_t)s->directions * stride;
    if (good) {
        afti_directions_room(s, n, s->directions);
        memset(s->direction, 0, size * sizeof *s->direction);
    }
    s->directions = 0;
    for (uint32_t a = 0; good && a < n; a++) {
        s->variance[a] = s->value[a];
        for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++) {
            struct afti_fold *f = &s->folds[s->places[i].at];
            double v = s->places[i].value;
            if (f->dense > 1) /* from now on: minus its direction, less one */
                f->dense = -1 - (double)s->directions++;
            if (f->dense < 0)
                s->direction[(size_t)(-1 - f->dense) * stride + a] +=
                    v * afti_deviation(f->variance);
            else
                s->variance[a] += v * v * f->variance;
        }
    }
    for (uint32_t i = 0; i < s->places_n; i++)
        s->folds[s->places[i].at].dense = 0;
    return good;
}

static void
bilinear_begin(const struct aft_bilinear *b, struct aft_scratch *s)
{
    size_t before = s->folds_cap;
    s->folds = grown(s->folds, &s->folds_cap, b->rows.n, sizeof *s->folds);
    if (s->folds_cap > before) /* a model without a row has none */
        memset(s->folds + before, 0, (s->folds_cap - before) * sizeof *s->folds);
    if (++s->stamp == 0) {
        memset(s->folds, 0, s->folds_cap * sizeof *s->folds);
        s->stamp = 1;
    }
}

/* A candidate's own terms as rows in s->own_rows; *unknown: squares of those that have no row. How many rows. */
static enum aft_err
own_rows(const struct aft_model *m, struct aft_scratch *s, const struct aft_candidate *c,
         uint32_t *rows, double *unknown, struct aft_error *e)
{
    const struct aft_dict *dict = &m->weights.bilinear.rows;
    AFT_TRY(aft_encode_arm_known(&m->plan, s->arm_names, c->arm_id, c->features, &s->arm, e));
    uint32_t t = aft_terms_own(&m->plan, &s->context, &s->arm, 0, true, false, s->terms);
    *rows = 0;
    *unknown = 0;
    for (uint32_t i = 0; i < t; i++) {
        uint32_t row = aft_term_place(&s->terms[i], s->arm_names, dict);
        double v = s->terms[i].value;
        if (row == AFT_NOWHERE)
            *unknown += v * v;
        else
            s->own_rows[(*rows)++] = (struct afti_place){row, v};
    }
    return AFT_OK;
}

static enum aft_err
bilinear_own(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
             uint32_t n, struct afti_want want, struct afti_unknown beyond, struct aft_error *e)
{
    const struct aft_bilinear *b = &m->weights.bilinear;
    bool resolved = afti_plain_resolved(m, s, r);
    double start = b->rows.n ? afti_fold(b, s, 0, beyond.context, want.variance)->mean : 0;
    for (uint32_t a = 0; a < n; a++) {
        double mean = start, variance = 0, unknown = 0;
        uint32_t rows = 0;
        if (resolved)
            rows = afti_plain_own(m, s, r, s->index[a], &unknown);
        else
            AFT_TRY(own_rows(m, s, &r->candidates[s->index[a]], &rows, &unknown, e));
        s->start[a] = (uint32_t)s->places_n;
        for (uint32_t i = 0; i < rows; i++) {
            double v = s->own_rows[i].value;
            struct afti_fold *f = afti_fold(b, s, s->own_rows[i].at, beyond.context, want.variance);
            mean += v * f->mean;
            variance += v * v * f->variance;
        }
        if (want.gram)
            afti_keep_places(s, s->own_rows, rows);
        s->start[a + 1] = (uint32_t)s->places_n;
        s->mean[a] = mean;
        s->value[a] = unknown * beyond.prior;
        s->variance[a] = variance + s->value[a];
    }
    return AFT_OK;
}

static enum aft_err
bilinear_moments(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t n, struct afti_want want, struct aft_error *e)
{
    const struct aft_bilinear *b = &m->weights.bilinear;
    double unknown = s->unknown, prior = unknown, start = 0;
    bilinear_begin(b, s);
    for (uint32_t i = 0; i < b->stride; i++)
        prior += (double)s->x2[i];
    if (b->rows.n)
        start = afti_fold(b, s, 0, unknown, want.variance)->mean;
    struct afti_unknown beyond = {unknown, prior};
    if (!want.gram && (!want.variance || afti_plain_variances(m, s, r, n, beyond)) &&
        afti_plain_means(m, s, r, n, start))
        return AFT_OK;
    s->joint = false;
    if (want.gram && afti_plain_directions(m, s, r, n, beyond) &&
        afti_plain_means(m, s, r, n, start))
        return AFT_OK;
    AFT_TRY(bilinear_own(m, s, r, n, want, beyond, e));
    s->joint = want.gram && !bilinear_directions(s, n) && n <= AFTI_GRAM_MAX;
    if (s->joint)
        bilinear_gram(s, n);
    return AFT_OK;
}

/* What is known is known of one model. */
static void
remember(const struct aft_model *m, struct aft_scratch *s)
{
    if (memcmp(&s->known_of, &m->identity, sizeof m->identity) == 0)
        return;
    s->known_of = m->identity;
    s->catalogue.revision = 0;
    memset(s->context_names, 0, sizeof s->context_names);
    memset(s->arm_names, 0, sizeof s->arm_names);
    memset(s->ids, 0, sizeof s->ids);
}

enum aft_err
afti_moments_again(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                   uint32_t n, struct afti_want want, struct aft_error *e)
{
    bool flow = aft_model_traits(m->weights.kind)->bilinear;
    /* per arm, a linear model's arms vary by themselves */
    want.gram &= flow || (m->plan.settings.scope == AFT_SCOPE_SHARED && n <= AFTI_GRAM_MAX);
    if (want.gram && n <= AFTI_GRAM_MAX && !s->gram)
        s->gram = malloc(sizeof(double) * AFTI_GRAM_MAX * AFTI_GRAM_MAX);
    AFT_ASSERT(!want.gram || n > AFTI_GRAM_MAX || s->gram);
    s->places_n = 0;
    s->directions = 0;
    s->joint = want.gram && !flow;
    AFT_TRY(flow ? bilinear_moments(m, s, r, n, want, e) : linear_moments(m, s, r, n, want, e));
    if (afti_span_within(s->mean, n, 1e30) &&
        (!want.variance || afti_span_within(s->variance, n, 1e60)))
        return AFT_OK;
    for (uint32_t i = 0; i < n; i++)
        if (!(fabs(s->mean[i]) < 1e30) || (want.variance && !(s->variance[i] < 1e60)))
            return AFT_FAIL(e, AFT_E_VALUE, "candidate %u scores %g: a feature is far too large",
                            s->index[i], s->mean[i]);
    return AFT_OK;
}

enum aft_err
afti_moments(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
             uint32_t n, struct afti_want want, struct aft_error *e)
{
    remember(m, s);
    AFT_TRY(aft_encode_context_known(&m->plan, s->context_names, r->context, &s->context, e));
    if (aft_model_traits(m->weights.kind)->bilinear)
        bilinear_context(m, s);
    else
        linear_context(m, s);
    return afti_moments_again(m, s, r, n, want, e);
}
