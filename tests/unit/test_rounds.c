/* test_rounds.c - gaps, stale owners, wrong chains, duplicates; and: however blocks arrive, the model is the same. */
#include "tests/kit.h"

#include "tests/learn_kit.h"

enum { PARTITIONS = 3, BLOCKS = 8, PER_BLOCK = 5 };

struct log {
    struct aft_buffer blocks[PARTITIONS][BLOCKS];
    struct aft_hash128 hash[PARTITIONS];
};

static void
encode_block(struct aft_buffer *out, int64_t epoch, int32_t partition, uint64_t first,
             struct aft_hash128 hash, const struct aft_buffer *examples, uint32_t n)
{
    struct aft_block b = {epoch, partition, first, hash, n, aft_buffer_bytes(examples)};
    aft_buffer_reset(out);
    aft_encode_block(out, &b);
}

/* Blocks of examples, their fires interleaved over the partitions. */
static void
make_log(struct log *log, struct kit_world *w)
{
    struct aft_buffer all = {0}, one = {0};
    memset(log, 0, sizeof *log);
    for (int32_t p = 0; p < PARTITIONS; p++)
        for (uint32_t b = 0; b < BLOCKS; b++) {
            aft_buffer_reset(&all);
            for (uint32_t i = 0; i < PER_BLOCK; i++) {
                struct aft_example x = kit_open(w, NULL);
                x.seq = b * PER_BLOCK + i;
                x.fire_ms = (int64_t)(x.seq / 2) * 10; /* ties within and across partitions */
                aft_buffer_reset(&one);
                aft_encode_example(&one, &x);
                log->hash[p] = aft_hash128(aft_buffer_bytes(&one), log->hash[p]);
                aft_put_raw(&all, aft_buffer_bytes(&one));
            }
            encode_block(&log->blocks[p][b], 1, p, b * PER_BLOCK, log->hash[p], &all, PER_BLOCK);
        }
    aft_buffer_deinit(&all);
    aft_buffer_deinit(&one);
}

static void
free_log(struct log *log)
{
    for (int p = 0; p < PARTITIONS; p++)
        for (int b = 0; b < BLOCKS; b++)
            aft_buffer_deinit(&log->blocks[p][b]);
}

static enum aft_err
give(struct aft_rounds *r, const struct log *log, int32_t p, uint32_t b, struct aft_error *e)
{
    return aft_rounds_block(r, p, (int64_t)b, aft_buffer_bytes(&log->blocks[p][b]), e);
}

static struct aft_learner *
new_learner(void)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "features.interactions", "device*topic");
    return kit_learner(&s);
}

/* Round 1: the first half of each; round 2: the rest. Arrival: partition by partition, or at random with repeats. */
static struct aft_digest
learn_all(const struct log *log, uint64_t seed)
{
    struct aft_random random;
    struct aft_error e;
    struct aft_rounds *r = aft_rounds_new(PARTITIONS);
    struct aft_learner *l = new_learner();
    struct aft_end ends[PARTITIONS], learned[PARTITIONS];
    struct aft_digest d;
    uint32_t next[PARTITIONS] = {0}, halves = 0;
    aft_random_init(&random, seed, 0);
    for (uint32_t given = 0; given < PARTITIONS * BLOCKS;) {
        int32_t p = seed ? (int32_t)aft_random_below(&random, PARTITIONS)
                         : (int32_t)(given / BLOCKS % PARTITIONS);
        if (next[p] == BLOCKS)
            continue;
        if (next[p] && seed && aft_random_below(&random, 3) == 0)
            assert_int_equal(give(r, log, p, aft_random_below(&random, next[p]), &e), AFT_OK);
        assert_int_equal(give(r, log, p, next[p]++, &e), AFT_OK);
        given++;
        for (int32_t i = 0; i < PARTITIONS; i++)
            ends[i] = (struct aft_end){.partition = i, .next_seq = BLOCKS / 2 * PER_BLOCK - 2};
        if (!halves && aft_rounds_ready(r, ends, PARTITIONS)) {
            assert_int_equal(aft_rounds_learn(r, ends, PARTITIONS, l, &e), AFT_OK);
            halves = 1;
        }
    }
    aft_rounds_ends(r, ends);
    assert_int_equal(aft_rounds_learn(r, ends, PARTITIONS, l, &e), AFT_OK);
    assert_int_equal(aft_rounds_pending(r), 0);
    aft_rounds_learned(r, learned);
    for (int p = 0; p < PARTITIONS; p++) {
        assert_int_equal(learned[p].next_seq, BLOCKS * PER_BLOCK);
        assert_memory_equal(&learned[p].hash, &log->hash[p], sizeof log->hash[p]);
    }
    aft_learner_digest(l, &d);
    aft_learner_free(l);
    aft_rounds_free(r);
    return d;
}

