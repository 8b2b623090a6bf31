/* touches.c - which touches an indirect outcome had: the user's decisions shown in the window before it, item by item.
 *
 * Order: by time, then by the impressions' offsets, then from the bottom of the slate to its top, so that the top counts as later.
 * Among touches of equal ts, touch numbers ascend with offsets: the effective time never falls along a log.
 */
#include "attribution/inner.h"

static uint64_t
ascending(int64_t v)
{
    return (uint64_t)v ^ (UINT64_C(1) << 63);
}

/* same_or_both_absent: a null subject matches a null subject. */
static bool
same_or_both_absent(struct aft_bytes a, struct aft_bytes b)
{
    return a.p && b.p ? aft_same(a, b) : a.p == b.p;
}

bool
afti_repeats(struct aft_joiner *j, uint8_t kind, uint64_t touch, uint8_t item)
{
    if (!j->config.kinds[kind].count_first)
        return false;
    const struct aft_cell *c = aft_index_cell(&j->index, touch, item, kind, false);
    return c && c->unit != 0;
}

enum aft_err
afti_unreadable(const struct aft_touch *t, struct aft_error *e)
{
    return AFT_FAIL(
        e, AFT_E_CORRUPT,
        "an impression of segment %u cannot be read again: restore a checkpoint, or rebuild "
        "the state from the logs",
        t->segment);
}

enum aft_err
afti_impression_of(struct aft_joiner *j, uint64_t touch, struct aft_impression *out,
                   int64_t *offset, struct aft_error *e)
{
    const struct aft_touch *t = aft_index_touch(&j->index, touch);
    struct aft_redo_record rec;
    AFT_TRY(aft_segments_read(&j->segments, aft_touch_place(t), &rec, e));
    aft_arena_reset(&j->scratch);
    *offset = rec.offset;
    if (rec.kind == AFT_REDO_IMPRESSION &&
        aft_decode_impression(rec.payload, &j->scratch, out, e) == AFT_OK)
        return AFT_OK;
    return afti_unreadable(t, e);
}

/* candidate: may this touch be credited with an outcome of that time? */
static bool
candidate(const struct aft_joiner *j, const struct aft_touch *t, int64_t outcome_ms)
{
    int64_t ts = aft_touch_ts(t);
    return (t->flags & AFT_TOUCH_LIVE) && (t->flags & AFT_TOUCH_ACTIVE) && ts <= outcome_ms &&
           ts >= outcome_ms - j->config.window_ms;
}

/* in_window puts the user's live touches with ts <= outcome <= ts + window into j->ranked, by (ts, number). */
static size_t
in_window(struct aft_joiner *j, struct aft_hash128 user, int64_t outcome_ms)
{
    const struct aft_index *x = &j->index;
    int64_t oldest = outcome_ms - j->config.window_ms;
    size_t n = 0;
    uint64_t at;
    for (bool more = aft_index_newest(x, user, &at); more; more = aft_index_before(x, at, &at)) {
        const struct aft_touch *t = aft_index_touch(x, at);
        if (aft_touch_e(t) < oldest) /* ts <= e, and e only falls from here */
            break;
        if (!candidate(j, t, outcome_ms))
            continue;
        AFTI_ROOM(j->ranked, n + 1, j->ranked_cap);
        j->ranked[n++] = (struct afti_ranked){.a = ascending(aft_touch_ts(t)), .b = at};
    }
    if (n > 1)
        afti_sort(j->ranked, n);
    return n;
}

/* latest is the last of what in_window finds, without walking further than it takes: once a touch is found, those whose e is not
 * above its ts are not later (of one ts, the greater number is, and numbers only fall from here). Nor does e ever rise from here: behind a
 * touch that came on time no other needs to be looked at. */
static bool
latest(const struct aft_joiner *j, struct aft_hash128 user, int64_t outcome_ms, uint64_t *touch)
{
    const struct aft_index *x = &j->index;
    int64_t best = outcome_ms - j->config.window_ms - 1;
    bool found = false;
    uint64_t at;
    for (bool more = aft_index_newest(x, user, &at); more; more = aft_index_before(x, at, &at)) {
        const struct aft_touch *t = aft_index_touch(x, at);
        if (aft_touch_e(t) <= best)
            break;
        if (!candidate(j, t, outcome_ms) || aft_touch_ts(t) <= best)
            continue;
        best = aft_touch_ts(t);
        *touch = at;
        found = true;
        if (aft_touch_e(t) == best)
            break;
    }
    return found;
}

static bool
item_matches(const struct aft_kind *rule, const struct aft_impression *v, uint32_t i,
             const struct aft_outcome *o)
{
    switch (rule->match) {
    case AFT_MATCH_SUBJECT:
        AFT_ASSERT(v->slate); /* needs_record */
        return same_or_both_absent(v->slate[i].subject, o->subject);
    case AFT_MATCH_SESSION:
        return same_or_both_absent(v->session_id, o->session_id);
    case AFT_MATCH_USER:
        return true;
    }
    AFT_NEVER();
}

