/* fmath.c - elementary functions with the same bits everywhere. Pure. Any thread.
 *
 * exp: 2^(k/128) from a table (high + low) times a polynomial of degree 5.
 * log: 128 bins, 1/c of at most ten bits so that z/c - 1 is exact when z is split in two; degree 8.
 * quantile: odd polynomial near 1/2, else 16 bins an octave, degree 8, first coefficient in two parts.
 * The tables are made by an MPFR program (tests/golden/make_fmath_tables.c).
 */
#include "base/fmath.h"

#include "base/fmath_tables.h"
#include "base/wide.h"

static inline uint64_t
bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, 8);
    return u;
}

static inline double
from_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, 8);
    return x;
}

double
aft_exp(double x)
{
    x = x > 709 ? 709 : x;
    x = x < -708 ? -708 : x;
    double z = x * (128 / 0.693147180559945309417232) + 0x1.8p52;
    uint64_t ki = bits(z);
    double k = z - 0x1.8p52; /* the nearest integer */
    double r = (x - k * X_L2_128_HI) - k * X_L2_128_LO;
    const double *t = x_exp_t[ki & 127];
    double r2 = r * r, p = r + r2 * (.5 + r * (1. / 6 + r * (1. / 24 + r * (1. / 120))));
    double y = t[0] + (t[1] + t[0] * p);
    return from_bits(bits(y) + ((uint64_t)((int64_t)(ki - 0x4338000000000000ull) >> 7) << 52));
}

/* The operations of aft_exp, in its order. The exponent's eleven bits are all that is left of k after the shift. */
static inline __attribute__((always_inline)) void
exp4(const double *from, double *to)
{
    aft_wide x;
    memcpy(&x, from, sizeof x);
    x = AFT_CHOOSE(x > AFT_ALL(709), AFT_ALL(709), x);
    x = AFT_CHOOSE(x < AFT_ALL(-708), AFT_ALL(-708), x);
    aft_wide z = x * AFT_ALL(128 / 0.693147180559945309417232) + AFT_ALL(0x1.8p52);
    aft_wide_bits ki = (aft_wide_bits)z;
    aft_wide k = z - AFT_ALL(0x1.8p52);
    aft_wide r = (x - k * AFT_ALL(X_L2_128_HI)) - k * AFT_ALL(X_L2_128_LO);
    const double *a = x_exp_t[ki[0] & 127], *b = x_exp_t[ki[1] & 127];
    const double *c = x_exp_t[ki[2] & 127], *d = x_exp_t[ki[3] & 127];
    aft_wide high = {a[0], b[0], c[0], d[0]}, low = {a[1], b[1], c[1], d[1]};
    aft_wide r2 = r * r, q = AFT_ALL(1. / 24) + r * AFT_ALL(1. / 120);
    aft_wide p = r + r2 * (AFT_ALL(.5) + r * (AFT_ALL(1. / 6) + r * q));
    aft_wide y = high + (low + high * p);
    y = (aft_wide)((aft_wide_bits)y + (ki >> 7 << 52));
    memcpy(to, &y, sizeof y);
}

AFT_WIDE void
aft_exps(const double *x, uint32_t n, double *y)
{
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        exp4(x + i, y + i);
    if (i < n) {
        double rest[4] = {0};
        memcpy(rest, x + i, (n - i) * sizeof *rest);
        exp4(rest, rest);
        memcpy(y + i, rest, (n - i) * sizeof *rest);
    }
}

double
aft_exp2(double x)
{
    x = x > 1000 ? 1000 : x;
    x = x < -1000 ? -1000 : x;
    double z = x * 128 + 0x1.8p52;
    uint64_t ki = bits(z);
    double r = (x - (z - 0x1.8p52) * (1. / 128)) * 0.693147180559945309417232;
    const double *t = x_exp_t[ki & 127];
    double r2 = r * r, p = r + r2 * (.5 + r * (1. / 6 + r * (1. / 24 + r * (1. / 120))));
    double y = t[0] + (t[1] + t[0] * p);
    return from_bits(bits(y) + ((uint64_t)((int64_t)(ki - 0x4338000000000000ull) >> 7) << 52));
}

double
aft_log(double x)
{
    uint64_t ix = bits(x), tmp = ix - 0x3fe6000000000000ull;
    int i = (int)((tmp >> 45) & 127);
    int64_t k = (int64_t)tmp >> 52;
    uint64_t iz = ix - (tmp & (0xfffull << 52));
    double z = from_bits(iz), zh = from_bits(iz & 0xffffffff00000000ull), zl = z - zh;
    const double *t = x_log_t[i];
    double r = (zh * t[0] - 1) + zl * t[0], kd = (double)k; /* exact: 21..32 bits x 10 bits */
    double s = kd * X_LN2_HI + t[1], h = s + r, l = (s - h) + r + (kd * X_LN2_LO + t[2]);
    double r2 = r * r;
    double q = 1. / 7 + r * (-1. / 8);
    return h + (l + r2 * (-.5 + r * (1. / 3 + r * (-.25 + r * (.2 + r * (-1. / 6 + r * q))))));
}

double
aft_logistic(double x)
{
    double e = aft_exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1.0) / (1 + e);
}

/* The quantile of p in [2^-54, 1/2]. */
static double
quantile_lower(double p)
{
    double s = .5 - p;
    if (s < 0.125) {
        double z = s * s, c = x_qc[X_QC_N - 1];
        for (int i = X_QC_N - 2; i >= 0; i--)
            c = x_qc[i] + z * c;
        double sh = from_bits(bits(s) & ~0x7ffffffull), sl = s - sh;
        return -(sh * X_SQ2PI_HI + (sl * X_SQ2PI_HI + s * X_SQ2PI_LO + s * z * c));
    }
    uint64_t b = bits(p);
    int e = 1021 - (int)(b >> 52), j = (int)((b >> 48) & 15);
    double m = from_bits((b & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
    const double *c = x_q_t[e * 16 + j];
    double t = (m - (1 + (j + .5) / 16)) * 32, q = c[X_Q_NC];
    for (int i = X_Q_NC - 1; i >= 2; i--)
        q = c[i] + t * q;
    return c[0] + (c[1] + t * q);
}

double
aft_normal_quantile(double u)
{
    return u <= .5 ? quantile_lower(u) : -quantile_lower(1 - u);
}
