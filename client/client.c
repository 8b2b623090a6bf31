/* client.c - a client from open to close. Construct in order, free in reverse. Any thread may poll, flush and look. */
#include <stdlib.h>

#include "client/client_inner.h"

enum { OWN_BYTES_MAX = 1 << 20 };

/* ---- open */
static enum aft_err
own(struct aft_arena *a, const char **s, size_t max, const char *what, struct aft_error *e)
{
    if (!*s)
        return AFT_OK;
    struct aft_bytes copy = {(const uint8_t *)*s, strlen(*s) + 1};
    if (copy.n == 1 || copy.n > max + 1)
        return AFT_FAIL(e, AFT_E_CONFIG, "options.%s has %zu bytes; give 1 to %zu", what,
                        copy.n - 1, max);
    copy = aft_arena_copy(a, copy);
    if (!copy.p)
        return AFT_FAIL(e, AFT_E_CONFIG, "the options are too big");
    *s = (const char *)copy.p;
    return AFT_OK;
}

static enum aft_err
take_options(struct aft_client *c, const struct aft_client_options *from, struct aft_error *e)
{
    struct aft_client_options *o = &c->options;
    *o = (struct aft_client_options)AFT_CLIENT_OPTIONS;
    if (from->size > sizeof *o)
        return AFT_FAIL(e, AFT_E_USAGE,
                        "the options are of a newer library (%zu bytes); update this one",
                        from->size);
    memcpy(o, from, from->size);
    AFT_TRY(own(&c->own, &o->model, AFT_ID_BYTES_MAX, "model", e));
    AFT_TRY(own(&c->own, &o->snapshot_file, 4000, "snapshot_file", e));
    AFT_TRY(own(&c->own, &o->policy, AFT_ID_BYTES_MAX, "policy", e));
    AFT_TRY(own(&c->own, &o->baseline, AFT_ID_BYTES_MAX, "baseline", e));
    AFT_TRY(own(&c->own, &o->baseline_salt, AFT_ID_BYTES_MAX, "baseline_salt", e));
    AFT_TRY(own(&c->own, &o->history_click, AFT_ID_BYTES_MAX, "history_click", e));
    AFT_TRY(own(&c->own, &o->history_file, 4000, "history_file", e));
    AFT_TRY(own(&c->own, &o->history_task, AFT_ID_BYTES_MAX, "history_task", e));
    AFT_TRY(own(&c->own, &o->history_topic, AFT_ID_BYTES_MAX, "history_topic", e));
    AFT_TRY(own(&c->own, &o->engine_policy, AFT_ID_BYTES_MAX, "engine_policy", e));
    AFT_TRY(own(&c->own, &o->spill_file, 4000, "spill_file", e));
    AFT_TRY(own(&c->own, &o->shadow_model, AFT_ID_BYTES_MAX, "shadow_model", e));
    AFT_TRY(own(&c->own, &o->impressions_topic, AFT_ID_BYTES_MAX, "impressions_topic", e));
    AFT_TRY(own(&c->own, &o->outcomes_topic, AFT_ID_BYTES_MAX, "outcomes_topic", e));
    if (!o->policy || !o->baseline || !o->baseline_salt)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "options.policy, .baseline and .baseline_salt need a text each; begin from "
                        "AFT_CLIENT_OPTIONS");
    if (!o->engine_policy)
        o->engine_policy = "engine";
    if (!o->spill_bytes)
        o->spill_bytes = 64u << 20;
    if ((unsigned)o->mode > AFT_CLIENT_LOG_ONLY)
        return AFT_FAIL(e, AFT_E_CONFIG, "options.mode %d is none of the known ones", (int)o->mode);
    if (!(o->baseline_share >= 0 && o->baseline_share <= 1))
        return AFT_FAIL(e, AFT_E_CONFIG, "options.baseline_share is %g; give 0 to 1",
                        o->baseline_share);
    if (o->impressions_share == 0)
        o->impressions_share = 1;
    if (!(o->impressions_share >= AFT_PASS_LEAST && o->impressions_share <= 1))
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "options.impressions_share is %g; give %g to 1: of less nothing can be learned",
            o->impressions_share, AFT_PASS_LEAST);
    if (o->wait_ms < 0 || o->queue_ms < 0)
        return AFT_FAIL(e, AFT_E_CONFIG, "options.wait_ms and .queue_ms must not be negative");
    if (o->public_key) {
        memcpy(c->public_key, o->public_key, sizeof c->public_key);
        aft_snapshot_set_key(c->follow.set, c->public_key);
    }
    AFT_TRY(afti_history_start(c, e));
    return afti_ids_init(&c->ids, o->seed, e);
}

