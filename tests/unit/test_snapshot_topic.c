/* test_snapshot_topic.c - the snapshots topic as a hostile world shows it. Learners publish fulls and deltas, are killed in the middle,
 * overtaken, and some of their records arrive long after; compaction has removed, or has not yet, any record that a later one of its key
 * stands behind; readers join at any time and read at any pace. Whoever has read to the end has the newest model, whole, never an older
 * one than before, and its digest is the one that a learner over the whole journal has at that round.
 * A second kind of reader is lied to besides: records changed, repeated, held back. What it takes is true and never older.
 */
#include "tests/school.h"

enum { RECORDS_MAX = 20000, ROUNDS_MAX = 4000, LIMBO_MAX = 64, READERS = 6 };

/* ---- the topic as it was ever written */
struct written {
    struct aft_buffer key, value;
    bool tombstone;
    int32_t replaced; /* by this later record of the same key; 0: by none */
};
struct topic {
    struct world *w;
    struct written v[RECORDS_MAX];
    int32_t n, last[RECORDS_MAX]; /* last record of each key */
    struct aft_dict keys;
    int64_t newest; /* round of the newest manifest; 0: none yet */
    struct aft_arena arena;
};

static void
topic_see(struct topic *t, const struct aft_append *a)
{
    assert_true(t->n < RECORDS_MAX);
    struct written *r = &t->v[t->n];
    aft_buffer_reset(&r->key);
    aft_buffer_reset(&r->value);
    aft_put_raw(&r->key, a->key);
    aft_put_raw(&r->value, a->value);
    r->tombstone = a->value.p == NULL;
    r->replaced = 0;
    uint32_t keys = t->keys.n, k = aft_dict_add(&t->keys, aft_hash64(a->key, 0));
    if (k < keys)
        t->v[t->last[k]].replaced = t->n;
    t->last[k] = t->n++;
    if (r->tombstone)
        return;
    struct aft_record_in in = {.value = a->value};
    struct aft_snapshot_record m;
    aft_arena_reset(&t->arena);
    WORLD_OK(aft_decode_snapshot(world_body(&in), &t->arena, &m, &world_error));
    if (m.has_manifest && m.round > t->newest)
        t->newest = m.round;
}

/* ---- a log for learners: a snapshot's records may be late, and what they read is compacted */
struct limbo { /* records that their writer gave up, on their way still, in order */
    struct aft_buffer key[LIMBO_MAX], value[LIMBO_MAX];
    bool tombstone[LIMBO_MAX];
    uint32_t first, n;
};
static struct topic topic;
static struct limbo limbo;
static struct aft_random chance;
static const struct aft_log_ops *true_ops;
static struct aft_log_ops bad_ops;
static int until_late; /* so many of a snapshot's records before they are late */
static struct aft_log_reader *compacted;

static enum aft_err
to_topic(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    topic_see(&topic, a);
    return true_ops->append(l, a, e);
}

static enum aft_err
bad_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    if (strcmp(a->topic, "aftertouch.snapshots") != 0)
        return true_ops->append(l, a, e);
    if (until_late-- > 0 || limbo.n == LIMBO_MAX)
        return to_topic(l, a, e);
    uint32_t i = limbo.n++;
    aft_buffer_reset(&limbo.key[i]);
    aft_buffer_reset(&limbo.value[i]);
    aft_put_raw(&limbo.key[i], a->key);
    aft_put_raw(&limbo.value[i], a->value);
    limbo.tombstone[i] = a->value.p == NULL;
    struct aft_error gone;
    if (a->acked)
        a->acked(a->ctx, -1, (AFT_FAIL(&gone, AFT_E_BROKER, "no answer"), &gone));
    return AFT_OK;
}

/* What was late arrives, or the first of it: the writer is long gone. */
static void
limbo_arrives(struct world *w)
{
    uint32_t until = limbo.first + 1 + aft_random_below(&chance, limbo.n - limbo.first);
    for (; limbo.first < until; limbo.first++) {
        struct aft_append a = {.topic = "aftertouch.snapshots",
                               .timestamp_ms = -1,
                               .key = aft_buffer_bytes(&limbo.key[limbo.first]),
                               .value = aft_buffer_bytes(&limbo.value[limbo.first])};
        if (limbo.tombstone[limbo.first])
            a.value = AFT_ABSENT;
        WORLD_OK(to_topic(w->log, &a, &world_error));
    }
    w->log->ops->poll(w->log, 0);
    if (limbo.first == limbo.n || aft_random_below(&chance, 8) == 0)
        limbo.first = limbo.n = 0; /* the rest is lost */
}

