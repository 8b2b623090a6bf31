/* client.h - libaftertouch from inside the house: the public header, and the port through which its records travel, so that the
 * demo and the tests run the same client on the embedded log or the log in memory. Not installed, not exported.
 */
#ifndef AFT_CLIENT_CLIENT_H
#define AFT_CLIENT_CLIENT_H

#include "client/aftertouch.h"
#include "policy/policy.h"

enum aft_client_topic { AFT_CLIENT_IMPRESSIONS, AFT_CLIENT_OUTCOMES };

/* A record of the snapshots topic, framed as it stands there. The bytes live until the sink returns. */
typedef void (*aft_client_snapshot_sink)(void *ctx, struct aft_bytes key, struct aft_bytes value);
/* A record that was taken and will never be delivered. */
typedef void (*aft_client_failure_sink)(void *ctx, const struct aft_client_failure *what);

struct aft_client_transport {
    void *ctx;
    /* append copies; AFT_E_AGAIN: the queue is full (poll, try again). Any thread. */
    enum aft_err (*append)(void *ctx, enum aft_client_topic topic, int64_t time_ms,
                           struct aft_bytes key, struct aft_bytes value, struct aft_error *e);
    /* listen: called once, before the first append: records that were taken and cannot be delivered go to the sink, from poll,
     * append or close. NULL: every record that is taken is delivered at once. */
    void (*listen)(void *ctx, aft_client_failure_sink sink, void *sink_ctx);
    /* resend: as append, for what a spill file keeps until it is delivered; resending: how many of those are not yet. A failure of
     * such a one that is no refusal goes to nobody: it is lost to the transport, and the spill file sends it once more. NULL: append and
     * waiting. lost: how many of resending's are; forget: and count no more in either. NULL: none ever is. */
    enum aft_err (*resend)(void *ctx, enum aft_client_topic topic, int64_t time_ms,
                           struct aft_bytes key, struct aft_bytes value, struct aft_error *e);
    uint64_t (*resending)(void *ctx);
    uint64_t (*lost)(void *ctx, bool forget);
    /* away: something waits, and nothing was delivered for so long. NULL: never. */
    bool (*away)(void *ctx, int32_t ms);
    /* poll serves delivery reports. */
    void (*poll)(void *ctx, int timeout_ms);
    /* waiting: how many records are taken and not yet delivered. */
    uint64_t (*waiting)(void *ctx);
    /* poll_snapshots hands on what is new in the snapshots topic, from its beginning the first time, waiting at most timeout_ms
     * for the first; *at_end: everything that was there has been handed on. NULL: nothing to follow. */
    enum aft_err (*poll_snapshots)(void *ctx, int timeout_ms, aft_client_snapshot_sink sink,
                                   void *sink_ctx, bool *at_end, struct aft_error *e);
    /* poll_history: likewise of the topic that holds users' histories, all its partitions; another thread. A value p == NULL is a
     * tombstone. */
    enum aft_err (*poll_history)(void *ctx, int timeout_ms, aft_client_snapshot_sink sink,
                                 void *sink_ctx, bool *at_end, struct aft_error *e);
    void (*close)(void *ctx);
    bool
        threaded; /* poll_snapshots, poll_history have threads in the client; else aft_client_poll calls them */
};

/* aft_client_open_over: as aft_client_open, over this transport (closed by aft_client_close, and on failure). */
enum aft_err aft_client_open_over(const struct aft_client_options *options,
                                  const struct aft_client_transport *transport,
                                  struct aft_client **client, struct aft_error *e) AFT_MUST_CHECK;

/* aft_client_transport_kafka: librdkafka (transport_kafka.c). */
enum aft_err aft_client_transport_kafka(const struct aft_client_options *options,
                                        struct aft_client_transport *out,
                                        struct aft_error *e) AFT_MUST_CHECK;

#endif
