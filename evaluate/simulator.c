/* simulator.c - participants come, look, click, complete; see simulator.h.
 *
 * Two heaps by time: what will happen (a participant's next visit; a completion that may come), and what will be delivered (outcomes).
 * I1 things happen in order of time, whatever the caller's slices: a visit first lets everything before it happen.
 * I2 a task is completed once: the first that happens counts, later ones find it done.
 * Draws come from one stream a participant, so they do not depend on how his visits interleave with others'. */
#include "evaluate/simulator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "evaluate/world_inner.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60000, HOUR_MS = 3600000 };

struct person {
    struct aft_random random;
    int64_t enrol_ms;
    uint32_t visits;
    uint8_t age;
    bool plan_match, auto_enrolled, prior_plan;
    bool done[AFTI_TASKS];
    double app_share, inclination;
    uint8_t seen[AFT_WORLD_MESSAGES];
    char id[33];
};

enum happening_kind { VISIT, COMPLETION };
struct happening {
    int64_t time_ms;
    uint64_t order;
    uint32_t person;
    enum happening_kind kind;
    int32_t task;
};

struct delivery {
    uint64_t order;
    struct aft_world_outcome outcome;
};

struct aft_world {
    struct aft_world_options o;
    struct person *people;
    struct happening *happenings;
    size_t happenings_n, happenings_cap;
    struct delivery **deliveries;
    size_t deliveries_n, deliveries_cap;
    struct delivery *last; /* handed out: freed at the next call */
    uint64_t order, outcomes;
    struct afti_moment moment; /* of the visit that waits for its answer */
    bool waits;
    char session[40];
    struct aft_world_reference sums;
};

/* ---- heaps */
static bool
sooner(const struct happening *a, const struct happening *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->order < b->order;
}

static void *
room(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? *cap * 2 : 1024;
    v = realloc(v, *cap * size);
    AFT_ASSERT(v != NULL);
    return v;
}

static void
happen_later(struct aft_world *w, struct happening x)
{
    w->happenings = room(w->happenings, w->happenings_n, &w->happenings_cap, sizeof *w->happenings);
    x.order = w->order++;
    size_t i = w->happenings_n++;
    for (; i > 0 && sooner(&x, &w->happenings[(i - 1) / 2]); i = (i - 1) / 2)
        w->happenings[i] = w->happenings[(i - 1) / 2];
    w->happenings[i] = x;
}

static struct happening
happening_take(struct aft_world *w)
{
    struct happening *h = w->happenings, first = h[0], x = h[--w->happenings_n];
    size_t n = w->happenings_n, i = 0;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && sooner(&h[child + 1], &h[child]))
            child++;
        if (!sooner(&h[child], &x))
            break;
        h[i] = h[child];
    }
    if (n)
        h[i] = x;
    return first;
}

static bool
delivered_sooner(const struct delivery *a, const struct delivery *b)
{
    int64_t x = a->outcome.delivered_ms, y = b->outcome.delivered_ms;
    return x != y ? x < y : a->order < b->order;
}

static void
deliver_later(struct aft_world *w, const struct aft_world_outcome *outcome)
{
    w->deliveries = room(w->deliveries, w->deliveries_n, &w->deliveries_cap, sizeof(void *));
    struct delivery *x = malloc(sizeof *x), **h = w->deliveries;
    AFT_ASSERT(x != NULL);
    *x = (struct delivery){w->order++, *outcome};
    size_t i = w->deliveries_n++;
    for (; i > 0 && delivered_sooner(x, h[(i - 1) / 2]); i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = x;
}

static struct delivery *
delivery_take(struct aft_world *w)
{
    struct delivery **h = w->deliveries, *first = h[0], *x = h[--w->deliveries_n];
    size_t n = w->deliveries_n, i = 0;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && delivered_sooner(h[child + 1], h[child]))
            child++;
        if (!delivered_sooner(h[child], x))
            break;
        h[i] = h[child];
    }
    if (n)
        h[i] = x;
    return first;
}

/* ---- participants */
static bool
chance(struct aft_random *r, double p)
{
    return aft_random_unit(r) < p;
}

static int64_t
exponential_ms(struct aft_random *r, int64_t mean_ms)
{
    return (int64_t)(aft_random_exponential(r) * (double)mean_ms);
}

