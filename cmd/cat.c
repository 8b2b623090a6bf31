/* cat.c - `cat TOPIC`: the records of a topic as JSON lines. In: a topic of the configuration's Kafka, by its name or, where no topic has
 * that, by the configuration's: `cat examples` is what topics.examples names. Out: one object a record:
 *   {"partition": 0, "offset": 12, "timestamp": 1700000000000, "key": ..., "headers": {...}, "value": ...}
 * A value of a topic of ours is its Avro record; any other, and one that cannot be decoded (then with "error"), is {"base64": "..."}.
 * Keys and headers are strings when they are UTF-8, else {"base64": "..."} too.
 */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, WAIT_MS = 200, ARENA_BYTES = 64 << 20 };

static const struct cmd_option options[] = {
    {"from", "WHERE", "earliest (the default), latest, or an offset"},
    {"partition", "P", "one partition alone"},
    {"max", "N", "stop after N records"},
    {"follow", NULL, "wait for more at the end"},
};

/* Which record a topic of ours carries. */
static const struct {
    const char *key;
    enum aft_record record;
} ours[] = {
#define X(key, record) {key, record},
    CMD_TOPICS(X)
#undef X
};

struct cat {
    const struct cmd_line *line;
    const char *topic, *from;
    struct aft_log *log;
    struct aft_registry *registry;
    struct aft_decoder *decoder; /* NULL: not a topic of ours */
    struct aft_schema *schema;
    struct aft_arena arena;
    struct aft_buffer text;
    struct aft_log_reader **readers; /* of partitions first .. first + readers_n - 1 */
    int32_t first, readers_n;
    long long left; /* records to print yet */
    bool follow;
};

/* ---- one record as a line */
static json_t *
base64(struct aft_bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct aft_buffer out = {0};
    for (size_t i = 0; i < b.n; i += 3) {
        size_t n = b.n - i < 3 ? b.n - i : 3;
        uint32_t v = (uint32_t)b.p[i] << 16;
        v |= n > 1 ? (uint32_t)b.p[i + 1] << 8 : 0;
        v |= n > 2 ? b.p[i + 2] : 0;
        aft_put_u8(&out, (uint8_t)digits[v >> 18]);
        aft_put_u8(&out, (uint8_t)digits[v >> 12 & 63]);
        aft_put_u8(&out, (uint8_t)(n > 1 ? digits[v >> 6 & 63] : '='));
        aft_put_u8(&out, (uint8_t)(n > 2 ? digits[v & 63] : '='));
    }
    json_t *o = json_pack("{s:o}", "base64", json_stringn(out.p ? (char *)out.p : "", out.n));
    aft_buffer_deinit(&out);
    return o;
}

static json_t *
text_or_base64(struct aft_bytes b)
{
    if (!b.p)
        return json_null();
    json_t *s = json_stringn((const char *)b.p, b.n); /* NULL when it is not UTF-8 */
    return s ? s : base64(b);
}

static json_t *
headers_of(const struct aft_record_in *r)
{
    json_t *o = json_object();
    for (uint32_t i = 0; i < r->headers_n; i++) {
        struct aft_bytes name = r->headers[i].name;
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)name.n, (const char *)name.p);
        json_object_set_new(o, key, text_or_base64(r->headers[i].value));
    }
    return o;
}

/* decoded: the value's JSON text, or false with the reason. AFT_E_AGAIN (registry) is a reason as any other here. */
static bool
decoded(struct cat *c, const struct aft_record_in *r, struct aft_error *e)
{
    struct aft_bytes body;
    aft_arena_reset(&c->arena);
    aft_buffer_reset(&c->text);
    return aft_decoder_headed(c->decoder, aft_schema_header(r), r->value, &c->arena, &body, e) ==
               AFT_OK &&
           aft_json_of(c->schema, body, &c->text, e) == AFT_OK;
}

