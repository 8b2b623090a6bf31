/* features.c - texts, features and candidates of an engine become the house's nouns: copied into an arena, checked against base/bounds.h.
 * What a list of candidates says alike is found on the way, for whoever scores it. One thread an arena. */
#include <math.h>

#include "client/client_inner.h"

enum aft_err
afti_take_text(struct aft_arena *a, const char *s, size_t max, const char *what,
               struct aft_bytes *out, struct aft_error *e)
{
    *out = AFT_ABSENT;
    if (!s)
        return AFT_OK;
    size_t n = strnlen(s, max + 1);
    if (n > max)
        return AFT_FAIL(e, AFT_E_LIMIT, "%s is longer than %zu bytes", what, max);
    /* with its NUL: the slate shows it as a C string */
    struct aft_bytes copy = aft_arena_copy(a, (struct aft_bytes){(const uint8_t *)s, n + 1});
    if (!copy.p)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    *out = (struct aft_bytes){copy.p, n};
    return AFT_OK;
}

enum aft_err
afti_take_id(struct aft_arena *a, const char *s, const char *what, struct aft_bytes *out,
             struct aft_error *e)
{
    AFT_TRY(afti_take_text(a, s, AFT_ID_BYTES_MAX, what, out, e));
    if (!out->n)
        return AFT_FAIL(e, AFT_E_VALUE, "%s is missing or empty", what);
    return AFT_OK;
}

/* What a feature says but its name. */
enum aft_err
afti_take_value(struct aft_arena *a, const struct aft_client_feature *f, struct aft_feature *out,
                struct aft_error *e)
{
    switch (f->type) {
    case AFT_CLIENT_NUMBER:
        if (!isfinite(f->number))
            return AFT_FAIL(e, AFT_E_VALUE, "feature %s is not finite", f->name);
        out->type = AFT_FEATURE_NUMBER;
        out->number = f->number;
        return AFT_OK;
    case AFT_CLIENT_FLAG:
        out->type = AFT_FEATURE_FLAG;
        out->flag = f->number != 0;
        return AFT_OK;
    case AFT_CLIENT_TEXT:
        out->type = AFT_FEATURE_TEXT;
        AFT_TRY(afti_take_text(a, f->text, AFT_TEXT_BYTES_MAX, f->name, &out->text, e));
        if (!out->text.p)
            return AFT_FAIL(e, AFT_E_VALUE, "feature %s is a text without one", f->name);
        return AFT_OK;
    }
    return AFT_FAIL(e, AFT_E_VALUE, "feature %s has the unknown type %d", f->name, (int)f->type);
}

enum aft_err
afti_take_feature(struct aft_arena *a, const struct aft_client_feature *f, struct aft_feature *out,
                  struct aft_error *e)
{
    AFT_TRY(afti_take_id(a, f->name, "a feature's name", &out->name, e));
    return afti_take_value(a, f, out, e);
}

/* No name twice: an open table of the names' hashes, half full at most. */
enum aft_err
afti_names_once(const struct aft_feature *v, uint32_t n, struct aft_error *e)
{
    uint16_t table[2 * AFT_FEATURES_MAX];
    uint32_t size = 8;
    while (size < 2 * n)
        size *= 2;
    AFT_ASSERT(size <= 2 * AFT_FEATURES_MAX);
    memset(table, 0, size * sizeof *table);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)aft_hash64(v[i].name, 0) & (size - 1);
        for (; table[at]; at = (at + 1) & (size - 1))
            if (aft_same(v[table[at] - 1].name, v[i].name))
                return AFT_FAIL(e, AFT_E_VALUE, "feature %s is given twice",
                                (const char *)v[i].name.p);
        table[at] = (uint16_t)(i + 1);
    }
    return AFT_OK;
}

