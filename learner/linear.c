/* linear.c - the item at hand -> columns and block of a linear model, for all members at once. One thread. */
#include "learner/inner.h"

/* The block of the item at hand, with room for all columns: made when it is missing and `grow`. AFT_NOWHERE: none. */
static uint32_t
block_of(struct afti_table *t, bool grow)
{
    struct aft_linear *m = &t->weights.linear;
    uint32_t at = 0;
    if (t->terms.plan.settings.scope == AFT_SCOPE_PER_ARM) {
        uint64_t key = t->terms.arm.v[0].hash;
        at = aft_dict_find(&m->arms, key);
        if (at == AFT_NOWHERE && grow) {
            at = aft_dict_add(&m->arms, key);
            aft_linear_add_block(m);
        }
    } else if (m->blocks_n == 0) {
        at = grow ? aft_linear_add_block(m) : AFT_NOWHERE;
    }
    t->place.from = at == AFT_NOWHERE ? 0 : aft_linear_block(m, at, 0)->d;
    if (at != AFT_NOWHERE && grow)
        aft_linear_block_grow(m, at, aft_linear_columns(m));
    return at;
}

void
afti_linear_item(struct afti_table *t, bool grow)
{
    struct aft_linear *m = &t->weights.linear;
    struct aft_sparse *x = &t->place.x;
    x->n = 0;
    x->unknown = 0;
    uint32_t over = aft_linear_sparse(m, t->terms.shared, t->terms.shared_n, grow, x);
    over += aft_linear_sparse(m, t->terms.own, t->terms.own_n, grow, x);
    if (grow)
        t->overflowed += over;
    t->place.block = block_of(t, grow);
}

double
afti_linear_score(struct afti_table *t, const struct afti_member *m)
{
    const struct afti_place *p = &t->place;
    if (p->block == AFT_NOWHERE)
        return 0;
    return aft_linear_score(aft_linear_block(&t->weights.linear, p->block, m->index), &p->x);
}
