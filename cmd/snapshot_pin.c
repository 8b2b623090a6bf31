/* snapshot_pin.c - `snapshot pin | unpin | rollback`: which snapshot engines serve. Out: a PIN's records in the snapshots topic, the
 * pinned set's records within them, the pin itself last; then tombstones for the parts of the pins before.
 * The serial is the time in milliseconds, or one more than the last one's, so that the latest pin counts wherever it was made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/snapshot.h"

#define FLUSH_MS 30000
enum { TRIES = 300, TRY_MS = 100, NOTE_BYTES = 512 };

struct bodies {
    struct aft_bytes *v;
    uint32_t n, cap;
};

static enum aft_err
gather(void *ctx, struct aft_bytes body, struct aft_error *e)
{
    struct bodies *b = ctx;
    (void)e;
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->v = realloc(b->v, b->cap * sizeof *b->v);
        AFT_ASSERT(b->v != NULL);
    }
    b->v[b->n++] = body;
    return AFT_OK;
}

/* ---- out */
struct out {
    struct aft_log *log;
    const char *topic;
    struct aft_buffer value;
};

static enum aft_err
append(struct out *o, struct aft_bytes key, struct aft_bytes value, struct aft_error *e)
{
    struct aft_append a = {.topic = o->topic, .timestamp_ms = -1, .key = key, .value = value};
    enum aft_err err = AFT_E_AGAIN;
    for (int i = 0; i < TRIES && err == AFT_E_AGAIN; i++) {
        err = o->log->ops->append(o->log, &a, e);
        if (err == AFT_E_AGAIN)
            o->log->ops->poll(o->log, TRY_MS);
    }
    return err;
}

static enum aft_err
send(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct out *o = ctx;
    struct aft_snapshot_record r;
    struct aft_arena a;
    aft_arena_init(&a, 1 << 20);
    enum aft_err err = aft_decode_snapshot(body, &a, &r, e);
    if (err == AFT_OK && r.has_manifest) /* its parts are in the topic before it */
        err = o->log->ops->flush(o->log, FLUSH_MS, e);
    aft_arena_deinit(&a);
    AFT_TRY(err);
    aft_buffer_reset(&o->value);
    aft_frame_put_single(&o->value, AFT_RECORD_SNAPSHOT);
    aft_put_raw(&o->value, body);
    return append(o, key, aft_buffer_bytes(&o->value), e);
}

static bool
part_of_pin(const struct snapshot_record *r)
{
    return r->kind == AFT_SNAPSHOT_PIN && !r->manifest;
}

/* The pin is there: those before it need their parts no more. */
static enum aft_err
drop_old(struct out *o, const struct snapshot_history *h, struct aft_error *e)
{
    AFT_TRY(o->log->ops->flush(o->log, FLUSH_MS, e));
    for (uint32_t i = 0; i < h->n; i++)
        if (part_of_pin(&h->v[i]))
            AFT_TRY(append(o, aft_buffer_bytes(&h->v[i].key), AFT_ABSENT, e));
    return o->log->ops->flush(o->log, FLUSH_MS, e);
}

static enum aft_err
write_pin(struct aft_log *log, const struct aft_config *config, const struct snapshot_history *h,
          struct aft_pin_spec *spec, struct aft_error *e)
{
    struct out o = {.log = log, .topic = aft_config_text(config, "topics.snapshots")};
    struct aft_snapshot_stats s;
    struct aft_clock clock = aft_clock_real();
    uint8_t key[64];
    bool has_key;
    AFT_TRY(aft_signing_key(config, key, &has_key, e));
    aft_snapshot_set_stats(h->serving, &s);
    int64_t now = clock.wall_ms(clock.ctx);
    spec->model = aft_text(h->model);
    spec->serial = now > s.pin_serial ? now : s.pin_serial + 1;
    spec->signing_key = has_key ? key : NULL;
    enum aft_err err = aft_pin_encode(spec, send, &o, e);
    if (err == AFT_OK)
        err = drop_old(&o, h, e);
    aft_buffer_deinit(&o.value);
    return err;
}

static void
note_of(const struct snapshot_pin_request *q, int64_t served, char out[NOTE_BYTES])
{
    char host[128] = "";
    const char *user = getenv("USER");
    gethostname(host, sizeof host - 1);
    int n = snprintf(out, NOTE_BYTES, "%s by %s@%s, round %lld was served", q->verb,
                     user ? user : "somebody", host, (long long)served);
    if (q->why && n > 0 && n < NOTE_BYTES)
        snprintf(out + n, (size_t)(NOTE_BYTES - n), ": %s", q->why);
}

