/* ope.h - off-policy estimates: what a policy is worth before anyone sees it. Part of evaluate/evaluate.h. Pure; any thread.
 *
 * An engine may log a share of its impressions alone (design.pass), and of some more than of others: each logged decision then stands for
 * 1 / pass of them (Horvitz & Thompson 1952), and means are sums of 1 / pass x value over the sum of 1 / pass (Hajek 1971). Where all is
 * logged (pass = 1) that is the plain mean.
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
    double pass;   /* with which probability such a decision was logged at all, in (0, 1] */
};
struct aft_ope {
    double ips, snips, dm, dr;
    double switch_dr; /* uses q alone where ratio > tau */
    double dr_os;     /* ratio shrunk to lambda ratio / (ratio^2 + lambda) */
    double effective_n, mean_ratio, max_ratio;
};
/* aft_ope: n > 0 rows; snips is 0 where no row has support. */
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
/* aft_slate_ope: slates[i] has k[i] slots and was logged with probability pass[i] (NULL: all with 1); rows lie back to back. */
void aft_slate_ope(const struct aft_slate_row *rows, const uint32_t *k, const double *pass,
                   uint32_t slates, struct aft_slate_ope *out);

/* aft_ope_shadow: the target is the model that a client followed beside the one that decided (shadow_model), whose probabilities of the
 * items shown stand in design.shadow_p. The slots of a settled example (or of any: the rewards so far), at most AFT_SLATE_MAX, as rows
 * of aft_slate_ope, and *pass for it; how many. The first of them by itself is a row of aft_ope (ratio = conditional) with direct = q = 0.
 * Marginals are not logged for a shadow: they are NAN, and so is iips.
 * 0: it does not say: no shadow, an item whose propensity is not known or is 0, two items in one slot, or what is no probability. */
uint32_t aft_ope_shadow(const struct aft_example *x, struct aft_slate_row *rows, double *pass);

#endif
