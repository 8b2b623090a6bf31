/* arm_stats.c - what a snapshot knows of its arms -> features that an engine puts beside an arm's own: features.arm.stats. In: the manifest's
 * arms and scoreboard. Out: numbers by arm and time. Immutable once made; any thread.
 *
 *   arm.ctr          (clicks + C c) / (settled + C): clicks of settled items; c that of all arms, C = 20 items' worth of it
 *   arm.uplift       arm.ctr - the click rate of the policy named "baseline" (where it has none settled: of all policies)
 *   arm.exposures    ln(1 + items shown)
 *   arm.age_days     since the first impression that was learned, in event time, at most 3650
 *   arm.unseen_days  since the last one
 * An arm that the snapshot does not know: c, c - baseline, 0, 0, 0. What was shown and has not settled is not in a rate, so an arm does not
 * look worse for being new. Whoever decides logs these with the decision, and the learner learns from what was logged: they are never
 * reckoned again.
 */
#include <stdlib.h>

#include "policy/inner.h"

static const double worth = 20, day_ms = 86400000, days_max = 3650;
static const char *const names[AFTI_ARM_STATS] = {"arm.age_days", "arm.ctr", "arm.exposures",
                                                  "arm.unseen_days", "arm.uplift"};
enum { AGE, CTR, EXPOSURES, UNSEEN, UPLIFT };

const char *
afti_arm_stat_name(uint32_t i)
{
    AFT_ASSERT(i < AFTI_ARM_STATS);
    return names[i];
}

struct arm {
    double ctr, exposures;
    int64_t first_ms, last_ms;
};
struct afti_arm_stats {
    struct aft_dict index; /* hash of the id */
    struct arm *v;
    double ctr, baseline;
};

static double
rate(double clicks, double items)
{
    return items > 0 ? clicks / items : 0;
}

/* Of the policy named baseline; of all where it has nothing. */
static double
baseline_of(const struct aft_manifest *f)
{
    double clicks = 0, items = 0;
    for (uint32_t i = 0; i < f->scoreboard_n; i++) {
        const struct aft_policy_score *p = &f->scoreboard[i];
        if (aft_same(p->policy, AFT_LITERAL("baseline")) && p->items > 0)
            return rate(p->clicks, (double)p->items);
        clicks += p->clicks;
        items += (double)p->items;
    }
    return rate(clicks, items);
}

struct afti_arm_stats *
afti_arm_stats_new(const struct aft_manifest *f)
{
    struct afti_arm_stats *s = calloc(1, sizeof *s);
    AFT_ASSERT(s);
    s->v = calloc((size_t)f->arms_n + 1, sizeof *s->v);
    AFT_ASSERT(s->v);
    double clicks = 0, settled = 0;
    for (uint32_t i = 0; i < f->arms_n; i++) {
        clicks += (double)f->arms[i].clicks;
        settled += (double)f->arms[i].settled;
    }
    s->ctr = rate(clicks, settled);
    s->baseline = baseline_of(f);
    for (uint32_t i = 0; i < f->arms_n; i++) {
        const struct aft_arm_status *a = &f->arms[i];
        double shown = a->exposures > 0 ? (double)a->exposures : 0;
        uint32_t at = aft_dict_add(&s->index, aft_hash64(a->arm_id, 0));
        s->v[at] = (struct arm){((double)a->clicks + worth * s->ctr) / ((double)a->settled + worth),
                                aft_log(1 + shown), a->first_seen_ms, a->last_seen_ms};
    }
    return s;
}

void
afti_arm_stats_free(struct afti_arm_stats *s)
{
    if (!s)
        return;
    aft_dict_deinit(&s->index);
    free(s->v);
    free(s);
}

static double
days(int64_t from_ms, int64_t to_ms)
{
    double d = ((double)to_ms - (double)from_ms) / day_ms;
    return d < 0 ? 0 : d > days_max ? days_max : d;
}

uint32_t
aft_model_arm_stats(const struct aft_model *m, struct aft_bytes arm_id, int64_t time_ms,
                    struct aft_feature out[AFT_ARM_STATS_MAX])
{
    const struct afti_arm_stats *s = m->arm_stats;
    uint32_t wanted = m->plan.settings.arm_stats, n = 0;
    if (!s)
        return 0;
    uint32_t at = aft_dict_find(&s->index, aft_hash64(arm_id, 0));
    struct arm none = {.ctr = s->ctr, .first_ms = time_ms, .last_ms = time_ms};
    const struct arm *a = at == AFT_NOWHERE ? &none : &s->v[at];
    const double value[AFTI_ARM_STATS] = {[AGE] = days(a->first_ms, time_ms),
                                          [CTR] = a->ctr,
                                          [EXPOSURES] = a->exposures,
                                          [UNSEEN] = days(a->last_ms, time_ms),
                                          [UPLIFT] = a->ctr - s->baseline};
    for (uint32_t i = 0; i < AFTI_ARM_STATS; i++)
        if (wanted >> i & 1)
            out[n++] = (struct aft_feature){
                .name = aft_text(names[i]), .type = AFT_FEATURE_NUMBER, .number = value[i]};
    return n;
}
