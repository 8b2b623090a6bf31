/* compare.c - two joiners that have gone equally far: does what they hold mean the same? If not: the first that differs, by its id.
 *
 * In: two joiners at one place of the canonical order, each just cut, so that what was to be wiped is. Out: the first difference, and how
 * much was compared. What is compared is what digest.c digests, and behind it the bytes that stand in the segments: impressions, ledger
 * entries, waiting outcomes. Nothing is changed.
 */
#include <inttypes.h>
#include <stdio.h>

#include "attribution/inner.h"

struct pair {
    struct aft_joiner *j[2];
    bool numbered;
    struct aft_join_difference *out;
};

/* ---- saying it */
static void
put_value(char out[AFT_DIFFERENCE_VALUE], struct aft_bytes v)
{
    if (!v.p)
        snprintf(out, AFT_DIFFERENCE_VALUE, "none");
    else
        snprintf(out, AFT_DIFFERENCE_VALUE, "%.*s", (int)(v.n > 60 ? 60 : v.n), (const char *)v.p);
}

static bool
differs(struct pair *p, const char *field, const char *a, const char *b)
{
    struct aft_join_difference *d = p->out;
    d->differs = true;
    snprintf(d->field, sizeof d->field, "%s", field);
    put_value(d->value[0], aft_text(a));
    put_value(d->value[1], aft_text(b));
    return true;
}

static bool
numbers_differ(struct pair *p, const char *field, int64_t a, int64_t b)
{
    char x[24], y[24];
    if (a == b)
        return false;
    snprintf(x, sizeof x, "%" PRId64, a);
    snprintf(y, sizeof y, "%" PRId64, b);
    return differs(p, field, x, y);
}

static bool
bytes_differ(struct pair *p, const char *field, struct aft_bytes a, struct aft_bytes b)
{
    if (aft_same(a, b))
        return false;
    differs(p, field, "", "");
    put_value(p->out->value[0], a);
    put_value(p->out->value[1], b);
    return true;
}

/* Bytes that are no text: the first one that differs. */
static bool
raw_differs(struct pair *p, const char *field, struct aft_bytes a, struct aft_bytes b)
{
    size_t at = 0;
    char x[48], y[48];
    if (aft_same(a, b))
        return false;
    while (at < a.n && at < b.n && a.p[at] == b.p[at])
        at++;
    snprintf(x, sizeof x, at < a.n ? "byte %zu of %zu: %02x" : "%zu of %zu bytes", at, a.n,
             at < a.n ? a.p[at] : 0u);
    snprintf(y, sizeof y, at < b.n ? "byte %zu of %zu: %02x" : "%zu of %zu bytes", at, b.n,
             at < b.n ? b.p[at] : 0u);
    return differs(p, field, x, y);
}

static void
name_hash(struct pair *p, enum aft_difference_of of, struct aft_hash128 id)
{
    p->out->of = of;
    p->out->hash = id;
    p->out->id[0] = '\0';
}

/* ---- what a touch's impression is called, where it is still held */
static void
name_touch(struct pair *p, int side, uint64_t n)
{
    struct aft_impression v;
    struct aft_error untold;
    int64_t offset;
    struct aft_joiner *j = p->j[side];
    const struct aft_touch *t = aft_index_touch(&j->index, n);
    name_hash(p, AFT_DIFFERENCE_DECISION, aft_touch_id(t));
    if (!(t->flags & AFT_TOUCH_WIPED) && afti_impression_of(j, n, &v, &offset, &untold) == AFT_OK)
        snprintf(p->out->id, sizeof p->out->id, "%.*s", (int)v.decision_id.n,
                 (const char *)v.decision_id.p);
}

/* matters: as in digest.c: a touch that is gone and has no timer left is kept a while, and means nothing. */
static bool
matters(const struct aft_joiner *j, const struct aft_touch *t)
{
    bool to_open =
        !(t->flags & AFT_TOUCH_DEFERRED) && aft_touch_e(t) + j->config.open_after_ms >= j->fired;
    return (t->flags & AFT_TOUCH_LIVE) || to_open || afti_settle_of(j, aft_touch_ts(t)) >= j->fired;
}

static bool
next_touch(const struct aft_joiner *j, uint64_t *n)
{
    while (*n < j->index.tail && !matters(j, aft_index_touch(&j->index, *n)))
        (*n)++;
    return *n < j->index.tail;
}

