/* learner.h - examples in, model out. Pure and single-threaded: the order of learning is data (rounds), so the model is a
 * function of the examples and the rounds, bit for bit.
 */
#ifndef AFT_LEARNER_LEARNER_H
#define AFT_LEARNER_LEARNER_H

#include "policy/policy.h"

/* What is made of a logged item: reduction.c has the formulas. Those that make up rewards (ips, dr, and cover) want a model whose
 * labels may be any number. */
enum aft_reduction { AFT_REDUCTION_DM, AFT_REDUCTION_IWR, AFT_REDUCTION_IPS, AFT_REDUCTION_DR };
enum aft_weighting {
    AFT_WEIGHTING_NONE,
    AFT_WEIGHTING_IWR,
    AFT_WEIGHTING_CAPPED,
    AFT_WEIGHTING_SQRT,
    AFT_WEIGHTING_AUTO /* none and capped side by side; what earns more by progressive DR serves: progressive.c */
};
enum aft_ensemble {
    AFT_ENSEMBLE_AUTO, /* as policy.explore wants it */
    AFT_ENSEMBLE_NONE,
    AFT_ENSEMBLE_BAGGING,
    AFT_ENSEMBLE_COVER
};

enum { AFT_SHARDS_MAX = 64 };

struct aft_learner_settings {
    struct aft_policy_settings policy;
    enum aft_reduction reduction;
    enum aft_weighting weighting;
    bool forecast; /* of the reward still to come */
    enum aft_ensemble ensemble;
    uint32_t members; /* of an ensemble */
    uint32_t
        shards; /* how many share the work: sums by partition (sums.c); 0: one learner, example by example */
    double psi; /* cover's bonus */
    double weight_cap, lambda;
    double rate;          /* vw's learning rate */
    double memory;        /* bayes-full: half is forgotten in so many examples; 0: nothing is */
    int64_t half_life_ms; /* an impression counts half after so much event time; 0: for ever */
    double
        reward_scale; /* composite rewards are divided by it for models whose labels are in [0, 1] */
    bool reward_scale_auto; /* nobody set it: whoever knows the rewards' weights should */
};
/* As aft_policy_set, for the learner's own keys and the policy's. */
void aft_learner_settings_default(struct aft_learner_settings *s);
enum aft_err aft_learner_set(struct aft_learner_settings *s, const char *key, const char *value,
                             bool *known, struct aft_error *e) AFT_MUST_CHECK;
void aft_learner_settings_digest(const struct aft_learner_settings *s, struct aft_digest *out);

struct aft_learner;
enum aft_err aft_learner_new(const struct aft_learner_settings *s, struct aft_learner **out,
                             struct aft_error *e) AFT_MUST_CHECK;
void aft_learner_free(struct aft_learner *l);

/* aft_learner_learn: the next example in the canonical order of its round: (fire, partition, seq). What must not be learned
 * (non-finite, out of range, without support; an example that breaks a bound or a rule, docs/MODELS.md) is counted by reason and is no
 * error. An example whose design.pass is q in [0.001, 1] stands
 * for 1/q decisions, in the model and in every estimate (docs/MODELS.md); another q is without support.
 * Candidates that are known (base/event.h) are read once; the results are the same. All numbers that a learner is given come from one
 * who numbers: one roster, or the caller. */
enum aft_err aft_learner_learn(struct aft_learner *l, const struct aft_example *x,
                               struct aft_error *e) AFT_MUST_CHECK;

/* ---- shares: learner.shards > 0 and a model that is a sum (else aft_learner_sums is false, and these are not for it). Each partition's
 * examples are summed by themselves; at the end of a round the sums are merged by partition number. So the model is a function of the
 * partitions' examples and the rounds, whoever summed which partition. Nothing is judged before it is learned: no progressive
 * estimates, no auto.
 * aft_learner_sum: the next example of that partition, in the order (fire, seq). Different partitions may be summed by different
 * threads at a time. aft_learner_merge: the end of a round; no other thread. aft_learner_learn sums into partition 0. */
bool aft_learner_sums(const struct aft_learner *l);
enum aft_err aft_learner_sum(struct aft_learner *l, uint32_t partition, const struct aft_example *x,
                             struct aft_error *e) AFT_MUST_CHECK;
