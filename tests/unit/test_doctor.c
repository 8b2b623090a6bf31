/* test_doctor.c - the doctor finds what is wrong, and nothing where nothing is: keys placed by another client, keys that are not the
 * user id, records that cannot be read, more disorder than join.disorder, too many open impressions, a state of another configuration,
 * a key that others can read.
 */
#include "tests/world.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "consumer/watch.h"

struct found {
    char text[64][1000], check[64][16];
    enum aft_finding_level level[64];
    enum aft_err code[64];
    size_t n;
};

static void
find(void *ctx, const struct aft_finding *f)
{
    struct found *x = ctx;
    assert_true(x->n < 64);
    snprintf(x->text[x->n], sizeof x->text[0], "%s", f->text);
    snprintf(x->check[x->n], sizeof x->check[0], "%s", f->check);
    x->code[x->n] = f->code;
    assert_int_equal(f->code == AFT_OK, f->level != AFT_FINDING_FAIL);
    x->level[x->n++] = f->level;
}

/* One finding of that check says so, at that level. */
static void
says(const struct found *x, const char *check, enum aft_finding_level level, const char *words)
{
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->check[i], check) == 0 && x->level[i] == level && strstr(x->text[i], words))
            return;
    for (size_t i = 0; i < x->n; i++)
        printf("%d %s %s\n", (int)x->level[i], x->check[i], x->text[i]);
    fail_msg("no finding %s of level %d says \"%s\"", check, (int)level, words);
}

/* But for the topics: the small world compacts none. */
static size_t
failures(const struct found *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += x->level[i] == AFT_FINDING_FAIL && strcmp(x->check[i], "topic") != 0;
    return n;
}

static void
look(struct world *w, struct found *x)
{
    const struct aft_findings to = {x, find};
    const struct aft_doctor_log o = {.log = w->log, .clock = world_clock(w)};
    memset(x, 0, sizeof *x);
    WORLD_OK(aft_doctor_log(w->config, &o, &to, &world_error));
}

/* Where a key is placed by another partitioner than ours. */
static void
moved(struct world *w, struct found *x, const enum aft_partitioner by[2])
{
    enum { PARTITIONS = 3 };
    world_open(w, kit_seed(71), PARTITIONS);
    for (int i = 0; i < 900; i++) {
        char user[24], id[24];
        int log = i % 2;
        sprintf(user, "someone-%d", i / 2);
        sprintf(id, "o%d", i);
        int32_t p = afti_partition_by(by[log], aft_text(user), PARTITIONS);
        aft_buffer_reset(&w->value);
        aft_frame_put_single(&w->value, log ? AFT_RECORD_OUTCOME : AFT_RECORD_IMPRESSION);
        struct aft_shown shown = {.arm_id = aft_text("a"), .propensity = 0.5};
        struct aft_impression imp = {.decision_id = aft_text(id),
                                     .user_id = aft_text(user),
                                     .timestamp_ms = w->now_ms,
                                     .policy = aft_text("p"),
                                     .slate = &shown,
                                     .slate_n = 1};
        struct aft_outcome out = {.outcome_id = aft_text(id),
                                  .user_id = aft_text(user),
                                  .timestamp_ms = w->now_ms,
                                  .kind = aft_text("click"),
                                  .value_micro = AFT_MICRO};
        if (log)
            aft_encode_outcome(&w->value, &out);
        else
            aft_encode_impression(&w->value, &imp);
        world_put(w, log ? "topics.outcomes" : "topics.impressions", p, user,
                  aft_buffer_bytes(&w->value));
        w->now_ms++;
    }
    look(w, x);
    world_close(w);
}

static void
partitioners(void **state)
{
    (void)state;
    struct world w;
    struct found *x = calloc(1, sizeof *x);
    moved(&w, x, (const enum aft_partitioner[]){AFT_BY_MURMUR2, AFT_BY_MURMUR2});
    says(x, "keys", AFT_FINDING_OK, "all 900 sampled");
    says(x, "records", AFT_FINDING_OK, "outcomes: the newest 450 can be read");
    says(x, "disorder", AFT_FINDING_OK, "up to 0 ms");
    says(x, "topic", AFT_FINDING_OK, "impressions: 3 partitions");
    says(x, "open", AFT_FINDING_OK, "join.max.open is 100000");
    says(x, "clock", AFT_FINDING_OK, "stamped 1 ms ago");
    assert_int_equal(failures(x), 0);
    moved(&w, x, (const enum aft_partitioner[]){AFT_BY_CRC32, AFT_BY_CRC32});
    says(x, "keys", AFT_FINDING_WARN, "partitioner=murmur2_random. Both topics agree");
    assert_int_equal(failures(x), 0);
    moved(&w, x, (const enum aft_partitioner[]){AFT_BY_MURMUR2, AFT_BY_FNV1A});
    says(x, "keys", AFT_FINDING_FAIL, "sarama");
    assert_int_equal(failures(x), 1);
    free(x);
}

