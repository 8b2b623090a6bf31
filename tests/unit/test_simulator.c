/* The simulated world: the same seed gives the same world however it is sliced; its figures leave a policy real room; its outcomes
 * come in order of delivery and are what the documentation says. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "evaluate/evaluate.h"

#define HOUR_MS INT64_C(3600000)

struct tally {
    uint64_t visits, tiles, clicks, views, tasks, retractions, duplicates, late;
    int64_t longest_ms;
    struct aft_hash128 hash;
};

static void
mix(struct tally *t, const void *p, size_t n)
{
    t->hash = aft_hash128((struct aft_bytes){p, n}, t->hash);
}

/* Shows k of the eligible, drawn uniformly: a function of the visit alone. */
static uint32_t
choose(const struct aft_visit *v, uint32_t *slate)
{
    uint32_t eligible[AFT_WORLD_MESSAGES], n = 0, k = 0;
    struct aft_random r;
    aft_random_init(&r, v->participant, v->number);
    for (uint32_t i = 0; i < v->candidates_n; i++)
        if (!v->candidates[i].mask)
            eligible[n++] = i;
    while (k < v->k && n) {
        uint32_t j = aft_random_below(&r, n);
        slate[k++] = eligible[j];
        eligible[j] = eligible[--n];
    }
    return k;
}

static void
visits(struct aft_world *w, int64_t before_ms, struct tally *t)
{
    struct aft_visit v;
    while (aft_world_next_visit(w, before_ms, &v)) {
        uint32_t slate[8], n = choose(&v, slate);
        char id[40];
        snprintf(id, sizeof id, "d-%u-%u", v.participant, v.number);
        assert_true(v.time_ms < before_ms);
        assert_int_equal(v.k, v.device[0] == 'w' ? 3 : 2);
        assert_in_range(v.days_since_enrol, 0, AFT_WORLD_ONBOARDING_DAYS - 1);
        aft_world_shown(w, &v, id, slate, n);
        t->visits++;
        t->tiles += n;
    }
}

static void
outcomes(struct aft_world *w, int64_t before_ms, struct tally *t)
{
    struct aft_world_outcome o;
    int64_t last_ms = 0, newest_ms = 0;
    while (aft_world_next_outcome(w, before_ms, &o)) {
        assert_true(o.delivered_ms >= last_ms && o.delivered_ms >= o.time_ms);
        last_ms = o.delivered_ms;
        t->late += o.time_ms < newest_ms - 10000;
        newest_ms = o.time_ms > newest_ms ? o.time_ms : newest_ms;
        bool task = strcmp(o.kind, "key_task_completed") == 0;
        assert_true(task ? o.subject && !o.decision_id[0] : o.arm_id && o.decision_id[0]);
        if (o.retracts[0])
            t->retractions++;
        else if (task)
            t->tasks++;
        else if (strcmp(o.kind, "click") == 0)
            t->clicks++;
        else
            t->views++;
        mix(t, o.outcome_id, strlen(o.outcome_id));
        mix(t, &o.time_ms, sizeof o.time_ms);
        mix(t, &o.delivered_ms, sizeof o.delivered_ms);
    }
}

static struct tally
run(uint64_t seed, uint32_t participants, int64_t slice_ms, struct aft_world_reference *ref)
{
    struct aft_world_options o;
    struct tally t = {0};
    aft_world_options_default(&o);
    o.seed = seed;
    o.participants = participants;
    struct aft_world *w = aft_world_new(&o);
    int64_t end_ms = aft_world_end_ms(w) + 40 * AFT_WORLD_DAY_MS;
    for (int64_t now = o.start_ms; now < end_ms; now += slice_ms) {
        visits(w, now, &t);
        outcomes(w, now, &t);
    }
    aft_world_reference(w, ref);
    aft_world_free(w);
    return t;
}

static void
the_seed_is_the_world(void **state)
{
    (void)state;
    struct aft_world_reference ref;
    uint64_t seed = kit_seed(5);
    struct tally a = run(seed, 150, HOUR_MS, &ref), b = run(seed, 150, HOUR_MS, &ref);
    struct tally sliced = run(seed, 150, 24 * HOUR_MS, &ref),
                 other = run(seed + 1, 150, HOUR_MS, &ref);
    assert_memory_equal(&a.hash, &b.hash, sizeof a.hash);
    assert_memory_equal(&a.hash, &sliced.hash, sizeof a.hash);
    assert_memory_not_equal(&a.hash, &other.hash, sizeof a.hash);
}

static void
a_policy_has_room(void **state)
{
    (void)state;
    struct aft_world_reference ref;
    struct tally t = run(kit_seed(6), 1200, 6 * HOUR_MS, &ref);
    double ctr = (double)t.clicks / (double)t.tiles;
    printf("visits %llu tiles %llu clicks %llu views %llu tasks %llu taken back %llu\n",
           (unsigned long long)t.visits, (unsigned long long)t.tiles, (unsigned long long)t.clicks,
           (unsigned long long)t.views, (unsigned long long)t.tasks,
           (unsigned long long)t.retractions);
    printf("ctr %.4f, expected %.4f, best %.4f; value %.4f, best %.4f\n", ctr, ref.uniform_ctr,
           ref.best_ctr, ref.uniform_value, ref.best_value);
    /* what was drawn agrees with what the truth says (duplicates: 1 %); five standard errors */
    double se = sqrt(ref.uniform_ctr / (double)t.tiles);
    assert_true(fabs(ctr - 1.01 * ref.uniform_ctr) < 5 * se);
    assert_true(ref.uniform_ctr > 0.045 && ref.uniform_ctr < 0.07);
    assert_true(ref.best_ctr > 0.11 && ref.best_ctr < 0.17);
    assert_true(ref.best_value > 2 * ref.uniform_value);
    assert_true(t.tasks > 500 && t.retractions > 0 && t.late > 0);
    assert_int_equal(ref.visits, t.visits);
    assert_int_equal(ref.tiles, t.tiles);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_is_the_world),
        cmocka_unit_test(a_policy_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
