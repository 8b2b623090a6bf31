/* topics.c - the topics that the configuration asks for: created, or checked. In: the configuration, a log; out: topics, lines for a
 * person, the first thing that is wrong with the way to mend it. Thread: the caller's.
 *
 * How long inputs must be held: window + grace, or credit is lost while we are away; 2 x window + grace, to build the state anew from
 * nothing (design: Durability). Created topics get the latter and a day more.
 */
#include <stdarg.h>
#include <stdio.h>

#include "consumer/doctor.h"

enum want {
    WANT_INPUT = 1,     /* held long enough, never compacted, by the broker's clock */
    WANT_COMPACT = 2,   /* the last of each key */
    WANT_ONE = 4,       /* one partition */
    WANT_SAME = 8,      /* as many partitions as the impressions */
    WANT_FOR_EVER = 16, /* never deleted */
    WANT_OPTIONAL = 32, /* may be missing */
    WANT_NOT_COMPACT = 64,
    WANT_LARGE = 128, /* an example is its impression and more */
    WANT_NAMED = 256, /* only where the configuration names it */
    WANT_DAYS = 512   /* held as long as the history's window */
};

static const struct role {
    const char *key;
    unsigned want;
} roles[] = {
    {"topics.impressions", WANT_INPUT | WANT_SAME | WANT_NOT_COMPACT},
    {"topics.outcomes", WANT_INPUT | WANT_SAME | WANT_NOT_COMPACT},
    {"topics.clock", WANT_SAME | WANT_NOT_COMPACT},
    {"topics.examples", WANT_SAME | WANT_NOT_COMPACT | WANT_LARGE},
    {"topics.rounds", WANT_ONE | WANT_FOR_EVER | WANT_NOT_COMPACT},
    {"topics.snapshots", WANT_ONE | WANT_COMPACT | WANT_FOR_EVER},
    {"topics.dead.letters", WANT_SAME | WANT_OPTIONAL},
    {"topics.history", WANT_SAME | WANT_COMPACT | WANT_NAMED | WANT_DAYS},
    {"topics.prescored", WANT_SAME | WANT_COMPACT | WANT_FOR_EVER | WANT_OPTIONAL},
};
enum { ROLES_N = sizeof roles / sizeof roles[0] };
static const int64_t day_ms = 86400000;

static int64_t
held_at_least_ms(const struct aft_config *c)
{
    return aft_config_int(c, "join.window") + aft_config_int(c, "join.grace");
}

/* Of what is named in no configuration there is no topic. */
static bool
wanted(const struct aft_config *c, const struct role *r)
{
    return !(r->want & WANT_NAMED) || aft_config_text(c, r->key)[0] != '\0';
}

/* A user's record goes when nothing of it is in the window any more. */
static int64_t
held_history_ms(const struct aft_config *c)
{
    return (aft_config_int(c, "history.days") + 1) * day_ms;
}

static int64_t
held_well_ms(const struct aft_config *c)
{
    return held_at_least_ms(c) + aft_config_int(c, "join.window");
}

enum aft_err
aft_topics_create(const struct aft_config *c, struct aft_log *log, struct aft_error *e)
{
    for (int i = 0; i < ROLES_N; i++) {
        unsigned want = roles[i].want;
        if (!wanted(c, &roles[i]))
            continue;
        struct aft_topic_spec spec = {
            .name = aft_config_text(c, roles[i].key),
            .partitions = want & WANT_ONE ? 1 : (int32_t)aft_config_int(c, "topics.partitions"),
            .retention_ms = want & WANT_FOR_EVER ? -1
                            : want & WANT_DAYS   ? held_history_ms(c)
                                                 : held_well_ms(c) + day_ms,
            .compact = want & WANT_COMPACT,
            .log_append_time = want & WANT_INPUT,
            .replication = aft_config_int(c, "topics.replication"),
            .record_bytes = want & WANT_LARGE ? AFT_RECORD_BYTES_MAX + (1 << 20) : 0};
        AFT_TRY(log->ops->topic_create(log, &spec, e));
    }
    return AFT_OK;
}

/* ---- check */
struct checking {
    const struct aft_config *c;
    const struct aft_findings *to;
    int32_t partitions; /* of the impressions */
    enum aft_err err;   /* of the first problem */
    struct aft_error *e;
};

