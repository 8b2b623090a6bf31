/* codec_parts.c - the parts that several records share: errors, lists, features, candidates, the design of a decision.
 * In: a reader over a canonical body. Out: nouns of base/event.h that borrow from the body and the arena. Formats and
 * invariants: codec.h. Any thread. */
#include "wire/codec.h"

enum aft_err
afti_open(struct afti_in *in, const char *record, struct aft_bytes body, struct aft_arena *a,
          struct aft_error *e)
{
    *in = (struct afti_in){aft_reader(body), a, e, record, body.p, true, NULL, false};
    return body.n <= AFT_RECORD_BYTES_MAX ? AFT_OK : afti_over(in, "(whole)", AFT_RECORD_BYTES_MAX);
}

enum aft_err
afti_close(struct afti_in *in)
{
    return aft_left(&in->r) == 0 ? AFT_OK : afti_malformed(in, "(end)");
}

void
afti_say_malformed(struct afti_in *in, const char *field)
{
    AFT_FAIL(in->e, AFT_E_MALFORMED,
             "%s.%s: the bytes do not follow the schema (byte %zu of %zu); "
             "check that the producer writes with the schema its frame names",
             in->record, field, (size_t)(in->r.p - in->start), (size_t)(in->r.end - in->start));
}

void
afti_say_over(struct afti_in *in, const char *field, size_t max)
{
    AFT_FAIL(in->e, AFT_E_LIMIT,
             "%s.%s: more than %zu, the bound of base/bounds.h; the producer must send less",
             in->record, field, max);
}

void
afti_say_wrong(struct afti_in *in, const char *field, const char *what)
{
    AFT_FAIL(in->e, AFT_E_VALUE, "%s.%s %s; the producer must correct it", in->record, field, what);
}

/* The first block of a list decides its size; further ones double it, so that many small blocks cost no square. */
enum aft_err
afti_list_grow(struct afti_in *in, const char *field, struct afti_list *l, uint32_t more)
{
    uint32_t cap = l->n + more;
    if (l->cap && cap < 2 * l->cap)
        cap = 2 * l->cap < l->max ? 2 * l->cap : l->max;
    void *v = aft_arena_take(in->arena, cap * l->size);
    if (!v)
        return AFT_FAIL(in->e, AFT_E_LIMIT,
                        "%s.%s: the batch's arena of %zu bytes is full; send smaller records",
                        in->record, field, in->arena->max);
    if (l->n)
        memcpy(v, l->v, l->n * l->size);
    l->v = v;
    l->cap = cap;
    AFT_INVARIANT(I2, l->cap <= l->max);
    return AFT_OK;
}

/* Room in the arena for a field's bytes in their one form, which is never longer than the count (10 bytes) more than what was
 * read; a writer reserves 10 bytes for every long. */
static enum aft_err
scratch(struct afti_in *in, const char *field, const uint8_t *from, struct aft_buffer *b)
{
    size_t cap = (size_t)(in->r.p - from) + 32;
    *b = (struct aft_buffer){aft_arena_take(in->arena, cap), 0, cap};
    return b->p ? AFT_OK : afti_over(in, field, in->arena->max);
}

/* ---- features */
static enum aft_err
feature(struct afti_in *in, const char *field, struct aft_feature *f)
{
    unsigned type;
    AFT_TRY(afti_id(in, field, &f->name));
    AFT_TRY(afti_index(in, field, 3, &type));
    f->type = (enum aft_feature_type)type;
    switch (f->type) {
    case AFT_FEATURE_NUMBER:
        return afti_double(in, field, &f->number);
    case AFT_FEATURE_TEXT:
        return afti_text(in, field, AFT_TEXT_BYTES_MAX, &f->text);
    case AFT_FEATURE_FLAG:
        return afti_bool(in, field, &f->flag);
    }
    AFT_NEVER();
}

