/* doctor_sample.c - the newest records of both inputs: can they be read, who placed their keys, how far out of order do they come,
 * what does the broker's clock say. In: a log. Out: sums, and findings made of them. One thread; nothing is written.
 */
#include "consumer/doctor.h"
#include "consumer/watch.h"

enum { BATCH = 64, READ_MS = 200, STILL_READS = 50, ARENA_BYTES = 64 << 20 };
enum { SAMPLE_ALL = 20000, SAMPLE_MOST = 1000, SAMPLE_LEAST = 50 };

static const char *const inputs[2] = {"topics.impressions", "topics.outcomes"};
static const char *const names[2] = {"impressions", "outcomes"};

/* ---- one record */
/* Its time and user; false: it is none (an erasure), or it cannot be read, and s says so. */
static bool
read_one(struct afti_sample *s, const struct afti_sampling *at, const struct aft_record_in *in,
         int64_t *time_ms, struct aft_bytes *user)
{
    struct aft_bytes body;
    struct aft_impression i;
    struct aft_outcome o;
    struct aft_error e;
    if (!in->value.p && at->log == AFT_IMPRESSIONS)
        return false;
    aft_arena_reset(at->arena);
    enum aft_err err = !in->value.p ? AFT_FAIL(&e, AFT_E_VALUE,
                                               "a null value; outcomes are taken back by "
                                               "another outcome with `retracts`")
                                    : aft_decoder_headed(at->decoder, aft_schema_header(in),
                                                         in->value, at->arena, &body, &e);
    if (err == AFT_OK && at->log == AFT_IMPRESSIONS) {
        err = aft_decode_impression(body, at->arena, &i, &e);
        *time_ms = err == AFT_OK ? i.timestamp_ms : 0;
        *user = err == AFT_OK ? i.user_id : AFT_ABSENT;
    } else if (err == AFT_OK) {
        err = aft_decode_outcome(body, at->arena, &o, &e);
        *time_ms = err == AFT_OK ? o.timestamp_ms : 0;
        *user = err == AFT_OK ? o.user_id : AFT_ABSENT;
    }
    if (err == AFT_OK && *time_ms > in->timestamp_ms &&
        *time_ms - in->timestamp_ms > at->max_future_ms)
        err =
            AFT_FAIL(&e, AFT_E_VALUE,
                     "its time is %lld ms ahead of the broker's, join.max.future is %lld ms: mend "
                     "the clock that it was written by",
                     (long long)(*time_ms - in->timestamp_ms), (long long)at->max_future_ms);
    if (err != AFT_OK && s->unreadable[at->log]++ == 0)
        s->why[at->log] = e;
    return err == AFT_OK;
}

void
afti_sample_record(struct afti_sample *s, struct afti_sampling *at, const struct aft_record_in *in)
{
    int log = at->log;
    int64_t ms;
    struct aft_bytes user;
    s->records[log]++;
    s->bytes[log] += (int64_t)in->value.n;
    if (in->timestamp_ms > s->newest_ms[log])
        s->newest_ms[log] = in->timestamp_ms;
    afti_keyed_take(&s->keyed[log], in->key, at->partition, at->partitions);
    if (!read_one(s, at, in, &ms, &user))
        return;
    s->foreign[log] += !in->key.p || !aft_same(in->key, user);
    aft_disorder_add(&s->disorder[log],
                     at->most_ms > ms ? (uint64_t)at->most_ms - (uint64_t)ms : 0);
    if (ms > at->most_ms)
        at->most_ms = ms;
}

/* ---- reading */
static enum aft_err
read_newest(const struct aft_doctor_log *o, const char *topic, struct afti_sampling *at,
            struct afti_sample *s, struct aft_error *e)
{
    struct aft_log *log = o->log;
    struct aft_log_reader *reader;
    struct aft_record_in in[BATCH];
    int64_t begin, end, next, most = SAMPLE_ALL / at->partitions;
    most = most > SAMPLE_MOST ? SAMPLE_MOST : most < SAMPLE_LEAST ? SAMPLE_LEAST : most;
    bool at_end = false;
    AFT_TRY(log->ops->range(log, topic, at->partition, &begin, &end, e));
    next = end - begin > most ? end - most : begin;
    if (next == end)
        return AFT_OK;
    AFT_TRY(log->ops->reader_open(log, topic, at->partition, next, &reader, e));
    aft_schema_header_want(o->schemas, log, reader);
    enum aft_err err = AFT_OK;
    for (int still = 0; err == AFT_OK && next < end && !at_end && still < STILL_READS;) {
        uint32_t n = 0;
        err = log->ops->read(reader, in, BATCH, READ_MS, &n, &at_end, e);
        for (uint32_t i = 0; err == AFT_OK && i < n && next < end; i++) {
            afti_sample_record(s, at, &in[i]);
            next = in[i].offset + 1;
        }
        still = n ? 0 : still + 1;
    }
    log->ops->reader_close(reader);
    return err;
}

/* Impressions whose window is open, by the log's own time. */
static enum aft_err
count_window(const struct aft_config *c, const struct aft_doctor_log *o, int32_t partition,
             struct afti_sample *s, struct aft_error *e)
{
    const char *topic = aft_config_text(c, inputs[AFT_IMPRESSIONS]);
    int64_t from, begin, end, now = o->clock.wall_ms(o->clock.ctx);
    int64_t since = now - aft_config_int(c, "join.window") - aft_config_int(c, "join.grace");
    AFT_TRY(o->log->ops->offset_at(o->log, topic, partition, since, &from, e));
    AFT_TRY(o->log->ops->range(o->log, topic, partition, &begin, &end, e));
    int64_t n = end > from ? end - from : 0;
    s->window_n += n;
    s->window_n_most = n > s->window_n_most ? n : s->window_n_most;
    return AFT_OK;
}

