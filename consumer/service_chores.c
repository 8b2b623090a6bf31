/* service_chores.c - what is done beside the work, for one partition, every few seconds: checkpoints that were asked for,
 * and once a
 * day, if somebody was erased since, the purge: what was erased is then gone from the disk, not only from what is read.
 *
 * When it was last purged, and how many users had been erased then, stands in <p>.purged: a process that restarts often
 * purges all the
 * same. A partition that was never purged counts its day from the first look. The count is of what is committed: an erasure
 * that is
 * not committed yet is for the next day's purge.
 */
#include <stdio.h>
#include <stdlib.h>

#include "consumer/service_inner.h"
#include "consumer/state_dir.h"

#define DAY_MS INT64_C(86400000)

static void
purged_write(const char *path, int64_t erased, int64_t at_ms)
{
    char text[64];
    struct aft_error e;
    snprintf(text, sizeof text, "%lld %lld", (long long)erased, (long long)at_ms);
    if (afti_note_write(path, text, &e) != AFT_OK)
        aft_say("warn", "worker", "%s; the state is purged again sooner than need be", e.message);
}

/* purge_due: a day has gone by since the last purge, or since the first look at a partition that was never purged. */
static bool
purge_due(const char *path, int64_t erased, int64_t now_ms)
{
    char text[64];
    if (!afti_note_read(path, text, sizeof text)) {
        purged_write(path, 0, now_ms);
        return false;
    }
    char *rest;
    int64_t then = strtoll(text, &rest, 10), at_ms = strtoll(rest, NULL, 10);
    return erased != then && (now_ms - at_ms >= DAY_MS || now_ms < at_ms);
}

static enum aft_err
purge(const struct aft_config *c, struct aft_store *store, const struct aft_chore *chore,
      struct aft_error *e)
{
    char path[AFTI_PATH_MAX];
    AFT_TRY(afti_state_path(c, chore->partition, ".purged", path, e));
    if (!purge_due(path, chore->erased_users, chore->wall_ms))
        return AFT_OK;
    AFT_TRY(store->ops->purge(store, e));
    purged_write(path, chore->erased_users, chore->wall_ms);
    aft_say("info", "worker", "partition %d: purged; %lld users were erased so far",
            chore->partition, (long long)chore->erased_users);
    return AFT_OK;
}

enum aft_err
aft_chores(const struct aft_config *c, struct aft_store *store, const struct aft_chore *chore,
           struct aft_error *e)
{
    afti_checkpoint_asked(c, chore->partition, store);
    return purge(c, store, chore, e);
}
