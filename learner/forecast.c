/* forecast.c - what an impression will still earn, learned from settled ones, added when it opens and taken back. Pure. One thread.
 *
 *   cohort    the impressions of one hour. Its items stand in levels, by their reward so far (0; up to .1, .5, more of the reward
 *             scale: which kinds have come shows in what they are worth). sum[l] = sum of h x over the items that stand in l.
 *   history   how many opened, moved from level to level and what they gained, by age of their cohort (ages double: up to 2 h, 4 h,
 *             8 h ...). A cohort's history counts once all of it has settled, never before: no reward is missing in it.
 *   value     V[age][level]: what an item in that level at the beginning of that age will still gain: backward from the oldest age,
 *             V[a][l] = (gained[a][l] + sum moved[a][l][k] V + (rest) V[a + 1][l]) / (those that were in l during a)
 *             with V of the same age for moves up (they go on gaining in it), of the next for moves down. So the sum of V over the
 *             items that opened is exactly what they gained in the end.
 *   rest      U[level]: V at every moment that an item spent in that level before it settled, on the average over all those moments
 *   exact     for ridge, shared, one voter, where b alone depends on rewards: b holds the sum over cohorts and levels of
 *             coefficient x sum[l], the coefficient being V at the cohort's age, linear between ages. Each hour of event time all
 *             coefficients, and so what is in b, are made anew; an item that gains moves to
 *             another level; one that settles leaves. When all have left nothing of any forecast is in b.
 *   labels    for all others, which can only learn an item again while it is at hand: its label is its reward + the cohort's
 *             coefficient of its level, at OPEN; REVISE moves it from the one to the other, SETTLE to its reward alone. A cohort's
 *             coefficients are U when it begins and never change, so what was added is known when it is taken back. V would be too
 *             much for the old ones, who get no event as their time runs out; U is what those that have not settled, young and old,
 *             still earn on the average, so the sum of all labels is right in a stream that goes on as it did, and each is in the end.
 *   pace      a model whose rates do not fall as 1 / n is where what opens too low and what comes late hold each other in balance: a late
 *             reward stands for what is missing from the impressions that open now. Where fewer open than in the day of its
 *             impression, it counts by that ratio; so a stream that dwindles or stops leaves the model where it was.
 *   pass      an item of an impression that was logged with probability q is counted W times, and its x weighs 1/q (pass.c)
 * Invariants: I1 applied[] is what b holds of forecasts, up to rounding; I2 history of a cohort that is not wholly settled is in no V.
 * An erased impression never settles: a cohort that is two days older than one that has settled is dropped, and not learned from.
 */
#include <stdlib.h>

#include "learner/inner.h"

enum { HOUR_MS = 3600000, DROPPED_AFTER = 48, COHORTS_MAX = 2048, NOWHERE = -1 };

static int
level_of(const struct aft_learner *l, int64_t micro)
{
    double part = (double)micro / (l->settings.reward_scale * AFT_MICRO);
    return part <= 0 ? 0 : part <= 0.1 ? 1 : part <= 0.5 ? 2 : 3;
}

static int
age_of(int64_t ms)
{
    int age = 0;
    for (int64_t hours = ms / HOUR_MS; hours > 1 && age < AFTI_AGES - 1; hours /= 2)
        age++;
    return age;
}

static int64_t
hour_of(int64_t ms)
{
    return ms >= 0 ? ms / HOUR_MS : -((HOUR_MS - 1 - ms) / HOUR_MS);
}

struct afti_forecast *
afti_forecast_new(uint32_t members, bool exact)
{
    struct afti_forecast *f = calloc(1, sizeof *f);
    AFT_ASSERT(f);
    f->exact = exact;
    f->members = exact ? members : 0;
    f->hour = INT64_MIN;
    f->applied = calloc((size_t)f->members * AFT_LINEAR_COLUMNS + 1, sizeof *f->applied);
    f->next = calloc((size_t)f->members * AFT_LINEAR_COLUMNS + 1, sizeof *f->next);
    f->v = calloc(COHORTS_MAX, sizeof(struct afti_cohort *));
    AFT_ASSERT(f->applied && f->next && f->v);
    return f;
}

void
afti_forecast_free(struct afti_forecast *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->n; i++)
        free(f->v[i]);
    for (uint32_t i = 0; i < f->spare_n; i++)
        free(f->spare[i]);
    free(f->v);
    free(f->applied);
    free(f->next);
    free(f);
}

double *
afti_cohort_sum(const struct afti_forecast *f, struct afti_cohort *c, uint32_t member, int level)
{
    AFT_ASSERT(member < f->members && level >= 0 && level < AFTI_LEVELS);
    return c->sum + ((size_t)member * AFTI_LEVELS + (size_t)level) * AFT_LINEAR_COLUMNS;
}