static void
test_arrival_changes_nothing(void **state)
{
    (void)state;
    struct kit_world w;
    struct log log;
    kit_world_init(&w, kit_seed(8));
    make_log(&log, &w);
    struct aft_digest want = learn_all(&log, 0);
    for (long i = 1; i <= kit_rounds(20); i++) {
        struct aft_digest have = learn_all(&log, (uint64_t)i);
        assert_memory_equal(&want, &have, sizeof want);
    }
    free_log(&log);
    kit_world_deinit(&w);
}

static uint8_t *
find(struct aft_buffer *b, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= b->n; i++)
        if (memcmp(b->p + i, text, n) == 0)
            return b->p + i;
    return NULL;
}

static void
test_gap_and_divergence(void **state)
{
    (void)state;
    struct kit_world w;
    struct log log;
    struct aft_error e;
    kit_world_init(&w, 1);
    make_log(&log, &w);
    struct aft_rounds *r = aft_rounds_new(PARTITIONS);
    assert_int_equal(give(r, &log, 0, 0, &e), AFT_OK);
    assert_int_equal(give(r, &log, 0, 2, &e), AFT_E_GAP);
    assert_non_null(strstr(e.message, "expected seq 5"));
    assert_non_null(strstr(e.message, "next is 10"));
    assert_int_equal(give(r, &log, 0, 1, &e), AFT_OK);
    /* one bit of an example changed: the chain says so, and nothing of the block stays */
    struct aft_buffer bad = {0};
    aft_put_raw(&bad, aft_buffer_bytes(&log.blocks[0][2]));
    uint8_t *id = find(&bad, "decision-1");
    assert_non_null(id);
    id[0] ^= 1;
    assert_int_equal(aft_rounds_block(r, 0, 2, aft_buffer_bytes(&bad), &e), AFT_E_DIVERGENCE);
    assert_int_equal(aft_rounds_pending(r), 2 * PER_BLOCK);
    assert_int_equal(give(r, &log, 0, 2, &e), AFT_OK);
    /* another partition's block */
    assert_int_equal(aft_rounds_block(r, 1, 0, aft_buffer_bytes(&log.blocks[0][0]), &e),
                     AFT_E_VALUE);
    aft_buffer_deinit(&bad);
    aft_rounds_free(r);
    free_log(&log);
    kit_world_deinit(&w);
}

static void
test_stale_owner_is_dropped(void **state)
{
    (void)state;
    struct kit_world w;
    struct log log;
    struct aft_error e;
    struct aft_buffer b = {0}, none = {0};
    kit_world_init(&w, 1);
    make_log(&log, &w);
    struct aft_rounds *r = aft_rounds_new(PARTITIONS);
    assert_int_equal(give(r, &log, 0, 0, &e), AFT_OK);
    encode_block(&b, 2, 0, 5, (struct aft_hash128){0, 0}, &none,
                 0); /* the new owner's first word */
    assert_int_equal(aft_rounds_block(r, 0, 1, aft_buffer_bytes(&b), &e), AFT_OK);
    assert_int_equal(give(r, &log, 0, 1, &e), AFT_OK); /* epoch 1: late, dropped */
    assert_int_equal(aft_rounds_pending(r), PER_BLOCK);
    assert_int_equal(give(r, &log, 0, 7, &e), AFT_OK); /* not even a gap */
    aft_buffer_deinit(&b);
    aft_rounds_free(r);
    free_log(&log);
    kit_world_deinit(&w);
}

