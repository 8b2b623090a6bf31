/* reduction.c - from a logged item to examples of a regression: may it be learned, by whom, with what weight and label. One thread.
 *
 * p: the item's propensity given what stands above it; m: the eligible arms that were left for its slot; h = 1 / (p m), so that uniform
 * logging has weight 1. By learner.weighting: iwr h, capped min(h, cap), sqrt sqrt(h), none 1. A log without candidates counts the arms
 * that the learner knows.
 *   dm    regress the reward of what was shown, weight 1
 *   iwr   the same with the weight above (Bietti et al., arXiv 1802.04064; VW's mtr with the mean of m in its place)
 *   ips   regress for every arm that was left: 0, and r m h for the one that was shown (aft_ips_rewards)
 *   dr    regress for every arm that was left: q, and q + (r - q) m h for the one that was shown (aft_dr_rewards); q: the regressor's
 * Bagging: member j learns a decision as often as Poisson(1) says, drawn from (decision id, j): replay cannot change it. One step of
 * that weight, since steps know weights.
 * Cover (Agarwal et al., arXiv 1402.0555, as VW has it): member 0 by the reduction above; member j regresses for every arm dr's reward
 * and a bonus psi p_min / (max(P, p_min) / norm), where P is the share of members below j that pick the arm, p_min =
 * min(e / m, e / sqrt(t m)), e = 0.05, t items learned so far, norm = p_min m + sum over those members of what they raise above p_min.
 * Late credit is revised with the same weights: for ips and dr the label of what was shown moves by m h times the change; what the
 * regressor thought of the others when it was opened stays.
 * Of impressions logged with probability q (design.pass) each stands for 1/q decisions: every weight above, times 1/q, after cap or root
 * (which are for the policy's choice; q is not the policy's), whatever the reduction and the weighting; made-up rewards are not.
 * Refused: no support (q no probability or below 0.001; propensity 0, or of unknown kind, where it is divided by; no candidates where all
 * are learned); a weight that is not finite or above 1e6, its 1/q included.
 */
#include <math.h>

#include "learner/inner.h"

static const double cover_epsilon = 0.05;

/* Of equal ids equal: length and last byte, compared as one. */
static inline uint64_t
tag_of(struct aft_bytes id)
{
    return id.n ? (uint64_t)id.n << 8 | id.p[id.n - 1] : 0;
}

/* The first candidate from i on that the item is; those before it, and itself, that are eligible are counted. */
static uint32_t
candidate_from(const struct aft_example *x, const struct aft_example_item *item, uint32_t i,
               uint32_t *eligible)
{
    uint64_t tag = tag_of(item->arm_id);
    uint32_t free = 0;
    for (; i < x->candidates_n; i++) {
        const struct aft_candidate *c = &x->candidates[i];
        free += !c->mask.p;
        if (tag_of(c->arm_id) == tag && aft_same(c->arm_id, item->arm_id))
            break;
    }
    *eligible += free;
    return i;
}

void
afti_item_candidates(struct aft_learner *l, const struct aft_example *x)
{
    uint32_t i = 0, n = x->candidates_n, other = 0;
    l->eligible = 0;
    for (uint32_t k = 0; k < x->items_n; k++) {
        uint32_t at = candidate_from(x, &x->items[k], 0, k ? &other : &l->eligible);
        i = k ? i : at + 1;
        l->shown[k] = at < n ? at : AFT_NOWHERE;
    }
    for (; i < n; i++)
        l->eligible += !x->candidates[i].mask.p;
}

static double
arms_left(const struct aft_learner *l, const struct aft_example *x,
          const struct aft_example_item *item)
{
    uint32_t eligible = l->eligible, above = 0;
    for (uint32_t i = 0; i < x->items_n; i++)
        above += x->items[i].slot < item->slot;
    if (x->candidates_n == 0)
        eligible = l->arms.index.n;
    return eligible > above ? (double)(eligible - above) : 1;
}

