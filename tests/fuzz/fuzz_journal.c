/* fuzz_journal.c - a clock topic and a rounds topic that somebody else has written to: a partition's task, and then the learner, start on
 * them and work. Input: records of (topic u8, size u8, body), framed as ours. The service goes on, or stops with an error in words;
 * it neither aborts nor hangs. */
#include <stdlib.h>

#include "consumer/consumer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 64, STEPS = 200 };

static int64_t
now(void *ctx)
{
    return *(int64_t *)ctx;
}

struct stage {
    int64_t now_ms;
    struct aft_memory_broker *broker;
    struct aft_log *log;
    struct aft_config *config;
};

static void
must(enum aft_err err)
{
    AFT_ASSERT(err == AFT_OK);
}

static void
stage_open(struct stage *s)
{
    static const char *const keys[] = {"topics.impressions", "topics.outcomes",     "topics.clock",
                                       "topics.examples",    "topics.dead.letters", "topics.rounds",
                                       "topics.snapshots"};
    struct aft_error e;
    *s = (struct stage){.now_ms = INT64_C(1700000000000)};
    s->broker = aft_memory_broker_new((struct aft_clock){&s->now_ms, now, now});
    s->log = aft_log_memory(s->broker);
    s->config = aft_config_new();
    must(aft_config_set(s->config, "join.max.open", "1000", &e));
    must(aft_config_set(s->config, "features.bits", "8", &e));
    must(aft_config_check(s->config, &e));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct aft_topic_spec spec = {
            .name = aft_config_text(s->config, keys[i]), .partitions = 1, .retention_ms = -1};
        must(s->log->ops->topic_create(s->log, &spec, &e));
    }
}

static void
stage_close(struct stage *s)
{
    s->log->ops->close(s->log);
    aft_memory_broker_free(s->broker);
    aft_config_free(s->config);
}

static void
write_all(struct stage *s, struct aft_bytes in)
{
    struct aft_buffer value = {0};
    struct aft_error e;
    for (size_t at = 0, n = 0; at + 2 <= in.n && n < RECORDS; n++) {
        bool rounds = in.p[at] & 1;
        size_t size = in.p[at + 1] < in.n - at - 2 ? in.p[at + 1] : in.n - at - 2;
        struct aft_append a = {
            .topic = aft_config_text(s->config, rounds ? "topics.rounds" : "topics.clock"),
            .timestamp_ms = -1,
            .key = AFT_LITERAL("0")};
        aft_buffer_reset(&value);
        if (!(in.p[at] & 2)) /* else without a frame */
            aft_frame_put_single(&value, rounds ? AFT_RECORD_ROUND : AFT_RECORD_CLOCK);
        aft_put_raw(&value, (struct aft_bytes){in.p + at + 2, size});
        a.value = aft_buffer_bytes(&value);
        must(s->log->ops->append(s->log, &a, &e));
        s->log->ops->poll(s->log, 0);
        at += 2 + size;
    }
    aft_buffer_deinit(&value);
}

static void
join(struct stage *s)
{
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = s->config,
                                 .log = s->log,
                                 .store = store,
                                 .clock = {&s->now_ms, now, now},
                                 .owner = "a fuzzer"};
    struct aft_task *t;
    struct aft_error e = {0};
    bool busy;
    enum aft_err err = aft_task_open(&o, &t, &e);
    if (err == AFT_OK) {
        for (int i = 0; i < STEPS && err == AFT_OK; i++, s->now_ms += 1000)
            err = aft_task_step(t, 0, &busy, &e);
        aft_task_close(t);
    }
    AFT_ASSERT(err == AFT_OK || e.message[0] != '\0');
    store->ops->close(store);
}

static void
learn(struct stage *s)
{
    struct aft_learning_options o = {.config = s->config,
                                     .log = s->log,
                                     .clock = {&s->now_ms, now, now},
                                     .partitions = 1,
                                     .owner = "a fuzzer"};
    struct aft_learning *l;
    struct aft_error e = {0};
    bool busy;
    enum aft_err err = aft_learning_open(&o, &l, &e);
    if (err == AFT_OK) {
        for (int i = 0; i < STEPS && err == AFT_OK; i++, s->now_ms += 1000)
            err = aft_learning_step(l, 0, &busy, &e);
        aft_learning_close(l);
    }
    AFT_ASSERT(err == AFT_OK || e.message[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stage s;
    stage_open(&s);
    write_all(&s, (struct aft_bytes){data, size});
    join(&s);
    learn(&s);
    stage_close(&s);
    return 0;
}
