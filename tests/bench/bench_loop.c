/* bench_loop.c - the simulated world in a closed loop with a policy: ours in this process, or another one behind a pipe.
 *
 * One tile a visit, its reward the click. A policy decides all visits of a day with what it knew at the beginning of it, and learns
 * them when the day is over. Answer: one line, "clicks tiles best-ctr uniform-ctr" of the whole run.
 *
 *   bench_loop ours EXPLORE SEED PARTICIPANTS [KEY=VALUE ...]     settings over: flow, no weights, temperature as configured
 *   bench_loop pipe SEED PARTICIPANTS                             the other side (peers/vw_loop.py) reads and writes lines:
 *       >  P, then an event in Vowpal Wabbit's text, an empty line      <  index of the action, its probability
 *       >  L, then the event with its label, an empty line              >  E clicks tiles best-ctr uniform-ctr
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/visits.h"

enum { DAY_MAX = 20000 };

struct taken { /* a decision of this day */
    struct aft_visit visit;
    struct visit_nouns nouns;
    char id[32], user[64];
    uint32_t chosen;
    double propensity;
    bool click;
};
struct loop {
    struct aft_world *world;
    struct taken *v;
    uint32_t n, first; /* first: number of the day's first decision */
    uint64_t clicks, tiles;
    struct aft_learner *learner; /* ours */
    struct aft_model *model;
    struct aft_scratch *scratch;
    int64_t round;
};

static void
must(enum aft_err err, const struct aft_error *e)
{
    if (err == AFT_OK)
        return;
    fprintf(stderr, "bench_loop: %s\n", e->message);
    exit(1);
}

/* ---- ours */
static void
decide_ours(struct loop *l, struct taken *t)
{
    struct aft_error e;
    struct aft_decision d;
    struct aft_request r = {.context = {t->nouns.context, VISIT_CONTEXT},
                            .candidates = t->nouns.candidates,
                            .candidates_n = t->visit.candidates_n,
                            .k = 1,
                            .key = aft_text(t->id)};
    must(aft_decide(l->model, l->scratch, &r, &d, &e), &e);
    t->chosen = d.slots[0].candidate;
    t->propensity = d.slots[0].propensity;
}

static enum aft_err
to_set(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    bool whole;
    (void)key;
    return aft_snapshot_set_add(ctx, body, &whole, e);
}

static void
publish_ours(struct loop *l)
{
    struct aft_error e;
    struct aft_end end = {0};
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_publish_spec spec = {
        .model = AFT_LITERAL("m"), .round = ++l->round, .ends = &end, .ends_n = 1};
    aft_model_free(l->model);
    must(aft_learner_publish(l->learner, &spec, to_set, set, &e), &e);
    must(aft_model_load(set, &l->model, &e), &e);
    aft_snapshot_set_free(set);
}

static void
learn_ours(struct loop *l, const struct taken *t)
{
    struct aft_error e;
    int64_t reward = t->click ? AFT_MICRO : 0;
    struct aft_example_item item = {.arm_id = t->nouns.candidates[t->chosen].arm_id,
                                    .propensity = t->propensity,
                                    .reward_micro = reward,
                                    .delta_micro = reward};
    struct aft_example x = {.phase = AFT_OPEN,
                            .fire_ms = t->visit.time_ms,
                            .timestamp_ms = t->visit.time_ms,
                            .decision_id = aft_text(t->id),
                            .user_id = aft_text(t->user),
                            .policy = AFT_LITERAL("ours"),
                            .context = {t->nouns.context, VISIT_CONTEXT},
                            .candidates = t->nouns.candidates,
                            .candidates_n = t->visit.candidates_n,
                            .items = &item,
                            .items_n = 1};
    must(aft_learner_learn(l->learner, &x, &e), &e);
    x.phase = AFT_SETTLE;
    must(aft_learner_learn(l->learner, &x, &e), &e);
}

static void
set_up_ours(struct loop *l, const char *explore, char **pairs, int n)
{
    struct aft_learner_settings s;
    struct aft_error e;
    bool known;
    aft_learner_settings_default(&s);
    must(aft_learner_set(&s, "learner.model", "flow", &known, &e), &e);
    must(aft_learner_set(&s, "learner.weighting", "none", &known, &e), &e);
    must(aft_learner_set(&s, "policy.explore", explore, &known, &e), &e);
    for (int i = 0; i < n; i++) {
        char key[80];
        const char *equals = strchr(pairs[i], '=');
        snprintf(key, sizeof key, "%.*s", equals ? (int)(equals - pairs[i]) : 0, pairs[i]);
        must(aft_learner_set(&s, key, equals ? equals + 1 : "", &known, &e), &e);
        if (!known) {
            fprintf(stderr, "bench_loop: unknown setting %s\n", pairs[i]);
            exit(2);
        }
    }
    must(aft_learner_new(&s, &l->learner, &e), &e);
    l->scratch = aft_scratch_new();
    publish_ours(l);
}

/* ---- the other side of a pipe */
static void
print_feature(const struct aft_feature *f)
{
    if (f->type == AFT_FEATURE_TEXT)
        printf(" %.*s=%.*s", (int)f->name.n, (const char *)f->name.p, (int)f->text.n,
               (const char *)f->text.p);
    else if (f->type == AFT_FEATURE_FLAG && f->flag)
        printf(" %.*s", (int)f->name.n, (const char *)f->name.p);
}

