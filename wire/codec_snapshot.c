/* codec_snapshot.c - Snapshot and its manifest: bytes <-> struct aft_snapshot_record.
 * Fields in order: model, round, kind, part, parts, plane, data, ?manifest, ?note. A manifest: digest (32 bytes), ?parent,
 * set_digest, ?signature (64 bytes), configuration, event_time, ends, part_digests, settings, arms, scoreboard, counts
 * (wire/schemas/snapshot.avsc). Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

static enum aft_err
fixed(struct afti_in *in, const char *field, uint8_t *out, size_t n)
{
    struct aft_bytes b;
    if (!aft_get_raw(&in->r, n, &b))
        return afti_malformed(in, field);
    memcpy(out, b.p, n);
    return AFT_OK;
}

/* ---- decode: the manifest's lists. One item each; the loop is in LIST. */
static enum aft_err
get_end(struct afti_in *in, struct aft_end *v)
{
    AFT_TRY(afti_int(in, "manifest.ends.partition", &v->partition));
    AFT_TRY(afti_long(in, "manifest.ends.next_seq", &v->next_seq));
    AFT_TRY(afti_long(in, "manifest.ends.next_offset", &v->next_offset));
    if (!aft_get_le64(&in->r, &v->hash.low) || !aft_get_le64(&in->r, &v->hash.high))
        return afti_malformed(in, "manifest.ends.hash");
    return AFT_OK;
}

static enum aft_err
get_digest(struct afti_in *in, struct aft_digest *v)
{
    return fixed(in, "manifest.part_digests", v->b, sizeof v->b);
}

static enum aft_err
get_setting(struct afti_in *in, struct aft_setting *v)
{
    AFT_TRY(afti_id(in, "manifest.settings", &v->name));
    return afti_text(in, "manifest.settings", AFT_TEXT_BYTES_MAX, &v->value);
}

static enum aft_err
get_arm(struct afti_in *in, struct aft_arm_status *v)
{
    AFT_TRY(afti_id(in, "manifest.arms.arm_id", &v->arm_id));
    AFT_TRY(afti_long(in, "manifest.arms.exposures", &v->exposures));
    AFT_TRY(afti_long(in, "manifest.arms.clicks", &v->clicks));
    AFT_TRY(afti_long(in, "manifest.arms.reward_micro", &v->reward_micro));
    AFT_TRY(afti_long(in, "manifest.arms.first_seen", &v->first_seen_ms));
    AFT_TRY(afti_long(in, "manifest.arms.settled", &v->settled));
    return afti_long(in, "manifest.arms.last_seen", &v->last_seen_ms);
}

static enum aft_err
get_sum(struct afti_in *in, struct aft_named_sum *v)
{
    AFT_TRY(afti_id(in, "manifest.scoreboard.sums", &v->name));
    return afti_double(in, "manifest.scoreboard.sums", &v->sum);
}

static enum aft_err
get_count(struct afti_in *in, struct aft_named_count *v)
{
    AFT_TRY(afti_id(in, "manifest.counts", &v->name));
    return afti_long(in, "manifest.counts", &v->count);
}

/* LIST(name, type, one, field, bound) defines name(in, &array, &n): a whole list of `type`, each read by `one`. */
#define LIST(name, type, one, field, bound)                                     \
    static enum aft_err name(struct afti_in *in, type const **out, uint32_t *n) \
    {                                                                           \
        struct afti_list l = {.max = (bound), .size = sizeof(type)};            \
        uint32_t more;                                                          \
        AFT_TRY(afti_block(in, field, &l, &more));                              \
        while (more) {                                                          \
            for (; more; more--)                                                \
                AFT_TRY(one(in, (type *)l.v + l.n++));                          \
            AFT_TRY(afti_block(in, field, &l, &more));                          \
        }                                                                       \
        *out = l.v;                                                             \
        *n = l.n;                                                               \
        return AFT_OK;                                                          \
    }

LIST(get_ends, struct aft_end, get_end, "manifest.ends", AFT_PARTITIONS_MAX)
LIST(get_digests, struct aft_digest, get_digest, "manifest.part_digests", AFT_PARTS_MAX)
LIST(get_settings, struct aft_setting, get_setting, "manifest.settings", AFT_SETTINGS_MAX)
LIST(get_arms, struct aft_arm_status, get_arm, "manifest.arms", AFT_ARMS_MAX)
LIST(get_sums, struct aft_named_sum, get_sum, "manifest.scoreboard.sums", AFT_NAMED_MAX)

