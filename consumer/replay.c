/* replay.c - `replay`: the ends of all topics (P1), then partition after partition, then the model.
 * In: the topics, as they stand. Out: how far it came, digests, and the first divergence. One thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "consumer/replay_inner.h"

enum { INTO_STEP = 32 };

static const char *const inputs[2] = {"topics.impressions", "topics.outcomes"};

/* ---- where everything begins and ends */
static enum aft_err
cut_whole(struct afti_replay *r, const char *key, int32_t partition, struct aft_error *e)
{
    const char *topic = aft_config_text(r->o.config, key);
    int64_t begin, end;
    AFT_TRY(r->o.log->ops->range(r->o.log, topic, partition, &begin, &end, e));
    aft_log_cut(r->log, topic, partition, begin, end);
    return AFT_OK;
}

static enum aft_err
input_from(struct afti_replay *r, int log, int32_t partition, int64_t begin, int64_t end,
           int64_t *from, struct aft_error *e)
{
    const char *topic = aft_config_text(r->o.config, inputs[log]);
    *from = begin;
    for (uint32_t i = 0; i < r->o.starts_n; i++)
        if (r->o.starts[i].partition == partition) {
            *from = r->o.starts[i].offset[log];
            return *from >= begin && *from <= end
                       ? AFT_OK
                       : AFT_FAIL(e, AFT_E_GAP,
                                  "%s partition %d holds offsets %lld to %lld, not %lld", topic,
                                  partition, (long long)begin, (long long)end, (long long)*from);
        }
    return r->o.from_ms == INT64_MIN
               ? AFT_OK
               : r->o.log->ops->offset_at(r->o.log, topic, partition, r->o.from_ms, from, e);
}

static enum aft_err
cut_input(struct afti_replay *r, int log, int32_t partition, struct aft_error *e)
{
    const char *topic = aft_config_text(r->o.config, inputs[log]);
    int64_t begin, end, from;
    AFT_TRY(r->o.log->ops->range(r->o.log, topic, partition, &begin, &end, e));
    AFT_TRY(input_from(r, log, partition, begin, end, &from, e));
    if (r->o.until_ms != INT64_MAX)
        AFT_TRY(r->o.log->ops->offset_at(r->o.log, topic, partition, r->o.until_ms, &end, e));
    aft_log_cut(r->log, topic, partition, from, end < from ? from : end);
    return AFT_OK;
}

/* P1 */
static enum aft_err
cut_all(struct afti_replay *r, struct aft_error *e)
{
    struct aft_topic_facts rounds;
    int32_t n = r->result->parts_n;
    AFT_TRY(r->o.log->ops->topic_facts(r->o.log, aft_config_text(r->o.config, "topics.rounds"),
                                       &rounds, e));
    r->result->model = rounds.partitions > 0 && r->o.until_ms == INT64_MAX;
    if (r->result->model) {
        AFT_TRY(cut_whole(r, "topics.snapshots", 0, e));
        AFT_TRY(cut_whole(r, "topics.rounds", 0, e));
    }
    for (int32_t p = 0; p < n; p++)
        AFT_TRY(cut_whole(r, "topics.examples", p, e));
    for (int32_t p = 0; p < n; p++) {
        AFT_TRY(cut_input(r, AFT_IMPRESSIONS, p, e));
        AFT_TRY(cut_input(r, AFT_OUTCOMES, p, e));
    }
    for (int32_t p = 0; p < n; p++)
        AFT_TRY(cut_whole(r, "topics.clock", p, e));
    return AFT_OK;
}

/* ---- the parts */
static enum aft_err
parts_make(struct afti_replay *r, struct aft_error *e)
{
    struct aft_topic_facts f;
    const char *topic = aft_config_text(r->o.config, "topics.impressions");
    AFT_TRY(r->o.log->ops->topic_facts(r->o.log, topic, &f, e));
    if (f.partitions == 0)
        return AFT_FAIL(e, AFT_E_CONFIG, "topic %s does not exist", topic);
    r->result->parts = calloc((size_t)f.partitions, sizeof *r->result->parts);
    AFT_ASSERT(r->result->parts != NULL);
    r->result->parts_n = f.partitions;
    for (int32_t p = 0; p < f.partitions; p++)
        r->result->parts[p].partition = p;
    return AFT_OK;
}

/* Numbered: what is read begins with the log itself, so the first example computed is the first one that ever was. */
static enum aft_err
part_prepare(struct afti_replay *r, int32_t p, struct aft_error *e)
{
    r->partition = p;
    r->part = &r->result->parts[p];
    r->numbered = true;
    r->part->records_n = 0;
    for (int log = 0; log < 2; log++) {
        const char *topic = aft_config_text(r->o.config, inputs[log]);
        AFT_TRY(r->log->ops->range(r->log, topic, p, &r->begin[log], &r->end[log], e));
        r->numbered = r->numbered && r->begin[log] == 0;
        r->part->records_n += r->end[log] - r->begin[log];
    }
    if (r->o.into && !r->numbered)
        return AFT_FAIL(e, AFT_E_FAILED,
                        "partition %d: its inputs are not read from their beginning (%lld, %lld), "
                        "and a state made of the rest would not go on with the published "
                        "examples' numbers: restore a checkpoint instead",
                        p, (long long)r->begin[0], (long long)r->begin[1]);
    return AFT_OK;
}

static enum aft_err
into_make(const struct afti_replay *r, struct aft_error *e)
{
    return r->o.into ? afti_directory_new(r->o.into, e) : AFT_OK;
}

/* Where to begin is said of partitions that are there, of each once. */
static enum aft_err
starts_check(const struct aft_replay_options *o, int32_t partitions, struct aft_error *e)
{
    for (uint32_t i = 0; i < o->starts_n; i++) {
        int32_t p = o->starts[i].partition;
        if (p >= partitions)
            return AFT_FAIL(e, AFT_E_USAGE, "--from names partition %d, and there are 0 to %d", p,
                            partitions - 1);
        for (uint32_t k = 0; k < i; k++)
            if (o->starts[k].partition == p)
                return AFT_FAIL(e, AFT_E_USAGE, "--from names partition %d twice", p);
    }
    return AFT_OK;
}

static enum aft_err
work(struct afti_replay *r, struct aft_error *e)
{
    AFT_TRY(parts_make(r, e));
    AFT_TRY(starts_check(&r->o, r->result->parts_n, e));
    AFT_TRY(afti_beside_look(r, e));
    AFT_TRY(cut_all(r, e));
    for (int32_t p = 0; p < r->result->parts_n; p++)
        AFT_TRY(part_prepare(r, p, e));
    AFT_TRY(into_make(r, e));
    for (int32_t p = 0; p < r->result->parts_n; p++) {
        AFT_TRY(part_prepare(r, p, e));
        AFT_TRY(afti_replay_partition(r, e));
    }
    return r->result->model ? afti_replay_model(r, e) : AFT_OK;
}

enum aft_err
aft_replay(const struct aft_replay_options *o, struct aft_replay_result *result,
           struct aft_error *e)
{
    struct afti_replay *r = calloc(1, sizeof *r);
    AFT_ASSERT(r != NULL);
    *result = (struct aft_replay_result){.partition = -1};
    r->o = *o;
    r->result = result;
    r->checked = o->verify || o->into;
    r->log = aft_log_frozen(o->log, NULL);
    if (o->into)
        aft_log_read_max(r->log, INTO_STEP); /* the last step before the published end counts */
    enum aft_err err = work(r, e);
    afti_beside_close(r);
    r->log->ops->close(r->log);
    free(r);
    return err;
}