static void say(struct checking *k, enum aft_finding_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
say(struct checking *k, enum aft_finding_level level, const char *format, ...)
{
    char words[440];
    struct aft_finding f = {.level = level, .check = "topic", .text = words};
    va_list ap;
    va_start(ap, format);
    vsnprintf(words, sizeof words, format, ap);
    va_end(ap);
    f.code = level == AFT_FINDING_FAIL ? AFT_E_CONFIG : AFT_OK;
    k->to->finding(k->to->ctx, &f);
    if (level == AFT_FINDING_FAIL && k->err == AFT_OK)
        k->err = AFT_FAIL(k->e, AFT_E_CONFIG, "%s", words);
}

static void
check_partitions(struct checking *k, const struct role *r, const char *name, int32_t n)
{
    if (r->want & WANT_ONE && n != 1)
        say(k, AFT_FINDING_FAIL, "%s has %d partitions and must have one: create it anew", name, n);
    bool same = r->want & WANT_SAME && !(r->want & WANT_OPTIONAL) && k->partitions > 0;
    if (same && n != k->partitions)
        say(k, AFT_FINDING_FAIL,
            "%s has %d partitions, %s has %d: they must be equal, so that a user's records meet; "
            "create %s anew with %d, or add partitions before anything is written",
            name, n, aft_config_text(k->c, roles[0].key), k->partitions, name, k->partitions);
}

static void
check_retention(struct checking *k, const struct role *r, const char *name, int64_t ms)
{
    if (ms == INT64_MIN) {
        say(k, AFT_FINDING_WARN,
            "%s: its retention may not be read (DescribeConfigs): see to it yourself", name);
        return;
    }
    int64_t least = held_at_least_ms(k->c), well = held_well_ms(k->c);
    bool input = r->want & WANT_INPUT;
    if (ms < 0)
        return;
    if (input && ms < least)
        say(k, AFT_FINDING_FAIL,
            "%s is held for %lld ms, less than join.window + join.grace: set its retention.ms to "
            "at least %lld (%lld, to build the state anew from it)",
            name, (long long)ms, (long long)least, (long long)well);
    else if (input && ms < well)
        say(k, AFT_FINDING_WARN,
            "%s is held for %lld ms: a lost state can be built anew from it only with retention.ms "
            "of at least %lld (2 x join.window + join.grace)",
            name, (long long)ms, (long long)well);
    else if (r->want & WANT_DAYS && ms < held_history_ms(k->c))
        say(k, AFT_FINDING_FAIL,
            "%s is held for %lld ms, less than history.days and one more: set its retention.ms to "
            "at least %lld, or users are forgotten early",
            name, (long long)ms, (long long)held_history_ms(k->c));
    else if (r->want & WANT_FOR_EVER && !(r->want & WANT_COMPACT))
        say(k, AFT_FINDING_WARN,
            "%s is deleted after %lld ms: a replay from the beginning needs it whole", name,
            (long long)ms);
}

static void
check_kind(struct checking *k, const struct role *r, const char *name,
           const struct aft_topic_facts *f)
{
    if (f->retention_ms == INT64_MIN)
        return; /* not known: said by check_retention */
    if (r->want & WANT_NOT_COMPACT && f->compact)
        say(k, AFT_FINDING_FAIL,
            "%s is compacted, which loses records: set its cleanup.policy to delete, or name "
            "another topic in %s",
            name, r->key);
    if (r->want & WANT_COMPACT && !f->compact)
        say(k, AFT_FINDING_FAIL,
            "%s must keep the last record of each key: set its cleanup.policy to compact", name);
    if (r->want & WANT_INPUT && !f->log_append_time)
        say(k, AFT_FINDING_WARN,
            "%s carries its producers' clocks (CreateTime): records from a clock that runs ahead "
            "are told by join.max.future only if message.timestamp.type is LogAppendTime",
            name);
}

static enum aft_err
check_one(struct checking *k, struct aft_log *log, const struct role *r, struct aft_error *broker)
{
    struct aft_topic_facts f;
    const char *name = aft_config_text(k->c, r->key);
    AFT_TRY(log->ops->topic_facts(log, name, &f, broker));
    if (f.partitions == 0) {
        if (r->want & WANT_OPTIONAL)
            say(k, AFT_FINDING_WARN, "%s does not exist: aftertouch topics create makes it", name);
        else
            say(k, AFT_FINDING_FAIL,
                "%s does not exist: aftertouch topics create makes it, or name yours in %s", name,
                r->key);
        return AFT_OK;
    }
    if (r == &roles[0])
        k->partitions = f.partitions;
    say(k, AFT_FINDING_OK, "%s: %d partition%s, %s%s", name, f.partitions,
        f.partitions == 1 ? "" : "s", f.compact ? "compacted" : "not compacted",
        f.log_append_time ? ", the broker's clock" : ", the producers' clocks");
    check_partitions(k, r, name, f.partitions);
    check_kind(k, r, name, &f);
    check_retention(k, r, name, f.retention_ms);
    return AFT_OK;
}

enum aft_err
afti_topics_find(const struct aft_config *c, struct aft_log *log, const struct aft_findings *to,
                 bool *good, struct aft_error *e)
{
    struct aft_error first = {0};
    struct checking k = {.c = c, .to = to, .e = &first};
    for (int i = 0; i < ROLES_N; i++)
        if (wanted(c, &roles[i]))
            AFT_TRY(check_one(&k, log, &roles[i], e));
    *good = k.err == AFT_OK;
    *e = first;
    return AFT_OK;
}

struct lines {
    void (*line)(void *ctx, const char *text);
    void *ctx;
};

static void
line_of(void *ctx, const struct aft_finding *f)
{
    static const char *const names[] = {"topic", "warn", "wrong"};
    const struct lines *l = ctx;
    char text[500];
    snprintf(text, sizeof text, "%-6s %s", names[f->level], f->text);
    if (l->line)
        l->line(l->ctx, text);
}

enum aft_err
aft_topics_check(const struct aft_config *c, struct aft_log *log,
                 void (*line)(void *ctx, const char *text), void *ctx, struct aft_error *e)
{
    struct lines lines = {line, ctx};
    const struct aft_findings to = {&lines, line_of};
    bool good = false;
    AFT_TRY(afti_topics_find(c, log, &to, &good, e));
    return good ? AFT_OK : e->code;
}
