/* codec.h - what the hand-written codecs share: a reader that knows where it is, checked fields, lists in the arena.
 *
 * The byte format is Avro's binary encoding of the schemas in wire/schemas:
 *   int, long   zigzag varint              string, bytes  long n, n bytes        fixed     its bytes
 *   double      8 bytes, little-endian     float          4 bytes, little-endian boolean   00 or 01
 *   enum        int, index of the symbol   union          long, index of the branch, then the branch
 *   array, map  blocks of (long count, items), ended by a count of 0; a negative count -c is followed by the block's
 *               size in bytes (long), then c items
 * Decoders take every such form. Encoders write one: a single block with a positive count, so that equal nouns are equal bytes.
 *
 * Invariants: I1 the reader never passes its end. I2 no list grows past its bound, nor past the bytes that are left.
 * I3 raw_* slices hold the one form that encoders write: where the bytes had another, they are written anew into the arena.
 * Any thread; no global.
 */
#ifndef AFT_WIRE_CODEC_H
#define AFT_WIRE_CODEC_H

#include "wire/wire.h"

struct afti_in {
    struct aft_reader r;
    struct aft_arena *arena;
    struct aft_error *e;
    const char *record;        /* for messages */
    const uint8_t *start;      /* of the body, for messages */
    bool plain;                /* lists so far came as one block with a positive count */
    struct aft_roster *roster; /* candidates read before, or NULL */
    bool
        lenient; /* numbers that mean nothing come through: who reads them refuses them, and counts */
};

/* ---- roster.c. afti_roster_begin: before an example; what was handed out before may die. afti_roster_know: whether the bytes at *r
 * begin with an id and features seen before; then they are in *c and *r stands behind them. afti_roster_keep: from now on these
 * bytes (id and features, in their one form) mean c's; its number, or 0. */
void afti_roster_begin(struct aft_roster *o);
uint64_t afti_roster_revision(const struct aft_roster *o);
bool afti_roster_know(struct aft_roster *o, struct aft_reader *r, struct aft_candidate *c);
uint32_t afti_roster_keep(struct aft_roster *o, struct aft_bytes raw,
                          const struct aft_candidate *c);

/* afti_open: AFT_E_LIMIT when the body is past AFT_RECORD_BYTES_MAX. afti_close: the body must be used up. */
enum aft_err afti_open(struct afti_in *in, const char *record, struct aft_bytes body,
                       struct aft_arena *a, struct aft_error *e);
enum aft_err afti_close(struct afti_in *in);

/* These fill the error; the field's name is a path such as "slate.arm_id". */
void afti_say_malformed(struct afti_in *in, const char *field) __attribute__((cold, noinline));
void afti_say_over(struct afti_in *in, const char *field, size_t max)
    __attribute__((cold, noinline));
void afti_say_wrong(struct afti_in *in, const char *field, const char *what)
    __attribute__((cold, noinline));

/* The codes stand here, so that the compiler sees that a failure is one. */
static inline enum aft_err
afti_malformed(struct afti_in *in, const char *field)
{
    afti_say_malformed(in, field);
    return AFT_E_MALFORMED;
}
static inline enum aft_err
afti_over(struct afti_in *in, const char *field, size_t max)
{
    afti_say_over(in, field, max);
    return AFT_E_LIMIT;
}
static inline enum aft_err
afti_wrong(struct afti_in *in, const char *field, const char *what)
{
    afti_say_wrong(in, field, what);
    return AFT_E_VALUE;
}

/* ---- single fields */
static inline enum aft_err
afti_long(struct afti_in *in, const char *field, int64_t *out)
{
    struct aft_reader *r = &in->r;
    if (r->p != r->end && *r->p < 128) {
        uint8_t b = *r->p++;
        *out = (int64_t)(b >> 1) ^ -(int64_t)(b & 1);
        return AFT_OK;
    }
    *out = 0;
    return aft_get_long(r, out) ? AFT_OK : afti_malformed(in, field);
}

static inline enum aft_err
afti_int(struct afti_in *in, const char *field, int32_t *out)
{
    int64_t v;
    AFT_TRY(afti_long(in, field, &v));
    if (v < INT32_MIN || v > INT32_MAX)
        return afti_malformed(in, field);
    *out = (int32_t)v;
    return AFT_OK;
}

/* afti_index reads an enum's symbol or a union's branch: 0 .. count-1. */
static inline enum aft_err
afti_index(struct afti_in *in, const char *field, unsigned count, unsigned *out)
{
    int64_t v;
    AFT_TRY(afti_long(in, field, &v));
    if ((uint64_t)v >= count)
        return afti_malformed(in, field);
    *out = (unsigned)v;
    return AFT_OK;
}

static inline enum aft_err
afti_bool(struct afti_in *in, const char *field, bool *out)
{
    uint8_t b;
    if (!aft_get_u8(&in->r, &b) || b > 1)
        return afti_malformed(in, field);
    *out = b;
    return AFT_OK;
}

/* afti_double reads a finite number; leniently any. */
static inline enum aft_err
afti_double(struct afti_in *in, const char *field, double *out)
{
    if (!aft_get_double(&in->r, out))
        return afti_malformed(in, field);
    if (*out - *out == 0 || in->lenient)
        return AFT_OK;
    return afti_wrong(in, field, "is not a finite number");
}

static inline enum aft_err
afti_text(struct afti_in *in, const char *field, size_t max, struct aft_bytes *out)
{
    int64_t n;
    AFT_TRY(afti_long(in, field, &n));
    if (n < 0)
        return afti_malformed(in, field);
    if ((uint64_t)n > max)
        return afti_over(in, field, max);
    return aft_get_raw(&in->r, (size_t)n, out) ? AFT_OK : afti_malformed(in, field);
}