static enum aft_err
start(struct aft_client *c, struct aft_error *e)
{
    const char *path = c->options.snapshot_file;
    AFT_TRY(afti_shadow_start(c, e));
    if (path) {
        bool missing = false;
        enum aft_err err = afti_client_snapshot_load(c, path, &missing, e);
        bool mendable = c->transport.poll_snapshots != NULL;
        if (err != AFT_OK &&
            !(mendable || missing)) /* what the set refuses is no argument's fault */
            return err == AFT_E_VALUE ? (e->code = AFT_E_MALFORMED) : err;
        if (err != AFT_OK && !missing) {
            c->follow.refused++;
            memcpy(c->follow.last_refusal, e->message, sizeof c->follow.last_refusal);
        }
    }
    if (c->options.spill_file)
        AFT_TRY(afti_spill_open(&c->spill, c->options.spill_file, c->options.spill_bytes, e));
    afti_spill_drain(c);
    AFT_TRY(afti_follow_start(c, e));
    return afti_history_follow_start(c, e);
}

static void delete (struct aft_client *c)
{
    afti_follow_stop(c);
    afti_history_follow_stop(c);
    if (c->transport.close)
        c->transport.close(c->transport.ctx);
    afti_spill_close(&c->spill);
    afti_decisions_deinit(&c->pool);
    afti_cell_deinit(&c->cell);
    afti_shadow_stop(c);
    afti_history_free(c->history);
    aft_snapshot_set_free(c->follow.set);
    pthread_cond_destroy(&c->follow.moved);
    pthread_mutex_destroy(&c->follow.lock);
    aft_arena_deinit(&c->own);
    free(c);
}

/* Waits are by the monotonic clock: the other one may be set. */
static void
follow_init(struct afti_follow *f)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum aft_err
aft_client_open_over(const struct aft_client_options *options,
                     const struct aft_client_transport *transport, struct aft_client **client,
                     struct aft_error *e)
{
    *client = NULL;
    struct aft_client *c = calloc(1, sizeof *c);
    if (!c) {
        if (transport->close)
            transport->close(transport->ctx);
        return AFT_FAIL(e, AFT_E_NOMEM, "no memory for a client");
    }
    c->transport = *transport;
    c->spill.fd = -1;
    if (transport->listen)
        transport->listen(transport->ctx, afti_undelivered, c);
    aft_arena_init(&c->own, OWN_BYTES_MAX);
    follow_init(&c->follow);
    c->follow.set = aft_snapshot_set_new();
    aft_snapshot_set_weights_only(c->follow.set);
    afti_cell_init(&c->cell, aft_model_uniform());
    enum aft_err err = take_options(c, options, e);
    if (err == AFT_OK)
        err = start(c, e);
    if (err != AFT_OK) {
        delete (c);
        return err;
    }
    *client = c;
    return AFT_OK;
}

enum aft_client_code
aft_client_open(const struct aft_client_options *options, struct aft_client **client,
                struct aft_client_error *why)
{
    struct aft_error e;
    struct aft_client_transport transport = {0};
    struct aft_client_options whole = AFT_CLIENT_OPTIONS;
    enum aft_err err = AFT_OK;
    *client = NULL;
    if (options->size > sizeof whole)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE,
                     "the options are of a newer library (%zu bytes); update this one",
                     options->size),
            &e, why);
    memcpy(&whole, options, options->size);
    if (whole.bootstrap_servers)
        err = aft_client_transport_kafka(&whole, &transport, &e);
    if (err == AFT_OK)
        err = aft_client_open_over(&whole, &transport, client, &e);
    return afti_client_public(err, &e, why);
}

/* ---- poll, flush, close */
void
aft_client_poll(struct aft_client *c, int32_t timeout_ms)
{
    if (c->transport.poll)
        c->transport.poll(c->transport.ctx, timeout_ms);
    afti_spill_drain(c);
    afti_follow_poll(c, 0);
    afti_history_follow_poll(c);
}

