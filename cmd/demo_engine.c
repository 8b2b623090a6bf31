/* demo_engine.c - the engine of the demo: what a recommendation service does with libaftertouch, on simulated participants.
 * In: a world. Out: decisions shown to it; impressions and outcomes into the client. One thread. */
#include <stdio.h>
#include <string.h>

#include "cmd/demo.h"

enum { CONTEXT_N = 7, CANDIDATE_N = 5 };

const char *const demo_policy_names[DEMO_POLICIES] = {"personalised", "baseline"};

enum aft_err
demo_error(enum aft_client_code code, const struct aft_client_error *why, struct aft_error *e)
{
    switch (code) {
    case AFT_CLIENT_OK:
        return AFT_OK;
    case AFT_CLIENT_AGAIN:
    case AFT_CLIENT_BROKER:
        return AFT_FAIL(e, AFT_E_BROKER, "%s", why->message);
    case AFT_CLIENT_CONFIG:
        return AFT_FAIL(e, AFT_E_CONFIG, "%s", why->message);
    case AFT_CLIENT_WRONG:
    case AFT_CLIENT_SNAPSHOT:
    case AFT_CLIENT_IO:
    case AFT_CLIENT_FAILED:
        return AFT_FAIL(e, AFT_E_FAILED, "%s", why->message);
    }
    AFT_NEVER();
}

static struct aft_client_feature
text(const char *name, const char *value)
{
    return (struct aft_client_feature){name, AFT_CLIENT_TEXT, 0, value};
}

static struct aft_client_feature
flag(const char *name, bool value)
{
    return (struct aft_client_feature){name, AFT_CLIENT_FLAG, value, NULL};
}

/* Everything the engine knows at this moment; the inclination of the participant is not among it. */
static void
context_of(const struct aft_visit *v, struct aft_client_feature out[CONTEXT_N])
{
    out[0] = (struct aft_client_feature){"days_since_enrol", AFT_CLIENT_NUMBER, v->days_since_enrol,
                                         NULL};
    out[1] = text("age_band", v->age_band);
    out[2] = flag("plan_match", v->plan_match);
    out[3] = flag("auto_enrolled", v->auto_enrolled);
    out[4] = flag("prior_plan", v->prior_plan);
    out[5] = text("hour_band", v->hour_band);
    out[6] = text("day_kind", v->day_kind);
}

static void
candidate_of(const struct aft_world_candidate *from,
             struct aft_client_feature features[CANDIDATE_N], struct aft_client_candidate *to)
{
    features[0] = text("topic", from->topic);
    features[1] = text("format", from->format);
    features[2] = text("tone", from->tone);
    features[3] = text("action", from->action);
    features[4] = text("seen", from->seen);
    *to = (struct aft_client_candidate){.arm_id = from->arm_id,
                                        .subject = from->subject,
                                        .mask = from->mask,
                                        .features = features,
                                        .features_n = CANDIDATE_N};
}

static enum aft_err
show(struct demo_engine *g, const struct aft_visit *v, struct aft_client_decision *d,
     struct aft_error *e)
{
    struct aft_client_error why;
    uint32_t slate[AFT_SLATE_MAX];
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    for (uint32_t i = 0; i < s->n; i++)
        slate[i] = s->slots[i].candidate;
    aft_world_shown(g->world, v, s->decision_id, slate, s->n);
    g->live.visits++;
    g->live.tiles[s->baseline ? DEMO_BASELINE : DEMO_PERSONALISED] += s->n;
    return demo_error(aft_client_log_impression(g->client, d, &why), &why, e);
}

static enum aft_err
visit(struct demo_engine *g, const struct aft_visit *v, struct aft_error *e)
{
    struct aft_client_feature context[CONTEXT_N], features[AFT_WORLD_MESSAGES][CANDIDATE_N];
    struct aft_client_candidate candidates[AFT_WORLD_MESSAGES];
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_decision *d;
    struct aft_client_error why;
    context_of(v, context);
    for (uint32_t i = 0; i < v->candidates_n; i++)
        candidate_of(&v->candidates[i], features[i], &candidates[i]);
    r.user_id = v->user_id;
    r.session_id = v->session_id;
    r.device = v->device;
    r.time_ms = v->time_ms;
    r.k = v->k;
    r.context = context;
    r.context_n = CONTEXT_N;
    r.candidates = candidates;
    r.candidates_n = v->candidates_n;
    AFT_TRY(demo_error(aft_client_decide(g->client, &r, &d, &why), &why, e));
    enum aft_err err = show(g, v, d, e);
    aft_client_decision_free(g->client, d);
    return err;
}

static enum aft_err
outcome(struct demo_engine *g, const struct aft_world_outcome *o, struct aft_error *e)
{
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    struct aft_client_error why;
    bool baseline = aft_client_is_baseline(g->client, o->user_id);
    x.outcome_id = o->outcome_id;
    x.user_id = o->user_id;
    x.time_ms = o->time_ms;
    x.kind = o->kind;
    x.decision_id = o->decision_id[0] ? o->decision_id : NULL;
    x.arm_id = o->arm_id;
    x.subject = o->subject;
    x.retracts = o->retracts[0] ? o->retracts : NULL;
    g->live.outcomes++;
    g->live.clicks[baseline ? DEMO_BASELINE : DEMO_PERSONALISED] += strcmp(o->kind, "click") == 0;
    return demo_error(aft_client_log_outcome(g->client, &x, &why), &why, e);
}

enum aft_err
demo_engine_slice(struct demo_engine *g, int64_t until_ms, struct aft_error *e)
{
    struct aft_visit v;
    struct aft_world_outcome o;
    while (aft_world_next_visit(g->world, until_ms, &v))
        AFT_TRY(visit(g, &v, e));
    while (aft_world_next_outcome(g->world, until_ms, &o))
        AFT_TRY(outcome(g, &o, e));
    return AFT_OK;
}
