/* spans.c - what is done to a number of each candidate, four at a time: each by itself, in the operations that one would take, so the bits
 * do not depend on the width. Arrays may end anywhere (the last up to three are done one by one). Pure. Any thread.
 */
#include <math.h>

#include "policy/inner.h"

typedef float floats __attribute__((vector_size(16)));

AFT_WIDE void
afti_span_add(double *x, uint32_t n, double more)
{
    uint32_t i = 0;
    aft_wide v;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        v = AFT_ALL(more) + v;
        memcpy(x + i, &v, sizeof v);
    }
    for (; i < n; i++)
        x[i] = more + x[i];
}

AFT_WIDE void
afti_span_divide(const double *x, uint32_t n, double by, double *out)
{
    uint32_t i = 0;
    aft_wide v;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        v = v / AFT_ALL(by);
        memcpy(out + i, &v, sizeof v);
    }
    for (; i < n; i++)
        out[i] = x[i] / by;
}

AFT_WIDE void
afti_span_times(const double *x, uint32_t n, double by, double *out)
{
    uint32_t i = 0;
    aft_wide v;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        v = v * AFT_ALL(by);
        memcpy(out + i, &v, sizeof v);
    }
    for (; i < n; i++)
        out[i] = x[i] * by;
}

AFT_WIDE bool
afti_span_within(const double *x, uint32_t n, double limit)
{
    uint32_t i = 0;
    aft_wide v;
    aft_choice in = {-1, -1, -1, -1};
    bool all = true;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        in &= (v < AFT_ALL(limit)) & (v > AFT_ALL(-limit)); /* of NaN neither is true */
    }
    for (; i < n; i++)
        all &= fabs(x[i]) < limit;
    return all && (in[0] & in[1] & in[2] & in[3]);
}

AFT_WIDE void
afti_span_narrow(double *x, uint32_t n, float *narrow)
{
    uint32_t i = 0;
    aft_wide v;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        floats f = __builtin_convertvector(v, floats);
        v = __builtin_convertvector(f, aft_wide);
        memcpy(narrow + i, &f, sizeof f);
        memcpy(x + i, &v, sizeof v);
    }
    for (; i < n; i++) {
        narrow[i] = (float)x[i];
        x[i] = (double)narrow[i];
    }
}

/* ---- exponentials, for weights */
AFT_WIDE double
afti_span_under(const double *x, uint32_t n, double *under)
{
    double top = x[0];
    uint32_t i = 0, fours = n & ~3u;
    aft_wide v, most = AFT_ALL(top);
    for (; i < fours; i += 4) {
        memcpy(&v, x + i, sizeof v);
        most = AFT_LARGER(v, most);
    }
    for (int lane = 0; lane < 4; lane++)
        top = most[lane] > top ? most[lane] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (i = 0; i < fours; i += 4) {
        memcpy(&v, x + i, sizeof v);
        v -= AFT_ALL(top);
        memcpy(under + i, &v, sizeof v);
    }
    for (; i < n; i++)
        under[i] = x[i] - top;
    return top;
}

AFT_WIDE void
afti_span_cut(double *x, uint32_t n, const double *under, double least)
{
    uint32_t i = 0;
    aft_wide v, u;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        memcpy(&u, under + i, sizeof u);
        v = AFT_CHOOSE(u < AFT_ALL(least), AFT_ALL(0), v);
        memcpy(x + i, &v, sizeof v);
    }
    for (; i < n; i++)
        x[i] = under[i] < least ? 0 : x[i];
}

AFT_WIDE void
afti_span_floor(double *x, uint32_t n, double scale, double floor)
{
    uint32_t i = 0;
    aft_wide v;
    for (; i + 4 <= n; i += 4) {
        memcpy(&v, x + i, sizeof v);
        v = v * AFT_ALL(scale) + AFT_ALL(floor);
        memcpy(x + i, &v, sizeof v);
    }
    for (; i < n; i++)
        x[i] = x[i] * scale + floor;
}
