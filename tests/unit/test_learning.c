/* test_learning.c - learning over a log in memory: whoever is killed, whenever, the rounds of the journal make one model. Every snapshot
 * that was ever published is, byte for byte, what an undisturbed learner publishes of that round.
 */
#include "tests/school.h"

/* A log that breaks down in the middle of a snapshot: the broker goes away after `snapshots_left` of its records. */
static const struct aft_log_ops *whole_ops;
static struct aft_log_ops breaking_ops;
static int snapshots_left = 1 << 30;

static enum aft_err
breaking_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    if (strcmp(a->topic, "aftertouch.snapshots") == 0 && snapshots_left-- == 0)
        return AFT_FAIL(e, AFT_E_BROKER, "gone");
    return whole_ops->append(l, a, e);
}

static struct aft_log *
breaking_log(struct world *w)
{
    struct aft_log *l = aft_log_memory(w->broker);
    whole_ops = l->ops;
    breaking_ops = *l->ops;
    breaking_ops.append = breaking_append;
    l->ops = &breaking_ops;
    return l;
}

/* ---- what was published: every record by (round, key), and whether two of them differ */
struct published {
    struct world *w;
    struct aft_buffer records[4096];
    int64_t round[4096];
    struct aft_buffer keys[4096];
    size_t n, repeated;
    struct aft_arena arena;
};

static void
published_in(void *ctx, const struct aft_record_in *in)
{
    struct published *x = ctx;
    struct aft_snapshot_record r;
    if (!in->value.p)
        return; /* a tombstone */
    aft_arena_reset(&x->arena);
    WORLD_OK(aft_decode_snapshot(world_body(in), &x->arena, &r, &world_error));
    for (size_t i = 0; i < x->n; i++)
        if (x->round[i] == r.round && aft_same(aft_buffer_bytes(&x->keys[i]), in->key)) {
            x->repeated++;
            if (!aft_same(aft_buffer_bytes(&x->records[i]), in->value))
                fail_msg("round %lld, %.*s: published twice, differently", (long long)r.round,
                         (int)in->key.n, (const char *)in->key.p);
            return;
        }
    assert_true(x->n < 4096);
    x->round[x->n] = r.round;
    aft_put_raw(&x->keys[x->n], in->key);
    aft_put_raw(&x->records[x->n++], in->value);
}

static struct published *
published_of(struct world *w)
{
    struct published *x = calloc(1, sizeof *x);
    x->w = w;
    aft_arena_init(&x->arena, 64 << 20);
    world_each(w, "topics.snapshots", 0, published_in, x);
    return x;
}

static void
published_free(struct published *x)
{
    for (size_t i = 0; i < x->n; i++) {
        aft_buffer_deinit(&x->records[i]);
        aft_buffer_deinit(&x->keys[i]);
    }
    aft_arena_deinit(&x->arena);
    free(x);
}

/* ---- the truth: a learner over the whole journal, from nothing, without any snapshot */
struct rounds_read {
    int64_t epoch;
    struct aft_end ends[2000][PARTITIONS];
    int64_t n, stale;
    struct aft_arena arena;
};

static void
round_in(void *ctx, const struct aft_record_in *in)
{
    struct rounds_read *x = ctx;
    struct aft_round_record r;
    aft_arena_reset(&x->arena);
    WORLD_OK(aft_decode_round(world_body(in), &x->arena, &r, &world_error));
    if (r.kind == AFT_ROUND_EPOCH) {
        x->epoch = in->offset;
    } else if (r.epoch != x->epoch) {
        x->stale++;
    } else {
        assert_int_equal(r.round, x->n + 1); /* none left out, none twice */
        assert_int_equal(r.ends_n, PARTITIONS);
        assert_true(x->n < 2000);
        memcpy(x->ends[x->n++], r.ends, sizeof x->ends[0]);
    }
}

struct feed {
    struct aft_rounds *rounds;
    int32_t partition;
};

static void
block_to_rounds(void *ctx, const struct aft_record_in *in)
{
    struct feed *f = ctx;
    WORLD_OK(aft_rounds_block(f->rounds, f->partition, in->offset, world_body(in), &world_error));
}

static struct rounds_read *
truth_of(struct world *w, struct aft_digest *out)
{
    struct rounds_read *x = calloc(1, sizeof *x);
    struct aft_rounds *rounds = aft_rounds_new(PARTITIONS);
    struct aft_learner *learner;
    x->epoch = -1;
    aft_arena_init(&x->arena, 16 << 20);
    world_each(w, "topics.rounds", 0, round_in, x);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        struct feed f = {rounds, p};
        world_each(w, "topics.examples", p, block_to_rounds, &f);
    }
    WORLD_OK(aft_learner_new(aft_config_learner(w->config), &learner, &world_error));
    for (int64_t i = 0; i < x->n; i++)
        WORLD_OK(aft_rounds_learn(rounds, x->ends[i], PARTITIONS, learner, &world_error));
    assert_int_equal(aft_rounds_pending(rounds), 0);
    aft_learner_digest(learner, out);
    aft_learner_free(learner);
    aft_rounds_free(rounds);
    return x;
}

/* ---- what `explain` reads: the rounds that count, and the manifests, of which a publishing round's covers what the round did */
struct told {
    const struct rounds_read *truth;
    int64_t n, publishing[2000];
    size_t publishing_n, found;
};

