/* test_checkpoint.c - checkpoints over RocksDB: made from a state at rest and from one that another process holds, put back
 * in place, gone
 * on from; what must be refused is. And the purge: once a day, if somebody was erased.
 */
#include "tests/world.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attribution/attribution.h"

#define PARTITION 0

static char root[64];

static int
root_make(void **state)
{
    (void)state;
    kit_folder(root, "checkpoint");
    return 0;
}

static int
root_remove(void **state)
{
    (void)state;
    kit_remove(root);
    return 0;
}

static void
under(char out[256], const char *what)
{
    snprintf(out, 256, "%s/%s", root, what);
}

static bool
exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

/* ---- a world with a task on disk */
struct disk {
    struct world w;
    struct aft_store *store;
    struct aft_task *task;
    char store_path[256];
};

static void
disk_start(struct disk *d)
{
    char path[256];
    snprintf(path, sizeof path, "%s/state", root);
    world_set(&d->w, "state.dir", path);
    world_set(&d->w, "app.id", "app");
    WORLD_OK(aft_config_check(d->w.config, &world_error));
    mkdir(path, 0750);
    snprintf(path, sizeof path, "%s/state/app", root);
    mkdir(path, 0750);
    snprintf(d->store_path, sizeof d->store_path, "%s/state/app/%d", root, PARTITION);
    WORLD_OK(aft_store_rocksdb_open(d->store_path, &d->store, &world_error));
    struct aft_task_options o = {.config = d->w.config,
                                 .log = d->w.log,
                                 .store = d->store,
                                 .clock = world_clock(&d->w),
                                 .partition = PARTITION,
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &d->task, &world_error));
}

static void
disk_stop(struct disk *d)
{
    aft_task_close(d->task);
    d->store->ops->close(d->store);
    d->task = NULL;
    d->store = NULL;
}

static void
disk_run(struct disk *d, int happenings, int quiet)
{
    bool busy;
    for (int i = 0; i < happenings + quiet; i++) {
        if (i < happenings)
            world_happen(&d->w, PARTITION);
        else
            d->w.now_ms += 500;
        WORLD_OK(aft_task_step(d->task, 0, &busy, &world_error));
    }
    WORLD_OK(aft_task_drain(d->task, &world_error));
}

static char told[4096];
static void
line(void *ctx, const char *text)
{
    (void)ctx;
    strncat(told, text, sizeof told - strlen(told) - 1);
}
static const struct aft_lines lines = {NULL, line};

static void
refused(enum aft_err want, enum aft_err got, const struct aft_error *e, const char *word)
{
    if (got != want || !strstr(e->message, word))
        fail_msg("%s (%s), not %s with \"%s\"", e->message, aft_err_name(got), aft_err_name(want),
                 word);
}

static void
set(struct world *w, const char *key, const char *value)
{
    world_set(w, key, value);
    WORLD_OK(aft_config_check(w->config, &world_error));
}

/* ---- the cases */
static void
restored_goes_on(void **state)
{
    (void)state;
    struct disk d = {0};
    struct world_examples once, again;
    struct aft_task_status s;
    char directory[256], command[600];
    world_open(&d.w, kit_seed(5), 1);
    disk_start(&d);
    disk_run(&d, 800, 10);
    disk_stop(&d);
    under(directory, "copy");
    told[0] = '\0';
    WORLD_OK(aft_checkpoint_create(d.w.config, directory, &lines, &world_error));
    assert_non_null(strstr(told, "partition 0"));
    disk_start(&d);
    disk_run(&d, 800, 10);
    disk_stop(&d);
    world_examples_read(&d.w, PARTITION, &once);
    snprintf(command, sizeof command, "rm -rf '%s'", d.store_path); /* the disk is lost */
    assert_int_equal(system(command), 0);
    WORLD_OK(aft_checkpoint_restore(d.w.config, directory, &lines, &world_error));
    disk_start(&d);
    disk_run(&d, 0, 300);
    aft_task_status(d.task, false, &s);
    assert_true(s.duplicates_muted > 100); /* it began at the checkpoint, and all was the same */
    disk_stop(&d);
    world_examples_read(&d.w, PARTITION, &again); /* fails on a gap or a difference */
    assert_true(again.n > once.n && once.n > 300);
    for (uint64_t i = 0; i < once.n; i++)
        assert_true(aft_same(world_example(&once, i), world_example(&again, i)));
    world_examples_free(&once);
    world_examples_free(&again);
    world_close(&d.w);
}

static void
refusals(void **state)
{
    (void)state;
    struct disk d = {0};
    struct aft_error e;
    char directory[256], other[256], path[256], command[1200];
    world_open(&d.w, kit_seed(6), 1);
    under(directory, "copy");
    under(other, "other");
    set(&d.w, "state.dir", root);
    refused(AFT_E_FAILED, aft_checkpoint_create(d.w.config, directory, &lines, &e), &e,
            "no state in");
    disk_start(&d);
    disk_run(&d, 300, 10);
    disk_stop(&d);
    WORLD_OK(aft_checkpoint_create(d.w.config, directory, &lines, &world_error));
    refused(AFT_E_IO, aft_checkpoint_create(d.w.config, directory, &lines, &e), &e,
            "must not exist");
    refused(AFT_E_FAILED, aft_checkpoint_restore(d.w.config, directory, &lines, &e), &e,
            "not overwritten");
    refused(AFT_E_FAILED, aft_checkpoint_restore(d.w.config, other, &lines, &e), &e,
            "holds no checkpoint");
    snprintf(command, sizeof command, "cp -r '%s' '%s' && mv '%s/0' '%s/1'", directory, other,
             other, other);
    assert_int_equal(system(command), 0);
    refused(AFT_E_CONFIG, aft_checkpoint_restore(d.w.config, other, &lines, &e), &e,
            "not to app, partition 1");
    set(&d.w, "app.id", "another");
    refused(AFT_E_CONFIG, aft_checkpoint_restore(d.w.config, directory, &lines, &e), &e,
            "belongs to app.id=app");
    under(path, "state/another/0");
    assert_false(exists(path));
    under(path, "state/another/0.restoring");
    assert_false(exists(path));
    set(&d.w, "app.id", "app");
    snprintf(command, sizeof command, "rm -rf '%s'", d.store_path);
    assert_int_equal(system(command), 0);
    set(&d.w, "join.window", "61s");
    refused(AFT_E_CONFIG, aft_checkpoint_restore(d.w.config, directory, &lines, &e), &e,
            "other join.* or reward.* settings");
    world_close(&d.w);
}