/* The usual number: a short name and 8 bytes. False, and nothing is read, for everything else: feature sees to it. */
static inline bool
usual_feature(struct aft_reader *r, struct aft_feature *f)
{
    size_t left = aft_left(r);
    if (left < 2 || r->p[0] & 1 || r->p[0] == 0 || r->p[0] > 127)
        return false;
    size_t n = r->p[0] >> 1;
    if (left < n + 10 || r->p[n + 1] != 0)
        return false;
    struct aft_reader number = {r->p + n + 2, r->end};
    if (!aft_get_double(&number, &f->number) || f->number - f->number != 0)
        return false;
    f->name = (struct aft_bytes){r->p + 1, n};
    f->type = AFT_FEATURE_NUMBER;
    *r = number;
    return true;
}

/* `more` features into v. */
static enum aft_err
feature_block(struct afti_in *in, const char *field, struct aft_feature *v, uint32_t more)
{
    struct aft_reader r = in->r;
    for (; more; more--, v++) {
        if (usual_feature(&r, v))
            continue;
        in->r = r;
        AFT_TRY(feature(in, field, v));
        r = in->r;
    }
    in->r = r;
    return AFT_OK;
}

static enum aft_err
features_anew(struct afti_in *in, const char *field, struct aft_features v, struct aft_bytes *raw)
{
    struct aft_buffer b;
    AFT_TRY(scratch(in, field, raw->p, &b));
    const uint8_t *place = b.p;
    afti_put_features(&b, v);
    AFT_INVARIANT(I3, b.p == place);
    *raw = aft_buffer_bytes(&b);
    return AFT_OK;
}

enum aft_err
afti_features(struct afti_in *in, const char *field, struct aft_features *out,
              struct aft_bytes *raw)
{
    const uint8_t *from = in->r.p;
    bool plain = in->plain;
    struct afti_list l = {.max = AFT_FEATURES_MAX, .size = sizeof *out->v};
    uint32_t more;
    in->plain = true;
    AFT_TRY(afti_block(in, field, &l, &more));
    while (more) {
        AFT_TRY(feature_block(in, field, (struct aft_feature *)l.v + l.n, more));
        l.n += more;
        AFT_TRY(afti_block(in, field, &l, &more));
    }
    *out = (struct aft_features){l.v, l.n};
    if (raw) {
        *raw = (struct aft_bytes){from, (size_t)(in->r.p - from)};
        if (!in->plain)
            AFT_TRY(features_anew(in, field, *out, raw));
    }
    in->plain = in->plain && plain;
    return AFT_OK;
}

void
afti_put_features(struct aft_buffer *b, struct aft_features v)
{
    afti_put_count(b, v.n);
    for (uint32_t i = 0; i < v.n; i++) {
        const struct aft_feature *f = &v.v[i];
        aft_put_bytes(b, f->name);
        aft_put_long(b, (int64_t)f->type);
        if (f->type == AFT_FEATURE_NUMBER)
            aft_put_double(b, f->number);
        else if (f->type == AFT_FEATURE_TEXT)
            aft_put_bytes(b, f->text);
        else
            aft_put_u8(b, f->flag);
    }
    afti_put_end(b);
}

/* ---- candidates */
/* Id and features, read and not recognised; from now on the roster knows them. */
static enum aft_err
who(struct afti_in *in, struct aft_candidate *c)
{
    const uint8_t *from = in->r.p;
    bool plain = in->plain;
    in->plain = true;
    AFT_TRY(afti_id(in, "candidates.arm_id", &c->arm_id));
    AFT_TRY(afti_features(in, "candidates.features", &c->features, NULL));
    c->known = 0;
    if (in->roster && in->plain)
        c->known =
            afti_roster_keep(in->roster, (struct aft_bytes){from, (size_t)(in->r.p - from)}, c);
    in->plain = in->plain && plain;
    return AFT_OK;
}