static bool
compacted_away(int32_t offset)
{
    return topic.v[offset].replaced && aft_random_below(&chance, 2);
}

static enum aft_err
bad_open(struct aft_log *l, const char *name, int32_t partition, int64_t offset,
         struct aft_log_reader **out, struct aft_error *e)
{
    AFT_TRY(true_ops->reader_open(l, name, partition, offset, out, e));
    if (strcmp(name, "aftertouch.snapshots") == 0)
        compacted = *out;
    return AFT_OK;
}

static enum aft_err
bad_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
         uint32_t *n, bool *at_end, struct aft_error *e)
{
    uint32_t kept = 0;
    AFT_TRY(true_ops->read(r, out, max, timeout_ms, n, at_end, e));
    if (r != compacted)
        return AFT_OK;
    for (uint32_t i = 0; i < *n; i++)
        if (!compacted_away((int32_t)out[i].offset))
            out[kept++] = out[i];
    *n = kept;
    return AFT_OK;
}

static struct aft_log *
bad_log(struct world *w)
{
    struct aft_log *l = aft_log_memory(w->broker);
    true_ops = l->ops;
    bad_ops = *l->ops;
    bad_ops.append = bad_append;
    bad_ops.reader_open = bad_open;
    bad_ops.read = bad_read;
    l->ops = &bad_ops;
    return l;
}

/* ---- readers */
struct reader {
    struct aft_snapshot_set *set;
    int32_t at;
    int64_t round;
    bool lied_to;
    struct aft_buffer held; /* of one lied to: a record held back */
};
struct seen { /* what readers had, to be compared with the truth in the end */
    int64_t round[ROUNDS_MAX];
    struct aft_digest digest[ROUNDS_MAX];
    int n;
    uint64_t fulls, deltas, refused[AFT_SNAPSHOT_REFUSALS], joined, checked;
};

static void
reader_join(struct reader *r, bool lied_to)
{
    *r = (struct reader){.set = aft_snapshot_set_new(), .round = -1, .lied_to = lied_to};
}

static void
reader_leave(struct reader *r, struct seen *x)
{
    struct aft_snapshot_stats s;
    if (!r->set)
        return;
    aft_snapshot_set_stats(r->set, &s);
    x->fulls += s.fulls;
    x->deltas += s.deltas;
    for (int i = 0; i < AFT_SNAPSHOT_REFUSALS && r->lied_to; i++)
        x->refused[i] += s.refused[i];
    for (int i = 0; i < AFT_SNAPSHOT_REFUSALS && !r->lied_to; i++)
        assert_true(s.refused[i] == 0 || (i != AFT_SNAPSHOT_FORGED && i != AFT_SNAPSHOT_MALFORMED &&
                                          i != AFT_SNAPSHOT_FOREIGN));
    aft_snapshot_set_free(r->set);
    aft_buffer_deinit(&r->held);
    r->set = NULL;
}

/* What the set holds is whole: a learner made of it has the digest that it names. Never older than before. */
static void
check_reader(struct world *w, struct reader *r, struct seen *x)
{
    const struct aft_snapshot_record *m = aft_snapshot_set_manifest(r->set);
    struct aft_learner *l;
    if (!m)
        return;
    assert_true(m->round >= r->round);
    if (m->round == r->round)
        return;
    r->round = m->round;
    assert_true(x->n < ROUNDS_MAX);
    x->round[x->n] = m->round;
    x->digest[x->n++] = m->manifest.digest;
    if (aft_random_below(&chance, 4))
        return;
    x->checked++;
    WORLD_OK(aft_learner_new(aft_config_learner(w->config), &l, &world_error));
    WORLD_OK(aft_learner_restore(l, r->set, &world_error));
    aft_learner_free(l);
}