/* ---- one touch */
static bool
slates_differ(struct pair *p, const struct aft_impression *a, const struct aft_impression *b)
{
    if (numbers_differ(p, "impression.slate", a->slate_n, b->slate_n))
        return true;
    for (uint32_t i = 0; i < a->slate_n; i++) {
        const struct aft_shown *x = &a->slate[i], *y = &b->slate[i];
        if (bytes_differ(p, "impression.slate.arm_id", x->arm_id, y->arm_id) ||
            numbers_differ(p, "impression.slate.slot", x->slot, y->slot) ||
            raw_differs(p, "impression.slate.propensity",
                        (struct aft_bytes){(const uint8_t *)&x->propensity, 8},
                        (struct aft_bytes){(const uint8_t *)&y->propensity, 8}) ||
            bytes_differ(p, "impression.slate.subject", x->subject, y->subject) ||
            raw_differs(p, "impression.slate.features", x->raw_features, y->raw_features))
            return true;
    }
    return false;
}

static bool
impressions_differ(struct pair *p, const struct aft_impression *a, const struct aft_impression *b)
{
    return bytes_differ(p, "impression.decision_id", a->decision_id, b->decision_id) ||
           bytes_differ(p, "impression.user_id", a->user_id, b->user_id) ||
           numbers_differ(p, "impression.timestamp", a->timestamp_ms, b->timestamp_ms) ||
           bytes_differ(p, "impression.session_id", a->session_id, b->session_id) ||
           bytes_differ(p, "impression.policy", a->policy, b->policy) ||
           bytes_differ(p, "impression.snapshot", a->snapshot, b->snapshot) ||
           numbers_differ(p, "impression.propensity_kind", a->propensity_kind,
                          b->propensity_kind) ||
           numbers_differ(p, "impression.deferred", a->deferred, b->deferred) ||
           raw_differs(p, "impression.context", a->raw_context, b->raw_context) ||
           raw_differs(p, "impression.candidates", a->raw_candidates, b->raw_candidates) ||
           slates_differ(p, a, b) ||
           raw_differs(p, "impression.design", a->raw_design, b->raw_design);
}

/* The records of a touch, in both segments. */
static enum aft_err
touch_records(struct pair *p, const uint64_t n[2], bool *found, struct aft_error *e)
{
    struct aft_redo_record r[2];
    struct aft_impression v[2];
    struct aft_error untold;
    *found = true;
    for (int i = 0; i < 2; i++)
        AFT_TRY(aft_segments_read(
            &p->j[i]->segments, aft_touch_place(aft_index_touch(&p->j[i]->index, n[i])), &r[i], e));
    if (numbers_differ(p, "record.kind", r[0].kind, r[1].kind) ||
        numbers_differ(p, "record.time", r[0].e, r[1].e) ||
        numbers_differ(p, "record.offset", r[0].offset, r[1].offset))
        return AFT_OK;
    if (aft_same(r[0].payload, r[1].payload))
        return *found = false, AFT_OK;
    bool good = r[0].kind == AFT_REDO_IMPRESSION;
    for (int i = 0; good && i < 2; i++) {
        aft_arena_reset(&p->j[i]->scratch);
        good = aft_decode_impression(r[i].payload, &p->j[i]->scratch, &v[i], &untold) == AFT_OK;
    }
    if (!good || !impressions_differ(p, &v[0], &v[1]))
        raw_differs(p, "record", r[0].payload, r[1].payload);
    return AFT_OK;
}

/* Credit, cell by cell: chains stand in the order in which their cells were made. */
static bool
cells_differ(struct pair *p, const struct aft_touch *a, const struct aft_touch *b)
{
    const struct aft_index *x = &p->j[0]->index, *y = &p->j[1]->index;
    const struct aft_cell *c = aft_index_cells(x, a->cells), *d = aft_index_cells(y, b->cells);
    for (; c && d; c = aft_index_cells(x, c->next), d = aft_index_cells(y, d->next)) {
        bool click = c->kind == AFT_CELL_CLICK;
        if (numbers_differ(p, "credit.item", c->item, d->item) ||
            numbers_differ(p, "credit.kind", c->kind, d->kind) ||
            numbers_differ(p, click ? "clicked at" : "credit.unit_micro", c->unit, d->unit) ||
            numbers_differ(p, "credit.reward_micro", c->micro, d->micro))
            return true;
    }
    return (c || d) && differs(p, "credit", c ? "more" : "none", d ? "more" : "none");
}

