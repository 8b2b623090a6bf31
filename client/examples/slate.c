/* slate.c - a visit becomes a slate. What an engine adds to the library is the masks, and there are three kinds:
 *
 *   M1 before the draw: who may not see a message by rule (the participant, the device, a task that is done).
 *   M2 before the draw, under a new key: a message that this user has seen CAP times this month. Within a session the draw is the
 *      same at each page (the key is the session's), so the exposures that reach a cap come from that very draw. To drop the capped
 *      message from it would leave the others where the draw had put them, with probabilities that no longer hold. So a cap that is
 *      reached begins an epoch, which the library makes part of the key, and the next page is a fresh draw among the rest: exact.
 *   M3 after the draw: what another channel has shown CAP times. That does not depend on our draw, so the slate may close up
 *      over it; but the rule is asked about every candidate, shown or not, else their share would stand in the denominators.
 *
 * An impression is logged before it is answered, and counted once it is taken. */
#include <stdio.h>
#include <string.h>

#include "client/examples/engine.h"

static const struct aft_client_feature *
feature_of(const struct visit *v, const char *name)
{
    for (uint32_t i = 0; i < v->context_n; i++)
        if (strcmp(v->context[i].name, name) == 0)
            return &v->context[i];
    return NULL;
}

static bool
holds(const struct rule *r, const struct visit *v)
{
    const struct aft_client_feature *f = feature_of(v, r->feature);
    if (!f || f->type == AFT_CLIENT_TEXT)
        return false;
    switch (r->kind) {
    case RULE_IS:
        return (f->number != 0) == (r->number != 0);
    case RULE_MIN:
        return f->number >= r->number;
    case RULE_MAX:
        return f->number <= r->number;
    }
    return false;
}

/* Why this user may not see the message before any draw (M1, M2); NULL: he may. */
static const char *
masked(const struct message *m, uint32_t i, const struct visit *v, const struct person *p)
{
    if (!(v->app ? m->app : m->web))
        return "device";
    if (v->done[i])
        return "done";
    for (uint32_t r = 0; r < m->rules_n; r++)
        if (!holds(&m->rules[r], v))
            return "eligibility";
    return p->shown[i] >= CAP ? "cap" : NULL;
}

static uint32_t
masks_of(const struct engine *e, const struct visit *v, const struct person *p, const char **masks)
{
    uint32_t eligible = 0;
    for (uint32_t i = 0; i < e->catalogue.n; i++) {
        masks[i] = masked(&e->catalogue.messages[i], i, v, p);
        eligible += masks[i] == NULL;
    }
    return eligible;
}

static enum aft_client_code
log_and_count(struct engine *e, struct person *p, struct aft_client_decision *d,
              struct aft_client_error *why)
{
    enum aft_client_code code = aft_client_log_impression(e->client, d, why);
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    for (uint32_t i = 0; code == AFT_CLIENT_OK && i < s->n; i++)
        engine_caps_count(p, s->slots[i].candidate);
    return code;
}

static enum aft_client_code
decide(struct engine *e, const struct visit *v, struct person *p,
       struct aft_client_decision **decision, struct aft_client_error *why)
{
    const char *masks[MESSAGES_MAX];
    uint32_t over[MESSAGES_MAX], over_n = 0, left = masks_of(e, v, p, masks);
    for (uint32_t i = 0; i < e->catalogue.n; i++)
        if (!masks[i] && v->elsewhere[i] >= CAP)
            over[over_n++] = i;
    if (left == over_n)
        return AFT_CLIENT_OK; /* nothing to show, nothing to log */
    char key[USER_BYTES + TEXT_BYTES];
    snprintf(key, sizeof key, "%s/%s", v->user, v->session);
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    r.user_id = v->user;
    if (v->session[0]) { /* without a session each page is a draw of its own */
        r.session_id = v->session;
        r.key = key;
        r.epoch = p->epoch;
    }
    r.device = v->app ? "app" : "web";
    r.k = v->app ? 2 : 3;
    r.context = v->context;
    r.context_n = v->context_n;
    r.catalogue = e->candidates;
    r.masks = masks;
    enum aft_client_code code = aft_client_decide(e->client, &r, decision, why);
    if (code == AFT_CLIENT_OK && over_n > 0)
        code = aft_client_decision_mask(e->client, *decision, over, over_n, "cap elsewhere", why);
    if (code == AFT_CLIENT_OK)
        code = log_and_count(e, p, *decision, why);
    return code;
}

enum aft_client_code
engine_slate(struct engine *e, const struct visit *v, struct aft_client_decision **decision,
             struct aft_client_error *why)
{
    *decision = NULL;
    struct person *p = engine_caps_hold(&e->caps, v->user);
    if (!p) {
        *why = (struct aft_client_error){AFT_CLIENT_AGAIN, "no memory for a user"};
        return AFT_CLIENT_AGAIN;
    }
    enum aft_client_code code = decide(e, v, p, decision, why);
    engine_caps_release(&e->caps, p);
    if (code != AFT_CLIENT_OK) {
        aft_client_decision_free(e->client, *decision);
        *decision = NULL;
    }
    return code;
}

static const char *
given(const char *text)
{
    return text[0] ? text : NULL;
}

enum aft_client_code
engine_outcome(struct engine *e, const struct reported *r, struct aft_client_error *why)
{
    struct aft_client_outcome o = AFT_CLIENT_OUTCOME;
    o.outcome_id = given(r->id); /* the caller's, so that he can try again with the same */
    o.user_id = r->user;
    o.kind = r->kind;
    o.value = r->value;
    o.decision_id = given(r->decision);
    o.arm_id = given(r->arm);
    o.subject = given(r->subject);
    o.session_id = given(r->session);
    return aft_client_log_outcome(e->client, &o, why);
}
