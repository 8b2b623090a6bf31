/* state.c - the LEARNER plane: what a learner needs beside the weights to go on as if it had never stopped. Pure. Little-endian.
 *
 *   0  u32  magic "AFL2"        4  u8[32]  digest of the settings that change what is learned
 *  36  u32  n; i64[n] counts    then u32 n; f64[n] sums                          (in the order of learner/inner.h)
 *           the last count is left out while it is 0, as it is in states that were written before there was such a one
 *   then 24 x (i64 weights, i64 rewards): histograms
 *   then u32 arms; each: u16 length, id, i64 exposures, settled, clicks, reward_micro, first_seen_ms, last_seen_ms
 *   then u32 policies; each: u16 length, name, i64 decisions, items, f64 clicks, value, cross[6]
 *   then for each member
 *     ridge: u32 blocks; each: u32 d, i64 updates, f64 b[d], f64 A[d (d + 1) / 2] (lower triangle, row by row)
 *     flow:  f64 Q, T
 *   then for bilinear kinds: each plane f32 [rows][members][stride] (flow: G); for each row, each column: f32 max, u32 seen
 *   then with learner.forecast=on the forecast (forecast_state.c)
 * With learner.shards (sums.c) what is counted is that of all partitions, and in place of the members
 *   u32 partitions that have a part; each: u32 partition, then what is counted there, as above from the counts to the policies;
 *   u32 columns, u64 hash of each; u32 arms, u64 hash of each; u32 blocks, u32 d of each; each member's ridge
 */
#include <math.h>

#include "learner/inner.h"

#define MAGIC 0x324c4641u
#define OLD_MAGIC 0x314c4641u

enum { ARMS = 1, POLICIES, PLACES, MEMBER = 16 }; /* sections; grid.c, forecast_state.c have more */
#define PART (1ull << 40)                         /* so many belong to each partition */

static void
put_name(struct aft_buffer *out, struct aft_bytes name)
{
    aft_put_le16(out, (uint16_t)name.n);
    aft_put_raw(out, name);
}

static void
put_counted(const struct aft_learner *l, struct aft_image *image, uint64_t base)
{
    struct aft_buffer *out = &image->bytes;
    uint32_t n = l->counts[AFTI_COUNTS - 1] ? AFTI_COUNTS : AFTI_COUNTS - 1;
    aft_put_le32(out, n);
    for (uint32_t i = 0; i < n; i++)
        aft_put_le64(out, (uint64_t)l->counts[i]);
    aft_put_le32(out, AFTI_SUMS);
    for (int i = 0; i < AFTI_SUMS; i++)
        aft_put_double(out, l->sums[i]);
    for (int i = 0; i < (int)AFT_HISTOGRAM; i++) {
        aft_put_le64(out, (uint64_t)l->weights[i]);
        aft_put_le64(out, (uint64_t)l->rewards[i]);
    }
    aft_put_le32(out, l->arms.index.n);
    aft_image_section(image, base + ARMS, AFT_GRAIN);
    for (uint32_t i = 0; i < l->arms.index.n; i++) {
        const struct afti_arm *a = &l->arms.v[i];
        put_name(out, a->id);
        const int64_t v[] = {a->exposures,    a->settled,       a->clicks,
                             a->reward_micro, a->first_seen_ms, a->last_seen_ms};
        for (size_t j = 0; j < sizeof v / sizeof *v; j++)
            aft_put_le64(out, (uint64_t)v[j]);
    }
    aft_image_section(image, base + POLICIES, AFT_GRAIN);
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
put_model(const struct aft_learner *l, struct aft_image *image, uint64_t base)
{
    const struct afti_table *t = &l->table;
    for (uint32_t i = 0; i < l->members_n; i++) {
        aft_image_section(image, base + MEMBER + i, AFT_GRAIN);
        t->kind->encode(t, &l->members[i], &image->bytes);
    }
    if (t->kind->encode_shared)
        t->kind->encode_shared(t, image);
}

static void
put_parts(const struct aft_learner *l, struct aft_image *image)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < AFT_PARTITIONS_MAX; p++)
        n += l->parts[p] != NULL;
    aft_put_le32(&image->bytes, n);
    for (uint32_t p = 0; p < AFT_PARTITIONS_MAX; p++) {
        const struct aft_learner *part = l->parts[p];
        uint64_t base = PART * ((uint64_t)p + 1);
        if (!part)
            continue;
        aft_image_section(image, base, AFT_GRAIN);
        aft_put_le32(&image->bytes, p);
        put_counted(part, image, base);
        aft_image_section(image, base + PLACES, AFT_GRAIN);
        afti_part_encode_places(part, &image->bytes);
        put_model(part, image, base);
    }
}