static enum aft_err
one_touch(struct pair *p, const uint64_t n[2], struct aft_error *e)
{
    static const struct {
        unsigned flag;
        const char *name;
    } flags[] = {{AFT_TOUCH_LIVE, "live"},
                 {AFT_TOUCH_DEFERRED, "deferred"},
                 {AFT_TOUCH_OPENED, "opened"},
                 {AFT_TOUCH_ACTIVE, "seen"}};
    const struct aft_touch *a = aft_index_touch(&p->j[0]->index, n[0]),
                           *b = aft_index_touch(&p->j[1]->index, n[1]);
    bool live = a->flags & b->flags & AFT_TOUCH_LIVE, found = false;
    if (numbers_differ(p, "timestamp", aft_touch_ts(a), aft_touch_ts(b)) ||
        numbers_differ(p, "effective time", aft_touch_e(a), aft_touch_e(b)))
        return AFT_OK;
    for (size_t i = 0; i < (live ? 4u : 2u); i++)
        if (numbers_differ(p, flags[i].name, (a->flags & flags[i].flag) != 0,
                           (b->flags & flags[i].flag) != 0))
            return AFT_OK;
    if (live && (numbers_differ(p, "items", a->items, b->items) || cells_differ(p, a, b)))
        return AFT_OK;
    if (live || (a->flags & b->flags & AFT_TOUCH_WIPED))
        AFT_TRY(touch_records(p, n, &found, e));
    return AFT_OK;
}

/* There is one in one of them only, or they are two: the earlier one is what the other lacks. */
static void
lacks_touch(struct pair *p, const bool there[2], const uint64_t n[2])
{
    int has = there[0] ? 0 : 1;
    if (there[0] && there[1]) {
        const struct aft_touch *a = aft_index_touch(&p->j[0]->index, n[0]),
                               *b = aft_index_touch(&p->j[1]->index, n[1]);
        has = aft_touch_e(a) <= aft_touch_e(b) ? 0 : 1;
    }
    name_touch(p, has, n[has]);
    differs(p, "impression", has == 0 ? "there" : "not there", has == 0 ? "not there" : "there");
}

static enum aft_err
touches(struct pair *p, struct aft_error *e)
{
    uint64_t n[2] = {p->j[0]->index.head, p->j[1]->index.head};
    for (; !p->out->differs; n[0]++, n[1]++) {
        bool there[2] = {next_touch(p->j[0], &n[0]), next_touch(p->j[1], &n[1])};
        if (!there[0] && !there[1])
            return AFT_OK;
        if (!there[0] || !there[1] ||
            !aft_same_id(aft_touch_id(aft_index_touch(&p->j[0]->index, n[0])),
                         aft_touch_id(aft_index_touch(&p->j[1]->index, n[1])))) {
            lacks_touch(p, there, n);
            return AFT_OK;
        }
        AFT_TRY(one_touch(p, n, e));
        if (p->out->differs)
            name_touch(p, 0, n[0]);
        p->out->decisions++;
    }
    return AFT_OK;
}

/* ---- outcomes */
static bool
ledgers_differ(struct pair *p, const struct afti_ledger *a, const struct afti_ledger *b)
{
    if (numbers_differ(p, "ledger.flags", a->flags, b->flags) ||
        ((a->flags & AFTI_CLICK) &&
         numbers_differ(p, "ledger.clicked at", a->click_ms, b->click_ms)) ||
        (p->numbered && (a->flags & AFTI_RETRACTS) &&
         numbers_differ(p, "ledger.retracted", (int64_t)a->retracted, (int64_t)b->retracted)) ||
        numbers_differ(p, "ledger.credits", a->credit_n, b->credit_n))
        return true;
    for (uint32_t i = 0; i < a->credit_n; i++) {
        const struct afti_credit *c = &a->credit[i], *d = &b->credit[i];
        if ((!aft_same_id(c->decision, d->decision) &&
             differs(p, "ledger.decision", "another", "another")) ||
            numbers_differ(p, "ledger.item", c->item, d->item) ||
            numbers_differ(p, "ledger.kind", c->kind, d->kind) ||
            numbers_differ(p, "ledger.share_ppm", c->ppm, d->ppm) ||
            numbers_differ(p, "ledger.unit_micro", c->unit, d->unit) ||
            numbers_differ(p, "ledger.reward_micro", c->micro, d->micro))
            return true;
    }
    return false;
}

