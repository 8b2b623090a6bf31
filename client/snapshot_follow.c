/* snapshot_follow.c - records of the snapshots topic become the next model. Thread: the client's own where the transport is
 * threaded, else whoever calls aft_client_poll (one at a time). The set belongs to that thread; the lock guards what others look at.
 *
 * I1 the model that decides changes only to one that was whole and verified (aft_snapshot_set) and could be loaded: whatever else
 *    arrives is counted, its reason kept, and the model before stays. */
#include <time.h>

#include "client/client_inner.h"

enum { TURN_MS = 100, REST_MS = 200 };

static void
refuse(struct aft_client *c, const struct aft_error *e)
{
    pthread_mutex_lock(&c->follow.lock);
    c->follow.refused++;
    memcpy(c->follow.last_refusal, e->message, sizeof c->follow.last_refusal);
    pthread_mutex_unlock(&c->follow.lock);
}

static void
complain(struct aft_client *c, const struct aft_error *e)
{
    pthread_mutex_lock(&c->follow.lock);
    memcpy(c->follow.last_refusal, e->message, sizeof c->follow.last_refusal);
    pthread_mutex_unlock(&c->follow.lock);
}

/* The pending model goes live if a slot of the cell is free; else at a later turn, or a newer one takes its place. */
static void
put_pending(struct aft_client *c)
{
    if (!c->follow.pending || !afti_cell_put(&c->cell, c->follow.pending))
        return;
    pthread_mutex_lock(&c->follow.lock);
    c->follow.pending = NULL;
    c->follow.applied++;
    c->follow.event_ms = c->follow.pending_event_ms;
    c->follow.applied_ms = afti_client_now(c);
    pthread_cond_broadcast(&c->follow.moved);
    pthread_mutex_unlock(&c->follow.lock);
}

enum aft_err
afti_follow_body(struct aft_client *c, struct aft_bytes body, bool *whole, struct aft_error *e)
{
    struct aft_model *model;
    struct aft_snapshot_stats stats;
    enum aft_err err = aft_snapshot_set_add(c->follow.set, body, whole, e);
    aft_snapshot_set_stats(c->follow.set, &stats);
    pthread_mutex_lock(&c->follow.lock);
    c->follow.stats = stats;
    pthread_mutex_unlock(&c->follow.lock);
    AFT_TRY(err);
    if (!*whole)
        return AFT_OK;
    AFT_TRY(aft_model_load(c->follow.set, &model, e));
    if (c->follow.pending)
        aft_model_free(c->follow.pending);
    c->follow.pending = model;
    c->follow.pending_event_ms = aft_snapshot_set_manifest(c->follow.set)->manifest.event_time_ms;
    put_pending(c);
    return AFT_OK;
}

static enum aft_err
body_of(struct aft_bytes value, struct aft_bytes *body, struct aft_error *e)
{
    struct aft_frame frame;
    AFT_TRY(aft_frame_parse(value, &frame, e));
    if (frame.kind == AFT_FRAME_SINGLE_OBJECT &&
        frame.fingerprint != aft_record_fingerprint(AFT_RECORD_SNAPSHOT))
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                        "a snapshot record was written with another schema; update this library");
    *body = frame.body;
    return AFT_OK;
}

enum aft_err
afti_follow_record(struct aft_client *c, struct aft_bytes value, bool *whole, struct aft_error *e)
{
    struct aft_bytes body;
    *whole = false;
    AFT_TRY(body_of(value, &body, e));
    return afti_follow_body(c, body, whole, e);
}

static bool
is_of(struct aft_bytes model, struct aft_bytes key)
{
    return key.n > model.n && memcmp(key.p, model.p, model.n) == 0 && key.p[model.n] == '/';
}

static void
on_record(void *ctx, struct aft_bytes key, struct aft_bytes value)
{
    struct aft_client *c = ctx;
    struct aft_error e;
    bool whole;
    struct aft_bytes model = aft_text(c->options.model), body;
    if (value.p && c->shadow.set && is_of(aft_text(c->options.shadow_model), key) &&
        (body_of(value, &body, &e) != AFT_OK || afti_shadow_body(c, body, &e) != AFT_OK))
        refuse(c, &e);
    if (!value.p || (model.p && !is_of(model, key)))
        return;
    if (afti_follow_record(c, value, &whole, &e) != AFT_OK) {
        refuse(c, &e);
        return;
    }
    const char *path = c->options.snapshot_file;
    if (whole && path && afti_client_snapshot_save(c->follow.set, path, &e) != AFT_OK)
        complain(c, &e);
}

static enum aft_err
turn(struct aft_client *c, int timeout_ms, struct aft_error *e)
{
    bool at_end = false;
    put_pending(c);
    afti_shadow_put(c);
    enum aft_err err =
        c->transport.poll_snapshots(c->transport.ctx, timeout_ms, on_record, c, &at_end, e);
    if (err == AFT_OK && at_end) {
        pthread_mutex_lock(&c->follow.lock);
        c->follow.at_end = true;
        pthread_cond_broadcast(&c->follow.moved);
        pthread_mutex_unlock(&c->follow.lock);
    }
    return err;
}

static bool
stopping(struct aft_client *c)
{
    pthread_mutex_lock(&c->follow.lock);
    bool stop = c->follow.stop;
    pthread_mutex_unlock(&c->follow.lock);
    return stop;
}

static void *
follow(void *ctx)
{
    struct aft_client *c = ctx;
    struct aft_error e;
    while (!stopping(c)) {
        if (turn(c, TURN_MS, &e) == AFT_OK)
            continue;
        complain(c, &e);
        nanosleep(&(struct timespec){0, REST_MS * 1000000L}, NULL);
    }
    return NULL;
}

void
afti_follow_poll(struct aft_client *c, int timeout_ms)
{
    struct aft_error e;
    if (!c->transport.poll_snapshots || c->transport.threaded)
        return;
    if (turn(c, timeout_ms, &e) != AFT_OK)
        complain(c, &e);
}

/* Until something newer than the `before` that the file gave serves, or, where a model does, the topic was read to its end. */
static void
wait_first(struct aft_client *c, uint64_t before)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)(c->options.wait_ms % 1000) * 1000000;
    until.tv_sec += c->options.wait_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    int late = 0;
    pthread_mutex_lock(&c->follow.lock);
    while (late == 0 && c->follow.applied == before && !(before > 0 && c->follow.at_end))
        late = pthread_cond_timedwait(&c->follow.moved, &c->follow.lock, &until);
    pthread_mutex_unlock(&c->follow.lock);
}

enum aft_err
afti_follow_start(struct aft_client *c, struct aft_error *e)
{
    if (!c->transport.poll_snapshots)
        return AFT_OK;
    if (!c->transport.threaded) {
        afti_follow_poll(c, c->options.wait_ms);
        return AFT_OK;
    }
    uint64_t before = c->follow.applied;
    int code = pthread_create(&c->follow.thread, NULL, follow, c);
    if (code != 0)
        return AFT_FAIL(e, AFT_E_FAILED, "no thread to follow the snapshots: %s", strerror(code));
    c->follow.running = true;
    if (c->options.wait_ms > 0)
        wait_first(c, before);
    return AFT_OK;
}

void
afti_follow_stop(struct aft_client *c)
{
    if (c->follow.running) {
        pthread_mutex_lock(&c->follow.lock);
        c->follow.stop = true;
        pthread_mutex_unlock(&c->follow.lock);
        pthread_join(c->follow.thread, NULL);
        c->follow.running = false;
    }
    if (c->follow.pending)
        aft_model_free(c->follow.pending);
    c->follow.pending = NULL;
}