static void
print(struct cat *c, int32_t partition, const struct aft_record_in *r)
{
    struct aft_error e;
    json_t *o = json_pack("{s:i, s:I, s:I, s:o}", "partition", (int)partition, "offset",
                          (json_int_t)r->offset, "timestamp", (json_int_t)r->timestamp_ms, "key",
                          text_or_base64(r->key));
    if (r->headers_n)
        json_object_set_new(o, "headers", headers_of(r));
    bool ours_it_is = c->decoder && r->value.p;
    bool json = ours_it_is && decoded(c, r, &e);
    if (!json)
        json_object_set_new(o, "value", r->value.p ? base64(r->value) : json_null());
    if (ours_it_is && !json)
        json_object_set_new(o, "error", json_string(e.message));
    char *line = json_dumps(o, JSON_COMPACT);
    if (line && json) /* the value is JSON already: put in before the closing brace */
        printf("%.*s,\"value\":%.*s}\n", (int)strlen(line) - 1, line, (int)c->text.n,
               (const char *)c->text.p);
    else if (line)
        puts(line);
    free(line);
    json_decref(o);
}

/* ---- opening */
static enum aft_err
decoder_open(struct cat *c, struct aft_error *e)
{
    const struct aft_config *config = c->line->config;
    size_t i = 0, n = sizeof ours / sizeof ours[0];
    while (i < n && strcmp(aft_config_text(config, ours[i].key), c->topic) != 0)
        i++;
    if (i == n)
        return AFT_OK;
    AFT_TRY(aft_registry_of(config, &c->registry, e));
    AFT_TRY(aft_schema_parse(aft_record_schema(ours[i].record), &c->schema, e));
    return aft_decoder_new(ours[i].record, aft_registry_port(c->registry), &c->decoder, e);
}

static enum aft_err
number(const char *name, const char *text, long long most, long long *out, struct aft_error *e)
{
    char *end;
    *out = strtoll(text, &end, 10);
    if (end == text || *end || *out < 0 || *out > most)
        return AFT_FAIL(e, AFT_E_USAGE, "--%s %s: want a number of 0 to %lld", name, text, most);
    return AFT_OK;
}

static enum aft_err
begin_of(struct cat *c, int32_t partition, int64_t *offset, struct aft_error *e)
{
    int64_t begin, end;
    long long wanted;
    AFT_TRY(c->log->ops->range(c->log, c->topic, partition, &begin, &end, e));
    *offset = strcmp(c->from, "latest") == 0 ? end : begin;
    if (strcmp(c->from, "earliest") == 0 || strcmp(c->from, "latest") == 0)
        return AFT_OK;
    AFT_TRY(number("from", c->from, INT64_MAX, &wanted, e));
    *offset = wanted;
    if (wanted < begin || wanted > end)
        return AFT_FAIL(e, AFT_E_GAP, "%s/%d holds offsets %lld to %lld, not %lld", c->topic,
                        partition, (long long)begin, (long long)end, wanted);
    return AFT_OK;
}

/* find: the topic of that name; else the one that the configuration has under topics.NAME. */
static enum aft_err
find(struct cat *c, struct aft_topic_facts *f, struct aft_error *e)
{
    const struct aft_config *config = c->line->config;
    const char *named = NULL;
    AFT_TRY(c->log->ops->topic_facts(c->log, c->topic, f, e));
    for (size_t i = 0; f->partitions == 0 && i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(ours[i].key + strlen("topics."), c->topic) == 0)
            named = aft_config_text(config, ours[i].key);
    if (f->partitions == 0 && strcmp(c->topic, "dead.letters") == 0)
        named = aft_config_text(config, "topics.dead.letters");
    if (named && named[0]) {
        AFT_TRY(c->log->ops->topic_facts(c->log, named, f, e));
        if (f->partitions == 0)
            return AFT_FAIL(
                e, AFT_E_CONFIG,
                "topic %s (topics.%s) does not exist; `aftertouch topics create` makes it", named,
                c->topic);
        c->topic = named;
    }
    return f->partitions ? AFT_OK
                         : AFT_FAIL(e, AFT_E_CONFIG,
                                    "topic %s does not exist; give a topic's name, or what the "
                                    "configuration calls it: impressions, outcomes, examples, "
                                    "clock, rounds, snapshots, dead.letters ...",
                                    c->topic);
}

