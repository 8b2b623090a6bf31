/* state.c - the LEARNER plane: what a learner needs beside the weights to go on as if it had never stopped. Pure. Little-endian.
 *
 *   0  u32  magic "AFL1"        4  u8[32]  digest of the settings that change what is learned
 *  36  u32  n; i64[n] counts    then u32 n; f64[n] sums                          (in the order of learner/inner.h)
 *   then u32 arms; each: u16 length, id, i64 exposures, clicks, reward_micro, first_seen_ms
 *   then u32 policies; each: u16 length, name, i64 decisions, items, f64 clicks, value, cross[6]
 *   ridge: u32 blocks; each: u32 d, i64 updates, f64 b[d], f64 A[d (d + 1) / 2] (lower triangle, row by row)
 *   flow:  f64 Q, T; f32 G[rows][stride]; for each row, each column: f32 max, u32 seen
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

#define MAGIC 0x314c4641u

static void
put_name(struct aft_buffer *out, struct aft_bytes name)
{
    aft_put_le16(out, (uint16_t)name.n);
    aft_put_raw(out, name);
}

static void
put_counted(const struct aft_learner *l, struct aft_buffer *out)
{
    aft_put_le32(out, AFTI_COUNTS);
    for (int i = 0; i < AFTI_COUNTS; i++)
        aft_put_le64(out, (uint64_t)l->counts[i]);
    aft_put_le32(out, AFTI_SUMS);
    for (int i = 0; i < AFTI_SUMS; i++)
        aft_put_double(out, l->sums[i]);
    aft_put_le32(out, l->arms.index.n);
    for (uint32_t i = 0; i < l->arms.index.n; i++) {
        const struct afti_arm *a = &l->arms.v[i];
        put_name(out, a->id);
        aft_put_le64(out, (uint64_t)a->exposures);
        aft_put_le64(out, (uint64_t)a->clicks);
        aft_put_le64(out, (uint64_t)a->reward_micro);
        aft_put_le64(out, (uint64_t)a->first_seen_ms);
    }
    aft_put_le32(out, l->scoreboard.n);
    for (uint32_t i = 0; i < l->scoreboard.n; i++) {
        const struct afti_policy *p = &l->scoreboard.v[i];
        put_name(out, p->name);
        aft_put_le64(out, (uint64_t)p->decisions);
        aft_put_le64(out, (uint64_t)p->items);
        aft_put_double(out, p->clicks);
        aft_put_double(out, p->value);
        for (int j = 0; j < AFTI_CROSS; j++)
            aft_put_double(out, p->cross[j]);
    }
}

static void
put_ridge(const struct aft_learner *l, struct aft_buffer *out)
{
    aft_put_le32(out, l->ridge.n);
    for (uint32_t k = 0; k < l->ridge.n; k++) {
        const struct aft_ridge_block *b = &l->ridge.blocks[k];
        uint32_t d = l->weights.linear.blocks[k].d;
        aft_put_le32(out, d);
        aft_put_le64(out, (uint64_t)b->updates);
        for (uint32_t i = 0; i < d; i++)
            aft_put_double(out, b->b[i]);
        for (uint32_t i = 0; i < d; i++)
            for (uint32_t j = 0; j <= i; j++)
                aft_put_double(out, b->a[(size_t)i * b->stride + j]);
    }
}

static void
put_scales(struct aft_buffer *out, const struct afti_scale *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        aft_put_float(out, s[i].max);
        aft_put_le32(out, s[i].seen);
    }
}

static void
put_flow(const struct aft_learner *l, struct aft_buffer *out)
{
    const struct aft_bilinear *m = &l->weights.bilinear;
    aft_put_double(out, l->flow.q);
    aft_put_double(out, l->flow.t);
    for (size_t i = 0; i < (size_t)m->rows.n * m->stride; i++)
        aft_put_float(out, l->flow.g[i]);
    put_scales(out, l->flow.rows, m->rows.n);
    put_scales(out, l->flow.columns, m->columns.n);
}

void
afti_state_encode(const struct aft_learner *l, struct aft_buffer *out)
{
    aft_put_le32(out, MAGIC);
    aft_put_raw(out, (struct aft_bytes){l->configuration.b, sizeof l->configuration.b});
    put_counted(l, out);
    if (l->settings.policy.model == AFT_MODEL_FLOW)
        put_flow(l, out);
    else
        put_ridge(l, out);
}

/* ---- reading: every get says whether the bytes were there and sound */
static bool
get_i64(struct aft_reader *r, int64_t *out)
{
    uint64_t u;
    bool good = aft_get_le64(r, &u);
    *out = good ? (int64_t)u : 0;
    return good;
}

static bool
get_finite(struct aft_reader *r, double *out)
{
    return aft_get_double(r, out) && isfinite(*out);
}

