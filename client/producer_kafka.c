/* producer_kafka.c - EDGE (librdkafka): the producer of the engine's records, for as long as the client lives.
 *
 * An idempotent producer can meet an error that is its own and not a record's: a broker that lost what it had acknowledged, or no longer knows
 * the producer's id. librdkafka's then takes nothing any more, for good. So another one takes its place and what was not delivered, which
 * is sent again under the same ids. At most one in REVIVE_MS: until then an append is answered as by a full queue, and what was
 * in the queue goes to the sink, unrefused.
 *
 * P1 a retired producer is polled until all its reports are served, and destroyed when nobody can be inside it any more: `users` counts who
 *    may be in any producer; the place of the current one is taken before that is looked at.
 * P2 no report is served under the lock: what it calls may take locks of its own.
 * Threads: any. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "client/client_inner.h"

enum { RETIRED = 4, REVIVE_MS = 5000, ERROR_BYTES = 300, PURGE_MS = 1000 };

struct afti_producer {
    _Atomic(rd_kafka_t *) current;
    atomic_uint users;
    rd_kafka_conf_t *conf; /* to make another one */
    pthread_mutex_t lock;  /* of the retired, and for who makes another one */
    rd_kafka_t *retired[RETIRED];
    atomic_uint retired_n;
    int64_t revived_ms;
    atomic_uint_fast64_t resending; /* sent again from a spill file and not yet delivered */
    atomic_uint_fast64_t lost;      /* of those: they never will be, and nobody refused them */
    atomic_llong alive_ms;          /* when something was delivered last, or began to wait */
    aft_client_failure_sink sink;
    void *sink_ctx;
};

static rd_kafka_t *
enter(struct afti_producer *p)
{
    atomic_fetch_add(&p->users, 1);
    return atomic_load(&p->current);
}

static void
leave(struct afti_producer *p)
{
    atomic_fetch_sub(&p->users, 1);
}

/* ---- one takes another's place */
static bool
is_dead(rd_kafka_t *rk)
{
    return rd_kafka_fatal_error(rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* An error of the producer, which says nothing about the record. */
static bool
is_the_producers(rd_kafka_t *rk, rd_kafka_resp_err_t err)
{
    return is_dead(rk) || err == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           err == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING ||
           err == RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID ||
           err == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

static bool
replace(struct afti_producer *p, rd_kafka_t *dead)
{
    char text[ERROR_BYTES];
    unsigned n = atomic_load(&p->retired_n);
    if (n == RETIRED || afti_monotonic_ms() - p->revived_ms < REVIVE_MS)
        return false;
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(p->conf);
    rd_kafka_t *next = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!next) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    p->retired[n] = dead;
    atomic_store(&p->retired_n, n + 1);
    atomic_store(&p->current, next);
    p->revived_ms = afti_monotonic_ms();
    return true;
}

/* Another producer stands in the place of the dead one; false: not yet. */
static bool
revive(struct afti_producer *p, rd_kafka_t *dead)
{
    pthread_mutex_lock(&p->lock);
    bool done = atomic_load(&p->current) != dead || replace(p, dead);
    pthread_mutex_unlock(&p->lock);
    return done;
}

/* P1, P2. Whoever is here is a user, so that nobody destroys what he polls. */
static void
serve_retired(struct afti_producer *p)
{
    rd_kafka_t *found[RETIRED];
    if (atomic_load(&p->retired_n) == 0)
        return;
    enter(p);
    pthread_mutex_lock(&p->lock);
    unsigned n = atomic_load(&p->retired_n);
    memcpy(found, p->retired, sizeof found);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < n; i++)
        rd_kafka_poll(found[i], 0);
    leave(p);
    pthread_mutex_lock(&p->lock);
    n = atomic_load(&p->retired_n);
    while (n > 0 && atomic_load(&p->users) == 0 && rd_kafka_outq_len(p->retired[n - 1]) == 0)
        rd_kafka_destroy(p->retired[--n]);
    atomic_store(&p->retired_n, n);
    pthread_mutex_unlock(&p->lock);
}

static void *
unconst(const void *p) /* librdkafka copies and does not write, but its type says void * */
{
    return (void *)(uintptr_t)p;
}

struct outgoing {
    const char *topic;
    struct aft_bytes key, value;
    int64_t time_ms;
    void *opaque;
};

static rd_kafka_resp_err_t
produce_to(rd_kafka_t *rk, const struct outgoing *x)
{
    const rd_kafka_vu_t v[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = x->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {unconst(x->key.p), x->key.n}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {unconst(x->value.p), x->value.n}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = x->time_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = x->opaque},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(rk, v, sizeof v / sizeof *v);
    rd_kafka_resp_err_t err = rd_kafka_error_code(error);
    if (error)
        rd_kafka_error_destroy(error);
    return err;
}

/* What a producer that is no good any more did not deliver goes to the next one. From within a poll, so its caller is a user. */
static bool
hand_over(struct afti_producer *p, rd_kafka_t *dead, const rd_kafka_message_t *m)
{
    const struct outgoing x = {.topic = rd_kafka_topic_name(m->rkt),
                               .key = {m->key, m->key_len},
                               .value = {m->payload, m->len},
                               .time_ms = rd_kafka_message_timestamp(m, NULL),
                               .opaque = m->_private};
    return revive(p, dead) &&
           produce_to(atomic_load(&p->current), &x) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void
on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct afti_producer *p = opaque;
    bool kept = m->_private == p; /* in a spill file */
    bool undelivered = m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    bool purged =
        m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    if (undelivered && !purged && is_the_producers(rk, m->err)) {
        if (hand_over(p, rk, m))
            return;
        purged = true; /* nobody refused it */
    }
    if (kept && purged)
        atomic_fetch_add(&p->lost, 1);
    else if (kept)
        atomic_fetch_sub(&p->resending, 1);
    if (!undelivered)
        atomic_store(&p->alive_ms, afti_monotonic_ms());
    if (!undelivered || !p->sink || (kept && purged))
        return;
    struct aft_client_failure what = {.topic = rd_kafka_topic_name(m->rkt),
                                      .key = m->key,
                                      .value = m->payload,
                                      .key_bytes = m->key_len,
                                      .value_bytes = m->len,
                                      .reason = rd_kafka_err2str(m->err),
                                      .refused = !purged,
                                      .time_ms = rd_kafka_message_timestamp(m, NULL)};
    p->sink(p->sink_ctx, &what);
}

/* ---- open */
enum aft_err
afti_producer_open(struct rd_kafka_conf_s *conf, struct afti_producer **out, struct aft_error *e)
{
    char text[ERROR_BYTES];
    struct afti_producer *p = calloc(1, sizeof *p);
    if (!p) {
        rd_kafka_conf_destroy(conf);
        return AFT_FAIL(e, AFT_E_NOMEM, "no memory for a producer");
    }
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    p->conf = rd_kafka_conf_dup(conf);
    p->revived_ms = -REVIVE_MS;
    pthread_mutex_init(&p->lock, NULL);
    atomic_store(&p->current, rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text));
    if (!atomic_load(&p->current)) {
        rd_kafka_conf_destroy(conf);
        afti_producer_close(p);
        return AFT_FAIL(e, AFT_E_CONFIG, "librdkafka refuses its properties: %s", text);
    }
    *out = p;
    return AFT_OK;
}

