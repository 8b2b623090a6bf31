/* make_fmath_tables.c - makes base/fmath_tables.h with MPFR, at 400 bits. Not part of the build:
 *
 *   cc -O2 -o /tmp/make_fmath_tables tests/golden/make_fmath_tables.c -lmpfr -lgmp -lm && /tmp/make_fmath_tables
 *
 * exp       2^(i/128) as high + low; ln 2 / 128 with a high part of 35 bits, so that k times it is exact
 * log       128 bins of z in [0.70, 1.41): 1/c of at most 10 bits, log c as a multiple of 2^-42 and the rest; ln 2 likewise
 * (38 bits)
 * quantile  16 bins an octave of p in [2^-54, 1/2): Chebyshev interpolation at 9 points, as monomials in t in [-1, 1]; near
 * 1/2 an odd
 *           series with sqrt(2 pi) split in two (26 bits)
 */
#include <math.h>
#include <mpfr.h>
#include <stdio.h>
#include <string.h>

enum { BITS = 400, TERMS = 9 };

static mpfr_t root_2pi;

/* high to nearest double; what is left of x stays in x. */
static double
take_high(mpfr_t x)
{
    double h = mpfr_get_d(x, MPFR_RNDN);
    mpfr_sub_d(x, x, h, MPFR_RNDN);
    return h;
}

/* The same with a high part of few bits, so that products with small integers are exact. */
static double
take_short(mpfr_t x, mpfr_prec_t bits)
{
    mpfr_t m;
    mpfr_init2(m, bits);
    mpfr_set(m, x, MPFR_RNDN);
    double h = mpfr_get_d(m, MPFR_RNDN);
    mpfr_clear(m);
    mpfr_sub_d(x, x, h, MPFR_RNDN);
    return h;
}

/* The lower quantile of p <= 1/2: Newton on log Phi, which is steady in the tail. */
static void
quantile(mpfr_t q, mpfr_t p)
{
    mpfr_t e, d, root2;
    double pd = mpfr_get_d(p, MPFR_RNDN), l = sqrt(-2 * log(pd));
    mpfr_inits2(BITS, e, d, root2, (mpfr_ptr)0);
    mpfr_sqrt_ui(root2, 2, MPFR_RNDN);
    mpfr_set_d(q, pd >= .02 ? -2.50662827463 * (.5 - pd) : -sqrt(-2 * log(pd * 2.5 * l)),
               MPFR_RNDN);
    for (int i = 0; i < 200; i++) {
        mpfr_div(e, q, root2, MPFR_RNDN);
        mpfr_neg(e, e, MPFR_RNDN);
        mpfr_erfc(e, e, MPFR_RNDN);
        mpfr_div_ui(e, e, 2, MPFR_RNDN);
        mpfr_div(e, e, p, MPFR_RNDN);
        mpfr_log(e, e, MPFR_RNDN);
        mpfr_mul(e, e, p, MPFR_RNDN);
        mpfr_sqr(d, q, MPFR_RNDN);
        mpfr_div_si(d, d, -2, MPFR_RNDN);
        mpfr_exp(d, d, MPFR_RNDN);
        mpfr_div(d, d, root_2pi, MPFR_RNDN); /* the density */
        mpfr_div(e, e, d, MPFR_RNDN);
        mpfr_sub(q, q, e, MPFR_RNDN);
        if (mpfr_zero_p(e) || mpfr_get_exp(e) < mpfr_get_exp(q) - 330)
            break;
    }
    mpfr_clears(e, d, root2, (mpfr_ptr)0);
}

/* The polynomial through (x[i], y[i]) as monomials in m: divided differences, then Horner backwards. y is used up. */
static void
interpolate(mpfr_t *x, mpfr_t *y, mpfr_t *m)
{
    mpfr_t t;
    mpfr_init2(t, BITS);
    for (int k = 1; k < TERMS; k++)
        for (int i = TERMS - 1; i >= k; i--) {
            mpfr_sub(y[i], y[i], y[i - 1], MPFR_RNDN);
            mpfr_sub(t, x[i], x[i - k], MPFR_RNDN);
            mpfr_div(y[i], y[i], t, MPFR_RNDN);
        }
    for (int i = 0; i < TERMS; i++)
        mpfr_set_ui(m[i], 0, MPFR_RNDN);
    for (int i = TERMS - 1; i >= 0; i--) {
        for (int k = TERMS - 1; k > 0; k--) {
            mpfr_mul(t, m[k], x[i], MPFR_RNDN);
            mpfr_sub(m[k], m[k - 1], t, MPFR_RNDN);
        }
        mpfr_mul(t, m[0], x[i], MPFR_RNDN);
        mpfr_neg(m[0], t, MPFR_RNDN);
        mpfr_add(m[0], m[0], y[i], MPFR_RNDN);
    }
    mpfr_clear(t);
}

/* The i-th of nine Chebyshev points of [-1, 1]. */
static void
chebyshev(mpfr_t x, int i)
{
    mpfr_const_pi(x, MPFR_RNDN);
    mpfr_mul_ui(x, x, (unsigned long)(2 * i + 1), MPFR_RNDN);
    mpfr_div_ui(x, x, 2 * TERMS, MPFR_RNDN);
    mpfr_cos(x, x, MPFR_RNDN);
}

