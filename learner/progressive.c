/* progressive.c - what the model would have done, judged before it learns from what was done; and which side of auto serves. One thread.
 *
 * Each side names its greedy arm for the top slot (over an ensemble: by the mean of its members' scores). At OPEN, over the decisions with
 * candidates and support, with p the propensity of what was shown and r its reward so far: IPS, SNIPS and DR of the serving side's greedy
 * arm (an estimate of what greedy serving would earn early, not in the end), and the squared error of the prediction for what was shown.
 * A decision that was logged with probability q counts W times in these (pass.c); in auto's S its d, early and late, is times 1/q.
 *
 * Auto: both sides' DR with one q, side 0's, so that their difference is 0 where they agree:
 *     d = q(g1) - q(g0) + ([g1 shown] - [g0 shown]) / p (r - q(shown))
 * and what comes late adds ([g1 shown] - [g0 shown]) / p times the change, by the greedy arms of then. S = sum d, V = sum d^2, both fading
 * by halves in FADE decisions where they differ. Side 1 takes over when S > z sqrt(V), side 0 when S < -z sqrt(V), never before FIRST such
 * decisions: a choice stands until as much speaks against it. All of it is state, so replay makes the same choices.
 */
#include <math.h>

#include "learner/inner.h"

static const double fade = 0x1.ffff4p-1; /* 2^(-1/120,000) or so */
enum { FIRST = 300, Z = 3 };

bool
afti_logistic(const struct aft_learner *l)
{
    return aft_model_traits(l->settings.policy.model)->logistic;
}

double
afti_unit(const struct aft_learner *l)
{
    return l->settings.policy.model == AFT_MODEL_RIDGE ? 1 : l->settings.reward_scale;
}

typedef long long masks __attribute__((vector_size(32)));

static double
reward_of(const struct aft_learner *l, double score)
{
    return (afti_logistic(l) ? aft_logistic(score) : score) * afti_unit(l);
}

static uint32_t
top_item(const struct aft_example *x)
{
    for (uint32_t i = 0; i < x->items_n; i++)
        if (x->items[i].slot == 0)
            return i;
    return AFT_NOWHERE;
}

void
afti_scores(struct aft_learner *l, const struct afti_member *m, const struct aft_example *x,
            double *score)
{
    struct afti_table *t = &l->table;
    if (t->kind->candidates)
        t->kind->candidates(t, m, x->candidates, x->candidates_n, score, l->had);
    else
        memset(l->had, 0, x->candidates_n * sizeof *l->had);
}

/* Those that need no terms of their own: a member's scores are added to its side's. */
static void
score_plain(struct aft_learner *l, uint32_t side, uint32_t voter, const struct aft_example *x)
{
    double *into = voter ? l->spare : l->score[side];
    afti_scores(l, &l->members[side * l->design.voters + voter], x, into);
    for (uint32_t i = 0; voter && i < x->candidates_n; i++)
        if (l->had[i])
            l->score[side][i] += into[i];
}

static bool
score_terms(struct aft_learner *l, const struct aft_candidate *c, uint32_t at)
{
    struct afti_table *t = &l->table;
    if (!afti_take_candidate(t, c, 0))
        return false;
    t->kind->item(t, false);
    for (uint32_t side = 0; side < l->design.sides; side++) {
        const struct afti_member *m = &l->members[side * l->design.voters];
        l->score[side][at] = t->kind->score(t, m);
        for (uint32_t j = 1; j < l->design.voters; j++)
            l->score[side][at] += t->kind->score(t, m + j);
    }
    return true;
}

/* The first of the best of n > 0 scores: of every fourth, then of those four. No number is above one that is none. */
AFT_WIDE static uint32_t
first_best(const double *score, uint32_t n)
{
    double best = score[0];
    aft_wide top = {best, best, best, best}, v;
    masks first = {0}, at = {0, 1, 2, 3};
    uint32_t i = 0, out = 0;
    for (; i + 4 <= n; i += 4, at += 4) {
        memcpy(&v, score + i, sizeof v);
        masks more = v > top, bits, had;
        memcpy(&bits, &v, sizeof bits);
        memcpy(&had, &top, sizeof had);
        had = (bits & more) | (had & ~more);
        memcpy(&top, &had, sizeof top);
        first = (at & more) | (first & ~more);
    }
    for (int k = 0; k < 4; k++) {
        uint32_t it = (uint32_t)first[k];
        uint32_t earlier = it < out ? it : out;
        out = top[k] > best ? it : top[k] == best ? earlier : out;
        best = top[k] > best ? top[k] : best;
    }
    for (; i < n; i++) {
        out = score[i] > best ? i : out;
        best = score[i] > best ? score[i] : best;
    }
    return out;
}

/* The first of the best that are eligible and scored. */
static uint32_t
best_of(const struct aft_learner *l, uint32_t side, const struct aft_example *x)
{
    const double *score = l->score[side];
    const struct aft_candidate *c = x->candidates;
    uint32_t top = AFT_NOWHERE, n = x->candidates_n, i = 0;
    if (n && l->eligible == n && !memchr(l->scored, false, n))
        return first_best(score, n);
    while (i < n && (c[i].mask.p || !l->scored[i]))
        i++;
    for (double best = i < n ? score[top = i] : 0; i < n; i++)
        if (score[i] > best && !c[i].mask.p && l->scored[i]) {
            top = i;
            best = score[i];
        }
    return top;
}