static double
weigh(const struct aft_learner *l, enum aft_weighting how, double h)
{
    switch (how) {
    case AFT_WEIGHTING_NONE:
        return 1;
    case AFT_WEIGHTING_IWR:
        return h;
    case AFT_WEIGHTING_CAPPED:
        return h < l->settings.weight_cap ? h : l->settings.weight_cap;
    case AFT_WEIGHTING_SQRT:
        return sqrt(h);
    case AFT_WEIGHTING_AUTO:
        break;
    }
    AFT_NEVER();
}

enum afti_count
afti_item_weight(const struct aft_learner *l, const struct aft_example *x,
                 const struct aft_example_item *item, struct afti_weight *w)
{
    const struct afti_design *d = &l->design;
    bool none = x->propensity_kind == AFT_PROPENSITY_UNKNOWN;
    bool known = item->propensity > 0 && !none;
    *w = (struct afti_weight){.left = 1, .side = {1, 1}, .stands = afti_stands_for(x)};
    if (!(w->stands > 0) || !(item->propensity <= 1) || !(known || (none && item->propensity >= 0)))
        return AFTI_REFUSED_SUPPORT;
    if (!known)
        return d->support ? AFTI_REFUSED_SUPPORT : AFTI_COUNTS;
    if (d->everything && l->shown[item - x->items] == AFT_NOWHERE)
        return AFTI_REFUSED_SUPPORT;
    w->left = arms_left(l, x, item);
    w->raw = 1 / (item->propensity * w->left);
    for (uint32_t i = 0; i < d->sides; i++) {
        w->side[i] = weigh(l, d->weighting[i], w->raw);
        if (!(w->side[i] * w->stands <= 1e6))
            return AFTI_REFUSED_WEIGHT;
    }
    return AFTI_COUNTS;
}

/* ---- bagging */
uint32_t
afti_copies(struct aft_bytes decision, uint32_t member)
{
    static const double below[] = {0.36787944117144233, 0.73575888234288467, 0.91969860292860584,
                                   0.98101184312384626, 0.99634015317265634, 0.99940581518241832,
                                   0.99991675885071196, 0.99998975080332535, 0.99999887479740203,
                                   0.99999988857452171, 0.99999998995223368};
    struct aft_random r;
    uint32_t n = 0;
    aft_random_init(&r, aft_hash64(decision, 0), 0xba66000000000000ull | member);
    double u = aft_random_unit(&r);
    while (n < sizeof below / sizeof *below && u >= below[n])
        n++;
    return n;
}

/* ---- the item at hand, by the members whose weight is not 0 */
struct task { /* of one item */
    struct aft_learner *l;
    const struct aft_example *x;
    const struct aft_example_item *item;
    const struct afti_weight *w;
    double age;         /* what every weight is times: forgetting, and 1/q */
    double now, before; /* labels */
    bool revise;
    bool predicted; /* learner.regressed[] holds what the regressor says of the candidates */
};

static void
teach(const struct task *t, struct afti_member *m, double weight, double before, double now)
{
    struct afti_table *table = &t->l->table;
    if (!(weight > 0))
        return;
    if (t->revise)
        table->kind->revise(table, m, weight * t->age, before, now);
    else
        table->kind->learn(table, m, weight * t->age, now);
}

static double
copies(const struct task *t, uint32_t voter)
{
    return t->l->design.ensemble == AFT_ENSEMBLE_BAGGING
               ? (double)afti_copies(t->x->decision_id, voter)
               : 1;
}

/* What was shown, by the voters of each side; of cover the first alone. */
static void
shown_alone(const struct task *t)
{
    const struct afti_design *d = &t->l->design;
    uint32_t voters = d->ensemble == AFT_ENSEMBLE_COVER ? 1 : d->voters;
    for (uint32_t side = 0; side < d->sides; side++)
        for (uint32_t j = 0; j < voters; j++)
            teach(t, &t->l->members[side * d->voters + j], t->w->side[side] * copies(t, j),
                  t->before, t->now);
}

/* ---- every arm that was left */
static bool
left(const struct task *t, uint32_t candidate)
{
    if (t->x->candidates[candidate].mask.p)
        return false;
    for (uint32_t i = 0; i < t->x->items_n; i++)
        if (t->l->shown[i] == candidate && t->x->items[i].slot < t->item->slot)
            return false;
    return true;
}

