/* splice.c - an impression's body and its credit -> an example's body, without decoding what is only carried on.
 * In: a canonical body that aft_decode_impression accepted. Out: the very bytes that aft_encode_example makes of the decoded one.
 *
 * What follows one another in both is copied as it stands, in one piece. What is not what an encoder writes (a list in several blocks, or
 * with its size; a number with more bytes than it needs) is not copied: then nothing is written, and the caller decodes.
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
    return aft_get_long(r, out) && r->p[-1] != 0;
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

/* walk_none: a list without items, which most are. */
static inline bool
walk_none(struct aft_reader *r)
{
    bool none = r->p != r->end && *r->p == 0;
    r->p += none;
    return none;
}

/* walk_features: a map of features, ended by 0 after at most one block. */
static bool
walk_some_features(struct aft_reader *r)
{
    int64_t n, type, end;
    struct aft_bytes text;
    if (!walk_long(r, &n) || n < 0)
        return false;
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

static inline bool
walk_features(struct aft_reader *r)
{
    return walk_none(r) || walk_some_features(r);
}

static bool
walk_some_candidates(struct aft_reader *r)
{
    int64_t n, branch, end;
    struct aft_bytes text;
    if (!walk_long(r, &n) || n < 0)
        return false;
    for (; n > 0; n--)
        if (!walk_text(r, &text) || !walk_features(r) || !walk_long(r, &branch) ||
            (branch != 0 && !walk_raw(r, 4)) || !walk_maybe(r, &text))
            return false;
    return walk_long(r, &end) && end == 0;
}

static inline bool
walk_candidates(struct aft_reader *r)
{
    return walk_none(r) || walk_some_candidates(r);
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
/* head: decision, user and time stand together in both, policy to kind too, context and candidates too. */
static uint8_t *
head(struct aft_reader *r, const struct aft_splice *s, uint8_t *p)
{
    struct aft_bytes decision, text;
    int64_t number;
    const uint8_t *from = r->p;
    p = write_long(p, (int64_t)s->seq);
    p = write_long(p, (int64_t)s->phase);
    p = write_long(p, s->fire_ms);
    if (!walk_text(r, &decision) || !walk_text(r, &text) || !walk_long(r, &number))
        return NULL;
    p = write_raw(p, from, r->p);
    if (!walk_maybe(r, &text)) /* the session */
        return NULL;
    from = r->p;
    if (!walk_text(r, &text) || !walk_maybe(r, &text) || !walk_long(r, &number))
        return NULL;
    p = write_maybe(write_raw(p, from, r->p), s->cause);
    if (!walk_raw(r, 1)) /* deferred */
        return NULL;
    from = r->p;
    if (!walk_features(r) || !walk_candidates(r))
        return NULL;
    return write_raw(p, from, r->p);
}

/* item: arm, slot and chances stand together in both; between them and the features, the subject stays behind. */
static uint8_t *
item(struct aft_reader *r, const struct aft_item_credit *c, uint8_t *p)
{
    struct aft_bytes text;
    int64_t slot, marginal;
    const uint8_t *from = r->p;
    if (!walk_text(r, &text) || !walk_long(r, &slot) || !walk_raw(r, 8) ||
        !walk_long(r, &marginal) || !walk_raw(r, marginal ? 8 : 0))
        return NULL;
    p = write_raw(p, from, r->p);
    if (!walk_maybe(r, &text))
        return NULL;
    from = r->p;
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
    return aft_get_bytes(&r, AFT_ID_BYTES_MAX, &out->decision_id) &&
           aft_get_bytes(&r, AFT_ID_BYTES_MAX, &out->user_id) &&
           aft_get_long(&r, &out->timestamp_ms);
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
