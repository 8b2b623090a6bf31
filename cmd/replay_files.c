/* replay_files.c - what `replay` reads: the topics, or archived container files in their place. In: --impressions, --outcomes, --clock,
 * --examples, the k-th of each being partition k; --rounds, --snapshots, one of each. Out: a log.
 */
#include "cmd/replay_files.h"

#include <stdlib.h>

static const struct {
    const char *option, *topic;
    enum aft_record record;
} kinds[] = {{"impressions", "topics.impressions", AFT_RECORD_IMPRESSION},
             {"outcomes", "topics.outcomes", AFT_RECORD_OUTCOME},
             {"clock", "topics.clock", AFT_RECORD_CLOCK},
             {"examples", "topics.examples", AFT_RECORD_EXAMPLE},
             {"rounds", "topics.rounds", AFT_RECORD_ROUND},
             {"snapshots", "topics.snapshots", AFT_RECORD_SNAPSHOT}};
enum { KINDS_N = sizeof kinds / sizeof kinds[0], ROUNDS = 4, SNAPSHOTS = 5 };

static int32_t
collect(const struct cmd_line *l, int kind, struct cmd_replay_log *r)
{
    int32_t n = 0;
    for (const char *path; (path = cmd_given(l, kinds[kind].option, n)) != NULL; n++)
        r->files[r->files_n++] =
            (struct aft_log_file){.topic = aft_config_text(l->config, kinds[kind].topic),
                                  .path = path,
                                  .partition = n,
                                  .record = kinds[kind].record};
    return n;
}

static enum aft_err
files_check(const struct cmd_line *l, const int32_t n[KINDS_N], struct aft_error *e)
{
    if (n[0] == 0 || n[1] != n[0])
        return AFT_FAIL(e, AFT_E_USAGE,
                        "%d files of impressions, %d of outcomes: want one of each for every "
                        "partition, in their order",
                        n[0], n[1]);
    if (n[ROUNDS] > 1 || n[SNAPSHOTS] > 1 || (n[SNAPSHOTS] && !n[ROUNDS]))
        return AFT_FAIL(e, AFT_E_USAGE,
                        "one file of --rounds, and with it one of --snapshots: both topics have "
                        "one partition, and snapshots come of rounds");
    for (int k = 2; k < ROUNDS; k++)
        if (n[k] != 0 && n[k] != n[0])
            return AFT_FAIL(e, AFT_E_USAGE, "--%s is given %d times, --impressions %d times",
                            kinds[k].option, n[k], n[0]);
    bool kafka = aft_config_kafka(l->config)->bootstrap[0] != '\0';
    if (cmd_given(l, "verify", 0) && n[3] == 0 && !kafka)
        return AFT_FAIL(e, AFT_E_USAGE,
                        "--verify with what? give --examples for every partition, or "
                        "kafka.bootstrap.servers");
    return AFT_OK;
}

/* Files beside a broker: the topics must be those of the files. */
static enum aft_err
same_partitions(const struct cmd_line *l, struct cmd_replay_log *r, int32_t n, struct aft_error *e)
{
    struct aft_topic_facts f;
    const char *topic = aft_config_text(l->config, "topics.examples");
    AFT_TRY(r->kafka->ops->topic_facts(r->kafka, topic, &f, e));
    return f.partitions == n
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_CONFIG, "%s has %d partitions, and files of %d are given", topic,
                          f.partitions, n);
}

enum aft_err
cmd_replay_log_open(const struct cmd_line *l, struct cmd_replay_log *r, struct aft_error *e)
{
    int32_t n[KINDS_N], all = 0;
    r->files = calloc((size_t)l->given_n + 1, sizeof *r->files);
    AFT_ASSERT(r->files != NULL);
    for (int k = 0; k < KINDS_N; k++)
        all += n[k] = collect(l, k, r);
    bool kafka = aft_config_kafka(l->config)->bootstrap[0] != '\0';
    if (all)
        AFT_TRY(files_check(l, n, e));
    if (!all || (kafka && n[3] == 0))
        AFT_TRY(aft_log_kafka_open(aft_config_kafka(l->config), &r->kafka, e));
    if (!all) {
        r->log = r->kafka;
        return AFT_OK;
    }
    if (r->kafka)
        AFT_TRY(same_partitions(l, r, n[0], e));
    return aft_log_files_open(r->files, r->files_n, r->kafka, &r->log, e);
}

void
cmd_replay_log_close(struct cmd_replay_log *r)
{
    if (r->log && r->log != r->kafka)
        r->log->ops->close(r->log);
    if (r->kafka)
        r->kafka->ops->close(r->kafka);
    free(r->files);
}
