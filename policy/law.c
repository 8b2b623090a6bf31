/* law.c - means and variances -> log-weights, by the policy's law. One thread a scratch.
 *
 *   softmax          score / temperature
 *   all others       a pmf of who leads, or values by which the best lead; the rest of the slate follows by rank (tally.c); then its
 *                    logarithm (a weight of zero as -80: the floor is all that is left of it)
 * All are then floored and drawn by the same code (decide.c), so conditional, prefix and marginal probabilities are exact for all,
 * and none is below epsilon / n. With t = max(1, settled examples), n = eligible candidates, m, v = mean and variance of a score:
 *
 *   first            uniform while settled < policy.first, then the best mean
 *   epsilon_greedy   the best mean; epsilon = max(policy.epsilon.min, policy.epsilon (1 + settled)^-policy.epsilon.decay)
 *   squarecb         1 / (n + gamma gap), the best takes the rest (arXiv 2002.04926); gamma = policy.gamma t^policy.gamma.power,
 *                    gaps of rewards between policy.reward.min and .max, put into [0, 1]
 *   squarecb-elim    the same over the survivors of regcb-elim, n counting survivors
 *   regcb-elim       even over those whose upper bound reaches the best lower one (1803.01088)
 *   regcb-opt        the best upper bound
 *   ucb              the best of m + policy.alpha sqrt(2 ln(1 + t) v); with a constant alone and alpha = 1 that is UCB1
 *   linucb           the best of m + policy.alpha sqrt(v) (1003.0146)
 *   bagging, cover   each member of the model votes for its best mean; a vote is 1 / members. They differ in how the learner makes
 *                    the members, and cover's epsilon shrinks as min(1, sqrt(n / t)) (1402.0555)
 *   thompson         thompson.c
 * RegCB's bounds are the extreme predictions of all models whose excess loss is at most D = policy.c0 ln(n t) (range of rewards)^2:
 * for ridge, whose excess is (theta - theta^)' A (theta - theta^), m +- sqrt(D v), cut to the range; for the logistic flow, whose
 * excess is half that in the log-odds and whose rewards are in [0, 1], logistic(m +- sqrt(2 D v)).
 */
#include <math.h>

#include "policy/inner.h"

struct afti_want
afti_wants(const struct aft_policy_settings *s)
{
    switch (s->explore) {
    case AFT_EXPLORE_UNIFORM:
    case AFT_EXPLORE_FIRST:
    case AFT_EXPLORE_EPSILON_GREEDY:
    case AFT_EXPLORE_SOFTMAX:
    case AFT_EXPLORE_SQUARECB:
    case AFT_EXPLORE_BAGGING:
    case AFT_EXPLORE_COVER:
        return (struct afti_want){false, false};
    case AFT_EXPLORE_SQUARECB_ELIM:
    case AFT_EXPLORE_REGCB_ELIM:
    case AFT_EXPLORE_REGCB_OPT:
    case AFT_EXPLORE_UCB:
    case AFT_EXPLORE_LINUCB:
        return (struct afti_want){true, false};
    case AFT_EXPLORE_THOMPSON:
        return (struct afti_want){true, true};
    }
    AFT_NEVER();
}

static double
least_epsilon(const struct aft_policy_settings *s)
{
    return s->epsilon < s->epsilon_min ? s->epsilon : s->epsilon_min;
}

struct afti_law
afti_law_of(const struct aft_policy_settings *s, double matured)
{
    double t = matured > 1 ? matured : 1, least = least_epsilon(s);
    struct afti_law law = {.matured = t, .width = s->alpha};
    law.epsilon = s->epsilon;
    if (s->epsilon_decay > 0)
        law.epsilon *= aft_exp(-s->epsilon_decay * aft_log(1 + matured));
    law.epsilon = law.epsilon > least ? law.epsilon : least;
    law.gamma = s->gamma * aft_exp(s->gamma_power * aft_log(t));
    if (s->explore == AFT_EXPLORE_UCB)
        law.width = s->alpha * sqrt(2 * aft_log(1 + t));
    law.uniform = s->explore == AFT_EXPLORE_UNIFORM ||
                  (s->explore == AFT_EXPLORE_FIRST && matured < s->first);
    return law;
}

double
afti_floor_of(const struct aft_model *m, uint32_t n)
{
    const struct aft_policy_settings *s = &m->plan.settings;
    if (s->explore != AFT_EXPLORE_COVER)
        return m->law.epsilon;
    double shrunk = m->law.epsilon * sqrt(n / m->law.matured), least = least_epsilon(s);
    return shrunk > m->law.epsilon ? m->law.epsilon : shrunk > least ? shrunk : least;
}

