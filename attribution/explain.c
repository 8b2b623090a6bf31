/* explain.c - why: what the state holds of an outcome and of a decision. Nothing is changed.
 * The state knows outcomes and settled decisions by the hash of their ids alone; ids and arms are those of impressions that
 * it still holds.
 */
#include "attribution/inner.h"

static const char *const rule_names[] = {
    [AFT_RULE_LAST_TOUCH] = "last_touch",
    [AFT_RULE_FIRST_TOUCH] = "first_touch",
    [AFT_RULE_LINEAR] = "linear",
    [AFT_RULE_TIME_DECAY] = "time_decay",
    [AFT_RULE_POSITION_BASED] = "position_based",
    [AFT_RULE_SHAPLEY] = "shapley",
};

const char *
aft_rule_name(enum aft_rule rule)
{
    return rule_names[rule];
}

static const char *const fate_names[] = {[AFT_FATE_UNTOLD] = "untold",
#define X(n) [AFT_FATE_##n] = #n,
                                         AFT_FATES(X)
#undef X
};

const char *
aft_fate_name(enum aft_fate fate)
{
    return fate_names[fate];
}

/* A touch whose impression can still be read; false: it is settled away, or erased. */
static bool
impression_held(struct aft_joiner *j, struct aft_hash128 id, uint64_t *n, struct aft_impression *v)
{
    struct aft_error untold;
    int64_t offset;
    return aft_index_find(&j->index, id, n) &&
           !(aft_index_touch(&j->index, *n)->flags & AFT_TOUCH_WIPED) &&
           afti_impression_of(j, *n, v, &offset, &untold) == AFT_OK;
}

static struct aft_explained_credit
explained(struct aft_joiner *j, const struct afti_credit *c)
{
    struct aft_impression v;
    uint64_t n;
    struct aft_explained_credit out = {.kind = &j->config.kinds[c->kind],
                                       .item = c->item,
                                       .ppm = c->ppm,
                                       .unit_micro = c->unit,
                                       .reward_micro = c->micro};
    if (!impression_held(j, c->decision, &n, &v)) {
        out.erased = c->touch >= j->index.head && c->touch < j->index.tail &&
                     (aft_index_touch(&j->index, c->touch)->flags & AFT_TOUCH_WIPED);
        return out;
    }
    const struct aft_cell *click = aft_index_cell(&j->index, n, c->item, AFT_CELL_CLICK, false);
    out.held = true;
    out.decision_id = v.decision_id;
    out.arm_id = c->item < v.slate_n ? v.slate[c->item].arm_id : AFT_ABSENT;
    out.shown_ms = v.timestamp_ms;
    out.clicked_ms = click ? click->unit : INT64_MIN;
    return out;
}

static bool
credited(const struct afti_ledger *l, struct aft_hash128 id)
{
    for (uint32_t i = 0; i < l->credit_n; i++)
        if (aft_same_id(l->credit[i].decision, id))
            return true;
    return false;
}

/* The other touches of whoever was credited, in the window before the outcome: they were looked at, and got nothing. */
static void
passed_over(struct aft_joiner *j, const struct afti_ledger *l, int64_t outcome_e,
            const struct aft_explain_sink *sink)
{
    struct aft_impression v;
    uint64_t n = 0;
    bool more = false;
    for (uint32_t i = 0; i < l->credit_n && !more; i++)
        more = impression_held(j, l->credit[i].decision, &n, &v);
    if (!more)
        return;
    for (more = aft_index_newest(&j->index, aft_id_of(v.user_id), &n); more;
         more = aft_index_before(&j->index, n, &n)) {
        const struct aft_touch *t = aft_index_touch(&j->index, n);
        struct aft_impression other;
        uint64_t same;
        if (aft_touch_e(t) < outcome_e - j->config.window_ms)
            return;
        if (aft_touch_ts(t) > outcome_e || credited(l, aft_touch_id(t)) ||
            !impression_held(j, aft_touch_id(t), &same, &other))
            continue;
        struct aft_explained_credit none = {.held = true,
                                            .decision_id = other.decision_id,
                                            .shown_ms = aft_touch_ts(t),
                                            .clicked_ms = INT64_MIN};
        sink->credit(sink->ctx, &none);
    }
}

