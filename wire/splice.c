/* splice.c - an impression's body and its credit -> an example's body, without decoding what is only carried on.
 * In: a canonical body that aft_decode_impression accepted. Out: the very bytes that aft_encode_example makes of the decoded one.
 *
 * Context, candidates, items' features and the design are copied as they stand, the rest is read and written again. A list that stands
 * in several blocks, or with its size, is not what an encoder writes: then nothing is written, and the caller decodes.
 * Invariants: I1 the reader never passes its end; I2 nothing is written past what was reserved at the start. Any thread.
 */
#include "wire/wire.h"

enum { LONG_BYTES = 10, HEAD_BYTES = 8 * LONG_BYTES + 2, ITEM_BYTES = 6 * LONG_BYTES };

/* ---- walking; false: cut off, or not in the one form */
static inline bool
walk_long(struct aft_reader *r, int64_t *out)
{
    if (r->p != r->end && *r->p < 128) {
        uint8_t b = *r->p++;
        *out = (int64_t)(b >> 1) ^ -(int64_t)(b & 1);
        return true;
    }
    *out = 0;
    return aft_get_long(r, out);
}

static inline bool
walk_raw(struct aft_reader *r, size_t n)
{
    if (aft_left(r) < n)
        return false;
    r->p += n;
    return true;
}

static inline bool
walk_text(struct aft_reader *r, struct aft_bytes *out)
{
    int64_t n;
    return walk_long(r, &n) && n >= 0 && aft_get_raw(r, (size_t)n, out);
}

static inline bool
walk_maybe(struct aft_reader *r, struct aft_bytes *out)
{
    int64_t branch;
    *out = AFT_ABSENT;
    return walk_long(r, &branch) && (branch == 0 || walk_text(r, out));
}

/* walk_features: a map of features, ended by 0 after at most one block. */
static bool
walk_features(struct aft_reader *r)
{
    int64_t n, type, end;
    struct aft_bytes text;
    if (!walk_long(r, &n) || n < 0)
        return false;
    if (n == 0)
        return true;
    for (; n > 0; n--) {
        if (!walk_text(r, &text) || !walk_long(r, &type))
            return false;
        bool whole = type == AFT_FEATURE_NUMBER ? walk_raw(r, 8)
                     : type == AFT_FEATURE_TEXT ? walk_text(r, &text)
                                                : walk_raw(r, 1);
        if (!whole)
            return false;
    }
    return walk_long(r, &end) && end == 0;
}

static bool
walk_candidates(struct aft_reader *r)
{
    int64_t n, branch, end;
    struct aft_bytes text;
    if (!walk_long(r, &n) || n < 0)
        return false;
    if (n == 0)
        return true;
    for (; n > 0; n--)
        if (!walk_text(r, &text) || !walk_features(r) || !walk_long(r, &branch) ||
            (branch != 0 && !walk_raw(r, 4)) || !walk_maybe(r, &text))
            return false;
    return walk_long(r, &end) && end == 0;
}

static bool
walk_design(struct aft_reader *r)
{
    int64_t branch, n = 0, end = 0;
    struct aft_bytes text;
    if (!walk_long(r, &branch) || branch == 0)
        return branch == 0;
    if (!walk_text(r, &text) || !walk_raw(r, 16) || !walk_long(r, &n) || !walk_maybe(r, &text) ||
        !walk_long(r, &branch) || !walk_raw(r, branch ? 8 : 0) || !walk_long(r, &branch))
        return false;
    if (branch == 0)
        return true;
    return walk_text(r, &text) && walk_long(r, &n) && n >= 0 && n <= (int64_t)AFT_SHOWN_MAX &&
           walk_raw(r, 8 * (size_t)n) && (n == 0 || walk_long(r, &end)) && end == 0;
}

/* ---- writing, into what was reserved */
static inline uint8_t *
write_long(uint8_t *p, int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    while (u > 127) {
        *p++ = (uint8_t)(u | 128);
        u >>= 7;
    }
    *p++ = (uint8_t)u;
    return p;
}

static inline uint8_t *
write_raw(uint8_t *p, const uint8_t *from, const uint8_t *to)
{
    memcpy(p, from, (size_t)(to - from));
    return p + (to - from);
}

static inline uint8_t *
write_text(uint8_t *p, struct aft_bytes v)
{
    p = write_long(p, (int64_t)v.n);
    return write_raw(p, v.p, v.p + v.n);
}