void aft_learner_merge(struct aft_learner *l);
/* aft_learner_adopt: the sums of all partitions that `from` has are l's from now on; `from` has none any more. AFT_E_CONFIG: it has other
 * settings; AFT_E_VALUE: l has sums of such a partition already. Merge then. */
enum aft_err aft_learner_adopt(struct aft_learner *l, struct aft_learner *from,
                               struct aft_error *e) AFT_MUST_CHECK;

/* aft_learner_digest: BLAKE2b-256 over the whole state. */
void aft_learner_digest(const struct aft_learner *l, struct aft_digest *out);

/* aft_learner_publish encodes the snapshot after a round: parts, then the manifest, each as (topic key, canonical body). FULL: all
 * of both planes. DELTA: what changed since the snapshot that this learner published, or was restored from, last; AFT_E_USAGE when
 * there is none. After an error of the sink the same may be published again. What is given is a function of the learner, the spec and
 * the snapshot before alone. */
struct aft_publish_spec {
    struct aft_bytes model;
    int64_t round;
    enum aft_snapshot_kind kind;
    const struct aft_end *ends; /* what has been learned, per partition */
    uint32_t ends_n;
    const uint8_t *signing_key; /* Ed25519 secret, 64 bytes, or NULL */
};
enum aft_err aft_learner_publish(struct aft_learner *l, const struct aft_publish_spec *spec,
                                 aft_publish_sink sink, void *ctx,
                                 struct aft_error *e) AFT_MUST_CHECK;
/* aft_learner_publishable: whether a DELTA can be published. */
bool aft_learner_publishable(const struct aft_learner *l);
/* aft_learner_restore: the learner as it was when what the set serves was published (full or delta, it is the same); its digest is
 * checked: AFT_E_DIVERGENCE. AFT_E_CONFIG when it was learned under other settings. */
enum aft_err aft_learner_restore(struct aft_learner *l, const struct aft_snapshot_set *set,
                                 struct aft_error *e) AFT_MUST_CHECK;

/* What is counted, and how well it goes. Weights are h = 1 / (p m), before any cap; of auto those of its weighted side. */
#define AFT_HISTOGRAM 24u
struct aft_learner_stats {
    int64_t learned, revised, settled, erased;
    int64_t refused_support, refused_weight, refused_reward, refused_feature;
    int64_t refused_example; /* as a whole */
    double mean_weight;      /* of h: near 1 where the logged propensities are right */
    double mean_used;        /* after cap or root, times 1 / design.pass */
    double effective_n,
        capped_mass; /* (sum w)^2 / sum w^2 of what was used; share of h that the cap took */
    double progressive_ips, progressive_snips, progressive_dr;
    double
        progressive_loss; /* mean squared error of the prediction for what was shown, before it was learned */
    double drift; /* |w - w'| / |w'| over the last round */
    int64_t weighting_switches;
    bool serving_weighted;
    uint32_t members, arms, columns;
    int64_t weights[AFT_HISTOGRAM],
        rewards[AFT_HISTOGRAM]; /* items by h; settled items by reward / scale */
};
void aft_learner_stats(const struct aft_learner *l, struct aft_learner_stats *out);
/* aft_learner_refused: what was refused last, since this was last asked: *why gets place and reason in words. False: nothing was. Of a
 * learner of sums, in that partition (threads: as aft_learner_sum). */
bool aft_learner_refused(struct aft_learner *l, uint32_t partition, struct aft_error *why);
/* aft_histogram_bound: bucket i holds what is above bound i - 1 and not above bound i; the last is infinite. */
double aft_histogram_bound(uint32_t bucket);
/* aft_learner_arm: the i-th arm seen, in order of first appearance; false: there are no more. The id lives as long as the learner. */
bool aft_learner_arm(const struct aft_learner *l, uint32_t i, struct aft_arm_status *out);

/* aft_learner_treatment: what an item of an OPEN or REVISE example comes to under the learner's settings: refused, or learned with these
 * weights. A log without candidates counts the arms that the learner knows. For a learner that is there to be asked alone: its
 * dictionaries grow by it. */