/* Its terms and places; false: its features cannot be learned. */
static bool
take(const struct task *t, uint32_t candidate, bool grow)
{
    struct afti_table *table = &t->l->table;
    bool shown = candidate == t->l->shown[t->item - t->x->items];
    bool good = shown ? afti_take_item(t->l, t->x, t->item)
                      : afti_take_candidate(table, &t->x->candidates[candidate], t->item->slot);
    if (good)
        table->kind->item(table, grow);
    return good;
}

/* A candidate that is like the last one, so that its places need not be looked for. */
static bool
taken(const struct task *t, uint32_t candidate, bool alone)
{
    struct afti_table *table = &t->l->table;
    return alone && table->kind->follows &&
           table->kind->follows(table, &t->x->candidates[candidate]);
}

/* What each of cover's members would pick, and norm before it. */
struct picks {
    uint32_t best[AFT_MEMBERS_MAX];
    double score[AFT_MEMBERS_MAX], norm[AFT_MEMBERS_MAX], least;
};

static double
share(const struct picks *p, uint32_t voters, uint32_t below, uint32_t candidate)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < below; j++)
        n += p->best[j] == candidate;
    return (double)n / voters;
}

/* Each voter's best of the arms that are left: by its scores of all candidates that are known, made at once, and of the others. */
static void
pick_best(const struct task *t, struct picks *p, uint32_t voter)
{
    struct aft_learner *l = t->l;
    const struct afti_member *m = &l->members[voter];
    bool many = t->x->candidates_n > AFT_CANDIDATES_MAX;
    if (!many)
        afti_scores(l, m, t->x, l->spare);
    p->best[voter] = AFT_NOWHERE;
    for (uint32_t i = 0; i < t->x->candidates_n; i++) {
        bool had = !many && l->had[i];
        if (!left(t, i) || (!had && !take(t, i, false)))
            continue;
        double s = had ? l->spare[i] : l->table.kind->score(&l->table, m);
        if (p->best[voter] == AFT_NOWHERE || s > p->score[voter]) {
            p->best[voter] = i;
            p->score[voter] = s;
        }
    }
}

static void
pick(const struct task *t, struct picks *p)
{
    uint32_t voters = t->l->design.voters;
    double m = t->w->left, n = (double)t->l->counts[AFTI_LEARNED] + 1, one = 1.0 / voters;
    for (uint32_t j = 0; j < voters; j++)
        pick_best(t, p, j);
    p->least = cover_epsilon / (n > m ? sqrt(n * m) : m);
    p->norm[0] = p->least * m;
    for (uint32_t j = 0; j + 1 < voters; j++) {
        double had = share(p, voters, j, p->best[j]), short_of = p->least - had;
        double raised = short_of > 0 ? one - short_of : one;
        p->norm[j + 1] = p->norm[j] + (raised > 0 ? raised : 0);
    }
}

/* Member j's bonus for an arm that those below it seldom pick. */
static double
bonus(const struct task *t, const struct picks *p, uint32_t member, uint32_t candidate)
{
    double had = share(p, t->l->design.voters, member, candidate);
    had = had > p->least ? had : p->least;
    return t->l->settings.psi * p->least * p->norm[member] / had;
}

/* The item at hand is a candidate: its label is q, and what was seen beyond it. */
static void
teach_candidate(const struct task *t, const struct picks *p, uint32_t candidate)
{
    struct aft_learner *l = t->l;
    const struct afti_design *d = &l->design;
    bool shown = candidate == l->shown[t->item - t->x->items];
    bool made_up = d->reduction == AFT_REDUCTION_IPS || d->reduction == AFT_REDUCTION_DR;
    double by = t->w->side[0] * t->w->left, q = 0;
    if (d->regressor != AFT_NOWHERE)
        q = t->predicted && l->had[candidate]
                ? l->regressed[candidate]
                : l->table.kind->score(&l->table, &l->members[d->regressor]);
    double dr[2] = {shown ? q + (t->before - q) * by : q, shown ? q + (t->now - q) * by : q};
    double ips[2] = {shown ? t->before * by : 0, shown ? t->now * by : 0};
    const double *first = d->reduction == AFT_REDUCTION_IPS ? ips : dr;
    for (uint32_t j = 0; j < d->voters; j++) {
        bool cover = j > 0 && d->ensemble == AFT_ENSEMBLE_COVER;
        if (!cover && !made_up)
            continue;
        double more = cover && !t->revise ? bonus(t, p, j, candidate) : 0;
        const double *y = cover ? dr : first;
        teach(t, &l->members[j], copies(t, j), y[0], y[1] + more);
    }
}

