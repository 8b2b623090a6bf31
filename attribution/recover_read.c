/* recover_read.c - what recovery wants of a segment, out of its bytes: recover.h. It may run in a thread of its own, and touches nothing but
 * its arguments.
 *
 * Users are linked here: which touch came before another of the same user is a matter of what was read, and of nobody's life. So half of
 * the work that waits for memory is done beside the other half.
 * Invariant: I1 a segment that does not follow the one before it, or is cut off, is the last that is read.
 */
#include "attribution/recover.h"

/* first_credit: the touch of an outcome's first credit, where its entry is the usual one (ledger.c). */
static uint64_t
first_credit(struct aft_bytes ledger)
{
    const size_t head = 2, hash = 12; /* no flags, fewer than 64 credits */
    int64_t number;
    if (ledger.n < head + hash || ledger.p[0] != 0 || ledger.p[1] > 127)
        return AFTI_AGAIN_UNKNOWN;
    struct aft_reader r = {ledger.p + head + hash, ledger.p + ledger.n};
    return aft_get_long(&r, &number) ? (uint64_t)number - 1 : AFTI_AGAIN_UNKNOWN;
}

static void
impression(struct afti_reading *s, struct aft_bytes body, struct afti_again *d)
{
    struct aft_glance v;
    d->sound = aft_glance_impression(body, &v);
    if (!d->sound)
        return;
    d->id = aft_id_of(v.decision_id);
    d->user = aft_id_of(v.user_id);
    d->ts = v.timestamp_ms;
    AFT_USERS_EXPECT(&s->users, d->user.low);
}

static void
outcome(struct aft_bytes payload, struct afti_again *d)
{
    const size_t hash = 16;
    d->sound = payload.n >= hash;
    if (!d->sound)
        return;
    d->id =
        aft_id_from((struct aft_hash128){aft_load_le64(payload.p), aft_load_le64(payload.p + 8)});
    if (d->kind == AFT_REDO_OUTCOME)
        d->touch = first_credit((struct aft_bytes){payload.p + hash, payload.n - hash});
}

/* room_for: of a record of these many bytes with its payload's. */
static size_t
room_for(size_t payload_n)
{
    return sizeof(struct afti_again) + ((payload_n + 7) & ~(size_t)7);
}

/* put makes a record in its place behind what is there; it lives until the next. */
static struct afti_again *
put(struct aft_buffer *out, uint8_t kind, struct aft_place at, struct aft_bytes payload)
{
    size_t room = room_for(payload.n);
    uint8_t *p = aft_reserve(out, room);
    struct afti_again *d = (struct afti_again *)(void *)p;
    d->kind = kind;
    d->at = at;
    d->sound = true;
    d->note = 0;
    d->before = 0;
    d->touch = AFTI_AGAIN_UNKNOWN;
    d->payload_n = (uint32_t)payload.n;
    if (payload.n) {
        memset(p + room - 8, 0, 8);
        memcpy(d + 1, payload.p, payload.n);
    }
    out->n += room;
    return d;
}

static struct afti_again *
taken(struct aft_bytes block, size_t *at)
{
    if (*at == block.n)
        return NULL;
    AFT_ASSERT(block.n - *at >= sizeof(struct afti_again));
    struct afti_again *d = (struct afti_again *)(uintptr_t)(block.p + *at);
    *at += room_for(d->payload_n);
    AFT_ASSERT(*at <= block.n);
    return d;
}

const struct afti_again *
afti_again_next(struct aft_bytes block, size_t *at)
{
    return taken(block, at);
}

/* records reads all of a segment's; true: to its end. */
static bool
records(struct afti_reading *s, uint32_t segment, struct aft_bytes value, struct aft_buffer *out)
{
    struct aft_redo_record r;
    size_t at = AFT_SEGMENT_HEAD, from = at;
    for (; aft_redo_next(value, &at, &r); from = at) {
        bool shown = r.kind == AFT_REDO_IMPRESSION;
        struct aft_place place = {segment, (uint32_t)from};
        struct afti_again *d = put(out, (uint8_t)r.kind, place, shown ? AFT_ABSENT : r.payload);
        d->note = r.note;
        d->e = r.e;
        if (shown)
            impression(s, r.payload, d);
        else if (r.kind == AFT_REDO_OUTCOME || r.kind == AFT_REDO_WAITING)
            outcome(r.payload, d);
    }
    return at == value.n;
}

/* link_users: of what was made of one segment, whose users' places are on their way from memory by now. */
static void
link_users(struct afti_reading *s, struct aft_bytes made)
{
    size_t at = 0;
    uint64_t n;
    for (struct afti_again *d; (d = taken(made, &at)) != NULL;) {
        bool shown = d->kind == AFT_REDO_IMPRESSION;
        uint64_t number = s->next;
        s->next += shown || d->kind == AFT_REDO_ERASED;
        if (shown && d->sound && aft_users_put(&s->users, d->user, number, s->first, &n))
            d->before = number - n <= UINT32_MAX ? (uint32_t)(number - n) : 0;
    }
}

/* make_present: memory of the touches that come after these, so that who adds them need not wait for it. */
static void
make_present(struct afti_reading *s)
{
    const uint64_t chunk = UINT64_C(1) << AFT_TOUCH_CHUNK_BITS, ahead = 2 * chunk;
    for (; s->present < s->end && s->present < s->next + ahead;
         s->present = (s->present | (chunk - 1)) + 1)
        aft_index_present(s->index, s->present);
}

bool
afti_again_head(struct aft_bytes value, uint64_t *touch, uint64_t *outcome)
{
    if (value.n < AFT_SEGMENT_HEAD || memcmp(value.p, "AFS2", 4) != 0)
        return false;
    *touch = aft_load_le64(value.p + 4);
    *outcome = aft_load_le64(value.p + 12);
    return true;
}

enum aft_err
afti_again_read(void *ctx, const struct aft_put *at, struct aft_buffer *out, bool *enough,
                struct aft_error *e)
{
    struct afti_reading *s = ctx;
    (void)e;
    if (at->key.n != AFT_KEY_BYTES || at->key.p[8] != AFT_KEY_SEGMENT)
        return AFT_OK;
    uint64_t number = aft_load_be64(at->key.p);
    struct aft_place place = {(uint32_t)number, 0};
    struct afti_again *head = put(out, AFTI_AGAIN_HEAD, place, AFT_ABSENT);
    head->e = (int64_t)number;
    head->sound = afti_again_head(at->value, &head->touch, &head->outcome);
    *enough = true;
    if (!head->sound || head->touch != s->next) /* I1 */
        return AFT_OK;
    size_t from = out->n;
    bool whole = records(s, place.segment, at->value, out);
    link_users(s, (struct aft_bytes){out->p + from, out->n - from});
    make_present(s);
    if (!whole)
        put(out, AFTI_AGAIN_CUT, place, AFT_ABSENT);
    *enough = !whole || number >= s->last;
    return AFT_OK;
}
