/* arms.c - which arms have been seen, and what came of them. Arms come and go; nothing has to be declared. One thread.
 * exposures at OPEN; reward at OPEN and REVISE; settled, and clicks (the component named "click"), at SETTLE, when they are final;
 * first and last seen: the impressions' own times. What was logged with probability q counts W times (pass.c), so these are estimates of
 * all that was shown, not of what was logged. */
#include <stdlib.h>

#include "learner/inner.h"

uint32_t
afti_arms_of(struct afti_arms *a, struct aft_bytes id, bool add, int64_t now_ms)
{
    uint64_t key = aft_hash64(id, 0);
    uint32_t at = aft_dict_find(&a->index, key);
    if (at != AFT_NOWHERE || !add || a->index.n == AFT_ARMS_MAX)
        return at;
    if (a->index.n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 32;
        a->v = realloc(a->v, a->cap * sizeof *a->v);
        AFT_ASSERT(a->v);
    }
    at = aft_dict_add(&a->index, key);
    uint8_t *copy = malloc(id.n + 1);
    AFT_ASSERT(copy);
    memcpy(copy, id.p, id.n);
    a->v[at] =
        (struct afti_arm){.id = {copy, id.n}, .first_seen_ms = now_ms, .last_seen_ms = now_ms};
    return at;
}

void
afti_arm_add(struct afti_arm *a, const struct afti_arm *more)
{
    a->exposures += more->exposures;
    a->settled += more->settled;
    afti_add(&a->clicks, more->clicks);
    afti_add(&a->reward_micro, more->reward_micro);
    if (more->first_seen_ms < a->first_seen_ms)
        a->first_seen_ms = more->first_seen_ms;
    if (more->last_seen_ms > a->last_seen_ms)
        a->last_seen_ms = more->last_seen_ms;
}

void
afti_arm_empty(struct afti_arm *a)
{
    *a = (struct afti_arm){
        .id = a->id, .first_seen_ms = a->first_seen_ms, .last_seen_ms = a->last_seen_ms};
}

void
afti_arms_deinit(struct afti_arms *a)
{
    for (uint32_t i = 0; i < a->index.n; i++)
        free((void *)(uintptr_t)a->v[i].id.p);
    free(a->v);
    aft_dict_deinit(&a->index);
    *a = (struct afti_arms){0};
}
