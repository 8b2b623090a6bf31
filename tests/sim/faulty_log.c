/* faulty_log.c - the broker that the simulator owns, and handles on it that lie, lag and lose as log.h allows.
 *
 * Faults: acknowledgements late or never; records that land after their process died, or twice, or not at all; a full queue; reads that bring
 * nothing, or as little as they like, or AFT_E_TIMEOUT; a producer that cannot go on; a handle that is deaf to the clock topic for a long time.
 * What stays true, as of Kafka with an idempotent producer: I1 records of one handle land in order of append, a topic each, without a
 * gap; I2 they are acknowledged in that order; I3 what has landed stays; I4 at_end is never said while records are left.
 */
#include <stdio.h>

#include "tests/sim/world.h"

struct aft_log_reader {
    struct sim_handle *h;
    enum sim_topic topic;
    int64_t next;
};

static struct sim_handle *
handle_of(struct aft_log *l)
{
    return (struct sim_handle *)l; /* log is the first member */
}

static enum sim_topic
topic_of(const struct sim_world *w, const char *name)
{
    for (int t = 0; t < SIM_TOPICS; t++)
        if (strcmp(sim_topic_name(w, (enum sim_topic)t), name) == 0)
            return (enum sim_topic)t;
    AFT_NEVER();
}

/* ---- queues */
static void
queue_put(struct sim_queue *q, struct sim_flight *f)
{
    f->next = NULL;
    if (q->tail)
        q->tail->next = f;
    else
        q->head = f;
    q->tail = f;
}

static struct sim_flight *
queue_take(struct sim_queue *q)
{
    struct sim_flight *f = q->head;
    if (f && !(q->head = f->next))
        q->tail = NULL;
    return f;
}

/* ---- landing */
static void
trace_record(const struct sim_world *w, enum sim_topic t, const struct sim_record *r)
{
    struct aft_frame frame;
    struct aft_clock_record c;
    struct aft_block b;
    struct aft_error e;
    size_t at = w->topic[t].n;
    if (!w->o.trace)
        return;
    if (t == SIM_CLOCK && aft_frame_parse(r->value, &frame, &e) == AFT_OK &&
        aft_decode_clock(frame.body, &c, &e) == AFT_OK)
        sim_trace(w, "clock %zu: %s of epoch %lld, log %d at %lld, watermark %lld", at,
                  c.kind == AFT_CLOCK_TICK ? "TICK" : "EPOCH", (long long)c.epoch, (int)c.log,
                  (long long)c.at_offset, (long long)c.watermark_ms);
    else if (t == SIM_EXAMPLES && aft_frame_parse(r->value, &frame, &e) == AFT_OK &&
             aft_decode_block(frame.body, &b, &e) == AFT_OK)
        sim_trace(w, "examples %zu: epoch %lld, %llu + %u", at, (long long)b.epoch,
                  (unsigned long long)b.first_seq, b.n);
    else
        sim_trace(w, "%s %zu", sim_topic_name(w, t), at);
}

int64_t
sim_log_push(struct sim_world *w, enum sim_topic t, const struct sim_record *r)
{
    struct sim_log *log = &w->topic[t];
    if (log->n == log->cap) {
        struct sim_record *old = log->v;
        log->cap = log->cap ? 2 * log->cap : 64;
        log->v = sim_take(w, log->cap * sizeof *log->v);
        if (log->n)
            memcpy(log->v, old, log->n * sizeof *log->v);
    }
    log->v[log->n] = *r;
    trace_record(w, t, r);
    return (int64_t)log->n++;
}

static void
land(struct sim_handle *h, enum sim_topic t)
{
    struct sim_flight *f = queue_take(&h->flying[t]);
    if (!f)
        return;
    f->r.timestamp_ms = h->w->now_ms;
    f->offset = sim_log_push(h->w, t, &f->r);
    if (sim_chance(h->w, h->w->weather.twice))
        sim_log_push(h->w, t, &f->r);
    queue_put(&h->landed[t], f);
}

void
sim_land_late(struct sim_world *w, size_t i)
{
    struct sim_late *l = &w->late[i];
    struct sim_flight *f = queue_take(&l->queue);
    f->r.timestamp_ms = w->now_ms;
    for (int copies = 1 + (aft_random_below(&w->r, 8) == 0); copies > 0; copies--)
        sim_log_push(w, l->topic, &f->r); /* nobody is left to number what is sent again */
    w->stats->landed_late++;
    if (!l->queue.head)
        *l = w->late[--w->late_n];
}

void
sim_land_some(struct sim_world *w)
{
    uint32_t who = aft_random_below(&w->r, SIM_MACHINES + 1);
    if (who < SIM_MACHINES && w->machine[who].handle)
        land(w->machine[who].handle, (enum sim_topic)aft_random_below(&w->r, SIM_TOPICS));
    else if (w->late_n)
        sim_land_late(w, aft_random_below(&w->r, (uint32_t)w->late_n));
}