static void
close_one(rd_kafka_t *rk)
{
    if (!rk)
        return;
    if (rd_kafka_outq_len(rk) > 0) {
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(rk, PURGE_MS);
    }
    rd_kafka_destroy(rk);
}

void
afti_producer_close(struct afti_producer *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < atomic_load(&p->retired_n); i++)
        close_one(p->retired[i]);
    close_one(atomic_load(&p->current));
    rd_kafka_conf_destroy(p->conf);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void
afti_producer_listen(struct afti_producer *p, aft_client_failure_sink sink, void *sink_ctx)
{
    p->sink = sink;
    p->sink_ctx = sink_ctx;
}

/* ---- sending */
static enum aft_err
send_inside(struct afti_producer *p, rd_kafka_t *rk, const struct outgoing *x, struct aft_error *e)
{
    rd_kafka_resp_err_t err = produce_to(rk, x);
    bool dead = err != RD_KAFKA_RESP_ERR_NO_ERROR && is_dead(rk);
    if (dead && revive(p, rk)) {
        rk = atomic_load(&p->current);
        err = produce_to(rk, x);
        dead = err != RD_KAFKA_RESP_ERR_NO_ERROR && is_dead(rk);
    }
    rd_kafka_poll(rk, 0);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return AFT_OK;
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return AFT_FAIL(e, AFT_E_AGAIN, "the producer's queue is full");
    if (dead)
        return AFT_FAIL(e, AFT_E_AGAIN, "the producer met a fatal error (%s); another one follows",
                        rd_kafka_err2str(err));
    return AFT_FAIL(e, AFT_E_BROKER, "topic %s: %s", x->topic, rd_kafka_err2str(err));
}

/* What is kept is counted before, since its report may come from within. */
enum aft_err
afti_producer_send(struct afti_producer *p, const char *topic, const struct afti_spilled *r,
                   bool kept, struct aft_error *e)
{
    const struct outgoing x = {topic, r->key, r->value, r->time_ms, kept ? p : NULL};
    if (afti_producer_waiting(p) == 0)
        atomic_store(&p->alive_ms, afti_monotonic_ms());
    if (kept)
        atomic_fetch_add(&p->resending, 1);
    enum aft_err err = send_inside(p, enter(p), &x, e);
    leave(p);
    if (kept && err != AFT_OK)
        atomic_fetch_sub(&p->resending, 1);
    serve_retired(p);
    return err;
}

void
afti_producer_poll(struct afti_producer *p, int timeout_ms)
{
    rd_kafka_poll(enter(p), timeout_ms);
    leave(p);
    serve_retired(p);
}

uint64_t
afti_producer_waiting(struct afti_producer *p)
{
    uint64_t n = (uint64_t)rd_kafka_outq_len(enter(p));
    leave(p);
    if (atomic_load(&p->retired_n) == 0)
        return n;
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < atomic_load(&p->retired_n); i++)
        n += (uint64_t)rd_kafka_outq_len(p->retired[i]);
    pthread_mutex_unlock(&p->lock);
    return n;
}

uint64_t
afti_producer_resending(struct afti_producer *p)
{
    return atomic_load(&p->resending);
}

uint64_t
afti_producer_lost(struct afti_producer *p, bool forget)
{
    if (!forget)
        return atomic_load(&p->lost);
    uint64_t n = atomic_exchange(&p->lost, 0);
    atomic_fetch_sub(&p->resending, n);
    return n;
}

bool
afti_producer_away(struct afti_producer *p, int32_t ms)
{
    return afti_producer_waiting(p) > 0 && afti_monotonic_ms() - atomic_load(&p->alive_ms) > ms;
}
