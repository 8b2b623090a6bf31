/* world.h - a small world for tests of tasks and of learning: a log in memory, a clock moved by hand, a configuration, users who see
 * things and do things. Everything follows from the seed.
 */
#ifndef AFT_TESTS_WORLD_H
#define AFT_TESTS_WORLD_H

#include "tests/kit.h"

#include <string.h>

#include "consumer/consumer.h"

#define WORLD_OK(expression)                                          \
    do {                                                              \
        if ((expression) != AFT_OK)                                   \
            fail_msg("%s: %s (%s)", #expression, world_error.message, \
                     aft_err_name(world_error.code));                 \
    } while (0)

static struct aft_error world_error;

struct world {
    struct aft_random r;
    int64_t now_ms;   /* wall and monotonic */
    int64_t ahead_ms; /* how far a sender's clock is wrong just now */
    struct aft_memory_broker *broker;
    struct aft_log *log; /* our own handle */
    struct aft_config *config;
    int32_t partitions;
    uint64_t decisions, outcomes;
    struct aft_buffer value;
};

static inline int64_t
world_now(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static inline struct aft_clock
world_clock(struct world *w)
{
    return (struct aft_clock){w, world_now, world_now};
}

static inline void
world_set(struct world *w, const char *key, const char *value)
{
    WORLD_OK(aft_config_set(w->config, key, value, &world_error));
}

static inline void
world_topic(struct world *w, const char *key, int32_t partitions)
{
    struct aft_topic_spec spec = {
        .name = aft_config_text(w->config, key), .partitions = partitions, .retention_ms = -1};
    WORLD_OK(w->log->ops->topic_create(w->log, &spec, &world_error));
}

static inline void
world_open(struct world *w, uint64_t seed, int32_t partitions)
{
    *w = (struct world){.now_ms = INT64_C(1700000000000), .partitions = partitions};
    aft_random_init(&w->r, seed, 0);
    w->broker = aft_memory_broker_new(world_clock(w));
    w->log = aft_log_memory(w->broker);
    w->config = aft_config_new();
    world_set(w, "join.window", "60s");
    world_set(w, "join.grace", "5s");
    world_set(w, "join.open.after", "3s");
    world_set(w, "join.orphan.after", "4s");
    world_set(w, "join.disorder", "500ms");
    world_set(w, "join.max.future", "30s");
    world_set(w, "join.idle.after", "2s");
    world_set(w, "join.max.open", "100000");
    world_set(w, "commit.interval", "700ms");
    WORLD_OK(aft_config_check(w->config, &world_error));
    static const char *const keys[] = {"topics.impressions", "topics.outcomes", "topics.clock",
                                       "topics.examples", "topics.dead.letters"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        world_topic(w, keys[i], partitions);
    world_topic(w, "topics.rounds", 1);
    world_topic(w, "topics.snapshots", 1);
}

static inline void
world_close(struct world *w)
{
    w->log->ops->close(w->log);
    aft_memory_broker_free(w->broker);
    aft_config_free(w->config);
    aft_buffer_deinit(&w->value);
}

static inline void
world_put(struct world *w, const char *topic_key, int32_t partition, const char *user,
          struct aft_bytes value)
{
    struct aft_append a = {.topic = aft_config_text(w->config, topic_key),
                           .partition = partition,
                           .timestamp_ms = -1,
                           .key = aft_text(user),
                           .value = value};
    WORLD_OK(w->log->ops->append(w->log, &a, &world_error));
    w->log->ops->poll(w->log, 0);
}

/* ---- events: a few users of one partition, a dozen arms */
static inline void
world_user(struct world *w, int32_t partition, char *out)
{
    uint32_t n = aft_random_below(&w->r, 9);
    for (uint32_t salt = 0;; salt++) {
        sprintf(out, "u%d-%u-%u", partition, n, salt);
        if (aft_partition_of(aft_text(out), w->partitions) == partition)
            return;
    }
}

static inline int64_t
world_event_time(struct world *w)
{
    return w->now_ms + w->ahead_ms - aft_random_below(&w->r, 900);
}

static inline void
world_impression(struct world *w, int32_t partition)
{
    char user[40], id[40], arms[3][8];
    struct aft_shown slate[3];
    struct aft_feature days = {.name = aft_text("days"), .type = AFT_FEATURE_NUMBER};
    uint32_t n = 1 + aft_random_below(&w->r, 3), first = aft_random_below(&w->r, 12);
    world_user(w, partition, user);
    days.number = aft_random_below(&w->r, 90);
    sprintf(id, "d%d-%llu", partition, (unsigned long long)w->decisions++);
    for (uint32_t i = 0; i < n; i++) {
        sprintf(arms[i], "a%u", (first + i) % 12);
        slate[i] =
            (struct aft_shown){.arm_id = aft_text(arms[i]), .slot = (int32_t)i, .propensity = 0.25};
    }
    struct aft_impression v = {.decision_id = aft_text(id),
                               .user_id = aft_text(user),
                               .timestamp_ms = world_event_time(w),
                               .policy = aft_text("personalised"),
                               .propensity_kind = AFT_PROPENSITY_EXACT,
                               .deferred = aft_random_below(&w->r, 10) == 0,
                               .context = {&days, 1},
                               .slate = slate,
                               .slate_n = n};
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&w->value, &v);
    world_put(w, "topics.impressions", partition, user, aft_buffer_bytes(&w->value));
}

static inline void
world_outcome(struct world *w, int32_t partition)
{
    static const char *const kinds[] = {
        "click", "click", "key_task_completed", "qualified_view_benefit", "rendered", "unheard_of"};
    char user[40], id[40], decision[40];
    const char *kind = kinds[aft_random_below(&w->r, 6)];
    world_user(w, partition, user);
    sprintf(id, "o%d-%llu", partition, (unsigned long long)w->outcomes++);
    struct aft_outcome v = {.outcome_id = aft_text(id),
                            .user_id = aft_text(user),
                            .timestamp_ms = world_event_time(w),
                            .kind = aft_text(kind),
                            .value_micro = AFT_MICRO};
    if ((kind[0] == 'c' || kind[0] == 'r') && w->decisions) {
        uint32_t back = aft_random_below(&w->r, 12);
        sprintf(decision, "d%d-%llu", partition,
                (unsigned long long)(w->decisions > back ? w->decisions - back : 0));
        v.decision_id = aft_text(decision);
    }
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_OUTCOME);
    aft_encode_outcome(&w->value, &v);
    world_put(w, "topics.outcomes", partition, user, aft_buffer_bytes(&w->value));
}

