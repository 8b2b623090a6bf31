/* replay.c - `replay`: state and model computed again from the topics, with progress on stderr; --verify compares them with
 * what was
 * published. Out: a line a partition and one for the model on stdout, or one JSON object. Exit 7 at the first divergence, 6
 * at a gap.
 */
#include "cmd/replay_files.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/eta.h"

enum { BAR_MS = 200, LINE_MS = 5000, BAR_CHARS = 24 };

static const struct cmd_option options[] = {
    {"from", "WHERE",
     "earliest (the default); a time (2024-05-01T00:00:00Z, or ms since 1970); or offsets: "
     "PARTITION:IMPRESSIONS:OUTCOMES,..."},
    {"until", "TIME", "only records that the inputs took before this time"},
    {"into", "DIR", "leave the state there, as a checkpoint to restore (the service must not run)"},
    {"verify", NULL,
     "compare with the examples and snapshots that were published, and with the state"},
    {"state", "DIR",
     "the state to compare with: a checkpoint; without it those of state.dir that nobody works on"},
    {"impressions", "FILE...", "archived records instead of the topic's; again for each partition"},
    {"outcomes", "FILE...", "likewise"},
    {"clock", "FILE...", "likewise; needed where ticks counted"},
    {"examples", "FILE...", "archived examples to compare with, instead of the topics'"},
    {"rounds", "FILE", "archived rounds: the model is learned again from them and the examples"},
    {"snapshots", "FILE", "archived snapshots to compare it with (snapshot export)"},
};

/* ---- arguments */
static enum aft_err
starts_of(const char *text, struct aft_replay_options *o, struct aft_replay_start *starts,
          struct aft_error *e)
{
    o->starts = starts;
    while (*text) {
        long long p, a, b;
        int used = 0;
        if (sscanf(text, "%lld:%lld:%lld%n", &p, &a, &b, &used) != 3 || p < 0 || a < 0 || b < 0 ||
            p >= (long long)AFT_PARTITIONS_MAX || o->starts_n == AFT_PARTITIONS_MAX ||
            (text[used] != ',' && text[used] != '\0'))
            return AFT_FAIL(e, AFT_E_USAGE,
                            "--from ...%s: want PARTITION:IMPRESSIONS:OUTCOMES, more of them "
                            "after commas",
                            text);
        starts[o->starts_n++] = (struct aft_replay_start){(int32_t)p, {a, b}};
        text += used + (text[used] == ',');
    }
    return AFT_OK;
}

static enum aft_err
range_of(const struct cmd_line *l, struct aft_replay_options *o, struct aft_replay_start *starts,
         struct aft_error *e)
{
    const char *from = cmd_given(l, "from", 0), *until = cmd_given(l, "until", 0);
    o->from_ms = INT64_MIN;
    o->until_ms = INT64_MAX;
    if (until)
        AFT_TRY(cmd_moment("until", until, &o->until_ms, e));
    if (!from || strcmp(from, "earliest") == 0)
        return AFT_OK;
    /* a time holds colons too, but a T before them */
    if (strchr(from, ':') && !strchr(from, 'T'))
        return starts_of(from, o, starts, e);
    AFT_TRY(cmd_moment("from", from, &o->from_ms, e));
    return o->from_ms < o->until_ms
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_USAGE, "--from %s is not before --until %s: nothing is between",
                          from, until ? until : "");
}

/* ---- progress */
struct progress {
    struct aft_clock clock;
    bool bar, shown;
    int64_t last_ms;
    struct cmd_eta eta;
};

