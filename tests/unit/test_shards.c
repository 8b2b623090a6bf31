/* test_shards.c - learner.shards: sums by partition, one digest whoever shares the work, restarted whenever; and what may not be shared. */
#include "tests/kit.h"

#include <math.h>
#include <pthread.h>

#include "tests/learn_kit.h"

enum { PARTITIONS = 6, ROUNDS = 4, PER_ROUND = 40 };

struct log {
    struct aft_buffer blocks[PARTITIONS][ROUNDS];
    struct aft_hash128 hash[PARTITIONS][ROUNDS];
};

/* A block a round of every partition; every third decision is revised in the next round, where all settle. */
static void
put_example(struct log *log, struct aft_buffer *all, int p, int r, struct aft_example *x)
{
    struct aft_buffer one = {0};
    aft_encode_example(&one, x);
    log->hash[p][r] = aft_hash128(aft_buffer_bytes(&one), log->hash[p][r]);
    aft_put_raw(all, aft_buffer_bytes(&one));
    aft_buffer_deinit(&one);
}

static void
make_log(struct log *log, struct kit_world *w)
{
    struct aft_buffer all = {0};
    uint64_t seq[PARTITIONS] = {0};
    memset(log, 0, sizeof *log);
    for (int r = 0; r < ROUNDS; r++)
        for (int p = 0; p < PARTITIONS; p++) {
            uint64_t first = seq[p];
            aft_buffer_reset(&all);
            if (r)
                log->hash[p][r] = log->hash[p][r - 1];
            for (int i = 0; i < PER_ROUND; i++) {
                struct aft_example x = kit_open(w, NULL);
                for (enum aft_phase f = AFT_OPEN; f <= AFT_SETTLE; f++) {
                    if (f == AFT_REVISE && i % 3)
                        continue;
                    x.phase = f;
                    x.seq = seq[p]++;
                    w->items[0].delta_micro = f == AFT_REVISE ? 250000 : 0;
                    w->items[0].reward_micro += w->items[0].delta_micro;
                    put_example(log, &all, p, r, &x);
                }
            }
            struct aft_block b = {
                1, p, first, log->hash[p][r], (uint32_t)(seq[p] - first), aft_buffer_bytes(&all)};
            aft_encode_block(&log->blocks[p][r], &b);
        }
    aft_buffer_deinit(&all);
}

static void
free_log(struct log *log)
{
    for (int p = 0; p < PARTITIONS; p++)
        for (int r = 0; r < ROUNDS; r++)
            aft_buffer_deinit(&log->blocks[p][r]);
}

static void
near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within))
        fail_msg("%.17g and %.17g are further apart than %g", a, b, within);
}

static void
settings(struct aft_learner_settings *s, const char *scope, const char *shards)
{
    aft_learner_settings_default(s);
    kit_set(s, "learner.model", "ridge");
    kit_set(s, "learner.scope", scope);
    kit_set(s, "features.interactions", "device*topic, device*arm_id");
    kit_set(s, "learner.shards", shards);
}

/* Blocks of a round, of the partitions whose number mod `of` is `number`. */
static void
give(struct aft_rounds *rounds, const struct log *log, int r, struct aft_share only)
{
    struct aft_error e;
    for (int p = 0; p < PARTITIONS; p++)
        if ((uint32_t)p % only.of == only.number)
            assert_int_equal(
                aft_rounds_block(rounds, p, r, aft_buffer_bytes(&log->blocks[p][r]), &e), AFT_OK);
}

static struct aft_learner *
restarted(struct aft_learner *l, const struct aft_learner_settings *s, int round)
{
    struct aft_error e;
    struct kit_follower f = {.set = aft_snapshot_set_new()};
    struct aft_learner *fresh = kit_learner(s);
    struct aft_digest a, b;
    kit_publish(l, round, &f);
    if (aft_learner_restore(fresh, f.set, &e) != AFT_OK)
        fail_msg("%s", e.message);
    aft_learner_digest(l, &a);
    aft_learner_digest(fresh, &b);
    assert_memory_equal(&a, &b, sizeof a);
    aft_snapshot_set_free(f.set);
    aft_learner_free(l);
    return fresh;
}

struct sharer {
    struct aft_rounds *rounds;
    const struct aft_end *ends;
    struct aft_learner *l;
    struct aft_share share;
    enum aft_err err;
    pthread_t thread;
};