static bool
get_name(struct aft_reader *r, struct aft_bytes *out)
{
    uint8_t low, high;
    return aft_get_u8(r, &low) && aft_get_u8(r, &high) &&
           aft_get_raw(r, (size_t)(low | high << 8), out);
}

static bool
get_sums(struct aft_learner *l, struct aft_reader *r)
{
    uint32_t n;
    bool good = aft_get_le32(r, &n) && n == AFTI_COUNTS;
    for (int i = 0; good && i < AFTI_COUNTS; i++)
        good = get_i64(r, &l->counts[i]);
    good = good && aft_get_le32(r, &n) && n == AFTI_SUMS;
    for (int i = 0; good && i < AFTI_SUMS; i++)
        good = get_finite(r, &l->sums[i]);
    return good;
}

static bool
get_arms(struct aft_learner *l, struct aft_reader *r)
{
    uint32_t n;
    bool good = aft_get_le32(r, &n);
    for (uint32_t i = 0; good && i < n; i++) {
        struct aft_bytes id;
        if (!get_name(r, &id) || afti_arms_of(&l->arms, id, true, 0) != i)
            return false;
        struct afti_arm *a = &l->arms.v[i];
        good = get_i64(r, &a->exposures) && get_i64(r, &a->clicks) &&
               get_i64(r, &a->reward_micro) && get_i64(r, &a->first_seen_ms);
    }
    return good;
}

static bool
get_scoreboard(struct aft_learner *l, struct aft_reader *r)
{
    uint32_t n;
    bool good = aft_get_le32(r, &n);
    for (uint32_t i = 0; good && i < n; i++) {
        struct aft_bytes name;
        struct afti_policy *p =
            get_name(r, &name) ? afti_scoreboard_of(&l->scoreboard, name) : NULL;
        if (!p || l->scoreboard.n != i + 1)
            return false;
        good = get_i64(r, &p->decisions) && get_i64(r, &p->items) && get_finite(r, &p->clicks) &&
               get_finite(r, &p->value);
        for (int j = 0; good && j < AFTI_CROSS; j++)
            good = get_finite(r, &p->cross[j]);
    }
    return good;
}

static bool
get_ridge(struct aft_learner *l, struct aft_reader *r)
{
    uint32_t n, d;
    aft_ridge_match(&l->ridge, &l->weights.linear);
    bool good = aft_get_le32(r, &n) && n == l->ridge.n;
    for (uint32_t k = 0; good && k < n; k++) {
        struct aft_ridge_block *b = &l->ridge.blocks[k];
        good = aft_get_le32(r, &d) && d == l->weights.linear.blocks[k].d && get_i64(r, &b->updates);
        for (uint32_t i = 0; good && i < d; i++)
            good = get_finite(r, &b->b[i]);
        for (uint32_t i = 0; good && i < d; i++)
            for (uint32_t j = 0; good && j <= i; j++)
                good = get_finite(r, &b->a[(size_t)i * b->stride + j]);
    }
    return good;
}

static bool
get_scales(struct aft_reader *r, struct afti_scale *s, uint32_t n)
{
    bool good = true;
    for (uint32_t i = 0; good && i < n; i++)
        good = aft_get_float(r, &s[i].max) && isfinite(s[i].max) && aft_get_le32(r, &s[i].seen);
    return good;
}

static bool
get_flow(struct aft_learner *l, struct aft_reader *r)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    struct afti_flow *f = &l->flow;
    size_t n = (size_t)m->rows.n * m->stride;
    if (m->cells != 1u << l->settings.policy.bits || !get_finite(r, &f->q) || !get_finite(r, &f->t))
        return false;
    f->g = calloc(n + 1, sizeof *f->g);
    AFT_ASSERT(f->g);
    bool good = true;
    for (size_t i = 0; good && i < n; i++)
        good = aft_get_float(r, &f->g[i]) && isfinite(f->g[i]);
    afti_flow_room(l, m->rows.n, m->stride);
    return good && get_scales(r, f->rows, m->rows.n) && get_scales(r, f->columns, m->columns.n);
}

enum aft_err
afti_state_decode(struct aft_learner *l, struct aft_bytes b, struct aft_error *e)
{
    struct aft_reader r = aft_reader(b);
    struct aft_bytes configuration;
    uint32_t magic;
    bool good = aft_get_le32(&r, &magic) && magic == MAGIC &&
                aft_get_raw(&r, sizeof l->configuration.b, &configuration) && get_sums(l, &r) &&
                get_arms(l, &r) && get_scoreboard(l, &r);
    good =
        good && (l->settings.policy.model == AFT_MODEL_FLOW ? get_flow(l, &r) : get_ridge(l, &r));
    if (!good || aft_left(&r))
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "the learner's state in the snapshot does not follow its format (%zu bytes "
                        "left): take an older snapshot",
                        aft_left(&r));
    return AFT_OK;
}