static void
schedule_visit(struct aft_world *w, uint32_t person, int64_t from_ms)
{
    struct person *p = &w->people[person];
    int64_t day = (from_ms - p->enrol_ms) / AFT_WORLD_DAY_MS;
    int64_t mean_ms = p->visits == 0 ? 6 * HOUR_MS
                      : day < 14     ? AFT_WORLD_DAY_MS * 3 / 2
                                     : AFT_WORLD_DAY_MS * 4;
    int64_t t = from_ms + 5 * MINUTE_MS + exponential_ms(&p->random, mean_ms);
    if (t / HOUR_MS % 24 >= 1 && t / HOUR_MS % 24 < 7)
        t += 7 * HOUR_MS; /* he sleeps */
    if (t < p->enrol_ms + AFT_WORLD_ONBOARDING_DAYS * AFT_WORLD_DAY_MS)
        happen_later(w, (struct happening){.time_ms = t, .person = person, .kind = VISIT});
}

static void
person_init(struct aft_world *w, uint32_t i)
{
    struct person *p = &w->people[i];
    uint8_t id[16];
    struct aft_random *r = &p->random;
    aft_random_init(r, w->o.seed, i + 1);
    for (int word = 0; word < 4; word++)
        aft_store_be32(id + 4 * word, aft_random_u32(r));
    aft_hex(id, sizeof id, p->id);
    p->enrol_ms = w->o.start_ms + (int64_t)(aft_random_unit(r) * (double)w->o.enrol_days *
                                            (double)AFT_WORLD_DAY_MS);
    p->age = (uint8_t)aft_random_below(r, AFTI_AGES);
    p->plan_match = chance(r, 0.6);
    p->auto_enrolled = chance(r, 0.5);
    p->prior_plan = chance(r, 0.1 + 0.15 * p->age);
    p->app_share = chance(r, 0.45) ? 0.85 : 0.1;
    p->inclination = 0.35 * aft_random_normal(r);
    schedule_visit(w, i, p->enrol_ms);
}

/* ---- outcomes */
static int64_t
delay_ms(struct aft_random *r)
{
    double u = aft_random_unit(r);
    if (u < 0.002)
        return exponential_ms(r, 20 * MINUTE_MS); /* a phone without a net */
    return exponential_ms(r, u < 0.03 ? 8 * SECOND_MS : SECOND_MS / 2);
}

static void
outcome_name(struct aft_world *w, const struct person *p, struct aft_world_outcome *x)
{
    snprintf(x->outcome_id, sizeof x->outcome_id, "o-%llu", (unsigned long long)w->outcomes++);
    memcpy(x->user_id, p->id, sizeof p->id);
}

/* Delivers an outcome, now and then twice, and takes a completion back now and then. */
static void
outcome_send(struct aft_world *w, struct person *p, struct aft_world_outcome *x, bool completion)
{
    struct aft_random *r = &p->random;
    outcome_name(w, p, x);
    x->delivered_ms = x->time_ms + delay_ms(r);
    deliver_later(w, x);
    if (chance(r, w->o.duplicate_share)) {
        struct aft_world_outcome again = *x;
        again.delivered_ms += SECOND_MS + exponential_ms(r, 2 * MINUTE_MS);
        deliver_later(w, &again);
    }
    if (!completion || !chance(r, w->o.retraction_share))
        return;
    struct aft_world_outcome back = {.kind = x->kind, .subject = x->subject};
    outcome_name(w, p, &back);
    memcpy(back.retracts, x->outcome_id, sizeof back.retracts);
    back.time_ms = x->time_ms + HOUR_MS + exponential_ms(r, AFT_WORLD_DAY_MS);
    back.delivered_ms = back.time_ms > x->delivered_ms ? back.time_ms : x->delivered_ms + 1;
    deliver_later(w, &back);
}

static void
completion_later(struct aft_world *w, uint32_t person, int64_t from_ms, int32_t task, bool clicked)
{
    struct aft_random *r = &w->people[person].random;
    double u = aft_random_unit(r);
    int64_t mean_ms = clicked && u < 0.6 ? 6 * MINUTE_MS
                      : u < 0.8          ? 10 * HOUR_MS
                                         : 4 * AFT_WORLD_DAY_MS;
    int64_t after_ms = 20 * SECOND_MS + exponential_ms(r, mean_ms);
    if (after_ms < AFT_WORLD_TASK_DAYS * AFT_WORLD_DAY_MS)
        happen_later(w, (struct happening){.time_ms = from_ms + after_ms,
                                           .person = person,
                                           .kind = COMPLETION,
                                           .task = task});
}

