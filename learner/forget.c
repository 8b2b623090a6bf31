/* forget.c - what is old counts less: learner.half.life, in event time of the impression. Pure. One thread.
 *
 * Time goes in steps of half.life / 64. When an example fires beyond the next step, everything learned is multiplied by 2^-(steps / 64)
 * (kind->forget), and an impression shown at t is learned with weight h 2^((t - reached) / half life), whenever it is learned. So what
 * an impression counts for at any time depends on when it was shown alone: a reward that comes 13 days late adds what it would have
 * left, had it come at once. (research on D-LinUCB, arXiv 1909.09146, forgets by count of updates, where that is not so.)
 *
 * Invariants: I1 reached is a multiple of the step and only grows, a function of the examples' fire times; I2 an impression is shown
 * before it fires, so no factor is above 2^(1/64).
 */
#include "learner/inner.h"

enum { STEPS = 64 };

static int64_t
step_of(const struct aft_learner *l)
{
    int64_t step = l->settings.half_life_ms / STEPS;
    return step > 0 ? step : 1;
}

static double
halvings(const struct aft_learner *l, int64_t ms)
{
    double n = (double)ms / (double)l->settings.half_life_ms;
    return n < -900 ? -900 : n;
}

void
afti_forget(struct aft_learner *l)
{
    int64_t step, now = l->counts[AFTI_EVENT_TIME], *reached = &l->counts[AFTI_FORGOTTEN_TO];
    if (l->settings.half_life_ms == 0)
        return;
    step = step_of(l);
    if (now - *reached < step)
        return;
    now -= now % step;
    double keep = aft_exp2(halvings(l, *reached - now)); /* the first time: of nothing */
    for (uint32_t i = 0; i < l->members_n; i++)
        l->table.kind->forget(&l->table, &l->members[i], keep);
    if (l->forecast)
        afti_forecast_forget(l->forecast, keep);
    *reached = now;
}

double
afti_age(const struct aft_learner *l, int64_t shown_ms)
{
    int64_t age = l->counts[AFTI_FORGOTTEN_TO] - shown_ms, step;
    if (l->settings.half_life_ms == 0)
        return 1;
    step = step_of(l);
    return aft_exp2(halvings(l, age < -step ? step : -age));
}
