/* world_best.c - what choosing uniformly, and what the best slate, would have brought at a visit, by the truth. Pure.
 * Of a tile: clicks, and click x (its worth + that of a proper look) + the worth of its task x the chance that the tile brings it about.
 */
#include "evaluate/world_inner.h"

static double
value_of(const struct aft_world_options *o, const struct afti_moment *x, uint32_t m, uint32_t slot,
         double click)
{
    double task = click * afti_task_probability(x, m, slot, true) +
                  (1 - click) * afti_task_probability(x, m, slot, false);
    return click * (o->click_value + o->view_value * afti_view_probability(x, m)) +
           o->task_value * task;
}

/* Adds the k greatest of v (n of them) to *sum, each as it would be in its slot: `in_slot` has n rows of AFTI_SLOTS_MAX. */
static void
add_best(const double *v, double (*in_slot)[AFTI_SLOTS_MAX], uint32_t n, uint32_t k, double *sum)
{
    bool taken[AFT_WORLD_MESSAGES] = {0};
    for (uint32_t slot = 0; slot < k; slot++) {
        uint32_t best = n;
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && (best == n || v[i] > v[best]))
                best = i;
        taken[best] = true;
        *sum += in_slot[best][slot];
    }
}

void
afti_refer(const struct aft_world_options *o, const struct afti_moment *x,
           const struct aft_visit *v, const uint8_t *seen, struct aft_world_reference *sums)
{
    double click[AFT_WORLD_MESSAGES][AFTI_SLOTS_MAX], value[AFT_WORLD_MESSAGES][AFTI_SLOTS_MAX];
    double by_click[AFT_WORLD_MESSAGES], by_value[AFT_WORLD_MESSAGES];
    double all_click = 0, all_value = 0;
    uint32_t n = 0;
    AFT_ASSERT(v->k >= 1 && v->k <= AFTI_SLOTS_MAX);
    for (uint32_t i = 0; i < v->candidates_n; i++) {
        if (v->candidates[i].mask)
            continue;
        uint32_t m = v->candidates[i].message;
        for (uint32_t slot = 0; slot < v->k; slot++) {
            click[n][slot] = afti_click_probability(x, m, slot, seen[m]);
            value[n][slot] = value_of(o, x, m, slot, click[n][slot]);
            all_click += click[n][slot];
            all_value += value[n][slot];
        }
        by_click[n] = click[n][0];
        by_value[n] = value[n][0];
        n++;
    }
    uint32_t k = n < v->k ? n : v->k;
    if (n == 0)
        return;
    sums->visits++;
    sums->tiles += k;
    sums->uniform_ctr += all_click / n;
    sums->uniform_value += all_value / n;
    add_best(by_click, click, n, k, &sums->best_ctr);
    add_best(by_value, value, n, k, &sums->best_value);
}