static void
complete(struct aft_world *w, const struct happening *x)
{
    struct person *p = &w->people[x->person];
    if (p->done[x->task])
        return; /* I2 */
    p->done[x->task] = true;
    struct aft_world_outcome o = {.kind = "key_task_completed",
                                  .subject = afti_task_name((enum afti_topic)x->task),
                                  .time_ms = x->time_ms};
    outcome_send(w, p, &o, true);
}

/* ---- visits */
static uint32_t
stage_of(int64_t day)
{
    return day < 7 ? 0 : day < 21 ? 1 : day < 45 ? 2 : 3;
}

static const char *
seen_band(uint32_t n)
{
    return n == 0 ? "never" : n == 1 ? "once" : n < 5 ? "few" : "often";
}

static void
visit_candidates(struct aft_world *w, const struct person *p, struct aft_visit *v)
{
    int64_t day = (v->time_ms - w->o.start_ms) / AFT_WORLD_DAY_MS;
    v->candidates_n = 0;
    for (uint32_t i = 0; i < AFT_WORLD_MESSAGES; i++) {
        const struct afti_message *m = afti_message(i);
        const char *task = afti_task_name(m->topic);
        if (day < m->from_day || day >= m->to_day)
            continue;
        v->candidates[v->candidates_n++] =
            (struct aft_world_candidate){.message = i,
                                         .arm_id = m->id,
                                         .subject = task,
                                         .mask = task && p->done[m->topic] ? "done" : NULL,
                                         .topic = afti_topic_name(m->topic),
                                         .format = afti_format_name(m),
                                         .tone = afti_tone_name(m),
                                         .action = afti_action_name(m),
                                         .seen = seen_band(p->seen[i])};
    }
}

static void
visit_begin(struct aft_world *w, const struct happening *x, struct aft_visit *v)
{
    struct person *p = &w->people[x->person];
    int64_t hour = x->time_ms / HOUR_MS % 24, weekday = (x->time_ms / AFT_WORLD_DAY_MS + 4) % 7;
    int64_t day = (x->time_ms - p->enrol_ms) / AFT_WORLD_DAY_MS;
    w->moment = (struct afti_moment){.age = p->age,
                                     .stage = stage_of(day),
                                     .device = chance(&p->random, p->app_share),
                                     .plan_match = p->plan_match,
                                     .auto_enrolled = p->auto_enrolled,
                                     .prior_plan = p->prior_plan,
                                     .weekend = weekday == 0 || weekday == 6,
                                     .evening = hour >= 17,
                                     .inclination = p->inclination};
    snprintf(w->session, sizeof w->session, "s-%u-%u", x->person, p->visits);
    *v = (struct aft_visit){.time_ms = x->time_ms,
                            .participant = x->person,
                            .number = p->visits++,
                            .user_id = p->id,
                            .session_id = w->session,
                            .device = afti_device_names[w->moment.device],
                            .k = w->moment.device == 0 ? 3 : 2,
                            .days_since_enrol = (int32_t)day,
                            .age_band = afti_age_name(p->age),
                            .hour_band = hour < 11   ? "morning"
                                         : hour < 17 ? "day"
                                                     : "evening",
                            .day_kind = w->moment.weekend ? "weekend" : "weekday",
                            .plan_match = p->plan_match,
                            .auto_enrolled = p->auto_enrolled,
                            .prior_plan = p->prior_plan};
    visit_candidates(w, p, v);
    schedule_visit(w, x->person, x->time_ms);
    w->waits = true;
}

/* ---- the public ones */
void
aft_world_options_default(struct aft_world_options *o)
{
    *o = (struct aft_world_options){.seed = 1,
                                    .participants = 2000,
                                    .start_ms = INT64_C(1735689600000),
                                    .enrol_days = 60,
                                    .duplicate_share = 0.01,
                                    .retraction_share = 0.02,
                                    .click_value = 0.05,
                                    .task_value = 1.0,
                                    .view_value = 0.2};
}

struct aft_world *
aft_world_new(const struct aft_world_options *o)
{
    struct aft_world *w = calloc(1, sizeof *w);
    AFT_ASSERT(w != NULL && o->participants > 0);
    w->o = *o;
    w->people = calloc(o->participants, sizeof *w->people);
    AFT_ASSERT(w->people != NULL);
    for (uint32_t i = 0; i < o->participants; i++)
        person_init(w, i);
    return w;
}