static enum aft_err
candidate(struct afti_in *in, struct aft_candidate *c)
{
    if (!in->roster || !afti_roster_know(in->roster, &in->r, c))
        AFT_TRY(who(in, c));
    c->log_weight = 0;
    if (aft_left(&in->r) >= 2 && !(in->r.p[0] | in->r.p[1])) { /* neither, as mostly */
        c->has_log_weight = false;
        c->mask = AFT_ABSENT;
        in->r.p += 2;
        return AFT_OK;
    }
    AFT_TRY(afti_null(in, "candidates.log_weight", &c->has_log_weight));
    if (c->has_log_weight) {
        if (!aft_get_float(&in->r, &c->log_weight))
            return afti_malformed(in, "candidates.log_weight");
        if (c->log_weight - c->log_weight != 0 && !in->lenient)
            return afti_wrong(in, "candidates.log_weight", "is not a finite number");
    }
    return afti_maybe_text(in, "candidates.mask", AFT_TEXT_BYTES_MAX, &c->mask);
}

static enum aft_err
candidates_anew(struct afti_in *in, const struct aft_candidate *v, uint32_t n,
                struct aft_bytes *raw)
{
    struct aft_buffer b;
    AFT_TRY(scratch(in, "candidates", raw->p, &b));
    const uint8_t *place = b.p;
    afti_put_candidates(&b, v, n);
    AFT_INVARIANT(I3, b.p == place);
    *raw = aft_buffer_bytes(&b);
    return AFT_OK;
}

enum aft_err
afti_candidates(struct afti_in *in, const struct aft_candidate **out, uint32_t *n,
                struct aft_bytes *raw)
{
    const uint8_t *from = in->r.p;
    struct afti_list l = {.max = AFT_CANDIDATES_MAX, .size = sizeof **out};
    uint32_t more;
    in->plain = true;
    AFT_TRY(afti_block(in, "candidates", &l, &more));
    while (more) {
        for (; more; more--)
            AFT_TRY(candidate(in, (struct aft_candidate *)l.v + l.n++));
        AFT_TRY(afti_block(in, "candidates", &l, &more));
    }
    *out = l.v;
    *n = l.n;
    *raw = (struct aft_bytes){from, (size_t)(in->r.p - from)};
    return in->plain ? AFT_OK : candidates_anew(in, *out, *n, raw);
}

void
afti_put_candidates(struct aft_buffer *b, const struct aft_candidate *v, uint32_t n)
{
    afti_put_count(b, n);
    for (uint32_t i = 0; i < n; i++) {
        aft_put_bytes(b, v[i].arm_id);
        afti_put_features(b, v[i].features);
        aft_put_long(b, v[i].has_log_weight);
        if (v[i].has_log_weight)
            aft_put_float(b, v[i].log_weight);
        afti_put_maybe(b, v[i].mask);
    }
    afti_put_end(b);
}

/* ---- the design */
static enum aft_err
shadow(struct afti_in *in, struct aft_design *out)
{
    struct afti_list l = {.max = AFT_SHOWN_MAX, .size = sizeof(double)};
    bool has;
    uint32_t more;
    AFT_TRY(afti_null(in, "design.shadow", &has));
    if (!has)
        return AFT_OK;
    AFT_TRY(afti_id(in, "design.shadow.snapshot", &out->shadow));
    AFT_TRY(afti_block(in, "design.shadow.propensities", &l, &more));
    while (more) {
        for (; more; more--) {
            double *p = (double *)l.v + l.n++;
            AFT_TRY(afti_double(in, "design.shadow.propensities", p));
            if (!(*p >= 0 && *p <= 1))
                return afti_wrong(in, "design.shadow.propensities", "is not in [0, 1]");
        }
        AFT_TRY(afti_block(in, "design.shadow.propensities", &l, &more));
    }
    out->shadow_p = l.v;
    out->shadow_n = l.n;
    return AFT_OK;
}