static void
add_found(struct aft_joiner *j, const struct aft_kind *rule, const struct aft_outcome *o,
          const struct afti_found *from)
{
    struct afti_found f = *from;
    const struct aft_cell *click =
        rule->prefer_clicked ? aft_index_cell(&j->index, f.touch, f.item, AFT_CELL_CLICK, false)
                             : NULL;
    f.clicked = click && click->unit <= o->timestamp_ms;
    f.time = f.clicked ? click->unit : f.shown;
    AFTI_ROOM(j->found, j->found_n + 1, j->found_cap);
    j->found[j->found_n++] = f;
}

/* needs_record: is there more to know of a touch than the index holds? Offsets order the clicked ones alone. */
static bool
needs_record(const struct aft_kind *rule)
{
    return rule->match != AFT_MATCH_USER || rule->rule == AFT_RULE_SHAPLEY || rule->prefer_clicked;
}

/* items_of adds what one touch has to offer, from the bottom of the slate to the top (or the reverse). One is enough when `one`. */
static enum aft_err
items_of(struct aft_joiner *j, uint64_t touch, const struct aft_outcome *o, uint8_t kind,
         struct aft_error *e)
{
    const struct aft_kind *rule = &j->config.kinds[kind];
    const struct aft_touch *t = aft_index_touch(&j->index, touch);
    struct aft_impression v = {.slate_n = t->items};
    struct afti_found f = {.touch = touch, .decision = aft_touch_id(t), .shown = aft_touch_ts(t)};
    if (needs_record(rule))
        AFT_TRY(afti_impression_of(j, touch, &v, &f.offset, e));
    bool top_first = rule->rule == AFT_RULE_LAST_TOUCH && !rule->prefer_clicked;
    for (uint32_t k = 0; k < v.slate_n; k++) {
        uint32_t i = top_first ? k : v.slate_n - 1 - k;
        if (!item_matches(rule, &v, i, o) || afti_repeats(j, kind, touch, (uint8_t)i))
            continue;
        f.item = (uint8_t)i;
        AFT_ASSERT(rule->rule != AFT_RULE_SHAPLEY || v.slate);
        f.arm = rule->rule == AFT_RULE_SHAPLEY ? aft_arena_copy(&j->arena, v.slate[i].arm_id)
                                               : AFT_ABSENT;
        if (rule->rule == AFT_RULE_SHAPLEY && !f.arm.p)
            return AFT_FAIL(e, AFT_E_LIMIT,
                            "one outcome has more touches than memory for a split allows: "
                            "shorten join.window, or use another rule than shapley");
        add_found(j, rule, o, &f);
        if (top_first)
            break;
    }
    return AFT_OK;
}

/* clicked_first keeps the clicked ones alone, if there is one, and sorts by time again: a click's time is not its impression's. */
static void
clicked_first(struct aft_joiner *j)
{
    size_t n = 0;
    for (size_t i = 0; i < j->found_n; i++)
        n += j->found[i].clicked;
    if (n == 0)
        return;
    n = 0;
    for (size_t i = 0; i < j->found_n; i++)
        if (j->found[i].clicked)
            j->found[n++] = j->found[i];
    j->found_n = n;
    AFTI_ROOM(j->ranked, n, j->ranked_cap);
    AFTI_ROOM(j->found, 2 * n, j->found_cap);
    for (size_t i = 0; i < n; i++)
        j->ranked[i] = (struct afti_ranked){.a = ascending(j->found[i].time),
                                            .b = ascending(j->found[i].offset),
                                            .c = 255u - j->found[i].item,
                                            .value = (uint32_t)i};
    afti_sort(j->ranked, n);
    for (size_t i = 0; i < n; i++)
        j->found[n + i] = j->found[j->ranked[i].value];
    memmove(j->found, j->found + n, n * sizeof *j->found);
}

enum aft_err
afti_touches(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind, struct aft_error *e)
{
    const struct aft_kind *rule = &j->config.kinds[kind];
    struct aft_hash128 user = aft_id_of(o->user_id);
    uint64_t newest;
    bool last = rule->rule == AFT_RULE_LAST_TOUCH && !rule->prefer_clicked;
    bool first = rule->rule == AFT_RULE_FIRST_TOUCH && !rule->prefer_clicked;
    j->found_n = 0;
    if (last && latest(j, user, o->timestamp_ms, &newest))
        AFT_TRY(items_of(j, newest, o, kind, e));
    if (last && j->found_n)
        return AFT_OK;
    size_t n = in_window(j, user, o->timestamp_ms);
    for (size_t i = 0; i < n; i++) {
        uint64_t touch = j->ranked[last ? n - 1 - i : i].b;
        AFT_TRY(items_of(j, touch, o, kind, e));
        if ((last || first) && j->found_n) /* nobody else can get a part */
            break;
    }
    if (first && j->found_n)
        j->found_n = 1;
    if (rule->prefer_clicked)
        clicked_first(j);
    return AFT_OK;
}