static void
time_text(int64_t ms, char out[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == INT64_MIN || !gmtime_r(&s, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "-", sizeof "-");
}

static void
show(struct progress *p, const struct aft_replay_result *r, const struct aft_replay_part *part,
     int64_t now)
{
    int64_t done = 0, all = 0;
    char event[32] = "-", bar[BAR_CHARS + 1], left[64] = "";
    for (int32_t i = 0; i < r->parts_n; i++) {
        done += r->parts[i].records;
        all += r->parts[i].records_n;
    }
    double rate, left_s;
    if (cmd_eta_look(&p->eta, now, done, all, &rate, &left_s))
        snprintf(left, sizeof left, ", %.0f/s, %.0f s left", rate, left_s);
    if (part)
        time_text(part->event_ms, event);
    for (int i = 0; i < BAR_CHARS; i++)
        bar[i] = all > 0 && done * BAR_CHARS >= all * (i + 1) ? '#' : '.';
    bar[BAR_CHARS] = '\0';
    if (!part)
        fprintf(stderr, "%sreplay: model: round %lld of %lld%s", p->bar ? "\r\033[K" : "",
                (long long)r->rounds, (long long)r->rounds_n, p->bar ? "" : "\n");
    else if (p->bar)
        fprintf(stderr, "\r\033[K[%s] partition %d  %lld of %lld records, event time %s%s", bar,
                part->partition, (long long)done, (long long)all, event, left);
    else
        fprintf(stderr, "replay: partition %d: %lld of %lld records, event time %s%s\n",
                part->partition, (long long)done, (long long)all, event, left);
    p->shown = p->bar;
    p->last_ms = now;
}

static void
progress(void *ctx, const struct aft_replay_result *so_far, const struct aft_replay_part *part)
{
    struct progress *p = ctx;
    int64_t now = p->clock.monotonic_ms(p->clock.ctx);
    if (now - p->last_ms >= (p->bar ? BAR_MS : LINE_MS))
        show(p, so_far, part, now);
}

/* ---- what came of it */
static void
hex(const struct aft_digest *d, char out[65])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", d->b[i]);
}

static const char *const held_names[] = {
    [AFT_HELD_NONE] = "none", [AFT_HELD_SAME] = "same",   [AFT_HELD_DIFFERS] = "differs",
    [AFT_HELD_BUSY] = "busy", [AFT_HELD_EARLY] = "early", [AFT_HELD_LATE] = "late"};

static json_t *
held_json(const struct aft_replay_part *p)
{
    json_t *o = json_pack("{s:s, s:I, s:I}", "held", held_names[p->held], "decisions",
                          (json_int_t)p->held_decisions, "outcomes", (json_int_t)p->held_outcomes);
    if (p->held_ms != INT64_MIN)
        json_object_set_new(o, "time", json_integer(p->held_ms));
    return o;
}

static json_t *
part_json(const struct aft_replay_part *p)
{
    char state[65];
    hex(&p->state, state);
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "partition",
                     (int)p->partition, "records", (json_int_t)p->records, "impressions",
                     (json_int_t)p->counts.impressions, "outcomes", (json_int_t)p->counts.outcomes,
                     "ticks", (json_int_t)p->ticks, "dead_letters", (json_int_t)p->dead_letters,
                     "examples", (json_int_t)p->examples, "compared", (json_int_t)p->compared,
                     "beyond", (json_int_t)p->beyond, "commits", (json_int_t)p->commits, "state",
                     state, "compared_state", held_json(p));
}

static json_t *
divergence_json(const struct aft_replay_result *r)
{
    if (!r->of_state)
        return json_pack("{s:s, s:i, s:I, s:s, s:s}", "of",
                         r->partition < 0 ? "snapshots" : "examples", "partition",
                         (int)r->partition, r->partition < 0 ? "round" : "seq", (json_int_t)r->seq,
                         "decision_id", r->decision_id, "field", r->field);
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "of", "state", "partition",
                     (int)r->partition, "decision_id", r->decision_id, "outcome_id", r->outcome_id,
                     "field", r->field, "computed", r->state.value[0], "held", r->state.value[1]);
}

static void
print_json(const struct aft_replay_result *r, const struct aft_error *failed)
{
    char digest[65];
    json_t *parts = json_array(), *o = json_object();
    for (int32_t i = 0; i < r->parts_n; i++)
        json_array_append_new(parts, part_json(&r->parts[i]));
    json_object_set_new(o, "partitions", parts);
    hex(&r->model_digest, digest);
    if (r->model)
        json_object_set_new(o, "model",
                            json_pack("{s:I, s:I, s:I, s:s}", "rounds", (json_int_t)r->rounds,
                                      "snapshots_published", (json_int_t)r->snapshots_published,
                                      "snapshots_compared", (json_int_t)r->snapshots_compared,
                                      "digest", digest));
    if (r->diverged)
        json_object_set_new(o, "divergence", divergence_json(r));
    json_object_set_new(o, "error", failed ? json_string(failed->message) : json_null());
    char *text = json_dumps(o, JSON_COMPACT);
    if (text)
        puts(text);
    free(text);
    json_decref(o);
}

