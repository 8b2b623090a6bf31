/* snapshot.c - `snapshot list | show | diff | pin | unpin | rollback | export`: what stands in the snapshots topic, and which of it
 * engines serve. In: the topic, from its beginning to the end it has now; a snapshot is "whole" when all of it verifies, as an engine
 * would take it, signed by snapshot.signing.key where that is set. */
#include "cmd/snapshot.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- telling */
static void
time_text(int64_t ms, char out[32])
{
    struct tm utc;
    time_t s = (time_t)(ms / 1000);
    gmtime_r(&s, &utc);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static const char *
kind_name(enum aft_snapshot_kind k)
{
    return k == AFT_SNAPSHOT_FULL ? "full" : k == AFT_SNAPSHOT_DELTA ? "delta" : "pin";
}

static int64_t
pinned_round(const struct snapshot_history *h)
{
    struct aft_snapshot_stats s;
    aft_snapshot_set_stats(h->serving, &s);
    return s.pinned ? aft_snapshot_set_manifest(h->serving)->round : -1;
}

static void
list_one(struct snapshot_history *h, const struct snapshot_row *row, bool json)
{
    struct aft_snapshot_record r;
    struct aft_error e;
    char digest[65], when[32];
    const struct snapshot_record *f = &h->v[row->record];
    aft_arena_reset(&h->arena);
    if (aft_decode_snapshot(aft_buffer_bytes(&f->body), &h->arena, &r, &e) != AFT_OK)
        return;
    bool pinned = pinned_round(h) == f->round;
    aft_hex(r.manifest.digest.b, 32, digest);
    time_text(r.manifest.event_time_ms, when);
    if (json)
        printf("{\"round\": %lld, \"kind\": \"%s\", \"digest\": \"%s\", \"event_time\": \"%s\", "
               "\"arms\": %u, \"parts\": %d, \"bytes\": %lld, \"signed\": %s, \"whole\": %s, "
               "\"pinned\": %s, \"offset\": %lld}\n",
               (long long)f->round, kind_name(r.kind), digest, when, row->arms, r.parts,
               (long long)row->bytes, r.manifest.has_signature ? "true" : "false",
               row->whole ? "true" : "false", pinned ? "true" : "false", (long long)f->offset);
    else
        printf("%8lld  %-5s  %.16s  %s  %5u  %9lld  %s%s%s\n", (long long)f->round,
               kind_name(r.kind), digest, when, row->arms, (long long)row->bytes,
               row->whole ? "whole" : "torn", r.manifest.has_signature ? ", signed" : "",
               pinned ? ", pinned" : "");
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
    printf("model      %.*s\nround      %lld\nkind       %s\ndigest     %s\nparent     %s\n"
           "event time %s\nsigned     %s\n",
           (int)r->model.n, (const char *)r->model.p, (long long)r->round, kind_name(r->kind),
           digest, parent, when, m->has_signature ? "yes" : "no");
    for (uint32_t i = 0; i < m->ends_n; i++)
        printf("learned    partition %d: %lld examples\n", m->ends[i].partition,
               (long long)m->ends[i].next_seq);
    for (uint32_t i = 0; i < m->settings_n; i++)
        printf("setting    %.*s=%.*s\n", (int)m->settings[i].name.n,
               (const char *)m->settings[i].name.p, (int)m->settings[i].value.n,
               (const char *)m->settings[i].value.p);
    for (uint32_t i = 0; i < m->arms_n; i++)
        printf("arm        %.*s: %lld shown, %lld settled, %lld clicked, reward %.6f\n",
               (int)m->arms[i].arm_id.n, (const char *)m->arms[i].arm_id.p,
               (long long)m->arms[i].exposures, (long long)m->arms[i].settled,
               (long long)m->arms[i].clicks, (double)m->arms[i].reward_micro / 1e6);
    for (uint32_t i = 0; i < m->scoreboard_n; i++)
        printf("policy     %.*s: %lld decisions, %lld items, %.0f clicks, value %.6f\n",
               (int)m->scoreboard[i].policy.n, (const char *)m->scoreboard[i].policy.p,
               (long long)m->scoreboard[i].decisions, (long long)m->scoreboard[i].items,
               m->scoreboard[i].clicks, m->scoreboard[i].value);
}

/* list: a line of names, then one a snapshot; as JSON an object a line. */
static void
list(struct snapshot_history *h, bool json)
{
    if (!json && h->rows_n)
        printf("%8s  %-5s  %-16s  %-20s  %5s  %9s  %s\n", "round", "kind", "digest", "latest event",
               "arms", "bytes", "state");
    else if (!json)
        printf("no snapshot of model %s was published yet\n", h->model);
    for (uint32_t i = 0; i < h->rows_n; i++)
        list_one(h, &h->rows[i], json);
}

/* The manifest, with the arms of all links where the snapshot is whole. */
static enum aft_err
show(struct snapshot_history *h, int64_t round, bool json, struct aft_error *e)
{
    struct aft_snapshot_set *set = NULL;
    struct aft_snapshot_record r = {.round = -1};
    struct aft_error torn;
    if (snapshot_at(h, round, &set, &torn) == AFT_OK) {
        r = *aft_snapshot_set_newest(set);
    } else {
        aft_arena_reset(&h->arena);
        for (uint32_t i = 0; i < h->rows_n; i++) {
            const struct snapshot_record *f = &h->v[h->rows[i].record];
            if (f->round == round)
                AFT_TRY(aft_decode_snapshot(aft_buffer_bytes(&f->body), &h->arena, &r, e));
        }
    }
    enum aft_err err = AFT_OK;
    if (!json) {
        show_text(&r);
    } else {
        struct aft_schema *schema = NULL;
        struct aft_buffer text = {0}, body = {0};
        aft_encode_snapshot(&body, &r);
        err = aft_schema_parse(aft_record_schema(AFT_RECORD_SNAPSHOT), &schema, e);
        if (err == AFT_OK)
            err = aft_json_of(schema, aft_buffer_bytes(&body), &text, e);
        if (err == AFT_OK)
            printf("%.*s\n", (int)text.n, (const char *)text.p);
        aft_buffer_deinit(&text);
        aft_buffer_deinit(&body);
        if (schema)
            aft_schema_free(schema);
    }
    aft_snapshot_set_free(set);
    return err;
}

/* ---- export */
static enum aft_err
to_file(void *ctx, struct aft_bytes body, struct aft_error *e)
{
    struct aft_file_record r = {.body = body};
    return aft_file_append(ctx, &r, e);
}

static enum aft_err
export_to(struct snapshot_history *h, int64_t round, const char *path, bool json,
          struct aft_error *e)
{
    struct aft_snapshot_set *set;
    struct aft_file_writer *out = NULL;
    struct aft_error second;
    AFT_TRY(snapshot_at(h, round, &set, e));
    enum aft_err err = aft_file_create(path, AFT_RECORD_SNAPSHOT, false, &out, e);
    if (err == AFT_OK) {
        err = aft_snapshot_set_each(set, to_file, out, e);
        enum aft_err closed = aft_file_finish(out, err == AFT_OK ? e : &second);
        err = err == AFT_OK ? closed : err;
        if (err != AFT_OK)
            cmd_discard(path);
    }
    aft_snapshot_set_free(set);
    AFT_TRY(err);
    json_t *o = json_pack("{s:I, s:s}", "round", (json_int_t)round, "file", path);
    if (json && o) {
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        printf("round %lld -> %s\n", (long long)round, path);
    }
    json_decref(o);
    return AFT_OK;
}

/* ---- the verb */
struct command {
    const char *name;
    int least, most; /* words behind it */
    bool pins;
};
static const struct command commands[] = {
    {"list", 0, 0, false}, {"show", 0, 1, false},    {"diff", 2, 2, false},   {"pin", 0, 1, true},
    {"unpin", 0, 0, true}, {"rollback", 1, 1, true}, {"export", 2, 2, false}, {NULL, 0, 0, false}};

static enum aft_err
dispatch(struct aft_log *log, const struct cmd_line *line, const struct command *c,
         struct snapshot_history *h, struct aft_error *e)
{
    char *const *word = line->positional;
    const char *first = line->positional_n > 1 ? word[1] : NULL;
    int64_t a = h->rows_n ? h->v[h->rows[h->rows_n - 1].record].round : -1, b;
    if (strcmp(word[0], "list") == 0) {
        list(h, line->json);
        return AFT_OK;
    }
    if (c->pins) {
        struct snapshot_pin_request q = {word[0], first, cmd_given(line, "file", 0),
                                         cmd_given(line, "why", 0), line->json};
        return snapshot_pin_verb(log, line->config, h, &q, e);
    }
    if (!h->rows_n)
        return AFT_FAIL(e, AFT_E_FAILED, "no snapshot of model %s was published yet", h->model);
    if (first)
        AFT_TRY(snapshot_round(h, first, &a, e));
    if (strcmp(word[0], "show") == 0)
        return show(h, a, line->json, e);
    if (strcmp(word[0], "export") == 0)
        return export_to(h, a, word[2], line->json, e);
    AFT_TRY(snapshot_round(h, word[2], &b, e));
    return snapshot_diff(h, a, b, line->json, e);
}

static enum aft_err
work(const struct cmd_line *line, const struct command *c, struct aft_error *e)
{
    struct aft_log *log;
    struct snapshot_history h = {.model = aft_config_text(line->config, "snapshot.model")};
    uint8_t key[64];
    if (cmd_given(line, "file", 0) && strcmp(c->name, "pin") != 0)
        return AFT_FAIL(e, AFT_E_USAGE, "--file goes with pin, not with %s", c->name);
    if (cmd_given(line, "why", 0) && !c->pins)
        return AFT_FAIL(e, AFT_E_USAGE, "--why goes with pin, unpin and rollback, not with %s",
                        c->name);
    AFT_TRY(aft_config_check(line->config, e));
    AFT_TRY(aft_signing_key(line->config, key, &h.has_key, e));
    if (h.has_key)
        memcpy(h.public, key + 32, sizeof h.public);
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(line->config), &log, e));
    enum aft_err err = snapshot_read(log, aft_config_text(line->config, "topics.snapshots"), &h, e);
    if (err == AFT_OK)
        err = dispatch(log, line, c, &h, e);
    snapshot_history_free(&h);
    log->ops->close(log);
    return err;
}

int
cmd_snapshot(int argc, char **argv)
{
    static const struct cmd_option own[] = {
        {"file", "FILE", "pin: take the snapshot from an exported file"},
        {"why", "TEXT", "pin, unpin, rollback: a reason, kept in the pin"}};
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, own, 2, &l), words = 0;
    if (code >= 0)
        return code;
    const struct command *c = commands;
    while (c->name && (l.positional_n == 0 || strcmp(c->name, l.positional[0]) != 0))
        c++;
    words = l.positional_n - 1;
    bool bare = c->name && strcmp(c->name, "pin") == 0 && words == 0 && !cmd_given(&l, "file", 0);
    code = 0;
    if (!c->name || words < c->least || words > c->most || bare) {
        fputs("aftertouch snapshot: want list, show [ROUND], diff A B, pin ROUND|ID, pin [ROUND] "
              "--file "
              "FILE, unpin, rollback ROUND, or export ROUND FILE\n",
              stderr);
        code = 2;
    } else if (work(&l, c, &e) != AFT_OK) {
        code = cmd_fail(argv[0], &e);
    }
    cmd_line_free(&l);
    return code;
}
