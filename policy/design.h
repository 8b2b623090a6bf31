/* design.h - how a slate is drawn, and with what probabilities; part of policy/policy.h, which others include.
 * Pure functions over arrays of n doubles. The executable specification with the same names is tests/oracle/policy_oracle.py. */
#ifndef AFT_POLICY_DESIGN_H
#define AFT_POLICY_DESIGN_H

#include <stdbool.h>
#include <stdint.h>

/* ---- Plackett-Luce with a floor in weight space (n > 0 candidates, all eligible) */
/* aft_pl_weights: w = (1 - epsilon) softmax(log_w) + epsilon / n: every slot keeps at least epsilon / n, after any masking
 * too. */
void aft_pl_weights(const double *log_w, uint32_t n, double epsilon, double *w);
/* aft_pl_draw: the k (<= n, <= AFT_SLATE_MAX) winners of the race E_i / w_i, E_i exponential and keyed by (key, index[i]), which
 * ascend: the same law as drawing slot by slot. Taking away candidates before or after leaves it exact for those that stay. */
void aft_pl_draw(const double *w, const uint32_t *index, uint32_t n, uint64_t key, uint32_t k,
                 uint32_t *slate);
/* aft_pl_conditionals: p[l] of slate[l] given what stands above it; sums over those that are left, so no cancellation. */
void aft_pl_conditionals(const double *w, uint32_t n, const uint32_t *slate, uint32_t k, double *p);
/* aft_pl_rests: rest[i] = the sum of all weights but i's; what is less than half of all is added up, not what is left of a
 * difference. */
void aft_pl_rests(const double *w, uint32_t n, double *rest);
/* aft_pl_marginal: probability that item i is shown in slot l (0, 1 or 2) at all; closed form, O(n) (marginals.c);
 * to 1e-12 of itself, however small. 0 where nobody is left who weighs anything. */
double aft_pl_marginal(const double *w, const double *rest, uint32_t n, uint32_t i, uint32_t l);

/* ---- one slot: scores (higher is better) -> a pmf. Ties: epsilon-greedy splits over all best; SquareCB takes the first best. */
void aft_epsilon_greedy(const double *score, uint32_t n, double epsilon, double *p);
void aft_softmax(const double *score, uint32_t n, double lambda, double *p);
/* SquareCB (arXiv 2002.04926): scores in [0, 1]. With elimination: over the survivors of RegCB's, n counts survivors. */
void aft_squarecb(const double *score, uint32_t n, double gamma, double *p);
void aft_squarecb_elim(const double *score, const double *low, const double *high, uint32_t n,
                       double gamma, double *p);
/* RegCB by elimination (1803.01088): uniform over the arms whose upper bound reaches the best lower one. */
void aft_regcb_elim(const double *low, const double *high, uint32_t n, double *p);
/* Bagging: votes[j] is the arm that member j of the ensemble picks. */
void aft_bag(const uint32_t *votes, uint32_t votes_n, uint32_t n, double *p);
/* aft_floor: every arm gets at least epsilon / n; what is above shrinks by one factor, again until nothing is below. In place. */
void aft_floor(double *p, uint32_t n, double epsilon);

/* ---- reductions (1802.04064, 1103.4601) */
void aft_ips_rewards(uint32_t n, uint32_t chosen, double reward, double p, double clip,
                     double *out);
void aft_dr_rewards(const double *q, uint32_t n, uint32_t chosen, double reward, double p,
                    double clip, double *out);

#endif