enum aft_err
afti_features_room(struct aft_arena *a, uint32_t n, struct aft_feature **v, struct aft_error *e)
{
    if (n >= AFT_FEATURES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "%u features; at most %u", n, AFT_FEATURES_MAX - 1);
    *v = aft_arena_take(a, sizeof **v * (n + 1));
    if (!*v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    return AFT_OK;
}

/* ---- candidates */
/* Whether `name` is what stands in `known`, whose copy ends in NUL. */
static bool
is_name(const char *name, struct aft_bytes known)
{
    return name && known.p && strncmp(name, (const char *)known.p, known.n + 1) == 0;
}

/* The candidate before: as it came, and as it was taken; and how many features all candidates up to it have alike. */
struct before {
    const struct aft_client_feature *f;
    struct aft_features taken;
    uint32_t alike;
};

/* Whether the name at i is the one that the candidate before has there; mostly it is the same string. */
static inline bool
same_name(const struct before *b, uint32_t i, const char *name)
{
    return i < b->taken.n && (name == b->f[i].name || is_name(name, b->taken.v[i].name));
}

static inline bool
is_plain(const struct aft_client_feature *f)
{
    return f->type == AFT_CLIENT_NUMBER && fabs(f->number) <= AFT_ALIKE_MAX;
}

/* As long as they are numbers under the very strings that the candidate before has there; how many. By itself, for the registers. */
static __attribute__((noinline)) uint32_t
take_run(const struct aft_client_feature *f, uint32_t n, const struct before *like,
         struct aft_feature *v)
{
    const struct aft_client_feature *before = like->f;
    const struct aft_feature *taken = like->taken.v;
    uint32_t i = 0, most = n < like->taken.n ? n : like->taken.n;
    for (; i < most && f[i].name == before[i].name && is_plain(&f[i]); i++) {
        v[i].name = taken[i].name;
        v[i].type = AFT_FEATURE_NUMBER;
        v[i].number = f[i].number;
    }
    return i;
}

/* Candidates mostly have the same names in the same order: those are taken over, not copied, and known to be different. The candidate
 * is then `like`. run: how many of the first are plain numbers, under names that were taken over where there is one before. */
static enum aft_err
take_like(struct aft_arena *a, const struct aft_client_feature *f, uint32_t n, struct before *like,
          struct aft_feature *v, struct aft_error *e)
{
    bool once = n <= like->taken.n;
    uint32_t i = take_run(f, n, like, v), run = i;
    for (; i < n; i++) {
        bool same = same_name(like, i, f[i].name);
        if (same) {
            v[i].name = like->taken.v[i].name;
            AFT_TRY(afti_take_value(a, &f[i], &v[i], e));
        } else {
            once = false;
            AFT_TRY(afti_take_feature(a, &f[i], &v[i], e));
        }
        run += run == i && (same || !like->taken.v) && is_plain(&f[i]);
    }
    *like = (struct before){f, {v, n}, run < like->alike ? run : like->alike};
    return once ? AFT_OK : afti_names_once(v, n, e);
}

static enum aft_err
take_features(struct aft_arena *a, const struct aft_client_feature *f, uint32_t n,
              struct before *like, struct aft_features *out, struct aft_error *e)
{
    struct aft_feature *v;
    AFT_TRY(afti_features_room(a, n, &v, e));
    *out = (struct aft_features){v, n};
    return take_like(a, f, n, like, v, e);
}

/* No arm twice: an open table of the arms' hashes, half full at most. */
static enum aft_err
arms_once(struct aft_arena *a, const struct aft_candidate *v, uint32_t n, struct aft_error *e)
{
    uint32_t size = 4;
    while (size < 2 * n)
        size *= 2;
    uint32_t *table = aft_arena_take(a, sizeof *table * size);
    if (!table)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    memset(table, 0, sizeof *table * size);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)aft_hash64(v[i].arm_id, 0) & (size - 1);
        for (; table[at]; at = (at + 1) & (size - 1))
            if (aft_same(v[table[at] - 1].arm_id, v[i].arm_id))
                return AFT_FAIL(e, AFT_E_VALUE, "arm %s is a candidate twice",
                                (const char *)v[i].arm_id.p);
        table[at] = i + 1;
    }
    return AFT_OK;
}

enum aft_err
afti_candidates_take(struct aft_arena *a, const struct aft_client_candidate *v, uint32_t n,
                     struct afti_candidates *out, struct aft_error *e)
{
    if (n == 0 || n > AFT_CANDIDATES_MAX || !v)
        return AFT_FAIL(e, AFT_E_VALUE, "%u candidates; give 1 to %u", v ? n : 0,
                        AFT_CANDIDATES_MAX);
    out->v = aft_arena_take(a, sizeof *out->v * n);
    out->subjects = aft_arena_take(a, sizeof *out->subjects * n);
    if (!out->v || !out->subjects)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    struct before like = {.alike = AFT_FEATURES_MAX};
    for (uint32_t i = 0; i < n; i++) {
        const struct aft_client_candidate *from = &v[i];
        struct aft_candidate *to = &out->v[i];
        *to = (struct aft_candidate){0};
        AFT_TRY(afti_take_id(a, from->arm_id, "a candidate's arm_id", &to->arm_id, e));
        AFT_TRY(
            afti_take_text(a, from->subject, AFT_ID_BYTES_MAX, "a subject", &out->subjects[i], e));
        AFT_TRY(afti_take_text(a, from->mask, AFT_ID_BYTES_MAX, "a mask", &to->mask, e));
        AFT_TRY(take_features(a, from->features, from->features_n, &like, &to->features, e));
    }
    out->alike = like.alike;
    return arms_once(a, out->v, n, e);
}