static void
print_held(const struct aft_replay_part *p)
{
    char at[32];
    time_text(p->held_ms, at);
    if (p->held == AFT_HELD_SAME)
        printf("partition %d: the state as of %s, and gone on from there, is the same: %lld "
               "decisions and %lld outcomes compared\n",
               p->partition, at, (long long)p->held_decisions, (long long)p->held_outcomes);
    else if (p->held == AFT_HELD_BUSY)
        printf("partition %d: its state is not compared: a process works on it; aftertouch "
               "checkpoint create DIR copies it, and --state DIR compares the copy\n",
               p->partition);
    else if (p->held == AFT_HELD_EARLY || p->held == AFT_HELD_LATE)
        printf("partition %d: its state is not compared: it is as of %s, %s\n", p->partition, at,
               p->held == AFT_HELD_LATE ? "behind --until"
                                        : "too near to where the inputs begin that were read");
}

/* What of the examples was compared; that nothing was must not look like a proof. */
static void
print_compared(const struct aft_replay_part *p)
{
    int64_t early = p->examples - p->compared - p->beyond;
    if (p->compared > 0)
        printf(", %lld compared and the same", (long long)p->compared);
    else
        printf(", NOTHING was compared");
    if (p->beyond > 0)
        printf(", the last %lld stand behind the end of what is published", (long long)p->beyond);
    if (early > 0)
        printf(", %lld fire before 2 x window + grace after the beginning: touches that were not "
               "read may be missing in them",
               (long long)early);
}

static void
print_text(const struct aft_replay_result *r, bool verify)
{
    char digest[65];
    for (int32_t i = 0; i < r->parts_n; i++) {
        const struct aft_replay_part *p = &r->parts[i];
        hex(&p->state, digest);
        printf("partition %d: %lld records, %lld ticks, %lld dead letters -> %lld examples",
               p->partition, (long long)p->records, (long long)p->ticks, (long long)p->dead_letters,
               (long long)p->examples);
        if (verify)
            print_compared(p);
        printf("; state %.16s\n", digest);
        print_held(p);
    }
    hex(&r->model_digest, digest);
    if (r->model)
        printf("model: %lld rounds, %lld of %lld published snapshots compared; digest %.16s\n",
               (long long)r->rounds, (long long)r->snapshots_compared,
               (long long)r->snapshots_published, digest);
}

/* ---- */
static enum aft_err
work(const struct cmd_line *l, struct aft_replay_start *starts, struct aft_error *e)
{
    struct aft_replay_result result = {0};
    struct aft_registry *registry = NULL;
    struct cmd_replay_log log = {0};
    struct progress p = {.clock = aft_clock_real(), .bar = isatty(STDERR_FILENO) == 1};
    struct aft_replay_options o = {.config = l->config,
                                   .clock = p.clock,
                                   .into = cmd_given(l, "into", 0),
                                   .verify = cmd_given(l, "verify", 0) != NULL,
                                   .state = cmd_given(l, "state", 0),
                                   .progress = progress,
                                   .ctx = &p};
    if (o.state && (!o.verify || o.into))
        return AFT_FAIL(e, AFT_E_USAGE, "--state goes with --verify, and not with --into");
    AFT_TRY(range_of(l, &o, starts, e));
    AFT_TRY(aft_config_check(l->config, e));
    enum aft_err err = cmd_replay_log_open(l, &log, e);
    p.last_ms = p.clock.monotonic_ms(p.clock.ctx);
    o.log = log.log;
    o.archived = log.files_n > 0;
    if (err == AFT_OK)
        err = aft_registry_of(l->config, &registry, e);
    if (err == AFT_OK) {
        o.schemas = aft_registry_port(registry);
        err = aft_replay(&o, &result, e);
    }
    if (p.shown)
        fputs("\r\033[K", stderr);
    if (l->json)
        print_json(&result, err == AFT_OK ? NULL : e);
    else if (err == AFT_OK)
        print_text(&result, o.verify || o.into);
    free(result.parts);
    aft_registry_close(registry);
    cmd_replay_log_close(&log);
    return err;
}

int
cmd_replay(int argc, char **argv)
{
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, options, sizeof options / sizeof options[0], &l);
    if (code >= 0)
        return code;
    struct aft_replay_start *starts = calloc(AFT_PARTITIONS_MAX, sizeof *starts);
    AFT_ASSERT(starts != NULL);
    code = cmd_options_alone(argv[0], &l) ? 0 : 2;
    if (code == 0 && work(&l, starts, &e) != AFT_OK)
        code = cmd_fail(argv[0], &e);
    free(starts);
    cmd_line_free(&l);
    return code;
}