static enum aft_err
get_score(struct afti_in *in, struct aft_policy_score *v)
{
    AFT_TRY(afti_text(in, "manifest.scoreboard.policy", AFT_TEXT_BYTES_MAX, &v->policy));
    AFT_TRY(afti_long(in, "manifest.scoreboard.decisions", &v->decisions));
    AFT_TRY(afti_long(in, "manifest.scoreboard.items", &v->items));
    AFT_TRY(afti_double(in, "manifest.scoreboard.clicks", &v->clicks));
    AFT_TRY(afti_double(in, "manifest.scoreboard.value", &v->value));
    return get_sums(in, &v->sums, &v->sums_n);
}

LIST(get_scores, struct aft_policy_score, get_score, "manifest.scoreboard", AFT_NAMED_MAX)
LIST(get_counts, struct aft_named_count, get_count, "manifest.counts", AFT_NAMED_MAX)
#undef LIST

static enum aft_err
manifest(struct afti_in *in, struct aft_manifest *m)
{
    AFT_TRY(fixed(in, "manifest.digest", m->digest.b, sizeof m->digest.b));
    AFT_TRY(afti_null(in, "manifest.parent", &m->has_parent));
    if (m->has_parent)
        AFT_TRY(fixed(in, "manifest.parent", m->parent.b, sizeof m->parent.b));
    AFT_TRY(fixed(in, "manifest.set_digest", m->set_digest.b, sizeof m->set_digest.b));
    AFT_TRY(afti_null(in, "manifest.signature", &m->has_signature));
    if (m->has_signature)
        AFT_TRY(fixed(in, "manifest.signature", m->signature, sizeof m->signature));
    AFT_TRY(fixed(in, "manifest.configuration", m->configuration.b, sizeof m->configuration.b));
    AFT_TRY(afti_long(in, "manifest.event_time", &m->event_time_ms));
    AFT_TRY(get_ends(in, &m->ends, &m->ends_n));
    AFT_TRY(get_digests(in, &m->part_digests, &m->part_digests_n));
    AFT_TRY(get_settings(in, &m->settings, &m->settings_n));
    AFT_TRY(get_arms(in, &m->arms, &m->arms_n));
    AFT_TRY(get_scores(in, &m->scoreboard, &m->scoreboard_n));
    return get_counts(in, &m->counts, &m->counts_n);
}

static enum aft_err
fields(struct afti_in *at, struct aft_snapshot_record *out)
{
    struct afti_in in = *at;
    unsigned kind, plane;
    *out = (struct aft_snapshot_record){0};
    AFT_TRY(afti_id(&in, "model", &out->model));
    AFT_TRY(afti_long(&in, "round", &out->round));
    AFT_TRY(afti_index(&in, "kind", AFT_SNAPSHOT_PIN + 1, &kind));
    out->kind = (enum aft_snapshot_kind)kind;
    AFT_TRY(afti_int(&in, "part", &out->part));
    AFT_TRY(afti_int(&in, "parts", &out->parts));
    if (out->part < 0 || out->parts < 0 || out->part > out->parts ||
        out->parts > (int32_t)AFT_PARTS_MAX)
        return afti_wrong(&in, "part", "is not in 0 .. parts, or parts is past its bound");
    AFT_TRY(afti_index(&in, "plane", AFT_PLANE_MANIFEST + 1, &plane));
    out->plane = (enum aft_plane)plane;
    AFT_TRY(afti_text(&in, "data", AFT_PART_BYTES_MAX, &out->data));
    AFT_TRY(afti_null(&in, "manifest", &out->has_manifest));
    if (out->has_manifest)
        AFT_TRY(manifest(&in, &out->manifest));
    AFT_TRY(afti_maybe_text(&in, "note", AFT_TEXT_BYTES_MAX, &out->note));
    *at = in;
    return AFT_OK;
}

enum aft_err
aft_decode_snapshot(struct aft_bytes body, struct aft_arena *a, struct aft_snapshot_record *out,
                    struct aft_error *e)
{
    struct afti_in in;
    AFT_TRY(afti_open(&in, "Snapshot", body, a, e));
    AFT_TRY(fields(&in, out));
    return afti_close(&in);
}

enum aft_err
aft_snapshot_front(struct aft_reader *r, struct aft_arena *a, struct aft_bytes *body,
                   struct aft_error *e)
{
    struct afti_in in;
    struct aft_snapshot_record record;
    size_t left = aft_left(r);
    struct aft_bytes most = {r->p, left < AFT_RECORD_BYTES_MAX ? left : AFT_RECORD_BYTES_MAX};
    AFT_TRY(afti_open(&in, "Snapshot", most, a, e));
    AFT_TRY(fields(&in, &record));
    *body = (struct aft_bytes){r->p, (size_t)(in.r.p - r->p)};
    r->p = in.r.p;
    return AFT_OK;
}

