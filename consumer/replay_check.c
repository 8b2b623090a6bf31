/* replay_check.c - what the examples topic of a partition holds, beside what is computed again.
 *
 * In: blocks of the topic, as any reader takes them (blocks of an older epoch than the newest seen are dropped, so are
 * examples of a lower
 * seq; a gap is a loss), and examples of the joiner in order. Out: the first difference, with its place and its field.
 * An example that is the same costs one comparison of bytes; only one that differs is decoded.
 */
#include <inttypes.h>
#include <stdio.h>

#include "consumer/replay_inner.h"

enum { ARENA_BYTES = 64 << 20, READ_MS = 200, READ_TRIES = 150 };

/* ---- the topic */
enum aft_err
afti_published_open(struct afti_replay *r, struct aft_error *e)
{
    struct afti_published *p = &r->published;
    int64_t begin;
    *p = (struct afti_published){.log = r->log,
                                 .topic = aft_config_text(r->o.config, "topics.examples"),
                                 .partition = r->partition,
                                 .epoch = -1,
                                 .any = !r->numbered};
    aft_arena_init(&p->arena, ARENA_BYTES);
    aft_arena_init(&p->examples, ARENA_BYTES);
    AFT_TRY(p->log->ops->range(p->log, p->topic, p->partition, &begin, &p->end, e));
    p->next_offset = begin;
    p->passed = (struct afti_rider){.examples_offset = begin, .examples_epoch = -1};
    AFT_TRY(aft_decoder_new(AFT_RECORD_EXAMPLE_BLOCK, (struct aft_schema_port){0}, &p->decoder, e));
    return p->log->ops->reader_open(p->log, p->topic, p->partition, begin, &p->reader, e);
}

void
afti_published_close(struct afti_published *p)
{
    if (p->reader)
        p->log->ops->reader_close(p->reader);
    aft_decoder_free(p->decoder);
    aft_arena_deinit(&p->arena);
    aft_arena_deinit(&p->examples);
    *p = (struct afti_published){0};
}

/* The next record, or NULL at the end. What it borrows lives until the next one. */
static enum aft_err
record_next(struct afti_published *p, const struct aft_record_in **out, struct aft_error *e)
{
    bool at_end = false;
    *out = NULL;
    for (int i = 0; p->batch_i == p->batch_n && p->next_offset < p->end && !at_end; i++) {
        if (i == READ_TRIES)
            return AFT_FAIL(e, AFT_E_TIMEOUT, "%s partition %d: no answer; is the broker there?",
                            p->topic, p->partition);
        p->batch_i = 0;
        AFT_TRY(p->log->ops->read(p->reader, p->batch, AFTI_PUBLISHED_BATCH, READ_MS, &p->batch_n,
                                  &at_end, e));
    }
    if (p->batch_i < p->batch_n) {
        *out = &p->batch[p->batch_i++];
        p->next_offset = (*out)->offset + 1;
    }
    return AFT_OK;
}

static enum aft_err
block_decode(struct afti_published *p, const struct aft_record_in *in, struct aft_error *e)
{
    struct aft_bytes body;
    aft_arena_reset(&p->arena);
    enum aft_err err = aft_decoder_body(p->decoder, in->value, &p->arena, &body, e);
    if (err == AFT_OK)
        err = aft_decode_block(body, &p->block, e);
    p->block_offset = in->offset;
    if (err == AFT_OK || aft_err_class(err) != AFT_CLASS_DATA)
        return err;
    p->block.n = 0;
    return AFT_FAIL(e, AFT_E_DIVERGENCE,
                    "%s partition %d offset %" PRId64
                    ", after example %llu: no block of examples can be read there",
                    p->topic, p->partition, in->offset, (unsigned long long)p->seq);
}

/* The block in hand is done with. taken: its examples were compared, so that its end is the chain's. */
static void
block_passed(struct afti_published *p, bool taken)
{
    if (taken) {
        p->passed.seq = p->block.first_seq + p->block.n;
        p->passed.hash = p->block.hash;
    }
    p->passed.examples_epoch = p->epoch;
    p->passed.examples_offset = p->block_offset + 1;
    p->block.n = 0;
}

/* Over examples that a block before this one brought already. */
static enum aft_err
skip_to(struct afti_published *p, uint64_t seq, struct aft_error *e)
{
    struct aft_example x;
    while (p->seq < seq) {
        aft_arena_reset(&p->examples);
        AFT_TRY(aft_decode_example(&p->left, &p->examples, &x, e));
        p->seq++;
    }
    return AFT_OK;
}