/* An example that breaks a rule is an example: it has its seq and its place in the chain, and is refused by the learner. */
static void
test_broken_example_is_refused(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_error e;
    struct aft_learner_stats s;
    struct aft_buffer all = {0}, one = {0}, block = {0};
    struct aft_hash128 hash = {0, 0};
    struct aft_end end;
    kit_world_init(&w, 5);
    for (uint64_t i = 0; i < 6; i++) {
        struct aft_example x = kit_open(&w, NULL);
        x.seq = i;
        w.items[0].slot = i == 3 ? 77 : 0;
        if (i == 4)
            w.items[1].arm_id = w.items[0].arm_id;
        aft_buffer_reset(&one);
        aft_encode_example(&one, &x);
        hash = aft_hash128(aft_buffer_bytes(&one), hash);
        aft_put_raw(&all, aft_buffer_bytes(&one));
    }
    encode_block(&block, 1, 0, 0, hash, &all, 6);
    struct aft_rounds *r = aft_rounds_new(1);
    struct aft_learner *l = new_learner();
    assert_int_equal(aft_rounds_block(r, 0, 0, aft_buffer_bytes(&block), &e), AFT_OK);
    aft_rounds_ends(r, &end);
    assert_int_equal(end.next_seq, 6);
    assert_int_equal(aft_rounds_learn(r, &end, 1, l, &e), AFT_OK);
    aft_learner_stats(l, &s);
    assert_int_equal(s.refused_example, 2);
    assert_int_equal(s.learned, 4 * KIT_SLOTS);
    assert_true(aft_learner_refused(l, 0, &e));
    assert_non_null(strstr(e.message, "seq 4: Example.items.arm_id stands twice"));
    assert_false(aft_learner_refused(l, 0, &e));
    aft_rounds_free(r);
    aft_learner_free(l);
    aft_buffer_deinit(&all);
    aft_buffer_deinit(&one);
    aft_buffer_deinit(&block);
    kit_world_deinit(&w);
}

/* A snapshot's ends are enough to go on: the same digest as without the stop. */
static void
test_seek_goes_on(void **state)
{
    (void)state;
    struct kit_world w;
    struct log log;
    struct aft_error e;
    kit_world_init(&w, 3);
    make_log(&log, &w);
    struct aft_learner *l = new_learner();
    struct aft_rounds *r = aft_rounds_new(1);
    struct aft_end end = {.partition = 0, .next_seq = 7}, at;
    assert_int_equal(give(r, &log, 0, 0, &e), AFT_OK);
    assert_int_equal(give(r, &log, 0, 1, &e), AFT_OK);
    assert_int_equal(aft_rounds_learn(r, &end, 1, l, &e), AFT_OK);
    aft_rounds_learned(r, &at);
    assert_int_equal(at.next_seq, 7);
    assert_int_equal(at.next_offset, 1); /* the block that holds seq 7 */
    struct aft_rounds *q = aft_rounds_new(1);
    aft_rounds_seek(q, &at);
    assert_int_equal(give(q, &log, 0, 1, &e), AFT_OK);
    assert_int_equal(aft_rounds_pending(q), 3);
    assert_int_equal(give(q, &log, 0, 2, &e), AFT_OK);
    aft_rounds_free(q);
    aft_rounds_free(r);
    aft_learner_free(l);
    free_log(&log);
    kit_world_deinit(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrival_changes_nothing),
        cmocka_unit_test(test_gap_and_divergence),
        cmocka_unit_test(test_broken_example_is_refused),
        cmocka_unit_test(test_stale_owner_is_dropped),
        cmocka_unit_test(test_seek_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
