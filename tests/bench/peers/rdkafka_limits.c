/* rdkafka_limits.c - what librdkafka alone reaches against a real broker: the limit for whatever consumes or produces.
 *
 *   rdkafka_limits BROKERS produce TOPIC PARTITIONS N SIZE [txn_ms=M] [KEY=VALUE ...]
 *   rdkafka_limits BROKERS batch   TOPIC PARTITIONS N [batch=B] [KEY=VALUE ...]    rd_kafka_consume_batch_queue
 *   rdkafka_limits BROKERS poll    TOPIC PARTITIONS N [KEY=VALUE ...]              rd_kafka_consumer_poll, one a call
 *
 *   cc -O2 -o build/rdkafka_limits tests/bench/peers/rdkafka_limits.c -lrdkafka
 *
 * KEY=VALUE are librdkafka's properties. One line of results a run: the clock of a consumer starts at its first message; CPU
 * seconds are those of the process, all threads, without the broker. One thread of ours.
 */
#define _POSIX_C_SOURCE 200809L
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct run {
    const char *brokers, *mode, *topic;
    int partitions, size, batch;
    long n, txn_ms;
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk;
};
struct tally {
    long n;
    double bytes, start_s, cpu_s;
};
static long delivered, failed;

static void
die(const char *what, const char *why)
{
    fprintf(stderr, "rdkafka_limits: %s: %s\n", what, why);
    exit(1);
}

static double
now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
cpu_s(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static void
report(const struct run *r, const struct tally *t)
{
    double secs = now_s() - t->start_s, cpu = cpu_s() - t->cpu_s, n = (double)t->n;
    printf("mode=%s%s n=%ld secs=%.3f msgs_per_s=%.0f mb_per_s=%.1f cpu_s=%.3f cpu_s_per_M=%.4f "
           "msgs_per_core_s=%.0f\n",
           r->mode, r->txn_ms ? "-txn" : "", t->n, secs, n / secs, t->bytes / secs / 1e6, cpu,
           cpu * 1e6 / n, n / cpu);
    fflush(stdout);
}

static void
set(struct run *r, const char *key, const char *value)
{
    char error[512];
    if (rd_kafka_conf_set(r->conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        die(key, error);
}

static void
must(const char *what, rd_kafka_error_t *e)
{
    if (e)
        die(what, rd_kafka_error_string(e));
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk, (void)opaque;
    if (m->err)
        failed++;
    else
        delivered++;
}

static void
parse(struct run *r, int argc, char **argv)
{
    if (argc < 6)
        die("usage", "BROKERS produce|batch|poll TOPIC PARTITIONS N ...");
    *r = (struct run){.brokers = argv[1], .mode = argv[2], .topic = argv[3], .batch = 1000};
    r->partitions = atoi(argv[4]);
    r->n = atol(argv[5]);
    r->conf = rd_kafka_conf_new();
    set(r, "bootstrap.servers", r->brokers);
    int at = 6;
    if (strcmp(r->mode, "produce") == 0) {
        if (argc < 7)
            die("usage", "produce TOPIC PARTITIONS N SIZE");
        r->size = atoi(argv[at++]);
        set(r, "queue.buffering.max.messages", "500000");
        rd_kafka_conf_set_dr_msg_cb(r->conf, on_delivery);
    } else {
        set(r, "group.id", "rdkafka_limits");
        set(r, "enable.auto.commit", "false");
    }
    for (; at < argc; at++) {
        char *value = strchr(argv[at], '=');
        if (!value)
            die("not KEY=VALUE", argv[at]);
        *value++ = 0;
        if (strcmp(argv[at], "txn_ms") == 0)
            r->txn_ms = atol(value);
        else if (strcmp(argv[at], "batch") == 0)
            r->batch = atoi(value);
        else
            set(r, argv[at], value);
    }
    if (r->txn_ms)
        set(r, "transactional.id", "rdkafka_limits");
}

/* next_transaction: commits the one that is r->txn_ms old and begins another; returns when it began. */
static double
next_transaction(const struct run *r, double begun)
{
    if (!r->txn_ms || (now_s() - begun) * 1e3 < (double)r->txn_ms)
        return begun;
    must("commit", rd_kafka_commit_transaction(r->rk, 30000));
    must("begin", rd_kafka_begin_transaction(r->rk));
    return now_s();
}

static void
produce(const struct run *r)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(r->rk, r->topic, NULL);
    char *value = malloc((size_t)r->size + sizeof(long));
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < r->size; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        value[i] = (char)x;
    }
    if (r->txn_ms) {
        must("init", rd_kafka_init_transactions(r->rk, 30000));
        must("begin", rd_kafka_begin_transaction(r->rk));
    }
    struct tally t = {.start_s = now_s(), .cpu_s = cpu_s()};
    double begun = t.start_s;
    for (long i = 0; i < r->n; i++) {
        memcpy(value, &i, sizeof i);
        while (rd_kafka_produce(topic, (int32_t)(i % r->partitions), RD_KAFKA_MSG_F_COPY, value,
                                (size_t)r->size, value, 8, NULL) == -1) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                die("produce", rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(r->rk, 10);
        }
        if ((i & 255) == 0) {
            rd_kafka_poll(r->rk, 0);
            begun = next_transaction(r, begun);
        }
    }
    if (r->txn_ms)
        must("commit", rd_kafka_commit_transaction(r->rk, 30000));
    rd_kafka_flush(r->rk, 60000);
    t.n = delivered, t.bytes = (double)delivered * r->size;
    report(r, &t);
    if (failed || delivered != r->n)
        die("produce", "records were not delivered");
    free(value);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(r->rk);
}

static void
count(struct tally *t, rd_kafka_message_t *m)
{
    if (t->n == 0 && t->bytes == 0)
        t->start_s = now_s();
    if (!m->err) {
        t->n++;
        t->bytes += (double)m->len;
    }
    rd_kafka_message_destroy(m);
}

static void
consume(const struct run *r)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(r->partitions);
    for (int i = 0; i < r->partitions; i++)
        rd_kafka_topic_partition_list_add(list, r->topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_poll_set_consumer(r->rk);
    struct tally t = {.cpu_s = cpu_s()};
    rd_kafka_assign(r->rk, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(r->rk);
    rd_kafka_message_t **m = malloc(sizeof *m * (size_t)r->batch);
    while (t.n < r->n) {
        if (strcmp(r->mode, "batch") == 0) {
            ssize_t got = rd_kafka_consume_batch_queue(queue, 100, m, (size_t)r->batch);
            for (ssize_t i = 0; i < got; i++)
                count(&t, m[i]);
        } else if ((m[0] = rd_kafka_consumer_poll(r->rk, 100))) {
            count(&t, m[0]);
        }
    }
    report(r, &t);
    _exit(0); /* the close of a consumer is not measured */
}

int
main(int argc, char **argv)
{
    struct run r;
    char error[512];
    parse(&r, argc, argv);
    int produces = strcmp(r.mode, "produce") == 0;
    r.rk =
        rd_kafka_new(produces ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, r.conf, error, sizeof error);
    if (!r.rk)
        die("new", error);
    if (produces)
        produce(&r);
    else
        consume(&r);
    return 0;
}