static void
say_acked(struct sim_flight *f, int64_t offset, const struct aft_error *err)
{
    if (f->acked)
        f->acked(f->ctx, offset, err);
    f->acked = NULL;
}

static void abandon(struct sim_handle *h, enum sim_topic t);

/* The producer fails for good: what flies may be there later or not, and nobody is told anything but that. */
static void
producer_breaks(struct sim_handle *h)
{
    sim_trace(h->w, "machine %d: its producer breaks", sim_number(h->m));
    h->broken = true;
    h->w->stats->broken++;
    for (int t = 0; t < SIM_TOPICS; t++)
        abandon(h, (enum sim_topic)t);
}

static void
broker_poll(struct aft_log *l, int timeout_ms)
{
    struct sim_handle *h = handle_of(l);
    struct sim_world *w = h->w;
    (void)timeout_ms;
    if (!sim_effect(h->m))
        return;
    if (!h->broken && sim_chance(w, w->weather.broken))
        producer_breaks(h);
    for (int t = 0; t < SIM_TOPICS; t++) {
        uint32_t in_time = t == w->weather.slow ? w->weather.land / 8 : w->weather.land;
        while (h->flying[t].head && (w->calm || sim_chance(w, in_time)))
            land(h, (enum sim_topic)t);
        if (h->landed[t].head && sim_chance(w, w->weather.stuck)) {
            w->stats->acks_lost += !h->stuck[t];
            h->stuck[t] = true;
        }
        for (struct sim_flight *f; (f = queue_take(&h->early[t])) != NULL;)
            say_acked(f, f->offset, NULL);
        while (h->landed[t].head && !h->stuck[t] && (w->calm || sim_chance(w, w->weather.ack))) {
            struct sim_flight *f = queue_take(&h->landed[t]);
            say_acked(f, f->offset, NULL);
        }
    }
}

/* ---- appending */
static void
copy_record(struct sim_world *w, const struct aft_append *a, struct sim_record *r)
{
    *r = (struct sim_record){.key = sim_copy(w, a->key), .value = sim_copy(w, a->value)};
    struct aft_header *to = a->headers_n ? sim_take(w, a->headers_n * sizeof *to) : NULL;
    for (uint32_t i = 0; i < a->headers_n; i++)
        to[i] =
            (struct aft_header){sim_copy(w, a->headers[i].name), sim_copy(w, a->headers[i].value)};
    r->headers = to;
    r->headers_n = a->headers_n;
}

/* Mutants: acknowledged while it still flies, with the offset that it would have. */
static bool
too_early(const struct sim_world *w, enum sim_topic t, const struct aft_append *a)
{
    struct aft_frame frame;
    struct aft_block block;
    struct aft_error e;
    if (t == SIM_DEAD)
        return w->o.mutant == SIM_DEAD_BEFORE_ACK;
    return t == SIM_EXAMPLES && w->o.mutant == SIM_COMMIT_BEFORE_ACK &&
           aft_frame_parse(a->value, &frame, &e) == AFT_OK &&
           aft_decode_block(frame.body, &block, &e) == AFT_OK && block.n > 0;
}

static void
ack_early(struct sim_handle *h, enum sim_topic t, struct sim_flight *f)
{
    struct sim_flight *early = sim_take(h->w, sizeof *early);
    *early = *f;
    f->acked = NULL;
    early->offset = (int64_t)h->w->topic[t].n;
    for (const struct sim_flight *ahead = h->flying[t].head; ahead; ahead = ahead->next)
        early->offset++;
    queue_put(&h->early[t], early);
}

static enum aft_err
broker_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct sim_handle *h = handle_of(l);
    enum sim_topic t = topic_of(h->w, a->topic);
    AFT_ASSERT(a->partition == 0 && t != SIM_IMPRESSIONS && t != SIM_OUTCOMES);
    if (!sim_effect(h->m))
        return AFT_FAIL(e, AFT_E_BROKER, "the process is dead");
    if (h->broken)
        return AFT_FAIL(e, AFT_E_BROKER, "the producer cannot go on: open the log anew");
    if (sim_chance(h->w, h->w->weather.again))
        return AFT_FAIL(e, AFT_E_AGAIN, "the queue is full");
    struct sim_flight *f = sim_take(h->w, sizeof *f);
    *f = (struct sim_flight){.acked = a->acked, .ctx = a->ctx};
    copy_record(h->w, a, &f->r);
    if (too_early(h->w, t, a))
        ack_early(h, t, f);
    queue_put(&h->flying[t], f);
    return AFT_OK;
}

/* ---- asking */
static enum aft_err
not_answered(struct sim_handle *h, struct aft_error *e)
{
    if (!sim_effect(h->m))
        return AFT_FAIL(e, AFT_E_BROKER, "the process is dead");
    if (sim_chance(h->w, h->w->weather.timeout))
        return AFT_FAIL(e, AFT_E_TIMEOUT, "nobody answers");
    return AFT_OK;
}

