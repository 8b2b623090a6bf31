/* demo_report.c - what came out of a demo: text for people, or one JSON object; and what must hold, checked. */
#include <stdio.h>
#include <string.h>

#include "cmd/demo.h"

struct uplifts {
    struct aft_ratio ctr[DEMO_POLICIES], value[DEMO_POLICIES];
    struct aft_interval of_ctr, of_value;
    bool known;
};

void
demo_counts_add(struct aft_join_counts *to, const struct aft_join_counts *from)
{
#define X(n) to->fates.n += from->fates.n;
    AFT_FATES(X)
#undef X
#define X(n) to->counts.n += from->counts.n;
    AFT_COUNTS(X)
#undef X
    to->impressions += from->impressions;
    to->outcomes += from->outcomes;
    to->future += from->future;
    to->late += from->late;
    to->open += from->open;
    to->examples += from->examples;
}

static void
uplifts_of(const struct demo_result *r, struct uplifts *u)
{
    memset(u, 0, sizeof *u);
    demo_examples_ratios(r->examples, u->ctr, u->value);
    bool ctr = aft_uplift(&u->ctr[DEMO_PERSONALISED], &u->ctr[DEMO_BASELINE], AFT_Z_95, &u->of_ctr);
    bool value =
        aft_uplift(&u->value[DEMO_PERSONALISED], &u->value[DEMO_BASELINE], AFT_Z_95, &u->of_value);
    u->known = ctr && value;
}

/* ---- what must hold; each failure is a line */
static int
holds(bool ok, const char *what, int64_t a, int64_t b)
{
    if (!ok)
        fprintf(stderr, "aftertouch demo: %s: %lld and %lld\n", what, (long long)a, (long long)b);
    return ok ? 0 : 1;
}

static int
checks(const struct demo_result *r)
{
    const struct aft_join_counts *j = &r->join;
    int64_t fates = aft_join_accounted(j), settled = (int64_t)demo_examples_settled(r->examples);
    int bad = holds(fates == j->outcomes, "outcomes with a fate, and outcomes joined, differ",
                    fates, j->outcomes);
    bad |= holds(r->dead_letters == 0, "dead letters, where none should be",
                 (int64_t)r->dead_letters, 0);
    bad |= holds(j->impressions == (int64_t)r->live.visits,
                 "impressions joined, and impressions logged, differ", j->impressions,
                 (int64_t)r->live.visits);
    bad |= holds(settled == j->impressions, "examples settled, and impressions joined, differ",
                 settled, j->impressions);
    return bad;
}

/* ---- text */
static void
print_uplift(const char *what, const struct aft_interval *x, const char *unit, double a, double b)
{
    printf("  %-6s %+7.1f %%   [%+.1f %%, %+.1f %%]     personalised %.4g%s, baseline %.4g%s\n",
           what, 100 * x->estimate, 100 * x->low, 100 * x->high, a, unit, b, unit);
}

static void
print_uplifts(const struct demo_result *r, const struct uplifts *u)
{
    printf(
        "Uplift of the personalised policy over the randomised baseline (95 %% intervals, users as "
        "clusters: %llu and %llu)\n",
        (unsigned long long)u->ctr[DEMO_PERSONALISED].users,
        (unsigned long long)u->ctr[DEMO_BASELINE].users);
    if (!u->known) {
        printf("  cannot be said: too few users; run longer (--seconds)\n\n");
        return;
    }
    print_uplift("CTR", &u->of_ctr, " %", 100 * aft_ratio_value(&u->ctr[DEMO_PERSONALISED]),
                 100 * aft_ratio_value(&u->ctr[DEMO_BASELINE]));
    print_uplift("value", &u->of_value, "", aft_ratio_value(&u->value[DEMO_PERSONALISED]),
                 aft_ratio_value(&u->value[DEMO_BASELINE]));
    printf(
        "  for reference, by the world's truth: CTR uniform %.2f %%, best possible %.2f %%; value "
        "uniform %.4f, best possible %.4f\n\n",
        100 * r->reference.uniform_ctr, 100 * r->reference.best_ctr, r->reference.uniform_value,
        r->reference.best_value);
}