void
aft_world_free(struct aft_world *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->deliveries_n; i++)
        free(w->deliveries[i]);
    free(w->last);
    free(w->deliveries);
    free(w->happenings);
    free(w->people);
    free(w);
}

int64_t
aft_world_end_ms(const struct aft_world *w)
{
    return w->o.start_ms + (w->o.enrol_days + AFT_WORLD_ONBOARDING_DAYS) * AFT_WORLD_DAY_MS;
}

static bool
happened(struct aft_world *w, int64_t before_ms, struct happening *out)
{
    if (w->happenings_n == 0 || w->happenings[0].time_ms >= before_ms)
        return false;
    *out = happening_take(w);
    return true;
}

bool
aft_world_next_visit(struct aft_world *w, int64_t before_ms, struct aft_visit *out)
{
    struct happening x;
    AFT_ASSERT(!w->waits);
    while (happened(w, before_ms, &x)) {
        if (x.kind == VISIT) {
            visit_begin(w, &x, out);
            return true;
        }
        complete(w, &x);
    }
    return false;
}

static void
tile(struct aft_world *w, const struct aft_visit *v, const char *decision_id, uint32_t m,
     uint32_t slot)
{
    struct person *p = &w->people[v->participant];
    struct aft_random *r = &p->random;
    const struct afti_message *message = afti_message(m);
    bool clicked = chance(r, afti_click_probability(&w->moment, m, slot, p->seen[m]));
    int64_t click_ms = v->time_ms + 2 * SECOND_MS + exponential_ms(r, 15 * SECOND_MS);
    if (clicked) {
        struct aft_world_outcome o = {.kind = "click", .time_ms = click_ms, .arm_id = message->id};
        snprintf(o.decision_id, sizeof o.decision_id, "%s", decision_id);
        outcome_send(w, p, &o, false);
        if (chance(r, afti_view_probability(&w->moment, m))) {
            o.kind = "qualified_view_benefit";
            o.time_ms = click_ms + 20 * SECOND_MS + exponential_ms(r, MINUTE_MS);
            outcome_send(w, p, &o, false);
        }
    }
    if (chance(r, afti_task_probability(&w->moment, m, slot, clicked)))
        completion_later(w, v->participant, clicked ? click_ms : v->time_ms,
                         (int32_t)message->topic, clicked);
    if (p->seen[m] < UINT8_MAX)
        p->seen[m]++;
}

void
aft_world_shown(struct aft_world *w, const struct aft_visit *v, const char *decision_id,
                const uint32_t *candidates, uint32_t n)
{
    AFT_ASSERT(w->waits && n <= AFTI_SLOTS_MAX);
    afti_refer(&w->o, &w->moment, v, w->people[v->participant].seen, &w->sums);
    for (uint32_t slot = 0; slot < n; slot++) {
        AFT_ASSERT(candidates[slot] < v->candidates_n);
        tile(w, v, decision_id, v->candidates[candidates[slot]].message, slot);
    }
    for (int32_t task = 0; task < AFTI_TASKS; task++) /* organic */
        if (chance(&w->people[v->participant].random, 0.0012))
            completion_later(w, v->participant, v->time_ms, task, false);
    w->waits = false;
}

bool
aft_world_next_outcome(struct aft_world *w, int64_t before_ms, struct aft_world_outcome *out)
{
    AFT_ASSERT(!w->waits);
    free(w->last);
    w->last = NULL;
    while (w->happenings_n && w->happenings[0].time_ms < before_ms &&
           w->happenings[0].kind == COMPLETION) {
        struct happening x = happening_take(w);
        complete(w, &x);
    }
    if (w->deliveries_n == 0 || w->deliveries[0]->outcome.delivered_ms >= before_ms)
        return false;
    w->last = delivery_take(w);
    *out = w->last->outcome;
    return true;
}

void
aft_world_reference(const struct aft_world *w, struct aft_world_reference *out)
{
    *out = w->sums;
    double tiles = w->sums.tiles ? (double)w->sums.tiles : 1;
    double visits = w->sums.visits ? (double)w->sums.visits : 1;
    out->uniform_ctr /= tiles;
    out->best_ctr /= tiles;
    out->uniform_value /= visits;
    out->best_value /= visits;
}