static inline uint8_t *
write_maybe(uint8_t *p, struct aft_bytes v)
{
    *p++ = v.p ? 2 : 0;
    return v.p ? write_text(p, v) : p;
}

static uint8_t *
write_credit(uint8_t *p, const struct aft_item_credit *c)
{
    p = write_long(p, c->reward_micro);
    p = write_long(p, c->delta_micro);
    if (c->components_n)
        p = write_long(p, c->components_n);
    for (uint32_t i = 0; i < c->components_n; i++) {
        p = write_text(p, c->components[i].kind);
        p = write_long(p, c->components[i].micro);
    }
    *p++ = 0;
    return p;
}

/* ---- parts */
static uint8_t *
head(struct aft_reader *r, const struct aft_splice *s, uint8_t *p)
{
    struct aft_bytes decision, user, session, policy, snapshot;
    int64_t when, kind;
    if (!walk_text(r, &decision) || !walk_text(r, &user) || !walk_long(r, &when) ||
        !walk_maybe(r, &session) || !walk_text(r, &policy) || !walk_maybe(r, &snapshot) ||
        !walk_long(r, &kind) || !walk_raw(r, 1))
        return NULL;
    p = write_long(p, (int64_t)s->seq);
    p = write_long(p, (int64_t)s->phase);
    p = write_long(p, s->fire_ms);
    p = write_text(p, decision);
    p = write_text(p, user);
    p = write_long(p, when);
    p = write_text(p, policy);
    p = write_maybe(p, snapshot);
    p = write_long(p, kind);
    p = write_maybe(p, s->cause);
    const uint8_t *from = r->p;
    if (!walk_features(r) || !walk_candidates(r))
        return NULL;
    return write_raw(p, from, r->p);
}

static uint8_t *
item(struct aft_reader *r, const struct aft_item_credit *c, uint8_t *p)
{
    struct aft_bytes arm, subject;
    int64_t slot, marginal;
    if (!walk_text(r, &arm) || !walk_long(r, &slot))
        return NULL;
    const uint8_t *chances = r->p;
    if (!walk_raw(r, 8) || !walk_long(r, &marginal) || !walk_raw(r, marginal ? 8 : 0))
        return NULL;
    p = write_text(p, arm);
    p = write_long(p, slot);
    p = write_raw(p, chances, chances + 8);
    *p++ = marginal ? 2 : 0;
    if (marginal)
        p = write_raw(p, r->p - 8, r->p);
    if (!walk_maybe(r, &subject))
        return NULL;
    const uint8_t *from = r->p;
    if (!walk_features(r))
        return NULL;
    return write_credit(write_raw(p, from, r->p), c);
}

static uint8_t *
items(struct aft_reader *r, const struct aft_splice *s, uint8_t *p)
{
    int64_t n, end = 0;
    if (!walk_long(r, &n) || n < 0 || (uint64_t)n != s->items_n)
        return NULL;
    if (n)
        p = write_long(p, n);
    for (uint32_t i = 0; p && i < s->items_n; i++)
        p = item(r, &s->items[i], p);
    if (!p || (n && !walk_long(r, &end)) || end != 0)
        return NULL;
    *p++ = 0;
    return p;
}

bool
aft_glance_impression(struct aft_bytes impression, struct aft_glance *out)
{
    struct aft_reader r = aft_reader(impression);
    return walk_text(&r, &out->decision_id) && walk_text(&r, &out->user_id) &&
           walk_long(&r, &out->timestamp_ms);
}

static size_t
room_for(struct aft_bytes impression, const struct aft_splice *s)
{
    size_t n = impression.n + HEAD_BYTES + s->cause.n + s->items_n * (size_t)ITEM_BYTES;
    for (uint32_t i = 0; i < s->items_n; i++)
        for (uint32_t k = 0; k < s->items[i].components_n; k++)
            n += s->items[i].components[k].kind.n + 2 * LONG_BYTES;
    return n;
}

bool
aft_splice_example(struct aft_buffer *b, struct aft_bytes impression, const struct aft_splice *s)
{
    struct aft_reader r = aft_reader(impression);
    size_t room = room_for(impression, s);
    uint8_t *start = aft_reserve(b, room), *p = head(&r, s, start);
    if (p)
        p = items(&r, s, p);
    const uint8_t *from = r.p;
    if (!p || !walk_design(&r))
        return false;
    p = write_raw(p, from, r.end);
    AFT_INVARIANT(I2, (size_t)(p - start) <= room);
    b->n += (size_t)(p - start);
    return true;
}
