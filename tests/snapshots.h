/* snapshots.h - snapshots made by hand for tests: a shared linear model that knows the arms' identities alone, so that a score is
 * a weight of the test's choosing; and a transport in memory for the client. */
#ifndef AFT_TESTS_SNAPSHOTS_H
#define AFT_TESTS_SNAPSHOTS_H

#include "client/client.h"

struct made_snapshot { /* framed records as they stand in the topic: one part, then the manifest */
    struct aft_buffer part, manifest;
};

struct made_spec {
    int64_t round;
    const char *const *arms;
    const double *theta;
    uint32_t arms_n;
    const char *explore, *temperature;
    const uint8_t *secret;   /* NULL: unsigned */
    const char *key, *value; /* one more setting, or NULL */
};

static inline void
make_weights(const struct made_spec *s, struct aft_buffer *out)
{
    static struct aft_features_plan plan;
    static struct aft_encoded arm;
    struct aft_policy_settings settings;
    struct aft_weights w;
    struct aft_error e;
    aft_policy_settings_default(&settings);
    aft_features_plan_init(&plan, &settings);
    aft_weights_init(&w, AFT_MODEL_RIDGE, 1);
    aft_linear_init(&w.linear, 1.0, 1);
    uint32_t block = aft_linear_add_block(&w.linear);
    for (uint32_t i = 0; i < s->arms_n; i++) {
        enum aft_err err =
            aft_encode_arm(&plan, aft_text(s->arms[i]), (struct aft_features){0}, &arm, &e);
        AFT_ASSERT(err == AFT_OK);
        uint32_t at = aft_dict_add(&w.linear.columns, arm.v[0].hash);
        AFT_ASSERT(at == i);
    }
    aft_linear_block_grow(&w.linear, block, aft_linear_columns(&w.linear));
    for (uint32_t i = 0; i < s->arms_n; i++)
        w.linear.blocks[block].theta[i] = s->theta[i];
    aft_weights_encode(&w, out);
    aft_weights_deinit(&w);
}

static inline void
make_snapshot(const struct made_spec *s, struct made_snapshot *out)
{
    struct aft_buffer weights = {0}, body = {0};
    struct aft_digest part_digest;
    make_weights(s, &weights);
    struct aft_snapshot_record part = {.model = AFT_LITERAL("default"),
                                       .round = s->round,
                                       .part = 0,
                                       .parts = 1,
                                       .plane = AFT_PLANE_WEIGHTS,
                                       .data = aft_buffer_bytes(&weights)};
    aft_encode_snapshot(&body, &part);
    aft_digest_of(aft_buffer_bytes(&body), &part_digest);
    aft_buffer_reset(&out->part);
    aft_frame_put_single(&out->part, AFT_RECORD_SNAPSHOT);
    aft_put_raw(&out->part, aft_buffer_bytes(&body));
    const struct aft_setting settings[] = {
        {AFT_LITERAL("learner.model"), AFT_LITERAL("ridge")},
        {AFT_LITERAL("policy.explore"), aft_text(s->explore)},
        {AFT_LITERAL("policy.temperature"), aft_text(s->temperature)},
        {aft_text(s->key), aft_text(s->value)}};
    struct aft_snapshot_record m = {.model = part.model,
                                    .round = s->round,
                                    .part = 1,
                                    .parts = 1,
                                    .plane = AFT_PLANE_MANIFEST,
                                    .data = AFT_LITERAL(""),
                                    .has_manifest = true};
    m.manifest = (struct aft_manifest){.digest = part_digest,
                                       .part_digests = &part_digest,
                                       .part_digests_n = 1,
                                       .settings = settings,
                                       .settings_n = s->key ? 4 : 3};
    aft_manifest_seal(&m, &m.manifest.set_digest);
    if (s->secret) {
        m.manifest.has_signature = true;
        aft_sign(s->secret, (struct aft_bytes){m.manifest.set_digest.b, 32}, m.manifest.signature);
    }
    aft_buffer_reset(&out->manifest);
    aft_frame_put_single(&out->manifest, AFT_RECORD_SNAPSHOT);
    aft_encode_snapshot(&out->manifest, &m);
    aft_buffer_deinit(&weights);
    aft_buffer_deinit(&body);
}

static inline void
made_snapshot_deinit(struct made_snapshot *m)
{
    aft_buffer_deinit(&m->part);
    aft_buffer_deinit(&m->manifest);
}

/* ---- a transport in memory: what is appended is kept; what is put into `snapshots` is handed on at the next poll. */
struct memory_transport {
    struct aft_buffer records[2]; /* per topic: length le32, value */
    uint32_t appended[2];
    uint32_t full; /* so many appends are refused as full */
    const struct aft_buffer *snapshots[8];
    uint32_t snapshots_n;
};

static inline enum aft_err
memory_append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
              struct aft_bytes value, struct aft_error *e)
{
    struct memory_transport *t = ctx;
    (void)time_ms;
    AFT_ASSERT(key.n > 0);
    if (t->full) {
        t->full--;
        return AFT_FAIL(e, AFT_E_AGAIN, "full");
    }
    aft_put_le32(&t->records[topic], (uint32_t)value.n);
    aft_put_raw(&t->records[topic], value);
    t->appended[topic]++;
    return AFT_OK;
}

static inline void
memory_poll(void *ctx, int timeout_ms)
{
    (void)ctx;
    (void)timeout_ms;
}

static inline uint64_t
memory_waiting(void *ctx)
{
    (void)ctx;
    return 0;
}

static inline enum aft_err
memory_poll_snapshots(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx,
                      bool *at_end, struct aft_error *e)
{
    struct memory_transport *t = ctx;
    (void)timeout_ms;
    (void)e;
    for (uint32_t i = 0; i < t->snapshots_n; i++)
        sink(sink_ctx, AFT_LITERAL("default/x"), aft_buffer_bytes(t->snapshots[i]));
    t->snapshots_n = 0;
    *at_end = true;
    return AFT_OK;
}

static inline struct aft_client_transport
memory_transport_of(struct memory_transport *t)
{
    return (struct aft_client_transport){.ctx = t,
                                         .append = memory_append,
                                         .poll = memory_poll,
                                         .waiting = memory_waiting,
                                         .poll_snapshots = memory_poll_snapshots};
}

static inline void
memory_give(struct memory_transport *t, const struct made_snapshot *s)
{
    AFT_ASSERT(t->snapshots_n + 2 <= 8);
    t->snapshots[t->snapshots_n++] = &s->part;
    t->snapshots[t->snapshots_n++] = &s->manifest;
}

static inline void
memory_transport_deinit(struct memory_transport *t)
{
    aft_buffer_deinit(&t->records[0]);
    aft_buffer_deinit(&t->records[1]);
}

#endif
