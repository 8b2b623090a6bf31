/* test_replay.c - replays over a log in memory: what tasks and a learner published is computed again to the byte; what was
 * changed or lost in
 * a copy of the topics is found, with its place; a state that a replay leaves is one that a task goes on from.
 */
#include "tests/life.h"

#include <unistd.h>

#include "attribution/attribution.h"

static const char *const keys[] = {"topics.impressions", "topics.outcomes",     "topics.clock",
                                   "topics.examples",    "topics.dead.letters", "topics.rounds",
                                   "topics.snapshots"};

/* ---- a copy of its topics in which something is changed */
typedef bool (*change)(void *ctx, const char *key, int32_t partition, const struct aft_record_in *r,
                       struct aft_buffer *value); /* false: leave the record out */

struct copy {
    struct aft_memory_broker *broker;
    struct aft_log *log;
    struct world *w;
    const char *key;
    int32_t partition;
    change change;
    void *ctx;
};

static void
copy_record(void *ctx, const struct aft_record_in *r)
{
    struct copy *c = ctx;
    struct aft_buffer value = {0};
    aft_put_raw(&value, r->value);
    if (!c->change || c->change(c->ctx, c->key, c->partition, r, &value)) {
        struct aft_append a = {.topic = aft_config_text(c->w->config, c->key),
                               .partition = c->partition,
                               .timestamp_ms = r->timestamp_ms,
                               .key = r->key,
                               .value = r->value.p ? aft_buffer_bytes(&value) : AFT_ABSENT};
        WORLD_OK(c->log->ops->append(c->log, &a, &world_error));
        c->log->ops->poll(c->log, 0);
    }
    aft_buffer_deinit(&value);
}

static void
copy_open(struct copy *c, struct world *w, change how, void *ctx)
{
    *c = (struct copy){.w = w, .change = how, .ctx = ctx};
    c->broker = aft_memory_broker_new(world_clock(w));
    c->log = aft_log_memory(c->broker);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct aft_topic_facts f;
        c->key = keys[i];
        const char *topic = aft_config_text(w->config, c->key);
        WORLD_OK(w->log->ops->topic_facts(w->log, topic, &f, &world_error));
        struct aft_topic_spec spec = {
            .name = topic, .partitions = f.partitions, .retention_ms = -1};
        WORLD_OK(c->log->ops->topic_create(c->log, &spec, &world_error));
        for (c->partition = 0; c->partition < f.partitions; c->partition++)
            world_each(w, c->key, c->partition, copy_record, c);
    }
}

static void
copy_close(struct copy *c)
{
    c->log->ops->close(c->log);
    aft_memory_broker_free(c->broker);
}

static struct aft_replay_options
options(struct world *w, struct aft_log *log)
{
    return (struct aft_replay_options){.config = w->config,
                                       .log = log,
                                       .clock = world_clock(w),
                                       .from_ms = INT64_MIN,
                                       .until_ms = INT64_MAX,
                                       .verify = true};
}

static enum aft_err
replay_changed(struct life *x, change how, void *ctx, struct aft_replay_result *out,
               struct aft_error *e)
{
    struct copy c;
    copy_open(&c, &x->w, how, ctx);
    struct aft_replay_options o = options(&x->w, c.log);
    enum aft_err err = aft_replay(&o, out, e);
    free(out->parts);
    copy_close(&c);
    return err;
}

/* ---- the cases */
static int64_t
held(struct world *w, const char *key, int32_t partition)
{
    int64_t begin, end;
    WORLD_OK(w->log->ops->range(w->log, aft_config_text(w->config, key), partition, &begin, &end,
                                &world_error));
    return end;
}

static void
undisturbed(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    int64_t before = 0, after = 0;
    life_open(&x, kit_seed(3));
    life_live(&x, 1500, 400);
    life_end(&x);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        before += held(&x.w, keys[i], 0);
    struct aft_replay_options o = options(&x.w, x.w.log);
    WORLD_OK(aft_replay(&o, &r, &world_error));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        after += held(&x.w, keys[i], 0);
    assert_int_equal(before, after); /* muted */
    assert_int_equal(r.parts_n, PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        struct world_examples got;
        world_examples_read(&x.w, p, &got);
        assert_int_equal(r.parts[p].compared, got.n);
        assert_int_equal(r.parts[p].examples, got.n);
        assert_int_equal(r.parts[p].records, r.parts[p].records_n);
        assert_memory_equal(&r.parts[p].state, &x.state[p], sizeof x.state[p]);
        world_examples_free(&got);
    }
    assert_true(r.model && !r.diverged);
    assert_memory_equal(&r.model_digest, &x.model, sizeof x.model);
    assert_true(r.rounds > 5 && r.rounds == r.rounds_n);
    assert_true(r.snapshots_compared > 3 && r.snapshots_compared == r.snapshots_published);
    free(r.parts);
    life_close(&x);
}

