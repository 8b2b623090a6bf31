/* kinds.c - the kinds of models: name, layout of the weights, what a score means. Pure. Any thread. */
#include "policy/policy.h"

static const struct aft_model_traits kinds[] = {
    [AFT_MODEL_RIDGE] = {"ridge", false, false},
    [AFT_MODEL_FLOW] = {"flow", true, true},
    [AFT_MODEL_FLOW_SQUARED] = {"flow-squared", true, false},
    [AFT_MODEL_VW] = {"vw", true, false},
    [AFT_MODEL_BAYES] = {"bayes", true, true},
    [AFT_MODEL_BAYES_FULL] = {"bayes-full", false, true},
};
static const struct aft_word words[] = {
    {"ridge", AFT_MODEL_RIDGE},
    {"flow", AFT_MODEL_FLOW},
    {"flow-squared", AFT_MODEL_FLOW_SQUARED},
    {"vw", AFT_MODEL_VW},
    {"bayes", AFT_MODEL_BAYES},
    {"bayes-full", AFT_MODEL_BAYES_FULL},
};

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))
_Static_assert(COUNT(words) == COUNT(kinds), "each kind has its word");

const struct aft_model_traits *
aft_model_traits(enum aft_model_kind kind)
{
    AFT_ASSERT((uint32_t)kind < COUNT(kinds));
    return &kinds[kind];
}

const struct aft_word *
aft_model_words(uint32_t *n)
{
    *n = COUNT(words);
    return words;
}
