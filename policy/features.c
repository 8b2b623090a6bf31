/* features.c - nouns -> terms, as features.h says. Pure. Any thread (a plan is read-only once it is made).
 *
 * Hashes: name = XXH3(name, 0); number = mix(name, area); text = XXH3(value, mix(name, area)); interval i of a bucketed number =
 * mix(name, area + BUCKET + i); flag = mix(name, area + FLAG); pair = mix(left, right + PAIR). area: CONTEXT or ARM.
 * Invariants: I1 no term has value 0; I2 a side's term belongs to the encoded thing that holds it.
 */
#include <math.h>

#include "policy/policy.h"

enum {
    CONTEXT = 1,
    ARM = 2,
    CONSTANT = 3,
    IDENTITY = 4,
    SLOT = 5,
    FLAG = 16,
    PAIR = 32,
    BUCKET = 64
};

static inline uint64_t
mix(uint64_t a, uint64_t b)
{
    uint64_t z = a ^ (b * 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* ---- the plan */
static struct aft_plan_name *
name_slot(struct aft_features_plan *p, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & 511;
    while (p->names[i].hash && p->names[i].hash != hash)
        i = (i + 1) & 511;
    return &p->names[i];
}

static struct aft_plan_name *
name_of(struct aft_features_plan *p, const char *name)
{
    uint64_t h = aft_hash64(aft_text(name), 0);
    struct aft_plan_name *n = name_slot(p, h);
    if (!n->hash)
        *n = (struct aft_plan_name){.hash = h, .side = -1, .bucket = -1};
    return n;
}

static int16_t
side_of(struct aft_features_plan *p, const char *name)
{
    if (strcmp(name, "arm") == 0)
        return AFT_SIDE_ARM;
    if (strcmp(name, "slot") == 0)
        return AFT_SIDE_SLOT;
    struct aft_plan_name *n = name_of(p, name);
    if (n->side < 0)
        n->side = (int16_t)p->sides_n++;
    return n->side;
}

void
aft_features_plan_init(struct aft_features_plan *p, const struct aft_policy_settings *s)
{
    memset(p, 0, sizeof *p);
    p->settings = *s;
    for (uint32_t i = 0; i < s->buckets_n; i++)
        name_of(p, s->buckets[i].name)->bucket = (int16_t)i;
    for (uint32_t i = 0; i < s->interactions_n; i++) {
        p->left[i] = side_of(p, s->interactions[i].left);
        p->right[i] = side_of(p, s->interactions[i].right);
    }
    AFT_ASSERT(p->sides_n <= AFT_SIDES_MAX);
}

/* ---- one thing */
static struct aft_term
term_of(const struct aft_features_plan *p, const struct aft_feature *f, uint64_t name,
        uint64_t area, int16_t bucket)
{
    switch (f->type) {
    case AFT_FEATURE_TEXT:
        return (struct aft_term){aft_hash64(f->text, mix(name, area)), f->text.n ? 1 : 0, false, 0};
    case AFT_FEATURE_FLAG:
        return (struct aft_term){mix(name, area + FLAG), f->flag ? 1 : 0, false, 0};
    case AFT_FEATURE_NUMBER:
        break;
    }
    if (bucket < 0)
        return (struct aft_term){mix(name, area), f->number, true, 0};
    const struct aft_buckets *b = &p->settings.buckets[bucket];
    uint32_t i = 0;
    while (i < b->n && f->number >= b->edges[i])
        i++;
    return (struct aft_term){mix(name, area + BUCKET + i), 1, false, 0};
}

static struct aft_plan_name
plan_name(const struct aft_features_plan *p, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & 511;
    while (p->names[at].hash && p->names[at].hash != hash)
        at = (at + 1) & 511;
    return p->names[at].hash ? p->names[at] : (struct aft_plan_name){hash, -1, -1};
}

/* What the plan says of a name: of itself, else of its namespace. */
static struct aft_plan_name
plan_of(const struct aft_features_plan *p, struct aft_bytes name)
{
    struct aft_plan_name n = plan_name(p, aft_hash64(name, 0));
    if (n.side >= 0 || p->sides_n == 0)
        return n;
    const uint8_t *end = name.n ? memchr(name.p, '^', name.n) : NULL;
    struct aft_bytes space =
        end ? (struct aft_bytes){name.p, (size_t)(end - name.p)} : AFT_LITERAL("^");
    n.side = plan_name(p, aft_hash64(space, 0)).side;
    return n;
}

struct aft_known *
aft_name_known(const struct aft_features_plan *p, struct aft_known names[AFT_NAMES],
               struct aft_bytes name, bool of_arm)
{
    struct aft_known *k = aft_known_find(names, AFT_NAMES, name);
    if (k || !(k = aft_known_take(names, AFT_NAMES, name)))
        return k;
    struct aft_plan_name n = plan_of(p, name);
    k->name = n.hash;
    k->term = mix(n.hash, of_arm ? ARM : CONTEXT);
    k->side = n.side;
    k->bucket = n.bucket;
    return k;
}

struct aft_known *
aft_arm_known(struct aft_known ids[AFT_IDS], struct aft_bytes id)
{
    struct aft_known *k = aft_known_find(ids, AFT_IDS, id);
    if (!k && (k = aft_known_take(ids, AFT_IDS, id)))
        k->term = aft_hash64(id, IDENTITY);
    return k;
}

bool
aft_features_identity(const struct aft_features_plan *p)
{
    return p->settings.scope == AFT_SCOPE_PER_ARM && aft_model_traits(p->settings.model)->bilinear;
}

bool
aft_features_plain(const struct aft_features_plan *p, bool crosses)
{
    uint32_t n = p->settings.interactions_n;
    if (aft_features_identity(p))
        return false;
    for (uint32_t i = 0; i < n && !crosses; i++)
        if (p->left[i] == AFT_SIDE_ARM && p->right[i] == AFT_SIDE_ARM)
            return false;
    return n == 0 || !crosses;
}

/* names may be NULL: nothing is known beforehand. */
static enum aft_err
encode(const struct aft_features_plan *p, struct aft_known *names, struct aft_features f,
       uint64_t area, struct aft_encoded *out, struct aft_error *e)
{
    if (f.n > AFT_FEATURES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "%u features: at most %u", f.n, AFT_FEATURES_MAX);
    for (uint32_t i = 0; i < f.n; i++) {
        const struct aft_feature *x = &f.v[i];
        if (x->type == AFT_FEATURE_NUMBER && !isfinite(x->number))
            return AFT_FAIL(e, AFT_E_VALUE, "feature %.*s is not finite: leave it out instead",
                            (int)x->name.n, (const char *)x->name.p);
        struct aft_known *k = names ? aft_name_known(p, names, x->name, area == ARM) : NULL;
        struct aft_plan_name n =
            k ? (struct aft_plan_name){k->name, k->side, k->bucket} : plan_of(p, x->name);
        struct aft_term t =
            k && x->type == AFT_FEATURE_NUMBER && k->bucket < 0
                ? (struct aft_term){k->term, x->number, true, (uint16_t)(k - names + 1)}
                : term_of(p, x, n.hash, area, n.bucket);
        if (t.value == 0)
            continue;
        out->v[out->n++] = t;
        if (n.side >= 0) {
            out->next[out->n - 1] = out->side[n.side];
            out->side[n.side] = (uint16_t)out->n;
        }
    }
    return AFT_OK;
}

static enum aft_err
encode_context(const struct aft_features_plan *p, struct aft_known *names, struct aft_features f,
               struct aft_encoded *out, struct aft_error *e)
{
    out->n = 0;
    memset(out->side, 0, p->sides_n * sizeof out->side[0]);
    return encode(p, names, f, CONTEXT, out, e);
}

enum aft_err
aft_encode_context_known(const struct aft_features_plan *p, struct aft_known names[AFT_NAMES],
                         struct aft_features f, struct aft_encoded *out, struct aft_error *e)
{
    return encode_context(p, names, f, out, e);
}

enum aft_err
aft_encode_context(const struct aft_features_plan *p, struct aft_features f,
                   struct aft_encoded *out, struct aft_error *e)
{
    return encode_context(p, NULL, f, out, e);
}

enum aft_err
aft_encode_arm_known(const struct aft_features_plan *p, struct aft_known names[AFT_NAMES],
                     struct aft_bytes arm_id, struct aft_features f, struct aft_encoded *out,
                     struct aft_error *e)
{
    out->n = 1;
    out->v[0] = (struct aft_term){aft_hash64(arm_id, IDENTITY), 1, false, 0};
    memset(out->side, 0, p->sides_n * sizeof out->side[0]);
    return encode(p, names, f, ARM, out, e);
}

enum aft_err
aft_encode_arm(const struct aft_features_plan *p, struct aft_bytes arm_id, struct aft_features f,
               struct aft_encoded *out, struct aft_error *e)
{
    return aft_encode_arm_known(p, NULL, arm_id, f, out, e);
}

/* ---- one decision, one arm */
static struct aft_term
slot_term(int32_t slot)
{
    return (struct aft_term){mix((uint64_t)slot, SLOT), slot > 0 ? 1 : 0, false, 0};
}

/* The terms of a side of a pair: a list of the arm or the context (v, by `next`), or one alone. */
struct side {
    const struct aft_encoded *of;
    struct aft_term alone; /* of == NULL */
    uint16_t at;           /* index + 1, 0: no more */
    bool own;              /* the arm's */
};

static struct side
side_of_pair(int16_t side, const struct aft_encoded *context, const struct aft_encoded *arm,
             int32_t slot)
{
    if (side == AFT_SIDE_SLOT)
        return (struct side){.alone = slot_term(slot), .at = 1};
    if (side == AFT_SIDE_ARM)
        return (struct side){.alone = arm ? arm->v[0] : (struct aft_term){0}, .at = 1, .own = true};
    bool own = arm && arm->side[side];
    const struct aft_encoded *of = own ? arm : context;
    return (struct side){.of = of, .at = of->side[side], .own = own};
}

static const struct aft_term *
term_at(const struct side *s, uint16_t at)
{
    return s->of ? &s->of->v[at - 1] : &s->alone;
}

static uint16_t
after(const struct side *s, uint16_t at)
{
    return s->of ? s->of->next[at - 1] : 0;
}

static bool
pair_term(const struct aft_term *l, const struct aft_term *r, struct aft_term *out)
{
    double v = l->value * r->value;
    if (v == 0 || !isfinite(v))
        return false;
    *out = (struct aft_term){mix(l->hash, r->hash + PAIR), v, l->number || r->number, 0};
    return true;
}

/* All products of one declared pair; n terms stand in out before it. Returns how many stand there then. Of a side with itself
 * the order of two terms is that of their hashes: features come in any order. */
static uint32_t
pair_terms(const struct side *l, const struct side *r, bool same, struct aft_term *out, uint32_t n)
{
    for (uint16_t i = l->at; i; i = after(l, i))
        for (uint16_t j = same ? i : r->at; j && n < AFT_TERMS_MAX; j = after(r, j)) {
            const struct aft_term *a = term_at(l, i), *b = term_at(r, j);
            bool turn = same && a->hash > b->hash;
            n += pair_term(turn ? b : a, turn ? a : b, out + n);
        }
    return n;
}

uint32_t
aft_terms_shared(const struct aft_features_plan *p, const struct aft_encoded *context, int32_t slot,
                 struct aft_term *out)
{
    uint32_t n = 0;
    out[n++] = (struct aft_term){mix(0, CONSTANT), 1, false, 0};
    memcpy(out + n, context->v, context->n * sizeof *out);
    n += context->n;
    if (slot > 0)
        out[n++] = slot_term(slot);
    for (uint32_t i = 0; i < p->settings.interactions_n; i++) {
        if (p->left[i] == AFT_SIDE_ARM || p->right[i] == AFT_SIDE_ARM)
            continue;
        struct side l = side_of_pair(p->left[i], context, NULL, slot);
        struct side r = side_of_pair(p->right[i], context, NULL, slot);
        n = pair_terms(&l, &r, p->left[i] == p->right[i], out, n);
    }
    return n;
}

uint32_t
aft_terms_own(const struct aft_features_plan *p, const struct aft_encoded *context,
              const struct aft_encoded *arm, int32_t slot, bool with_identity, bool crosses,
              struct aft_term *out)
{
    uint32_t first = with_identity ? 0 : 1, n = arm->n - first;
    if (aft_features_identity(p)) {
        out[0] = arm->v[0];
        return 1;
    }
    memcpy(out, arm->v + first, n * sizeof *out);
    for (uint32_t i = 0; i < p->settings.interactions_n; i++) {
        if (!with_identity && (p->left[i] == AFT_SIDE_ARM || p->right[i] == AFT_SIDE_ARM))
            continue;
        struct side l = side_of_pair(p->left[i], context, arm, slot);
        struct side r = side_of_pair(p->right[i], context, arm, slot);
        if ((l.own && r.own) || (crosses && (l.own || r.own)))
            n = pair_terms(&l, &r, p->left[i] == p->right[i], out, n);
    }
    return n;
}