/* The block in hand is a stale owner's, empty, old, too far, or the one with `seq`. */
static enum aft_err
block_use(struct afti_published *p, uint64_t seq, struct aft_error *e)
{
    if (p->block.epoch > p->epoch)
        p->epoch = p->block.epoch;
    bool stale = p->block.epoch < p->epoch;
    uint64_t end = p->block.first_seq + p->block.n;
    if (p->any && !stale && p->block.n) {
        p->any = false;
        seq = p->block.first_seq;
    }
    if (stale || p->block.n == 0 || end <= seq) {
        block_passed(p, false);
        return AFT_OK;
    }
    if (p->block.first_seq > seq)
        return AFT_FAIL(e, AFT_E_GAP,
                        "%s partition %d offset %" PRId64
                        ": example %llu follows %llu: %llu examples are missing",
                        p->topic, p->partition, p->block_offset,
                        (unsigned long long)p->block.first_seq, (unsigned long long)seq,
                        (unsigned long long)(p->block.first_seq - seq));
    p->seq = p->block.first_seq;
    p->left = aft_reader(p->block.examples);
    return skip_to(p, seq, e);
}

enum aft_err
afti_published_at(struct afti_published *p, uint64_t seq, struct aft_error *e)
{
    const struct aft_record_in *in;
    while (!p->done) {
        if (p->block.n && p->seq < p->block.first_seq + p->block.n)
            return AFT_OK;
        if (p->block.n)
            block_passed(p, true);
        AFT_TRY(record_next(p, &in, e));
        p->done = in == NULL;
        if (in) {
            AFT_TRY(block_decode(p, in, e));
            AFT_TRY(block_use(p, seq, e));
        }
    }
    return AFT_OK;
}

/* ---- the first difference */
enum aft_err
afti_diverged(struct afti_replay *r, uint64_t seq, struct aft_bytes decision, const char *field,
              struct aft_error *e)
{
    struct aft_replay_result *out = r->result;
    out->diverged = true;
    out->partition = r->partition;
    out->seq = seq;
    snprintf(out->decision_id, sizeof out->decision_id, "%.*s", (int)decision.n,
             decision.p ? (const char *)decision.p : "");
    snprintf(out->field, sizeof out->field, "%s", field);
    return AFT_FAIL(e, AFT_E_DIVERGENCE,
                    "%s partition %d offset %" PRId64
                    ", example %llu of decision %.80s: %s is published as something else than what "
                    "is computed again",
                    r->published.topic, r->partition, r->published.block_offset,
                    (unsigned long long)seq, out->decision_id, field);
}

