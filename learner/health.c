/* health.c - what is counted of weights, rewards, weights' drift; the learner's state of health as numbers. One thread.
 *
 * Histograms are by powers of two: bucket 0 is up to 2^-8 (of rewards: up to 0), bucket i up to 2^(i - 8), the last what is above. Weights
 * are h = 1 / (p m) as they came, before any cap and 1/q (pass.c): their mean is near 1 where the logged propensities are right. Rewards
 * are an item's at SETTLE, in units of learner.reward.scale.
 * Drift: |w - w'| / |w'| of the serving member's weights from the end of one round to the next. It is measured, not learned: no part of
 * the state, so the first round after a start has none.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

static uint32_t
bucket_of(double v)
{
    uint32_t i = 0;
    double bound = 0x1p-8;
    while (i + 1 < AFT_HISTOGRAM && v > bound) {
        bound *= 2;
        i++;
    }
    return i;
}

double
aft_histogram_bound(uint32_t bucket)
{
    double bound = 0x1p-8;
    for (uint32_t i = 0; i < bucket; i++)
        bound *= 2;
    return bucket + 1 < AFT_HISTOGRAM ? bound : (double)INFINITY;
}

void
afti_health_learned(struct aft_learner *l, const struct afti_weight *w)
{
    uint32_t side = l->design.sides - 1; /* of two, the one that is weighted */
    l->counts[AFTI_LEARNED]++;
    double used = w->side[side] * w->stands;
    l->sums[AFTI_WEIGHT] += used;
    l->sums[AFTI_WEIGHT2] += used * used;
    if (!(w->raw > 0))
        return;
    l->counts[AFTI_SUPPORTED]++;
    l->sums[AFTI_WEIGHT_RAW] += w->raw;
    if (l->design.weighting[side] == AFT_WEIGHTING_CAPPED)
        l->sums[AFTI_CAPPED] += w->raw - w->side[side];
    l->weights[bucket_of(w->raw)]++;
}

void
afti_health_settled(struct aft_learner *l, const struct aft_example_item *item)
{
    double reward = (double)item->reward_micro / AFT_MICRO / l->settings.reward_scale;
    l->rewards[reward > 0 ? bucket_of(reward) : 0]++;
}

/* ---- drift */
struct afti_image {
    double *v;
    size_t cap;
    uint32_t rows, stride; /* of v */
};

static size_t
width_of(const struct aft_weights *w, uint32_t row)
{
    return aft_model_traits(w->kind)->bilinear ? w->bilinear.stride
                                               : aft_linear_block(&w->linear, row, w->first)->d;
}

static double
weight_of(const struct aft_weights *w, uint32_t row, size_t column)
{
    return aft_model_traits(w->kind)->bilinear
               ? (double)w->bilinear.w[aft_bilinear_at(&w->bilinear, row, w->first) + column]
               : aft_linear_block(&w->linear, row, w->first)->theta[column];
}

static void
room(struct afti_image *o, uint32_t rows, uint32_t stride)
{
    size_t want = (size_t)rows * stride;
    if (o->v && want <= o->cap && stride == o->stride)
        return;
    struct afti_image old = *o;
    o->cap = want > 2 * old.cap ? want : 2 * old.cap;
    o->v = calloc(o->cap + 1, sizeof *o->v);
    AFT_ASSERT(o->v);
    for (uint32_t i = 0; i < old.rows; i++)
        memcpy(o->v + (size_t)i * stride, old.v + (size_t)i * old.stride,
               old.stride * sizeof *o->v);
    free(old.v);
    o->stride = stride;
}

void
afti_health_round(struct aft_learner *l)
{
    const struct aft_weights *w = &l->table.weights;
    bool bilinear = aft_model_traits(w->kind)->bilinear;
    uint32_t rows = bilinear ? w->bilinear.rows.n : w->linear.blocks_n;
    uint32_t stride = bilinear ? w->bilinear.stride : AFT_LINEAR_COLUMNS;
    double moved = 0, size = 0;
    if (!l->image) {
        l->image = calloc(1, sizeof *l->image);
        AFT_ASSERT(l->image);
    }
    struct afti_image *o = l->image;
    bool first = o->rows == 0;
    room(o, rows, stride);
    for (uint32_t i = 0; i < rows; i++)
        for (size_t j = 0, n = width_of(w, i); j < n; j++) {
            double *was = &o->v[(size_t)i * stride + j], now = weight_of(w, i, j);
            size += *was * *was;
            moved += (now - *was) * (now - *was);
            *was = now;
        }
    o->rows = rows;
    l->drift = !first && size > 0 ? sqrt(moved / size) : 0;
}

void
afti_health_deinit(struct aft_learner *l)
{
    if (l->image)
        free(l->image->v);
    free(l->image);
}

/* ---- as numbers */
void
aft_learner_stats(const struct aft_learner *l, struct aft_learner_stats *out)
{
    const int64_t *c = l->counts;
    const double *s = l->sums;
    const struct aft_weights *w = &l->table.weights;
    double n = c[AFTI_LEARNED] ? (double)c[AFTI_LEARNED] : 1;
    double p = c[AFTI_PROGRESSIVE] ? (double)c[AFTI_PROGRESSIVE] : 1;
    uint32_t serving = afti_serving(l);
    *out = (struct aft_learner_stats){
        .learned = c[AFTI_LEARNED],
        .revised = c[AFTI_REVISED],
        .settled = c[AFTI_SETTLED],
        .erased = c[AFTI_ERASED],
        .refused_support = c[AFTI_REFUSED_SUPPORT],
        .refused_weight = c[AFTI_REFUSED_WEIGHT],
        .refused_reward = c[AFTI_REFUSED_REWARD],
        .refused_feature = c[AFTI_REFUSED_FEATURE],
        .refused_example = c[AFTI_REFUSED_EXAMPLE],
        .mean_weight = c[AFTI_SUPPORTED] ? s[AFTI_WEIGHT_RAW] / (double)c[AFTI_SUPPORTED] : 1,
        .mean_used = s[AFTI_WEIGHT] / n,
        .effective_n = s[AFTI_WEIGHT2] > 0 ? s[AFTI_WEIGHT] * s[AFTI_WEIGHT] / s[AFTI_WEIGHT2] : 0,
        .capped_mass = s[AFTI_WEIGHT_RAW] > 0 ? s[AFTI_CAPPED] / s[AFTI_WEIGHT_RAW] : 0,
        .progressive_ips = s[AFTI_IPS] / p,
        .progressive_snips = s[AFTI_IPS_W] > 0 ? s[AFTI_IPS] / s[AFTI_IPS_W] : 0,
        .progressive_dr = s[AFTI_DR] / p,
        .progressive_loss = c[AFTI_GUESSED] ? s[AFTI_LOSS] / (double)c[AFTI_GUESSED] : 0,
        .drift = l->drift,
        .weighting_switches = c[AFTI_SWITCHES],
        .serving_weighted = l->design.weighting[serving] != AFT_WEIGHTING_NONE,
        .members = l->members_n,
        .arms = l->arms.index.n,
        .columns = w->bilinear.columns.n + w->linear.columns.n};
    memcpy(out->weights, l->weights, sizeof out->weights);
    memcpy(out->rewards, l->rewards, sizeof out->rewards);
}

bool
aft_learner_arm(const struct aft_learner *l, uint32_t i, struct aft_arm_status *out)
{
    if (i >= l->arms.index.n)
        return false;
    *out = afti_arm_status(&l->arms.v[i]);
    return true;
}
