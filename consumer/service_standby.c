/* service_standby.c - `run --standby`: every partition is followed, muted, by a task of ours; none is ours until its owner is gone.
 *
 * A standby is not in the consumer group. It looks at the owners' marks (log.h): how far they committed, which the tasks follow, and a
 * note "EPOCH COUNT" that is new several times in standby.after. An owner is gone when for standby.after nothing of it was new:
 * neither its note nor an example nor an epoch. Then the task takes the partition over by the ownership protocol; that is safe at
 * any time, also when the owner was only slow: it reads the newer epoch and lets go.
 * The group knows of the dead one until its session ends; a join before that would stop every other member to wait for it. So we
 * join it later, if nobody of the group has taken the partitions back by then. What the group gives to others is followed again.
 *
 * In: the owners' marks, statuses of tasks. Out: tasks told how far to follow, tasks told to own. Thread: the worker's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "consumer/service_inner.h"

enum { LOOKS = 10 }; /* in standby.after */
enum {
    NEW_OWNER_MS = 60000
}; /* how long a new epoch may do without a note: its owner reads the journals */
enum { SESSION_MS = 45000, AFTER_SESSION_MS = 5000 }; /* librdkafka's default session.timeout.ms */

static const char *const inputs[2] = {"topics.impressions", "topics.outcomes"};

void
afti_standby_begin(struct afti_worker *w)
{
    for (int32_t p = 0; p < w->s->partitions; p++) {
        struct afti_held *h = afti_held_add(w, p);
        h->epoch = -1;
        h->life_ms = afti_now(w->s);
    }
    w->marks = calloc(2 * (size_t)w->s->partitions, sizeof *w->marks);
    AFT_ASSERT(w->marks != NULL);
    aft_say("info", "standby", "following %d partitions; nothing is written", w->s->partitions);
}

bool
afti_standby_level(const struct afti_held *h)
{
    struct aft_task_following f;
    if (!h->task)
        return false;
    aft_task_following(h->task, &f);
    return f.follows && f.level;
}

void
afti_standby_let_go(struct afti_worker *w, struct afti_held *h, bool drain)
{
    afti_held_close(w, h, drain);
    h->ours = h->assigned = false;
    h->fence = (struct afti_fence){0};
    h->taken_ms = 0;
    h->life_ms = afti_now(w->s);
}

/* ---- taking */
static void
take(struct afti_worker *w, struct afti_held *h)
{
    h->ours = true;
    h->taken_ms = afti_now(w->s);
    if (h->task)
        aft_task_own(h->task);
    atomic_store(&w->s->active, true);
}

void
afti_standby_assigned(struct afti_worker *w)
{
    for (size_t i = 0; i < w->held_n; i++) {
        struct afti_held *h = &w->held[i];
        if (h->assigned && !h->ours)
            take(w, h);
        else if (!h->assigned && h->ours)
            afti_standby_let_go(w, h, true);
    }
}

static int64_t
session_ms(const struct aft_config *c)
{
    const struct aft_kafka_options *k = aft_config_kafka(c);
    int64_t ms = SESSION_MS;
    for (uint32_t i = 0; i < k->common_n; i++)
        if (strcmp(k->common[i].name, "session.timeout.ms") == 0)
            ms = strtoll(k->common[i].value, NULL, 10);
    for (uint32_t i = 0; i < k->consumer_n; i++)
        if (strcmp(k->consumer[i].name, "session.timeout.ms") == 0)
            ms = strtoll(k->consumer[i].value, NULL, 10);
    return ms;
}

static void
take_from_silent(struct afti_worker *w, struct afti_held *h, int64_t now)
{
    aft_say("warn", "standby",
            "partition %d: no sign of its owner (epoch %lld) for %lld ms; taking over",
            h->partition, (long long)h->epoch, (long long)(now - h->life_ms));
    take(w, h);
    if (!w->group && w->join_ms == 0)
        w->join_ms = now + session_ms(w->s->config) + AFTER_SESSION_MS;
}

/* ---- watching */
/* A sign of life: a new note, example or epoch. After a new epoch its owner's first note may be long in coming. */
static void
look_at(struct afti_held *h, const struct aft_task_following *f, const char *note, int64_t now)
{
    bool news = strcmp(note, h->note) != 0;
    h->noted = note[0] && strtoll(note, NULL, 10) == f->epoch;
    if (news || f->epoch != h->epoch || f->published_seq != h->published_seq)
        h->life_ms = now;
    h->epoch = f->epoch;
    h->published_seq = f->published_seq;
    snprintf(h->note, sizeof h->note, "%s", note);
}

static enum aft_err
watch_one(struct afti_worker *w, struct afti_held *h, int64_t now, struct aft_error *e)
{
    struct aft_task_following f;
    const struct aft_mark *mark = &w->marks[h->partition];
    if (!h->task || h->ours)
        return AFT_OK;
    const int64_t committed[2] = {mark->offset, mark[w->s->partitions].offset};
    aft_task_following(h->task, &f);
    look_at(h, &f, mark->note, now);
    int64_t patience = aft_config_int(w->s->config, "standby.after");
    if (!h->noted && h->epoch >= 0 && patience < NEW_OWNER_MS)
        patience = NEW_OWNER_MS;
    if (now - h->life_ms < patience)
        return aft_task_follow(h->task, committed, e);
    take_from_silent(w, h, now);
    return AFT_OK;
}

static enum aft_err
look(struct afti_worker *w, struct aft_error *e)
{
    const struct aft_config *c = w->s->config;
    int32_t n = w->s->partitions;
    for (int log = 0; log < 2; log++)
        AFT_TRY(w->log->ops->mark_look(w->log, w->marks_name, aft_config_text(c, inputs[log]), n,
                                       w->marks + (size_t)log * (size_t)n, e));
    for (size_t i = 0; i < w->held_n; i++)
        AFT_TRY(watch_one(w, &w->held[i], afti_now(w->s), e));
    return AFT_OK;
}

/* Nobody took back what we took: the group is told that we are there. */
static enum aft_err
join_when_due(struct afti_worker *w, int64_t now, struct aft_error *e)
{
    bool any = false;
    if (w->group || w->join_ms == 0 || now < w->join_ms)
        return AFT_OK;
    for (size_t i = 0; i < w->held_n; i++)
        any = any || w->held[i].ours;
    w->join_ms = 0;
    return any ? afti_worker_join(w, e) : AFT_OK;
}

enum aft_err
afti_standby_watch(struct afti_worker *w, struct aft_error *e)
{
    int64_t now = afti_now(w->s);
    if (now - w->look_ms < aft_config_int(w->s->config, "standby.after") / LOOKS)
        return AFT_OK;
    bool away = now - w->look_ms > aft_config_int(w->s->config, "standby.after") / 2;
    for (size_t i = 0; away && i < w->held_n; i++)
        w->held[i].life_ms = now; /* it was we who did not look: a large state was opened */
    enum aft_err err = look(w, e);
    w->look_ms = afti_now(w->s);
    if (err == AFT_OK)
        return join_when_due(w, now, e);
    if (!afti_passing(err))
        return err;
    afti_trouble(w->s, &w->trouble, "standby", e);
    for (size_t i = 0; i < w->held_n; i++)
        w->held[i].life_ms = w->look_ms; /* it is we who see nothing */
    return AFT_OK;
}
