/* ope.h - off-policy estimates: what a policy is worth before anyone sees it. Part of evaluate/evaluate.h. Pure; any thread.
 *
 * Sources: DR 1103.4601, Switch-DR 1612.01205, DR with shrinkage 1907.09623, IIPS and RIPS 2007.12986 (bandit literature); the same
 * estimators as a program: tests/oracle/policy_oracle.py.
 */
#ifndef AFT_EVALUATE_OPE_H
#define AFT_EVALUATE_OPE_H

#include "learner/learner.h"

/* One logged single-slot decision under a target policy pi. */
struct aft_ope_row {
    double ratio;  /* pi(logged arm) / propensity, >= 0 */
    double reward; /* of the logged arm */
    double direct; /* sum over arms of pi(arm) q(arm), q a reward model */
    double q;      /* q of the logged arm */
};
struct aft_ope {
    double ips, snips, dm, dr;
    double switch_dr; /* uses q alone where ratio > tau */
    double dr_os;     /* ratio shrunk to lambda ratio / (ratio^2 + lambda) */
    double effective_n, mean_ratio, max_ratio;
};
/* aft_ope: n > 0 rows; snips is 0 where no row has support. Rows count alike: where design.pass is not the same for all, these are
 * estimates for what was logged, not for the whole. */
void aft_ope(const struct aft_ope_row *rows, uint32_t n, double tau, double lambda,
             struct aft_ope *out);

/* One slot of a logged slate: target over logging probability, given what stands above, and of the item in that slot at all. */
struct aft_slate_row {
    double conditional, marginal, reward;
};
struct aft_slate_ope {
    double sips; /* the joint ratio times the slate's reward */
    double iips; /* per slot by marginals: exact without interaction between slots */
    double rips; /* per slot by prefix ratios: exact where users read from the top */
};
/* aft_slate_ope: slates[i] has k[i] slots; rows lie back to back. */
void aft_slate_ope(const struct aft_slate_row *rows, const uint32_t *k, uint32_t slates,
                   struct aft_slate_ope *out);

#endif
