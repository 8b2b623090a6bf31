/* uplift.c - ratios over users and their uplift: see uplift.h for the formulas. Pure. */
#include "evaluate/uplift.h"

#include <math.h>

void
aft_ratio_add(struct aft_ratio *r, double y, double d)
{
    if (d == 0)
        return;
    r->users++;
    r->y += y;
    r->d += d;
    r->yy += y * y;
    r->yd += y * d;
    r->dd += d * d;
}

double
aft_ratio_value(const struct aft_ratio *r)
{
    return r->d != 0 ? r->y / r->d : 0;
}

double
aft_ratio_variance(const struct aft_ratio *r)
{
    AFT_ASSERT(r->users >= 2);
    double n = (double)r->users, value = aft_ratio_value(r);
    double squares = r->yy - 2 * value * r->yd + value * value * r->dd;
    return fmax(squares, 0) * n / (n - 1) / (r->d * r->d);
}

bool
aft_uplift(const struct aft_ratio *a, const struct aft_ratio *b, double z, struct aft_interval *out)
{
    if (a->users < 2 || b->users < 2)
        return false;
    double ra = aft_ratio_value(a), rb = aft_ratio_value(b);
    if (!(ra > 0 && rb > 0))
        return false;
    double s = sqrt(aft_ratio_variance(a) / (ra * ra) + aft_ratio_variance(b) / (rb * rb));
    out->estimate = ra / rb - 1;
    out->low = ra / rb * aft_exp(-z * s) - 1;
    out->high = ra / rb * aft_exp(z * s) - 1;
    return true;
}
