/* log_frozen.c - a log as it stood: reads end where the log was cut, appends go nowhere. What replays read from and write to.
 *
 * In: another log, borrowed. Reads of a partition that was cut give its records of [begin, end) and then are at the end; of
 * any other one,
 * what is there. Appends are acknowledged at the next poll, with offsets that count from 0; who froze the log may look at them.
 * One thread, as any handle.
 */
#include <stdlib.h>

#include "log/log.h"

struct cut {
    const char *topic;
    int32_t partition;
    int64_t begin, end;
};

struct ack {
    void (*acked)(void *ctx, int64_t offset, const struct aft_error *err);
    void *ctx;
};

struct frozen {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *inner;
    struct cut *cuts;
    size_t cuts_n, cuts_cap;
    struct ack *acks; /* since the last poll */
    size_t acks_n, acks_cap;
    int64_t appended;
    uint32_t read_max;
    struct aft_frozen_look look;
};

struct aft_log_reader {
    const struct aft_log_ops *ops; /* of the log within */
    struct aft_log_reader *inner;
    int64_t next, end; /* end INT64_MAX: not cut */
    uint32_t max;
};

static struct frozen *
frozen_of(struct aft_log *l)
{
    return (struct frozen *)l; /* log is the first member */
}

static const struct cut *
cut_of(const struct frozen *f, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < f->cuts_n; i++)
        if (f->cuts[i].partition == partition && strcmp(f->cuts[i].topic, topic) == 0)
            return &f->cuts[i];
    return NULL;
}

static enum aft_err
topic_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    struct aft_log *in = frozen_of(l)->inner;
    return in->ops->topic_facts(in, topic, out, e);
}

static enum aft_err
range(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin, int64_t *end,
      struct aft_error *e)
{
    struct aft_log *in = frozen_of(l)->inner;
    const struct cut *c = cut_of(frozen_of(l), topic, partition);
    if (!c)
        return in->ops->range(in, topic, partition, begin, end, e);
    *begin = c->begin;
    *end = c->end;
    return AFT_OK;
}

/* ---- reading */
static enum aft_err
reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
            struct aft_log_reader **out, struct aft_error *e)
{
    struct aft_log *in = frozen_of(l)->inner;
    const struct cut *c = cut_of(frozen_of(l), topic, partition);
    struct aft_log_reader *r = calloc(1, sizeof *r);
    AFT_ASSERT(r != NULL);
    *r = (struct aft_log_reader){.ops = in->ops,
                                 .next = offset,
                                 .end = c ? c->end : INT64_MAX,
                                 .max = frozen_of(l)->read_max};
    enum aft_err err = in->ops->reader_open(in, topic, partition, offset, &r->inner, e);
    if (err != AFT_OK)
        free(r);
    else
        *out = r;
    return err;
}

static enum aft_err
read_records(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
             uint32_t *n, bool *at_end, struct aft_error *e)
{
    *n = 0;
    *at_end = r->next >= r->end;
    if (*at_end)
        return AFT_OK;
    AFT_TRY(r->ops->read(r->inner, out, max < r->max ? max : r->max, timeout_ms, n, at_end, e));
    while (*n > 0 && out[*n - 1].offset >= r->end) {
        --*n;
        r->next = r->end;
    }
    if (*n > 0 && r->next < r->end)
        r->next = out[*n - 1].offset + 1;
    *at_end = *at_end || r->next >= r->end;
    return AFT_OK;
}

static void
with_headers(struct aft_log_reader *r)
{
    if (r->ops->with_headers)
        r->ops->with_headers(r->inner);
}

static void
reader_close(struct aft_log_reader *r)
{
    r->ops->reader_close(r->inner);
    free(r);
}

/* ---- appending */
static enum aft_err
append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct frozen *f = frozen_of(l);
    if (f->look.append)
        AFT_TRY(f->look.append(f->look.ctx, a, e));
    if (f->acks_n == f->acks_cap) {
        f->acks_cap = f->acks_cap ? 2 * f->acks_cap : 64;
        f->acks = realloc(f->acks, f->acks_cap * sizeof *f->acks);
        AFT_ASSERT(f->acks != NULL);
    }
    f->acks[f->acks_n++] = (struct ack){a->acked, a->ctx};
    return AFT_OK;
}

static void
poll_acks(struct aft_log *l, int timeout_ms)
{
    struct frozen *f = frozen_of(l);
    (void)timeout_ms; /* nothing is on its way */
    for (size_t i = 0; i < f->acks_n; i++, f->appended++)
        if (f->acks[i].acked)
            f->acks[i].acked(f->acks[i].ctx, f->appended, NULL);
    f->acks_n = 0;
}

static enum aft_err
flush(struct aft_log *l, int timeout_ms, struct aft_error *e)
{
    (void)e;
    poll_acks(l, timeout_ms);
    return AFT_OK;
}

static void
frozen_close(struct aft_log *l)
{
    struct frozen *f = frozen_of(l);
    poll_acks(l, 0);
    free(f->cuts);
    free(f->acks);
    free(f);
}

struct aft_log *
aft_log_frozen(struct aft_log *inner, const struct aft_frozen_look *look)
{
    struct frozen *f = calloc(1, sizeof *f);
    AFT_ASSERT(f != NULL);
    f->inner = inner;
    f->read_max = UINT32_MAX;
    f->look = look ? *look : (struct aft_frozen_look){0};
    f->ops = (struct aft_log_ops){.topic_facts = topic_facts,
                                  .range = range,
                                  .reader_open = reader_open,
                                  .read = read_records,
                                  .reader_close = reader_close,
                                  .with_headers = with_headers,
                                  .append = append,
                                  .poll = poll_acks,
                                  .flush = flush,
                                  .close = frozen_close};
    f->log.ops = &f->ops;
    return &f->log;
}

void
aft_log_cut(struct aft_log *frozen, const char *topic, int32_t partition, int64_t begin,
            int64_t end)
{
    struct frozen *f = frozen_of(frozen);
    if (f->cuts_n == f->cuts_cap) {
        f->cuts_cap = f->cuts_cap ? 2 * f->cuts_cap : 16;
        f->cuts = realloc(f->cuts, f->cuts_cap * sizeof *f->cuts);
        AFT_ASSERT(f->cuts != NULL);
    }
    f->cuts[f->cuts_n++] = (struct cut){topic, partition, begin, end};
}

void
aft_log_read_max(struct aft_log *frozen, uint32_t records)
{
    frozen_of(frozen)->read_max = records;
}