/* Taken and not delivered: in the queue, or still in the spill file after a try. */
static uint64_t
undelivered(struct aft_client *c)
{
    afti_spill_drain(c);
    return c->transport.waiting(c->transport.ctx) + afti_spill_waiting(c);
}

enum aft_client_code
aft_client_flush(struct aft_client *c, int32_t timeout_ms, struct aft_client_error *why)
{
    struct aft_error e;
    if (!c->transport.waiting)
        return AFT_CLIENT_OK;
    int64_t until = afti_monotonic_ms() + timeout_ms;
    uint64_t left = undelivered(c);
    while (left > 0 && afti_monotonic_ms() < until) {
        c->transport.poll(c->transport.ctx, 10);
        left = undelivered(c);
    }
    c->transport.poll(c->transport.ctx, 0); /* reports that came last */
    afti_spill_drain(c);                    /* empty now, where all is delivered */
    if (left == 0)
        return AFT_CLIENT_OK;
    return afti_client_public(
        AFT_FAIL(&e, AFT_E_AGAIN, "%llu records are not delivered yet", (unsigned long long)left),
        &e, why);
}

enum aft_client_code
aft_client_close(struct aft_client *c, int32_t timeout_ms, struct aft_client_error *why)
{
    AFT_ASSERT(atomic_load(&c->held) == 0);
    enum aft_client_code code = aft_client_flush(c, timeout_ms, why);
    struct aft_error e;
    if (c->history && c->options.history_file) {
        enum aft_err err = afti_history_save(c->history, c->options.history_file, &e);
        if (code == AFT_CLIENT_OK)
            code = afti_client_public(err, &e, why);
    }
    delete (c);
    return code;
}

/* ---- looking */
void
aft_client_info(struct aft_client *c, struct aft_client_info *info)
{
    struct aft_client_info x = AFT_CLIENT_INFO;
    unsigned slot = afti_cell_take(&c->cell);
    const struct aft_model *m = c->cell.slots[slot].model;
    struct aft_bytes id = aft_model_snapshot_id(m);
    if (id.p && id.n < sizeof x.snapshot_id)
        memcpy(x.snapshot_id, id.p, id.n);
    x.round = id.p ? aft_model_round(m) : 0;
    afti_cell_give(&c->cell, slot);
    pthread_mutex_lock(&c->follow.lock);
    x.snapshots_applied = c->follow.applied;
    x.snapshots_refused = c->follow.refused;
    memcpy(x.last_refusal, c->follow.last_refusal, sizeof x.last_refusal);
    x.snapshot_event_ms = c->follow.event_ms;
    x.snapshot_applied_ms = c->follow.applied_ms;
    struct aft_snapshot_stats s = c->follow.stats;
    pthread_mutex_unlock(&c->follow.lock);
    x.snapshot_bytes = s.bytes;
    x.snapshot_deltas = s.deltas;
    x.snapshot_pinned = s.pinned;
    x.refused_malformed = s.refused[AFT_SNAPSHOT_MALFORMED];
    x.refused_forged = s.refused[AFT_SNAPSHOT_FORGED];
    x.refused_torn = s.refused[AFT_SNAPSHOT_TORN];
    x.refused_old = s.refused[AFT_SNAPSHOT_OLD];
    x.refused_orphan = s.refused[AFT_SNAPSHOT_ORPHAN];
    x.refused_foreign = s.refused[AFT_SNAPSHOT_FOREIGN];
    x.decisions = atomic_load(&c->decisions);
    x.impressions = atomic_load(&c->impressions);
    x.outcomes = atomic_load(&c->outcomes);
    x.undelivered = atomic_load(&c->undelivered);
    afti_history_stats(c->history, &x.history_users, &x.history_forgotten);
    x.history_records = atomic_load(&c->history_follow.records);
    x.history_refused = atomic_load(&c->history_follow.refused);
    x.history_level = atomic_load(&c->history_follow.at_end);
    x.waiting = c->transport.waiting ? c->transport.waiting(c->transport.ctx) : 0;
    x.passed_over = atomic_load(&c->passed_over);
    x.shadow_applied = atomic_load(&c->shadow.applied);
    x.spilled = atomic_load(&c->spill.taken);
    x.spill_waiting = afti_spill_waiting(c);
    size_t size = info->size < sizeof x ? info->size : sizeof x;
    x.size = size;
    memcpy(info, &x, size);
}

const char *
aft_client_version(void)
{
    return AFT_VERSION;
}