/* Each side's greedy arm, into l->top[]; false: there was nothing to compare. */
static bool
greedy(struct aft_learner *l, const struct aft_example *x)
{
    const struct afti_design *d = &l->design;
    l->table.kind->context(&l->table, false);
    for (uint32_t side = 0; side < d->sides; side++)
        for (uint32_t j = 0; j < d->voters; j++)
            score_plain(l, side, j, x);
    memcpy(l->scored, l->had, x->candidates_n * sizeof *l->scored);
    const bool *from = l->scored, *end = from + x->candidates_n, *at;
    for (; from < end && (at = memchr(from, false, (size_t)(end - from))); from = at + 1) {
        uint32_t i = (uint32_t)(at - l->scored);
        if (!x->candidates[i].mask.p)
            l->scored[i] = score_terms(l, &x->candidates[i], i);
    }
    l->top[0] = best_of(l, 0, x);
    l->top[1] = d->sides > 1 ? best_of(l, 1, x) : AFT_NOWHERE;
    return l->top[0] != AFT_NOWHERE;
}

static double
predicted(const struct aft_learner *l, uint32_t side, uint32_t candidate)
{
    return reward_of(l, l->score[side][candidate] / l->design.voters);
}

/* Of features that lie too far apart a score may be none, or none that can be squared: a sum would never forget it. */
static bool
sound(double guess)
{
    return fabs(guess) < 1e100;
}

/* ---- auto */
static void
choose(struct aft_learner *l, double d)
{
    double *s = l->sums, bound;
    uint32_t serving = afti_serving(l), other = serving;
    s[AFTI_AUTO] = s[AFTI_AUTO] * fade + d;
    s[AFTI_AUTO2] = s[AFTI_AUTO2] * fade + d * d;
    bound = Z * sqrt(s[AFTI_AUTO2]);
    if (++l->counts[AFTI_DIFFERED] < FIRST)
        return;
    if (s[AFTI_AUTO] > bound)
        other = 1;
    if (s[AFTI_AUTO] < -bound)
        other = 0;
    if (other == serving)
        return;
    l->counts[AFTI_SWITCHES]++;
    l->table.weights.first = other * l->design.voters;
}

/* `shown`: the candidate that was; w: 1 / p; reward: what is not yet counted of it. */
static void
compare(struct aft_learner *l, uint32_t shown, double w, double reward, bool late)
{
    if (l->design.sides < 2 || l->top[0] == l->top[1])
        return;
    double hit = (double)(l->top[1] == shown) - (double)(l->top[0] == shown), d = 0;
    if (!late)
        d = predicted(l, 0, l->top[1]) - predicted(l, 0, l->top[0]);
    if (!late && hit != 0)
        reward -= predicted(l, 0, shown);
    d = l->stands * (d + hit * w * reward);
    if (sound(d))
        choose(l, d);
}

uint32_t
afti_serving(const struct aft_learner *l)
{
    return l->table.weights.first / l->design.voters;
}

/* ---- an example */
static bool
judged(struct aft_learner *l, const struct aft_example *x, uint32_t at)
{
    l->stands = afti_stands_for(x);
    return at != AFT_NOWHERE && x->items[at].propensity > 0 && x->items[at].propensity <= 1 &&
           l->stands > 0 && x->propensity_kind != AFT_PROPENSITY_UNKNOWN &&
           x->candidates_n <= AFT_CANDIDATES_MAX && afti_take_slot(&l->table, 0) && greedy(l, x);
}

/* What was shown has a score: who learns it first, with the same terms, need not make it again, nor its logistic. */
static void
judge(struct aft_learner *l, const struct aft_example *x, uint32_t at, double guess)
{
    const struct afti_design *d = &l->design;
    struct afti_judged *j = &l->table.judged;
    uint32_t shown = l->shown[at];
    if (d->voters != 1 || d->everything || at != 0 ||
        !(x->candidates[shown].features.n || !x->items[at].features.n))
        return;
    j->there = true;
    for (uint32_t side = 0; side < d->sides; side++)
        j->score[side] = l->score[side][shown];
    if (afti_logistic(l) && afti_unit(l) == 1) {
        j->logit = l->score[afti_serving(l)][shown];
        j->chance = guess;
    }
}

void
afti_progressive(struct aft_learner *l, const struct aft_example *x)
{
    uint32_t at = top_item(x), serving = afti_serving(l);
    if (!judged(l, x, at))
        return;
    uint32_t shown = l->shown[at];
    double reward = (double)x->items[at].reward_micro / AFT_MICRO, p = x->items[at].propensity;
    l->greedy = l->top[serving];
    bool has_shown = shown != AFT_NOWHERE && l->scored[shown] && !x->candidates[shown].mask.p;
    double best = predicted(l, serving, l->greedy);
    double guess = has_shown ? predicted(l, serving, shown) : 0;
    if (!sound(best) || !sound(guess))
        return;
    if (has_shown)
        judge(l, x, at, guess);
    double w = l->greedy == shown ? 1 / p : 0;
    int64_t whole = afti_whole(x);
    double by = (double)whole;
    l->counts[AFTI_PROGRESSIVE] += whole;
    l->sums[AFTI_IPS] += by * (w * reward);
    l->sums[AFTI_IPS_W] += by * w;
    l->sums[AFTI_DR] += by * (best + w * (reward - guess));
    if (has_shown) {
        l->counts[AFTI_GUESSED] += whole;
        l->sums[AFTI_LOSS] += by * ((reward - guess) * (reward - guess));
    }
    compare(l, shown, 1 / p, reward, false);
}

void
afti_progressive_late(struct aft_learner *l, const struct aft_example *x)
{
    uint32_t at = top_item(x);
    if (l->design.sides < 2 || at == AFT_NOWHERE || !x->items[at].delta_micro || !judged(l, x, at))
        return;
    compare(l, l->shown[at], 1 / x->items[at].propensity,
            (double)x->items[at].delta_micro / AFT_MICRO, true);
}
