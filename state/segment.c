/* segment.c - segments in memory until the commit, some of them longer; older ones read back from the store. Format: segment.h.
 *
 * Invariants: I1 segments first .. next - 1 have their buffer in the ring; I2 an uncommitted buffer is never let go; I3 a record's
 * length never changes, so a place stays true for ever.
 */
#include "state/segment.h"

#include <stdlib.h>

#include "state/state.h"

enum {
    CACHE = 2048,
    READ_ON = 31,
    SPARES = 512,
    ROOM = AFT_SEGMENT_BYTES + (2 << 10),
    KIND = 7,
    KIND_BITS = 3
};
_Static_assert(AFT_ERASED_BYTES < 32 && (int)AFT_REDO_STALE <= (int)KIND,
               "pad and kind fit into a byte");

void
aft_key_make(uint8_t key[AFT_KEY_BYTES], uint64_t segment, uint8_t type)
{
    aft_store_be64(key, segment);
    key[8] = type;
}

bool
aft_redo_next(struct aft_bytes segment, size_t *at, struct aft_redo_record *out)
{
    if (segment.n < *at || segment.n - *at < AFT_REDO_HEAD)
        return false;
    const uint8_t *p = segment.p + *at;
    uint32_t size = aft_load_le32(p + 2), kind = p[0] & KIND, pad = p[0] >> KIND_BITS;
    if (segment.n - *at - AFT_REDO_HEAD < size || pad > size || kind < AFT_REDO_IMPRESSION ||
        kind > AFT_REDO_STALE)
        return false;
    out->kind = (enum aft_redo)kind;
    out->note = p[1];
    out->e = (int64_t)aft_load_le64(p + 6);
    out->offset = (int64_t)aft_load_le64(p + 14);
    out->payload = (struct aft_bytes){p + AFT_REDO_HEAD, size - pad};
    *at += AFT_REDO_HEAD + (size_t)size;
    return true;
}

void
aft_segments_init(struct aft_segments *s, struct aft_store *store, uint64_t next, size_t hold_max)
{
    AFT_ASSERT(next >= 1);
    *s = (struct aft_segments){
        .store = store, .next = next, .first = next, .cap = 64, .hold_max = hold_max};
    s->ring = calloc(s->cap, sizeof *s->ring);
    s->cache = calloc(CACHE, sizeof *s->cache);
    s->spare = calloc(SPARES, sizeof *s->spare);
    AFT_ASSERT(s->ring && s->cache && s->spare);
}

void
aft_segments_deinit(struct aft_segments *s)
{
    for (uint64_t i = 0; s->ring && i < s->cap; i++)
        aft_buffer_deinit(&s->ring[i].b);
    for (uint64_t i = 0; s->cache && i < CACHE; i++)
        aft_buffer_deinit(&s->cache[i].b);
    for (size_t i = 0; i < s->rewrites_cap; i++)
        aft_buffer_deinit(&s->rewrites[i].b);
    for (size_t i = 0; i < s->spare_n; i++)
        aft_buffer_deinit(&s->spare[i]);
    free(s->spare);
    free(s->ring);
    free(s->cache);
    free(s->rewrites);
    *s = (struct aft_segments){0};
}

static struct aft_segment_buffer *
in_ring(const struct aft_segments *s, uint64_t number)
{
    return &s->ring[number & (s->cap - 1)];
}

static void
widen_ring(struct aft_segments *s)
{
    struct aft_segment_buffer *wide = calloc(s->cap * 2, sizeof *wide);
    AFT_ASSERT(wide != NULL);
    for (uint64_t i = 0; i < s->cap; i++) {
        uint64_t number = s->first + i;
        wide[number & (s->cap * 2 - 1)] = *in_ring(s, number);
    }
    free(s->ring);
    s->ring = wide;
    s->cap *= 2;
}

/* room_for_segment: memory for one more, of the size that nearly all of them need; what was let go first. */
static struct aft_buffer
room_for_segment(struct aft_segments *s)
{
    if (s->spare_n)
        return s->spare[--s->spare_n];
    struct aft_buffer b = {.p = malloc(ROOM), .cap = ROOM};
    AFT_ASSERT(b.p != NULL);
    return b;
}