/* Something happens: mostly events, now and then what cannot be read, a time far ahead, an erasure, silence. */
static inline void
world_happen(struct world *w, int32_t partition)
{
    char user[40];
    uint32_t x = aft_random_below(&w->r, 100);
    w->now_ms += aft_random_below(&w->r, 300);
    if (x < 45) {
        world_impression(w, partition);
    } else if (x < 94) {
        world_outcome(w, partition);
    } else if (x < 96) {
        world_put(w, x == 94 ? "topics.impressions" : "topics.outcomes", partition, "torn",
                  AFT_LITERAL("\xC3\x01 no"));
    } else if (x < 97) {
        world_user(w, partition, user);
        world_put(w, "topics.impressions", partition, user, AFT_ABSENT);
    } else if (x < 98) {
        w->ahead_ms = 60000; /* a phone with a wrong clock */
        world_impression(w, partition);
        w->ahead_ms = 0;
    } else {
        w->now_ms += aft_random_below(&w->r, 9000);
    }
}

/* ---- reading a topic whole */
static inline void
world_each(struct world *w, const char *topic_key, int32_t partition,
           void (*each)(void *ctx, const struct aft_record_in *r), void *ctx)
{
    struct aft_log_reader *reader;
    struct aft_record_in batch[64];
    const char *topic = aft_config_text(w->config, topic_key);
    int64_t begin, end;
    uint32_t n;
    bool at_end = false;
    WORLD_OK(w->log->ops->range(w->log, topic, partition, &begin, &end, &world_error));
    WORLD_OK(w->log->ops->reader_open(w->log, topic, partition, begin, &reader, &world_error));
    while (!at_end) {
        WORLD_OK(w->log->ops->read(reader, batch, 64, 0, &n, &at_end, &world_error));
        for (uint32_t i = 0; i < n; i++)
            each(ctx, &batch[i]);
    }
    w->log->ops->reader_close(reader);
}

static inline struct aft_bytes
world_body(const struct aft_record_in *r)
{
    struct aft_frame frame;
    WORLD_OK(aft_frame_parse(r->value, &frame, &world_error));
    return frame.body;
}

/* ---- what a reader of the examples takes for true: the bytes of example after example, newest epochs alone, each seq once */
struct world_examples {
    struct aft_buffer bytes;
    size_t *at; /* where each begins; at[n] is the end */
    uint64_t n, cap, repeated, stale;
    int64_t newest;
    struct aft_arena arena;
};

static inline void
world_example_add(struct world_examples *x, struct aft_bytes body)
{
    if (x->n + 2 > x->cap) {
        x->cap = x->cap ? 2 * x->cap : 256;
        x->at = realloc(x->at, x->cap * sizeof *x->at);
    }
    x->at[x->n++] = x->bytes.n;
    aft_put_raw(&x->bytes, body);
    x->at[x->n] = x->bytes.n;
}

static inline struct aft_bytes
world_example(const struct world_examples *x, uint64_t i)
{
    return (struct aft_bytes){x->bytes.p + x->at[i], x->at[i + 1] - x->at[i]};
}

static inline void
world_examples_record(void *ctx, const struct aft_record_in *in)
{
    struct world_examples *x = ctx;
    struct aft_block block;
    WORLD_OK(aft_decode_block(world_body(in), &block, &world_error));
    if (block.epoch < x->newest) {
        x->stale++;
        return;
    }
    x->newest = block.epoch;
    struct aft_reader r = aft_reader(block.examples);
    for (uint32_t i = 0; i < block.n; i++) {
        struct aft_example v;
        const uint8_t *from = r.p;
        aft_arena_reset(&x->arena);
        WORLD_OK(aft_decode_example(&r, &x->arena, &v, &world_error));
        struct aft_bytes body = {from, (size_t)(r.p - from)};
        uint64_t seq = block.first_seq + i;
        assert_int_equal(v.seq, seq);
        if (seq > x->n)
            fail_msg("a gap: %llu after %llu", (unsigned long long)seq, (unsigned long long)x->n);
        if (seq == x->n)
            world_example_add(x, body);
        else if (x->repeated++, !aft_same(body, world_example(x, seq)))
            fail_msg("example %llu was published twice, differently", (unsigned long long)seq);
    }
}

static inline void
world_examples_read(struct world *w, int32_t partition, struct world_examples *x)
{
    *x = (struct world_examples){.newest = -1};
    aft_arena_init(&x->arena, 16 << 20);
    world_each(w, "topics.examples", partition, world_examples_record, x);
}

static inline void
world_examples_free(struct world_examples *x)
{
    aft_buffer_deinit(&x->bytes);
    aft_arena_deinit(&x->arena);
    free(x->at);
}

#endif
