/* log.h - where records come from and go to: topics of partitions of records with offsets and timestamps. Three logs stand behind
 * it: Kafka (log_kafka.c), the embedded log (log_rocksdb.c: topics in RocksDB, in one process, durable), and one in memory
 * (log_mem.c: tests, the simulator). They pass the same tests. Two more are for replays, and read alone: archived container files
 * (log_files.c), and another log as it stood (log_frozen.c).
 *
 * A handle belongs to one thread; open one per thread. Acknowledgements are delivered inside poll, flush and append of the same handle.
 */
#ifndef AFT_LOG_LOG_H
#define AFT_LOG_LOG_H

#include "wire/wire.h"

struct aft_header {
    struct aft_bytes name, value;
};

/* A record as it is read. Slices live until the next aft_log_read on that reader or its close. */
struct aft_record_in {
    int64_t offset, timestamp_ms;     /* the log's own timestamp */
    struct aft_bytes key, value;      /* p == NULL: null */
    const struct aft_header *headers; /* of a reader that was asked for them: with_headers */
    uint32_t headers_n;
};

/* A record as it is written; copied before append returns. timestamp_ms < 0: the log's clock.
 * acked (may be NULL) is called once: err NULL and the offset, or why it is not there. */
struct aft_append {
    const char *topic;
    int32_t partition; /* -1: by the key, murmur2 as Java's clients do */
    int64_t timestamp_ms;
    struct aft_bytes key, value;
    const struct aft_header *headers;
    uint32_t headers_n;
    void (*acked)(void *ctx, int64_t offset, const struct aft_error *err);
    void *ctx;
};

struct aft_topic_spec {
    const char *name;
    int32_t partitions;
    int64_t retention_ms; /* -1: for ever */
    bool compact;         /* and what is older than retention_ms is deleted all the same */
    bool log_append_time; /* the broker's time, not the producer's */
    int64_t replication;  /* 0: the broker's default */
    int64_t record_bytes; /* largest record, on Kafka; 0: the broker's default */
};

struct aft_topic_facts {
    int32_t partitions; /* 0: there is no such topic */
    bool compact, log_append_time;
    int64_t retention_ms; /* -1: for ever; INT64_MIN: not known */
};

/* What an owner tells of a partition, for those who follow it. */
#define AFT_NOTE_MAX 64u
struct aft_mark {
    int64_t offset; /* -1: nothing was told */
    char note[AFT_NOTE_MAX];
};

struct aft_log;
struct aft_log_reader;
struct aft_group;

enum aft_group_event { AFT_GROUP_NOTHING, AFT_GROUP_ASSIGNED, AFT_GROUP_REVOKED };
/* The partitions that are ours now (numbers alone: all topics of the group are co-partitioned and range-assigned). */
struct aft_assignment {
    enum aft_group_event event;
    const int32_t *partitions; /* of this event; lives until the next poll */
    uint32_t n;
    bool lost; /* REVOKED: somebody else may already own them: do not write */
};

struct aft_log_ops {
    enum aft_err (*topic_create)(struct aft_log *l, const struct aft_topic_spec *spec,
                                 struct aft_error *e); /* ok if it exists */
    /* topic_delete: with all that stands in it; ok if there is none. May be NULL where nobody asks for it. */
    enum aft_err (*topic_delete)(struct aft_log *l, const char *topic, struct aft_error *e);
    enum aft_err (*topic_facts)(struct aft_log *l, const char *topic, struct aft_topic_facts *out,
                                struct aft_error *e);
    /* range: begin = lowest offset held, end = the next to be written (of committed records). */
    enum aft_err (*range)(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin,
                          int64_t *end, struct aft_error *e);
    /* offset_at: the first offset whose timestamp >= time; the end when there is none. */
    enum aft_err (*offset_at)(struct aft_log *l, const char *topic, int32_t partition,
                              int64_t time_ms, int64_t *offset, struct aft_error *e);
    enum aft_err (*reader_open)(struct aft_log *l, const char *topic, int32_t partition,
                                int64_t offset, struct aft_log_reader **out, struct aft_error *e);
    /* read: up to max records, waiting at most timeout_ms for the first. *at_end: everything that was there has been read.
     * AFT_E_GAP when the log no longer holds the offset; AFT_E_TIMEOUT/AFT_E_BROKER when nobody answers. */
    enum aft_err (*read)(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max,
                         int timeout_ms, uint32_t *n, bool *at_end, struct aft_error *e);
    void (*reader_close)(struct aft_log_reader *r);
    /* with_headers: records read from now on have their headers. May be NULL where they always do. Those who do not ask pay nothing. */
    void (*with_headers)(struct aft_log_reader *r);
    /* heard_end: the partition's end as this reader last heard of it from whoever fetches for it; nobody is asked. -1: not heard
     * yet. May be NULL where range costs nothing. */
    int64_t (*heard_end)(const struct aft_log_reader *r);
    /* append: AFT_E_AGAIN when the queue is full (poll, then try again). After a record that could not be written, none is written until
     * its failure was told; the append that tells it fails too. */
    enum aft_err (*append)(struct aft_log *l, const struct aft_append *a, struct aft_error *e);
    void (*poll)(struct aft_log *l, int timeout_ms);
    /* flush: polls until everything appended is acknowledged or failed. */
    enum aft_err (*flush)(struct aft_log *l, int timeout_ms, struct aft_error *e);
    /* Groups: which partitions of these co-partitioned topics are ours. A REVOKED event must be answered by letting go of the
     * partitions and polling again. The embedded and the memory log assign everything to everybody who asks, once. */
    enum aft_err (*group_open)(struct aft_log *l, const char *group_id, const char *const *topics,
                               uint32_t topics_n, struct aft_group **out, struct aft_error *e);
    enum aft_err (*group_poll)(struct aft_group *g, int timeout_ms, struct aft_assignment *out,
                               struct aft_error *e);
    /* group_commit: for others to see our lag by; we never read it back. */
    void (*group_commit)(struct aft_group *g, const char *topic, int32_t partition, int64_t offset);
    /* Marks: an offset and a note, kept under the name of a group that nobody joins, so that no rebalance is in the way. One name a
     * handle. mark_put does not wait; the next one makes good a lost one. mark_look: of every partition of a topic. */
    enum aft_err (*mark_put)(struct aft_log *l, const char *name, const char *topic,
                             int32_t partition, const struct aft_mark *mark, struct aft_error *e);
    enum aft_err (*mark_look)(struct aft_log *l, const char *name, const char *topic,
                              int32_t partitions, struct aft_mark *out, struct aft_error *e);
    void (*group_close)(struct aft_group *g);
    void (*close)(struct aft_log *l);
};

