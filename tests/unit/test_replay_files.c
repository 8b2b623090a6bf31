/* test_replay_files.c - a replay over archived container files: state and examples are those of the topics they were made from; a
 * changed example, a lost impression and a lost clock are found, with the place.
 */
#include "tests/world.h"

#include <unistd.h>

enum { PARTITIONS = 2, FILES = 4 * PARTITIONS, ALL_BUT_FIRST = -2 };

static const struct {
    const char *key;
    enum aft_record record;
} kinds[] = {{"topics.impressions", AFT_RECORD_IMPRESSION},
             {"topics.outcomes", AFT_RECORD_OUTCOME},
             {"topics.clock", AFT_RECORD_CLOCK},
             {"topics.examples", AFT_RECORD_EXAMPLE}};

/* ---- a life of two partitions, and its archive */
struct archive {
    struct world w;
    struct aft_digest state[PARTITIONS];
    uint64_t examples[PARTITIONS];
    char directory[64], path[FILES][96];
    struct aft_log_file files[FILES];
};

static void
live_partition(struct archive *a, int32_t p)
{
    bool busy;
    struct aft_task *task;
    struct aft_task_status s;
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = a->w.config,
                                 .log = a->w.log,
                                 .store = store,
                                 .clock = world_clock(&a->w),
                                 .partition = p,
                                 .owner = "a test"};
    world_impression(&a->w, p); /* both logs begin with what can be read: the archive is whole */
    world_outcome(&a->w, p);
    WORLD_OK(aft_task_open(&o, &task, &world_error));
    for (int i = 0; i < 2000; i++) {
        if (i < 1500)
            world_happen(&a->w, p);
        a->w.now_ms += i < 1500 ? 0 : i < 1990 ? 500 : 0;
        WORLD_OK(aft_task_step(task, 0, &busy, &world_error));
    }
    WORLD_OK(aft_task_drain(task, &world_error));
    aft_task_status(task, true, &s);
    assert_true(s.next_seq > 200 && s.ticks > 20);
    a->state[p] = s.state;
    a->examples[p] = s.next_seq;
    aft_task_close(task);
    store->ops->close(store);
}

struct writing {
    struct aft_file_writer *out;
    enum aft_record record;
    int64_t skip, n; /* from this record on some are left out; -1: none */
};

static void
write_record(void *ctx, const struct aft_record_in *r)
{
    struct writing *x = ctx;
    struct aft_frame frame = {0};
    struct aft_file_record rec = {
        .offset = r->offset, .log_timestamp_ms = r->timestamp_ms, .key = r->key};
    if (r->value.p && (aft_frame_parse(r->value, &frame, &world_error) || frame.body.n < 12) &&
        x->record != AFT_RECORD_CLOCK)
        return; /* what nobody can read is in no archive */
    rec.body = r->value.p ? frame.body : AFT_ABSENT;
    int64_t n = x->n++, several = x->record == AFT_RECORD_CLOCK ? 1 : 20;
    if (x->skip == ALL_BUT_FIRST ? n == 0 : x->skip < 0 || n < x->skip || n >= x->skip + several)
        WORLD_OK(aft_file_append(x->out, &rec, &world_error));
}

/* A digit of the example's decision: "d1-7" becomes another one. */
static uint8_t *
decision_of(struct world_examples *x, uint64_t k)
{
    uint8_t *p = x->bytes.p + x->at[k];
    while (memcmp(p, "d1-", 3) != 0)
        p++;
    return p + 3;
}

/* skip: records from there on are left out; change: this example is of another decision; -1: none. */
static void
write_file(struct archive *a, int32_t p, int kind, int64_t skip, int64_t change)
{
    bool inputs = kind < 2;
    int i = 4 * p + kind;
    struct writing x = {.record = kinds[kind].record, .skip = skip};
    struct world_examples got;
    unlink(a->path[i]);
    WORLD_OK(aft_file_create(a->path[i], kinds[kind].record, inputs, &x.out, &world_error));
    if (kind < 3) {
        world_each(&a->w, kinds[kind].key, p, write_record, &x);
    } else {
        world_examples_read(&a->w, p, &got);
        for (uint64_t k = 0; k < got.n; k++) {
            struct aft_bytes body = world_example(&got, k);
            if ((int64_t)k == change)
                *decision_of(&got, k) ^= 1;
            WORLD_OK(aft_file_append(x.out, &(struct aft_file_record){.body = body}, &world_error));
        }
        world_examples_free(&got);
    }
    WORLD_OK(aft_file_finish(x.out, &world_error));
}

