/* forecast_state.c - the forecast <-> bytes, behind the model in the LEARNER plane (state.c). Pure. Little-endian.
 *
 *   i64 hour; history of what has settled; u32 cohorts; each: i64 hour, left, settled, history, f64 coefficient[4],
 *     for each member and level (where it is exact): u32 d, f64 sum[d] (zeros at the end are left out)
 *   for each member: u32 d, f64 applied[d]
 *   history: i64 ended, ended_ms; u16 bits of the ages that have something; for each: i64 opened[4], gained[4], moved[4][4]
 */
#include <math.h>

#include "learner/inner.h"

enum { COHORTS_MAX = 2048 };
#define HOURS (UINT64_C(1) << 33) /* no hour is that far from 1970 (a time is within 8.64e15 ms) */
#define FIRST (UINT64_C(1) << 40) /* of the sections; those of state.c and grid.c are below */

static bool
empty_age(const struct afti_history *h, int a)
{
    int64_t any = 0;
    for (int l = 0; l < AFTI_LEVELS; l++) {
        any |= h->opened[a][l] | h->gained[a][l];
        for (int k = 0; k < AFTI_LEVELS; k++)
            any |= h->moved[a][l][k];
    }
    return any == 0;
}

static void
put_history(const struct afti_history *h, struct aft_buffer *out)
{
    uint16_t there = 0;
    aft_put_le64(out, (uint64_t)h->ended);
    aft_put_le64(out, (uint64_t)h->ended_ms);
    for (int a = 0; a < AFTI_AGES; a++)
        there |= (uint16_t)(empty_age(h, a) ? 0 : 1 << a);
    aft_put_le16(out, there);
    for (int a = 0; a < AFTI_AGES; a++) {
        if (!(there >> a & 1))
            continue;
        for (int l = 0; l < AFTI_LEVELS; l++)
            aft_put_le64(out, (uint64_t)h->opened[a][l]);
        for (int l = 0; l < AFTI_LEVELS; l++)
            aft_put_le64(out, (uint64_t)h->gained[a][l]);
        for (int l = 0; l < AFTI_LEVELS; l++)
            for (int k = 0; k < AFTI_LEVELS; k++)
                aft_put_le64(out, (uint64_t)h->moved[a][l][k]);
    }
}

static void
put_vector(const double *v, struct aft_buffer *out)
{
    uint32_t d = AFT_LINEAR_COLUMNS;
    while (d > 0 && v[d - 1] == 0)
        d--;
    aft_put_le32(out, d);
    for (uint32_t i = 0; i < d; i++)
        aft_put_double(out, v[i]);
}

/* Each cohort is a section of the image: one that nothing has happened to stays out of a delta. */
void
afti_forecast_encode(const struct afti_forecast *f, struct aft_image *image)
{
    struct aft_buffer *out = &image->bytes;
    aft_image_section(image, FIRST, AFT_GRAIN);
    aft_put_le64(out, (uint64_t)f->hour);
    put_history(&f->settled, out);
    aft_put_le32(out, f->n);
    for (uint32_t i = 0; i < f->n; i++) {
        struct afti_cohort *c = f->v[i];
        aft_image_section(image, FIRST + 1 + ((uint64_t)c->hour + HOURS) % (2 * HOURS), AFT_GRAIN);
        aft_put_le64(out, (uint64_t)c->hour);
        aft_put_le64(out, (uint64_t)c->left);
        aft_put_le64(out, (uint64_t)c->settled);
        put_history(&c->history, out);
        for (int l = 0; l < AFTI_LEVELS; l++)
            aft_put_double(out, c->coefficient[l]);
        for (uint32_t m = 0; m < f->members; m++)
            for (int l = 0; l < AFTI_LEVELS; l++)
                put_vector(afti_cohort_sum(f, c, m, l), out);
    }
    aft_image_section(image, FIRST + 1 + 2 * HOURS, AFT_GRAIN);
    for (uint32_t m = 0; m < f->members; m++)
        put_vector(f->applied + (size_t)m * AFT_LINEAR_COLUMNS, out);
}

/* ---- reading */
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
get_counts(struct aft_reader *r, int64_t *v, int n)
{
    bool good = true;
    for (int i = 0; good && i < n; i++)
        good = get_i64(r, &v[i]) && v[i] > -(INT64_C(1) << 56) && v[i] < INT64_C(1) << 56;
    return good;
}

static bool
get_history(struct aft_reader *r, struct afti_history *h)
{
    uint8_t low, high;
    bool good = get_counts(r, &h->ended, 1) && get_counts(r, &h->ended_ms, 1) &&
                aft_get_u8(r, &low) && aft_get_u8(r, &high);
    unsigned there = good ? (unsigned)(low | high << 8) : 0;
    good = good && there < 1u << AFTI_AGES;
    for (int a = 0; good && a < AFTI_AGES; a++)
        if (there >> a & 1)
            good = get_counts(r, h->opened[a], AFTI_LEVELS) &&
                   get_counts(r, h->gained[a], AFTI_LEVELS) &&
                   get_counts(r, h->moved[a][0], AFTI_LEVELS * AFTI_LEVELS);
    return good;
}

static bool
get_vector(struct aft_reader *r, double *v)
{
    uint32_t d;
    bool good = aft_get_le32(r, &d) && d <= AFT_LINEAR_COLUMNS;
    for (uint32_t i = 0; good && i < d; i++)
        good = get_finite(r, &v[i]);
    return good;
}

static bool
get_cohort(struct afti_forecast *f, struct aft_reader *r)
{
    int64_t hour;
    if (!get_i64(r, &hour) || hour > INT64_MAX / 3600000 || hour < INT64_MIN / 3600000 ||
        (f->n && hour <= f->v[f->n - 1]->hour))
        return false;
    struct afti_cohort *c = afti_cohort_add(f, hour);
    bool good = get_i64(r, &c->left) && get_i64(r, &c->settled) && get_history(r, &c->history);
    for (int l = 0; good && l < AFTI_LEVELS; l++)
        good = get_finite(r, &c->coefficient[l]);
    for (uint32_t m = 0; good && m < f->members; m++)
        for (int l = 0; good && l < AFTI_LEVELS; l++)
            good = get_vector(r, afti_cohort_sum(f, c, m, l));
    return good;
}

bool
afti_forecast_decode(struct afti_forecast *f, struct aft_reader *r)
{
    uint32_t n;
    bool good = get_i64(r, &f->hour) && get_history(r, &f->settled) && aft_get_le32(r, &n) &&
                n <= COHORTS_MAX;
    for (uint32_t i = 0; good && i < n; i++)
        good = get_cohort(f, r);
    for (uint32_t m = 0; good && m < f->members; m++)
        good = get_vector(r, f->applied + (size_t)m * AFT_LINEAR_COLUMNS);
    if (good)
        afti_forecast_restored(f);
    return good;
}