/* The small world as it is: events up to 900 ms out of order, some that cannot be read. */
static void
records(void **state)
{
    (void)state;
    struct world w;
    struct found *x = calloc(1, sizeof *x);
    world_open(&w, kit_seed(72), 1);
    look(&w, x);
    says(x, "records", AFT_FINDING_WARN, "impressions holds none yet");
    for (int i = 0; i < 3000; i++)
        world_happen(&w, 0);
    look(&w, x);
    says(x, "records", AFT_FINDING_WARN, "would be dead letters");
    says(x, "disorder", AFT_FINDING_WARN, "join.disorder is 500 ms");
    for (size_t i = 0; i < x->n; i++) /* clocks that are far ahead are no disorder of the others */
        if (strcmp(x->check[i], "disorder") == 0 && !strstr(x->text[i], "up to 1024 ms"))
            fail_msg("%s", x->text[i]);
    char user[] = "somebody else's key";
    for (int i = 0; i < 3; i++) {
        world_outcome(&w, 0);
        world_put(&w, "topics.outcomes", 0, user, aft_buffer_bytes(&w.value));
    }
    world_set(&w, "join.max.open", "10");
    WORLD_OK(aft_config_check(w.config, &world_error));
    w.now_ms -= 100000; /* our clock is behind */
    look(&w, x);
    says(x, "keys", AFT_FINDING_WARN, "3 of the newest 1000 have a key that is not their user_id");
    says(x, "open", AFT_FINDING_FAIL, "raise it");
    says(x, "clock", AFT_FINDING_WARN, "100000 ms in our future");
    free(x);
    world_close(&w);
}

static void
state_of(struct world *w, const char *path)
{
    struct aft_store *store;
    struct aft_task *task;
    bool busy;
    WORLD_OK(aft_store_rocksdb_open(path, &store, &world_error));
    struct aft_task_options o = {.config = w->config,
                                 .log = w->log,
                                 .store = store,
                                 .clock = world_clock(w),
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &task, &world_error));
    for (int i = 0; i < 300; i++) {
        world_happen(w, 0);
        WORLD_OK(aft_task_step(task, 0, &busy, &world_error));
    }
    WORLD_OK(aft_task_drain(task, &world_error));
    aft_task_close(task);
    w->log->ops->poll(w->log, 0);
    store->ops->close(store);
}

static void
this_machine(void **state)
{
    (void)state;
    char root[64], path[80];
    struct world w;
    struct found *x = calloc(1, sizeof *x);
    const struct aft_findings to = {x, find};
    kit_folder(root, "doctor");
    world_open(&w, kit_seed(73), 1);
    world_set(&w, "state.dir", root);
    world_set(&w, "app.id", "app");
    WORLD_OK(aft_config_check(w.config, &world_error));
    aft_doctor_here(w.config, &to);
    says(x, "state", AFT_FINDING_OK, "it holds 0 partitions");
    says(x, "signing", AFT_FINDING_WARN, "not signed");
    says(x, "memory", AFT_FINDING_OK, "join.max.open=100000");
    snprintf(path, sizeof path, "%s/app/0", root);
    state_of(&w, path);
    snprintf(path, sizeof path, "%s/key", root);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 64; i++)
        fputc(i, f);
    fclose(f);
    chmod(path, 0644);
    world_set(&w, "snapshot.signing.key", path);
    world_set(&w, "join.max.open", "1000000000");
    WORLD_OK(aft_config_check(w.config, &world_error));
    memset(x, 0, sizeof *x);
    aft_doctor_here(w.config, &to);
    says(x, "state", AFT_FINDING_OK, "it holds 1 partition,");
    says(x, "signing", AFT_FINDING_FAIL, "mode 644): chmod 600");
    says(x, "memory", AFT_FINDING_WARN, "lower join.max.open");
    chmod(path, 0600);
    world_set(&w, "join.window", "61s"); /* another configuration's credit */
    WORLD_OK(aft_config_check(w.config, &world_error));
    memset(x, 0, sizeof *x);
    aft_doctor_here(w.config, &to);
    says(x, "state", AFT_FINDING_FAIL, "join.");
    says(x, "signing", AFT_FINDING_OK, "for its owner alone");
    world_close(&w);
    free(x);
    kit_remove(root);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitioners),
        cmocka_unit_test(records),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
