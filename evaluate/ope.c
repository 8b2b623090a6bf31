/* ope.c - off-policy estimates of one-slot policies and of slates. Pure. Any thread. Sums in the order of the rows. */
#include <math.h>

#include "evaluate/evaluate.h"

void
aft_ope(const struct aft_ope_row *rows, uint32_t n, double tau, double lambda, struct aft_ope *out)
{
    double whole = 0, w = 0, w2 = 0, wr = 0, top = 0;
    struct aft_ope o = {0};
    AFT_ASSERT(n > 0);
    for (uint32_t i = 0; i < n; i++) {
        const struct aft_ope_row *r = &rows[i];
        AFT_ASSERT(r->pass > 0 && r->pass <= 1);
        double residual = r->reward - r->q, square = r->ratio * r->ratio;
        double stands = 1 / r->pass, ratio = stands * r->ratio;
        whole += stands;
        w += ratio;
        w2 += ratio * ratio;
        wr += ratio * r->reward;
        top = r->ratio > top ? r->ratio : top;
        o.dm += stands * r->direct;
        o.dr += stands * r->direct + ratio * residual;
        o.switch_dr += stands * r->direct + (r->ratio <= tau ? ratio * residual : 0);
        o.dr_os +=
            stands * (r->direct +
                      (square + lambda > 0 ? lambda * r->ratio / (square + lambda) : 0) * residual);
    }
    *out = (struct aft_ope){.ips = wr / whole,
                            .snips = w > 0 ? wr / w : 0,
                            .dm = o.dm / whole,
                            .dr = o.dr / whole,
                            .switch_dr = o.switch_dr / whole,
                            .dr_os = o.dr_os / whole,
                            .effective_n = w2 > 0 ? w * w / w2 : 0,
                            .mean_ratio = w / whole,
                            .max_ratio = top};
}

void
aft_slate_ope(const struct aft_slate_row *rows, const uint32_t *k, const double *pass,
              uint32_t slates, struct aft_slate_ope *out)
{
    double whole = 0;
    struct aft_slate_ope o = {0};
    AFT_ASSERT(slates > 0);
    for (uint32_t i = 0; i < slates; rows += k[i++]) {
        double prefix = 1, total = 0, stands = pass ? 1 / pass[i] : 1;
        AFT_ASSERT(stands >= 1);
        for (uint32_t l = 0; l < k[i]; l++) {
            prefix *= rows[l].conditional;
            total += rows[l].reward;
            o.rips += stands * prefix * rows[l].reward;
            o.iips += stands * rows[l].marginal * rows[l].reward;
        }
        o.sips += stands * prefix * total;
        whole += stands;
    }
    *out = (struct aft_slate_ope){o.sips / whole, o.iips / whole, o.rips / whole};
}

uint32_t
aft_ope_shadow(const struct aft_example *x, struct aft_slate_row *rows, double *pass)
{
    const struct aft_design *d = &x->design;
    bool known = x->has_design && d->shadow.p && x->propensity_kind != AFT_PROPENSITY_UNKNOWN;
    if (!known || x->items_n != d->shadow_n || x->items_n > AFT_SLATE_MAX)
        return 0;
    *pass = d->has_pass ? d->pass : 1;
    if (!(*pass > 0 && *pass <= 1))
        return 0;
    uint32_t filled = 0;
    for (uint32_t i = 0; i < x->items_n; i++) {
        const struct aft_example_item *item = &x->items[i];
        if (item->slot < 0 || (uint32_t)item->slot >= d->shadow_n || !(item->propensity > 0) ||
            !(d->shadow_p[item->slot] >= 0 && d->shadow_p[item->slot] <= 1) ||
            filled >> item->slot & 1)
            return 0;
        filled |= UINT32_C(1) << item->slot;
        rows[item->slot] =
            (struct aft_slate_row){.conditional = d->shadow_p[item->slot] / item->propensity,
                                   .marginal = (double)NAN,
                                   .reward = (double)item->reward_micro / AFT_MICRO};
    }
    return x->items_n;
}
