/* credit.c - from an outcome to credit, from credit to rewards and revisions.
 *
 * unit = value * share * 2^(-delay / half-life), micro = unit * weight; both are exact rationals, rounded half to even once each
 * (micro from the exact unit, not from the rounded one). Sums wrap at 64 bits, so that taking back is always exact.
 */
#include "attribution/inner.h"

enum { LIMBS = 4 };

/* times multiplies a little-endian number of LIMBS by m; what passes the top must be 0. */
static void
times(uint64_t v[LIMBS], uint64_t m)
{
    __uint128_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (__uint128_t)v[i] * m;
        v[i] = (uint64_t)carry;
        carry >>= 64;
    }
    AFT_ASSERT(carry == 0);
}

static uint64_t
divide(uint64_t v[LIMBS], uint64_t d)
{
    __uint128_t rest = 0;
    for (int i = LIMBS - 1; i >= 0; i--) {
        rest = rest << 64 | v[i];
        v[i] = (uint64_t)(rest / d);
        rest %= d;
    }
    return (uint64_t)rest;
}

int64_t
afti_scale(int64_t value, uint32_t ppm, uint64_t decay, const int64_t *weight)
{
    bool negative = (value < 0) != (weight && *weight < 0);
    if (ppm == AFT_PPM && decay == UINT64_C(1) << 32 && (!weight || *weight == AFT_MICRO) &&
        value != INT64_MIN)
        return value; /* all of it, undelayed and unweighed */
    uint64_t v[LIMBS] = {value < 0 ? 0 - (uint64_t)value : (uint64_t)value};
    times(v, ppm);
    times(v, decay);
    if (weight)
        times(v, *weight < 0 ? 0 - (uint64_t)*weight : (uint64_t)*weight);
    /* the divisor is 10^6 * 2^32 (10^12 * 2^32 with a weight) = odd * 2^shift; shift is 38 or 44 */
    uint64_t odd = weight ? 244140625 : 15625, below = divide(v, odd);
    unsigned shift = weight ? 44 : 38;
    uint64_t rest = v[0] & ((UINT64_C(1) << shift) - 1), half = UINT64_C(1) << (shift - 1);
    uint64_t q = v[0] >> shift | v[1] << (64 - shift); /* rest + below / odd is left, of 2^shift */
    bool up = rest > half || (rest == half && (below != 0 || (q & 1)));
    if (v[1] >> shift || v[2] || v[3] || q > INT64_MAX - 1)
        return negative ? -INT64_MAX : INT64_MAX;
    q += up;
    return negative ? -(int64_t)q : (int64_t)q;
}

/* credit_of writes one share down. */
static void
credit_of(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind,
          const struct afti_found *f, uint32_t ppm)
{
    const struct aft_kind *rule = &j->config.kinds[kind];
    uint64_t decay = rule->delay_half_life_ms
                         ? aft_decay_q32(o->timestamp_ms - f->shown, rule->delay_half_life_ms)
                         : UINT64_C(1) << 32;
    *afti_ledger_add(&j->ledger) = (struct afti_credit){
        .decision = f->decision,
        .touch = f->touch,
        .item = f->item,
        .kind = kind,
        .ppm = ppm,
        .unit = afti_scale(o->value_micro, ppm, decay, NULL),
        .micro = afti_scale(o->value_micro, ppm, decay, &rule->weight_micro),
    };
}

static enum aft_err
share_out(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind, enum aft_rule how,
          struct aft_error *e)
{
    uint32_t n = (uint32_t)j->found_n;
    struct aft_touch_view *views = aft_arena_take(&j->arena, n * sizeof *views);
    uint32_t *ppm = aft_arena_take(&j->arena, n * sizeof *ppm);
    if (!views || !ppm)
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "one outcome has %u touches, too many for one split: shorten "
                        "join.window, or use last_touch",
                        n);
    for (uint32_t i = 0; i < n; i++)
        views[i] = (struct aft_touch_view){j->found[i].time, j->found[i].arm};
    AFT_TRY(aft_split(how, j->config.kinds[kind].half_life_ms, views, n, o->timestamp_ms, &j->arena,
                      ppm, e));
    for (uint32_t i = 0; i < n; i++)
        if (ppm[i])
            credit_of(j, o, kind, &j->found[i], ppm[i]);
    AFTI_FATE(j, credited);
    j->counts.counts.credit_ppm += AFT_PPM;
    return AFT_OK;
}