static enum aft_err
readers_open(struct cat *c, const struct aft_topic_facts *f, struct aft_error *e)
{
    const char *one = cmd_given(c->line, "partition", 0);
    long long p = 0;
    if (one)
        AFT_TRY(number("partition", one, f->partitions - 1, &p, e));
    c->first = (int32_t)p;
    c->readers = calloc((size_t)f->partitions, sizeof(struct aft_log_reader *));
    AFT_ASSERT(c->readers != NULL);
    for (int32_t n = one ? 1 : f->partitions; c->readers_n < n; c->readers_n++) {
        int64_t offset;
        int32_t partition = c->first + c->readers_n;
        AFT_TRY(begin_of(c, partition, &offset, e));
        AFT_TRY(c->log->ops->reader_open(c->log, c->topic, partition, offset,
                                         &c->readers[c->readers_n], e));
        if (c->log->ops->with_headers)
            c->log->ops->with_headers(c->readers[c->readers_n]);
    }
    return AFT_OK;
}

/* ---- reading */
/* turn reads every partition once; *ended: all are at their ends. A broker that is away for a while is waited for. */
static enum aft_err
turn(struct cat *c, bool *ended, struct aft_error *e)
{
    struct aft_record_in in[BATCH];
    *ended = true;
    for (int32_t i = 0; i < c->readers_n && c->left > 0; i++) {
        uint32_t n = 0, max = c->left < BATCH ? (uint32_t)c->left : BATCH;
        bool at_end = false;
        enum aft_err err =
            c->log->ops->read(c->readers[i], in, max, WAIT_MS / c->readers_n + 1, &n, &at_end, e);
        if (err != AFT_OK && aft_err_class(err) != AFT_CLASS_RETRY)
            return err;
        for (uint32_t k = 0; k < n; k++)
            print(c, c->first + i, &in[k]);
        c->left -= n;
        *ended = *ended && err == AFT_OK && at_end && n == 0;
    }
    fflush(stdout);
    return AFT_OK;
}

static enum aft_err
cat(struct cat *c, struct aft_error *e)
{
    const char *max = cmd_given(c->line, "max", 0);
    struct aft_topic_facts f;
    c->left = INT64_MAX;
    if (max)
        AFT_TRY(number("max", max, INT64_MAX, &c->left, e));
    AFT_TRY(aft_config_check(c->line->config, e));
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(c->line->config), &c->log, e));
    AFT_TRY(find(c, &f, e));
    AFT_TRY(decoder_open(c, e));
    AFT_TRY(readers_open(c, &f, e));
    for (bool ended = false; c->left > 0 && (c->follow || !ended) && !ferror(stdout);)
        AFT_TRY(turn(c, &ended, e));
    return AFT_OK;
}

static void
cat_close(struct cat *c)
{
    for (int32_t i = 0; i < c->readers_n; i++)
        c->log->ops->reader_close(c->readers[i]);
    free(c->readers);
    aft_decoder_free(c->decoder);
    aft_schema_free(c->schema);
    aft_registry_close(c->registry);
    aft_buffer_deinit(&c->text);
    aft_arena_deinit(&c->arena);
    if (c->log)
        c->log->ops->close(c->log);
}

int
cmd_cat(int argc, char **argv)
{
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, options, sizeof options / sizeof options[0], &l);
    if (code >= 0)
        return code;
    const char *from = cmd_given(&l, "from", 0);
    struct cat c = {.line = &l,
                    .topic = l.positional_n == 1 ? l.positional[0] : NULL,
                    .from = from ? from : "earliest",
                    .follow = cmd_given(&l, "follow", 0) != NULL};
    aft_arena_init(&c.arena, ARENA_BYTES);
    code = 0;
    if (!c.topic) {
        fputs("aftertouch cat: want one TOPIC, such as examples\n", stderr);
        code = 2;
    } else if (cat(&c, &e) != AFT_OK) {
        code = cmd_fail(argv[0], &e);
    }
    cat_close(&c);
    cmd_line_free(&l);
    return code;
}