/* While it is read, the topics go on. */
static void
from_one_that_runs(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    life_open(&x, kit_seed(4));
    for (int i = 0; i < 40; i++) {
        life_live(&x, 40, (int)aft_random_below(&x.w.r, 30));
        struct aft_replay_options o = options(&x.w, x.w.log);
        WORLD_OK(aft_replay(&o, &r, &world_error));
        free(r.parts);
    }
    life_close(&x);
}

/* One byte of one example: the place is named. */
struct spoil {
    int64_t offset;
    uint64_t seq; /* of the block's first example */
    uint32_t n;
    size_t at;
    bool reward, done;
};

static void
reward_changed(struct spoil *s, const struct aft_block *b, struct aft_buffer *value)
{
    struct aft_arena arena;
    struct aft_example v;
    struct aft_example_item items[AFT_SHOWN_MAX];
    struct aft_buffer examples = {0};
    struct aft_reader r = aft_reader(b->examples);
    aft_arena_init(&arena, 16 << 20);
    for (uint32_t i = 0; i < b->n; i++) {
        aft_arena_reset(&arena);
        WORLD_OK(aft_decode_example(&r, &arena, &v, &world_error));
        memcpy(items, v.items, v.items_n * sizeof *items);
        items[0].reward_micro += i == b->n / 2;
        v.items = items;
        aft_encode_example(&examples, &v);
    }
    struct aft_block again = *b;
    again.examples = aft_buffer_bytes(&examples);
    aft_buffer_reset(value);
    aft_frame_put_single(value, AFT_RECORD_EXAMPLE_BLOCK);
    aft_encode_block(value, &again);
    s->seq = b->first_seq + b->n / 2;
    aft_buffer_deinit(&examples);
    aft_arena_deinit(&arena);
}

static bool
spoil_one(void *ctx, const char *key, int32_t partition, const struct aft_record_in *in,
          struct aft_buffer *value)
{
    struct spoil *s = ctx;
    struct aft_block b;
    if (s->done || strcmp(key, "topics.examples") != 0 || partition != 1 || in->offset < s->offset)
        return true;
    WORLD_OK(aft_decode_block(world_body(in), &b, &world_error));
    if (b.n == 0)
        return true;
    s->done = true;
    s->seq = b.first_seq;
    s->n = b.n;
    if (s->reward)
        reward_changed(s, &b, value);
    else
        value->p[(size_t)(b.examples.p - in->value.p) + s->at % b.examples.n] ^= 1;
    return true;
}

static void
one_byte_changed(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    struct aft_error e;
    life_open(&x, kit_seed(5));
    life_live(&x, 400, 200);
    life_end(&x);
    for (long k = 0; k < kit_rounds(30); k++) {
        struct spoil s = {.offset = aft_random_below(&x.w.r, 40),
                          .at = aft_random_below(&x.w.r, 60000)};
        assert_int_equal(replay_changed(&x, spoil_one, &s, &r, &e), AFT_E_DIVERGENCE);
        assert_true(s.done && r.diverged && r.partition == 1);
        if (r.seq < s.seq || r.seq >= s.seq + s.n)
            fail_msg("example %llu, not of %llu and %u more: %s", (unsigned long long)r.seq,
                     (unsigned long long)s.seq, s.n, e.message);
    }
    struct spoil s = {.offset = 10, .reward = true};
    assert_int_equal(replay_changed(&x, spoil_one, &s, &r, &e), AFT_E_DIVERGENCE);
    assert_int_equal(aft_err_exit(e.code), 7);
    assert_int_equal(r.seq, s.seq);
    assert_string_equal(r.field, "items.reward_micro");
    assert_int_equal(r.decision_id[0], 'd');
    assert_non_null(strstr(e.message, r.decision_id));
    life_close(&x);
}