/* waits: its own record holds a waiting outcome, unless that was erased; what ended the wait with credit says when. */
static enum aft_err
waits(struct aft_joiner *j, const struct aft_seen *s, struct aft_explained_outcome *out,
      struct aft_error *e)
{
    struct aft_redo_record r;
    out->until_ms = INT64_MIN;
    AFT_TRY(aft_segments_read(&j->segments, s->at, &r, e));
    out->waited = r.kind == AFT_REDO_WAITING && !s->waiting;
    if (s->waiting || (out->waited && out->fate == AFT_FATE_orphan))
        out->until_ms = s->e + j->config.orphan_after_ms;
    if (!out->waited || s->ledger.segment == 0)
        return AFT_OK;
    AFT_TRY(aft_segments_read(&j->segments, s->ledger, &r, e));
    out->until_ms = r.e;
    return AFT_OK;
}

enum aft_err
aft_joiner_explain_outcome(struct aft_joiner *j, struct aft_bytes id,
                           struct aft_explained_outcome *out, const struct aft_explain_sink *sink,
                           struct aft_error *e)
{
    uint64_t n;
    struct afti_ledger *l = &j->taken_back; /* nothing is being taken back now */
    *out = (struct aft_explained_outcome){0};
    if (!aft_index_seen_before(&j->index, aft_id_of(id), &n))
        return AFT_OK;
    const struct aft_seen *s = aft_index_seen(&j->index, n);
    out->known = true;
    out->waiting = s->waiting;
    out->e_ms = s->e;
    out->fate = (enum aft_fate)(s->note & ~AFTI_DIRECT);
    out->direct = s->waiting || (s->note & AFTI_DIRECT);
    out->taken_back = out->fate == AFT_FATE_credited && s->ledger.segment == 0;
    enum aft_err err = waits(j, s, out, e);
    if (err != AFT_OK || s->ledger.segment == 0)
        return err;
    err = afti_ledger_of(j, s, l, e);
    for (uint32_t i = 0; err == AFT_OK && i < l->credit_n; i++) {
        struct aft_explained_credit c = explained(j, &l->credit[i]);
        out->credits++;
        out->ppm += c.ppm;
        sink->credit(sink->ctx, &c);
    }
    if (err == AFT_OK)
        passed_over(j, l, out->e_ms, sink);
    return err;
}

enum aft_err
aft_joiner_explain_decision(struct aft_joiner *j, struct aft_bytes id,
                            struct aft_explained_decision *out, const struct aft_explain_sink *sink,
                            struct aft_error *e)
{
    uint64_t n;
    int64_t offset;
    struct aft_impression v;
    *out = (struct aft_explained_decision){0};
    if (!aft_index_find(&j->index, aft_id_of(id), &n))
        return AFT_OK;
    AFT_TRY(afti_impression_of(j, n, &v, &offset, e));
    const struct aft_touch *t = aft_index_touch(&j->index, n);
    *out = (struct aft_explained_decision){
        .known = true,
        .opened = t->flags & AFT_TOUCH_OPENED,
        .seen = t->flags & AFT_TOUCH_ACTIVE,
        .shown_ms = aft_touch_ts(t),
        .offset = offset,
        .settles_ms = afti_settle_of(j, aft_touch_ts(t)),
        .user_id = v.user_id,
        .items = v.slate_n,
    };
    for (const struct aft_cell *c = aft_index_cells(&j->index, t->cells); c;
         c = aft_index_cells(&j->index, c->next)) {
        if (c->kind == AFT_CELL_CLICK)
            continue;
        const struct afti_credit sum = {.decision = aft_touch_id(t),
                                        .item = c->item,
                                        .kind = c->kind,
                                        .unit = c->unit,
                                        .micro = c->micro};
        struct aft_explained_credit one = explained(j, &sum);
        sink->credit(sink->ctx, &one);
    }
    return AFT_OK;
}
