/* fmath.h - exp, log, logistic and the normal quantile from + - * / and integer operations alone, in a fixed order:
 * the same bits from gcc and clang, at every -O, on every CPU with IEEE doubles (never with -ffast-math or contraction).
 *
 * Why not libm: glibc picks FMA variants by CPU, so that the same binary gives other bits on another machine.
 * Measured against MPFR: exp 0.511 ulp, log 0.746 ulp, quantile 0.581 ulp, exp2 0.507, logistic 1.82
 * (a quotient of what is rounded already); tests/unit/test_fmath_mpfr.c. Domains saturate, they do not trap.
 */
#ifndef AFT_BASE_FMATH_H
#define AFT_BASE_FMATH_H

#ifdef __FAST_MATH__
#error "aftertouch promises identical bits: build without -ffast-math"
#endif

#include <stdint.h>

double aft_exp(double x); /* saturates outside [-708, 709]; NaN stays NaN */
double aft_log(double x); /* x a normal positive number */
/* aft_exps: y[i] = aft_exp(x[i]), bit for bit, of n numbers four at a time; y may be x. */
void aft_exps(const double *x, uint32_t n, double *y);
double aft_logistic(double x);        /* 1 / (1 + exp(-x)) */
double aft_normal_quantile(double u); /* u in [2^-54, 1 - 2^-53] */

/* aft_exp2(x): 2^x for x in [-1000, 1000]; a whole x gives the exact power. */
double aft_exp2(double x);

#endif
