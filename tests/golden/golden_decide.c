/* golden_decide.c - every logged decision, decided again from the snapshot that it names: the same slate, the same bits.
 *
 *   golden_decide SNAPSHOTS IMPRESSIONS      files of records as they stand in the topics: length (le32), value
 *
 * The model is put together from the snapshots' records alone, the request from the impression's: its context, its candidates with
 * features and masks, its key and slots. Then slots, propensities, marginals and log-weights must be what was logged, bit for bit.
 * Prints {"agree", "differ", "unknown", "uniform", "snapshots"} as JSON (unknown: it names a snapshot that is not among the
 * records; uniform: it names none, and was decided so). Exit 0 only if none differ and none are unknown. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"

enum { MODELS_MAX = 4096 };
static struct aft_model *models[MODELS_MAX];
static uint32_t models_n;
static struct aft_error error;

static struct aft_bytes
read_all(const char *path, struct aft_buffer *out)
{
    char piece[1 << 16];
    FILE *f = fopen(path, "rb");
    AFT_ASSERT(f);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        aft_put_raw(out, (struct aft_bytes){(const uint8_t *)piece, n});
    fclose(f);
    return aft_buffer_bytes(out);
}

/* The next record's body; false: there is none. */
static bool
next(struct aft_bytes *left, struct aft_bytes *body)
{
    struct aft_frame frame;
    if (left->n < 4)
        return false;
    size_t n = aft_load_le32(left->p);
    AFT_ASSERT(n <= left->n - 4);
    struct aft_bytes value = {left->p + 4, n};
    left->p += 4 + n, left->n -= 4 + n;
    AFT_ASSERT(aft_frame_parse(value, &frame, &error) == AFT_OK);
    *body = frame.body;
    return true;
}

static void
load_models(struct aft_bytes records)
{
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    for (struct aft_bytes body; next(&records, &body);) {
        bool whole = false;
        if (aft_snapshot_set_add(set, body, &whole, &error) != AFT_OK || !whole)
            continue; /* a torn set, where the service was killed */
        AFT_ASSERT(models_n < MODELS_MAX);
        AFT_ASSERT(aft_model_load(set, &models[models_n], &error) == AFT_OK);
        models_n++;
    }
    aft_snapshot_set_free(set);
}

static const struct aft_model *
model_of(const struct aft_impression *x)
{
    if (!x->snapshot.p)
        return models[MODELS_MAX - 1];
    for (uint32_t i = 0; i < models_n; i++)
        if (aft_same(aft_model_snapshot_id(models[i]), x->snapshot))
            return models[i];
    return NULL;
}

static bool
same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool
same(const struct aft_impression *x, const struct aft_decision *d)
{
    bool good = x->slate_n == d->n && x->propensity_kind == d->propensity_kind &&
                aft_same(x->design.kind, d->design.kind) &&
                same_bits(x->design.epsilon, d->design.epsilon) &&
                same_bits(x->design.temperature, d->design.temperature);
    for (uint32_t i = 0; good && i < d->n; i++) {
        const struct aft_shown *a = &x->slate[i];
        const struct aft_slot *b = &d->slots[i];
        good = aft_same(a->arm_id, x->candidates[b->candidate].arm_id) &&
               same_bits(a->propensity, b->propensity) && a->has_marginal == b->has_marginal &&
               (!a->has_marginal || same_bits(a->marginal, b->marginal));
    }
    for (uint32_t i = 0; good && i < x->candidates_n; i++) {
        const struct aft_candidate *a = &x->candidates[i];
        good = a->has_log_weight == (bool)isfinite(d->log_weights[i]) &&
               (!a->has_log_weight ||
                memcmp(&a->log_weight, &d->log_weights[i], sizeof a->log_weight) == 0);
    }
    return good;
}

static bool
decided_again(const struct aft_model *m, struct aft_scratch *scratch,
              const struct aft_impression *x)
{
    struct aft_decision d;
    struct aft_request r = {.context = x->context,
                            .candidates = x->candidates,
                            .candidates_n = x->candidates_n,
                            .k = (uint32_t)x->design.k,
                            .key = x->design.key,
                            .baseline = aft_same(x->policy, AFT_LITERAL("baseline"))};
    return x->has_design && aft_decide(m, scratch, &r, &d, &error) == AFT_OK && same(x, &d);
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: golden_decide SNAPSHOTS IMPRESSIONS\n");
        return 2;
    }
    struct aft_buffer snapshots = {0}, impressions = {0};
    load_models(read_all(argv[1], &snapshots));
    struct aft_bytes left = read_all(argv[2], &impressions), body;
    struct aft_scratch *scratch = aft_scratch_new();
    struct aft_arena arena;
    struct aft_impression x;
    long agree = 0, differ = 0, unknown = 0, uniform = 0;
    aft_arena_init(&arena, 16 << 20);
    models[MODELS_MAX - 1] = aft_model_uniform();
    while (next(&left, &body)) {
        aft_arena_reset(&arena);
        AFT_ASSERT(aft_decode_impression(body, &arena, &x, &error) == AFT_OK);
        const struct aft_model *m = model_of(&x);
        bool good = m && decided_again(m, scratch, &x);
        agree += good;
        differ += m && !good;
        unknown += !m;
        uniform += !x.snapshot.p;
        if (m && !good && differ <= 5)
            fprintf(stderr, "decision %.*s differs\n", (int)x.decision_id.n,
                    (const char *)x.decision_id.p);
    }
    printf("{\"agree\": %ld, \"differ\": %ld, \"unknown\": %ld, \"uniform\": %ld, \"snapshots\": "
           "%u}\n",
           agree, differ, unknown, uniform, models_n);
    for (uint32_t i = 0; i < models_n; i++)
        aft_model_free(models[i]);
    aft_model_free(models[MODELS_MAX - 1]);
    aft_scratch_free(scratch);
    aft_arena_deinit(&arena);
    aft_buffer_deinit(&snapshots);
    aft_buffer_deinit(&impressions);
    return differ || unknown || agree == 0;
}
