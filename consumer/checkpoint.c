/* checkpoint.c - checkpoints of the state: DIR/<partition>, one store each, made of hard links where DIR is on the same file
 * system.
 *
 * create: a store that nobody holds is opened and copied here. A store that a running process holds is copied by that
 * process: the
 * directory's name is put beside the store (state_dir.h), the thread that owns the store finds it, makes the checkpoint
 * between two
 * commits and answers in the same way. Who may write the state directory may ask; no port is needed. Where that process ends without an
 * answer, its store is copied here.
 * restore: copied beside its place, opened there (which refuses another application, partition or configuration, and what is
 * damaged),
 * then renamed into place. All partitions or none: nothing is renamed before every copy was opened.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "consumer/state_dir.h"
#include "consumer/task_inner.h"

#define ASK_TRIES 600 /* a minute */
#define ASK_WAIT_MS 100

static void
tell(const struct aft_lines *l, int32_t partition, const char *path, const char *more)
{
    char text[AFTI_PATH_MAX + 128];
    snprintf(text, sizeof text, "partition %d: %s%s", partition, path, more);
    l->line(l->ctx, text);
}

/* ---- create */
static enum aft_err
create_here(const char *store_path, const char *to, struct aft_error *e)
{
    struct aft_store *store;
    AFT_TRY(aft_store_rocksdb_open(store_path, &store, e));
    enum aft_err err = store->ops->checkpoint(store, to, e);
    store->ops->close(store);
    return err;
}

/* answered: what the process that holds the store said to it, if it has. */
static bool
answered_so(const char *answered, enum aft_err *err, struct aft_error *e)
{
    char text[AFTI_PATH_MAX];
    if (!afti_note_read(answered, text, sizeof text))
        return false;
    unlink(answered);
    *err =
        strcmp(text, "ok") == 0 ? AFT_OK : AFT_FAIL(e, AFT_E_FAILED, "the service says: %s", text);
    return true;
}

/* create_there: *gone: the process that held the store has ended, and made none. */
static enum aft_err
create_there(const struct aft_config *c, int32_t partition, const char *to, bool *gone,
             struct aft_error *e)
{
    char asked[AFTI_PATH_MAX], answered[AFTI_PATH_MAX], store[AFTI_PATH_MAX];
    const struct timespec pause = {0, ASK_WAIT_MS * 1000000L};
    enum aft_err err = AFT_OK;
    *gone = false;
    AFT_TRY(afti_state_path(c, partition, "", store, e));
    AFT_TRY(afti_state_path(c, partition, ".asked", asked, e));
    AFT_TRY(afti_state_path(c, partition, ".answered", answered, e));
    unlink(answered);
    AFT_TRY(afti_note_write(asked, to, e));
    for (int i = 0; i < ASK_TRIES && !*gone; i++) {
        *gone = !afti_state_held(store); /* before the look: who ended may have answered */
        if (answered_so(answered, &err, e)) {
            *gone = false;
            return err;
        }
        if (!*gone)
            nanosleep(&pause, NULL);
    }
    unlink(asked);
    return *gone ? AFT_OK
                 : AFT_FAIL(e, AFT_E_TIMEOUT,
                            "the process that holds partition %d did not answer within a minute; "
                            "stop it, or look at what it says",
                            partition);
}

void
afti_checkpoint_asked(const struct aft_config *c, int32_t partition, struct aft_store *store)
{
    char asked[AFTI_PATH_MAX], answered[AFTI_PATH_MAX], to[AFTI_PATH_MAX];
    struct aft_error e, untold;
    if (afti_state_path(c, partition, ".asked", asked, &e) != AFT_OK ||
        afti_state_path(c, partition, ".answered", answered, &e) != AFT_OK ||
        !afti_note_read(asked, to, sizeof to))
        return;
    unlink(asked);
    enum aft_err err = store->ops->checkpoint(store, to, &e);
    aft_say(err == AFT_OK ? "info" : "warn", "worker", "checkpoint of partition %d in %s: %s",
            partition, to, err == AFT_OK ? "made" : e.message);
    if (afti_note_write(answered, err == AFT_OK ? "ok" : e.message, &untold) != AFT_OK)
        aft_say("warn", "worker", "%s", untold.message);
}

static enum aft_err
create_one(const struct aft_config *c, int32_t partition, const char *directory,
           const struct aft_lines *lines, struct aft_error *e)
{
    char store[AFTI_PATH_MAX], to[AFTI_PATH_MAX + 16];
    AFT_TRY(afti_state_path(c, partition, "", store, e));
    if (snprintf(to, sizeof to, "%s/%d", directory, partition) >= AFTI_PATH_MAX - 1)
        return AFT_FAIL(e, AFT_E_USAGE, "%s is too long a path", directory);
    bool held = afti_state_held(store), gone = !held;
    if (held)
        AFT_TRY(create_there(c, partition, to, &gone, e));
    if (held && gone) { /* it may have been killed before it could say that the copy is made */
        held = false;
        afti_flat_remove(to);
    }
    if (!held)
        AFT_TRY(create_here(store, to, e));
    tell(lines, partition, to, held ? ", made by the process that runs" : "");
    return AFT_OK;
}

