/* metrics.c - the board as Prometheus' text format and as a page for a person; the table of metrics as docs/METRICS.md.
 * In: a board. Out: text. Any thread; the board is locked while it is read.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "consumer/board.h"
#include "consumer/watch.h"

#define PREFIX "aftertouch_"

static void put(struct aft_buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void
put(struct aft_buffer *b, const char *format, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    AFT_ASSERT(n >= 0 && (size_t)n < sizeof line);
    aft_put_raw(b, (struct aft_bytes){(const uint8_t *)line, (size_t)n});
}

static double
lag(const struct aft_task_status *s, size_t log)
{
    int64_t behind = s->end_offset[log] - s->next_offset[log];
    return s->end_offset[log] < 0 ? (double)NAN : behind > 0 ? (double)behind : 0;
}

static double
seconds(int64_t ms)
{
    return ms == INT64_MIN ? (double)NAN : (double)ms / 1000;
}

static double
holds_back(const struct aft_task_status *s, size_t log)
{
    int64_t mine = s->watermark_ms[log], other = s->watermark_ms[1 - log];
    if (mine == INT64_MIN || other == INT64_MIN)
        return mine == other || other == INT64_MIN ? 0 : (double)NAN;
    return other > mine ? (double)(other - mine) / 1000 : 0;
}

static void
head(struct aft_buffer *out, const char *name, const char *type, const char *help)
{
    put(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void
put_value(struct aft_buffer *out, double v)
{
    if (isnan(v))
        put(out, " NaN\n");
    else
        put(out, " %.15g\n", v);
}

static const char *const log_names[2] = {"impressions", "outcomes"};

static void
put_fates(struct aft_buffer *out, const char *name, const struct aft_task_status *s)
{
#define X(fate)                                                                           \
    put(out, PREFIX "%s{partition=\"%d\",fate=\"" #fate "\"} %lld\n", name, s->partition, \
        (long long)s->join.fates.fate);
    AFT_FATES(X)
#undef X
}

static void
put_reasons(struct aft_buffer *out, const char *name, const struct aft_task_status *s)
{
    for (int code = 0; code < AFT_ERR_COUNT; code++)
        if (aft_err_class((enum aft_err)code) == AFT_CLASS_DATA)
            put(out, PREFIX "%s{partition=\"%d\",reason=\"%s\"} %llu\n", name, s->partition,
                aft_err_name((enum aft_err)code), (unsigned long long)s->dead_letters_by[code]);
}

static void
put_keys(struct aft_buffer *out, const char *name, const struct aft_task_status *s, size_t log)
{
    const struct aft_keyed *k = &s->keyed[log];
    for (int by = AFT_BY_CRC32; by <= AFT_BY_NONE; by++)
        put(out, PREFIX "%s{partition=\"%d\",topic=\"%s\",partitioner=\"%s\"} %lld\n", name,
            s->partition, log_names[log],
            by == AFT_BY_NONE ? "tried" : aft_partitioner_name((enum aft_partitioner)by),
            (long long)(by == AFT_BY_NONE ? k->tried : k->fits[by]));
}

static void
put_buckets(struct aft_buffer *out, const char *name, const int64_t v[AFT_HISTOGRAM])
{
    for (uint32_t i = 0; i + 1 < AFT_HISTOGRAM; i++)
        put(out, PREFIX "%s{up_to=\"%.9g\"} %lld\n", name, aft_histogram_bound(i), (long long)v[i]);
    put(out, PREFIX "%s{up_to=\"+Inf\"} %lld\n", name, (long long)v[AFT_HISTOGRAM - 1]);
}

/* An id as a label's value: what would end it is escaped, a byte that is no text becomes a question mark. */
static void
put_label(struct aft_buffer *out, const char *id)
{
    for (const char *p = id; *p; p++) {
        if (*p == '"' || *p == '\\')
            aft_put_u8(out, '\\');
        aft_put_u8(out, *p > 31 && *p < 127 ? (uint8_t)*p : '?');
    }
}

static void
put_arms(struct aft_buffer *out, const char *name, const struct aft_learning_arm *arms)
{
    for (uint32_t i = 0; i < AFT_LEARNING_ARMS && arms[i].id[0]; i++) {
        put(out, PREFIX "%s{arm=\"", name);
        put_label(out, arms[i].id);
        put(out, "\"} %lld\n", (long long)arms[i].exposures);
    }
}

