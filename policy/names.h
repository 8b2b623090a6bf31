/* names.h - what has been found out about a name or an arm's id before: its hash and its place in a dictionary; part of
 * policy/policy.h.
 *
 * A cache, never an authority: an entry holds the bytes it stands for (up to AFT_NAME_BYTES; longer ones are hashed each time)
 * and is compared with them, so whoever reuses a buffer is seen. It belongs to one plan, one area and one dictionary, which
 * only grows. One thread.
 *
 * A walk adds up value x coefficient over the features of one arm after the other. Within one walk a name that was compared
 * once at some position is known by its address there (nobody may change it meanwhile), which is what makes an arm cheap.
 */
#ifndef AFT_POLICY_NAMES_H
#define AFT_POLICY_NAMES_H

#include <math.h>

#include "policy/weights.h"

enum { AFT_NAME_BYTES = 16, AFT_NAMES = 256, AFT_IDS = 2048 }; /* tables: powers of two */

struct aft_known {
    uint64_t low, high; /* the bytes */
    uint64_t name,
        term; /* hash of the name; of the term that it is as a number, or as an identity */
    uint32_t at,
        seen; /* the term's place; AFT_NOWHERE: not there when the dictionary had `seen` keys */
    int16_t side, bucket; /* as in the plan, -1: none */
    uint32_t n;           /* 0: free */
};

/* A position of a walk: the name that stood there, and its coefficient. */
struct aft_walk_step {
    const uint8_t *p;
    size_t n1; /* its length + 1 */
    double by;
};
struct aft_walk {
    struct aft_walk_step v[AFT_FEATURES_MAX];
    uint32_t n; /* used in this walk */
};

/* The bytes of a short name as two words; with the length they are the name. Lengths differ from arm to arm, so up to eight bytes
 * there is no jump: where there are no four bytes to read, `pad` is read instead. */
static inline bool
aft_name_words(struct aft_bytes b, uint64_t *low, uint64_t *high)
{
    static const uint8_t pad[4] = {0};
    *high = 0;
    if (b.n - 1 >= 8) {
        if (b.n - 1 >= AFT_NAME_BYTES)
            return false;
        *low = aft_load_le64(b.p);
        *high = aft_load_le64(b.p + b.n - 8);
        return true;
    }
    bool four = b.n >= 4;
    const uint8_t *head = four ? b.p : pad, *tail = four ? b.p + b.n - 4 : pad;
    uint64_t words = aft_load_le32(head) | (uint64_t)aft_load_le32(tail) << 32;
    uint64_t bytes = b.p[0] | (uint64_t)b.p[b.n / 2] << 8 | (uint64_t)b.p[b.n - 1] << 16;
    *low = words ^ (bytes & (four ? 0 : UINT64_MAX));
    return true;
}