static void
let_go(struct aft_segments *s, struct aft_buffer *b)
{
    if (s->spare_n < SPARES && b->cap == ROOM) {
        aft_buffer_reset(b);
        s->spare[s->spare_n++] = *b;
        *b = (struct aft_buffer){0};
    } else {
        aft_buffer_deinit(b);
    }
}

static struct aft_segment_buffer *
open_segment(struct aft_segments *s, const struct aft_segment_record *a)
{
    if (s->open)
        return in_ring(s, s->next - 1);
    if (s->next - s->first == s->cap)
        widen_ring(s);
    struct aft_segment_buffer *seg = in_ring(s, s->next);
    AFT_INVARIANT(I2, seg->number < s->first);
    seg->number = s->next++;
    seg->committed = false;
    seg->dirty = true;
    seg->b = room_for_segment(s);
    aft_put_raw(&seg->b, AFT_LITERAL("AFS2"));
    aft_put_le64(&seg->b, a->first_touch);
    aft_put_le64(&seg->b, a->first_outcome);
    s->fresh += AFT_SEGMENT_HEAD;
    s->open = true;
    return seg;
}

struct aft_place
aft_segments_append(struct aft_segments *s, const struct aft_segment_record *a)
{
    struct aft_segment_buffer *seg = open_segment(s, a);
    size_t size = a->head.n + a->tail.n, pad = 0;
    AFT_ASSERT(size <= UINT32_MAX / 2 && seg->b.n < (1u << 24));
    if (a->kind == AFT_REDO_IMPRESSION && size < AFT_ERASED_BYTES)
        pad = AFT_ERASED_BYTES - size;
    struct aft_place at = {(uint32_t)seg->number, (uint32_t)seg->b.n};
    uint8_t *p = aft_reserve(&seg->b, AFT_REDO_HEAD + size + pad);
    p[0] = (uint8_t)(a->kind | pad << KIND_BITS);
    p[1] = a->note;
    aft_store_le32(p + 2, (uint32_t)(size + pad));
    aft_store_le64(p + 6, (uint64_t)a->e);
    aft_store_le64(p + 14, (uint64_t)a->offset);
    seg->b.n += AFT_REDO_HEAD;
    aft_put_raw(&seg->b, a->head);
    aft_put_raw(&seg->b, a->tail);
    for (size_t i = 0; i < pad; i++)
        aft_put_u8(&seg->b, 0);
    s->fresh += AFT_REDO_HEAD + size + pad;
    if (seg->b.n > AFT_SEGMENT_BYTES)
        s->open = false;
    return at;
}

/* in_cache: the place for a segment read back. */
static struct aft_segment_buffer *
in_cache(const struct aft_segments *s, uint64_t number)
{
    return &s->cache[number & (CACHE - 1)];
}

static struct aft_segment_buffer *
vacate(struct aft_segments *s, uint64_t number)
{
    struct aft_segment_buffer *c = in_cache(s, number);
    aft_buffer_reset(&c->b);
    c->number = 0;
    if (!c->b.p)
        c->b = room_for_segment(s);
    return c;
}

static enum aft_err
read_one(struct aft_segments *s, uint64_t number, struct aft_error *e)
{
    struct aft_segment_buffer *c = vacate(s, number);
    uint8_t key[AFT_KEY_BYTES];
    bool found;
    aft_key_make(key, number, AFT_KEY_SEGMENT);
    AFT_TRY(s->store->ops->get(s->store, (struct aft_bytes){key, sizeof key}, &c->b, &found, e));
    c->number = found ? number : 0;
    return AFT_OK;
}

