/* split.c - an outcome's million parts among its touches. Pure; sums are exact.
 *
 * Every rule gives each touch a weight w of the same sum s; it gets floor(w * 10^6 / s), and the parts left over go one each to the
 * greatest remainders, ties to the earlier touch. Shapley is its order-free closed form: equal over distinct arms, then equal over an
 * arm's touches, that is 1 / (arms * touches of the arm) exactly.
 */
#include <math.h>

#include "attribution/inner.h"

/* afti_sort: heap sort, ascending by (a, b, c); the keys are distinct by construction, so stability does not matter. */
static bool
less(const struct afti_ranked *x, const struct afti_ranked *y)
{
    if (x->a != y->a)
        return x->a < y->a;
    return x->b != y->b ? x->b < y->b : x->c < y->c;
}

static void
sift(struct afti_ranked *v, size_t i, size_t n)
{
    struct afti_ranked top = v[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && less(&v[child], &v[child + 1]))
            child++;
        if (!less(&top, &v[child]))
            break;
        v[i] = v[child];
    }
    v[i] = top;
}

void
afti_sort(struct afti_ranked *v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(v, i, n);
    for (size_t left = n; left-- > 1;) {
        struct afti_ranked top = v[0];
        v[0] = v[left];
        v[left] = top;
        sift(v, 0, left);
    }
}

uint64_t
aft_decay_q32(int64_t age_ms, int64_t half_life_ms)
{
    AFT_ASSERT(half_life_ms > 0);
    double power = 32.0 - (double)age_ms / (double)half_life_ms;
    if (power < -1)
        return 0;
    AFT_ASSERT(power <= 62);
    return (uint64_t)floor(aft_exp2(power) + 0.5);
}

/* A share w / s as parts and a remainder that orders like the exact one: scaled to 2^64, and any two that differ do so by more
 * than 2^-64, since s < 2^32 for Shapley and is common to all touches for the others. */
static uint64_t
remainder_of(uint64_t w, uint64_t s, uint32_t *parts)
{
    __uint128_t all = (__uint128_t)w * AFT_PPM;
    *parts = (uint32_t)(all / s);
    return (uint64_t)(all % s);
}

static void
hand_out(struct afti_ranked *r, uint32_t n, uint32_t *ppm)
{
    uint64_t left = AFT_PPM;
    for (uint32_t i = 0; i < n; i++)
        left -= ppm[i];
    AFT_ASSERT(left < n);
    if (!left)
        return;
    afti_sort(r, n);
    for (uint64_t i = 0; i < left; i++)
        ppm[r[i].c]++;
}

static void
by_weights(const uint64_t *w, uint32_t n, struct afti_ranked *r, uint32_t *ppm)
{
    uint64_t s = 0;
    for (uint32_t i = 0; i < n; i++)
        s += w[i];
    for (uint32_t i = 0; i < n; i++)
        r[i] = (struct afti_ranked){.a = ~remainder_of(s ? w[i] : 1, s ? s : n, &ppm[i]), .c = i};
    hand_out(r, n, ppm);
}

/* shapley: touches of the same arm are found by sorting hashes of arms. */
static void
shapley(const struct aft_touch_view *t, uint32_t n, struct afti_ranked *r, uint32_t *ppm)
{
    for (uint32_t i = 0; i < n; i++) {
        struct aft_hash128 h = aft_id_of(t[i].arm_id);
        r[i] = (struct afti_ranked){.a = h.low, .b = h.high, .c = i};
    }
    afti_sort(r, n);
    uint64_t arms = 0;
    for (uint32_t i = 0; i < n; i++)
        arms += i == 0 || r[i].a != r[i - 1].a || r[i].b != r[i - 1].b;
    for (uint32_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && r[end].a == r[i].a && r[end].b == r[i].b;)
            end++;
        for (uint32_t k = i; k < end; k++) /* the touches of this arm, for the next pass */
            r[k].value = end - i;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t d = arms * r[i].value, rest = remainder_of(1, d, &ppm[r[i].c]);
        r[i].a = ~(uint64_t)(((__uint128_t)rest << 64) / d);
        r[i].b = 0;
    }
    hand_out(r, n, ppm);
}

static void
weigh(enum aft_rule rule, int64_t half_life_ms, const struct aft_touch_view *t, uint32_t n,
      int64_t outcome_ms, uint64_t *w)
{
    uint64_t end = n > 2 ? 2 * (uint64_t)(n - 2) : 1; /* 40 / 20 / 40 */
    for (uint32_t i = 0; i < n; i++)
        switch (rule) {
        case AFT_RULE_LAST_TOUCH:
            w[i] = i == n - 1;
            break;
        case AFT_RULE_FIRST_TOUCH:
            w[i] = i == 0;
            break;
        case AFT_RULE_TIME_DECAY:
            w[i] = aft_decay_q32(outcome_ms - t[i].time_ms, half_life_ms);
            break;
        case AFT_RULE_POSITION_BASED:
            w[i] = i == 0 || i == n - 1 ? end : 1;
            break;
        case AFT_RULE_LINEAR:
        case AFT_RULE_SHAPLEY:
            w[i] = 1;
            break;
        }
}

enum aft_err
aft_split(enum aft_rule rule, int64_t half_life_ms, const struct aft_touch_view *touches,
          uint32_t n, int64_t outcome_ms, struct aft_arena *scratch, uint32_t *ppm,
          struct aft_error *e)
{
    AFT_ASSERT(n >= 1);
    struct afti_ranked *r = aft_arena_take(scratch, n * sizeof *r);
    uint64_t *w = aft_arena_take(scratch, n * sizeof *w);
    if (!r || !w)
        return AFT_FAIL(
            e, AFT_E_LIMIT,
            "an outcome has %u touches, more than memory for one split allows: shorten the "
            "window, or use another rule",
            n);
    if (rule == AFT_RULE_SHAPLEY) {
        shapley(touches, n, r, ppm);
        return AFT_OK;
    }
    weigh(rule, half_life_ms, touches, n, outcome_ms, w);
    by_weights(w, n, r, ppm);
    return AFT_OK;
}