/* The outcome's own record: its bytes where both logs were read from their beginnings, for it holds numbers of touches. */
static enum aft_err
outcome_records(struct pair *p, const struct aft_seen *a, const struct aft_seen *b,
                struct aft_error *e)
{
    struct aft_redo_record r[2];
    AFT_TRY(aft_segments_read(&p->j[0]->segments, a->at, &r[0], e));
    AFT_TRY(aft_segments_read(&p->j[1]->segments, b->at, &r[1], e));
    if (numbers_differ(p, "record.kind", r[0].kind, r[1].kind) ||
        numbers_differ(p, "record.offset", r[0].offset, r[1].offset))
        return AFT_OK;
    if (p->numbered || r[0].kind == AFT_REDO_WAITING)
        raw_differs(p, "record", r[0].payload, r[1].payload);
    return AFT_OK;
}

static enum aft_err
one_outcome(struct pair *p, const struct aft_seen *a, const struct aft_seen *b, struct aft_error *e)
{
    name_hash(p, AFT_DIFFERENCE_OUTCOME, a->e <= b->e ? a->id : b->id);
    if (!aft_same_id(a->id, b->id)) {
        differs(p, "outcome", a->e <= b->e ? "there" : "not there",
                a->e <= b->e ? "not there" : "there");
        return AFT_OK;
    }
    if (numbers_differ(p, "effective time", a->e, b->e) ||
        numbers_differ(p, "waiting", a->waiting, b->waiting) ||
        (a->note && b->note && numbers_differ(p, "fate", a->note, b->note)) ||
        numbers_differ(p, "has credit", a->ledger.segment != 0, b->ledger.segment != 0))
        return AFT_OK;
    if (a->ledger.segment != 0) {
        struct afti_ledger *l[2] = {&p->j[0]->taken_back, &p->j[1]->taken_back};
        AFT_TRY(afti_ledger_of(p->j[0], a, l[0], e));
        AFT_TRY(afti_ledger_of(p->j[1], b, l[1], e));
        if (ledgers_differ(p, l[0], l[1]))
            return AFT_OK;
    }
    return outcome_records(p, a, b, e);
}

static enum aft_err
outcomes(struct pair *p, struct aft_error *e)
{
    const struct aft_index *x = &p->j[0]->index, *y = &p->j[1]->index;
    uint64_t n = x->seen_head, m = y->seen_head;
    for (; n < x->seen_tail && m < y->seen_tail; n++, m++) {
        AFT_TRY(one_outcome(p, aft_index_seen(x, n), aft_index_seen(y, m), e));
        if (p->out->differs)
            return AFT_OK;
        p->out->outcomes++;
    }
    bool more[2] = {n < x->seen_tail, m < y->seen_tail};
    if (!more[0] && !more[1])
        return AFT_OK;
    name_hash(p, AFT_DIFFERENCE_OUTCOME,
              more[0] ? aft_index_seen(x, n)->id : aft_index_seen(y, m)->id);
    differs(p, "outcome", more[0] ? "there" : "not there", more[1] ? "there" : "not there");
    return AFT_OK;
}

/* ---- what waits, timers, and the rest */
static const struct aft_waiting *
next_waiting(const struct aft_index *x, uint64_t *n)
{
    while (*n < x->waiting_tail && !aft_index_waiting(x, *n)->live)
        (*n)++;
    return *n < x->waiting_tail ? aft_index_waiting(x, (*n)++) : NULL;
}