static double
share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void
print_messages(const struct demo_result *r)
{
    const struct demo_sums *all[DEMO_POLICIES];
    for (int p = 0; p < DEMO_POLICIES; p++)
        all[p] = demo_examples_of(r->examples, p);
    printf("%-20s %22s %20s %22s\n", "", "tiles (share)", "CTR %", "value per 100 tiles");
    printf("%-20s %13s %8s %11s %8s %13s %8s\n", "message", "personalised", "base", "personalised",
           "base", "personalised", "base");
    for (uint32_t i = 0; i < AFT_WORLD_MESSAGES; i++) {
        const struct demo_sums *a = demo_examples_message(r->examples, DEMO_PERSONALISED, i);
        const struct demo_sums *b = demo_examples_message(r->examples, DEMO_BASELINE, i);
        printf("%-20s %6llu %4.1f %% %4.1f %% %11.2f %9.2f %13.2f %8.2f\n", aft_world_message(i),
               (unsigned long long)a->tiles,
               share((double)a->tiles, (double)all[DEMO_PERSONALISED]->tiles),
               share((double)b->tiles, (double)all[DEMO_BASELINE]->tiles),
               share(a->clicks, (double)a->tiles), share(b->clicks, (double)b->tiles),
               share(a->value, (double)a->tiles), share(b->value, (double)b->tiles));
    }
    printf("\n");
}