static bool
lose_one(void *ctx, const char *key, int32_t partition, const struct aft_record_in *in,
         struct aft_buffer *value)
{
    struct spoil *s = ctx;
    struct aft_block b;
    (void)value;
    if (s->done || strcmp(key, "topics.examples") != 0 || partition != 1 || in->offset < s->offset)
        return true;
    WORLD_OK(aft_decode_block(world_body(in), &b, &world_error));
    s->done = b.n > 0 && b.first_seq == s->seq; /* not one that stands there twice */
    if (b.n && b.first_seq + b.n > s->seq)
        s->seq = b.first_seq + b.n;
    return !s->done;
}

/* The first block that brings something new after some offset is left out. Seqs before it are counted in a first pass. */
static bool
count_seq(void *ctx, const char *key, int32_t partition, const struct aft_record_in *in,
          struct aft_buffer *value)
{
    struct spoil *s = ctx;
    struct aft_block b;
    (void)value;
    if (strcmp(key, "topics.examples") != 0 || partition != 1 || in->offset >= s->offset)
        return true;
    WORLD_OK(aft_decode_block(world_body(in), &b, &world_error));
    if (b.n && b.first_seq + b.n > s->seq)
        s->seq = b.first_seq + b.n;
    return true;
}

static void
one_block_missing(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    struct aft_error e;
    life_open(&x, kit_seed(6));
    life_live(&x, 400, 200);
    life_end(&x);
    struct spoil s = {.offset = 12};
    assert_int_equal(replay_changed(&x, count_seq, &s, &r, &e), AFT_OK);
    uint64_t before = s.seq;
    assert_int_equal(replay_changed(&x, lose_one, &s, &r, &e), AFT_E_GAP);
    assert_int_equal(aft_err_exit(e.code), 6);
    assert_true(s.done && !r.diverged);
    char words[64];
    snprintf(words, sizeof words, "follows %llu:", (unsigned long long)before);
    if (!strstr(e.message, words))
        fail_msg("%s does not say %s", e.message, words);
    life_close(&x);
}

/* An impression that is gone: the examples that came of it cannot be computed again. */
static bool
lose_impression(void *ctx, const char *key, int32_t partition, const struct aft_record_in *in,
                struct aft_buffer *value)
{
    (void)ctx, (void)value;
    return strcmp(key, "topics.impressions") != 0 || partition != 0 || in->offset != 20;
}

static bool
lose_ticks(void *ctx, const char *key, int32_t partition, const struct aft_record_in *in,
           struct aft_buffer *value)
{
    (void)ctx, (void)value, (void)partition;
    return strcmp(key, "topics.clock") != 0 || in->offset < 30;
}

static bool
spoil_snapshot(void *ctx, const char *key, int32_t partition, const struct aft_record_in *in,
               struct aft_buffer *value)
{
    int64_t *round = ctx;
    struct aft_snapshot_record r;
    struct aft_arena arena;
    (void)partition;
    if (strcmp(key, "topics.snapshots") != 0 || *round >= 0)
        return true;
    aft_arena_init(&arena, 16 << 20);
    WORLD_OK(aft_decode_snapshot(world_body(in), &arena, &r, &world_error));
    if (r.has_manifest && r.round > 2) {
        *round = r.round;
        r.manifest.set_digest.b[7] ^= 1;
        aft_buffer_reset(value);
        aft_frame_put_single(value, AFT_RECORD_SNAPSHOT);
        aft_encode_snapshot(value, &r);
    }
    aft_arena_deinit(&arena);
    return true;
}

static void
other_losses(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    struct aft_error e;
    int64_t round = -1;
    life_open(&x, kit_seed(7));
    life_live(&x, 400, 200);
    life_end(&x);
    assert_int_equal(replay_changed(&x, lose_impression, NULL, &r, &e), AFT_E_DIVERGENCE);
    assert_int_equal(r.partition, 0);
    assert_int_equal(replay_changed(&x, lose_ticks, NULL, &r, &e), AFT_E_DIVERGENCE);
    assert_int_equal(replay_changed(&x, spoil_snapshot, &round, &r, &e), AFT_E_DIVERGENCE);
    assert_int_equal(r.partition, -1);
    assert_int_equal(r.seq, round);
    life_close(&x);
}