static void
give(struct reader *r, struct aft_bytes value)
{
    struct aft_error e;
    struct aft_frame frame;
    bool whole;
    WORLD_OK(aft_frame_parse(value, &frame, &world_error));
    enum aft_err err = aft_snapshot_set_add(r->set, frame.body, &whole, &e);
    assert_true(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
}

/* A record as a liar hands it on: changed in one place, or a record of the past in front of it, or held back until later. */
static void
give_lie(struct reader *r, const struct written *rec)
{
    struct aft_buffer copy = {0};
    uint32_t y = aft_random_below(&chance, 100);
    const struct written *past = &topic.v[aft_random_below(&chance, (uint32_t)r->at + 1)];
    aft_put_raw(&copy, aft_buffer_bytes(&rec->value));
    if (y < 10)
        copy.p[10 + aft_random_below(&chance, (uint32_t)copy.n - 10)] ^=
            (uint8_t)(1 + aft_random_below(&chance, 255));
    if (y >= 10 && y < 20 && !past->tombstone)
        give(r, aft_buffer_bytes(&past->value));
    if (y >= 20 && y < 30) {
        struct aft_buffer swap = r->held;
        r->held = copy;
        copy = swap;
    }
    if (copy.n)
        give(r, aft_buffer_bytes(&copy));
    aft_buffer_deinit(&copy);
}

static void
reader_step(struct world *w, struct reader *r, struct seen *x, int32_t records)
{
    for (; records > 0 && r->at < topic.n; records--, r->at++) {
        const struct written *rec = &topic.v[r->at];
        if (rec->tombstone || compacted_away(r->at))
            continue;
        if (r->lied_to)
            give_lie(r, rec);
        else
            give(r, aft_buffer_bytes(&rec->value));
        check_reader(w, r, x);
    }
    if (r->at < topic.n || r->lied_to || topic.newest == 0)
        return;
    const struct aft_snapshot_record *m = aft_snapshot_set_manifest(r->set);
    assert_true(m && m->round == topic.newest); /* at the end: a whole model, the newest */
}

static void
readers_step(struct world *w, struct reader *readers, struct seen *x)
{
    struct reader *r = &readers[aft_random_below(&chance, READERS)];
    if (!r->set) {
        reader_join(r, r >= &readers[READERS / 2]);
        x->joined++;
    } else if (aft_random_below(&chance, 40) == 0) {
        reader_leave(r, x);
        return;
    }
    reader_step(w, r, x, aft_random_below(&chance, 3) ? 5 : RECORDS_MAX);
}

/* ---- the truth: the digest after each round, by a learner over the whole journal */
struct truth {
    struct aft_rounds *rounds;
    struct aft_learner *learner;
    struct aft_digest after[ROUNDS_MAX];
    int64_t epoch, n;
    int32_t partition;
    struct aft_arena arena;
};

static void
truth_block(void *ctx, const struct aft_record_in *in)
{
    struct truth *t = ctx;
    WORLD_OK(aft_rounds_block(t->rounds, t->partition, in->offset, world_body(in), &world_error));
}

static void
truth_round(void *ctx, const struct aft_record_in *in)
{
    struct truth *t = ctx;
    struct aft_round_record r;
    aft_arena_reset(&t->arena);
    WORLD_OK(aft_decode_round(world_body(in), &t->arena, &r, &world_error));
    if (r.kind == AFT_ROUND_EPOCH) {
        t->epoch = in->offset;
    } else if (r.epoch == t->epoch) {
        assert_true(r.round == t->n + 1 && r.round < ROUNDS_MAX);
        WORLD_OK(aft_rounds_learn(t->rounds, r.ends, r.ends_n, t->learner, &world_error));
        t->n = r.round;
        aft_learner_digest(t->learner, &t->after[t->n]);
    }
}

static void
check_truth(struct world *w, const struct seen *x)
{
    struct truth *t = calloc(1, sizeof *t);
    t->rounds = aft_rounds_new(PARTITIONS);
    t->epoch = -1;
    aft_arena_init(&t->arena, 16 << 20);
    WORLD_OK(aft_learner_new(aft_config_learner(w->config), &t->learner, &world_error));
    for (t->partition = 0; t->partition < PARTITIONS; t->partition++)
        world_each(w, "topics.examples", t->partition, truth_block, t);
    world_each(w, "topics.rounds", 0, truth_round, t);
    for (int i = 0; i < x->n; i++) {
        assert_true(x->round[i] >= 1 && x->round[i] <= t->n);
        assert_memory_equal(&x->digest[i], &t->after[x->round[i]], sizeof x->digest[i]);
    }
    aft_learner_free(t->learner);
    aft_rounds_free(t->rounds);
    aft_arena_deinit(&t->arena);
    free(t);
}

/* ---- a world */
static void
topic_forget(void)
{
    for (int32_t i = 0; i < RECORDS_MAX; i++) {
        aft_buffer_deinit(&topic.v[i].key);
        aft_buffer_deinit(&topic.v[i].value);
    }
    aft_dict_deinit(&topic.keys);
    aft_arena_deinit(&topic.arena);
    for (int i = 0; i < LIMBO_MAX; i++) {
        aft_buffer_deinit(&limbo.key[i]);
        aft_buffer_deinit(&limbo.value[i]);
    }
    memset(&topic, 0, sizeof topic);
    memset(&limbo, 0, sizeof limbo);
}

static void
live(struct school *x, struct student *s, struct reader *readers, struct seen *seen)
{
    int fenced = 0;
    for (int i = 0; i < 4000; i++) {
        struct student *one = &s[aft_random_below(&chance, 2)];
        uint32_t y = aft_random_below(&chance, 200);
        until_late = aft_random_below(&chance, 6) ? 1 << 30 : (int)aft_random_below(&chance, 6);
        if (y < 60)
            school_step(x);
        else if (y < 100)
            readers_step(&x->w, readers, seen);
        else if (y < 102 && limbo.n > limbo.first)
            limbo_arrives(&x->w);
        else if (!one->learning && y < 120)
            student_start(&x->w, one);
        else if (one->learning && y < 101)
            student_kill(one);
        else if (one->learning)
            student_step(one, &fenced);
    }
}

static void
one_world(uint64_t seed, const char *model, struct seen *seen)
{
    struct school x;
    struct student s[2] = {{0}};
    struct reader readers[READERS] = {{0}};
    aft_random_init(&chance, seed, 9);
    aft_arena_init(&topic.arena, 64 << 20);
    school_open(&x, seed);
    world_set(&x.w, "learner.model", model);
    world_set(&x.w, "snapshot.interval", "3s");
    world_set(&x.w, "snapshot.full.interval", "40s");
    world_set(&x.w, "snapshot.delta.from", "0");
    world_set(&x.w, "snapshot.keep", aft_random_below(&chance, 2) ? "1" : "3");
    WORLD_OK(aft_config_check(x.w.config, &world_error));
    for (int i = 0; i < 2; i++)
        s[i].log = bad_log(&x.w);
    seen->n = 0;
    live(&x, s, readers, seen);
    for (int i = 0; i < READERS; i++) {
        if (readers[i].set)
            reader_step(&x.w, &readers[i], seen, RECORDS_MAX);
        reader_leave(&readers[i], seen);
    }
    check_truth(&x.w, seen);
    for (int i = 0; i < 2; i++) {
        if (s[i].learning)
            student_kill(&s[i]);
        s[i].log->ops->close(s[i].log);
    }
    school_close(&x);
    topic_forget();
}

static void
readers_of_a_hostile_topic(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(71);
    static struct seen seen;
    for (long k = 0; k < kit_rounds(10); k++)
        one_world(seed + (uint64_t)k, k % 2 ? "flow" : "ridge", &seen);
    printf("%llu readers took %llu fulls, %llu deltas, %llu restored; those lied to refused",
           (unsigned long long)seen.joined, (unsigned long long)seen.fulls,
           (unsigned long long)seen.deltas, (unsigned long long)seen.checked);
    for (int i = 0; i < AFT_SNAPSHOT_REFUSALS; i++)
        printf(" %llu %s", (unsigned long long)seen.refused[i],
               aft_snapshot_refusal_name((enum aft_snapshot_refusal)i));
    puts("");
    assert_true(seen.fulls > 50 && seen.deltas > 200 && seen.checked > 50);
    for (int i = 0; i < AFT_SNAPSHOT_FOREIGN; i++)
        assert_true(seen.refused[i] > 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_of_a_hostile_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