static void
print_fates(const struct demo_result *r)
{
    const struct aft_join_counts *j = &r->join;
    printf("Fates of %lld outcomes\n ", (long long)j->outcomes);
#define X(n)        \
    if (j->fates.n) \
        printf(" %s %lld", #n, (long long)j->fates.n);
    AFT_FATES(X)
#undef X
    printf(" waiting %lld\n  conserved: %s\n\n", (long long)j->counts.waiting,
           aft_join_accounted(j) == j->outcomes ? "yes, every outcome has exactly one fate" : "NO");
}

static void
print_digests(const struct demo_result *r)
{
    printf("Digests\n  model    %s  (round %lld, %llu snapshots)\n", r->model, (long long)r->round,
           (unsigned long long)r->snapshots);
    for (int32_t p = 0; p < r->partitions; p++) {
        struct aft_hash128 h = demo_examples_hash(r->examples, p);
        char state[65];
        aft_hex(r->state[p].b, sizeof r->state[p].b, state);
        printf("  examples %016llx%016llx  partition %d, %llu examples; state %.16s...\n",
               (unsigned long long)h.high, (unsigned long long)h.low, p,
               (unsigned long long)demo_examples_seq(r->examples, p), state);
    }
}

static void
print_text(const struct demo_result *r, const struct uplifts *u)
{
    printf("%u participants, %lld simulated days, %llu impressions, %llu outcomes, in %.1f s\n\n",
           r->participants, (long long)r->simulated_days, (unsigned long long)r->live.visits,
           (unsigned long long)r->live.outcomes, r->elapsed_s);
    print_uplifts(r, u);
    print_messages(r);
    print_fates(r);
    print_digests(r);
    if (r->o->keep)
        printf("\nState and topics are kept in %s\n", r->o->directory);
}

/* ---- JSON; every string in it is ours and needs no escaping, but the directory is left out for that */
static void
json_interval(const char *name, const struct aft_interval *x, const char *after)
{
    printf("\"%s\": {\"estimate\": %.6f, \"low\": %.6f, \"high\": %.6f}%s", name, x->estimate,
           x->low, x->high, after);
}

static void
json_policy(const struct demo_result *r, int p, const char *after)
{
    const struct demo_sums *s = demo_examples_of(r->examples, p);
    printf("\"%s\": {\"decisions\": %llu, \"tiles\": %llu, \"clicks\": %.0f, \"views\": %.0f, "
           "\"tasks\": "
           "%.6f, \"value\": %.6f}%s",
           demo_policy_names[p], (unsigned long long)s->decisions, (unsigned long long)s->tiles,
           s->clicks, s->views, s->tasks, s->value, after);
}

static void
json_counts(const struct demo_result *r)
{
    const char *comma = "";
    printf("\"fates\": {");
#define X(n)                                                         \
    printf("%s\"%s\": %lld", comma, #n, (long long)r->join.fates.n); \
    comma = ", ";
    AFT_FATES(X)
#undef X
    printf("}, \"counts\": {");
    comma = "";
#define X(n)                                                          \
    printf("%s\"%s\": %lld", comma, #n, (long long)r->join.counts.n); \
    comma = ", ";
    AFT_COUNTS(X)
#undef X
    printf("}, \"impressions\": %lld, \"outcomes\": %lld, \"conserved\": %s, ",
           (long long)r->join.impressions, (long long)r->join.outcomes,
           aft_join_accounted(&r->join) == r->join.outcomes ? "true" : "false");
}

static void
json_messages(const struct demo_result *r)
{
    printf("\"messages\": [");
    for (uint32_t i = 0; i < AFT_WORLD_MESSAGES; i++) {
        printf("%s{\"id\": \"%s\"", i ? ", " : "", aft_world_message(i));
        for (int p = 0; p < DEMO_POLICIES; p++) {
            const struct demo_sums *s = demo_examples_message(r->examples, p, i);
            printf(", \"%s\": {\"tiles\": %llu, \"clicks\": %.0f, \"value\": %.6f}",
                   demo_policy_names[p], (unsigned long long)s->tiles, s->clicks, s->value);
        }
        printf("}");
    }
    printf("], ");
}

static void
json_digests(const struct demo_result *r)
{
    struct aft_digester d;
    struct aft_digest all;
    char hex[65];
    aft_digester_init(&d);
    aft_digester_update(&d, aft_text(r->model));
    printf("\"model\": \"%s\", \"partitions\": [", r->model);
    for (int32_t p = 0; p < r->partitions; p++) {
        struct aft_hash128 h = demo_examples_hash(r->examples, p);
        uint8_t bytes[24];
        aft_store_be64(bytes, h.high);
        aft_store_be64(bytes + 8, h.low);
        aft_store_be64(bytes + 16, demo_examples_seq(r->examples, p));
        aft_digester_update(&d, (struct aft_bytes){bytes, sizeof bytes});
        aft_digester_update(&d, (struct aft_bytes){r->state[p].b, sizeof r->state[p].b});
        aft_hex(r->state[p].b, sizeof r->state[p].b, hex);
        printf("%s{\"examples\": %llu, \"hash\": \"%016llx%016llx\", \"state\": \"%s\"}",
               p ? ", " : "", (unsigned long long)demo_examples_seq(r->examples, p),
               (unsigned long long)h.high, (unsigned long long)h.low, hex);
    }
    aft_digester_final(&d, &all);
    aft_hex(all.b, sizeof all.b, hex);
    printf("], \"digest\": \"%s\"", hex);
}

static void
print_json(const struct demo_result *r, const struct uplifts *u)
{
    printf("{");
    if (u->known) {
        printf("\"uplift\": {");
        json_interval("ctr", &u->of_ctr, ", ");
        json_interval("value", &u->of_value, "}, ");
    } else {
        printf("\"uplift\": null, ");
    }
    printf("\"policies\": {");
    json_policy(r, DEMO_PERSONALISED, ", ");
    json_policy(r, DEMO_BASELINE, "}, ");
    printf("\"reference\": {\"uniform_ctr\": %.6f, \"best_ctr\": %.6f, \"uniform_value\": %.6f, "
           "\"best_value\": %.6f}, ",
           r->reference.uniform_ctr, r->reference.best_ctr, r->reference.uniform_value,
           r->reference.best_value);
    json_counts(r);
    json_messages(r);
    printf("\"participants\": %u, \"simulated_days\": %lld, \"seed\": %llu, \"rounds\": %lld, "
           "\"snapshots\": "
           "%llu, ",
           r->participants, (long long)r->simulated_days, (unsigned long long)r->o->seed,
           (long long)r->round, (unsigned long long)r->snapshots);
    json_digests(r);
    printf(", \"elapsed_s\": %.1f}\n",
           r->elapsed_s); /* the one field that is not a function of the seed */
}

int
demo_report(const struct demo_result *r)
{
    struct uplifts u;
    uplifts_of(r, &u);
    if (r->o->json)
        print_json(r, &u);
    else
        print_text(r, &u);
    return checks(r);
}