static bool
same_bits(double a, double b)
{
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static const char *
item_difference(const struct aft_example_item *a, const struct aft_example_item *b)
{
    if (!aft_same(a->arm_id, b->arm_id))
        return "items.arm_id";
    if (a->slot != b->slot)
        return "items.slot";
    if (!same_bits(a->propensity, b->propensity))
        return "items.propensity";
    if (a->has_marginal != b->has_marginal ||
        (a->has_marginal && !same_bits(a->marginal, b->marginal)))
        return "items.marginal";
    if (!aft_same(a->raw_features, b->raw_features))
        return "items.features";
    if (a->reward_micro != b->reward_micro)
        return "items.reward_micro";
    if (a->delta_micro != b->delta_micro)
        return "items.delta_micro";
    bool same = a->components_n == b->components_n;
    for (uint32_t i = 0; same && i < a->components_n; i++)
        same = aft_same(a->components[i].kind, b->components[i].kind) &&
               a->components[i].micro == b->components[i].micro;
    return same ? NULL : "items.components";
}

static const char *
difference(const struct aft_example *a, const struct aft_example *b)
{
    const char *item = NULL;
    if (a->phase != b->phase)
        return "phase";
    if (a->fire_ms != b->fire_ms)
        return "fire";
    if (!aft_same(a->decision_id, b->decision_id))
        return "decision_id";
    if (!aft_same(a->user_id, b->user_id))
        return "user_id";
    if (a->timestamp_ms != b->timestamp_ms)
        return "timestamp";
    if (!aft_same(a->policy, b->policy))
        return "policy";
    if (!aft_same(a->snapshot, b->snapshot))
        return "snapshot";
    if (a->propensity_kind != b->propensity_kind)
        return "propensity_kind";
    if (!aft_same(a->cause, b->cause))
        return "cause";
    if (!aft_same(a->raw_context, b->raw_context))
        return "context";
    if (!aft_same(a->raw_candidates, b->raw_candidates))
        return "candidates";
    if (a->items_n != b->items_n)
        return "items";
    for (uint32_t i = 0; !item && i < a->items_n; i++)
        item = item_difference(&a->items[i], &b->items[i]);
    if (item)
        return item;
    if (!aft_same(a->raw_design, b->raw_design))
        return "design";
    return a->seq != b->seq ? "seq" : NULL;
}

/* The published example at p->left is not `body`: which field? Both decoded; the arena holds both. */
static enum aft_err
name_difference(struct afti_replay *r, struct aft_bytes body, struct aft_error *e)
{
    struct afti_published *p = &r->published;
    struct aft_example ours, theirs;
    struct aft_reader mine = aft_reader(body), left = p->left;
    aft_arena_reset(&p->examples);
    AFT_TRY(aft_decode_example(&mine, &p->examples, &ours, e));
    if (aft_decode_example(&left, &p->examples, &theirs, e) != AFT_OK)
        return afti_diverged(r, p->seq, ours.decision_id, "bytes (they cannot be decoded)", e);
    if (!r->numbered)
        ours.seq = theirs.seq;
    const char *field = difference(&ours, &theirs);
    return afti_diverged(r, p->seq, ours.decision_id, field ? field : "encoding", e);
}

/* ---- one example */
/* How many bytes of the published ones are this example; 0: they are something else. Without numbers, all behind the seq
 * counts. */
static size_t
same_bytes(const struct afti_replay *r, struct aft_bytes body)
{
    struct aft_reader theirs = r->published.left, ours = aft_reader(body);
    int64_t seq;
    if (!r->numbered && (!aft_get_long(&theirs, &seq) || !aft_get_long(&ours, &seq)))
        return 0;
    size_t n = aft_left(&ours);
    if (aft_left(&theirs) < n || memcmp(theirs.p, ours.p, n) != 0)
        return 0;
    return (size_t)(theirs.p - r->published.left.p) + n;
}

static enum aft_err
compare(struct afti_replay *r, struct aft_bytes body, struct aft_hash128 hash, struct aft_error *e)
{
    struct afti_published *p = &r->published;
    size_t n = same_bytes(r, body);
    if (n == 0)
        return name_difference(r, body, e);
    p->left.p += n;
    p->seq++;
    r->part->compared++;
    if (p->seq < p->block.first_seq + p->block.n)
        return AFT_OK;
    bool same = p->block.hash.low == hash.low && p->block.hash.high == hash.high;
    if (aft_left(&p->left) == 0 && (same || !r->numbered))
        return AFT_OK;
    return afti_diverged(r, p->seq - 1, AFT_ABSENT,
                         same || !r->numbered ? "the block's length" : "the block's hash", e);
}

/* Without numbers: the first example that fires once all windows before it were seen whole must stand there; what is
 * published before it is
 * passed over. */
static enum aft_err
align(struct afti_replay *r, struct aft_bytes body, uint64_t seq, struct aft_error *e)
{
    struct afti_published *p = &r->published;
    struct aft_example ours, theirs;
    struct aft_reader mine = aft_reader(body);
    aft_arena_reset(&p->examples);
    AFT_TRY(aft_decode_example(&mine, &p->examples, &ours, e));
    if (r->warm_ms == INT64_MIN || ours.fire_ms < r->warm_ms)
        return AFT_OK;
    for (;;) {
        AFT_TRY(afti_published_at(p, p->seq, e));
        if (p->done || same_bytes(r, body))
            break;
        struct aft_reader left = p->left;
        aft_arena_reset(&p->examples);
        if (aft_decode_example(&left, &p->examples, &theirs, e) != AFT_OK ||
            theirs.fire_ms > ours.fire_ms)
            return name_difference(r, body, e);
        p->left = left;
        p->seq++;
    }
    r->aligned = true;
    r->shift = (int64_t)p->seq - (int64_t)seq;
    return AFT_OK;
}

enum aft_err
afti_check_example(void *replay, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash_after,
                   struct aft_error *e)
{
    struct afti_replay *r = replay;
    r->part->examples++;
    r->task->next_seq = seq + 1;
    if (!r->checked)
        return AFT_OK;
    if (!r->aligned)
        AFT_TRY(align(r, body, seq, e));
    if (!r->aligned)
        return AFT_OK;
    enum aft_err err = afti_published_at(&r->published, seq + (uint64_t)r->shift, e);
    if (err != AFT_OK && aft_err_class(err) == AFT_CLASS_DATA) /* while skipping */
        return afti_diverged(r, seq, AFT_ABSENT, "bytes (they cannot be decoded)", e);
    AFT_TRY(err);
    if (r->published.done) {
        r->beyond++;
        r->part->beyond++;
        return AFT_OK;
    }
    return compare(r, body, hash_after, e);
}

enum aft_err
afti_check_rest(struct afti_replay *r, struct aft_error *e)
{
    struct afti_published *p = &r->published;
    uint64_t next = r->task->next_seq + (uint64_t)r->shift;
    if (!r->checked || !r->aligned)
        return AFT_OK;
    AFT_TRY(afti_published_at(p, next, e));
    if (p->done)
        return AFT_OK;
    struct aft_example theirs;
    struct aft_reader left = p->left;
    struct aft_error broken;
    aft_arena_reset(&p->examples);
    bool good = aft_decode_example(&left, &p->examples, &theirs, &broken) == AFT_OK;
    return afti_diverged(r, p->seq, good ? theirs.decision_id : AFT_ABSENT,
                         "the example (computed again it is not there)", e);
}
