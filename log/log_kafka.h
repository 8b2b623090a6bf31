/* log_kafka.h - inner header of the log on Kafka: a handle, its topics, its readers. See log_kafka.c.
 * librdkafka's types appear by their struct tags, so that its header stays in the *_kafka.c files. */
#ifndef AFT_LOG_KAFKA_H
#define AFT_LOG_KAFKA_H

#include "log/local.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_topic_s;

/* A topic that was seen: its partitions, and librdkafka's objects for it (made when first needed). */
struct afti_kafka_topic {
    struct afti_kafka_topic *next;
    int32_t partitions;
    struct rd_kafka_topic_s *reading, *writing;
    char name[];
};

/* An append on its way; opaque of its message. Those that came back wait in a list for the next append. */
struct afti_kafka_sent {
    struct afti_kafka_sent *next;
    afti_acked_fn *acked;
    void *ctx;
};

struct afti_kafka {
    struct aft_log log;
    struct aft_kafka_options options;       /* copied, texts too */
    int timeout_ms;                         /* of a question to the brokers */
    struct rd_kafka_s *consumer, *producer; /* the producer is made by the first append */
    struct rd_kafka_s *marker;              /* made by the first mark */
    struct afti_kafka_topic *topics;
    struct aft_log_reader *readers;
    struct afti_kafka_sent *spare;
    uint64_t failures;    /* records that were not written */
    uint32_t outages;     /* how often error_cb said that no broker is up */
    bool lost;            /* a record without `acked` was not written: the next flush says so */
    struct aft_error why; /* of lost */
    char heard[256];      /* the last words of librdkafka about a broker */
};

static inline struct afti_kafka *
afti_kafka_of(struct aft_log *l)
{
    return (struct afti_kafka *)l; /* log is the first member */
}

enum afti_kafka_role { AFTI_KAFKA_READ, AFTI_KAFKA_WRITE, AFTI_KAFKA_MEMBER };

/* afti_kafka_conf: the options' properties under what the role must have. AFT_E_CONFIG names the property at fault. */
enum aft_err afti_kafka_conf(const struct afti_kafka *k, enum afti_kafka_role role,
                             struct rd_kafka_conf_s **out, struct aft_error *e) AFT_MUST_CHECK;
/* afti_kafka_failed: AFT_E_TIMEOUT or AFT_E_BROKER (or CONFIG for a missing topic) with librdkafka's words and the address. */
enum aft_err afti_kafka_failed(const struct afti_kafka *k, const char *what, int rd_err,
                               const char *words, struct aft_error *e);

/* ---- admin_kafka.c */
/* afti_kafka_topic: the topic with its partitions; asks the brokers when it is new or `partition` is past what was known.
 * partition -1: any. AFT_E_CONFIG: no such topic or partition. */
enum aft_err afti_kafka_topic(struct afti_kafka *k, const char *name, int32_t partition,
                              struct afti_kafka_topic **out, struct aft_error *e) AFT_MUST_CHECK;
/* afti_kafka_partitions: asks the brokers; 0 when there is no such topic. */
enum aft_err afti_kafka_partitions(struct afti_kafka *k, const char *name, int32_t *partitions,
                                   struct aft_error *e) AFT_MUST_CHECK;
/* afti_kafka_describe: the configuration of a topic or a broker (librdkafka's RD_KAFKA_RESOURCE_*), an entry a call; those without a value,
 * and all that we have no right to see, are left out. */
typedef void afti_kafka_entry_fn(void *ctx, const char *name, const char *value);
enum aft_err afti_kafka_describe(struct afti_kafka *k, int resource, const char *name,
                                 afti_kafka_entry_fn *each, void *ctx,
                                 struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_kafka_topic_create(struct aft_log *l, const struct aft_topic_spec *s,
                                     struct aft_error *e);
enum aft_err afti_kafka_topic_delete(struct aft_log *l, const char *topic, struct aft_error *e);
enum aft_err afti_kafka_topic_facts(struct aft_log *l, const char *topic,
                                    struct aft_topic_facts *out, struct aft_error *e);
enum aft_err afti_kafka_range(struct aft_log *l, const char *topic, int32_t partition,
                              int64_t *begin, int64_t *end, struct aft_error *e);
enum aft_err afti_kafka_offset_at(struct aft_log *l, const char *topic, int32_t partition,
                                  int64_t time_ms, int64_t *offset, struct aft_error *e);

/* ---- reader_kafka.c */
enum aft_err afti_kafka_reader_open(struct aft_log *l, const char *topic, int32_t partition,
                                    int64_t offset, struct aft_log_reader **out,
                                    struct aft_error *e);
enum aft_err afti_kafka_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max,
                             int timeout_ms, uint32_t *n, bool *at_end, struct aft_error *e);
void afti_kafka_reader_close(struct aft_log_reader *r);
void afti_kafka_with_headers(struct aft_log_reader *r);
int64_t afti_kafka_heard_end(const struct aft_log_reader *r);

/* ---- producer_kafka.c */
enum aft_err afti_kafka_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e);
void afti_kafka_poll(struct aft_log *l, int timeout_ms);
enum aft_err afti_kafka_flush(struct aft_log *l, int timeout_ms, struct aft_error *e);
/* afti_kafka_producer_close: what is queued is given up (who wants it there flushes first); acknowledgements are forgotten. */
void afti_kafka_producer_close(struct afti_kafka *k);

/* ---- group_kafka.c */
enum aft_err afti_kafka_group_open(struct aft_log *l, const char *group_id,
                                   const char *const *topics, uint32_t topics_n,
                                   struct aft_group **out, struct aft_error *e);
enum aft_err afti_kafka_group_poll(struct aft_group *g, int timeout_ms, struct aft_assignment *out,
                                   struct aft_error *e);
void afti_kafka_group_commit(struct aft_group *g, const char *topic, int32_t partition,
                             int64_t offset);
enum aft_err afti_kafka_mark_put(struct aft_log *l, const char *name, const char *topic,
                                 int32_t partition, const struct aft_mark *mark,
                                 struct aft_error *e);
enum aft_err afti_kafka_mark_look(struct aft_log *l, const char *name, const char *topic,
                                  int32_t partitions, struct aft_mark *out, struct aft_error *e);
void afti_kafka_group_close(struct aft_group *g);

#endif