static void *
sum_share(void *sharer)
{
    struct sharer *s = sharer;
    struct aft_error e;
    s->err = aft_rounds_share(s->rounds, s->ends, PARTITIONS, s->l, &s->share, &e);
    return NULL;
}

static void
by_threads(struct aft_rounds *rounds, const struct aft_end *ends, struct aft_learner *l,
           uint32_t of)
{
    struct sharer v[PARTITIONS];
    for (uint32_t i = 0; i < of; i++) {
        v[i] = (struct sharer){.rounds = rounds, .ends = ends, .l = l, .share = {i, of}};
        assert_int_equal(pthread_create(&v[i].thread, NULL, sum_share, &v[i]), 0);
    }
    for (uint32_t i = 0; i < of; i++) {
        pthread_join(v[i].thread, NULL);
        assert_int_equal(v[i].err, AFT_OK);
    }
}

/* All rounds by `of` shares: now the last one first, now as threads; a restart after the rounds that the bits of `restarts` name. */
static void
learn_all(const struct log *log, const struct aft_learner_settings *s, uint32_t of, int restarts,
          struct aft_digest *out)
{
    struct aft_error e;
    struct aft_learner *l = kit_learner(s);
    struct aft_rounds *rounds = aft_rounds_new(PARTITIONS);
    struct aft_end ends[PARTITIONS];
    assert_true(aft_learner_sums(l));
    for (int r = 0; r < ROUNDS; r++) {
        give(rounds, log, r, (struct aft_share){0, 1});
        aft_rounds_ends(rounds, ends);
        for (uint32_t i = r % 2 ? of : 0; i-- > 0;) {
            struct aft_share share = {i, of};
            assert_int_equal(aft_rounds_share(rounds, ends, PARTITIONS, l, &share, &e), AFT_OK);
        }
        if (r % 2 == 0)
            by_threads(rounds, ends, l, of);
        aft_rounds_merged(rounds, ends, PARTITIONS, l);
        if (restarts >> r & 1)
            l = restarted(l, s, r + 1);
    }
    aft_learner_digest(l, out);
    aft_rounds_free(rounds);
    aft_learner_free(l);
}

static void
one_digest(const char *scope)
{
    struct kit_world w;
    static struct log log;
    struct aft_learner_settings s;
    struct aft_digest want, have;
    char shards[8];
    kit_world_init(&w, kit_seed(5));
    make_log(&log, &w);
    settings(&s, scope, "1");
    learn_all(&log, &s, 1, 0, &want);
    for (uint32_t of = 1; of <= PARTITIONS; of++) {
        snprintf(shards, sizeof shards, "%u", of);
        settings(&s, scope, shards);
        learn_all(&log, &s, of, (int)of * 5 % (1 << ROUNDS), &have);
        assert_memory_equal(&want, &have, sizeof want);
    }
    free_log(&log);
    kit_world_deinit(&w);
}

static void
test_one_digest_whoever_shares_the_work(void **state)
{
    (void)state;
    one_digest("shared");
    one_digest("per_arm");
}

/* Shares in processes of their own know of each other what their snapshots say. */
static struct aft_learner *
by_processes(const struct log *log, const struct aft_learner_settings *s, uint32_t of)
{
    struct aft_error e;
    struct aft_learner *all = kit_learner(s);
    for (uint32_t i = of; i-- > 0;) {
        struct aft_learner *one = kit_learner(s);
        struct aft_rounds *rounds = aft_rounds_new(PARTITIONS);
        struct aft_end ends[PARTITIONS];
        for (int r = 0; r < ROUNDS; r++) {
            give(rounds, log, r, (struct aft_share){i, of});
            aft_rounds_ends(rounds, ends);
            if (r == ROUNDS - 1)
                assert_int_equal(aft_rounds_learn(rounds, ends, PARTITIONS, one, &e), AFT_OK);
        }
        one = restarted(one, s, 1);
        assert_int_equal(aft_learner_adopt(all, one, &e), AFT_OK);
        aft_rounds_free(rounds);
        aft_learner_free(one);
    }
    aft_learner_merge(all);
    return all;
}

