/* linear.c - the item at hand -> columns and block of the additive model (ridge.c). One thread. */
#include "learner/inner.h"

/* The block of the item at hand, with room for all columns: made when it is missing and `grow`. AFT_NOWHERE: none. */
static uint32_t
block_of(struct aft_learner *l, bool grow)
{
    struct aft_linear *m = &l->weights.linear;
    uint32_t at = 0;
    if (l->settings.policy.scope == AFT_SCOPE_PER_ARM) {
        uint64_t key = l->arm.v[0].hash;
        at = aft_dict_find(&m->arms, key);
        if (at == AFT_NOWHERE && grow) {
            at = aft_dict_add(&m->arms, key);
            aft_linear_add_block(m);
        }
    } else if (m->blocks_n == 0) {
        at = grow ? aft_linear_add_block(m) : AFT_NOWHERE;
    }
    if (at != AFT_NOWHERE && grow && m->blocks[at].d < aft_linear_columns(m)) {
        aft_linear_block_grow(m, at, aft_linear_columns(m));
        aft_ridge_match(&l->ridge, m);
    }
    return at;
}

static void
columns(struct aft_learner *l, bool grow)
{
    struct aft_linear *m = &l->weights.linear;
    l->x.n = 0;
    l->x.unknown = 0;
    uint32_t over = aft_linear_sparse(m, l->shared, l->shared_n, grow, &l->x);
    over += aft_linear_sparse(m, l->own, l->own_n, grow, &l->x);
    if (grow)
        l->counts[AFTI_OVERFLOWED] += over;
}

double
afti_linear_score(struct aft_learner *l)
{
    columns(l, false);
    uint32_t at = block_of(l, false);
    return at == AFT_NOWHERE ? 0 : aft_linear_score(&l->weights.linear.blocks[at], &l->x);
}

void
afti_linear_learn(struct aft_learner *l, double weight, double reward)
{
    columns(l, true);
    uint32_t at = block_of(l, true);
    aft_ridge_learn(&l->ridge, &l->weights.linear, at, &l->x, weight, reward);
}

void
afti_linear_revise(struct aft_learner *l, double weight, double delta)
{
    columns(l, true);
    uint32_t at = block_of(l, true);
    aft_ridge_revise(&l->ridge, &l->weights.linear, at, &l->x, weight, delta);
}
