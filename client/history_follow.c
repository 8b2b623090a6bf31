/* history_follow.c - records of the history's topic go into the table: what other processes logged counts here too. Thread: the client's
 * own, another than the snapshots', where the transport is threaded; else whoever calls aft_client_poll (one at a time).
 *
 *   History of a user  ->  in place of what was known of him, but for what this client logged itself and it does not hold yet
 *   tombstone          ->  he is forgotten
 *
 * What arrives and is no History is counted, and changes nothing. */
#include <time.h>

#include "client/client_inner.h"

enum { TURN_MS = 100, REST_MS = 200, ARENA_BYTES = 1 << 20 };

static enum aft_err
take(struct aft_client *c, struct aft_bytes key, struct aft_bytes value, struct aft_error *e)
{
    uint64_t ids[AFT_HISTORY_EVENTS_MAX];
    struct aft_frame frame;
    struct aft_history x;
    if (!value.p) {
        afti_history_tell(c->history, key, NULL);
        return AFT_OK;
    }
    aft_arena_reset(&c->history_follow.arena);
    AFT_TRY(aft_frame_parse(value, &frame, e));
    if (frame.kind != AFT_FRAME_SINGLE_OBJECT ||
        frame.fingerprint != aft_record_fingerprint(AFT_RECORD_HISTORY))
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                        "a user's history was written with another schema; update this library");
    AFT_TRY(aft_decode_history(frame.body, &c->history_follow.arena, &x, e));
    if (x.user_id.n == 0) /* how far the partition is published */
        return AFT_OK;
    for (uint32_t i = 0; i < x.entries_n; i++)
        ids[i] = afti_history_name(x.entries[i].what, x.entries[i].name);
    const struct afti_history_told told = {&x, ids};
    afti_history_tell(c->history, x.user_id, &told);
    return AFT_OK;
}

static void
on_record(void *ctx, struct aft_bytes key, struct aft_bytes value)
{
    struct aft_client *c = ctx;
    struct aft_error e;
    if (key.n == 0)
        return;
    bool taken = take(c, key, value, &e) == AFT_OK;
    atomic_fetch_add(taken ? &c->history_follow.records : &c->history_follow.refused, 1);
}

static enum aft_err
turn(struct aft_client *c, int timeout_ms, struct aft_error *e)
{
    bool at_end = false;
    AFT_TRY(c->transport.poll_history(c->transport.ctx, timeout_ms, on_record, c, &at_end, e));
    if (at_end)
        atomic_store(&c->history_follow.at_end, true);
    return AFT_OK;
}

static void *
follow(void *ctx)
{
    struct aft_client *c = ctx;
    struct aft_error e;
    while (!atomic_load(&c->history_follow.stop))
        if (turn(c, TURN_MS, &e) != AFT_OK)
            nanosleep(&(struct timespec){0, REST_MS * 1000000L}, NULL);
    return NULL;
}

void
afti_history_follow_poll(struct aft_client *c)
{
    struct aft_error e;
    if (c->history && c->options.history_topic && c->transport.poll_history &&
        !c->transport.threaded)
        (void)turn(c, 0, &e);
}

static void
wait_end(struct aft_client *c)
{
    for (int32_t waited = 0; waited < c->options.wait_ms && !atomic_load(&c->history_follow.at_end);
         waited += 5)
        nanosleep(&(struct timespec){0, 5000000L}, NULL);
}

enum aft_err
afti_history_follow_start(struct aft_client *c, struct aft_error *e)
{
    if (!c->options.history_topic)
        return AFT_OK;
    if (!c->transport.poll_history)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "options.history_topic is set, and no broker to read it from; set "
                        "options.bootstrap_servers");
    aft_arena_init(&c->history_follow.arena, ARENA_BYTES);
    if (!c->transport.threaded) {
        afti_history_follow_poll(c);
        return AFT_OK;
    }
    int code = pthread_create(&c->history_follow.thread, NULL, follow, c);
    if (code != 0)
        return AFT_FAIL(e, AFT_E_FAILED, "no thread to follow the histories: %s", strerror(code));
    c->history_follow.running = true;
    wait_end(c);
    return AFT_OK;
}

void
afti_history_follow_stop(struct aft_client *c)
{
    if (c->history_follow.running) {
        atomic_store(&c->history_follow.stop, true);
        pthread_join(c->history_follow.thread, NULL);
    }
    aft_arena_deinit(&c->history_follow.arena);
}