static void
test_processes_share_by_snapshots(void **state)
{
    (void)state;
    struct kit_world w;
    static struct log log;
    struct aft_learner_settings s;
    struct aft_digest want, have;
    struct aft_error e;
    kit_world_init(&w, kit_seed(5));
    make_log(&log, &w);
    settings(&s, "per_arm", "2");
    for (uint32_t of = 1; of <= 4; of++) {
        struct aft_learner *l = by_processes(&log, &s, of);
        aft_learner_digest(l, of == 1 ? &want : &have);
        if (of > 1)
            assert_memory_equal(&want, &have, sizeof want);
        struct aft_learner *again = by_processes(&log, &s, of);
        assert_int_equal(aft_learner_adopt(l, again, &e), AFT_E_VALUE); /* would count twice */
        aft_learner_free(l);
        aft_learner_free(again);
    }
    free_log(&log);
    kit_world_deinit(&w);
}

/* The model is that of one learner, example by example, up to the order of columns and rounding. */
static void
test_sums_are_the_model(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_learner_settings s;
    struct aft_error e;
    struct aft_learner_stats a, b;
    kit_world_init(&w, kit_seed(5));
    settings(&s, "shared", "0");
    kit_set(&s, "learner.weighting", "capped");
    struct aft_learner *one = kit_learner(&s);
    kit_set(&s, "learner.shards", "3");
    struct aft_learner *sums = kit_learner(&s);
    for (int i = 0; i < 500; i++) {
        struct aft_example x = kit_open(&w, NULL);
        assert_int_equal(aft_learner_learn(one, &x, &e), AFT_OK);
        assert_int_equal(aft_learner_sum(sums, (uint32_t)i % 5, &x, &e), AFT_OK);
    }
    aft_learner_merge(sums);
    aft_learner_stats(one, &a);
    aft_learner_stats(sums, &b);
    assert_int_equal(a.learned, b.learned);
    assert_int_equal(a.columns, b.columns);
    assert_int_equal(a.arms, b.arms);
    near(a.mean_used, b.mean_used, 1e-12);
    struct kit_follower f = {.set = aft_snapshot_set_new()}, g = {.set = aft_snapshot_set_new()};
    kit_publish(one, 1, &f);
    kit_publish(sums, 1, &g);
    struct aft_weights v = {0}, u = {0};
    assert_int_equal(aft_weights_decode(aft_snapshot_set_plane(f.set, AFT_PLANE_WEIGHTS), &v, &e),
                     AFT_OK);
    assert_int_equal(aft_weights_decode(aft_snapshot_set_plane(g.set, AFT_PLANE_WEIGHTS), &u, &e),
                     AFT_OK);
    const struct aft_linear_block *vb = aft_linear_block(&v.linear, 0, 0),
                                  *ub = aft_linear_block(&u.linear, 0, 0);
    for (uint32_t i = 0; i < v.linear.columns.n; i++) {
        uint32_t j = aft_dict_find(&u.linear.columns, v.linear.columns.keys[i]);
        assert_true(j < ub->d);
        near(vb->theta[i], ub->theta[j], 1e-9);
        near(vb->cov[i * vb->stride + i], ub->cov[j * ub->stride + j], 1e-9);
    }
    aft_weights_deinit(&v);
    aft_weights_deinit(&u);
    aft_snapshot_set_free(f.set);
    aft_snapshot_set_free(g.set);
    aft_learner_free(one);
    aft_learner_free(sums);
    kit_world_deinit(&w);
}

static void
test_what_is_no_sum_is_refused_in_words(void **state)
{
    (void)state;
    static const char *const not_sums[][2] = {{"learner.model", "flow"},
                                              {"learner.reduction", "dr"},
                                              {"learner.forecast", "on"},
                                              {"learner.half.life", "30d"},
                                              {"policy.explore", "cover"}};
    for (size_t i = 0; i < sizeof not_sums / sizeof *not_sums; i++) {
        struct aft_learner_settings s;
        struct aft_learner *l = NULL;
        struct aft_error e;
        settings(&s, "shared", "2");
        kit_set(&s, not_sums[i][0], not_sums[i][1]);
        assert_int_equal(aft_learner_new(&s, &l, &e), AFT_E_CONFIG);
        assert_non_null(strstr(e.message, "learner.shards=2"));
        kit_set(&s, "learner.shards", "1"); /* nothing to share: as ever */
        assert_int_equal(aft_learner_new(&s, &l, &e), AFT_OK);
        assert_false(aft_learner_sums(l));
        aft_learner_free(l);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_digest_whoever_shares_the_work),
        cmocka_unit_test(test_processes_share_by_snapshots),
        cmocka_unit_test(test_sums_are_the_model),
        cmocka_unit_test(test_what_is_no_sum_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