static bool
waiting_differ(struct pair *p)
{
    const struct aft_index *x = &p->j[0]->index, *y = &p->j[1]->index;
    uint64_t n = x->waiting_head, m = y->waiting_head;
    for (;;) {
        const struct aft_waiting *a = next_waiting(x, &n), *b = next_waiting(y, &m);
        if (!a && !b)
            return false;
        name_hash(p, AFT_DIFFERENCE_DECISION, a ? a->decision : b->decision);
        if (!a || !b || !aft_same_id(a->decision, b->decision) || !aft_same_id(a->user, b->user))
            return differs(p, "outcome that waits for it", a ? "there" : "not there",
                           b ? a ? "another" : "there" : "not there");
        if (numbers_differ(p, "time of the outcome that waits for it", a->e, b->e))
            return true;
    }
}

static bool
timers_differ(struct pair *p)
{
    const struct afti_timers *a = &p->j[0]->timers, *b = &p->j[1]->timers;
    uint64_t n = a->activation_head, m = b->activation_head;
    p->out->of = AFT_DIFFERENCE_WHOLE;
    if (numbers_differ(p, "timers of late impressions", (int64_t)a->late_n, (int64_t)b->late_n) ||
        (a->late_n &&
         numbers_differ(p, "first timer of a late impression", a->late[0].fire, b->late[0].fire)))
        return true;
    for (; n < a->activation_tail && m < b->activation_tail; n++, m++) {
        const struct afti_activation *s = &a->activation[n & (a->activation_cap - 1)],
                                     *t = &b->activation[m & (b->activation_cap - 1)];
        name_hash(p, AFT_DIFFERENCE_DECISION, s->id);
        if (numbers_differ(p, "time at which it opens", s->fire, t->fire) ||
            (!aft_same_id(s->id, t->id) && differs(p, "timer", "there", "of another decision")))
            return true;
    }
    p->out->of = AFT_DIFFERENCE_WHOLE;
    return numbers_differ(p, "timers of activations", (int64_t)(a->activation_tail - n),
                          (int64_t)(b->activation_tail - m));
}

static const char *const count_names[] = {
#define X(n) "fates." #n,
    AFT_FATES(X)
#undef X
#define X(n) "counts." #n,
        AFT_COUNTS(X)
#undef X
            "impressions",
    "outcomes",
    "future",
    "late",
    "open",
    "examples"};
_Static_assert(sizeof count_names / sizeof count_names[0] == AFTI_COUNTS, "each has its name");

static bool
counts_differ(struct pair *p)
{
    struct aft_join_counts c[2];
    p->out->of = AFT_DIFFERENCE_WHOLE;
    for (int i = 0; i < 2; i++) {
        aft_joiner_counts(p->j[i], &c[i]);
        c[i].future = 0; /* of records that may be ahead of the place */
    }
    for (size_t i = 0; i < AFTI_COUNTS; i++) {
        int64_t a, b;
        memcpy(&a, (const char *)&c[0] + i * 8, 8);
        memcpy(&b, (const char *)&c[1] + i * 8, 8);
        if (numbers_differ(p, count_names[i], a, b))
            return true;
    }
    return numbers_differ(p, "next seq", (int64_t)p->j[0]->seq, (int64_t)p->j[1]->seq) ||
           numbers_differ(p, "chain hash", (int64_t)p->j[0]->hash.low,
                          (int64_t)p->j[1]->hash.low) ||
           numbers_differ(p, "chain hash", (int64_t)p->j[0]->hash.high,
                          (int64_t)p->j[1]->hash.high);
}

static bool
places_differ(struct pair *p)
{
    const struct aft_joiner *a = p->j[0], *b = p->j[1];
    p->out->of = AFT_DIFFERENCE_WHOLE;
    return numbers_differ(p, "time reached", a->fired, b->fired) ||
           numbers_differ(p, "last event's time", a->place_e, b->place_e) ||
           numbers_differ(p, "last event's log", a->place_log, b->place_log) ||
           numbers_differ(p, "last event's offset", a->place_offset, b->place_offset);
}

enum aft_err
aft_joiner_compare(struct aft_joiner *a, struct aft_joiner *b, bool numbered,
                   struct aft_join_difference *out, struct aft_error *e)
{
    struct pair p = {{a, b}, numbered, out};
    *out = (struct aft_join_difference){0};
    AFT_TRY(touches(&p, e));
    if (!out->differs)
        AFT_TRY(outcomes(&p, e));
    if (out->differs || waiting_differ(&p) || timers_differ(&p) || places_differ(&p))
        return AFT_OK;
    if (numbered)
        (void)counts_differ(&p);
    return AFT_OK;
}