/* A score as a reward, its range put into [0, 1]. */
static double
unit(const struct aft_model *m, double score)
{
    const struct aft_policy_settings *s = &m->plan.settings;
    if (aft_model_traits(m->weights.kind)->logistic)
        return aft_logistic(score);
    double u = (score - s->reward_min) / (s->reward_max - s->reward_min);
    return u < 0 ? 0 : u > 1 ? 1 : u;
}

static void
bounds(const struct aft_model *m, struct aft_scratch *s, uint32_t n)
{
    bool logistic = aft_model_traits(m->weights.kind)->logistic;
    double d = m->plan.settings.c0 * aft_log(n * m->law.matured);
    double range = logistic ? 1 : m->plan.settings.reward_max - m->plan.settings.reward_min;
    for (uint32_t i = 0; i < n; i++) {
        double half = range * afti_deviation((logistic ? 2 : 1) * d * s->variance[i]);
        s->low[i] = unit(m, s->mean[i] - half);
        s->high[i] = unit(m, s->mean[i] + half);
    }
}

/* A pmf of who leads. */
static void
leaders(const struct aft_model *m, struct aft_scratch *s, uint32_t n)
{
    enum aft_explore law = m->plan.settings.explore;
    for (uint32_t i = 0; i < n; i++)
        s->value[i] = unit(m, s->mean[i]);
    if (law != AFT_EXPLORE_SQUARECB)
        bounds(m, s, n);
    if (law == AFT_EXPLORE_SQUARECB)
        aft_squarecb(s->value, n, m->law.gamma, s->pmf);
    else if (law == AFT_EXPLORE_SQUARECB_ELIM)
        aft_squarecb_elim(s->value, s->low, s->high, n, m->law.gamma, s->pmf);
    else
        aft_regcb_elim(s->low, s->high, n, s->pmf);
}

/* Values whose best lead. */
static void
values(const struct aft_model *m, struct aft_scratch *s, uint32_t n)
{
    enum aft_explore law = m->plan.settings.explore;
    bool wide = law == AFT_EXPLORE_UCB || law == AFT_EXPLORE_LINUCB;
    if (law == AFT_EXPLORE_REGCB_OPT)
        bounds(m, s, n);
    for (uint32_t i = 0; i < n; i++)
        s->value[i] = law == AFT_EXPLORE_REGCB_OPT ? s->high[i]
                      : wide ? s->mean[i] + m->law.width * afti_deviation(s->variance[i])
                             : s->mean[i];
}

static void
shares(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
       uint32_t k)
{
    switch (m->plan.settings.explore) {
    case AFT_EXPLORE_THOMPSON:
        afti_thompson(m, s, r, n, k);
        return;
    case AFT_EXPLORE_SQUARECB:
    case AFT_EXPLORE_SQUARECB_ELIM:
    case AFT_EXPLORE_REGCB_ELIM:
        leaders(m, s, n);
        afti_lead(s, s->pmf, n, k);
        return;
    default:
        values(m, s, n);
        afti_spread(s, n, k, 1);
    }
}

/* Each member of the model has the same share of the mass, and puts it on its own best. */
static enum aft_err
vote(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
     uint32_t k, struct aft_error *e)
{
    const struct afti_want means = {false, false};
    for (uint32_t j = 0; j < m->weights.voters; j++) {
        s->member = m->weights.first + j;
        AFT_TRY((j ? afti_moments_again : afti_moments)(m, s, r, n, means, e));
        memcpy(s->value, s->mean, n * sizeof *s->value);
        afti_spread(s, n, k, 1.0 / m->weights.voters);
    }
    return AFT_OK;
}

enum aft_err
afti_log_weights(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t n, uint32_t k, struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    bool votes = set->explore == AFT_EXPLORE_BAGGING || set->explore == AFT_EXPLORE_COVER;
    s->member = m->weights.first;
    if (!votes)
        AFT_TRY(afti_moments(m, s, r, n, afti_wants(set), e));
    if (set->explore == AFT_EXPLORE_SOFTMAX) {
        afti_span_divide(s->mean, n, set->temperature, s->log_w);
        return AFT_OK;
    }
    memset(s->tally, 0, n * sizeof *s->tally);
    if (afti_diverse(set)) /* a topic may take the best of those behind out of the race */
        k = n < AFTI_RANKS ? n : AFTI_RANKS;
    if (votes)
        AFT_TRY(vote(m, s, r, n, k, e));
    else
        shares(m, s, r, n, k);
    for (uint32_t i = 0; i < n; i++)
        s->log_w[i] = s->tally[i] > 1e-34 ? aft_log(s->tally[i]) : AFTI_LOG_ZERO;
    return AFT_OK;
}