static void
archive_open(struct archive *a, uint64_t seed)
{
    world_open(&a->w, seed, PARTITIONS);
    snprintf(a->directory, sizeof a->directory, "/tmp/aftertouch-archive-XXXXXX");
    assert_non_null(mkdtemp(a->directory));
    for (int i = 0; i < FILES; i++) {
        int32_t p = i / 4;
        snprintf(a->path[i], sizeof a->path[i], "%s/%d-%d.avro", a->directory, p, i % 4);
        a->files[i] = (struct aft_log_file){.topic = aft_config_text(a->w.config, kinds[i % 4].key),
                                            .path = a->path[i],
                                            .partition = p,
                                            .record = kinds[i % 4].record};
        if (i % 4 == 0)
            live_partition(a, p);
        write_file(a, p, i % 4, -1, -1);
    }
}

static void
archive_close(struct archive *a)
{
    for (int i = 0; i < FILES; i++)
        unlink(a->path[i]);
    rmdir(a->directory);
    world_close(&a->w);
}

static enum aft_err
replay(struct archive *a, int64_t from_ms, struct aft_replay_result *r, struct aft_error *e)
{
    struct aft_log *log;
    WORLD_OK(aft_log_files_open(a->files, FILES, NULL, &log, &world_error));
    struct aft_replay_options o = {.config = a->w.config,
                                   .log = log,
                                   .clock = world_clock(&a->w),
                                   .from_ms = from_ms,
                                   .until_ms = INT64_MAX,
                                   .archived = true,
                                   .verify = true};
    enum aft_err err = aft_replay(&o, r, e);
    log->ops->close(log);
    return err;
}

/* ---- the cases */
static void
files_give_the_same(void **state)
{
    (void)state;
    struct archive a;
    struct aft_replay_result r;
    archive_open(&a, kit_seed(81));
    WORLD_OK(replay(&a, INT64_MIN, &r, &world_error));
    assert_int_equal(r.parts_n, PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        assert_int_equal(r.parts[p].examples, a.examples[p]);
        assert_int_equal(r.parts[p].compared, a.examples[p]);
        assert_memory_equal(&r.parts[p].state, &a.state[p], sizeof a.state[p]);
    }
    assert_true(!r.model && !r.diverged);
    free(r.parts);
    WORLD_OK(replay(&a, INT64_C(1700000030000), &r, &world_error)); /* from a time */
    assert_true(r.parts[0].compared > 50 && r.parts[0].compared < (int64_t)a.examples[0]);
    free(r.parts);
    archive_close(&a);
}

static void
differences_are_found(void **state)
{
    (void)state;
    struct archive a;
    struct aft_replay_result r;
    struct aft_error e;
    archive_open(&a, kit_seed(82));
    write_file(&a, 1, 3, -1, 77);
    assert_int_equal(replay(&a, INT64_MIN, &r, &e), AFT_E_DIVERGENCE);
    assert_true(r.diverged && r.partition == 1 && r.seq == 77);
    free(r.parts);
    write_file(&a, 1, 3, -1, -1);
    write_file(&a, 0, 0, 50, -1);
    assert_int_equal(replay(&a, INT64_MIN, &r, &e), AFT_E_DIVERGENCE);
    assert_true(r.diverged && r.partition == 0);
    free(r.parts);
    write_file(&a, 0, 0, -1, -1);
    write_file(&a, 0, 2, 0, -1); /* without its EPOCH no tick would count: then all do */
    WORLD_OK(replay(&a, INT64_MIN, &r, &world_error));
    free(r.parts);
    write_file(&a, 0, 2, ALL_BUT_FIRST, -1);
    assert_int_equal(replay(&a, INT64_MIN, &r, &e), AFT_E_DIVERGENCE);
    free(r.parts);
    archive_close(&a);
}

static void
damage_is_refused(void **state)
{
    (void)state;
    struct archive a;
    struct aft_log *log;
    struct aft_error e;
    archive_open(&a, kit_seed(83));
    assert_int_equal(truncate(a.path[1], 900), 0);
    enum aft_err err = aft_log_files_open(a.files, FILES, NULL, &log, &e);
    assert_true(err == AFT_E_IO || err == AFT_E_CORRUPT);
    assert_non_null(strstr(e.message, a.path[1]));
    unlink(a.path[1]);
    assert_int_equal(aft_log_files_open(a.files, FILES, NULL, &log, &e), AFT_E_IO);
    archive_close(&a);
}

/* ---- the model, from archived rounds and snapshots */
struct modelled {
    struct archive a;
    struct aft_digest digest;
    int64_t rounds, snapshots;
    char path[2][96];
    struct aft_log_file files[FILES + 2];
};

