/* uplift.h - how much better one policy did than another: the ratio of two ratios, with an interval. Pure.
 *
 * CTR is clicks / tiles, value is reward / decisions: ratios of sums over users, and a user's decisions are not independent (he is a
 * cluster). So each user gives one pair (y, d); the variance of R = Sum y / Sum d is, by the delta method (linearisation; Cochran,
 * Sampling Techniques, 3rd ed., 6.4; Deng, Knoblich & Lu, KDD 2018),
 *
 *      Var(R) ~ n/(n-1) * Sum (y_u - R d_u)^2 / (Sum d)^2
 *
 * and log(R_a / R_b) is taken as normal: the interval of the uplift R_a / R_b - 1 is exp(log(R_a/R_b) -+ z * s) - 1 with
 * s^2 = Var(R_a)/R_a^2 + Var(R_b)/R_b^2, the two policies having different users.
 * A decision that was logged with probability q (design.pass) is added to his y and his d times 1/q.
 */
#ifndef AFT_EVALUATE_UPLIFT_H
#define AFT_EVALUATE_UPLIFT_H

#include "base/base.h"

#define AFT_Z_95 1.959963984540054

struct aft_ratio {
    uint64_t users;
    double y, d, yy, yd, dd;
};
/* aft_ratio_add: one user's sums, numerator and denominator; users without any (d = 0) are left out. */
void aft_ratio_add(struct aft_ratio *r, double y, double d);
/* aft_ratio_value: Sum y / Sum d; 0 when there is nothing. aft_ratio_variance: as above; needs two users. */
double aft_ratio_value(const struct aft_ratio *r);
double aft_ratio_variance(const struct aft_ratio *r);

struct aft_interval {
    double estimate, low, high;
};
/* aft_uplift: of a over b. false: it cannot be said (a side has fewer than two users, or no positive ratio). */
bool aft_uplift(const struct aft_ratio *a, const struct aft_ratio *b, double z,
                struct aft_interval *out);

#endif
