/* bench_snapshot.c - how long after its last record a snapshot can serve: aft_snapshot_set_add of the manifest and aft_model_load; for a
 * model of the default size (2^18 weights) and a small one, full and delta. A JSON line each: p50 and worst of some rounds, in ms.
 *
 * usage: bench_snapshot [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), fputs("\n", stderr), abort())

#include "tests/learn_kit.h"

enum { RECORDS_MAX = 64, ROUNDS_MAX = 1000 };

static double
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* one thread that never waits */
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct records {
    struct aft_buffer body[RECORDS_MAX];
    uint32_t n;
    size_t bytes;
};

static enum aft_err
collect(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct records *r = ctx;
    (void)key;
    if (r->n == RECORDS_MAX)
        return AFT_FAIL(e, AFT_E_FAILED, "too many records");
    aft_buffer_reset(&r->body[r->n]);
    aft_put_raw(&r->body[r->n++], body);
    r->bytes += body.n;
    return AFT_OK;
}

/* Arms `first` and so on, in a context of `columns` flags. */
static void
learn(struct aft_learner *l, uint32_t first, uint32_t arms, uint32_t columns)
{
    static struct aft_feature context[512];
    static char names[512][16];
    struct aft_error e;
    for (uint32_t i = 0; i < columns; i++) {
        snprintf(names[i], sizeof names[i], "f%u", i);
        context[i] = (struct aft_feature){
            .name = aft_text(names[i]), .type = AFT_FEATURE_FLAG, .flag = true};
    }
    for (uint32_t i = 0; i < arms; i++) {
        char id[16];
        snprintf(id, sizeof id, "arm-%u", first + i);
        struct aft_example_item item = {
            .arm_id = aft_text(id), .propensity = 0.5, .reward_micro = i % 2 ? AFT_MICRO : 0};
        struct aft_example x = {.phase = AFT_OPEN,
                                .decision_id = AFT_LITERAL("d"),
                                .user_id = AFT_LITERAL("u"),
                                .policy = AFT_LITERAL("p"),
                                .context = {context, columns},
                                .items = &item,
                                .items_n = 1};
        if (aft_learner_learn(l, &x, &e) != AFT_OK)
            fail_msg("%s", e.message);
    }
}

/* Publishes, hands all records but the last to the set, and times the last and the model. */
static double
one(struct aft_learner *l, struct aft_snapshot_set *set, const struct aft_publish_spec *spec,
    struct records *r)
{
    struct aft_error e;
    struct aft_model *m;
    bool whole = false;
    r->n = 0;
    r->bytes = 0;
    if (aft_learner_publish(l, spec, collect, r, &e) != AFT_OK)
        fail_msg("%s", e.message);
    for (uint32_t i = 0; i + 1 < r->n; i++)
        if (aft_snapshot_set_add(set, aft_buffer_bytes(&r->body[i]), &whole, &e) != AFT_OK)
            fail_msg("%s", e.message);
    double began = now_ms();
    if (aft_snapshot_set_add(set, aft_buffer_bytes(&r->body[r->n - 1]), &whole, &e) != AFT_OK ||
        !whole || aft_model_load(set, &m, &e) != AFT_OK)
        fail_msg("%s", e.message);
    double took = now_ms() - began;
    aft_model_free(m);
    return took;
}

static int
ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void
measure(const char *size, uint32_t arms, uint32_t columns, int rounds)
{
    static struct records r;
    static double took[2][ROUNDS_MAX];
    struct aft_learner_settings s;
    struct aft_publish_spec spec = {.model = AFT_LITERAL("m")};
    size_t bytes[2] = {0, 0};
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", "flow");
    struct aft_learner *l = kit_learner(&s);
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    aft_snapshot_set_weights_only(set);
    learn(l, 0, arms, columns);
    for (int i = 0; i < rounds; i++)
        for (int delta = 0; delta < 2; delta++) {
            spec.round++;
            spec.kind = delta ? AFT_SNAPSHOT_DELTA : AFT_SNAPSHOT_FULL;
            learn(l, (uint32_t)i * 7 % arms, 1, columns);
            took[delta][i] = one(l, set, &spec, &r);
            bytes[delta] = r.bytes;
        }
    for (int delta = 0; delta < 2; delta++) {
        qsort(took[delta], (size_t)rounds, sizeof(double), ascending);
        printf("{\"bench\": \"snapshot\", \"model\": \"%s\", \"kind\": \"%s\", \"bytes\": %zu, "
               "\"p50_ms\": %.3f, \"worst_ms\": %.3f}\n",
               size, delta ? "delta" : "full", bytes[delta], took[delta][rounds / 2],
               took[delta][rounds - 1]);
    }
    for (int i = 0; i < RECORDS_MAX; i++) {
        aft_buffer_deinit(&r.body[i]);
        r.body[i] = (struct aft_buffer){0};
    }
    aft_snapshot_set_free(set);
    aft_learner_free(l);
}

int
main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 30;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    measure("50 arms", 50, 60, rounds);
    measure("2^18 weights", 3500, 70, rounds);
    return 0;
}