void
afti_state_encode(const struct aft_learner *l, struct aft_image *image)
{
    aft_put_le32(&image->bytes, MAGIC);
    aft_put_raw(&image->bytes, (struct aft_bytes){l->configuration.b, sizeof l->configuration.b});
    put_counted(l, image, 0);
    if (l->parts)
        put_parts(l, image);
    else
        put_model(l, image, 0);
    if (l->forecast)
        afti_forecast_encode(l->forecast, image);
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

bool
afti_get_finite(struct aft_reader *r, double *out)
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
    bool good = aft_get_le32(r, &n) && (n == AFTI_COUNTS || n == AFTI_COUNTS - 1);
    for (uint32_t i = 0; good && i < n; i++)
        good = get_i64(r, &l->counts[i]);
    good = good && aft_get_le32(r, &n) && n == AFTI_SUMS;
    for (int i = 0; good && i < AFTI_SUMS; i++)
        good = afti_get_finite(r, &l->sums[i]);
    for (int i = 0; good && i < (int)AFT_HISTOGRAM; i++)
        good = get_i64(r, &l->weights[i]) && get_i64(r, &l->rewards[i]);
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
        good = get_i64(r, &a->exposures) && get_i64(r, &a->settled) && get_i64(r, &a->clicks) &&
               get_i64(r, &a->reward_micro) && get_i64(r, &a->first_seen_ms) &&
               get_i64(r, &a->last_seen_ms);
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
        good = get_i64(r, &p->decisions) && get_i64(r, &p->items) &&
               afti_get_finite(r, &p->clicks) && afti_get_finite(r, &p->value);
        for (int j = 0; good && j < AFTI_CROSS; j++)
            good = afti_get_finite(r, &p->cross[j]);
    }
    return good;
}

static bool
get_model(struct aft_learner *l, struct aft_reader *r)
{
    struct afti_table *t = &l->table;
    bool good = true;
    for (uint32_t i = 0; good && i < l->members_n; i++)
        good = t->kind->decode(t, &l->members[i], r);
    return good && (!t->kind->decode_shared || t->kind->decode_shared(t, r));
}

static bool
get_counted(struct aft_learner *l, struct aft_reader *r)
{
    return get_sums(l, r) && get_arms(l, r) && get_scoreboard(l, r);
}

static bool
get_parts(struct aft_learner *l, struct aft_reader *r)
{
    uint32_t n, partition, next = 0;
    bool good = aft_get_le32(r, &n);
    for (uint32_t i = 0; good && i < n; i++) {
        good = aft_get_le32(r, &partition) && partition >= next && partition < AFT_PARTITIONS_MAX;
        if (!good)
            break;
        next = partition + 1;
        struct aft_learner *part = afti_part(l, partition);
        good = get_counted(part, r) && afti_part_decode_places(part, r) && get_model(part, r);
    }
    return good;
}

enum aft_err
afti_state_decode(struct aft_learner *l, struct aft_bytes b, struct aft_error *e)
{
    struct aft_reader r = aft_reader(b);
    struct aft_bytes configuration;
    uint32_t magic;
    bool good = aft_get_le32(&r, &magic);
    if (good && magic == OLD_MAGIC)
        return AFT_FAIL(
            e, AFT_E_MALFORMED,
            "the learner's state in the snapshot is of an older version (AFL1), without "
            "what arms were settled and seen last: replay, or start under a new app.id");
    good = good && magic == MAGIC && aft_get_raw(&r, sizeof l->configuration.b, &configuration) &&
           get_counted(l, &r);
    good = good && (l->parts ? get_parts(l, &r) : get_model(l, &r)) &&
           (!l->forecast || afti_forecast_decode(l->forecast, &r));
    if (!good || aft_left(&r))
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "the learner's state in the snapshot does not follow its format (%zu bytes "
                        "left): take an older snapshot",
                        aft_left(&r));
    return AFT_OK;
}
