/* snapshot.c - `snapshot list | show [ROUND]`: what stands in the snapshots topic. In: the topic, from its beginning to the end it
 * has now. Out: a line (or an object) a published snapshot; or one manifest. A set is "whole" when all its parts and its manifest
 * verify, as a client would take it. */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 32u
#define WAIT_MS 1000

struct found {
    int64_t round, offset, bytes;
    bool whole;
    struct aft_buffer body; /* of the manifest's record */
    struct aft_buffer model;
};

struct listing {
    struct found *v;
    size_t n, cap;
    const char *model;
    struct aft_snapshot_set *set;
    struct aft_decoder *decoder;
    struct aft_arena arena;
    int64_t bytes; /* of parts since the last manifest */
};

/* ---- reading */
static void
found_add(struct listing *l, const struct aft_snapshot_record *r, const struct aft_record_in *in,
          struct aft_bytes body, bool whole)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->v = realloc(l->v, l->cap * sizeof *l->v);
        AFT_ASSERT(l->v != NULL);
    }
    struct found *f = &l->v[l->n++];
    *f = (struct found){.round = r->round, .offset = in->offset, .bytes = l->bytes, .whole = whole};
    aft_put_raw(&f->body, body);
    aft_put_raw(&f->model, r->model);
    l->bytes = 0;
}

static enum aft_err
record(struct listing *l, const struct aft_record_in *in, struct aft_error *e)
{
    struct aft_bytes body;
    struct aft_snapshot_record r;
    bool whole = false;
    if (!in->value.p)
        return AFT_OK;
    aft_arena_reset(&l->arena);
    AFT_TRY(aft_decoder_body(l->decoder, in->value, &l->arena, &body, e));
    AFT_TRY(aft_decode_snapshot(body, &l->arena, &r, e));
    if (!aft_same(r.model, aft_text(l->model)))
        return AFT_OK;
    struct aft_error torn;
    if (aft_snapshot_set_add(l->set, body, &whole, &torn) != AFT_OK)
        whole = false; /* listed as torn */
    l->bytes += (int64_t)in->value.n;
    if (r.has_manifest)
        found_add(l, &r, in, body, whole);
    return AFT_OK;
}

static enum aft_err
read_all(struct aft_log *log, const char *topic, struct listing *l, struct aft_error *e)
{
    struct aft_log_reader *reader;
    struct aft_record_in batch[BATCH];
    int64_t begin, end;
    AFT_TRY(log->ops->range(log, topic, 0, &begin, &end, e));
    AFT_TRY(log->ops->reader_open(log, topic, 0, begin, &reader, e));
    enum aft_err err = AFT_OK;
    bool at_end = begin == end;
    while (err == AFT_OK && !at_end) {
        uint32_t n = 0;
        err = log->ops->read(reader, batch, BATCH, WAIT_MS, &n, &at_end, e);
        for (uint32_t i = 0; err == AFT_OK && i < n; i++) {
            struct aft_error why;
            if (record(l, &batch[i], &why) != AFT_OK)
                aft_say("warn", "snapshot", "offset %lld: %s", (long long)batch[i].offset,
                        why.message);
        }
    }
    log->ops->reader_close(reader);
    return err;
}

