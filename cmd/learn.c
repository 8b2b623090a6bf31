/* learn.c - `learn`: examples from container files, each file one partition, learned as one round in the canonical order
 * (learn_files.c), published to a container file of snapshot records. Out: the snapshot; counts on stdout. */
#include "cmd/learn.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "wire/wire_avro.h"

static enum aft_err
append(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct aft_file_record r = {.key = key, .body = body};
    return aft_file_append(ctx, &r, e);
}

static enum aft_err
publish(struct learn_job *l, const struct aft_config *c, const char *path, struct aft_error *e)
{
    struct aft_file_writer *out = NULL;
    struct aft_error second;
    struct aft_publish_spec spec = {.model = aft_text(aft_config_text(c, "snapshot.model")),
                                    .round = 1,
                                    .kind = AFT_SNAPSHOT_FULL,
                                    .ends = l->ends,
                                    .ends_n = (uint32_t)l->n};
    AFT_TRY(aft_file_create(path, AFT_RECORD_SNAPSHOT, false, &out, e));
    enum aft_err err = aft_learner_publish(l->learner, &spec, append, out, e);
    enum aft_err closed = aft_file_finish(out, err == AFT_OK ? e : &second);
    if (err == AFT_OK)
        err = closed;
    if (err != AFT_OK)
        cmd_discard(path);
    return err;
}

static bool
refused(const struct aft_learner_stats *s)
{
    return s->refused_support || s->refused_weight || s->refused_reward || s->refused_feature ||
           s->refused_example;
}

static void
report(const struct learn_job *l, bool json, json_t *shadow)
{
    struct aft_learner_stats s;
    struct aft_digest d;
    char digest[65];
    aft_learner_stats(l->learner, &s);
    aft_learner_digest(l->learner, &d);
    aft_hex(d.b, sizeof d.b, digest);
    if (!json) {
        printf("%lld decisions, %lld items learned, %lld revised in %.3f s\n",
               (long long)l->decisions, (long long)s.learned, (long long)s.revised, l->seconds);
        printf("progressive value of the greedy arm: ips %.6f snips %.6f dr %.6f\n",
               s.progressive_ips, s.progressive_snips, s.progressive_dr);
        if (refused(&s))
            printf("refused: %lld items for want of support, %lld for weight, %lld for reward, "
                   "%lld for features; %lld examples\n",
                   (long long)s.refused_support, (long long)s.refused_weight,
                   (long long)s.refused_reward, (long long)s.refused_feature,
                   (long long)s.refused_example);
        if (shadow)
            learn_shadow_say(shadow);
        printf("digest %s\n", digest);
        return;
    }
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:{s:f, s:f, s:f}, s:{s:I, s:I, s:I, s:I, s:I}, s:f, s:f, "
        "s:f, s:i, s:i, s:s}",
        "decisions", (json_int_t)l->decisions, "learned", (json_int_t)s.learned, "revised",
        (json_int_t)s.revised, "settled", (json_int_t)s.settled, "seconds", l->seconds,
        "progressive", "ips", s.progressive_ips, "snips", s.progressive_snips, "dr",
        s.progressive_dr, "refused", "support", (json_int_t)s.refused_support, "weight",
        (json_int_t)s.refused_weight, "reward", (json_int_t)s.refused_reward, "feature",
        (json_int_t)s.refused_feature, "example", (json_int_t)s.refused_example, "mean_weight",
        s.mean_weight, "effective_n", s.effective_n, "capped_mass", s.capped_mass, "arms",
        (int)s.arms, "columns", (int)s.columns, "digest", digest);
    if (shadow)
        json_object_set(o, "shadow", shadow);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