/* ---- encode */
static void
put_fixed(struct aft_buffer *b, const uint8_t *p, size_t n)
{
    aft_put_raw(b, (struct aft_bytes){p, n});
}

static void
put_marks(struct aft_buffer *b, const struct aft_manifest *m)
{
    afti_put_count(b, m->ends_n);
    for (uint32_t i = 0; i < m->ends_n; i++) {
        aft_put_long(b, m->ends[i].partition);
        aft_put_long(b, m->ends[i].next_seq);
        aft_put_long(b, m->ends[i].next_offset);
        aft_put_le64(b, m->ends[i].hash.low);
        aft_put_le64(b, m->ends[i].hash.high);
    }
    afti_put_end(b);
    afti_put_count(b, m->part_digests_n);
    for (uint32_t i = 0; i < m->part_digests_n; i++)
        put_fixed(b, m->part_digests[i].b, sizeof m->part_digests[i].b);
    afti_put_end(b);
    afti_put_count(b, m->settings_n);
    for (uint32_t i = 0; i < m->settings_n; i++) {
        aft_put_bytes(b, m->settings[i].name);
        aft_put_bytes(b, m->settings[i].value);
    }
    afti_put_end(b);
}

static void
put_arms(struct aft_buffer *b, const struct aft_arm_status *v, uint32_t n)
{
    afti_put_count(b, n);
    for (uint32_t i = 0; i < n; i++) {
        aft_put_bytes(b, v[i].arm_id);
        aft_put_long(b, v[i].exposures);
        aft_put_long(b, v[i].clicks);
        aft_put_long(b, v[i].reward_micro);
        aft_put_long(b, v[i].first_seen_ms);
        aft_put_long(b, v[i].settled);
        aft_put_long(b, v[i].last_seen_ms);
    }
    afti_put_end(b);
}

static void
put_scoreboard(struct aft_buffer *b, const struct aft_policy_score *v, uint32_t n)
{
    afti_put_count(b, n);
    for (uint32_t i = 0; i < n; i++) {
        aft_put_bytes(b, v[i].policy);
        aft_put_long(b, v[i].decisions);
        aft_put_long(b, v[i].items);
        aft_put_double(b, v[i].clicks);
        aft_put_double(b, v[i].value);
        afti_put_count(b, v[i].sums_n);
        for (uint32_t k = 0; k < v[i].sums_n; k++) {
            aft_put_bytes(b, v[i].sums[k].name);
            aft_put_double(b, v[i].sums[k].sum);
        }
        afti_put_end(b);
    }
    afti_put_end(b);
}

static void
put_manifest(struct aft_buffer *b, const struct aft_manifest *m)
{
    put_fixed(b, m->digest.b, sizeof m->digest.b);
    aft_put_long(b, m->has_parent);
    if (m->has_parent)
        put_fixed(b, m->parent.b, sizeof m->parent.b);
    put_fixed(b, m->set_digest.b, sizeof m->set_digest.b);
    aft_put_long(b, m->has_signature);
    if (m->has_signature)
        put_fixed(b, m->signature, sizeof m->signature);
    put_fixed(b, m->configuration.b, sizeof m->configuration.b);
    aft_put_long(b, m->event_time_ms);
    put_marks(b, m);
    put_arms(b, m->arms, m->arms_n);
    put_scoreboard(b, m->scoreboard, m->scoreboard_n);
    afti_put_count(b, m->counts_n);
    for (uint32_t i = 0; i < m->counts_n; i++) {
        aft_put_bytes(b, m->counts[i].name);
        aft_put_long(b, m->counts[i].count);
    }
    afti_put_end(b);
}

void
aft_encode_snapshot(struct aft_buffer *b, const struct aft_snapshot_record *v)
{
    aft_put_bytes(b, v->model);
    aft_put_long(b, v->round);
    aft_put_long(b, (int64_t)v->kind);
    aft_put_long(b, v->part);
    aft_put_long(b, v->parts);
    aft_put_long(b, (int64_t)v->plane);
    aft_put_bytes(b, v->data);
    aft_put_long(b, v->has_manifest);
    if (v->has_manifest)
        put_manifest(b, &v->manifest);
    afti_put_maybe(b, v->note);
}

void
aft_manifest_seal(const struct aft_snapshot_record *v, struct aft_digest *out)
{
    AFT_ASSERT(v->has_manifest);
    struct aft_snapshot_record bare = *v;
    bare.manifest.set_digest = (struct aft_digest){{0}};
    bare.manifest.has_signature = false;
    struct aft_buffer b = {0};
    aft_encode_snapshot(&b, &bare);
    aft_digest_of(aft_buffer_bytes(&b), out);
    aft_buffer_deinit(&b);
}
