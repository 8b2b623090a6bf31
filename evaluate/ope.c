/* ope.c - off-policy estimates of one-slot policies and of slates. Pure. Any thread. Sums in the order of the rows. */
#include "evaluate/evaluate.h"

void
aft_ope(const struct aft_ope_row *rows, uint32_t n, double tau, double lambda, struct aft_ope *out)
{
    double w = 0, w2 = 0, wr = 0, top = 0;
    struct aft_ope o = {0};
    AFT_ASSERT(n > 0);
    for (uint32_t i = 0; i < n; i++) {
        const struct aft_ope_row *r = &rows[i];
        double residual = r->reward - r->q, square = r->ratio * r->ratio;
        w += r->ratio;
        w2 += square;
        wr += r->ratio * r->reward;
        top = r->ratio > top ? r->ratio : top;
        o.dm += r->direct;
        o.dr += r->direct + r->ratio * residual;
        o.switch_dr += r->direct + (r->ratio <= tau ? r->ratio * residual : 0);
        o.dr_os += r->direct +
                   (square + lambda > 0 ? lambda * r->ratio / (square + lambda) : 0) * residual;
    }
    *out = (struct aft_ope){.ips = wr / n,
                            .snips = w > 0 ? wr / w : 0,
                            .dm = o.dm / n,
                            .dr = o.dr / n,
                            .switch_dr = o.switch_dr / n,
                            .dr_os = o.dr_os / n,
                            .effective_n = w2 > 0 ? w * w / w2 : 0,
                            .mean_ratio = w / n,
                            .max_ratio = top};
}

void
aft_slate_ope(const struct aft_slate_row *rows, const uint32_t *k, uint32_t slates,
              struct aft_slate_ope *out)
{
    struct aft_slate_ope o = {0};
    AFT_ASSERT(slates > 0);
    for (uint32_t i = 0; i < slates; rows += k[i++]) {
        double prefix = 1, total = 0;
        for (uint32_t l = 0; l < k[i]; l++) {
            prefix *= rows[l].conditional;
            total += rows[l].reward;
            o.rips += prefix * rows[l].reward;
            o.iips += rows[l].marginal * rows[l].reward;
        }
        o.sips += prefix * total;
    }
    *out = (struct aft_slate_ope){o.sips / slates, o.iips / slates, o.rips / slates};
}