static inline uint32_t
aft_name_slot(uint64_t low, uint64_t high, size_t n, uint32_t size)
{
    uint64_t h = (low ^ (high + n) * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
    h = (h ^ h >> 32) *
        0xd6e8feb86659fd93ull; /* names differ in few bits, mostly in their last bytes: down, and up again */
    return (uint32_t)(h >> 40) & (size - 1);
}

/* aft_known_find: NULL when it is not there. aft_known_take: a free or given up entry for these bytes, its hashes not yet made;
 * NULL for bytes that are too long. */
static inline struct aft_known *
aft_known_find(struct aft_known *table, uint32_t size, struct aft_bytes b)
{
    uint64_t low, high;
    if (!aft_name_words(b, &low, &high))
        return NULL;
    uint32_t i = aft_name_slot(low, high, b.n, size);
    struct aft_known *k = &table[i];
    if (((k->low ^ low) | (k->high ^ high) | (k->n ^ b.n)) == 0)
        return k;
    k = &table[i ^ 1];
    return ((k->low ^ low) | (k->high ^ high) | (k->n ^ b.n)) == 0 ? k : NULL;
}
struct aft_known *aft_known_take(struct aft_known *table, uint32_t size, struct aft_bytes b);

static inline uint32_t
aft_known_place(struct aft_known *k, const struct aft_dict *d)
{
    if (k->at == AFT_NOWHERE && k->seen != d->n) {
        k->at = aft_dict_find(d, k->term);
        k->seen = d->n;
    }
    return k->at;
}

/* The place of a term: by the entry that made it where there is one. */
static inline uint32_t
aft_term_place(const struct aft_term *t, struct aft_known *names, const struct aft_dict *d)
{
    struct aft_known *k = names && t->known ? &names[t->known - 1] : NULL; /* given up since? */
    return k && k->term == t->hash ? aft_known_place(k, d) : aft_dict_find(d, t->hash);
}

/* aft_linear_resolve_known: as aft_linear_resolve, of terms that were made with these names. */
void aft_linear_resolve_known(const struct aft_linear *m, const struct aft_term *t, uint32_t n,
                              struct aft_known names[AFT_NAMES], struct aft_sparse *x);

/* aft_name_known, aft_arm_known: found or made; NULL: too long, take the long way. */
struct aft_known *aft_name_known(const struct aft_features_plan *p,
                                 struct aft_known names[AFT_NAMES], struct aft_bytes name,
                                 bool of_arm);
struct aft_known *aft_arm_known(struct aft_known ids[AFT_IDS], struct aft_bytes id);

/* As aft_encode_context and aft_encode_arm, with the names known before. `known` in the terms refers to `names`. */
enum aft_err aft_encode_context_known(const struct aft_features_plan *p,
                                      struct aft_known names[AFT_NAMES], struct aft_features f,
                                      struct aft_encoded *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_encode_arm_known(const struct aft_features_plan *p,
                                  struct aft_known names[AFT_NAMES], struct aft_bytes arm_id,
                                  struct aft_features f, struct aft_encoded *out,
                                  struct aft_error *e) AFT_MUST_CHECK;

/* aft_features_identity: learner.scope=per_arm of a bilinear model: an arm is its identity alone, with weights of its own for the context. */
bool aft_features_identity(const struct aft_features_plan *p);
/* aft_features_plain: with this plan an arm's own terms are its identity and its features alone, unless a feature's name has a
 * side (then aft_walk_* 's coefficient must refuse it). */
bool aft_features_plain(const struct aft_features_plan *p, bool crosses);

static inline void
aft_walk_begin(struct aft_walk *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        w->v[i].n1 = 0;
    w->n = 0;
}

/* aft_id_tag: of equal ids equal, and seldom of others. */
static inline uint64_t
aft_id_tag(struct aft_bytes id)
{
    return id.n ? (uint64_t)id.n << 16 | (uint64_t)id.p[id.n - 1] << 8 | id.p[id.n / 2] : 0;
}

/* aft_features_fetch: some of their memory will be wanted soon. */
static inline void
aft_features_fetch(struct aft_features f)
{
    const char *p = (const char *)f.v;
    size_t size = (f.n < 16 ? f.n : 16) * sizeof *f.v;
    for (size_t i = 0; i < size; i += 64)
        __builtin_prefetch(p + i);
}

/* What a name is worth in this walk; false: its features need the long way. */
typedef bool aft_coefficient(void *ctx, struct aft_bytes name, double *by);

/* The features from `from` on, until one whose name is not the one that stood there before; where it stopped. */
static inline uint32_t
aft_walk_run(const struct aft_walk *w, struct aft_features f, uint32_t from, bool narrow,
             double *sum, double *top)
{
    double s = *sum, t = *top;
    uint32_t i = from;
    for (; i < f.n; i++) {
        const struct aft_feature *x = &f.v[i];
        const struct aft_walk_step *step = &w->v[i];
        uint64_t other = (uint64_t)((uintptr_t)x->name.p ^ (uintptr_t)step->p) |
                         ((x->name.n + 1) ^ step->n1) | (x->type ^ AFT_FEATURE_NUMBER);
        if (other)
            break;
        double v = x->number, size = fabs(v);
        t = size > t ? size : t;
        s += (narrow ? (double)(float)v : v) * step->by;
    }
    *sum = s;
    *top = t;
    return i;
}

/* aft_walk_sum: *sum += value x coefficient, in the order of the features. `narrow`: values as floats. false: some feature is
 * no plain number up to `limit`, and *sum is of no use. */
static inline bool
aft_walk_sum(struct aft_walk *w, struct aft_features f, bool narrow, double limit,
             aft_coefficient *coefficient, void *ctx, double *sum)
{
    double top = 0;
    if (f.n > AFT_FEATURES_MAX)
        return false;
    for (uint32_t i = 0; (i = aft_walk_run(w, f, i, narrow, sum, &top)) < f.n;) {
        const struct aft_feature *x = &f.v[i];
        struct aft_walk_step *step = &w->v[i];
        if (x->type != AFT_FEATURE_NUMBER || !coefficient(ctx, x->name, &step->by))
            return false;
        step->p = x->name.p;
        step->n1 = x->name.n + 1;
        w->n = i < w->n ? w->n : i + 1;
    }
    return top <= limit && *sum == *sum;
}

#endif