static void
learn(struct modelled *m)
{
    struct aft_learning *l;
    struct aft_learning_status s;
    bool busy;
    struct aft_learning_options o = {.config = m->a.w.config,
                                     .log = m->a.w.log,
                                     .clock = world_clock(&m->a.w),
                                     .partitions = PARTITIONS,
                                     .owner = "a test"};
    WORLD_OK(aft_learning_open(&o, &l, &world_error));
    for (int i = 0; i < 40; i++) {
        m->a.w.now_ms += 700;
        WORLD_OK(aft_learning_step(l, 0, &busy, &world_error));
    }
    WORLD_OK(aft_learning_finish(l, &world_error));
    aft_learning_status(l, &s);
    m->digest = s.digest;
    m->rounds = s.round;
    m->snapshots = s.snapshots;
    assert_true(s.learner.learned > 100 && s.round > 1 && s.snapshots > 0);
    aft_learning_close(l);
}

struct copying {
    struct aft_file_writer *out;
    bool rounds_alone; /* without EPOCH */
    bool lie;          /* the manifest says another digest */
};

static void
copy_record(void *ctx, const struct aft_record_in *in)
{
    struct copying *x = ctx;
    struct aft_round_record r;
    struct aft_snapshot_record s;
    struct aft_arena arena;
    struct aft_buffer body = {0};
    if (!in->value.p)
        return;
    aft_arena_init(&arena, 64 << 20);
    aft_put_raw(&body, world_body(in));
    bool leave = false;
    if (x->rounds_alone) {
        WORLD_OK(aft_decode_round(world_body(in), &arena, &r, &world_error));
        leave = r.kind == AFT_ROUND_EPOCH;
    } else if (x->lie) {
        WORLD_OK(aft_decode_snapshot(world_body(in), &arena, &s, &world_error));
        s.manifest.set_digest.b[0] ^= s.has_manifest;
        aft_buffer_reset(&body);
        aft_encode_snapshot(&body, &s);
    }
    struct aft_file_record rec = {.body = aft_buffer_bytes(&body)};
    if (!leave)
        WORLD_OK(aft_file_append(x->out, &rec, &world_error));
    aft_buffer_deinit(&body);
    aft_arena_deinit(&arena);
}

static void
copy_topic(struct modelled *m, int kind, struct copying x)
{
    static const char *const keys[2] = {"topics.rounds", "topics.snapshots"};
    static const enum aft_record records[2] = {AFT_RECORD_ROUND, AFT_RECORD_SNAPSHOT};
    snprintf(m->path[kind], sizeof m->path[0], "%s/%d.avro", m->a.directory, kind);
    unlink(m->path[kind]);
    WORLD_OK(aft_file_create(m->path[kind], records[kind], false, &x.out, &world_error));
    world_each(&m->a.w, keys[kind], 0, copy_record, &x);
    WORLD_OK(aft_file_finish(x.out, &world_error));
    m->files[FILES + kind] =
        (struct aft_log_file){.topic = aft_config_text(m->a.w.config, keys[kind]),
                              .path = m->path[kind],
                              .record = records[kind]};
}

static enum aft_err
replay_model(struct modelled *m, struct aft_replay_result *r, struct aft_error *e)
{
    struct aft_log *log;
    memcpy(m->files, m->a.files, sizeof m->a.files);
    WORLD_OK(aft_log_files_open(m->files, FILES + 2, NULL, &log, &world_error));
    struct aft_replay_options o = {.config = m->a.w.config,
                                   .log = log,
                                   .clock = world_clock(&m->a.w),
                                   .from_ms = INT64_MIN,
                                   .until_ms = INT64_MAX,
                                   .archived = true,
                                   .verify = true};
    enum aft_err err = aft_replay(&o, r, e);
    log->ops->close(log);
    free(r->parts);
    return err;
}

static void
the_model_too(void **state)
{
    (void)state;
    struct modelled *m = calloc(1, sizeof *m);
    struct aft_replay_result r;
    struct aft_error e;
    archive_open(&m->a, kit_seed(84));
    learn(m);
    for (int alone = 0; alone < 2; alone++) {
        copy_topic(m, 0, (struct copying){.rounds_alone = alone});
        copy_topic(m, 1, (struct copying){0});
        WORLD_OK(replay_model(m, &r, &world_error));
        assert_true(r.model && r.rounds == m->rounds);
        assert_true(r.snapshots_published == m->snapshots && r.snapshots_compared == m->snapshots);
        assert_memory_equal(&r.model_digest, &m->digest, sizeof m->digest);
    }
    copy_topic(m, 1, (struct copying){.lie = true});
    assert_int_equal(replay_model(m, &r, &e), AFT_E_DIVERGENCE);
    assert_true(r.diverged && r.partition == -1 && strcmp(r.field, "set_digest") == 0);
    unlink(m->path[0]);
    unlink(m->path[1]);
    archive_close(&m->a);
    free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_give_the_same),
        cmocka_unit_test(differences_are_found),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(the_model_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