/* ---- the verbs */
static int64_t
served_round(const struct snapshot_history *h)
{
    const struct aft_snapshot_record *m = aft_snapshot_set_manifest(h->serving);
    return m ? m->round : -1;
}

static void
tell(const struct snapshot_pin_request *q, int64_t round, const struct aft_digest *d)
{
    char digest[65] = "";
    if (d)
        aft_hex(d->b, sizeof d->b, digest);
    if (!q->json && round < 0)
        puts("nothing is pinned: engines serve the newest snapshot");
    else if (!q->json)
        printf("engines serve round %lld (%.16s) until `snapshot unpin`; the learner goes on\n",
               (long long)round, digest);
    else if (round < 0)
        puts("{\"pinned\": null}");
    else
        printf("{\"pinned\": {\"round\": %lld, \"digest\": \"%s\"}}\n", (long long)round, digest);
}

static enum aft_err
unpin(struct aft_log *log, const struct aft_config *config, struct snapshot_history *h,
      const struct snapshot_pin_request *q, struct aft_error *e)
{
    struct aft_snapshot_stats s;
    char note[NOTE_BYTES];
    aft_snapshot_set_stats(h->serving, &s);
    if (s.pinned) {
        note_of(q, served_round(h), note);
        struct aft_pin_spec spec = {.note = aft_text(note)};
        AFT_TRY(write_pin(log, config, h, &spec, e));
    }
    tell(q, -1, NULL);
    return AFT_OK;
}

/* `rollback` is a pin that must lead back. */
static enum aft_err
check_rollback(const struct snapshot_history *h, int64_t round, struct aft_error *e)
{
    int64_t served = served_round(h);
    if (round < served)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_FAILED,
                    "round %lld is not before round %lld, which engines serve now: that is no "
                    "rollback; `snapshot pin` takes any round, `unpin` the newest",
                    (long long)round, (long long)served);
}

static enum aft_err
pin_set(struct aft_log *log, const struct aft_config *config, const struct snapshot_history *h,
        const struct snapshot_pin_request *q, const struct aft_snapshot_set *set,
        struct aft_error *e)
{
    const struct aft_snapshot_record *m = aft_snapshot_set_newest(set);
    struct bodies b = {.n = 0};
    char note[NOTE_BYTES];
    struct aft_digest digest = m->manifest.digest;
    note_of(q, served_round(h), note);
    enum aft_err err = aft_snapshot_set_each(set, gather, &b, e);
    struct aft_pin_spec spec = {.bodies = b.v,
                                .bodies_n = b.n,
                                .round = m->round,
                                .digest = digest,
                                .note = aft_text(note)};
    if (err == AFT_OK)
        err = write_pin(log, config, h, &spec, e);
    if (err == AFT_OK)
        tell(q, m->round, &digest);
    free(b.v);
    return err;
}

/* The set comes from `from`: the topic's history, or a file's. */
static enum aft_err
pin_from(struct aft_log *log, const struct aft_config *config, const struct snapshot_history *h,
         const struct snapshot_pin_request *q, struct snapshot_history *from, struct aft_error *e)
{
    int64_t round = from->rows_n ? from->v[from->rows[from->rows_n - 1].record].round : -1;
    struct aft_snapshot_set *set;
    if (q->which)
        AFT_TRY(snapshot_round(from, q->which, &round, e));
    if (strcmp(q->verb, "rollback") == 0)
        AFT_TRY(check_rollback(h, round, e));
    AFT_TRY(snapshot_at(from, round, &set, e));
    enum aft_err err = pin_set(log, config, h, q, set, e);
    aft_snapshot_set_free(set);
    return err;
}

enum aft_err
snapshot_pin_verb(struct aft_log *log, const struct aft_config *config, struct snapshot_history *h,
                  const struct snapshot_pin_request *q, struct aft_error *e)
{
    if (strcmp(q->verb, "unpin") == 0)
        return unpin(log, config, h, q, e);
    if (!q->file)
        return pin_from(log, config, h, q, h, e);
    struct snapshot_history from = {.model = h->model, .has_key = h->has_key};
    memcpy(from.public, h->public, sizeof from.public);
    enum aft_err err = snapshot_read_file(q->file, &from, e);
    if (err == AFT_OK)
        err = pin_from(log, config, h, q, &from, e);
    snapshot_history_free(&from);
    return err;
}