/* read_on: a segment and some behind it, in one pass, which costs half of looking for each. */
static enum aft_err
read_on(struct aft_segments *s, uint64_t number, struct aft_error *e)
{
    uint64_t last = number + READ_ON < s->first ? number + READ_ON : s->first - 1;
    struct aft_store_scan *scan;
    struct aft_put at;
    uint8_t key[AFT_KEY_BYTES];
    bool end = false;
    enum aft_err failed = AFT_OK;
    aft_key_make(key, number, AFT_KEY_SEGMENT);
    AFT_TRY(s->store->ops->scan_open(s->store, (struct aft_bytes){key, sizeof key}, &scan, e));
    for (uint64_t n = 0; n < last;) {
        failed = s->store->ops->scan_next(scan, &at, &end, e);
        if (failed || end || at.key.n != AFT_KEY_BYTES)
            break;
        n = aft_load_be64(at.key.p);
        if (n > last || at.key.p[AFT_KEY_BYTES - 1] != AFT_KEY_SEGMENT)
            continue;
        struct aft_segment_buffer *c = vacate(s, n);
        aft_put_raw(&c->b, at.value);
        c->number = n;
    }
    s->store->ops->scan_close(scan);
    return failed;
}

/* load finds a segment's bytes: being rewritten, in the ring, in the cache, or in the store. */
static enum aft_err
load(struct aft_segments *s, uint64_t number, struct aft_segment_buffer **out, struct aft_error *e)
{
    for (size_t i = 0; i < s->rewrites_n; i++)
        if (s->rewrites[i].number == number)
            return *out = &s->rewrites[i], AFT_OK;
    if (number >= s->first && number < s->next)
        return *out = in_ring(s, number), AFT_OK;
    *out = in_cache(s, number);
    if ((*out)->number == number)
        return AFT_OK;
    /* who reads one after another reads on, as settles do; what is being rewritten must not be read as it was */
    bool on = in_cache(s, number - 1)->number == number - 1 && s->rewrites_n == 0;
    AFT_TRY(on ? read_on(s, number, e) : read_one(s, number, e));
    if ((*out)->number == number)
        return AFT_OK;
    return AFT_FAIL(
        e, AFT_E_CORRUPT,
        "segment %llu is missing from the state: restore a checkpoint, or start with an "
        "empty state directory to rebuild it from the logs",
        (unsigned long long)number);
}

static enum aft_err
record_at(const struct aft_segment_buffer *seg, uint32_t offset, struct aft_redo_record *out,
          struct aft_error *e)
{
    size_t at = offset;
    if (offset >= AFT_SEGMENT_HEAD && aft_redo_next(aft_buffer_bytes(&seg->b), &at, out))
        return AFT_OK;
    return AFT_FAIL(
        e, AFT_E_CORRUPT,
        "segment %llu has no whole record at byte %u: restore a checkpoint, or rebuild the "
        "state from the logs",
        (unsigned long long)seg->number, offset);
}

enum aft_err
aft_segments_read(struct aft_segments *s, struct aft_place at, struct aft_redo_record *out,
                  struct aft_error *e)
{
    struct aft_segment_buffer *seg;
    AFT_TRY(load(s, at.segment, &seg, e));
    return record_at(seg, at.offset, out, e);
}

static struct aft_segment_buffer *
rewrite_of(struct aft_segments *s, uint64_t number, struct aft_bytes bytes)
{
    if (s->rewrites_n == s->rewrites_cap) {
        size_t cap = s->rewrites_cap ? s->rewrites_cap * 2 : 8;
        s->rewrites = realloc(s->rewrites, cap * sizeof *s->rewrites);
        AFT_ASSERT(s->rewrites != NULL);
        memset(s->rewrites + s->rewrites_cap, 0, (cap - s->rewrites_cap) * sizeof *s->rewrites);
        s->rewrites_cap = cap;
    }
    struct aft_segment_buffer *to = &s->rewrites[s->rewrites_n++];
    to->number = number;
    aft_buffer_reset(&to->b);
    aft_put_raw(&to->b, bytes);
    return to;
}

