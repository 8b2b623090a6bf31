/* score.c - `score`: batch scoring. In: a snapshot, requests (score_read.c). Out: a Prescored for each user (score_write.c), a summary on
 * stdout (on stderr, where stdout holds the data); on a terminal a progress bar on stderr.
 * No clock is read for what is written: the window begins at the snapshot's event time unless --valid-from says otherwise. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/score.h"

enum { ARENA_BYTES = 64 << 20, BAR_MS = 100, BAR_CHARS = 30, LOOK_EVERY = 256 };

struct job {
    struct score_user user;
    struct aft_snapshot_set *set;
    struct aft_model *model;
    struct score_reader *in;
    struct score_writer *out;
    int64_t users, without;
    double seconds;
    bool bar;
};

/* ---- the snapshot */
static enum aft_err
each_record(struct aft_file_reader *f, struct aft_snapshot_set *set, struct aft_error *e)
{
    for (;;) {
        struct aft_file_record r;
        bool end, whole;
        AFT_TRY(aft_file_next(f, &r, &end, e));
        if (end)
            return AFT_OK;
        AFT_TRY(aft_snapshot_set_add(set, r.body, &whole, e));
    }
}

static enum aft_err
load(struct job *j, const struct aft_config *config, const char *path, struct aft_error *e)
{
    struct aft_file_reader *f;
    uint8_t key[64];
    bool has_key;
    AFT_TRY(aft_signing_key(config, key, &has_key, e));
    j->set = aft_snapshot_set_new();
    aft_snapshot_set_weights_only(j->set);
    if (has_key)
        aft_snapshot_set_key(j->set, key + 32);
    AFT_TRY(aft_file_open(path, AFT_RECORD_SNAPSHOT, false, &f, e));
    enum aft_err err = each_record(f, j->set, e);
    aft_file_close(f);
    AFT_TRY(err);
    if (!aft_snapshot_set_manifest(j->set))
        return AFT_FAIL(e, AFT_E_FAILED, "%s holds no whole snapshot; export it again", path);
    AFT_TRY(aft_model_load(j->set, &j->model, e));
    j->user.model = j->model;
    return AFT_OK;
}

/* ---- options */
static enum aft_err
window(struct job *j, const struct cmd_line *line, struct aft_error *e)
{
    const char *from = cmd_given(line, "valid-from", 0), *length = cmd_given(line, "valid-for", 0);
    const char *marginals = cmd_given(line, "marginals", 0);
    int64_t for_ms = 0;
    j->user.valid_from_ms = aft_snapshot_set_manifest(j->set)->manifest.event_time_ms;
    if (from)
        AFT_TRY(cmd_moment("valid-from", from, &j->user.valid_from_ms, e));
    if (from && (j->user.valid_from_ms < 0 || j->user.valid_from_ms >= 8640000000000000))
        return AFT_FAIL(e, AFT_E_USAGE, "--valid-from %s: give a time between 1970 and 275760",
                        from);
    if (!aft_duration(length ? length : "1d", &for_ms) || for_ms <= 0 || for_ms > 8640000000000000)
        return AFT_FAIL(e, AFT_E_USAGE, "--valid-for %s: give a duration like 12h or 7d", length);
    j->user.valid_until_ms = j->user.valid_from_ms + for_ms;
    j->user.marginals = 1;
    if (marginals && (strlen(marginals) != 1 || marginals[0] < '0' || marginals[0] > '3'))
        return AFT_FAIL(e, AFT_E_USAGE, "--marginals %s: give 0 to 3", marginals);
    if (marginals)
        j->user.marginals = (uint32_t)(marginals[0] - '0');
    return AFT_OK;
}

/* ---- all users */
static void
show(const struct job *j, double seconds, bool last)
{
    char bar[BAR_CHARS + 1] = "";
    double part = score_part(j->in), rate = (double)j->users / (seconds > 0 ? seconds : 1e-9);
    for (int i = 0; i < BAR_CHARS; i++)
        bar[i] = part * BAR_CHARS >= i + 1 ? '#' : '.';
    if (part >= 0)
        fprintf(stderr, "\r\033[K[%s] %3.0f %%  ", bar, 100 * part);
    else
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%lld users, %.0f/s", (long long)j->users, rate);
    if (part > 0 && !last)
        fprintf(stderr, ", %.0f s left", seconds * (1 - part) / part);
    if (last)
        fputc('\n', stderr);
}

