/* A step's file that was ingested is a link to a file of the database until its own name is taken away. After a crash between the two, the
 * next large step wrote into that file of the database, and destroyed what it held. */
#include "tests/kit.h"

#include <dirent.h>
#include <unistd.h>

#include "state/state.h"

static char dir[64];

static struct aft_store *
opened(void)
{
    struct aft_store *s = NULL;
    struct aft_error e;
    if (aft_store_rocksdb_open(dir, &s, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return s;
}

static void
large_step(struct aft_store *s, uint64_t segment)
{
    struct aft_error e;
    uint8_t key[AFT_KEY_BYTES], *value = malloc(AFT_STORE_BULK_BYTES);
    memset(value, (int)segment, AFT_STORE_BULK_BYTES);
    aft_key_make(key, segment, AFT_KEY_SEGMENT);
    struct aft_put put = {{key, sizeof key}, {value, AFT_STORE_BULK_BYTES}};
    if (s->ops->commit(s, &put, 1, &e) != AFT_OK)
        fail_msg("%s", e.message);
    free(value);
}

static void
holds(struct aft_store *s, uint64_t segment)
{
    struct aft_error e;
    struct aft_buffer value = {0};
    uint8_t key[AFT_KEY_BYTES];
    bool found = false;
    aft_key_make(key, segment, AFT_KEY_SEGMENT);
    if (s->ops->get(s, (struct aft_bytes){key, sizeof key}, &value, &found, &e) != AFT_OK)
        fail_msg("%s", e.message);
    assert_true(found && value.n == AFT_STORE_BULK_BYTES && value.p[77] == segment);
    aft_buffer_deinit(&value);
}

/* crashed: as if the process had died after the file was linked into the database, before its own name was gone. */
static void
crashed(void)
{
    char from[600], to[300];
    bool linked = false;
    DIR *d = opendir(dir);
    for (struct dirent *at; d && (at = readdir(d)) != NULL;) {
        size_t n = strlen(at->d_name);
        if (n < 4 || strcmp(at->d_name + n - 4, ".sst") != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", dir, at->d_name);
        snprintf(to, sizeof to, "%s/step.bulk", dir);
        linked = link(from, to) == 0;
    }
    closedir(d);
    assert_true(linked);
}

static void
a_left_name_is_taken_away_first(void **state)
{
    (void)state;
    struct aft_store *s = opened();
    large_step(s, 1);
    s->ops->close(s);
    crashed();
    s = opened();
    large_step(s, 2);
    s->ops->close(s);
    s = opened();
    holds(s, 1);
    holds(s, 2);
    s->ops->close(s);
}

static int
made(void **state)
{
    (void)state;
    kit_folder(dir, "bug-0014");
    return 0;
}

static int
removed(void **state)
{
    (void)state;
    kit_remove(dir);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_left_name_is_taken_away_first)};
    return cmocka_run_group_tests_name("a step's file that is still linked", tests, made, removed);
}