/* Cumulative, at the powers of four of milliseconds: to three days. */
static void
put_disorder(struct aft_buffer *out, const char *name, const struct aft_task_status *s, size_t log)
{
    const struct aft_disorder *d = &s->disorder[log];
    uint64_t within = 0;
    for (uint32_t k = 0; k < AFT_DISORDER_BUCKETS; k++) {
        within += d->n[k];
        if (k % 2 == 0 && k <= 28)
            put(out, PREFIX "%s_bucket{partition=\"%d\",topic=\"%s\",le=\"%.15g\"} %llu\n", name,
                s->partition, log_names[log], (double)((UINT64_C(1) << k) - 1) / 1000,
                (unsigned long long)within);
    }
    put(out, PREFIX "%s_bucket{partition=\"%d\",topic=\"%s\",le=\"+Inf\"} %llu\n", name,
        s->partition, log_names[log], (unsigned long long)within);
    put(out, PREFIX "%s_sum{partition=\"%d\",topic=\"%s\"} %.15g\n", name, s->partition,
        log_names[log], (double)d->sum_ms / 1000);
    put(out, PREFIX "%s_count{partition=\"%d\",topic=\"%s\"} %llu\n", name, s->partition,
        log_names[log], (unsigned long long)within);
}

/* A value is an expression of the table's and nothing here; each function takes the rows of the scopes it defines. */
#define SERVICE(name, type, help, value) \
    head(out, name, type, help);         \
    put(out, PREFIX "%s", name);         \
    put_value(out, (double)(value));
#define LOG(name, type, help, value)                                                              \
    head(out, name, type, help);                                                                  \
    for (size_t i = 0; i < 2 * b->tasks_n; i++) {                                                 \
        const struct aft_task_status *s = &b->tasks[i / 2];                                       \
        const size_t log = i % 2;                                                                 \
        put(out, PREFIX "%s{partition=\"%d\",topic=\"%s\"}", name, s->partition, log_names[log]); \
        put_value(out, (double)(value));                                                          \
    }
#define FATES(name, type, help, value)      \
    head(out, name, type, help);            \
    for (size_t i = 0; i < b->tasks_n; i++) \
        put_fates(out, name, &b->tasks[i]);
#define REASONS(name, type, help, value)    \
    head(out, name, type, help);            \
    for (size_t i = 0; i < b->tasks_n; i++) \
        put_reasons(out, name, &b->tasks[i]);
#define KEYS(name, type, help, value)           \
    head(out, name, type, help);                \
    for (size_t i = 0; i < 2 * b->tasks_n; i++) \
        put_keys(out, name, &b->tasks[i / 2], i % 2);
#define DISORDER(name, type, help, value)       \
    head(out, name, type, help);                \
    for (size_t i = 0; i < 2 * b->tasks_n; i++) \
        put_disorder(out, name, &b->tasks[i / 2], i % 2);

static void
text_of_logs(const struct aft_board *b, struct aft_buffer *out)
{
#include "consumer/metrics.def"
}
#define TASK(name, type, help, value)                                \
    head(out, name, type, help);                                     \
    for (size_t i = 0; i < b->tasks_n; i++) {                        \
        const struct aft_task_status *s = &b->tasks[i];              \
        put(out, PREFIX "%s{partition=\"%d\"}", name, s->partition); \
        put_value(out, (double)(value));                             \
    }

static void
text_of_tasks(const struct aft_board *b, struct aft_buffer *out)
{
#include "consumer/metrics.def"
}
#define HISTORY(name, type, help, value)                             \
    head(out, name, type, help);                                     \
    for (size_t i = 0; i < b->histories_n; i++) {                    \
        const struct aft_historian_status *h = &b->histories[i];     \
        put(out, PREFIX "%s{partition=\"%d\"}", name, h->partition); \
        put_value(out, (double)(value));                             \
    }

static void
text_of_histories(const struct aft_board *b, struct aft_buffer *out)
{
#include "consumer/metrics.def"
}
#define LEARNER(name, type, help, value) \
    head(out, name, type, help);         \
    put(out, PREFIX "%s", name);         \
    put_value(out, (double)(value));
#define BUCKETS(name, type, help, value) \
    head(out, name, type, help);         \
    put_buckets(out, name, value);
#define ARMS(name, type, help, value) \
    head(out, name, type, help);      \
    put_arms(out, name, value);

static void
text_of_learner(const struct aft_learning_status *l, struct aft_buffer *out)
{
#include "consumer/metrics.def"
}

void
aft_metrics_text(struct aft_board *b, struct aft_buffer *out)
{
    pthread_mutex_lock(&b->lock);
    head(out, "build_info", "gauge", "1, with the version.");
    put(out, PREFIX "build_info{version=\"" AFT_VERSION "\"} 1\n");
    text_of_logs(b, out);
    text_of_tasks(b, out);
    if (b->histories_n > 0)
        text_of_histories(b, out);
    if (b->learns)
        text_of_learner(&b->learning, out);
    pthread_mutex_unlock(&b->lock);
}