enum aft_err
aft_segments_wipe(struct aft_segments *s, struct aft_place at, enum aft_redo kind, uint8_t note,
                  struct aft_bytes payload, struct aft_error *e)
{
    struct aft_segment_buffer *seg = NULL;
    struct aft_redo_record old;
    AFT_ASSERT(!s->open);
    AFT_TRY(load(s, at.segment, &seg, e));
    AFT_ASSERT(seg != NULL);
    AFT_TRY(record_at(seg, at.offset, &old, e));
    if (seg == in_cache(s, at.segment)) {
        uint64_t number = seg->number;
        seg->number = 0; /* out of the cache */
        seg = rewrite_of(s, number, aft_buffer_bytes(&seg->b));
    }
    uint8_t *p = seg->b.p + at.offset;
    AFT_ASSERT(p != NULL);
    uint32_t size = aft_load_le32(p + 2);
    AFT_INVARIANT(I3, payload.n <= size);
    p[0] = (uint8_t)kind;
    p[1] = note;
    memcpy(p + AFT_REDO_HEAD, payload.p, payload.n);
    memset(p + AFT_REDO_HEAD + payload.n, 0, size - payload.n);
    seg->dirty = true;
    return AFT_OK;
}

uint64_t
aft_segments_close(struct aft_segments *s)
{
    s->open = false;
    s->fresh = 0;
    return s->next - 1;
}

void
aft_segments_puts(struct aft_segments *s, uint64_t first, uint64_t last, struct aft_step *step)
{
    for (size_t i = 0; i < s->rewrites_n; i++)
        if (s->rewrites[i].number >= first)
            aft_step_add(step, s->rewrites[i].number, AFT_KEY_SEGMENT,
                         aft_buffer_bytes(&s->rewrites[i].b));
    for (uint64_t n = first > s->first ? first : s->first; n <= last; n++)
        if (in_ring(s, n)->dirty)
            aft_step_add(step, n, AFT_KEY_SEGMENT, aft_buffer_bytes(&in_ring(s, n)->b));
}

void
aft_segments_committed(struct aft_segments *s, uint64_t last)
{
    s->rewrites_n = 0;
    for (uint64_t n = s->first; n <= last; n++) {
        struct aft_segment_buffer *seg = in_ring(s, n);
        if (!seg->committed)
            s->held += seg->b.n;
        seg->committed = true;
        seg->dirty = false;
    }
    while (s->held > s->hold_max && s->first < s->next && in_ring(s, s->first)->committed) {
        s->held -= in_ring(s, s->first)->b.n;
        let_go(s, &in_ring(s, s->first++)->b);
    }
}

size_t
aft_segments_memory(const struct aft_segments *s)
{
    size_t n = (s->cap + CACHE + s->rewrites_cap) * sizeof *s->ring + s->spare_n * ROOM;
    for (uint64_t i = 0; i < s->cap; i++)
        n += s->ring[i].b.cap;
    for (uint64_t i = 0; i < CACHE; i++)
        n += s->cache[i].b.cap;
    return n;
}

void
aft_step_add(struct aft_step *step, uint64_t segment, uint8_t type, struct aft_bytes value)
{
    if (step->n == step->cap) {
        step->cap = step->cap ? step->cap * 2 : 64;
        step->puts = realloc(step->puts, step->cap * sizeof *step->puts);
        step->keys = realloc(step->keys, step->cap * sizeof *step->keys);
        AFT_ASSERT(step->puts && step->keys);
    }
    aft_key_make(step->keys[step->n], segment, type);
    step->puts[step->n++] = (struct aft_put){.value = value};
}

static int
by_key(const void *a, const void *b)
{
    const struct aft_put *x = a, *y = b;
    return aft_compare(x->key, y->key);
}

void
aft_step_seal(struct aft_step *step)
{
    for (size_t i = 0; i < step->n; i++)
        step->puts[i].key = (struct aft_bytes){step->keys[i], AFT_KEY_BYTES};
    if (step->n > 1)
        qsort(step->puts, step->n, sizeof *step->puts, by_key);
}

void
aft_step_deinit(struct aft_step *step)
{
    free(step->puts);
    free(step->keys);
    *step = (struct aft_step){0};
}
