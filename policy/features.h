/* features.h - nouns -> terms: what a model sees of a context, an arm and a slot; part of policy/policy.h.
 *
 *   number             hash(name), its value; in declared buckets instead: hash(name, interval), 1
 *   text, true flag    hash(name, value), 1                         (false, empty and zero: no term)
 *   arm identity       hash("arm", id), 1                            slot l > 0: hash("slot", l), 1
 *   declared pair      hash(left, right), left's value x right's     ("arm" and "slot" may stand on either side)
 * A side of a pair names one feature, or a namespace: "user" is the feature user and all features "user^...", "^" all that have
 * no '^' in their name; then the pair is every product of the one side with the other (of a side with itself: each once, squares
 * too), up to AFT_PAIRS_MAX a decision and an arm. A feature that a pair names itself does not count for its namespace.
 * A context's x and a candidate's x are different terms; in a pair with the arm a name means the candidate's where it has it,
 * else the
 * context's. Slot 0 is the reference: it has no term, so a score without a slot is a score at the top.
 * Hashes are stable for ever (XXH3). The same code runs in client and learner, so serving and training cannot differ.
 */
#ifndef AFT_POLICY_FEATURES_H
#define AFT_POLICY_FEATURES_H

#include "policy/policy.h"

#define AFT_SIDES_MAX (2 * AFT_INTERACTIONS_MAX + AFT_BUCKETS_MAX)
#define AFT_PAIRS_MAX 2048u
#define AFT_ENCODED_MAX (AFT_FEATURES_MAX + 2) /* terms of one context or one arm, without pairs */
/* what aft_terms_shared and aft_terms_own write at most; pairs past it are left out */
#define AFT_TERMS_MAX (AFT_ENCODED_MAX + AFT_PAIRS_MAX)

struct aft_term {
    uint64_t hash;
    double value;
    bool number;    /* its scale is not known beforehand: a number, or a product with one */
    uint16_t known; /* index + 1 of the entry that it was made by (names.h); 0: none */
};

/* What the settings mean, compiled once: names that matter, and the pairs among them. */
struct aft_plan_name {
    uint64_t hash; /* of the name; 0: free */
    int16_t side, bucket;
};
struct aft_features_plan {
    struct aft_policy_settings settings;
    struct aft_plan_name names[512];                                 /* open addressing */
    int16_t left[AFT_INTERACTIONS_MAX], right[AFT_INTERACTIONS_MAX]; /* sides, or one of these: */
    uint32_t sides_n;
};
enum { AFT_SIDE_ARM = -1, AFT_SIDE_SLOT = -2 };

/* One context or one arm, encoded. For an arm the identity is v[0]. */
struct aft_encoded {
    struct aft_term v[AFT_ENCODED_MAX];
    uint32_t n;
    uint16_t side[AFT_SIDES_MAX]; /* index + 1 of the last term that stands for a side, 0: absent */
    uint16_t next[AFT_ENCODED_MAX]; /* index + 1 of the one before it for the same side */
};

void aft_features_plan_init(struct aft_features_plan *p, const struct aft_policy_settings *s);

/* AFT_E_VALUE names a feature that is not finite; AFT_E_LIMIT: more than AFT_FEATURES_MAX. */
enum aft_err aft_encode_context(const struct aft_features_plan *p, struct aft_features f,
                                struct aft_encoded *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_encode_arm(const struct aft_features_plan *p, struct aft_bytes arm_id,
                            struct aft_features f, struct aft_encoded *out,
                            struct aft_error *e) AFT_MUST_CHECK;

/* aft_terms_shared: what does not depend on the arm: constant, context, pairs within the context, the slot and its pairs with
 * the context.
 * aft_terms_own: the rest: the arm's features, its identity (with_identity), pairs with a side of the arm; `crosses` = false
 * leaves
 * out pairs of an arm's side with a context's (a bilinear model has them all by itself).
 * Both return how many terms they wrote; out has room for AFT_TERMS_MAX. */
uint32_t aft_terms_shared(const struct aft_features_plan *p, const struct aft_encoded *context,
                          int32_t slot, struct aft_term *out);
uint32_t aft_terms_own(const struct aft_features_plan *p, const struct aft_encoded *context,
                       const struct aft_encoded *arm, int32_t slot, bool with_identity,
                       bool crosses, struct aft_term *out);

#endif