/* ---- telling */
static void
time_text(int64_t ms, char out[32])
{
    struct tm utc;
    time_t s = (time_t)(ms / 1000);
    gmtime_r(&s, &utc);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void
list_one(struct listing *l, const struct found *f, bool json)
{
    struct aft_snapshot_record r;
    struct aft_error e;
    char digest[65], when[32];
    aft_arena_reset(&l->arena);
    if (aft_decode_snapshot(aft_buffer_bytes(&f->body), &l->arena, &r, &e) != AFT_OK)
        return;
    aft_hex(r.manifest.digest.b, 32, digest);
    time_text(r.manifest.event_time_ms, when);
    if (json)
        printf("{\"round\": %lld, \"digest\": \"%s\", \"event_time\": \"%s\", \"arms\": %u, "
               "\"parts\": %d, \"bytes\": %lld, "
               "\"signed\": %s, \"whole\": %s, \"offset\": %lld}\n",
               (long long)f->round, digest, when, r.manifest.arms_n, r.parts, (long long)f->bytes,
               r.manifest.has_signature ? "true" : "false", f->whole ? "true" : "false",
               (long long)f->offset);
    else
        printf("%8lld  %.16s  %s  %5u arms  %9lld bytes  %s%s\n", (long long)f->round, digest, when,
               r.manifest.arms_n, (long long)f->bytes, f->whole ? "whole" : "torn",
               r.manifest.has_signature ? ", signed" : "");
}

static void
show_text(const struct aft_snapshot_record *r)
{
    char digest[65], parent[65] = "none", when[32];
    const struct aft_manifest *m = &r->manifest;
    aft_hex(m->digest.b, 32, digest);
    if (m->has_parent)
        aft_hex(m->parent.b, 32, parent);
    time_text(m->event_time_ms, when);
    printf("model      %.*s\nround      %lld\ndigest     %s\nparent     %s\nevent time %s\nsigned  "
           "   %s\n",
           (int)r->model.n, (const char *)r->model.p, (long long)r->round, digest, parent, when,
           m->has_signature ? "yes" : "no");
    for (uint32_t i = 0; i < m->ends_n; i++)
        printf("learned    partition %d: %lld examples\n", m->ends[i].partition,
               (long long)m->ends[i].next_seq);
    for (uint32_t i = 0; i < m->settings_n; i++)
        printf("setting    %.*s=%.*s\n", (int)m->settings[i].name.n,
               (const char *)m->settings[i].name.p, (int)m->settings[i].value.n,
               (const char *)m->settings[i].value.p);
    for (uint32_t i = 0; i < m->arms_n; i++)
        printf("arm        %.*s: %lld shown, %lld clicked, reward %.6f\n", (int)m->arms[i].arm_id.n,
               (const char *)m->arms[i].arm_id.p, (long long)m->arms[i].exposures,
               (long long)m->arms[i].clicks, (double)m->arms[i].reward_micro / 1e6);
    for (uint32_t i = 0; i < m->scoreboard_n; i++)
        printf("policy     %.*s: %lld decisions, %lld items, %.0f clicks, value %.6f\n",
               (int)m->scoreboard[i].policy.n, (const char *)m->scoreboard[i].policy.p,
               (long long)m->scoreboard[i].decisions, (long long)m->scoreboard[i].items,
               m->scoreboard[i].clicks, m->scoreboard[i].value);
}

static enum aft_err
show(struct listing *l, const char *round, bool json, struct aft_error *e)
{
    const struct found *f = NULL;
    for (size_t i = 0; i < l->n; i++)
        if (!round || l->v[i].round == strtoll(round, NULL, 10))
            f = &l->v[i];
    if (!f)
        return AFT_FAIL(e, AFT_E_FAILED,
                        "there is no such snapshot of model %s; see aftertouch snapshot list",
                        l->model);
    struct aft_bytes body = aft_buffer_bytes(&f->body);
    if (!json) {
        struct aft_snapshot_record r;
        aft_arena_reset(&l->arena);
        AFT_TRY(aft_decode_snapshot(body, &l->arena, &r, e));
        show_text(&r);
        return AFT_OK;
    }
    struct aft_schema *schema;
    struct aft_buffer text = {0};
    AFT_TRY(aft_schema_parse(aft_record_schema(AFT_RECORD_SNAPSHOT), &schema, e));
    enum aft_err err = aft_json_of(schema, body, &text, e);
    if (err == AFT_OK)
        printf("%.*s\n", (int)text.n, (const char *)text.p);
    aft_buffer_deinit(&text);
    aft_schema_free(schema);
    return err;
}

static void
listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        aft_buffer_deinit(&l->v[i].body);
        aft_buffer_deinit(&l->v[i].model);
    }
    free(l->v);
    aft_snapshot_set_free(l->set);
    aft_decoder_free(l->decoder);
    aft_arena_deinit(&l->arena);
}

static enum aft_err
work(const struct cmd_line *line, struct aft_error *e)
{
    struct aft_log *log;
    struct listing l = {.model = aft_config_text(line->config, "snapshot.model")};
    AFT_TRY(aft_config_check(line->config, e));
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(line->config), &log, e));
    aft_arena_init(&l.arena, 64u << 20);
    l.set = aft_snapshot_set_new();
    enum aft_err err =
        aft_decoder_new(AFT_RECORD_SNAPSHOT, (struct aft_schema_port){0}, &l.decoder, e);
    if (err == AFT_OK)
        err = read_all(log, aft_config_text(line->config, "topics.snapshots"), &l, e);
    if (err == AFT_OK && strcmp(line->positional[0], "show") == 0)
        err = show(&l, line->positional_n > 1 ? line->positional[1] : NULL, line->json, e);
    else if (err == AFT_OK)
        for (size_t i = 0; i < l.n; i++)
            list_one(&l, &l.v[i], line->json);
    listing_free(&l);
    log->ops->close(log);
    return err;
}

int
cmd_snapshot(int argc, char **argv)
{
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, NULL, 0, &l);
    if (code >= 0)
        return code;
    bool list = l.positional_n == 1 && strcmp(l.positional[0], "list") == 0;
    bool one = l.positional_n >= 1 && l.positional_n <= 2 && strcmp(l.positional[0], "show") == 0;
    code = 0;
    if (!list && !one) {
        fputs("aftertouch snapshot: want list, or show [ROUND]\n", stderr);
        code = 2;
    } else if (work(&l, &e) != AFT_OK) {
        code = cmd_fail(argv[0], &e);
    }
    cmd_line_free(&l);
    return code;
}