/* named finds the items that a direct outcome is about; *any = false when it names an arm that was not shown. */
static void
named(struct aft_joiner *j, const struct aft_impression *v, const struct aft_outcome *o,
      const struct afti_found *base, uint8_t kind, bool *any)
{
    *any = false;
    j->found_n = 0;
    for (uint32_t i = 0; i < v->slate_n; i++) {
        if (o->arm_id.p && !aft_same(o->arm_id, v->slate[i].arm_id))
            continue;
        *any = true;
        if (afti_repeats(j, kind, base->touch, (uint8_t)i))
            continue;
        AFTI_ROOM(j->found, j->found_n + 1, j->found_cap);
        j->found[j->found_n] = *base;
        j->found[j->found_n++].item = (uint8_t)i;
    }
}

static void
activate(struct aft_joiner *j, uint64_t touch)
{
    const struct aft_touch *t = aft_index_touch(&j->index, touch);
    AFTI_FATE(j, activation);
    if (t->flags & AFT_TOUCH_ACTIVE)
        return;
    j->ledger.flags |= AFTI_ACTIVATES;
    j->ledger.activated = aft_touch_id(t);
    j->ledger.activated_touch = touch;
}

static enum aft_err
direct(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind, struct aft_error *e)
{
    const struct aft_kind *rule = &j->config.kinds[kind];
    struct aft_impression v;
    uint64_t touch;
    bool there = aft_index_find(&j->index, aft_id_of(o->decision_id), &touch), any;
    AFT_ASSERT(there);
    const struct aft_touch *t = aft_index_touch(&j->index, touch);
    if (o->timestamp_ms < aft_touch_ts(t) ||
        o->timestamp_ms > aft_touch_ts(t) + j->config.window_ms) {
        AFTI_FATE(j, outside_window);
        return AFT_OK;
    }
    struct afti_found base = {.touch = touch,
                              .decision = aft_touch_id(t),
                              .time = aft_touch_ts(t),
                              .shown = aft_touch_ts(t)};
    AFT_TRY(afti_impression_of(j, touch, &v, &base.offset, e));
    named(j, &v, o, &base, kind, &any);
    if (!any) {
        AFTI_FATE(j, unknown_arm);
    } else if (rule->activates) {
        activate(j, touch);
    } else if (!j->found_n) {
        AFTI_FATE(j, repeat);
    } else {
        if (rule->click) {
            j->ledger.flags |= AFTI_CLICK;
            j->ledger.click_ms = o->timestamp_ms;
        }
        return share_out(j, o, kind, AFT_RULE_LINEAR, e);
    }
    return AFT_OK;
}

enum aft_err
afti_attribute(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind, struct aft_error *e)
{
    afti_ledger_reset(&j->ledger);
    j->ledger.note = o->decision_id.p ? AFTI_DIRECT : 0;
    if (o->decision_id.p)
        return direct(j, o, kind, e);
    AFT_TRY(afti_touches(j, o, kind, e));
    if (j->found_n)
        return share_out(j, o, kind, j->config.kinds[kind].rule, e);
    AFTI_FATE(j, organic);
    return AFT_OK;
}

bool
afti_touch_is(const struct aft_joiner *j, uint64_t n, struct aft_hash128 id)
{
    const struct aft_index *x = &j->index;
    if (n < x->gone || n >= x->tail)
        return false;
    const struct aft_touch *t = aft_index_touch(x, n);
    return (t->flags & AFT_TOUCH_LIVE) && aft_same_id(aft_touch_id(t), id);
}

