/* impression.c - decisions and outcomes become records and are handed to the transport. Any thread, one a decision.
 *
 * I1 nothing is dropped in silence: append takes a record, or the caller gets an error and may try again.
 * The queue is bounded; while it is full the caller waits here, serving delivery reports, for at most queue_ms. Then the spill file
 * takes it, where there is one; and while that holds any, the next ones go behind them, so that order is kept. */
#include <math.h>

#include "client/client_inner.h"

void
afti_refused(struct aft_client *c, const struct aft_client_failure *what)
{
    atomic_fetch_add_explicit(&c->undelivered, 1, memory_order_relaxed);
    if (c->options.on_failure)
        c->options.on_failure(c->options.on_failure_context, what);
}

const char *
afti_client_topic_name(const struct aft_client *c, enum aft_client_topic topic)
{
    return topic == AFT_CLIENT_OUTCOMES ? c->options.outcomes_topic : c->options.impressions_topic;
}

static bool
spills(const struct aft_client *c, enum aft_client_topic topic)
{
    return c->spill.fd >= 0 && (topic == AFT_CLIENT_OUTCOMES || c->options.spill_impressions);
}

/* What nobody refused is kept, where there is a place for it. */
void
afti_undelivered(void *client, const struct aft_client_failure *what)
{
    struct aft_client *c = client;
    struct aft_error e;
    const char *outcomes = c->options.outcomes_topic;
    struct afti_spilled r = {.topic = outcomes && strcmp(what->topic, outcomes) == 0
                                          ? AFT_CLIENT_OUTCOMES
                                          : AFT_CLIENT_IMPRESSIONS,
                             .time_ms = what->time_ms,
                             .key = {what->key, what->key_bytes},
                             .value = {what->value, what->value_bytes}};
    if (what->refused || !spills(c, r.topic) || afti_spill_put(&c->spill, &r, &e) != AFT_OK)
        afti_refused(c, what);
}

static enum aft_err
wait_for_room(struct aft_client *c, const struct afti_spilled *r, struct aft_error *e)
{
    int64_t until = 0;
    for (;;) {
        enum aft_err err =
            c->transport.append(c->transport.ctx, r->topic, r->time_ms, r->key, r->value, e);
        if (err != AFT_E_AGAIN)
            return err;
        int64_t now = afti_monotonic_ms();
        if (until == 0)
            until = now + c->options.queue_ms;
        if (now >= until)
            return AFT_FAIL(e, AFT_E_AGAIN,
                            "the queue stayed full for %d ms; the record was not taken: try again",
                            c->options.queue_ms);
        c->transport.poll(c->transport.ctx, 10);
    }
}

enum aft_err
afti_client_append(struct aft_client *c, enum aft_client_topic topic, int64_t time_ms,
                   struct aft_bytes key, struct aft_bytes value, struct aft_error *e)
{
    if (!c->transport.append)
        return AFT_FAIL(e, AFT_E_USAGE,
                        "the client has no broker to log to; set options.bootstrap_servers");
    if (value.n > AFT_IMPRESSION_BYTES_MAX) /* the joiner takes none that is larger */
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "the record has %zu bytes, at most %u can be joined: log fewer candidates "
                        "or features",
                        value.n, (unsigned)AFT_IMPRESSION_BYTES_MAX);
    struct afti_spilled r = {topic, time_ms, key, value};
    if (!spills(c, topic))
        return wait_for_room(c, &r, e);
    afti_spill_drain(c);
    bool away = c->transport.away && c->transport.away(c->transport.ctx, c->options.queue_ms);
    enum aft_err err = AFT_E_AGAIN;
    if (!away && atomic_load(&c->spill.left) == 0)
        err = wait_for_room(c, &r, e);
    return err == AFT_E_AGAIN ? afti_spill_put(&c->spill, &r, e) : err;
}

static void
put_shown(struct aft_client_decision *d)
{
    for (uint32_t i = 0; i < d->drawn.n; i++) {
        const struct aft_slot *s = &d->drawn.slots[i];
        d->shown[i] = (struct aft_shown){.arm_id = d->candidates[s->candidate].arm_id,
                                         .slot = (int32_t)i,
                                         .propensity = s->propensity,
                                         .marginal = s->marginal,
                                         .has_marginal = s->has_marginal,
                                         .subject = d->subjects[s->candidate],
                                         .features = d->candidates[s->candidate].features};
    }
}

static void
frame(struct aft_buffer *b, uint32_t schema, enum aft_record record)
{
    aft_buffer_reset(b);
    if (schema)
        aft_frame_put_confluent(b, schema);
    else
        aft_frame_put_single(b, record);
}