/* Masked candidates are left out: an action's index counts those that are there. */
static void
print_event(const struct taken *t, bool label)
{
    fputs(label ? "L\nshared |u" : "P\nshared |u", stdout);
    for (uint32_t i = 0; i < VISIT_CONTEXT; i++)
        print_feature(&t->nouns.context[i]);
    putchar('\n');
    for (uint32_t i = 0; i < t->visit.candidates_n; i++) {
        const struct aft_candidate *c = &t->nouns.candidates[i];
        if (c->mask.p)
            continue;
        if (label && i == t->chosen)
            printf("0:%d:%.9g ", t->click ? -1 : 0, t->propensity);
        printf("|a arm=%.*s", (int)c->arm_id.n, (const char *)c->arm_id.p);
        for (uint32_t k = 0; k < c->features.n; k++)
            print_feature(&c->features.v[k]);
        putchar('\n');
    }
    putchar('\n');
}

static void
decide_other(struct taken *t)
{
    unsigned index = 0, eligible = 0;
    print_event(t, false);
    fflush(stdout);
    if (scanf("%u %lf", &index, &t->propensity) != 2) {
        fputs("bench_loop: the other side has gone\n", stderr);
        exit(1);
    }
    for (uint32_t i = 0; i < t->visit.candidates_n; i++)
        if (!t->nouns.candidates[i].mask.p && eligible++ == index)
            t->chosen = i;
}

/* ---- days */
/* Days since enrolment as the bucket that they fall in: the same for all who learn. */
static void
bucket_days(struct taken *t)
{
    int32_t days = t->visit.days_since_enrol;
    t->nouns.context[0] = visit_text("days", days < 7    ? "week"
                                             : days < 21 ? "three"
                                             : days < 45 ? "six"
                                                         : "later");
}

static void
take_visit(struct loop *l, const struct aft_visit *v)
{
    AFT_ASSERT(l->n < DAY_MAX);
    struct taken *t = &l->v[l->n];
    t->visit = *v;
    t->click = false;
    snprintf(t->user, sizeof t->user, "%s", v->user_id);
    snprintf(t->id, sizeof t->id, "%u", l->first + l->n);
    visit_read(&t->visit, &t->nouns);
    bucket_days(t);
    if (l->learner)
        decide_ours(l, t);
    else
        decide_other(t);
    aft_world_shown(l->world, v, t->id, &t->chosen, 1);
    l->n++;
    l->tiles++;
}

static void
take_outcome(struct loop *l, const struct aft_world_outcome *o)
{
    unsigned long number = strtoul(o->decision_id, NULL, 10);
    bool click = strcmp(o->kind, "click") == 0 && !o->retracts[0];
    if (!click || !o->decision_id[0] || number < l->first || number >= l->first + l->n)
        return;
    struct taken *t = &l->v[number - l->first];
    l->clicks += !t->click;
    t->click = true;
}

static void
run_day(struct loop *l, int64_t until_ms)
{
    struct aft_visit v;
    struct aft_world_outcome o;
    l->first += l->n;
    l->n = 0;
    while (aft_world_next_visit(l->world, until_ms, &v))
        take_visit(l, &v);
    while (aft_world_next_outcome(l->world, until_ms, &o))
        take_outcome(l, &o);
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->learner)
            learn_ours(l, &l->v[i]);
        else
            print_event(&l->v[i], true);
    }
    if (l->learner && l->n)
        publish_ours(l);
}

int
main(int argc, char **argv)
{
    static struct loop l;
    bool ours = argc >= 5 && strcmp(argv[1], "ours") == 0;
    struct aft_world_options o;
    struct aft_world_reference r;
    if (!ours && (argc != 4 || strcmp(argv[1], "pipe") != 0)) {
        fputs("usage: bench_loop ours EXPLORE SEED PARTICIPANTS [KEY=VALUE ...] | pipe SEED "
              "PARTICIPANTS\n",
              stderr);
        return 2;
    }
    aft_world_options_default(&o);
    o.seed = strtoull(argv[ours ? 3 : 2], NULL, 10);
    o.participants = (uint32_t)strtoul(argv[ours ? 4 : 3], NULL, 10);
    l.world = aft_world_new(&o);
    l.v = calloc(DAY_MAX, sizeof *l.v);
    AFT_ASSERT(l.v);
    if (ours)
        set_up_ours(&l, argv[2], argv + 5, argc - 5);
    for (int64_t t = o.start_ms; t < aft_world_end_ms(l.world); t += AFT_WORLD_DAY_MS)
        run_day(&l, t + AFT_WORLD_DAY_MS);
    aft_world_reference(l.world, &r);
    printf("%s%llu %llu %.6f %.6f\n", ours ? "" : "E ", (unsigned long long)l.clicks,
           (unsigned long long)l.tiles, r.best_ctr, r.uniform_ctr);
    aft_learner_free(l.learner);
    aft_model_free(l.model);
    if (l.scratch)
        aft_scratch_free(l.scratch);
    aft_world_free(l.world);
    free(l.v);
    return 0;
}