struct aft_log {
    const struct aft_log_ops *ops;
};

/* aft_log_kafka_open: properties are librdkafka's own, already without the `kafka.` prefix. role_properties come later and win
 * (for `kafka.consumer.*`, `kafka.producer.*`). AFT_E_CONFIG names the property; AFT_E_BROKER when the bootstrap does not answer in timeout_ms. */
struct aft_property {
    const char *name, *value;
};
struct aft_kafka_options {
    const char *bootstrap;
    const char *client_id;
    const struct aft_property *common, *consumer, *producer;
    uint32_t common_n, consumer_n, producer_n;
    int timeout_ms;
};
enum aft_err aft_log_kafka_open(const struct aft_kafka_options *o, struct aft_log **out,
                                struct aft_error *e) AFT_MUST_CHECK;
/* aft_kafka_secret: a property of librdkafka whose value must not be shown (with or without `consumer.`, `producer.`). */
bool aft_kafka_secret(const char *property);

/* aft_log_kafka_about: what a Kafka log's brokers tell of themselves. */
struct aft_kafka_about {
    int32_t brokers;
    char version[64]; /* inter.broker.protocol.version; "": not told (Kafka 4 tells none) */
    char client[32];  /* librdkafka's */
};
enum aft_err aft_log_kafka_about(struct aft_log *l, struct aft_kafka_about *out,
                                 struct aft_error *e) AFT_MUST_CHECK;

/* The embedded log: one broker object a process, any number of handles. Its clock gives the timestamps. */
struct aft_embedded;
enum aft_err aft_embedded_open(const char *directory, struct aft_clock clock,
                               struct aft_embedded **out, struct aft_error *e) AFT_MUST_CHECK;
void aft_embedded_close(struct aft_embedded *b);
struct aft_log *aft_log_embedded(struct aft_embedded *b);

/* The log in memory, likewise. */
struct aft_memory_broker;
struct aft_memory_broker *aft_memory_broker_new(struct aft_clock clock);
void aft_memory_broker_free(struct aft_memory_broker *b);
struct aft_log *aft_log_memory(struct aft_memory_broker *b);

/* A log of archived container files: each is one partition of a topic (log_files.c says which kinds). Other topics are those of
 * `beneath` (NULL: empty). All borrowed; they outlive the log. Reads alone. AFT_E_IO, AFT_E_SCHEMA, AFT_E_CORRUPT, AFT_E_GAP name the file. */
struct aft_log_file {
    const char *topic, *path;
    int32_t partition;
    enum aft_record record; /* IMPRESSION, OUTCOME, CLOCK, EXAMPLE, ROUND, SNAPSHOT */
};
enum aft_err aft_log_files_open(const struct aft_log_file *v, size_t n, struct aft_log *beneath,
                                struct aft_log **out, struct aft_error *e) AFT_MUST_CHECK;

/* A log as it stood, for replays: reads end at a cut, appends go nowhere. Who froze it looks at what would have been
 * appended; an error is the append's. */
struct aft_frozen_look {
    void *ctx;
    enum aft_err (*append)(void *ctx, const struct aft_append *a, struct aft_error *e);
};

/* aft_log_frozen: `inner` is borrowed and outlives it; look may be NULL. It has no groups and creates no topics. */
struct aft_log *aft_log_frozen(struct aft_log *inner, const struct aft_frozen_look *look);
/* aft_log_cut: this partition holds offsets begin .. end - 1 from now on; topic is borrowed. Before its readers are opened. */
void aft_log_cut(struct aft_log *frozen, const char *topic, int32_t partition, int64_t begin,
                 int64_t end);
/* aft_log_read_max: readers opened from now on give at most so many records at once. */
void aft_log_read_max(struct aft_log *frozen, uint32_t records);

/* What else a process has of the world. Any thread.
 * aft_clock_real: the machine's clocks. aft_say: one logfmt line on stderr, with its level and the part of us that speaks. */
struct aft_clock aft_clock_real(void);
void aft_say(const char *level, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
