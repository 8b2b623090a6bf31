/* truth.h - what a reader of the examples must see of a world (tests/world.h): the joiner over the whole logs, and the ticks that
 * count. For tests of tasks.
 */
#ifndef AFT_TESTS_TRUTH_H
#define AFT_TESTS_TRUTH_H

#include "tests/world.h"

#include "attribution/attribution.h"

/* ---- the truth: the joiner over the whole logs */
struct ticks {
    int64_t epoch;
    struct aft_clock_record v[4096];
    int64_t offset[4096];
    size_t n, stale;
};

static inline void
tick_in(void *ctx, const struct aft_record_in *in)
{
    struct ticks *t = ctx;
    struct aft_clock_record r;
    WORLD_OK(aft_decode_clock(world_body(in), &r, &world_error));
    if (r.kind == AFT_CLOCK_EPOCH) {
        t->epoch = in->offset;
    } else if (r.epoch == t->epoch) {
        assert_true(t->n < 4096);
        t->v[t->n++] = r;
    } else {
        t->stale++;
    }
}

struct truth {
    struct aft_joiner *joiner;
    enum aft_log_kind log;
    struct world_examples *out;
    int64_t dead, taken, next;
};

static inline enum aft_err
truth_example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
              struct aft_error *e)
{
    struct truth *t = ctx;
    (void)hash, (void)e;
    assert_int_equal(seq, t->out->n);
    world_example_add(t->out, body);
    return AFT_OK;
}

static inline void
truth_record(void *ctx, const struct aft_record_in *r)
{
    struct truth *t = ctx;
    struct aft_frame frame = {0};
    struct aft_error why;
    enum aft_err err = r->value.p ? aft_frame_parse(r->value, &frame, &why) : AFT_OK;
    if (err == AFT_OK && r->value.p && frame.body.n < 12)
        err = AFT_E_MALFORMED; /* the torn ones of world_happen */
    if (err == AFT_OK)
        err = aft_joiner_take(t->joiner, t->log, r->offset, r->timestamp_ms, r->key, frame.body,
                              &why);
    t->dead += err != AFT_OK;
    t->taken++;
    t->next = r->offset + 1;
    aft_joiner_reached(t->joiner, t->log, t->next);
}

struct truth_result {
    struct world_examples examples;
    struct aft_join_counts counts;
    struct aft_digest digest;
    int64_t dead;
    size_t ticks, stale_ticks;
};

static inline void
truth_of(struct world *w, int32_t partition, struct truth_result *out)
{
    static struct ticks ticks;
    struct aft_store *store = aft_store_mem_new();
    struct truth t = {.out = &out->examples};
    struct aft_join_identity id = {aft_config_text(w->config, "app.id"), partition};
    struct aft_join_out sink = {&t, truth_example};
    *out = (struct truth_result){0};
    memset(&ticks, 0, sizeof ticks);
    ticks.epoch = -1;
    world_each(w, "topics.clock", partition, tick_in, &ticks);
    WORLD_OK(
        aft_joiner_open(aft_config_join(w->config), &id, store, &sink, &t.joiner, &world_error));
    for (size_t i = 0; i < ticks.n; i++)
        aft_joiner_tick(t.joiner, ticks.v[i].log, ticks.v[i].at_offset, ticks.v[i].watermark_ms);
    world_each(w, "topics.impressions", partition, truth_record, &t);
    t.log = AFT_OUTCOMES;
    world_each(w, "topics.outcomes", partition, truth_record, &t);
    WORLD_OK(aft_joiner_run(t.joiner, &world_error));
    aft_joiner_counts(t.joiner, &out->counts);
    aft_joiner_digest(t.joiner, &out->digest);
    out->dead = t.dead;
    out->ticks = ticks.n;
    out->stale_ticks = ticks.stale;
    aft_joiner_close(t.joiner);
    store->ops->close(store);
}

static inline void
truth_free(struct truth_result *t)
{
    world_examples_free(&t->examples);
}

/* got must be the first of the truth; where whole is asked for, all of it. */
static inline void
compare(const struct world_examples *got, const struct world_examples *want, bool whole)
{
    if (whole ? got->n != want->n : got->n > want->n)
        fail_msg("%llu examples, the truth has %llu", (unsigned long long)got->n,
                 (unsigned long long)want->n);
    for (uint64_t i = 0; i < got->n; i++)
        if (!aft_same(world_example(got, i), world_example(want, i)))
            fail_msg("example %llu is not the truth", (unsigned long long)i);
}

#endif