/* From the middle: compared from the first example on that every credit before it was seen for. */
static void
from_the_middle(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    life_open(&x, kit_seed(8));
    life_live(&x, 4000, 400);
    life_end(&x);
    struct aft_replay_options o = options(&x.w, x.w.log);
    o.from_ms = INT64_C(1700000000000) + 150000;
    WORLD_OK(aft_replay(&o, &r, &world_error));
    for (int p = 0; p < PARTITIONS; p++) {
        assert_true(r.parts[p].compared > 200 && r.parts[p].compared < r.parts[p].examples);
        assert_true(r.parts[p].records < held(&x.w, keys[0], p) + held(&x.w, keys[1], p));
    }
    free(r.parts);
    o.from_ms = INT64_MIN;
    const struct aft_replay_start beyond = {.partition = PARTITIONS};
    const struct aft_replay_start twice[2] = {{.partition = 1}, {.partition = 1}};
    o.starts = &beyond;
    o.starts_n = 1;
    assert_int_equal(aft_replay(&o, &r, &world_error), AFT_E_USAGE);
    free(r.parts);
    o.starts = twice;
    o.starts_n = 2;
    assert_int_equal(aft_replay(&o, &r, &world_error), AFT_E_USAGE);
    assert_non_null(strstr(world_error.message, "partition 1 twice"));
    free(r.parts);
    o.starts_n = 0;
    o.until_ms = INT64_C(1700000000000) + 300000;
    WORLD_OK(aft_replay(&o, &r, &world_error));
    assert_true(r.parts[0].compared > 200 && !r.model);
    free(r.parts);
    life_close(&x);
}

/* More impressions behind the last outcome than are ever read ahead: no task can have gone on to them, and a replay does not wait for it. */
static void
more_than_is_read_ahead(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    life_open(&x, kit_seed(10));
    life_live(&x, 800, 0);
    life_end(&x);
    for (int i = 0; i < 21000; i++) {
        x.w.now_ms += 5;
        world_impression(&x.w, 0);
    }
    struct aft_replay_options o = options(&x.w, x.w.log);
    WORLD_OK(aft_replay(&o, &r, &world_error));
    assert_true(r.parts[0].compared > 100 && r.parts[0].records < r.parts[0].records_n);
    free(r.parts);
    life_close(&x);
}

/* ---- into a directory */
static char root[64];

static int
root_make(void **state)
{
    (void)state;
    kit_folder(root, "replay");
    return 0;
}

static int
root_remove(void **state)
{
    (void)state;
    kit_remove(root);
    return 0;
}

/* The tasks' own states are lost in the middle of their life; those that a replay left take their place. */
static void
gone_on_from(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    struct aft_error e;
    int64_t at[2];
    char into[128], path[160];
    life_open(&x, kit_seed(9));
    life_live(&x, 1200, 0);
    for (int p = 0; p < PARTITIONS; p++) {
        task_kill(&x, p);
        x.stores[p]->ops->close(x.stores[p]);
    }
    for (int i = 0; i < 50; i++) /* nobody computes these */
        world_happen(&x.w, i % PARTITIONS);
    snprintf(into, sizeof into, "%s/into", root);
    struct aft_replay_options o = options(&x.w, x.w.log);
    o.into = into;
    o.verify = false;
    WORLD_OK(aft_replay(&o, &r, &world_error));
    free(r.parts);
    assert_int_equal(aft_replay(&o, &r, &e), AFT_E_IO); /* it is there already */
    free(r.parts);
    for (int p = 0; p < PARTITIONS; p++) {
        snprintf(path, sizeof path, "%s/%d", into, p);
        WORLD_OK(aft_store_rocksdb_open(path, &x.stores[p], &world_error));
        task_start(&x, p);
        aft_task_committed(x.tasks[p], at);
        assert_true(at[0] > 150 && at[1] > 150); /* it does not begin with nothing */
    }
    life_live(&x, 300, 400);
    life_end(&x);
    o = options(&x.w, x.w.log);
    WORLD_OK(aft_replay(&o, &r, &world_error));
    for (int p = 0; p < PARTITIONS; p++)
        assert_memory_equal(&r.parts[p].state, &x.state[p], sizeof x.state[p]);
    free(r.parts);
    life_close(&x);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undisturbed),
        cmocka_unit_test(from_one_that_runs),
        cmocka_unit_test(one_byte_changed),
        cmocka_unit_test(one_block_missing),
        cmocka_unit_test(other_losses),
        cmocka_unit_test(from_the_middle),
        cmocka_unit_test(more_than_is_read_ahead),
        cmocka_unit_test_setup_teardown(gone_on_from, root_make, root_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