static void
encode(const struct aft_client *c, struct aft_client_decision *d)
{
    bool live = c->options.mode == AFT_CLIENT_LIVE;
    put_shown(d);
    for (uint32_t i = 0; i < d->request.candidates_n; i++) {
        float w = d->drawn.log_weights[i];
        bool drawn_by_it = live && isfinite(w);
        d->candidates[i].has_log_weight = drawn_by_it;
        d->candidates[i].log_weight = drawn_by_it ? w : 0.0F;
    }
    struct aft_impression x = {.decision_id = aft_text(d->view.decision_id),
                               .user_id = d->user,
                               .timestamp_ms = d->time_ms,
                               .session_id = d->session,
                               .policy = aft_text(d->view.policy),
                               .snapshot = aft_text(d->view.snapshot_id),
                               .propensity_kind = d->drawn.propensity_kind,
                               .deferred = d->deferred,
                               .context = d->request.context,
                               .candidates = d->candidates,
                               .candidates_n = d->request.candidates_n,
                               .slate = d->shown,
                               .slate_n = d->drawn.n,
                               .has_design = true,
                               .design = d->drawn.design};
    frame(&d->record, c->options.impression_schema, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&d->record, &x);
}

static enum aft_err
log_it(struct aft_client *c, struct aft_client_decision *d, struct aft_error *e)
{
    struct aft_design *design = &d->drawn.design;
    design->pass = c->options.impressions_share;
    design->has_pass = design->pass < 1;
    AFT_TRY(afti_shadow_note(c, d, e));
    encode(c, d);
    return afti_client_append(c, AFT_CLIENT_IMPRESSIONS, d->time_ms, d->user,
                              aft_buffer_bytes(&d->record), e);
}

enum aft_client_code
aft_client_log_impression(struct aft_client *c, struct aft_client_decision *d,
                          struct aft_client_error *why)
{
    struct aft_error e;
    if (d->logged)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE, "decision %s is logged already", d->view.decision_id), &e,
            why);
    bool passes = afti_passes(c->options.impressions_share, aft_text(d->view.decision_id));
    enum aft_err err = passes ? log_it(c, d, &e) : AFT_OK;
    if (err == AFT_OK) {
        d->logged = true;
        afti_history_shown(c, d); /* logged or not, it was */
        atomic_fetch_add_explicit(passes ? &c->impressions : &c->passed_over, 1,
                                  memory_order_relaxed);
    }
    return afti_client_public(err, &e, why);
}

static enum aft_err
id_of(const char *text, const char *what, bool needed, struct aft_bytes *out, struct aft_error *e)
{
    *out = aft_text(text);
    if (!text && !needed)
        return AFT_OK;
    if (out->n == 0 || out->n > AFT_ID_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "an outcome's %s has %zu bytes; give 1 to %u", what, out->n,
                        AFT_ID_BYTES_MAX);
    return AFT_OK;
}

static enum aft_err
outcome_take(struct aft_client *c, const struct aft_client_outcome *from, struct aft_outcome *to,
             struct aft_error *e)
{
    AFT_TRY(id_of(from->outcome_id, "outcome_id", true, &to->outcome_id, e));
    AFT_TRY(id_of(from->user_id, "user_id", true, &to->user_id, e));
    AFT_TRY(id_of(from->kind, "kind", true, &to->kind, e));
    AFT_TRY(id_of(from->decision_id, "decision_id", false, &to->decision_id, e));
    AFT_TRY(id_of(from->arm_id, "arm_id", false, &to->arm_id, e));
    AFT_TRY(id_of(from->subject, "subject", false, &to->subject, e));
    AFT_TRY(id_of(from->session_id, "session_id", false, &to->session_id, e));
    AFT_TRY(id_of(from->retracts, "retracts", false, &to->retracts, e));
    if (!aft_value_micro(from->value, &to->value_micro))
        return AFT_FAIL(e, AFT_E_VALUE, "an outcome's value is not finite, or past 9e12");
    to->timestamp_ms = from->time_ms ? from->time_ms : afti_client_now(c);
    return AFT_OK;
}

enum aft_client_code
aft_client_log_outcome(struct aft_client *c, const struct aft_client_outcome *outcome,
                       struct aft_client_error *why)
{
    struct aft_error e;
    char made[33];
    struct aft_client_outcome whole = AFT_CLIENT_OUTCOME;
    struct aft_outcome x = {0};
    if (outcome->size > sizeof whole)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE,
                     "the outcome is of a newer library (%zu bytes); update this one",
                     outcome->size),
            &e, why);
    memcpy(&whole, outcome, outcome->size);
    if (!whole.outcome_id) {
        afti_id_new(&c->ids, AFTI_ID_OUTCOME, made);
        whole.outcome_id = made;
    }
    enum aft_err err = outcome_take(c, &whole, &x, &e);
    if (err != AFT_OK)
        return afti_client_public(err, &e, why);
    struct aft_client_decision *d = afti_decisions_take(&c->pool); /* for its buffer */
    if (!d)
        return afti_client_public(AFT_FAIL(&e, AFT_E_NOMEM, "no memory for an outcome"), &e, why);
    frame(&d->record, c->options.outcome_schema, AFT_RECORD_OUTCOME);
    aft_encode_outcome(&d->record, &x);
    err = afti_client_append(c, AFT_CLIENT_OUTCOMES, x.timestamp_ms, x.user_id,
                             aft_buffer_bytes(&d->record), &e);
    afti_decisions_give(&c->pool, d);
    if (err == AFT_OK) {
        afti_history_outcome(c, &x);
        atomic_fetch_add_explicit(&c->outcomes, 1, memory_order_relaxed);
    }
    return afti_client_public(err, &e, why);
}
