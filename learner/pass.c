/* pass.c - of how many decisions a logged one speaks. Pure. Any thread.
 *
 * An engine may log a share of its impressions; the record says with which probability q = design.pass this one was logged at all (null:
 * 1). It was drawn apart from everything else about the decision, so it stands for 1/q like it (Horvitz & Thompson, 1952).
 *   1/q   multiplies weights: what is learned, and what auto compares
 *   W     what is counted of the whole: 1/q, rounded up or down by a draw that is keyed by the decision, so that its mean is 1/q and
 *         counts stay counts. All of a decision's examples have the same W. The draw is not the one by which clients pass a decision
 *         over (client/ids.c): of what was logged, that one is known to be low.
 * Both are 1 where all is logged. Both are 0, and the example is without support, where q is no probability or below AFT_PASS_LEAST:
 * so no decision speaks for more than a thousand.
 */
#include <math.h>

#include "learner/inner.h"

double
afti_stands_for(const struct aft_example *x)
{
    if (!x->has_design || !x->design.has_pass)
        return 1;
    double q = x->design.pass;
    return q >= AFT_PASS_LEAST && q <= 1 ? 1 / q : 0; /* not a number: neither */
}

int64_t
afti_whole(const struct aft_example *x)
{
    double stands = afti_stands_for(x), least = floor(stands);
    struct aft_random r;
    if (stands == least)
        return (int64_t)least;
    aft_random_init(&r, aft_hash64(x->decision_id, 0), 0x9a55000000000000ull);
    return (int64_t)least + (aft_random_unit(&r) < stands - least);
}