static int64_t
wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* credit_touch changes the cells of one credited item. */
static void
credit_touch(struct aft_joiner *j, const struct afti_ledger *l, const struct afti_credit *c)
{
    uint64_t n = c->touch;
    if (!afti_touch_is(j, n, c->decision))
        return; /* it was gone already; or, when it is read again, it was erased later */
    if (l->flags & AFTI_CLICK) {
        struct aft_cell *click = aft_index_cell(&j->index, n, c->item, AFT_CELL_CLICK, false);
        if (!click) {
            click = aft_index_cell(&j->index, n, c->item, AFT_CELL_CLICK, true);
            click->unit = l->click_ms;
        }
        click->unit = l->click_ms > click->unit ? l->click_ms : click->unit;
    }
    struct aft_cell *cell = aft_index_cell(&j->index, n, c->item, c->kind, true);
    cell->unit = wrapping(cell->unit, c->unit);
    cell->micro = wrapping(cell->micro, c->micro);
    AFTI_ROOM(j->change, j->change_n + 1, j->change_cap);
    j->change[j->change_n++] = (struct afti_change){n, c->item, c->micro};
}

/* opened_by_offset puts the changes of opened touches into j->ranked, by offset of the impression. */
static enum aft_err
opened_by_offset(struct aft_joiner *j, size_t *n, struct aft_error *e)
{
    *n = 0;
    for (size_t i = 0; i < j->change_n; i++) {
        const struct aft_touch *t = aft_index_touch(&j->index, j->change[i].touch);
        struct aft_redo_record rec = {.offset = 0};
        if (!(t->flags & AFT_TOUCH_OPENED))
            continue;
        if (j->change_n > 1) /* one alone is in order */
            AFT_TRY(aft_segments_read(&j->segments, aft_touch_place(t), &rec, e));
        AFTI_ROOM(j->ranked, *n + 1, j->ranked_cap);
        j->ranked[(*n)++] = (struct afti_ranked){
            .a = (uint64_t)rec.offset, .b = j->change[i].touch, .c = (uint32_t)i};
    }
    if (*n > 1)
        afti_sort(j->ranked, *n);
    return AFT_OK;
}

static enum aft_err
revise(struct aft_joiner *j, int64_t when, struct aft_bytes cause, struct aft_error *e)
{
    size_t n;
    AFT_TRY(opened_by_offset(j, &n, e));
    for (size_t i = 0, end; i < n; i = end) {
        int64_t deltas[AFT_SHOWN_MAX] = {0};
        bool any = false;
        for (end = i; end < n && j->ranked[end].b == j->ranked[i].b; end++) {
            const struct afti_change *c = &j->change[j->ranked[end].c];
            deltas[c->item] = wrapping(deltas[c->item], c->micro);
        }
        for (int k = 0; k < (int)AFT_SHOWN_MAX; k++)
            any |= deltas[k] != 0;
        if (any)
            AFT_TRY(afti_emit(j, AFT_REVISE, when, j->ranked[i].b, cause, deltas, e));
    }
    return AFT_OK;
}

enum aft_err
afti_apply(struct aft_joiner *j, int64_t when, uint32_t segment, const struct afti_ledger *l,
           struct aft_bytes cause, struct aft_error *e)
{
    struct aft_index *x = &j->index;
    if (l->flags & AFTI_ACTIVATES) {
        struct afti_activation a = {when + j->config.open_after_ms, x->tail, l->activated_touch,
                                    l->activated, segment};
        if (afti_touch_is(j, l->activated_touch, l->activated))
            aft_index_touch(x, l->activated_touch)->flags |= AFT_TOUCH_ACTIVE;
        afti_timers_activate(j, &a);
    }
    if ((l->flags & AFTI_RETRACTS) && l->retracted >= x->seen_head)
        aft_index_seen(x, l->retracted)->ledger.segment = 0;
    j->change_n = 0;
    for (uint32_t i = 0; i < l->credit_n; i++)
        credit_touch(j, l, &l->credit[i]);
    return j->replaying ? AFT_OK : revise(j, when, cause, e);
}
