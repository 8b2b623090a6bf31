/* import_scale.c - features whose values are too large for the learner, made smaller by a power of ten. In: features. Out: features. Pure.
 * A time stamp, a price in cents, an id as a number: VW divides every feature by the largest that it met, so its users need not mind. */
#include <math.h>
#include <string.h>

#include "cmd/import_inner.h"

static const double most = 1e6; /* that the learner takes, of products, too (learner/table.c) */

void
import_scale_begin(struct import *m)
{
    m->largest = m->crosses_n ? sqrt(most) : most;
}

static bool
within(const struct import_spaces *s, char letter)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (letter == ':' || letter == (s->v[i][0] ? s->v[i][0] : ' '))
            return true;
    return false;
}

/* Whether an interaction multiplies two features of the context, or two of the arm. One of each is crossed by the flow itself. */
static bool
multiplies(const struct import *m, const struct import_spaces *s)
{
    for (uint32_t i = 0; i < m->crosses_n; i++) {
        uint32_t inside = 0;
        for (const char *l = m->crosses[i]; *l; l++)
            inside += within(s, *l);
        if (inside > 1)
            return true;
    }
    return false;
}

void
import_scale_conclude(struct import *m)
{
    uint32_t n = 0;
    if (m->largest >= most || multiplies(m, &m->shared) || multiplies(m, &m->own))
        return;
    m->largest = most;
    for (uint32_t i = 0; i < m->scales_n; i++) {
        m->scales[n] = m->scales[i];
        m->scales[n].by /= most / sqrt(most);
        n += m->scales[n].by > 1;
    }
    m->scales_n = n;
}

/* Four digits before the point, an exponent, or a namespace's weight: without one of these nothing is above a thousand. */
bool
import_scale_may(struct aft_bytes text)
{
    uint32_t digits = 0;
    bool space = false, value = false; /* in a namespace's name; behind a ':', before the point */
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == ':' && space)
            return true;
        if (c == ':' || c == '|' || c == ' ' || c == '\t' || c == '.') {
            space = c == '|';
            value = c == ':';
            digits = 0;
        } else if (c >= '0' && c <= '9') {
            digits += value;
            if (digits == 4)
                return true;
        } else if ((c | 32) == 'e' && i && text.p[i - 1] >= '0' && text.p[i - 1] <= '9') {
            return true;
        }
    }
    return false;
}

static const struct import_scale *
scale_of(const struct import *m, struct aft_bytes name)
{
    for (uint32_t i = 0; i < m->scales_n; i++)
        if (aft_same((struct aft_bytes){(const uint8_t *)m->scales[i].name, m->scales[i].name_n},
                     name))
            return &m->scales[i];
    return NULL;
}

static double
power_for(double value, double largest)
{
    double by = 1;
    while (fabs(value) / by > largest)
        by *= 10;
    return by;
}

static void
note(struct import *m, const struct aft_feature *f)
{
    const struct import_scale *known = scale_of(m, f->name);
    struct import_scale *s = known ? &m->scales[known - m->scales] : NULL;
    if (!s && m->scales_n == IMPORT_SCALES_MAX)
        return; /* the learner says so */
    if (!s) {
        AFT_ASSERT(f->name.n <= AFT_ID_BYTES_MAX);
        s = &m->scales[m->scales_n++];
        *s = (struct import_scale){.name_n = (uint32_t)f->name.n, .by = 1};
        memcpy(s->name, f->name.p, f->name.n);
    }
    double by = power_for(f->number, m->largest);
    s->by = by > s->by ? by : s->by;
}

void
import_scale_note(struct import *m, struct aft_features f)
{
    for (uint32_t i = 0; i < f.n; i++)
        if (f.v[i].type == AFT_FEATURE_NUMBER && fabs(f.v[i].number) > m->largest)
            note(m, &f.v[i]);
}

enum aft_err
import_scale(const struct import *m, struct aft_arena *a, struct aft_features *f,
             struct aft_error *e)
{
    if (m->scales_n == 0 || f->n == 0)
        return AFT_OK;
    struct aft_feature *v = aft_arena_take(a, f->n * sizeof *v);
    if (!v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the arena is full: the line is too long");
    for (uint32_t i = 0; i < f->n; i++) {
        const struct import_scale *s =
            f->v[i].type == AFT_FEATURE_NUMBER ? scale_of(m, f->v[i].name) : NULL;
        v[i] = f->v[i];
        v[i].number = s ? v[i].number / s->by : v[i].number;
    }
    f->v = v;
    return AFT_OK;
}