static enum aft_err
broker_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    (void)topic;
    AFT_TRY(not_answered(handle_of(l), e));
    *out = (struct aft_topic_facts){.partitions = 1, .log_append_time = true, .retention_ms = -1};
    return AFT_OK;
}

static enum aft_err
broker_range(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin, int64_t *end,
             struct aft_error *e)
{
    struct sim_handle *h = handle_of(l);
    enum sim_topic t = topic_of(h->w, topic);
    (void)partition;
    AFT_TRY(not_answered(h, e));
    *begin = 0;
    *end = (int64_t)h->w->topic[t].n;
    if (h->w->o.mutant == SIM_COMMIT_UNFENCED && t == SIM_CLOCK && h->follows_clock)
        *end = 0;
    return AFT_OK;
}

/* ---- reading */
static enum aft_err
broker_reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
                   struct aft_log_reader **out, struct aft_error *e)
{
    struct sim_handle *h = handle_of(l);
    (void)partition;
    AFT_TRY(not_answered(h, e));
    struct aft_log_reader *r = malloc(sizeof *r); /* so that a reader left open is a leak */
    AFT_ASSERT(r != NULL);
    *r = (struct aft_log_reader){h, topic_of(h->w, topic), offset};
    *out = r;
    return AFT_OK;
}

static enum aft_err
broker_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
            uint32_t *n, bool *at_end, struct aft_error *e)
{
    struct sim_handle *h = r->h;
    const struct sim_log *log = &h->w->topic[r->topic];
    (void)timeout_ms;
    *n = 0;
    *at_end = false;
    AFT_TRY(not_answered(h, e));
    h->follows_clock |= r->topic == SIM_CLOCK;
    h->works |= r->topic == SIM_IMPRESSIONS || r->topic == SIM_OUTCOMES;
    if ((h->m->deaf && r->topic == SIM_CLOCK) || sim_chance(h->w, h->w->weather.silent))
        return AFT_OK;
    uint32_t most = h->w->calm ? max : 1 + aft_random_below(&h->w->r, h->w->weather.batch_max);
    for (; *n < max && *n < most && r->next < (int64_t)log->n; r->next++) {
        const struct sim_record *s = &log->v[r->next];
        out[(*n)++] = (struct aft_record_in){r->next,  s->timestamp_ms, s->key,
                                             s->value, s->headers,      s->headers_n};
    }
    *at_end = r->next == (int64_t)log->n; /* I4 */
    if (*n)
        sim_trace(h->w, "machine %d: reads %s up to %lld", sim_number(h->m),
                  sim_topic_name(h->w, r->topic), (long long)r->next);
    return AFT_OK;
}

static void
broker_reader_close(struct aft_log_reader *r)
{
    r->h->follows_clock &= r->topic != SIM_CLOCK;
    free(r);
}

/* What a task never asks of its log (topics made, groups, flush) is not there. */
static const struct aft_log_ops broker_ops = {
    .topic_facts = broker_facts,
    .range = broker_range,
    .reader_open = broker_reader_open,
    .read = broker_read,
    .reader_close = broker_reader_close,
    .append = broker_append,
    .poll = broker_poll,
};

/* ---- a handle's life */
struct sim_handle *
sim_handle_open(struct sim_world *w, struct sim_machine *m)
{
    struct sim_handle *h = sim_take(w, sizeof *h);
    *h = (struct sim_handle){.log = {&broker_ops}, .w = w, .m = m};
    return h;
}

/* abandon: the first few that fly go on flying, the rest are lost; who waits is told that it failed. */
static void
abandon(struct sim_handle *h, enum sim_topic t)
{
    struct sim_world *w = h->w;
    struct sim_late late = {.topic = t};
    struct aft_error gone;
    (void)AFT_FAIL(&gone, AFT_E_BROKER, "the process is gone");
    bool lost = false;
    for (struct sim_flight *f; (f = queue_take(&h->flying[t])) != NULL;) {
        say_acked(f, -1, &gone);
        lost = lost || w->late_n == SIM_LATE_MAX || aft_random_below(&w->r, 1000) < w->weather.lose;
        if (lost)
            w->stats->lost++;
        else
            queue_put(&late.queue, f);
    }
    for (struct sim_flight *f; (f = queue_take(&h->landed[t])) != NULL;)
        say_acked(f, -1, &gone);
    for (struct sim_flight *f; (f = queue_take(&h->early[t])) != NULL;)
        say_acked(f, -1, &gone);
    if (late.queue.head)
        w->late[w->late_n++] = late;
}

void
sim_handle_die(struct sim_handle *h)
{
    for (int t = 0; t < SIM_TOPICS; t++)
        abandon(h, (enum sim_topic)t);
}