/* ---- the reference page */
struct row {
    const char *name, *type, *help, *labels;
};
#define SERVICE(name, type, help, value) {name, type, help, ""},
#define LOG(name, type, help, value) {name, type, help, "partition, topic"},
#define TASK(name, type, help, value) {name, type, help, "partition"},
#define FATES(name, type, help, value) {name, type, help, "partition, fate"},
#define REASONS(name, type, help, value) {name, type, help, "partition, reason"},
#define KEYS(name, type, help, value) {name, type, help, "partition, topic, partitioner"},
#define DISORDER(name, type, help, value) {name, type, help, "partition, topic, le"},
#define HISTORY(name, type, help, value) {name, type, help, "partition"},
#define LEARNER(name, type, help, value) {name, type, help, ""},
#define BUCKETS(name, type, help, value) {name, type, help, "up_to"},
#define ARMS(name, type, help, value) {name, type, help, "arm"},
static const struct row rows[] = {
#include "consumer/metrics.def"
};

void
aft_metrics_markdown(struct aft_buffer *out)
{
    put(out, "# Metrics\n\n"
             "Made by `aftertouch config doc metrics` from `consumer/metrics.def`; a test checks "
             "that this page is current.\n"
             "`GET /metrics` on `http.listen`, Prometheus' text format. The learner's stand there "
             "while this process learns.\n\n"
             "| metric | type | labels | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        put(out, "| `" PREFIX "%s` | %s | %s | %s |\n", rows[i].name, rows[i].type, rows[i].labels,
            rows[i].help);
    put(out, "| `" PREFIX "build_info` | gauge | version | 1, with the version. |\n");
}

/* ---- the page for a person */
static void
put_escaped(struct aft_buffer *out, const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p == '<' || *p == '&')
            put(out, *p == '<' ? "&lt;" : "&amp;");
        else
            aft_put_u8(out, (uint8_t)*p);
}

/* What is to be seen to: keys in wrong partitions, logs that others wait for, and the partition that is furthest behind. */
static void
put_watched(struct aft_buffer *out, const struct aft_board *b)
{
    char words[600];
    const struct aft_task_status *last = NULL;
    int last_log = 0;
    for (size_t i = 0; i < b->tasks_n; i++) {
        const struct aft_task_status *s = &b->tasks[i];
        if (aft_keyed_words(s->keyed, s->partition, words, sizeof words)) {
            aft_put_raw(out, AFT_LITERAL("<p>"));
            put_escaped(out, words);
        }
        for (int log = 0; log < 2; log++)
            if (afti_held_back(s, (enum aft_log_kind)log) &&
                (!last || s->watermark_ms[log] < last->watermark_ms[last_log])) {
                last = s;
                last_log = log;
            }
    }
    if (!last)
        return;
    afti_held_back_words(last, (enum aft_log_kind)last_log, words, sizeof words);
    aft_put_raw(out, AFT_LITERAL("<p>"));
    put_escaped(out, words);
}

void
afti_status_page(struct aft_board *b, struct aft_buffer *out)
{
    pthread_mutex_lock(&b->lock);
    put(out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>"
        "<title>aftertouch</title><style>body{font:15px system-ui;margin:2em}td,th{padding:.2em "
        ".8em;"
        "text-align:right}th{border-bottom:1px solid}</style><h1>aftertouch " AFT_VERSION
        "</h1><p>%s",
        b->ready ? "ready" : "not ready yet");
    if (b->trouble[0]) {
        put(out, ": ");
        put_escaped(out, b->trouble);
    }
    put(out, "<table><tr><th>partition<th>impressions<th>lag<th>outcomes<th>lag<th>open<th>"
             "examples<th>credited"
             "<th>organic<th>orphans<th>dead letters");
    for (size_t i = 0; i < b->tasks_n; i++) {
        const struct aft_task_status *s = &b->tasks[i];
        put(out, "<tr><td>%d<td>%lld<td>%.0f<td>%lld<td>%.0f", s->partition,
            (long long)s->consumed[0], lag(s, 0), (long long)s->consumed[1], lag(s, 1));
        put(out, "<td>%lld<td>%llu<td>%lld<td>%lld<td>%lld<td>%llu", (long long)s->join.open,
            (unsigned long long)s->published_seq, (long long)s->join.fates.credited,
            (long long)s->join.fates.organic, (long long)s->join.fates.orphan,
            (unsigned long long)s->dead_letters);
    }
    put(out, "</table>");
    put_watched(out, b);
    if (b->learns)
        put(out, "<p>learner: round %lld, %lld examples, %u arms, last snapshot of round %lld",
            (long long)b->learning.round, (long long)b->learning.learner.learned,
            b->learning.learner.arms, (long long)b->learning.last_snapshot_round);
    put(out, "<p><a href=metrics>metrics</a>");
    pthread_mutex_unlock(&b->lock);
}
