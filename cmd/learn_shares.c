/* learn_shares.c - `learn --share` and `--merge`: the work shared by processes. A share's snapshot holds the sums of its partitions and is
 * an ordinary snapshot; merged by partition number they are the one that a single process would have written: the same digest.
 * In: snapshots in container files. Out: a learner, the ends of all partitions. One thread. */
#include <stdio.h>
#include <string.h>

#include "cmd/learn.h"
#include "cmd/snapshot.h"

static enum aft_err
sums_only(const struct learn_job *j, struct aft_error *e)
{
    struct aft_learner *l = NULL;
    AFT_TRY(aft_learner_new(j->settings, &l, e));
    bool sums = aft_learner_sums(l);
    aft_learner_free(l);
    return sums ? AFT_OK
                : AFT_FAIL(e, AFT_E_CONFIG,
                           "only sums can be shared: set learner.shards to 1 or more (and "
                           "learner.model=ridge; docs/MODELS.md)");
}

enum aft_err
learn_share(struct learn_job *j, const char *text, struct aft_error *e)
{
    unsigned number, of;
    char rest;
    if (sscanf(text, "%5u/%5u%c", &number, &of, &rest) != 2 || number >= of)
        return AFT_FAIL(e, AFT_E_USAGE, "--share=%.40s: want I/N with I below N, such as 0/2",
                        text);
    j->share = (struct aft_share){number, of};
    return sums_only(j, e);
}

/* The ends of the partitions that it learned, beside those that are here. */
static enum aft_err
take_ends(struct learn_job *j, const char *path, const struct aft_manifest *m, struct aft_error *e)
{
    for (uint32_t i = 0; i < m->ends_n; i++) {
        int32_t p = m->ends[i].partition;
        if (p < 0 || p >= LEARN_FILES_MAX)
            return AFT_FAIL(e, AFT_E_LIMIT, "%s: partition %d: at most %d", path, p,
                            LEARN_FILES_MAX);
        if (m->ends[i].next_seq > j->ends[p].next_seq)
            j->ends[p] = m->ends[i];
    }
    if ((int32_t)m->ends_n > j->n)
        j->n = (int32_t)m->ends_n;
    return AFT_OK;
}

static enum aft_err
adopt(struct learn_job *j, const char *path, const struct snapshot_history *h, struct aft_error *e)
{
    struct aft_learner *one = NULL;
    const struct aft_snapshot_record *r = aft_snapshot_set_manifest(h->serving);
    if (!r)
        return AFT_FAIL(e, AFT_E_FAILED, "%s holds no whole snapshot of model %s", path, h->model);
    AFT_TRY(aft_learner_new(j->settings, &one, e));
    enum aft_err err = aft_learner_restore(one, h->serving, e);
    if (err == AFT_OK)
        err = aft_learner_adopt(j->learner, one, e);
    if (err == AFT_OK)
        err = take_ends(j, path, &r->manifest, e);
    aft_learner_free(one);
    return err;
}

static enum aft_err
merge_file(struct learn_job *j, const char *path, const char *model, struct aft_error *e)
{
    struct snapshot_history h = {.model = model};
    enum aft_err err = snapshot_read_file(path, &h, e);
    if (err == AFT_OK)
        err = adopt(j, path, &h, e);
    snapshot_history_free(&h);
    return err;
}

/* A partition without examples may be one; or the share that has it is not here. */
static void
say_empty(const struct learn_job *j)
{
    for (int32_t p = 0; p < j->n; p++)
        if (j->ends[p].next_seq == 0)
            fprintf(
                stderr,
                "aftertouch learn: partition %d has no example in any of these snapshots: if it is "
                "not empty, --merge the share that learned it, too\n",
                p);
}

enum aft_err
learn_merge(struct learn_job *j, const char *model, struct aft_error *e)
{
    int32_t files = j->n;
    AFT_TRY(sums_only(j, e));
    AFT_TRY(aft_learner_new(j->settings, &j->learner, e));
    for (int32_t p = 0; p < LEARN_FILES_MAX; p++)
        j->ends[p] = (struct aft_end){.partition = p};
    j->n = 0;
    for (int32_t i = 0; i < files; i++)
        AFT_TRY(merge_file(j, j->files[i], model, e));
    aft_learner_merge(j->learner);
    say_empty(j);
    return AFT_OK;
}
