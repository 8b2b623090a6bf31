/* directions.c - Thompson's joint law by a revision's table: a normal for each row that several of the eligible have, by the deviation of its
 * own, and one for what is a candidate's own. What score.c lays from places, without making them. One thread a scratch.
 *
 *   the table's rows    0 .. catalogue.rows - 1
 *   the request's own   features of some candidates: places, each of a row of the table, or of a further row (rows .. all - 1)
 *
 * I1 directions stand in the order in which the candidates, one after the other, name their rows: the table's first, then their own. So do the
 *    normals, and the bits are those of the long way.
 * I2 folds[].dense is a row's number + 1 while rows are counted where there are own features, and 0 before and after. */
#include "policy/inner.h"

enum { ROWS_MAX = 2 * AFT_FEATURES_MAX };

struct sharing {              /* small: it is cleared for every decision, but for the deviations */
    uint32_t all, shared;     /* rows; those that two have, or more */
    uint16_t first[ROWS_MAX]; /* of the table's: the first whose table has it */
    uint8_t at[ROWS_MAX];     /* its direction + 1, once laid */
    uint8_t by[ROWS_MAX];     /* how many have it; two: two or more */
    double unknown;           /* of the context */
    double deviation[ROWS_MAX];
};
_Static_assert(AFT_CANDIDATES_MAX <= UINT16_MAX && AFTI_DIRECTIONS < UINT8_MAX, "fit in `sharing`");

/* ---- who has what */
static void
count_table(const struct aft_scratch *s, uint32_t n, double unknown, struct sharing *h)
{
    const struct afti_catalogue *c = &s->catalogue;
    memset(h, 0, offsetof(struct sharing, deviation));
    h->unknown = unknown;
    for (uint32_t j = 0; j < c->rows; j++) {
        const double *row = c->value + (size_t)j * c->stride;
        uint8_t by = 0;
        for (uint32_t a = 0; a < n && by < 2; a++)
            if (row[s->index[a]] != 0 && by++ == 0)
                h->first[j] = (uint16_t)a;
        h->by[j] = by;
        h->shared += by == 2;
    }
    h->all = c->rows;
}

/* Own features as places, in the order of the candidates; s->variance: what has no place. false: others than plain ones. */
static bool
gather(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
       struct afti_unknown unknown)
{
    for (uint32_t a = 0; a < n; a++) {
        double beyond = s->catalogue.unknown[s->index[a]];
        uint32_t rows = afti_plain_fresh(m, s, r, s->index[a], 0, &beyond);
        if (rows == UINT32_MAX)
            return false;
        s->start[a] = (uint32_t)s->places_n;
        if (rows)
            afti_keep_places(s, s->own_rows, rows);
        s->variance[a] = beyond * unknown.prior;
    }
    s->start[n] = (uint32_t)s->places_n;
    return true;
}

static uint32_t
row_of(const struct aft_scratch *s, uint32_t i)
{
    return (uint32_t)s->folds[s->places[i].at].dense - 1;
}

/* The rows of the own features. A candidate names a place once. false: too many. */
static bool
count_own(const struct aft_bilinear *b, struct aft_scratch *s, struct sharing *h)
{
    const struct afti_catalogue *c = &s->catalogue;
    for (uint32_t j = 0; j < c->rows; j++)
        afti_fold(b, s, c->place[j], h->unknown, true)->dense = j + 1;
    for (size_t i = 0; i < s->places_n; i++) {
        struct afti_fold *f = afti_fold(b, s, s->places[i].at, h->unknown, true);
        if (f->dense == 0 && h->all == ROWS_MAX)
            return false;
        if (f->dense == 0)
            f->dense = ++h->all;
        uint32_t row = (uint32_t)f->dense - 1;
        h->shared += h->by[row] == 1;
        h->by[row] = h->by[row] ? 2 : 1;
    }
    return true;
}

