/* visits.h - a visit of the simulated world (evaluate/simulator.h) as the engine of the demo sees it: context and candidates as
 * features. For the benchmarks that learn in that world. */
#ifndef AFT_TESTS_VISITS_H
#define AFT_TESTS_VISITS_H

#include "evaluate/evaluate.h"

enum { VISIT_CONTEXT = 8, VISIT_FEATURES = 5 };

struct visit_nouns {
    struct aft_feature context[VISIT_CONTEXT], features[AFT_WORLD_MESSAGES][VISIT_FEATURES];
    struct aft_candidate candidates[AFT_WORLD_MESSAGES];
};

#define VISIT_INTERACTIONS                                                            \
    "topic*days_since_enrol, topic*age_band, topic*plan_match, topic*auto_enrolled, " \
    "topic*prior_plan, format*device, tone*age_band"

static inline struct aft_feature
visit_text(const char *name, const char *value)
{
    return (struct aft_feature){
        .name = aft_text(name), .type = AFT_FEATURE_TEXT, .text = aft_text(value)};
}

static inline struct aft_feature
visit_flag(const char *name, bool value)
{
    return (struct aft_feature){.name = aft_text(name), .type = AFT_FEATURE_FLAG, .flag = value};
}

/* visit_read: the texts stay the world's. */
static inline void
visit_read(const struct aft_visit *v, struct visit_nouns *out)
{
    struct aft_feature *c = out->context;
    c[0] = (struct aft_feature){.name = AFT_LITERAL("days_since_enrol"),
                                .type = AFT_FEATURE_NUMBER,
                                .number = v->days_since_enrol};
    c[1] = visit_text("age_band", v->age_band);
    c[2] = visit_flag("plan_match", v->plan_match);
    c[3] = visit_flag("auto_enrolled", v->auto_enrolled);
    c[4] = visit_flag("prior_plan", v->prior_plan);
    c[5] = visit_text("hour_band", v->hour_band);
    c[6] = visit_text("day_kind", v->day_kind);
    c[7] = visit_text("device", v->device);
    for (uint32_t i = 0; i < v->candidates_n; i++) {
        const struct aft_world_candidate *from = &v->candidates[i];
        struct aft_feature *f = out->features[i];
        f[0] = visit_text("topic", from->topic);
        f[1] = visit_text("format", from->format);
        f[2] = visit_text("tone", from->tone);
        f[3] = visit_text("action", from->action);
        f[4] = visit_text("seen", from->seen);
        out->candidates[i] =
            (struct aft_candidate){.arm_id = aft_text(from->arm_id),
                                   .features = {f, VISIT_FEATURES},
                                   .mask = from->mask ? aft_text(from->mask) : AFT_ABSENT};
    }
}

#endif
