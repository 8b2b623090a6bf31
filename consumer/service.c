/* service.c - `run`: construct in order, start, wait, stop, wait, free in reverse.
 * In: a checked configuration. Out: two threads that work, a page that shows it, an error that says why it ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "consumer/service_inner.h"

int64_t
afti_now(const struct aft_service *s)
{
    return s->clock.monotonic_ms(s->clock.ctx);
}

bool
afti_service_stopping(struct aft_service *s)
{
    return atomic_load(&s->stop);
}

void
aft_service_stop(struct aft_service *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    atomic_store(&s->stop, true);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void
afti_service_failed(struct aft_service *s, const struct aft_error *e)
{
    aft_say("error", "service", "%s", e->message);
    pthread_mutex_lock(&s->lock);
    if (s->failed.code == AFT_OK)
        s->failed = *e;
    pthread_mutex_unlock(&s->lock);
    aft_service_stop(s);
}

void
afti_service_state(struct aft_service *s, bool ready, const char *trouble)
{
    aft_board_state(s->board, ready, trouble);
    if (!ready)
        return;
    pthread_mutex_lock(&s->lock);
    if (!s->was_ready)
        aft_say("info", "service", "ready");
    s->was_ready = true;
    pthread_mutex_unlock(&s->lock);
}

bool
aft_service_was_ready(struct aft_service *s)
{
    pthread_mutex_lock(&s->lock);
    bool ready = s->was_ready;
    pthread_mutex_unlock(&s->lock);
    return ready;
}

bool
afti_passing(enum aft_err err)
{
    return aft_err_class(err) == AFT_CLASS_RETRY || err == AFT_E_BROKER;
}

void
afti_trouble(struct aft_service *s, struct afti_trouble *t, const char *where,
             const struct aft_error *e)
{
    int64_t now = afti_now(s);
    if (!t->now || now - t->said_ms >= AFTI_TROUBLE_MS) {
        aft_say("warn", where, "%s; trying again", e->message);
        t->said_ms = now;
    }
    t->now = true;
}

bool
afti_fenced(struct afti_fence *f, int64_t now_ms)
{
    bool again = f->times && now_ms - f->last_ms < 2 * AFTI_FENCED_TIMES * (int64_t)AFTI_FENCED_MS;
    f->times = again ? f->times + 1 : 1;
    f->since_ms = f->last_ms = now_ms;
    return f->times <= AFTI_FENCED_TIMES;
}

bool
afti_fence_waits(struct afti_fence *f, int64_t now_ms)
{
    if (f->since_ms != 0 && now_ms - f->since_ms < AFTI_FENCED_MS)
        return true;
    f->since_ms = 0;
    return false;
}

/* ---- starting */
static void
topic_line(void *ctx, const char *text)
{
    (void)ctx;
    aft_say("info", "topics", "%s", text);
}

static enum aft_err
look_around(struct aft_service *s, struct aft_error *e)
{
    struct aft_log *log;
    struct aft_topic_facts facts;
    const struct aft_kafka_options *kafka = aft_config_kafka(s->config);
    if (kafka->bootstrap[0] == '\0')
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "kafka.bootstrap.servers is not set: which Kafka? (--set "
                        "kafka.bootstrap.servers=host:9092)");
    AFT_TRY(aft_log_kafka_open(kafka, &log, e));
    enum aft_err err = aft_topics_check(s->config, log, topic_line, NULL, e);
    if (err == AFT_OK)
        err = log->ops->topic_facts(log, aft_config_text(s->config, "topics.examples"), &facts, e);
    log->ops->close(log);
    s->partitions = err == AFT_OK ? facts.partitions : 0;
    return err;
}

static enum aft_err
registry_start(struct aft_service *s, struct aft_error *e)
{
    AFT_TRY(aft_registry_of(s->config, &s->registry, e));
    s->schemas = aft_registry_port(s->registry);
    return AFT_OK;
}

static enum aft_err
threads_start(struct aft_service *s, struct aft_error *e)
{
    if (s->role != AFT_ROLE_LEARN) {
        if (pthread_create(&s->worker, NULL, afti_worker_main, s) != 0)
            return AFT_FAIL(e, AFT_E_FAILED, "cannot start a thread; too many processes?");
        s->has_worker = true;
        if (aft_config_text(s->config, "topics.history")[0] != '\0') {
            if (pthread_create(&s->history, NULL, afti_history_main, s) != 0)
                return AFT_FAIL(e, AFT_E_FAILED, "cannot start a thread; too many processes?");
            s->has_history = true;
        }
    }
    if (s->role != AFT_ROLE_JOIN) {
        if (pthread_create(&s->learner, NULL, afti_learner_main, s) != 0)
            return AFT_FAIL(e, AFT_E_FAILED, "cannot start a thread; too many processes?");
        s->has_learner = true;
    }
    return AFT_OK;
}

static void
name_owner(struct aft_service *s)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(s->owner, sizeof s->owner, "%s/%ld", host, (long)getpid());
}

enum aft_err
aft_service_start(const struct aft_config *c, enum aft_role role, bool standby,
                  struct aft_service **out, struct aft_error *e)
{
    struct aft_service *s = calloc(1, sizeof *s);
    AFT_ASSERT(s != NULL);
    s->standby = standby;
    atomic_init(&s->active, !standby);
    s->config = c;
    s->role = role;
    s->clock = aft_clock_real();
    atomic_init(&s->stop, false);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->board = aft_board_new(s->clock);
    name_owner(s);
    enum aft_err err = look_around(s, e);
    if (err == AFT_OK)
        err = registry_start(s, e);
    if (err == AFT_OK)
        err = aft_page_start(aft_config_text(c, "http.listen"), s->board, &s->page, e);
    if (err == AFT_OK)
        err = threads_start(s, e);
    if (err != AFT_OK) {
        aft_service_free(s);
        return err;
    }
    aft_say("info", "service", "version " AFT_VERSION ", application %s, %s",
            aft_config_text(c, "app.id"), s->owner);
    *out = s;
    return AFT_OK;
}

/* ---- ending */
static void
threads_end(struct aft_service *s)
{
    aft_service_stop(s);
    if (s->has_worker)
        pthread_join(s->worker, NULL);
    if (s->has_learner)
        pthread_join(s->learner, NULL);
    if (s->has_history)
        pthread_join(s->history, NULL);
    s->has_worker = s->has_learner = s->has_history = false;
}

enum aft_err
aft_service_wait(struct aft_service *s, struct aft_error *e)
{
    pthread_mutex_lock(&s->lock);
    while (!s->stopping)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    threads_end(s);
    if (s->failed.code == AFT_OK) {
        aft_say("info", "service", "stopped");
        return AFT_OK;
    }
    *e = s->failed;
    return e->code;
}

void
aft_service_free(struct aft_service *s)
{
    if (!s)
        return;
    threads_end(s);
    aft_page_stop(s->page);
    aft_board_free(s->board);
    if (s->registry)
        aft_registry_close(s->registry);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