struct aft_treatment {
    const char *refused; /* "support", "weight", "reward", "feature"; NULL: it is learned */
    double left, raw;    /* arms that were left for the slot; h = 1 / (p left), 0: p is not known */
    double weight[2];    /* of each side, after cap or root, times 1 / design.pass */
    uint32_t sides, voters;
    uint32_t copies[32]; /* of bagging: how often each voter learns the decision; else 1 each */
};
void aft_learner_treatment(struct aft_learner *l, const struct aft_example *x, uint32_t item,
                           struct aft_treatment *out);

/* aft_learner_greedy: which candidate of the last OPEN example the model would have put on top, before it learned from it;
 * AFT_NOWHERE where there was nothing to compare. What progressive estimates, and benchmarks against a known truth, are made
 * of. */
uint32_t aft_learner_greedy(const struct aft_learner *l);

/* aft_learner_forecast: what an impression of that age, with so much reward so far, is expected to earn still, by what settled ones
 * did (learner.forecast=on; else 0). */
double aft_learner_forecast(const struct aft_learner *l, int64_t age_ms, double reward);

/* aft_logistic_flow: the exact importance-aware step for the logistic loss with a label t in [0, 1]: df/da = t - logistic(f),
 * over a
 * length a >= 0 (rate x weight x sum of squares). aft_squared_flow: f' = y + (f - y) exp(-2 a). (arXiv 1011.1576) */
double aft_logistic_flow(double f, double t, double a);
double aft_squared_flow(double f, double y, double a);

/* ---- rounds: gathers examples of one round from all partitions and gives them in the canonical order.
 * Blocks are checked as they come: epoch, seq, chain hash. AFT_E_GAP and AFT_E_DIVERGENCE name both numbers and the place. */
struct aft_rounds;
struct aft_share {
    uint32_t number, of;
};
struct aft_rounds *aft_rounds_new(uint32_t partitions);
void aft_rounds_free(struct aft_rounds *r);
/* aft_rounds_seek: partition p goes on at next_seq with that hash (from a snapshot's ends). */
void aft_rounds_seek(struct aft_rounds *r, const struct aft_end *end);
/* aft_rounds_block: a block read from the examples topic, with its offset; bytes are copied. Stale epochs are dropped. */
enum aft_err aft_rounds_block(struct aft_rounds *r, int32_t partition, int64_t offset,
                              struct aft_bytes body, struct aft_error *e) AFT_MUST_CHECK;
/* aft_rounds_ends: what could be learned now, per partition. aft_rounds_pending: how many examples that is. */
void aft_rounds_ends(const struct aft_rounds *r, struct aft_end *ends);
uint64_t aft_rounds_pending(const struct aft_rounds *r);
/* aft_rounds_learned: where each partition stands after the last aft_rounds_learn (or seek), with the chain's hash there, and
 * the offset
 * to read again from: the ends of a snapshot's manifest. Room for all partitions, as in aft_rounds_ends. */
void aft_rounds_learned(const struct aft_rounds *r, struct aft_end *ends);
/* aft_rounds_ready: all that these ends name has been read. aft_rounds_learn: learns exactly the examples below them, in
 * order, and forgets them. */
bool aft_rounds_ready(const struct aft_rounds *r, const struct aft_end *ends, uint32_t n);
/* aft_rounds_share: of a round that is ready, for a learner of sums: the examples of the partitions p with p mod shares = share. Each share
 * once, by threads of their own if you like; when all have come back AFT_OK, aft_rounds_merged. aft_rounds_learn does both by itself. */
enum aft_err aft_rounds_share(struct aft_rounds *r, const struct aft_end *ends, uint32_t n,
                              struct aft_learner *l, const struct aft_share *share,
                              struct aft_error *e) AFT_MUST_CHECK;
void aft_rounds_merged(struct aft_rounds *r, const struct aft_end *ends, uint32_t n,
                       struct aft_learner *l);
enum aft_err aft_rounds_learn(struct aft_rounds *r, const struct aft_end *ends, uint32_t n,
                              struct aft_learner *l, struct aft_error *e) AFT_MUST_CHECK;

/* ---- the parts, for off-policy evaluation and tests */
#include "learner/ridge.h"

#endif
