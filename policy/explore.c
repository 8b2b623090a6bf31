/* explore.c - scores of one slot -> a pmf over the arms. Pure. Any thread.
 * Each is the function of the same name in the executable specification; tests/golden/golden_policy.c compares them. */
#include "base/base.h"
#include "policy/design.h"

static uint32_t
first_best(const double *score, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = score[i] > score[best] ? i : best;
    return best;
}

void
aft_epsilon_greedy(const double *score, uint32_t n, double epsilon, double *p)
{
    double top = score[first_best(score, n)];
    uint32_t ties = 0;
    for (uint32_t i = 0; i < n; i++)
        ties += score[i] == top;
    for (uint32_t i = 0; i < n; i++)
        p[i] = epsilon / n + (score[i] == top ? (1 - epsilon) / ties : 0);
}

void
aft_softmax(const double *score, uint32_t n, double lambda, double *p)
{
    double top = score[first_best(score, n)], sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        double d = lambda * (score[i] - top); /* never above 0, so nothing overflows but to less */
        p[i] = d < -700 ? 0 : aft_exp(d);
        sum += p[i];
    }
    for (uint32_t i = 0; i < n; i++)
        p[i] /= sum;
}

/* SquareCB over the arms that keep[] names (all when NULL); `kept` counts them. */
static void
inverse_gap(const double *score, const bool *keep, uint32_t n, double gamma, double *p)
{
    uint32_t kept = 0, best = n;
    for (uint32_t i = 0; i < n; i++) {
        if (keep && !keep[i])
            continue;
        kept++;
        best = best == n || score[i] > score[best] ? i : best;
    }
    AFT_ASSERT(best < n);
    double others = 0;
    for (uint32_t i = 0; i < n; i++) {
        p[i] = 0;
        if (i == best || (keep && !keep[i]))
            continue;
        p[i] = 1 / (kept + gamma * (score[best] - score[i]));
        others += p[i];
    }
    p[best] = 1 - others;
}

void
aft_squarecb(const double *score, uint32_t n, double gamma, double *p)
{
    inverse_gap(score, NULL, n, gamma, p);
}

static void
survivors(const double *low, const double *high, uint32_t n, bool *keep)
{
    double bar = low[first_best(low, n)];
    for (uint32_t i = 0; i < n; i++)
        keep[i] = high[i] >= bar;
}

void
aft_squarecb_elim(const double *score, const double *low, const double *high, uint32_t n,
                  double gamma, double *p)
{
    bool keep[AFT_CANDIDATES_MAX];
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    survivors(low, high, n, keep);
    inverse_gap(score, keep, n, gamma, p);
}

void
aft_regcb_elim(const double *low, const double *high, uint32_t n, double *p)
{
    bool keep[AFT_CANDIDATES_MAX];
    uint32_t kept = 0;
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    survivors(low, high, n, keep);
    for (uint32_t i = 0; i < n; i++)
        kept += keep[i];
    for (uint32_t i = 0; i < n; i++)
        p[i] = keep[i] ? 1.0 / kept : 0;
}

void
aft_bag(const uint32_t *votes, uint32_t votes_n, uint32_t n, double *p)
{
    for (uint32_t i = 0; i < n; i++)
        p[i] = 0;
    for (uint32_t j = 0; j < votes_n; j++)
        p[votes[j]] += 1;
    for (uint32_t i = 0; i < n; i++)
        p[i] /= votes_n;
}

void
aft_floor(double *p, uint32_t n, double epsilon)
{
    bool fixed[AFT_CANDIDATES_MAX] = {false};
    double low = epsilon / n, scale = 1;
    uint32_t fixed_n = 0;
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    for (bool again = true; again;) {
        double mass = 0;
        for (uint32_t i = 0; i < n; i++)
            mass += fixed[i] ? 0 : p[i];
        if (mass <= 0) {
            for (uint32_t i = 0; i < n; i++)
                p[i] = 1.0 / n;
            return;
        }
        scale = (1 - low * fixed_n) / mass;
        again = false;
        for (uint32_t i = 0; i < n; i++)
            if (!fixed[i] && p[i] * scale < low) {
                fixed[i] = again = true;
                fixed_n++;
            }
    }
    for (uint32_t i = 0; i < n; i++)
        p[i] = fixed[i] ? low : p[i] * scale;
}

void
aft_ips_rewards(uint32_t n, uint32_t chosen, double reward, double p, double clip, double *out)
{
    double w = 1 / (p > clip ? p : clip);
    for (uint32_t a = 0; a < n; a++)
        out[a] = a == chosen ? reward * w : 0;
}

void
aft_dr_rewards(const double *q, uint32_t n, uint32_t chosen, double reward, double p, double clip,
               double *out)
{
    double w = 1 / (p > clip ? p : clip);
    for (uint32_t a = 0; a < n; a++)
        out[a] = q[a] + (a == chosen ? (reward - q[a]) * w : 0);
}