static void
nap(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* Another process holds the store, works, and does its chores; it is not stopped. */
static void
from_one_that_runs(void **state)
{
    (void)state;
    struct disk d = {0};
    struct aft_error e;
    char directory[256], ready[256], path[256];
    world_open(&d.w, kit_seed(7), 1);
    under(ready, "ready");
    under(directory, "copy");
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        disk_start(&d);
        for (;;) {
            disk_run(&d, 50, 2);
            struct aft_chore chore = {PARTITION, 0, d.w.now_ms};
            if (aft_chores(d.w.config, d.store, &chore, &e) != AFT_OK)
                _exit(1);
            mkdir(ready, 0750);
            nap(5);
        }
    }
    snprintf(path, sizeof path, "%s/state", root);
    set(&d.w, "state.dir", path);
    set(&d.w, "app.id", "app");
    for (int i = 0; i < 12000 && !exists(ready); i++)
        nap(10);
    told[0] = '\0';
    enum aft_err err = aft_checkpoint_create(d.w.config, directory, &lines, &world_error);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    WORLD_OK(err);
    assert_non_null(strstr(told, "made by the process that runs"));
    under(path, "state/app/0.asked");
    assert_false(exists(path));
    under(path, "state/moved");
    set(&d.w, "state.dir", path);
    WORLD_OK(aft_checkpoint_restore(d.w.config, directory, &lines, &world_error));
    world_close(&d.w);
}

/* A process that holds the store and ends without an answer: what it left is copied here, at once. */
static void
from_one_that_ends(void **state)
{
    (void)state;
    struct disk d = {0};
    struct timespec begun, done;
    char directory[256], ready[256], path[256];
    world_open(&d.w, kit_seed(7), 1);
    under(ready, "ready");
    under(directory, "copy");
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        disk_start(&d);
        disk_run(&d, 50, 2);
        mkdir(ready, 0750);
        nap(700);
        _exit(0);
    }
    snprintf(path, sizeof path, "%s/state", root);
    set(&d.w, "state.dir", path);
    set(&d.w, "app.id", "app");
    for (int i = 0; i < 12000 && !exists(ready); i++)
        nap(10);
    told[0] = '\0';
    clock_gettime(CLOCK_MONOTONIC, &begun);
    enum aft_err err = aft_checkpoint_create(d.w.config, directory, &lines, &world_error);
    clock_gettime(CLOCK_MONOTONIC, &done);
    waitpid(child, NULL, 0);
    WORLD_OK(err);
    assert_true(done.tv_sec - begun.tv_sec < 20);
    assert_null(strstr(told, "made by the process that runs"));
    under(path, "state/app/0.asked");
    assert_false(exists(path));
    under(path, "state/moved");
    set(&d.w, "state.dir", path);
    WORLD_OK(aft_checkpoint_restore(d.w.config, directory, &lines, &world_error));
    world_close(&d.w);
}

/* ---- the purge */
struct counted {
    struct aft_store store;
    struct aft_store_ops ops;
    int purges;
};

static enum aft_err
purge_counted(struct aft_store *s, struct aft_error *e)
{
    (void)e;
    ((struct counted *)s)->purges++;
    return AFT_OK;
}

static void
chores_at(struct world *w, struct counted *s, int64_t erased, int64_t hours)
{
    struct aft_chore chore = {PARTITION, erased, INT64_C(1700000000000) + hours * 3600000};
    WORLD_OK(aft_chores(w->config, &s->store, &chore, &world_error));
}

static void
purged_once_a_day(void **state)
{
    (void)state;
    struct world w;
    struct counted s = {.ops = {.purge = purge_counted}};
    char path[256];
    s.store.ops = &s.ops;
    world_open(&w, 1, 1);
    world_set(&w, "state.dir", root);
    world_set(&w, "app.id", "app");
    under(path, "app");
    mkdir(path, 0750);
    chores_at(&w, &s, 0, 0);
    chores_at(&w, &s, 0, 48);
    assert_int_equal(s.purges, 0); /* nobody was erased */
    chores_at(&w, &s, 3, 49);
    assert_int_equal(s.purges, 1);
    chores_at(&w, &s, 4, 72);
    assert_int_equal(s.purges, 1); /* not a day yet */
    chores_at(&w, &s, 4, 73);
    assert_int_equal(s.purges, 2);
    chores_at(&w, &s, 4, 300);
    assert_int_equal(s.purges, 2);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: RocksDB's threads do not outlive a fork */
        cmocka_unit_test_setup_teardown(from_one_that_runs, root_make, root_remove),
        cmocka_unit_test_setup_teardown(from_one_that_ends, root_make, root_remove),
        cmocka_unit_test_setup_teardown(restored_goes_on, root_make, root_remove),
        cmocka_unit_test_setup_teardown(refusals, root_make, root_remove),
        cmocka_unit_test_setup_teardown(purged_once_a_day, root_make, root_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
