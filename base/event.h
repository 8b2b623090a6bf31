/* event.h - the nouns. What every folder means by an impression, an outcome, an example, a decision's design.
 *
 * All slices borrow from the record's bytes or the batch's arena; who decodes says how long they live.
 * Times are milliseconds since 1970 UTC. Money and reward are integer micro-units (1.0 = 1,000,000). Credit is integer
 * parts per million. `p == NULL` in a slice means the field was null.
 * raw_* are the bytes of a field as they stand in the record's canonical body (the body under our own schema), so that an
 * example can carry them on without re-encoding.
 */
#ifndef AFT_BASE_EVENT_H
#define AFT_BASE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define AFT_PPM 1000000
#define AFT_MICRO 1000000

enum aft_log_kind {
    AFT_IMPRESSIONS = 0,
    AFT_OUTCOMES = 1
}; /* impressions come first at the same moment */

enum aft_feature_type { AFT_FEATURE_NUMBER, AFT_FEATURE_TEXT, AFT_FEATURE_FLAG };

struct aft_feature {
    struct aft_bytes name;
    enum aft_feature_type type;
    union {
        double number;
        struct aft_bytes text;
        bool flag;
    };
};

struct aft_features {
    const struct aft_feature *v;
    uint32_t n;
};

enum aft_propensity_kind {
    AFT_PROPENSITY_EXACT,
    AFT_PROPENSITY_EXACT_GIVEN_DRAWS,
    AFT_PROPENSITY_ESTIMATED,
    AFT_PROPENSITY_UNKNOWN
};

struct aft_candidate {
    struct aft_bytes arm_id;
    struct aft_features features;
    float log_weight; /* valid when has_log_weight */
    bool has_log_weight;
    /* 0, or a number of its own: whenever the same number comes under the same revision (of the example), id and features are
     * what they were before, bytes and all, so that whoever has read them need not read them again. Up to AFT_KNOWN_MAX. */
    uint32_t known;
    struct aft_bytes mask; /* absent: eligible; else why it was not */
};

struct aft_shown {
    struct aft_bytes arm_id;
    int32_t slot;      /* 0 is the top */
    double propensity; /* of this arm in this slot, given what stands above it */
    double marginal;   /* of this arm in this slot at all; valid when has_marginal */
    bool has_marginal;
    struct aft_bytes subject;
    struct aft_features features;
    struct aft_bytes raw_features;
};

/* How the slate was drawn: enough to recompute every probability. */
struct aft_design {
    struct aft_bytes kind; /* "plackett_luce", "uniform", ... */
    double temperature, epsilon;
    int32_t k;
    struct aft_bytes key; /* what the draw was keyed by, or absent */
    double pass; /* probability with which such a decision is logged; valid when has_pass, else 1 */
    bool has_pass;
    struct aft_bytes shadow; /* nullable: digest of a model that did not decide */
    const double *
        shadow_p; /* its probability of each item of the slate, given those above: shadow_n of them */
    uint32_t shadow_n;
};

struct aft_impression {
    struct aft_bytes decision_id, user_id;
    int64_t timestamp_ms;
    struct aft_bytes session_id; /* nullable */
    struct aft_bytes policy;
    struct aft_bytes snapshot; /* nullable: digest of the model that decided */
    enum aft_propensity_kind propensity_kind;
    bool deferred;
    struct aft_features context;
    const struct aft_candidate *candidates;
    uint32_t candidates_n;
    const struct aft_shown *slate;
    uint32_t slate_n;
    bool has_design;
    struct aft_design design;
    struct aft_bytes raw_context, raw_candidates, raw_design;
};

struct aft_outcome {
    struct aft_bytes outcome_id, user_id;
    int64_t timestamp_ms;
    struct aft_bytes kind;
    int64_t value_micro;          /* value, rounded to the nearest micro-unit */
    struct aft_bytes decision_id; /* the rest are nullable */
    struct aft_bytes arm_id, subject, session_id, retracts;
};

enum aft_phase { AFT_OPEN, AFT_REVISE, AFT_SETTLE, AFT_ERASE };

struct aft_component {
    struct aft_bytes kind;
    int64_t micro; /* value x share x decay, before the kind's weight */
};

struct aft_example_item {
    struct aft_bytes arm_id;
    int32_t slot;
    double propensity, marginal;
    bool has_marginal;
    struct aft_features features;
    struct aft_bytes raw_features;
    int64_t reward_micro, delta_micro;      /* so far; the change that this example brings */
    const struct aft_component *components; /* sorted by kind, none zero */
    uint32_t components_n;
};

struct aft_example {
    uint64_t seq;
    enum aft_phase phase;
    int64_t fire_ms;
    struct aft_bytes decision_id, user_id;
    int64_t timestamp_ms; /* of the impression */
    struct aft_bytes policy, snapshot;
    enum aft_propensity_kind propensity_kind;
    struct aft_bytes cause; /* outcome id, or absent */
    struct aft_features context;
    const struct aft_candidate *candidates;
    uint32_t candidates_n;
    const struct aft_example_item *items;
    uint32_t items_n;
    bool has_design;
    struct aft_design design;
    struct aft_bytes raw_context, raw_candidates,
        raw_design; /* used instead of the decoded ones when present */
    uint64_t
        revision; /* what the candidates' `known` are under; 0: none is. Who numbers by hand stays below AFT_ROSTER_REVISION */
    const char *
        refused; /* NULL; else it breaks a bound or a rule, this one, and has nothing but seq, phase and fire_ms */
};

#endif