/* All arms that were left but the one that was shown. */
static void
teach_others(const struct task *t, const struct picks *p)
{
    struct afti_table *table = &t->l->table;
    uint32_t shown = t->l->shown[t->item - t->x->items];
    bool alone = t->l->design.regressor == AFT_NOWHERE || t->predicted; /* nobody is to be asked */
    if (table->kind->begin)
        table->kind->begin(table);
    for (uint32_t i = 0; i < t->x->candidates_n; i++)
        if (i != shown && left(t, i) && (taken(t, i, alone) || take(t, i, true)))
            teach_candidate(t, p, i);
    if (table->kind->end)
        table->kind->end(table);
}

/* What was shown comes last, by itself: its label may lie far off. The regressor learns after all others, so what it says of the
 * candidates does not change meanwhile. */
static void
everything(struct task *t)
{
    struct aft_learner *l = t->l;
    struct picks p = {.least = 0};
    uint32_t shown = l->shown[t->item - t->x->items], regressor = l->design.regressor;
    if (l->design.ensemble == AFT_ENSEMBLE_COVER && !t->revise)
        pick(t, &p);
    l->table.calm = 1 / sqrt(t->w->left);
    t->predicted =
        regressor != AFT_NOWHERE && !t->revise && t->x->candidates_n <= AFT_CANDIDATES_MAX;
    if (t->predicted)
        afti_scores(l, &l->members[regressor], t->x, l->regressed);
    if (!t->revise)
        teach_others(t, &p);
    if ((t->revise || left(t, shown)) && take(t, shown, true))
        teach_candidate(t, &p, shown);
    l->table.calm = 1;
}

/* A reward with what is forecast beside it, as a label; not above the largest. */
static double
label_top(const struct aft_learner *l)
{
    return afti_logistic(l) ? 1 : HUGE_VAL;
}

static double
with_more(double micro, double more, double unit, double top)
{
    double label = more == 0 ? micro / unit : (micro + more * AFT_MICRO) / unit;
    return more == 0 || label < top ? label : top;
}

void
afti_item_learn(struct aft_learner *l, const struct aft_example *x,
                const struct aft_example_item *item, const struct afti_weight *w)
{
    const struct afti_design *d = &l->design;
    double unit = afti_unit(l) * AFT_MICRO, more[2] = {0, 0}, top = label_top(l);
    if (l->forecast && !l->forecast->exact)
        afti_forecast_labels(l, x, item, &more[0], &more[1]);
    struct task t = {
        .l = l,
        .x = x,
        .item = item,
        .w = w,
        .age = afti_age(l, x->timestamp_ms) * w->stands,
        .now = with_more((double)item->reward_micro, more[1], unit, top),
        .before = with_more((double)(item->reward_micro - item->delta_micro), more[0], unit, top),
        .revise = x->phase != AFT_OPEN};
    if (x->phase == AFT_SETTLE && t.now == t.before)
        return;
    if (l->forecast && t.revise && aft_model_traits(l->settings.policy.model)->bilinear)
        t.age *= afti_forecast_pace(l, x->timestamp_ms);
    if (d->everything)
        everything(&t);
    if (d->everything && !take(&t, l->shown[item - x->items], true))
        return;
    if (d->reduction == AFT_REDUCTION_DM || d->reduction == AFT_REDUCTION_IWR)
        shown_alone(&t);
    if (d->regressor != AFT_NOWHERE)
        teach(&t, &l->members[d->regressor], 1, t.before, t.now);
}