static enum aft_err
design_anew(struct afti_in *in, const struct aft_design *v, struct aft_bytes *raw)
{
    struct aft_buffer b;
    AFT_TRY(scratch(in, "design", raw->p, &b));
    const uint8_t *place = b.p;
    afti_put_design(&b, true, v);
    AFT_INVARIANT(I3, b.p == place);
    *raw = aft_buffer_bytes(&b);
    return AFT_OK;
}

enum aft_err
afti_design(struct afti_in *in, bool *has, struct aft_design *out, struct aft_bytes *raw)
{
    const uint8_t *from = in->r.p;
    bool plain = in->plain;
    *out = (struct aft_design){0};
    in->plain = true;
    AFT_TRY(afti_null(in, "design", has));
    if (*has) {
        AFT_TRY(afti_id(in, "design.kind", &out->kind));
        AFT_TRY(afti_double(in, "design.temperature", &out->temperature));
        AFT_TRY(afti_double(in, "design.epsilon", &out->epsilon));
        AFT_TRY(afti_int(in, "design.k", &out->k));
        AFT_TRY(afti_maybe_text(in, "design.key", AFT_TEXT_BYTES_MAX, &out->key));
        AFT_TRY(afti_maybe_probability(in, "design.pass", AFT_PROPENSITY_EXACT, &out->has_pass,
                                       &out->pass));
        AFT_TRY(shadow(in, out));
    }
    *raw = (struct aft_bytes){from, (size_t)(in->r.p - from)};
    if (!in->plain)
        AFT_TRY(design_anew(in, out, raw));
    in->plain = in->plain && plain;
    return AFT_OK;
}

void
afti_put_design(struct aft_buffer *b, bool has, const struct aft_design *v)
{
    aft_put_long(b, has);
    if (!has)
        return;
    aft_put_bytes(b, v->kind);
    aft_put_double(b, v->temperature);
    aft_put_double(b, v->epsilon);
    aft_put_long(b, v->k);
    afti_put_maybe(b, v->key);
    aft_put_long(b, v->has_pass);
    if (v->has_pass)
        aft_put_double(b, v->pass);
    afti_put_maybe(b, v->shadow);
    if (!v->shadow.p)
        return;
    afti_put_count(b, v->shadow_n);
    for (uint32_t i = 0; i < v->shadow_n; i++)
        aft_put_double(b, v->shadow_p[i]);
    afti_put_end(b);
}

/* ---- what an item was shown with */
enum aft_err
afti_probability(struct afti_in *in, const char *field, enum aft_propensity_kind kind, double *out)
{
    AFT_TRY(afti_double(in, field, out));
    if (*out > 0 && *out <= 1)
        return AFT_OK;
    if ((*out == 0 && kind == AFT_PROPENSITY_UNKNOWN) || in->lenient)
        return AFT_OK;
    return afti_wrong(in, field, "is not in (0, 1]: log the probability with which it was shown");
}

enum aft_err
afti_maybe_probability(struct afti_in *in, const char *field, enum aft_propensity_kind kind,
                       bool *has, double *out)
{
    *out = 0;
    AFT_TRY(afti_null(in, field, has));
    return *has ? afti_probability(in, field, kind, out) : AFT_OK;
}

enum aft_err
afti_slot(struct afti_in *in, const char *field, int32_t *out)
{
    AFT_TRY(afti_int(in, field, out));
    if (*out < 0 || *out >= (int32_t)AFT_SHOWN_MAX)
        return afti_wrong(in, field, "is not in 0 .. 31");
    return AFT_OK;
}

enum aft_err
afti_propensity_kind(struct afti_in *in, enum aft_propensity_kind *out)
{
    unsigned kind;
    AFT_TRY(afti_index(in, "propensity_kind", AFT_PROPENSITY_UNKNOWN + 1, &kind));
    *out = (enum aft_propensity_kind)kind;
    return AFT_OK;
}