static enum aft_err
each_user(struct job *j, struct aft_error *e)
{
    struct aft_clock clock = aft_clock_real();
    int64_t begun = clock.monotonic_ms(clock.ctx), shown = begun;
    for (int64_t n = 1;; n++) {
        struct aft_score_request q;
        struct aft_prescored p;
        bool end, none;
        AFT_TRY(score_next(j->in, &q, &end, e));
        int64_t now = n % LOOK_EVERY && !end ? 0 : clock.monotonic_ms(clock.ctx);
        if (j->bar && (end || now - shown >= BAR_MS)) {
            show(j, (double)(now - begun) / 1000, end);
            shown = now;
        }
        j->seconds = end ? (double)(now - begun) / 1000 : 0;
        if (end)
            return AFT_OK;
        enum aft_err err = score_user(&j->user, &q, &p, &none, e);
        if (err != AFT_OK) {
            struct aft_error inner = *e;
            return AFT_FAIL(e, err, "user %.*s: %.300s", (int)q.user_id.n,
                            (const char *)q.user_id.p, inner.message);
        }
        j->users++;
        j->without += none;
        if (!none)
            AFT_TRY(score_put(j->out, &p, e));
    }
}

static void
report(const struct job *j, bool json, bool data_on_stdout)
{
    FILE *out = data_on_stdout ? stderr : stdout;
    double rate = (double)j->users / (j->seconds > 0 ? j->seconds : 1e-3);
    if (!json) {
        fprintf(out, "%lld users, %lld of them without an eligible candidate, in %.3f s (%.0f/s)\n",
                (long long)j->users, (long long)j->without, j->seconds, rate);
        return;
    }
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:f}", "users", (json_int_t)j->users, "without",
                          (json_int_t)j->without, "valid_from", (json_int_t)j->user.valid_from_ms,
                          "valid_until", (json_int_t)j->user.valid_until_ms, "seconds", j->seconds);
    json_dumpf(o, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(o);
}

static enum aft_err
run(struct job *j, const struct cmd_line *line, struct aft_error *e)
{
    const char *catalogue = cmd_given(line, "candidates", 0), *out = cmd_given(line, "out", 0);
    struct aft_error second;
    AFT_TRY(cmd_apart(line, "out", e));
    AFT_TRY(aft_config_check(line->config, e));
    AFT_TRY(load(j, line->config, cmd_given(line, "snapshot", 0), e));
    AFT_TRY(window(j, line, e));
    if (catalogue)
        AFT_TRY(score_catalogue_read(&j->user.catalogue, catalogue, e));
    AFT_TRY(score_begin(&j->user, e));
    AFT_TRY(score_open(cmd_given(line, "in", 0), &j->in, e));
    AFT_TRY(score_create(out, line->config, &j->out, e));
    j->bar = isatty(STDERR_FILENO) == 1;
    enum aft_err err = each_user(j, e);
    enum aft_err ended = score_finish(j->out, err == AFT_OK, err == AFT_OK ? e : &second);
    AFT_TRY(err);
    AFT_TRY(ended);
    report(j, line->json, out && strcmp(out, "-") == 0);
    return AFT_OK;
}

static int
score(const struct cmd_line *line)
{
    struct aft_error e;
    struct job *j = calloc(1, sizeof *j);
    AFT_ASSERT(j != NULL);
    j->user.scratch = aft_scratch_new();
    aft_arena_init(&j->user.arena, ARENA_BYTES);
    score_catalogue_init(&j->user.catalogue);
    int code = run(j, line, &e) == AFT_OK ? 0 : cmd_fail("score", &e);
    score_close(j->in);
    score_catalogue_deinit(&j->user.catalogue);
    aft_arena_deinit(&j->user.arena);
    aft_scratch_free(j->user.scratch);
    aft_model_free(j->model);
    aft_snapshot_set_free(j->set);
    free(j);
    return code;
}

int
cmd_score(int argc, char **argv)
{
    static const struct cmd_option own[] = {
        {"snapshot", "FILE", "the model: as `snapshot export` or `learn` wrote it"},
        {"in", "FILE", "requests: a container file, or JSON lines (-: standard input)"},
        {"candidates", "FILE", "the catalogue: JSON lines, for requests that name no candidates"},
        {"out", "FILE", "weights: a container file, or JSON lines (FILE.jsonl, or -)"},
        {"topic", NULL, "write them to the topic topics.prescored"},
        {"valid-from", "TIME", "the window begins (default: the snapshot's latest event)"},
        {"valid-for", "DURATION", "and lasts so long (1d)"},
        {"marginals", "N", "write the probabilities of the first N slots (0 .. 3; 1)"}};
    struct cmd_line line;
    int code = cmd_parse(argc, argv, own, 8, &line);
    if (code >= 0)
        return code;
    bool out = cmd_given(&line, "out", 0) != NULL, topic = cmd_given(&line, "topic", 0) != NULL;
    if (!cmd_options_alone(argv[0], &line)) {
        code = 2;
    } else if (!cmd_given(&line, "snapshot", 0) || !cmd_given(&line, "in", 0) || out == topic) {
        fputs("aftertouch score: want --snapshot FILE, --in FILE, and --out FILE or --topic\n",
              stderr);
        code = 2;
    } else {
        code = score(&line);
    }
    cmd_line_free(&line);
    return code;
}