/* ---- what is to come */
static double
settled_value(const struct afti_forecast *f, int age, int level)
{
    return age < AFTI_AGES ? f->value[age][level] : 0;
}

/* V at an age in ms, linear between two ages. */
static double
value_at(const struct afti_forecast *f, int64_t ms, int level)
{
    int age = age_of(ms);
    int64_t from = (int64_t)HOUR_MS << age;
    double part = ms > from ? (double)(ms - from) / (double)from : 0;
    double a = settled_value(f, age, level), b = settled_value(f, age + 1, level);
    return a + (part < 1 ? part : 1) * (b - a);
}

static int64_t
in_level(const struct afti_history *h, const int64_t *before, int age, int level)
{
    int64_t n = before[level] + h->opened[age][level];
    for (int k = 0; k < level; k++)
        n += h->moved[age][k][level];
    return n;
}

/* How many stood in each level when an age began; those of all ages. */
static void
standing(const struct afti_history *h, int64_t n[AFTI_AGES + 1][AFTI_LEVELS])
{
    memset(n, 0, (AFTI_AGES + 1) * sizeof *n);
    for (int a = 0; a < AFTI_AGES; a++)
        for (int l = 0; l < AFTI_LEVELS; l++) {
            n[a + 1][l] += in_level(h, n[a], a, l);
            for (int k = 0; k < AFTI_LEVELS; k++)
                n[a + 1][l] -= h->moved[a][l][k];
            for (int k = l + 1; k < AFTI_LEVELS; k++)
                n[a + 1][l] += h->moved[a][k][l];
        }
}

/* U: V over all the time that was spent in each level, from OPEN to SETTLE. */
static void
rest_all(struct afti_forecast *f, int64_t n[AFTI_AGES + 1][AFTI_LEVELS])
{
    const struct afti_history *h = &f->settled;
    double life = h->ended > 0 ? (double)h->ended_ms / (double)h->ended / HOUR_MS : 0;
    for (int l = 0; l < AFTI_LEVELS; l++) {
        double sum = 0, time = 0;
        for (int a = 0; a < AFTI_AGES; a++) {
            double from = a ? (double)(1 << a) : 0, to = (double)(2 << a);
            double span = (to < life ? to : life) - from;
            double stood = (double)((a ? n[a][l] : n[1][l]) + n[a + 1][l]) / 2;
            if (!(span > 0))
                break;
            time += span * stood;
            sum += span * stood * (f->value[a][l] + settled_value(f, a + 1, l)) / 2;
        }
        f->rest[l] = time > 0 ? sum / time : 0;
    }
}

static void
value_all(struct afti_forecast *f)
{
    int64_t n[AFTI_AGES + 1][AFTI_LEVELS];
    const struct afti_history *h = &f->settled;
    standing(h, n);
    for (int a = AFTI_AGES - 1; a >= 0; a--)
        for (int l = AFTI_LEVELS - 1; l >= 0; l--) {
            double all = (double)in_level(h, n[a], a, l), rest = all;
            double v = (double)h->gained[a][l] / AFT_MICRO;
            for (int k = 0; k < AFTI_LEVELS; k++) {
                double moved = (double)h->moved[a][l][k];
                v += moved * (k > l ? f->value[a][k] : settled_value(f, a + 1, k));
                rest -= moved;
            }
            double later = settled_value(f, a + 1, l);
            f->value[a][l] = all > 0 ? (v + rest * later) / all : later;
        }
    rest_all(f, n);
}

/* ---- cohorts, in the order of their hours */
static uint32_t
place_of(const struct afti_forecast *f, int64_t hour)
{
    uint32_t i = f->n;
    while (i > 0 && f->v[i - 1]->hour >= hour)
        i--;
    return i;
}

static void
drop_first(struct afti_forecast *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (f->spare_n < sizeof f->spare / sizeof f->spare[0])
            f->spare[f->spare_n++] = f->v[i];
        else
            free(f->v[i]);
    }
    f->n -= n;
    memmove(f->v, f->v + n, f->n * sizeof(struct afti_cohort *));
}

struct afti_cohort *
afti_cohort_add(struct afti_forecast *f, int64_t hour)
{
    size_t sums = (size_t)f->members * AFTI_LEVELS * AFT_LINEAR_COLUMNS;
    struct afti_cohort *c = f->spare_n ? f->spare[--f->spare_n] : NULL;
    if (f->n == COHORTS_MAX)
        drop_first(f, 1);
    if (!c)
        c = malloc(sizeof *c + sums * sizeof *c->sum);
    AFT_ASSERT(c);
    memset(c, 0, sizeof *c + sums * sizeof *c->sum);
    c->hour = hour;
    uint32_t at = place_of(f, hour);
    memmove(f->v + at + 1, f->v + at, (f->n++ - at) * sizeof(struct afti_cohort *));
    f->v[at] = c;
    return c;
}

