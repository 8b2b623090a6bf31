/* service_history.c - the history's thread: member of a group of its own over impressions and outcomes; for each partition that it is
 * given, a historian. Only where topics.history names a topic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumer/service_inner.h"

struct held {
    int32_t partition;
    struct aft_historian *historian; /* NULL: to be opened (again) at reopen_ms */
    int64_t reopen_ms;
};
struct histories {
    struct aft_service *s;
    struct aft_log *log;
    struct aft_group *group;
    struct held *v;
    size_t n;
    int64_t status_ms;
    struct afti_trouble trouble;
};

static void
drop(struct histories *h, size_t i)
{
    aft_historian_close(h->v[i].historian);
    aft_board_history_drop(h->s->board, h->v[i].partition);
    h->v[i] = h->v[--h->n];
}

static void
revoked(struct histories *h, int32_t partition)
{
    for (size_t i = h->n; i-- > 0;)
        if (h->v[i].partition == partition)
            drop(h, i);
}

static enum aft_err
group_step(struct histories *h, int timeout_ms, struct aft_error *e)
{
    struct aft_assignment a = {.event = AFT_GROUP_NOTHING};
    AFT_TRY(h->log->ops->group_poll(h->group, timeout_ms, &a, e));
    for (uint32_t i = 0; a.event != AFT_GROUP_NOTHING && i < a.n; i++) {
        revoked(h, a.partitions[i]);
        if (a.event == AFT_GROUP_REVOKED)
            continue;
        h->v = realloc(h->v, (h->n + 1) * sizeof *h->v);
        AFT_ASSERT(h->v != NULL);
        h->v[h->n++] = (struct held){.partition = a.partitions[i]};
    }
    if (a.event != AFT_GROUP_NOTHING)
        aft_say("info", "history", "%u partitions %s, %zu held now", a.n,
                a.event == AFT_GROUP_ASSIGNED ? "assigned" : "revoked", h->n);
    return AFT_OK;
}

static enum aft_err
held_step(struct histories *h, struct held *x, bool *busy, struct aft_error *e)
{
    bool did = false;
    if (!x->historian) {
        if (afti_now(h->s) < x->reopen_ms)
            return AFT_OK;
        struct aft_historian_options o = {.config = h->s->config,
                                          .log = h->log,
                                          .clock = h->s->clock,
                                          .partition = x->partition,
                                          .schemas = h->s->schemas,
                                          .owner = h->s->owner};
        return aft_historian_open(&o, &x->historian, e);
    }
    enum aft_err err = aft_historian_step(x->historian, &did, e);
    *busy = *busy || did;
    if (err == AFT_OK || !afti_passing(err))
        return err;
    if (aft_err_class(err) != AFT_CLASS_RETRY) {
        aft_historian_close(x->historian);
        x->historian = NULL;
        x->reopen_ms = afti_now(h->s) + AFTI_RETRY_MS;
    }
    return err;
}

static void
tell_board(struct histories *h)
{
    struct aft_historian_status status;
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].historian) {
            aft_historian_status(h->v[i].historian, &status);
            aft_board_history(h->s->board, &status);
        }
    h->status_ms = afti_now(h->s);
}

static enum aft_err
loop(struct histories *h, struct aft_error *e)
{
    const struct timespec pause = {0, 200000000};
    bool busy = false;
    while (!afti_service_stopping(h->s)) {
        enum aft_err err = group_step(h, busy ? 0 : AFTI_IDLE_MS, e);
        busy = false;
        for (size_t i = 0; err == AFT_OK && i < h->n; i++)
            err = held_step(h, &h->v[i], &busy, e);
        if (err != AFT_OK && !afti_passing(err))
            return err;
        h->trouble.now = h->trouble.now && err != AFT_OK;
        if (err != AFT_OK) {
            afti_trouble(h->s, &h->trouble, "history", e);
            nanosleep(&pause, NULL);
        }
        if (afti_now(h->s) - h->status_ms >= AFTI_STATUS_MS)
            tell_board(h);
    }
    return AFT_OK;
}

static enum aft_err
run(struct histories *h, struct aft_error *e)
{
    char group[280];
    const struct aft_config *c = h->s->config;
    const char *topics[2] = {aft_config_text(c, "topics.impressions"),
                             aft_config_text(c, "topics.outcomes")};
    snprintf(group, sizeof group, "%s-history", aft_config_text(c, "app.id"));
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(c), &h->log, e));
    AFT_TRY(h->log->ops->group_open(h->log, group, topics, 2, &h->group, e));
    return loop(h, e);
}

void *
afti_history_main(void *service)
{
    struct histories h = {.s = service};
    struct aft_error e;
    const struct timespec pause = {0, 100000000};
    while (!atomic_load(&h.s->active) && !afti_service_stopping(h.s))
        nanosleep(&pause, NULL); /* a standby asks for it only once it took over */
    if (!afti_service_stopping(h.s) && run(&h, &e) != AFT_OK)
        afti_service_failed(h.s, &e);
    while (h.n > 0)
        drop(&h, h.n - 1);
    if (h.group)
        h.log->ops->group_close(h.group);
    if (h.log)
        h.log->ops->close(h.log);
    free(h.v);
    return NULL;
}