/* Another process is to find it: from the root. */
static enum aft_err
absolute(const char *directory, char out[AFTI_PATH_MAX], struct aft_error *e)
{
    char here[AFTI_PATH_MAX] = "";
    if (directory[0] != '/' && !getcwd(here, sizeof here))
        return AFT_FAIL(e, AFT_E_IO, "where are we? %s", strerror(errno));
    int n = snprintf(out, AFTI_PATH_MAX, "%s%s%s", here, here[0] ? "/" : "", directory);
    return n < AFTI_PATH_MAX - 16 ? AFT_OK
                                  : AFT_FAIL(e, AFT_E_USAGE, "%s is too long a path", directory);
}

enum aft_err
aft_checkpoint_create(const struct aft_config *c, const char *directory,
                      const struct aft_lines *lines, struct aft_error *e)
{
    char state[AFTI_PATH_MAX], to[AFTI_PATH_MAX];
    int32_t *partition;
    size_t n;
    AFT_TRY(absolute(directory, to, e));
    AFT_TRY(afti_state_path(c, -1, "", state, e));
    AFT_TRY(afti_state_partitions(state, &partition, &n, e));
    enum aft_err err = AFT_OK;
    if (n == 0)
        err = AFT_FAIL(e, AFT_E_FAILED,
                       "there is no state in %s; is state.dir the one of the service?", state);
    else
        err = afti_directory_new(to, e);
    for (size_t i = 0; err == AFT_OK && i < n; i++)
        err = create_one(c, partition[i], to, lines, e);
    free(partition);
    return err;
}

/* ---- restore */
/* Opens the copy as a task would: that is the proof that it can be gone on from. */
static enum aft_err
prove(const struct aft_config *c, int32_t partition, const char *path, struct aft_error *e)
{
    struct aft_store *store;
    struct aft_joiner *joiner;
    struct aft_join_resume resume;
    struct afti_rider rider;
    struct aft_join_identity identity = {aft_config_text(c, "app.id"), partition};
    struct aft_join_out nowhere = {0};
    AFT_TRY(aft_store_rocksdb_open_with(path, aft_config_rocksdb(c), &store, e));
    enum aft_err err = aft_joiner_open(aft_config_join(c), &identity, store, &nowhere, &joiner, e);
    if (err == AFT_OK) {
        aft_joiner_resume(joiner, &resume);
        err = resume.rider.p ? afti_rider_decode(resume.rider, &rider, e)
                             : AFT_FAIL(e, AFT_E_FAILED,
                                        "nothing was ever committed there: it is no "
                                        "checkpoint of a partition at work");
        aft_joiner_close(joiner);
    }
    store->ops->close(store);
    return err;
}

static enum aft_err
copy_one(const struct aft_config *c, int32_t partition, const char *directory, struct aft_error *e)
{
    char from[AFTI_PATH_MAX + 16], to[AFTI_PATH_MAX];
    struct aft_error why;
    snprintf(from, sizeof from, "%s/%d", directory, partition);
    AFT_TRY(afti_state_path(c, partition, ".restoring", to, e));
    afti_flat_remove(to); /* what a crash left */
    AFT_TRY(afti_flat_copy(from, to, e));
    enum aft_err err = prove(c, partition, to, &why);
    return err == AFT_OK ? AFT_OK : AFT_FAIL(e, err, "%.200s: %.190s", from, why.message);
}

static enum aft_err
place_free(const struct aft_config *c, int32_t partition, struct aft_error *e)
{
    char path[AFTI_PATH_MAX];
    struct stat s;
    AFT_TRY(afti_state_path(c, partition, "", path, e));
    return stat(path, &s) != 0
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_FAILED,
                          "%s is there already and is not overwritten: stop the service and move "
                          "it away first",
                          path);
}

static enum aft_err
put_in_place(const struct aft_config *c, int32_t partition, const struct aft_lines *lines,
             struct aft_error *e)
{
    char from[AFTI_PATH_MAX], to[AFTI_PATH_MAX];
    AFT_TRY(afti_state_path(c, partition, ".restoring", from, e));
    AFT_TRY(afti_state_path(c, partition, "", to, e));
    if (rename(from, to) != 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
    tell(lines, partition, to, "");
    return AFT_OK;
}

static void
restoring_remove(const struct aft_config *c, int32_t partition)
{
    char path[AFTI_PATH_MAX];
    struct aft_error e;
    if (afti_state_path(c, partition, ".restoring", path, &e) == AFT_OK)
        afti_flat_remove(path);
}

enum aft_err
aft_checkpoint_restore(const struct aft_config *c, const char *directory,
                       const struct aft_lines *lines, struct aft_error *e)
{
    int32_t *partition;
    size_t n;
    if (strlen(directory) >= AFTI_PATH_MAX - 1)
        return AFT_FAIL(e, AFT_E_USAGE, "the directory's name is too long");
    AFT_TRY(afti_state_make(c, e));
    AFT_TRY(afti_state_partitions(directory, &partition, &n, e));
    enum aft_err err =
        n ? AFT_OK
          : AFT_FAIL(e, AFT_E_FAILED,
                     "%s holds no checkpoint: want directories named 0, 1, 2 ... in it", directory);
    for (size_t i = 0; err == AFT_OK && i < n; i++)
        err = place_free(c, partition[i], e);
    for (size_t i = 0; err == AFT_OK && i < n; i++)
        err = copy_one(c, partition[i], directory, e);
    for (size_t i = 0; err == AFT_OK && i < n; i++)
        err = put_in_place(c, partition[i], lines, e);
    for (size_t i = 0; err != AFT_OK && i < n; i++)
        restoring_remove(c, partition[i]);
    free(partition);
    return err;
}