/* afti_id reads a text of 1 .. AFT_ID_BYTES_MAX bytes. */
static inline enum aft_err
afti_id(struct afti_in *in, const char *field, struct aft_bytes *out)
{
    AFT_TRY(afti_text(in, field, AFT_ID_BYTES_MAX, out));
    return out->n ? AFT_OK : afti_wrong(in, field, "is empty");
}

/* afti_null reads the branch of a union [null, T]. */
static inline enum aft_err
afti_null(struct afti_in *in, const char *field, bool *present)
{
    unsigned branch;
    AFT_TRY(afti_index(in, field, 2, &branch));
    *present = branch == 1;
    return AFT_OK;
}

static inline enum aft_err
afti_maybe_text(struct afti_in *in, const char *field, size_t max, struct aft_bytes *out)
{
    bool present;
    AFT_TRY(afti_null(in, field, &present));
    if (present)
        return afti_text(in, field, max, out);
    *out = AFT_ABSENT;
    return AFT_OK;
}

static inline enum aft_err
afti_maybe_id(struct afti_in *in, const char *field, struct aft_bytes *out)
{
    bool present;
    AFT_TRY(afti_null(in, field, &present));
    if (present)
        return afti_id(in, field, out);
    *out = AFT_ABSENT;
    return AFT_OK;
}

/* afti_time reads milliseconds within +-8.64e15 (what dates can name; sums of two such times cannot overflow). */
static inline enum aft_err
afti_time(struct afti_in *in, const char *field, int64_t *out)
{
    AFT_TRY(afti_long(in, field, out));
    if (*out < -8640000000000000 || *out > 8640000000000000)
        return afti_wrong(in, field, "is no time in milliseconds since 1970");
    return AFT_OK;
}

/* ---- lists. Reading one:
 *     struct afti_list l = {.max = .., .size = sizeof *v};
 *     uint32_t more;
 *     AFT_TRY(afti_block(in, "field", &l, &more));
 *     while (more) { for (; more; more--) decode into ((T *)l.v)[l.n++]; AFT_TRY(afti_block(.. &more)); }
 */
struct afti_list {
    void *v;
    uint32_t n, cap, max;
    size_t size;
};

/* afti_list_grow makes room for `more` items in the arena. */
enum aft_err afti_list_grow(struct afti_in *in, const char *field, struct afti_list *l,
                            uint32_t more);

/* afti_block reads the head of the next block and makes room for its items; *more = 0 at the list's end. */
static inline enum aft_err
afti_block(struct afti_in *in, const char *field, struct afti_list *l, uint32_t *more)
{
    int64_t count, size = 0;
    AFT_TRY(afti_long(in, field, &count));
    *more = 0;
    if (count == 0)
        return AFT_OK;
    if (count < 0) {
        in->plain = false;
        AFT_TRY(afti_long(in, field, &size));
        if (count == INT64_MIN || size < 0)
            return afti_malformed(in, field);
        count = -count;
    }
    if ((uint64_t)count > l->max - l->n)
        return afti_over(in, field, l->max);
    /* every item of ours takes a byte or more */
    if ((uint64_t)count > aft_left(&in->r) || (uint64_t)size > aft_left(&in->r))
        return afti_malformed(in, field);
    if (l->n)
        in->plain = false;
    if (l->cap - l->n < (uint32_t)count)
        AFT_TRY(afti_list_grow(in, field, l, (uint32_t)count));
    *more = (uint32_t)count;
    return AFT_OK;
}

/* afti_skip_example (codec_skip.c): *r stands behind the Example at its front, whatever its values; false: no such bytes. */
bool afti_skip_example(struct aft_reader *r);

/* ---- parts that several records share (codec_parts.c). raw, if not NULL, gets the field's bytes (I3). */
enum aft_err afti_features(struct afti_in *in, const char *field, struct aft_features *out,
                           struct aft_bytes *raw);
enum aft_err afti_candidates(struct afti_in *in, const struct aft_candidate **out, uint32_t *n,
                             struct aft_bytes *raw);
enum aft_err afti_design(struct afti_in *in, bool *has, struct aft_design *out,
                         struct aft_bytes *raw);
/* afti_probability reads what an item was shown with: in (0, 1]; an UNKNOWN kind may carry 0. */
enum aft_err afti_probability(struct afti_in *in, const char *field, enum aft_propensity_kind kind,
                              double *out);
enum aft_err afti_maybe_probability(struct afti_in *in, const char *field,
                                    enum aft_propensity_kind kind, bool *has, double *out);
/* afti_slot reads 0 .. AFT_SHOWN_MAX-1. */
enum aft_err afti_slot(struct afti_in *in, const char *field, int32_t *out);
enum aft_err afti_propensity_kind(struct afti_in *in, enum aft_propensity_kind *out);

void afti_put_features(struct aft_buffer *b, struct aft_features v);
void afti_put_candidates(struct aft_buffer *b, const struct aft_candidate *v, uint32_t n);
void afti_put_design(struct aft_buffer *b, bool has, const struct aft_design *v);

static inline void
afti_put_maybe(struct aft_buffer *b, struct aft_bytes v)
{
    aft_put_long(b, v.p ? 1 : 0);
    if (v.p)
        aft_put_bytes(b, v);
}

/* afti_put_count opens a list of n items; the list must be ended with afti_put_end. */
static inline void
afti_put_count(struct aft_buffer *b, uint32_t n)
{
    if (n)
        aft_put_long(b, n);
}
static inline void
afti_put_end(struct aft_buffer *b)
{
    aft_put_u8(b, 0);
}

#endif
