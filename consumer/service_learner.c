/* service_learner.c - the learner's thread: member of a group over the rounds topic; of several processes the one that is given its
 * one partition learns, the others stand by.
 */
#include <stdio.h>
#include <time.h>

#include "consumer/service_inner.h"

struct learner {
    struct aft_service *s;
    struct aft_log *log;
    struct aft_group *group;
    struct aft_learning *learning;
    bool ours;
    int64_t reopen_ms, status_ms;
    struct afti_fence fence;
    struct afti_trouble trouble;
};

static void
let_go(struct learner *l)
{
    aft_learning_close(l->learning);
    l->learning = NULL;
}

static enum aft_err
group_step(struct learner *l, int timeout_ms, struct aft_error *e)
{
    struct aft_assignment a = {.event = AFT_GROUP_NOTHING};
    AFT_TRY(l->log->ops->group_poll(l->group, timeout_ms, &a, e));
    if (a.event == AFT_GROUP_NOTHING)
        return AFT_OK;
    l->ours = a.event == AFT_GROUP_ASSIGNED && a.n > 0;
    l->fence = (struct afti_fence){0};
    if (!l->ours)
        let_go(l);
    aft_say("info", "learner",
            l->ours ? "this process learns" : "another process learns; standing by");
    return AFT_OK;
}

static void
tell_board(struct learner *l)
{
    struct aft_learning_status status;
    aft_learning_status(l->learning, &status);
    aft_board_learning(l->s->board, &status);
    l->status_ms = afti_now(l->s);
}

static enum aft_err
step(struct learner *l, bool *busy, struct aft_error *e)
{
    if (!l->learning) {
        if (afti_now(l->s) < l->reopen_ms || afti_fence_waits(&l->fence, afti_now(l->s)))
            return AFT_OK;
        struct aft_learning_options o = {.config = l->s->config,
                                         .log = l->log,
                                         .clock = l->s->clock,
                                         .partitions = l->s->partitions,
                                         .owner = l->s->owner};
        return aft_learning_open(&o, &l->learning, e);
    }
    AFT_TRY(aft_learning_step(l->learning, AFTI_IDLE_MS, busy, e));
    if (afti_now(l->s) - l->status_ms >= AFTI_STATUS_MS)
        tell_board(l);
    return AFT_OK;
}

/* As the worker's: wait over it, await the rebalance, or give up. */
static enum aft_err
failed(struct learner *l, struct aft_error *e)
{
    int64_t now = afti_now(l->s);
    if (e->code == AFT_E_NOT_OWNER) {
        aft_say("warn", "learner", "%s; letting go of it", e->message);
        let_go(l);
        return afti_fenced(&l->fence, now)
                   ? AFT_OK
                   : AFT_FAIL(e, AFT_E_NOT_OWNER,
                              "the rounds are taken again and again by somebody who is not in our "
                              "consumer group; is another process learning on these topics?");
    }
    if (!afti_passing(e->code))
        return e->code;
    afti_trouble(l->s, &l->trouble, "learner", e);
    if (aft_err_class(e->code) != AFT_CLASS_RETRY)
        let_go(l);
    l->reopen_ms = now + AFTI_RETRY_MS;
    return AFT_OK;
}

static enum aft_err
learner_loop(struct learner *l, struct aft_error *e)
{
    bool busy = false;
    while (!afti_service_stopping(l->s)) {
        enum aft_err err = group_step(l, busy || l->learning ? 0 : 5 * AFTI_IDLE_MS, e);
        busy = false;
        if (err == AFT_OK && l->ours)
            err = step(l, &busy, e);
        if (err != AFT_OK)
            AFT_TRY(failed(l, e));
        else
            l->trouble.now = false;
        if (l->s->role == AFT_ROLE_LEARN)
            afti_service_state(l->s, err == AFT_OK, err == AFT_OK ? "" : e->message);
        if (err != AFT_OK) {
            struct timespec pause = {0, 200000000};
            nanosleep(&pause, NULL);
        }
    }
    return AFT_OK;
}

static enum aft_err
learner_run(struct learner *l, struct aft_error *e)
{
    char group[280];
    const struct aft_config *c = l->s->config;
    const char *topic = aft_config_text(c, "topics.rounds");
    snprintf(group, sizeof group, "%s-learner", aft_config_text(c, "app.id"));
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(c), &l->log, e));
    AFT_TRY(l->log->ops->group_open(l->log, group, &topic, 1, &l->group, e));
    return learner_loop(l, e);
}

void *
afti_learner_main(void *service)
{
    struct learner l = {.s = service};
    struct aft_error e;
    const struct timespec pause = {0, 100000000};
    while (!atomic_load(&l.s->active) && !afti_service_stopping(l.s))
        nanosleep(&pause, NULL); /* a standby asks for the rounds only once it took over */
    if (!afti_service_stopping(l.s) && learner_run(&l, &e) != AFT_OK)
        afti_service_failed(l.s, &e);
    let_go(&l);
    if (l.group)
        l.log->ops->group_close(l.group);
    if (l.log)
        l.log->ops->close(l.log);
    return NULL;
}
