/* scoreboard.c - what each policy earned: sums over settled decisions, enough for CTR, value and their uplift with intervals.
 *
 * Unit: a decision (one randomisation). c = its clicks (components named "click", in units), v = its reward (in units), i =
 * its items.
 * Kept: decisions, items, clicks, value and the sums of c*c "clicks2", v*v "value2", c*v "clicks_value", i*i "items2", c*i
 * "clicks_items", v*i "value_items". CTR = clicks / items; its variance by the delta method needs just these. One thread.
 * A decision that was logged with probability q is one unit W times as large (pass.c): c, v, i and the decision are W times what they
 * are, the products W*W times. So all are estimates of the whole, and the variance is right with the sampling in it.
 */
#include <stdlib.h>

#include "learner/inner.h"

const char *
afti_cross_name(int i)
{
    static const char *const names[AFTI_CROSS] = {"clicks2", "clicks_items", "clicks_value",
                                                  "items2",  "value2",       "value_items"};
    AFT_ASSERT(i >= 0 && i < AFTI_CROSS);
    return names[i];
}

struct afti_policy *
afti_scoreboard_of(struct afti_scoreboard *s, struct aft_bytes name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (aft_same(s->v[i].name, name))
            return &s->v[i];
    if (s->n == AFT_NAMED_MAX)
        return NULL;
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->v = realloc(s->v, s->cap * sizeof *s->v);
        AFT_ASSERT(s->v);
    }
    uint8_t *copy = malloc(name.n + 1);
    AFT_ASSERT(copy);
    if (name.n)
        memcpy(copy, name.p, name.n);
    s->v[s->n] = (struct afti_policy){.name = {copy, name.n}};
    return &s->v[s->n++];
}

void
afti_scoreboard_settle(struct afti_scoreboard *s, const struct aft_example *x)
{
    int64_t clicks = 0, value = 0, whole = afti_whole(x);
    struct afti_policy *p = whole ? afti_scoreboard_of(s, x->policy) : NULL;
    if (!p)
        return;
    for (uint32_t i = 0; i < x->items_n; i++) {
        value += x->items[i].reward_micro;
        for (uint32_t j = 0; j < x->items[i].components_n; j++)
            if (aft_same(x->items[i].components[j].kind, AFT_LITERAL("click")))
                afti_add(&clicks, x->items[i].components[j].micro);
    }
    double by = (double)whole, n = by * x->items_n;
    double c = by * ((double)clicks / AFT_MICRO), v = by * ((double)value / AFT_MICRO);
    p->decisions += whole;
    p->items += whole * x->items_n;
    p->clicks += c;
    p->value += v;
    const double products[AFTI_CROSS] = {c * c, c * n, c * v, n * n, v * v, v * n};
    for (int i = 0; i < AFTI_CROSS; i++)
        p->cross[i] += products[i];
}

void
afti_scoreboard_deinit(struct afti_scoreboard *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        free((void *)(uintptr_t)s->v[i].name.p);
    free(s->v);
    *s = (struct afti_scoreboard){0};
}