static void
exp_table(void)
{
    mpfr_t a;
    mpfr_init2(a, BITS);
    printf("static const double x_exp_t[128][2] = {\n");
    for (int i = 0; i < 128; i++) {
        mpfr_set_d(a, i / 128., MPFR_RNDN);
        mpfr_exp2(a, a, MPFR_RNDN);
        double h = take_high(a);
        printf("    {%a, %a},\n", h, mpfr_get_d(a, MPFR_RNDN));
    }
    mpfr_const_log2(a, MPFR_RNDN);
    mpfr_div_ui(a, a, 128, MPFR_RNDN);
    double h = take_short(a, 35);
    printf("};\n#define X_L2_128_HI %a\n#define X_L2_128_LO %a\n", h, mpfr_get_d(a, MPFR_RNDN));
    mpfr_clear(a);
}

static void
log_table(void)
{
    mpfr_t a;
    mpfr_init2(a, BITS);
    mpfr_const_log2(a, MPFR_RNDN);
    double h = take_short(a, 38);
    printf("#define X_LN2_HI %a\n#define X_LN2_LO %a\n", h, mpfr_get_d(a, MPFR_RNDN));
    printf("static const double x_log_t[128][3] = {\n");
    for (unsigned long long i = 0; i < 128; i++) {
        unsigned long long from = 0x3fe6000000000000ull + (i << 45), to = from + (1ull << 45);
        double low, high;
        memcpy(&low, &from, 8);
        memcpy(&high, &to, 8);
        double inverse = low <= 1 && high >= 1 ? 1 : rint(512 * 2 / (low + high)) / 512;
        mpfr_set_d(a, inverse, MPFR_RNDN);
        mpfr_log(a, a, MPFR_RNDN);
        mpfr_neg(a, a, MPFR_RNDN);
        double rounded = rint(mpfr_get_d(a, MPFR_RNDN) * 0x1p42) / 0x1p42;
        mpfr_sub_d(a, a, rounded, MPFR_RNDN);
        printf("    {%a, %a, %a},\n", inverse, rounded, mpfr_get_d(a, MPFR_RNDN));
    }
    printf("};\n");
    mpfr_clear(a);
}

static void
tail_table(mpfr_t *x, mpfr_t *y, mpfr_t *m)
{
    mpfr_t p;
    mpfr_init2(p, BITS);
    printf("#define X_Q_NC %d\nstatic const double x_q_t[53 * 16][%d] = {\n", TERMS, TERMS + 1);
    for (int octave = 0; octave < 53; octave++)
        for (int j = 0; j < 16; j++) {
            for (int i = 0; i < TERMS; i++) {
                chebyshev(x[i], i);
                mpfr_div_ui(p, x[i], 32, MPFR_RNDN);
                mpfr_add_d(p, p, 1 + (j + .5) / 16, MPFR_RNDN);
                mpfr_mul_2si(p, p, -2 - octave, MPFR_RNDN);
                quantile(y[i], p);
            }
            interpolate(x, y, m);
            double h = take_high(m[0]);
            printf("    {%a, %a", h, mpfr_get_d(m[0], MPFR_RNDN));
            for (int i = 1; i < TERMS; i++)
                printf(", %a", mpfr_get_d(m[i], MPFR_RNDN));
            printf("},\n");
        }
    printf("};\n");
    mpfr_clear(p);
}

/* Near 1/2: q = -(s sqrt(2 pi) + s z c(z)), z = s^2 in (0, 1/64), s = 1/2 - p. */
static void
centre_table(mpfr_t *x, mpfr_t *y, mpfr_t *m)
{
    mpfr_t s, p;
    mpfr_inits2(BITS, s, p, (mpfr_ptr)0);
    for (int i = 0; i < TERMS; i++) {
        chebyshev(x[i], i);
        mpfr_add_ui(x[i], x[i], 1, MPFR_RNDN);
        mpfr_div_ui(x[i], x[i], 128, MPFR_RNDN);
        mpfr_sqrt(s, x[i], MPFR_RNDN);
        mpfr_set_d(p, .5, MPFR_RNDN);
        mpfr_sub(p, p, s, MPFR_RNDN);
        quantile(y[i], p);
        mpfr_neg(y[i], y[i], MPFR_RNDN);
        mpfr_div(y[i], y[i], s, MPFR_RNDN);
        mpfr_sub(y[i], y[i], root_2pi, MPFR_RNDN);
        mpfr_div(y[i], y[i], x[i], MPFR_RNDN);
    }
    interpolate(x, y, m);
    mpfr_set(s, root_2pi, MPFR_RNDN);
    double h = take_short(s, 26);
    printf("#define X_SQ2PI_HI %a\n#define X_SQ2PI_LO %a\n", h, mpfr_get_d(s, MPFR_RNDN));
    printf("#define X_QC_N %d\nstatic const double x_qc[%d] = {\n   ", TERMS, TERMS);
    for (int i = 0; i < TERMS; i++)
        printf(" %a,", mpfr_get_d(m[i], MPFR_RNDN));
    printf("\n};\n");
    mpfr_clears(s, p, (mpfr_ptr)0);
}

int
main(void)
{
    mpfr_t x[TERMS], y[TERMS], m[TERMS];
    mpfr_init2(root_2pi, BITS);
    mpfr_const_pi(root_2pi, MPFR_RNDN);
    mpfr_mul_ui(root_2pi, root_2pi, 2, MPFR_RNDN);
    mpfr_sqrt(root_2pi, root_2pi, MPFR_RNDN);
    for (int i = 0; i < TERMS; i++)
        mpfr_inits2(BITS, x[i], y[i], m[i], (mpfr_ptr)0);
    exp_table();
    log_table();
    tail_table(x, y, m);
    centre_table(x, y, m);
    return 0;
}
