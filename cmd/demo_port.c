/* demo_port.c - the client's transport over an aft_log: how the demo runs the real client on the embedded log. One thread. */
#include "cmd/demo.h"

enum { BATCH = 8 };

static void
on_ack(void *ctx, int64_t offset, const struct aft_error *err)
{
    struct demo_port *p = ctx;
    (void)offset;
    AFT_ASSERT(p->waiting > 0);
    p->waiting--;
    if (!err || err->code == AFT_OK || !p->sink)
        return;
    struct aft_client_failure what = {.topic = "", .reason = err->message};
    p->sink(p->sink_ctx, &what);
}

static enum aft_err
port_append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
            struct aft_bytes value, struct aft_error *e)
{
    struct demo_port *p = ctx;
    (void)time_ms; /* the log's own clock stamps it, as a broker with LogAppendTime would */
    struct aft_append a = {.topic = p->topics[topic],
                           .partition = -1,
                           .timestamp_ms = -1,
                           .key = key,
                           .value = value,
                           .acked = on_ack,
                           .ctx = p};
    AFT_TRY(p->log->ops->append(p->log, &a, e));
    p->waiting++;
    return AFT_OK;
}

static void
port_listen(void *ctx, aft_client_failure_sink sink, void *sink_ctx)
{
    struct demo_port *p = ctx;
    p->sink = sink;
    p->sink_ctx = sink_ctx;
}

static void
port_poll(void *ctx, int timeout_ms)
{
    struct demo_port *p = ctx;
    p->log->ops->poll(p->log, timeout_ms);
}

static uint64_t
port_waiting(void *ctx)
{
    struct demo_port *p = ctx;
    return p->waiting;
}

static enum aft_err
port_snapshots(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx,
               bool *at_end, struct aft_error *e)
{
    struct demo_port *p = ctx;
    struct aft_record_in records[BATCH];
    uint32_t n = 1;
    *at_end = false;
    if (!p->reader)
        AFT_TRY(p->log->ops->reader_open(p->log, p->snapshots, 0, 0, &p->reader, e));
    while (n > 0 && !*at_end) {
        AFT_TRY(p->log->ops->read(p->reader, records, BATCH, timeout_ms, &n, at_end, e));
        for (uint32_t i = 0; i < n; i++)
            sink(sink_ctx, records[i].key, records[i].value);
        timeout_ms = 0;
    }
    return AFT_OK;
}

static void
port_close(void *ctx)
{
    struct demo_port *p = ctx;
    if (p->reader)
        p->log->ops->reader_close(p->reader);
    p->reader = NULL;
}

struct aft_client_transport
demo_port_transport(struct demo_port *p)
{
    return (struct aft_client_transport){.ctx = p,
                                         .append = port_append,
                                         .listen = port_listen,
                                         .poll = port_poll,
                                         .waiting = port_waiting,
                                         .poll_snapshots = port_snapshots,
                                         .close = port_close};
}