static void
told_round(void *ctx, int64_t offset, const struct aft_round_record *r)
{
    struct told *t = ctx;
    assert_true(offset >= 0 && r->round == t->n + 1);
    for (int p = 0; p < PARTITIONS; p++)
        assert_int_equal(r->ends[p].next_seq, t->truth->ends[t->n][p].next_seq);
    t->n++;
    if (r->publish != AFT_PUBLISH_NONE)
        t->publishing[t->publishing_n++] = r->round;
}

static void
told_manifest(void *ctx, const struct aft_snapshot_seen *seen)
{
    struct told *t = ctx;
    bool promised = false;
    if (!seen->record)
        return;
    const struct aft_manifest *m = &seen->record->manifest;
    assert_int_equal(m->ends_n, PARTITIONS);
    for (size_t i = 0; i < t->publishing_n; i++)
        promised = promised || t->publishing[i] == seen->record->round;
    assert_true(promised);
    for (int p = 0; p < PARTITIONS; p++)
        assert_int_equal(m->ends[p].next_seq, t->truth->ends[seen->record->round - 1][p].next_seq);
    t->found++;
}

static void
check_told(struct world *w, const struct rounds_read *truth)
{
    struct told *t = calloc(1, sizeof *t);
    const struct aft_learning_visit visit = {t, told_round, told_manifest};
    t->truth = truth;
    WORLD_OK(aft_learning_each(w->config, w->log, &visit, &world_error));
    assert_int_equal(t->n, truth->n);
    assert_true(t->found > 0);
    free(t);
}

static void
check_all(struct world *w, struct student *s, int64_t least_rounds)
{
    struct aft_learning_status status;
    struct aft_digest truth;
    WORLD_OK(aft_learning_finish(s->learning, &world_error));
    aft_learning_status(s->learning, &status);
    struct rounds_read *x = truth_of(w, &truth);
    assert_int_equal(status.round, x->n);
    assert_int_equal(status.last_snapshot_round, status.round);
    assert_int_equal(status.pending, 0);
    assert_true(x->n >= least_rounds && status.learner.learned > 100);
    assert_memory_equal(&truth, &status.digest, sizeof truth);
    check_told(w, x);
    aft_arena_deinit(&x->arena);
    free(x);
}

static void
undisturbed(void **state)
{
    (void)state;
    struct school x;
    struct student s = {0};
    int fenced = 0;
    school_open(&x, kit_seed(51));
    s.log = aft_log_memory(x.w.broker);
    student_start(&x.w, &s);
    for (int i = 0; i < 600; i++) {
        school_step(&x);
        student_step(&s, &fenced);
    }
    check_all(&x.w, &s, 20);
    assert_int_equal(fenced, 0);
    WORLD_OK(
        aft_learning_finish(s.learning, &world_error)); /* nothing more to do: nothing is done */
    struct published *p = published_of(&x.w);
    assert_true(p->n > 10);
    assert_int_equal(p->repeated, 0);
    published_free(p);
    student_kill(&s);
    s.log->ops->close(s.log);
    school_close(&x);
}

/* Whoever starts shares the work among as many threads as it likes. */
static void
share(struct school *x, bool shares)
{
    const char *const shards[] = {"1", "2", "4"};
    if (!shares)
        return;
    world_set(&x->w, "learner.shards", shards[aft_random_below(&x->w.r, 3)]);
    WORLD_OK(aft_config_check(x->w.config, &world_error));
}

/* One learner, killed at any step, or two at once: overtaking each other. */
static void
kill_and_overtake(bool shares, uint64_t seed, long rounds)
{
    uint64_t repeated = 0;
    int fenced = 0, kills = 0;
    for (long k = 0; k < rounds; k++) {
        struct school x;
        struct student s[2] = {{0}};
        school_open(&x, seed + (uint64_t)k);
        for (int i = 0; i < 2; i++)
            s[i].log = breaking_log(&x.w);
        for (int i = 0; i < 1500; i++) {
            struct student *one = &s[aft_random_below(&x.w.r, 2)];
            uint32_t y = aft_random_below(&x.w.r, 100);
            snapshots_left = (int)aft_random_below(&x.w.r, 12);
            if (y < 30)
                school_step(&x);
            else if (!one->learning && y < 50)
                share(&x, shares), student_start(&x.w, one);
            else if (one->learning && y < 34)
                student_kill(one), kills++;
            else if (one->learning)
                student_step(one, &fenced);
        }
        for (int i = 0; i < 2; i++)
            if (s[i].learning)
                student_kill(&s[i]);
        snapshots_left = 1 << 30;
        share(&x, shares);
        student_start(&x.w, &s[0]);
        check_all(&x.w, &s[0], 10);
        struct published *p = published_of(&x.w);
        repeated += p->repeated;
        published_free(p);
        student_kill(&s[0]);
        for (int i = 0; i < 2; i++)
            s[i].log->ops->close(s[i].log);
        school_close(&x);
    }
    printf("%d killed, %d overtaken, %llu records published again\n", kills, fenced,
           (unsigned long long)repeated);
    assert_true(kills > 50 && fenced > 20 && repeated > 5);
}

static void
killed_and_overtaken(void **state)
{
    (void)state;
    kill_and_overtake(false, kit_seed(61), kit_rounds(8));
}

static void
shared_killed_and_overtaken(void **state)
{
    (void)state;
    kill_and_overtake(true, kit_seed(62), kit_rounds(8));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undisturbed),
        cmocka_unit_test(killed_and_overtaken),
        cmocka_unit_test(shared_killed_and_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