/* --examples (or --merge), again and again, and what follows it without a name. */
static enum aft_err
gather(const struct cmd_line *line, struct learn_job *l, struct aft_error *e)
{
    const char *f, *name = cmd_given(line, "merge", 0) ? "merge" : "examples";
    int named = 0, n;
    if (cmd_given(line, "merge", 0) && cmd_given(line, "examples", 0))
        return AFT_FAIL(
            e, AFT_E_USAGE,
            "--merge takes snapshots of shares, --examples makes one: give one of the two");
    if (cmd_given(line, "merge", 0) && cmd_given(line, "shadow", 0))
        return AFT_FAIL(e, AFT_E_USAGE, "--shadow reads examples, and --merge has none");
    while (cmd_given(line, name, named))
        named++;
    n = named + line->positional_n;
    if (n > LEARN_FILES_MAX)
        return AFT_FAIL(e, AFT_E_USAGE, "%d files; it takes %d at most, each a partition", n,
                        LEARN_FILES_MAX);
    for (int i = 0; i < n; i++) {
        f = i < named ? cmd_given(line, name, i) : line->positional[i - named];
        l->files[l->n++] = f;
    }
    if (n == 0 || !cmd_given(line, "snapshot", 0))
        return AFT_FAIL(e, AFT_E_USAGE,
                        "want --examples FILE... (or --merge FILE...) and --snapshot FILE");
    return AFT_OK;
}

static enum aft_err
learn(struct learn_job *l, const char *greedy, struct aft_error *e)
{
    if (!greedy)
        return learn_files(l, e);
    l->greedy = fopen(greedy, "w");
    if (!l->greedy)
        return AFT_FAIL(e, AFT_E_IO, "%s: %s", greedy, strerror(errno));
    enum aft_err err = learn_files(l, e);
    if (fclose(l->greedy) != 0 && err == AFT_OK)
        err = AFT_FAIL(e, AFT_E_IO, "%s: %s", greedy, strerror(errno));
    return err;
}

static enum aft_err
run(struct learn_job *l, struct cmd_line *line, struct aft_error *e)
{
    AFT_TRY(gather(line, l, e));
    AFT_TRY(cmd_apart(line, "snapshot", e));
    AFT_TRY(cmd_apart(line, "greedy", e));
    AFT_TRY(aft_config_check(line->config, e));
    l->settings = aft_config_learner(line->config);
    if (cmd_given(line, "share", 0))
        AFT_TRY(learn_share(l, cmd_given(line, "share", 0), e));
    if (cmd_given(line, "merge", 0))
        AFT_TRY(learn_merge(l, aft_config_text(line->config, "snapshot.model"), e));
    else
        AFT_TRY(learn(l, cmd_given(line, "greedy", 0), e));
    AFT_TRY(publish(l, line->config, cmd_given(line, "snapshot", 0), e));
    json_t *shadow = NULL;
    if (cmd_given(line, "shadow", 0))
        AFT_TRY(learn_shadow(l, &shadow, e));
    report(l, line->json, shadow);
    json_decref(shadow);
    return AFT_OK;
}

int
cmd_learn(int argc, char **argv)
{
    static const struct cmd_option own[] = {
        {"examples", "FILE...",
         "examples of one partition, a container file (again for more; the "
         "order names the partitions)"},
        {"snapshot", "FILE", "write the (unsigned) snapshot records to FILE"},
        {"greedy", "FILE",
         "write which candidate (0, 1, ..) the model put on top before it learned each decision"},
        {"shadow", NULL,
         "value the model that ran beside the one that decided (shadow_model), too"},
        {"share", "I/N",
         "learn those files alone whose number (from 0) mod N is I: with learner.shards, to merge"},
        {"merge", "FILE...",
         "no examples: merge the snapshots that the shares wrote (again for more)"},
    };
    struct cmd_line line;
    struct learn_job l = {.n = 0};
    struct aft_error e;
    int code = cmd_parse(argc, argv, own, sizeof own / sizeof own[0], &line);
    if (code >= 0)
        return code;
    code = run(&l, &line, &e) == AFT_OK ? 0 : cmd_fail("learn", &e);
    aft_learner_free(l.learner);
    cmd_line_free(&line);
    return code;
}
