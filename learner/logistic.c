/* logistic.c - exact importance-aware steps, by a fixed number of Newton steps from a bracketing start. Pure. Any thread.
 *
 * t = 1 (t = 0 by mirror), m = f: m' + e^m' = m + e^m + a. Five steps: 7e-16.
 * 0 < t < 1, z = f - logit(t) < 0 (else mirror): (1 - t) z - ln(1 - e^z) grows by a t (1 - t). Ten steps: 1.1e-13 over t 0.001
 * .. 0.999,
 * |f| <= 30, a 1e-6 .. 1e6. Never passes logit(t), where a mix of the two signed steps would. A step that moves nothing is the last:
 * those after it would be the same.
 */
#include "learner/inner.h"

/* A label of 1. */
static double
flow_one(double m, double a)
{
    if (m >= 30)
        return m;
    if (a < 1e-9)
        return m + a / (1 + aft_exp(m));
    double e = aft_exp(m), c = m + e + a, x = c > 1 ? aft_log(c) : m + a / (1 + e);
    for (int i = 0; i < 5; i++) {
        double g = aft_exp(x), before = x;
        x -= (x + g - c) / (1 + g);
        if (x == before)
            break;
    }
    return x;
}

/* Far from the limit: in z itself, convex, from the right. */
static double
newton_z(double c, double t)
{
    double z = c / (1 - t);
    for (int i = 0; i < 10; i++) {
        double g = aft_exp(z), before = z;
        z -= ((1 - t) * z - aft_log(1 - g) - c) / ((1 - t) + g / (1 - g));
        if (z == before)
            break;
    }
    return z;
}

/* Near it: in y = -ln(1 - e^z), concave, from the left. */
static double
newton_y(double c, double t, double e)
{
    double y0 = -aft_log(1 - e), y = c > y0 ? c : y0;
    double b = 0.5 * aft_exp(c < 0 ? c / (1 - t) : 0), d = (1 - t) * 0.69;
    b = b < d ? b : d;
    y = y > b ? y : b;
    for (int i = 0; i < 10; i++) {
        double g = aft_exp(-y), q = 1 - g, before = y;
        y -= ((1 - t) * aft_log(q) + y - c) / (1 + (1 - t) * g / q);
        if (y == before)
            break;
    }
    double g = aft_exp(-y);
    if (y > 12)
        return -g * (1 + g * (0.5 + g * (1. / 3)));
    return aft_log(1 - g > 0 ? 1 - g : 1e-300);
}

/* 0 < t < 1 and z = f - logit(t) < 0. */
static double
flow_below(double z, double t, double a)
{
    double k = a * t * (1 - t), out;
    if (z > -1e-6)
        return z * aft_exp(-k);
    double e = aft_exp(z), c = (1 - t) * z - aft_log(1 - e) + k;
    out = c < -(1 - t) ? newton_z(c, t) : newton_y(c, t, e);
    out = out < z ? z : out;
    return out > 0 ? 0 : out;
}

double
aft_logistic_flow(double f, double t, double a)
{
    if (a <= 0)
        return f;
    if (t >= 1)
        return flow_one(f, a);
    if (t <= 0)
        return -flow_one(-f, a);
    double limit = aft_log(t / (1 - t));
    if (f == limit)
        return f;
    return f < limit ? limit + flow_below(f - limit, t, a)
                     : limit - flow_below(limit - f, 1 - t, a);
}

double
aft_squared_flow(double f, double y, double a)
{
    return y + (f - y) * aft_exp(-2 * a);
}
