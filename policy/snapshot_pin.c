/* snapshot_pin.c - pins and the keys of the snapshots topic, as they are written. Pure. */
#include <stdio.h>
#include <stdlib.h>

#include "policy/snapshot_inner.h"

#define SERIAL AFT_LITERAL("serial")
#define PIN_MARK "/pin"

int64_t
aft_pin_serial(const struct aft_snapshot_record *r)
{
    for (uint32_t i = 0; i < r->manifest.counts_n; i++)
        if (aft_same(r->manifest.counts[i].name, SERIAL))
            return r->manifest.counts[i].count;
    return 0;
}

/* ---- keys */
static void
put_number(struct aft_buffer *out, int64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "/%lld", (long long)n);
    aft_put_raw(out, aft_text(text));
}

void
aft_snapshot_key(struct aft_buffer *out, const struct aft_snapshot_record *r)
{
    AFT_ASSERT(r->kind != AFT_SNAPSHOT_PIN);
    aft_put_raw(out, r->model);
    put_number(out, r->round);
    if (r->has_manifest)
        aft_put_raw(out, AFT_LITERAL("/manifest"));
    else
        put_number(out, r->part);
}

void
aft_pin_key(struct aft_buffer *out, struct aft_bytes model, int64_t serial, int32_t part)
{
    aft_put_raw(out, model);
    aft_put_raw(out, AFT_LITERAL(PIN_MARK));
    if (part < 0)
        return;
    put_number(out, serial);
    put_number(out, part);
}

int64_t
aft_snapshot_key_round(struct aft_bytes key, struct aft_bytes model)
{
    size_t at = model.n + 1;
    int64_t round = 0;
    if (key.n <= at || memcmp(key.p, model.p, model.n) != 0 || key.p[model.n] != '/')
        return -1;
    for (; at < key.n && key.p[at] >= '0' && key.p[at] <= '9' && round < INT64_MAX / 10 - 1; at++)
        round = 10 * round + (key.p[at] - '0');
    return at > model.n + 1 && at < key.n && key.p[at] == '/' ? round : -1;
}

/* ---- a pin */
struct pinning {
    const struct aft_pin_spec *spec;
    aft_publish_sink sink;
    void *ctx;
    struct aft_buffer key, body;
    struct aft_digest *digests;
};

static enum aft_err
send(struct pinning *p, const struct aft_snapshot_record *r, struct aft_error *e)
{
    aft_buffer_reset(&p->key);
    aft_buffer_reset(&p->body);
    aft_pin_key(&p->key, p->spec->model, p->spec->serial, r->has_manifest ? -1 : r->part);
    aft_encode_snapshot(&p->body, r);
    if (!r->has_manifest)
        aft_digest_of(aft_buffer_bytes(&p->body), &p->digests[r->part]);
    return p->sink(p->ctx, aft_buffer_bytes(&p->key), aft_buffer_bytes(&p->body), e);
}

static enum aft_err
send_all(struct pinning *p, struct aft_error *e)
{
    const struct aft_pin_spec *s = p->spec;
    struct aft_snapshot_record r = {.model = s->model,
                                    .round = s->round,
                                    .kind = AFT_SNAPSHOT_PIN,
                                    .parts = (int32_t)s->bodies_n,
                                    .plane = AFT_PLANE_LEARNER};
    for (uint32_t i = 0; i < s->bodies_n; i++) {
        r.part = (int32_t)i;
        r.data = s->bodies[i];
        if (r.data.n > AFT_PART_BYTES_MAX)
            return AFT_FAIL(e, AFT_E_LIMIT, "a record of %zu bytes is too big for a pin", r.data.n);
        AFT_TRY(send(p, &r, e));
    }
    const struct aft_named_count serial = {SERIAL, s->serial};
    r.part = r.parts;
    r.data = AFT_LITERAL("");
    r.plane = AFT_PLANE_MANIFEST;
    r.has_manifest = true;
    r.note = s->note;
    r.manifest = (struct aft_manifest){.digest = s->digest,
                                       .part_digests = p->digests,
                                       .part_digests_n = s->bodies_n,
                                       .counts = &serial,
                                       .counts_n = 1,
                                       .has_signature = s->signing_key != NULL};
    aft_manifest_seal(&r, &r.manifest.set_digest);
    if (s->signing_key)
        aft_sign(s->signing_key, (struct aft_bytes){r.manifest.set_digest.b, 32},
                 r.manifest.signature);
    return send(p, &r, e);
}

enum aft_err
aft_pin_encode(const struct aft_pin_spec *spec, aft_publish_sink sink, void *ctx,
               struct aft_error *e)
{
    struct pinning p = {.spec = spec, .sink = sink, .ctx = ctx};
    if (spec->bodies_n > AFT_PARTS_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "a pin of %u records", spec->bodies_n);
    p.digests = calloc(spec->bodies_n + 1, sizeof *p.digests);
    AFT_ASSERT(p.digests);
    enum aft_err err = send_all(&p, e);
    free(p.digests);
    aft_buffer_deinit(&p.key);
    aft_buffer_deinit(&p.body);
    return err;
}