static void
clean(struct aft_scratch *s) /* I2 */
{
    const struct afti_catalogue *c = &s->catalogue;
    for (uint32_t j = 0; j < c->rows; j++)
        s->folds[c->place[j]].dense = 0;
    for (size_t i = 0; i < s->places_n; i++)
        s->folds[s->places[i].at].dense = 0;
}

/* ---- the directions */
/* What each of the eligible has of row j of the table, times `by`. */
static void
table_row(const struct aft_scratch *s, uint32_t n, uint32_t j, double by, double *out)
{
    const struct afti_catalogue *c = &s->catalogue;
    const double *row = c->value + (size_t)j * c->stride;
    if (n == c->n)
        afti_span_times(row, n, by, out);
    for (uint32_t a = 0; n < c->n && a < n; a++)
        out[a] = row[s->index[a]] * by;
}

/* Row j, at this place of the model, as the next direction; false: it has no finite deviation. */
static bool
lay(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t n, struct sharing *h, uint32_t j,
    uint32_t place)
{
    uint32_t stride = afti_whole(n);
    double *out = s->direction + (size_t)s->directions++ * stride,
           by = afti_deviation(afti_fold(b, s, place, h->unknown, true)->variance);
    memset(out, 0, stride * sizeof *out);
    if (j < s->catalogue.rows)
        table_row(s, n, j, by, out);
    h->at[j] = (uint8_t)s->directions;
    h->deviation[j] = by;
    return by < 1e30;
}

/* I1 */
static bool
lay_all(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t n, struct sharing *h)
{
    const struct afti_catalogue *c = &s->catalogue;
    bool good = true;
    s->directions = 0;
    for (uint32_t a = 0; s->directions < h->shared; a++) {
        AFT_ASSERT(a < n);
        for (uint32_t j = 0; j < c->rows; j++)
            if (h->by[j] == 2 && h->first[j] == a && !h->at[j])
                good &= lay(b, s, n, h, j, c->place[j]);
        for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++) {
            uint32_t row = row_of(s, i);
            if (h->by[row] == 2 && !h->at[row])
                good &= lay(b, s, n, h, row, s->places[i].at);
        }
    }
    return good;
}

/* What is one's own, and one's own features along what is shared. */
static void
add_own(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t n, const struct sharing *h)
{
    const struct afti_catalogue *c = &s->catalogue;
    uint32_t stride = afti_whole(n);
    for (uint32_t a = 0; a < n; a++) {
        uint32_t at = c->identity[s->index[a]];
        if (at != AFT_NOWHERE)
            s->variance[a] += afti_fold(b, s, at, h->unknown, true)->variance;
    }
    for (uint32_t j = 0; j < c->rows; j++) {
        double v = c->value[(size_t)j * c->stride + s->index[h->first[j]]];
        if (h->by[j] == 1 && v != 0) /* 0: it is somebody's own feature that names it */
            s->variance[h->first[j]] +=
                v * v * afti_fold(b, s, c->place[j], h->unknown, true)->variance;
    }
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t i = s->start[a]; i < s->start[a + 1]; i++) {
            uint32_t row = row_of(s, i);
            double v = s->places[i].value;
            if (h->by[row] == 2)
                s->direction[(size_t)(h->at[row] - 1) * stride + a] += v * h->deviation[row];
            else
                s->variance[a] += v * v * s->folds[s->places[i].at].variance;
        }
}

bool
afti_plain_directions(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                      uint32_t n, struct afti_unknown unknown)
{
    const struct aft_bilinear *b = &m->weights.bilinear;
    struct sharing h;
    if (!afti_plain_table(m, s, r))
        return false;
    count_table(s, n, unknown.context, &h);
    bool good = gather(m, s, r, n, unknown) && (!s->places_n || count_own(b, s, &h)) &&
                h.shared <= AFTI_DIRECTIONS;
    if (good) {
        afti_directions_room(s, n, h.shared);
        good = lay_all(b, s, n, &h);
    }
    if (good)
        add_own(b, s, n, &h);
    if (s->places_n)
        clean(s);
    s->places_n = 0;
    return good;
}