static void
set_coefficients(const struct afti_forecast *f, struct afti_cohort *c, int64_t now_ms)
{
    for (int l = 0; l < AFTI_LEVELS; l++)
        c->coefficient[l] = f->exact ? value_at(f, now_ms - c->hour * HOUR_MS, l) : f->rest[l];
}

static struct afti_cohort *
cohort_of(struct aft_learner *l, int64_t shown_ms, bool add)
{
    struct afti_forecast *f = l->forecast;
    int64_t hour = hour_of(shown_ms);
    uint32_t at = place_of(f, hour);
    if (at < f->n && f->v[at]->hour == hour)
        return f->v[at];
    if (!add)
        return NULL;
    struct afti_cohort *c = afti_cohort_add(f, hour);
    set_coefficients(f, c, l->counts[AFTI_EVENT_TIME]);
    return c;
}

/* ---- an item moves */
static void
count(struct afti_cohort *c, const struct aft_example *x, const struct aft_example_item *item,
      int from, int to)
{
    struct afti_history *h = &c->history;
    int age = age_of(x->fire_ms - c->hour * HOUR_MS);
    int64_t whole = afti_whole(x);
    if (from == NOWHERE) {
        c->left += whole;
        h->opened[age][to] += whole;
    } else if (to == NOWHERE) {
        c->left -= whole;
        c->settled += whole;
        h->ended += whole;
        h->ended_ms += (x->fire_ms - c->hour * HOUR_MS) * whole;
    } else {
        afti_add(&h->gained[age][from], item->delta_micro * whole);
        h->moved[age][from][to] += from != to ? whole : 0;
    }
}

static void
move(struct aft_learner *l, struct afti_cohort *c, uint32_t member, double weight, int from, int to)
{
    struct afti_forecast *f = l->forecast;
    struct aft_ridge *r = &l->members[member].ridge;
    const struct aft_sparse *x = &l->table.place.x;
    double *applied = f->applied + (size_t)member * AFT_LINEAR_COLUMNS, by = 0;
    if (from != NOWHERE) {
        double *sum = afti_cohort_sum(f, c, member, from);
        by -= c->coefficient[from];
        for (uint32_t i = 0; i < x->n; i++)
            sum[x->column[i]] -= weight * x->value[i];
    }
    if (to != NOWHERE) {
        double *sum = afti_cohort_sum(f, c, member, to);
        by += c->coefficient[to];
        for (uint32_t i = 0; i < x->n; i++)
            sum[x->column[i]] += weight * x->value[i];
    }
    if (by == 0)
        return;
    for (uint32_t i = 0; i < x->n; i++) /* I1 */
        applied[x->column[i]] += weight * by * x->value[i];
    aft_ridge_revise(r, &l->table.weights.linear, l->table.place.block, x, weight, by);
}

void
afti_forecast_item(struct aft_learner *l, const struct aft_example *x,
                   const struct aft_example_item *item, const struct afti_weight *w)
{
    bool opens = x->phase == AFT_OPEN, settles = x->phase == AFT_SETTLE;
    struct afti_cohort *c = cohort_of(l, x->timestamp_ms, opens);
    if (!c) /* dropped */
        return;
    int from = opens ? NOWHERE : level_of(l, item->reward_micro - item->delta_micro);
    int to = settles ? NOWHERE : level_of(l, item->reward_micro);
    count(c, x, item, from, to);
    for (uint32_t m = 0; m < l->members_n && from != to; m++)
        move(l, c, m, w->side[m] * (afti_age(l, x->timestamp_ms) * w->stands), from, to);
}

/* Items that opened in the day from that hour on. */
static double
opened_from(const struct afti_forecast *f, int64_t hour)
{
    int64_t n = 0;
    for (uint32_t i = place_of(f, hour); i < f->n && f->v[i]->hour < hour + 24; i++)
        n += f->v[i]->left + f->v[i]->settled;
    return (double)n;
}

double
afti_forecast_pace(const struct aft_learner *l, int64_t shown_ms)
{
    const struct afti_forecast *f = l->forecast;
    double now = opened_from(f, f->hour - 23), then = opened_from(f, hour_of(shown_ms));
    return then > 0 && now < then ? now / then : 1;
}