static enum aft_err
take_log(const struct aft_config *c, const struct aft_doctor_log *o, struct afti_sampling *at,
         struct afti_sample *s, struct aft_error *e)
{
    const char *topic = aft_config_text(c, inputs[at->log]);
    struct aft_topic_facts f;
    AFT_TRY(o->log->ops->topic_facts(o->log, topic, &f, e));
    enum aft_err err = AFT_OK;
    for (int32_t p = 0; err == AFT_OK && p < f.partitions; p++) {
        at->partition = p;
        at->partitions = f.partitions;
        at->most_ms = INT64_MIN;
        err = read_newest(o, topic, at, s, e);
        if (err == AFT_OK && at->log == AFT_IMPRESSIONS)
            err = count_window(c, o, p, s, e);
    }
    return err;
}

enum aft_err
afti_sample_take(const struct aft_config *c, const struct aft_doctor_log *o, struct afti_sample *s,
                 struct aft_error *e)
{
    static const enum aft_record records[2] = {AFT_RECORD_IMPRESSION, AFT_RECORD_OUTCOME};
    struct aft_arena arena;
    *s = (struct afti_sample){.newest_ms = {INT64_MIN, INT64_MIN}};
    aft_arena_init(&arena, ARENA_BYTES);
    enum aft_err err = AFT_OK;
    for (int log = 0; err == AFT_OK && log < 2; log++) {
        struct afti_sampling at = {.arena = &arena,
                                   .log = (enum aft_log_kind)log,
                                   .max_future_ms = aft_config_int(c, "join.max.future")};
        err = aft_decoder_new(records[log], o->schemas, &at.decoder, e);
        if (err == AFT_OK)
            err = take_log(c, o, &at, s, e);
        aft_decoder_free(at.decoder);
    }
    aft_arena_deinit(&arena);
    return err;
}

/* ---- what it tells */
static void
tell_readable(const struct aft_config *c, const struct afti_sample *s, int log,
              const struct aft_findings *to)
{
    const char *topic = aft_config_text(c, inputs[log]);
    long long n = (long long)s->records[log], bad = (long long)s->unreadable[log],
              foreign = (long long)s->foreign[log];
    if (n == 0)
        afti_find(to, AFT_FINDING_WARN, AFT_OK, "records", "%s holds none yet: nothing to look at",
                  topic);
    else if (bad)
        afti_find(to, bad == n ? AFT_FINDING_FAIL : AFT_FINDING_WARN, s->why[log].code, "records",
                  "%s: %lld of the newest %lld would be dead letters; the first: %.200s", topic,
                  bad, n, s->why[log].message);
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "records", "%s: the newest %lld can be read", topic,
                  n);
    if (foreign)
        afti_find(to, AFT_FINDING_WARN, AFT_OK, "keys",
                  "%s: %lld of the newest %lld have a key that is not their user_id: records of a "
                  "user must have one key, or they lie in several partitions and do not meet",
                  topic, foreign, n);
}

static void
tell_keys(const struct afti_sample *s, const struct aft_findings *to)
{
    char words[700];
    enum aft_partitioner a = aft_keyed_by(&s->keyed[0]), b = aft_keyed_by(&s->keyed[1]);
    int64_t keys = s->keyed[0].keys + s->keyed[1].keys;
    if (keys == 0)
        return;
    if (!aft_keyed_words(s->keyed, -1, words, sizeof words))
        afti_find(to, AFT_FINDING_OK, AFT_OK, "keys",
                  "all %lld sampled stand where Java's partitioner (murmur2) puts them",
                  (long long)keys);
    else /* both the same: the join works, though not with what we write by key */
        afti_find(to,
                  a == b && a != AFT_BY_NONE && s->keyed[0].keys && s->keyed[1].keys
                      ? AFT_FINDING_WARN
                      : AFT_FINDING_FAIL,
                  AFT_E_CONFIG, "keys", "%s", words);
}

static void
tell_disorder(const struct aft_config *c, const struct afti_sample *s, int log,
              const struct aft_findings *to)
{
    int64_t set = aft_config_int(c, "join.disorder"),
            want = aft_disorder_suggested(&s->disorder[log]);
    if (s->records[log] == s->unreadable[log])
        return;
    if (want > set)
        afti_find(to, AFT_FINDING_WARN, AFT_OK, "disorder",
                  "%s come out of order by up to %lld ms (99.99 %% of the sample), and "
                  "join.disorder is %lld ms: records further behind are late: set it to %lldms, "
                  "under a new app.id",
                  names[log], (long long)want, (long long)set, (long long)want);
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "disorder",
                  "%s come out of order by up to %lld ms, join.disorder is %lld ms", names[log],
                  (long long)want, (long long)set);
}

void
afti_sample_tell(const struct aft_config *c, const struct afti_sample *s,
                 const struct aft_findings *to)
{
    for (int log = 0; log < 2; log++)
        tell_readable(c, s, log, to);
    tell_keys(s, to);
    for (int log = 0; log < 2; log++)
        tell_disorder(c, s, log, to);
}
