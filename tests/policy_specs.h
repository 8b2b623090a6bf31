/* policy_specs.h - every explorer, and what works inside the draw, each with settings under which all arms are drawn now and then. */
#ifndef AFT_TESTS_POLICY_SPECS_H
#define AFT_TESTS_POLICY_SPECS_H

#include "tests/policy_kit.h"

static const struct policy_spec policy_specs[] = {
    {"uniform", {"policy.explore", "uniform"}, false, 9},
    {"first", {"policy.explore", "first", "policy.epsilon", "0.2"}, false, 1000},
    {"epsilon", {"policy.explore", "epsilon", "policy.epsilon", "0.2"}, false, 0},
    {"epsilon, decaying",
     {"policy.explore", "epsilon", "policy.epsilon", "0.8", "policy.epsilon.decay", "0.5"},
     false,
     9},
    {"softmax", {"policy.explore", "softmax", "policy.temperature", "0.5"}, true, 0},
    {"squarecb", {"policy.explore", "squarecb"}, false, 1},
    {"squarecb-elim", {"policy.explore", "squarecb-elim", "policy.epsilon", "0.2"}, false, 1},
    {"regcb-elim", {"policy.explore", "regcb-elim", "policy.epsilon", "0.2"}, false, 9},
    {"regcb-opt", {"policy.explore", "regcb-opt", "policy.epsilon", "0.2"}, false, 9},
    {"bagging", {"policy.explore", "bagging", "policy.epsilon", "0.2"}, false, 0},
    {"cover", {"policy.explore", "cover", "policy.epsilon", "0.4"}, true, 24},
    {"ucb", {"policy.explore", "ucb", "policy.epsilon", "0.2"}, false, 1000},
    {"linucb", {"policy.explore", "linucb", "policy.epsilon", "0.2"}, true, 0},
    {"thompson", {"policy.explore", "thompson", "policy.draws", "16"}, false, 0},
    {"thompson, diagonal",
     {"policy.explore", "thompson", "policy.covariance", "diagonal", "policy.draws", "16"},
     false,
     0},
    {"thompson of log-odds", {"policy.explore", "thompson", "policy.draws", "16"}, true, 0},
    {"exposure", {"policy.explore", "softmax", "policy.min.exposure", "0.1"}, false, 0},
    {"repetition", {"policy.explore", "softmax", "policy.repetition", "0.7"}, false, 0},
    {"diversity", {"policy.explore", "epsilon", "policy.diversity", "0.1"}, false, 0},
    {"coverage",
     {"policy.explore", "softmax", "policy.coverage", "blue, red", "policy.coverage.factor", "0.2"},
     false,
     0},
};
enum { POLICY_SPECS = sizeof policy_specs / sizeof *policy_specs };

static inline struct policy_topics
policy_topics_of(const struct policy_spec *s)
{
    if (strcmp(s->name, "coverage") == 0)
        return (struct policy_topics){true, 1, 0.2, 5};
    return (struct policy_topics){strcmp(s->name, "diversity") == 0, 0.1, 1, 0};
}

#endif