void
afti_forecast_labels(struct aft_learner *l, const struct aft_example *x,
                     const struct aft_example_item *item, double *before, double *after)
{
    bool opens = x->phase == AFT_OPEN, settles = x->phase == AFT_SETTLE;
    struct afti_cohort *c = cohort_of(l, x->timestamp_ms, opens);
    *before = *after = 0;
    if (!c) /* dropped: what was added stays */
        return;
    int from = opens ? NOWHERE : level_of(l, item->reward_micro - item->delta_micro);
    int to = settles ? NOWHERE : level_of(l, item->reward_micro);
    count(c, x, item, from, to);
    *before = from == NOWHERE ? 0 : c->coefficient[from];
    *after = to == NOWHERE ? 0 : c->coefficient[to];
}

/* ---- time passes */
static void
add_history(struct afti_history *to, const struct afti_history *h)
{
    to->ended += h->ended;
    to->ended_ms += h->ended_ms;
    for (int a = 0; a < AFTI_AGES; a++)
        for (int l = 0; l < AFTI_LEVELS; l++) {
            to->opened[a][l] += h->opened[a][l];
            to->gained[a][l] += h->gained[a][l];
            for (int k = 0; k < AFTI_LEVELS; k++)
                to->moved[a][l][k] += h->moved[a][l][k];
        }
}

/* Cohorts that have settled teach and go; much older ones go. */
static void
close_cohorts(struct afti_forecast *f)
{
    int64_t last = INT64_MIN;
    uint32_t n = 0, gone = 0;
    for (uint32_t i = 0; i < f->n; i++)
        if (f->v[i]->left == 0 && f->v[i]->settled > 0 && f->v[i]->hour + 2 <= f->hour)
            last = f->v[i]->hour;
    if (last == INT64_MIN)
        return;
    for (uint32_t i = 0; i < f->n; i++) { /* those that stay, behind those that go */
        struct afti_cohort *c = f->v[i];
        bool settled = c->left == 0 && c->settled > 0 && c->hour + 2 <= f->hour;
        if (settled) /* I2 */
            add_history(&f->settled, &c->history);
        if (!settled && c->hour >= last - DROPPED_AFTER) {
            n++;
            continue;
        }
        memmove(f->v + gone + 1, f->v + gone, n * sizeof(struct afti_cohort *));
        f->v[gone++] = c;
    }
    drop_first(f, gone);
    value_all(f);
}

static void
forecast_sum(struct afti_forecast *f, uint32_t member, double *out)
{
    memset(out, 0, AFT_LINEAR_COLUMNS * sizeof *out);
    for (uint32_t i = 0; i < f->n; i++)
        for (int l = 0; l < AFTI_LEVELS; l++) {
            const double *sum = afti_cohort_sum(f, f->v[i], member, l);
            double by = f->v[i]->coefficient[l];
            for (uint32_t j = 0; by != 0 && j < AFT_LINEAR_COLUMNS; j++)
                out[j] += by * sum[j];
        }
}

void
afti_forecast_pass(struct aft_learner *l)
{
    struct afti_forecast *f = l->forecast;
    int64_t now = l->counts[AFTI_EVENT_TIME], hour = hour_of(now);
    if (hour == f->hour)
        return;
    f->hour = hour;
    close_cohorts(f);
    for (uint32_t i = 0; i < f->n && f->exact; i++)
        set_coefficients(f, f->v[i], now);
    for (uint32_t m = 0; m < f->members; m++) {
        double *applied = f->applied + (size_t)m * AFT_LINEAR_COLUMNS;
        double *next = f->next + (size_t)m * AFT_LINEAR_COLUMNS;
        forecast_sum(f, m, next);
        for (uint32_t j = 0; j < AFT_LINEAR_COLUMNS; j++) {
            double delta = next[j] - applied[j];
            applied[j] = next[j]; /* I1 */
            next[j] = delta;
        }
        afti_ridge_shift(&l->table, &l->members[m], next);
    }
}

void
afti_forecast_forget(struct afti_forecast *f, double keep)
{
    size_t sums = (size_t)f->members * AFTI_LEVELS * AFT_LINEAR_COLUMNS;
    for (uint32_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < sums; j++)
            f->v[i]->sum[j] *= keep;
    for (size_t j = 0; j < (size_t)f->members * AFT_LINEAR_COLUMNS; j++)
        f->applied[j] *= keep;
}

/* After reading: what follows from the history. */
void
afti_forecast_restored(struct afti_forecast *f)
{
    value_all(f);
}

double
aft_learner_forecast(const struct aft_learner *l, int64_t age_ms, double reward)
{
    int level = level_of(l, (int64_t)(reward * AFT_MICRO));
    return l->forecast && age_ms >= 0 ? value_at(l->forecast, age_ms, level) : 0;
}
