/* demo_examples.c - the examples topic read back: what the learner saw, and what each policy got of it.
 *
 * I1 the examples of a partition are taken once each, in order of seq: what is written again is passed over, a gap is an error.
 * Sums are over settled examples: their reward is final. The demo's engine logs every impression, so each counts once. A user is a
 * cluster; his sums are kept by the hash of his id.
 * One thread. */
#include <stdlib.h>
#include <string.h>

#include "cmd/demo.h"

enum { BATCH = 16, ARENA_MAX = 16 << 20 };

struct user {
    uint64_t hash;
    uint64_t decisions, tiles;
    double clicks, value;
    int policy;
};

struct demo_examples {
    struct aft_log *log;
    int32_t partitions;
    struct aft_log_reader *readers[DEMO_PARTITIONS_MAX];
    uint64_t next_seq[DEMO_PARTITIONS_MAX];
    int64_t epoch[DEMO_PARTITIONS_MAX];
    struct aft_hash128 hash[DEMO_PARTITIONS_MAX];
    struct aft_decoder *decoder;
    struct aft_arena arena, bodies;
    uint64_t settled;
    struct demo_sums policies[DEMO_POLICIES], messages[DEMO_POLICIES][AFT_WORLD_MESSAGES];
    struct user *users;
    size_t users_n, users_cap;
};

enum aft_err
demo_examples_open(struct aft_log *log, const char *topic, int32_t partitions,
                   struct demo_examples **out, struct aft_error *e)
{
    struct demo_examples *x = calloc(1, sizeof *x);
    AFT_ASSERT(x != NULL && partitions <= DEMO_PARTITIONS_MAX);
    x->log = log;
    x->partitions = partitions;
    aft_arena_init(&x->arena, ARENA_MAX);
    aft_arena_init(&x->bodies, ARENA_MAX);
    enum aft_err err =
        aft_decoder_new(AFT_RECORD_EXAMPLE_BLOCK, (struct aft_schema_port){0}, &x->decoder, e);
    for (int32_t p = 0; p < partitions && err == AFT_OK; p++) {
        x->epoch[p] = -1;
        err = log->ops->reader_open(log, topic, p, 0, &x->readers[p], e);
    }
    if (err != AFT_OK) {
        demo_examples_close(x);
        return err;
    }
    *out = x;
    return AFT_OK;
}

void
demo_examples_detach(struct demo_examples *x)
{
    for (int32_t p = 0; x && p < x->partitions; p++) {
        if (x->readers[p])
            x->log->ops->reader_close(x->readers[p]);
        x->readers[p] = NULL;
    }
}

void
demo_examples_close(struct demo_examples *x)
{
    if (!x)
        return;
    demo_examples_detach(x);
    aft_decoder_free(x->decoder);
    aft_arena_deinit(&x->arena);
    aft_arena_deinit(&x->bodies);
    free(x->users);
    free(x);
}

/* ---- users: open addressing by hash */
static struct user *
place_of(struct user *v, size_t cap, uint64_t hash)
{
    size_t i = (size_t)hash & (cap - 1);
    while (v[i].hash && v[i].hash != hash)
        i = (i + 1) & (cap - 1);
    return &v[i];
}

static struct user *
user_of(struct demo_examples *x, struct aft_bytes id)
{
    if (2 * (x->users_n + 1) > x->users_cap) {
        size_t cap = x->users_cap ? 2 * x->users_cap : 4096;
        struct user *v = calloc(cap, sizeof *v);
        AFT_ASSERT(v != NULL);
        for (size_t i = 0; i < x->users_cap; i++)
            if (x->users[i].hash)
                *place_of(v, cap, x->users[i].hash) = x->users[i];
        free(x->users);
        x->users = v;
        x->users_cap = cap;
    }
    uint64_t hash = aft_hash64(id, 0) | 1;
    struct user *u = place_of(x->users, x->users_cap, hash);
    x->users_n += u->hash == 0;
    u->hash = hash;
    return u;
}

/* ---- one settled example */
static double
component(const struct aft_example_item *item, const char *kind)
{
    for (uint32_t i = 0; i < item->components_n; i++)
        if (aft_same(item->components[i].kind, aft_text(kind)))
            return (double)item->components[i].micro / AFT_MICRO;
    return 0;
}

static int
message_of(struct aft_bytes arm)
{
    for (uint32_t i = 0; i < AFT_WORLD_MESSAGES; i++)
        if (aft_same(arm, aft_text(aft_world_message(i))))
            return (int)i;
    return -1;
}

static void
add(struct demo_sums *s, const struct aft_example_item *item)
{
    s->tiles++;
    s->clicks += component(item, "click");
    s->views += component(item, "qualified_view_benefit");
    s->tasks += component(item, "key_task_completed");
    s->value += (double)item->reward_micro / AFT_MICRO;
}

static void
take_settled(struct demo_examples *x, const struct aft_example *s)
{
    bool baseline = aft_same(s->policy, aft_text(demo_policy_names[DEMO_BASELINE]));
    int policy = baseline ? DEMO_BASELINE : DEMO_PERSONALISED;
    struct user *u = user_of(x, s->user_id);
    struct demo_sums before = x->policies[policy];
    x->settled++;
    x->policies[policy].decisions++;
    for (uint32_t i = 0; i < s->items_n; i++) {
        int m = message_of(s->items[i].arm_id);
        add(&x->policies[policy], &s->items[i]);
        if (m >= 0)
            add(&x->messages[policy][m], &s->items[i]);
    }
    u->policy = policy;
    u->decisions++;
    u->tiles += s->items_n;
    u->clicks += x->policies[policy].clicks - before.clicks;
    u->value += x->policies[policy].value - before.value;
}

/* ---- blocks */
static enum aft_err
take_block(struct demo_examples *x, int32_t p, struct aft_bytes body, struct aft_error *e)
{
    struct aft_block block;
    AFT_TRY(aft_decode_block(body, &block, e));
    if (block.epoch < x->epoch[p])
        return AFT_OK; /* of an owner that had been replaced */
    x->epoch[p] = block.epoch;
    struct aft_reader r = aft_reader(block.examples);
    for (uint32_t i = 0; i < block.n; i++) {
        struct aft_example s;
        aft_arena_reset(&x->arena);
        AFT_TRY(aft_decode_example(&r, &x->arena, &s, e));
        if (s.seq < x->next_seq[p])
            continue;
        if (s.seq > x->next_seq[p])
            return AFT_FAIL(e, AFT_E_GAP, "examples partition %d: seq %llu comes where %llu should",
                            p, (unsigned long long)s.seq, (unsigned long long)x->next_seq[p]);
        x->next_seq[p]++;
        if (s.phase == AFT_SETTLE)
            take_settled(x, &s);
    }
    if (block.first_seq + block.n == x->next_seq[p])
        x->hash[p] = block.hash;
    return AFT_OK;
}

static enum aft_err
take_value(struct demo_examples *x, int32_t p, struct aft_bytes value, struct aft_error *e)
{
    struct aft_bytes body;
    aft_arena_reset(&x->bodies);
    AFT_TRY(aft_decoder_body(x->decoder, value, &x->bodies, &body, e));
    return take_block(x, p, body, e);
}

static enum aft_err
read_partition(struct demo_examples *x, int32_t p, int timeout_ms, struct aft_error *e)
{
    struct aft_record_in records[BATCH];
    bool at_end = false;
    uint32_t n = 1;
    while (n > 0 && !at_end) {
        AFT_TRY(x->log->ops->read(x->readers[p], records, BATCH, timeout_ms, &n, &at_end, e));
        for (uint32_t i = 0; i < n; i++)
            AFT_TRY(take_value(x, p, records[i].value, e));
    }
    return AFT_OK;
}

enum aft_err
demo_examples_read(struct demo_examples *x, int timeout_ms, struct aft_error *e)
{
    for (int32_t p = 0; p < x->partitions; p++)
        AFT_TRY(read_partition(x, p, timeout_ms, e));
    return AFT_OK;
}

/* ---- looking */
bool
demo_examples_owned(const struct demo_examples *x)
{
    for (int32_t p = 0; p < x->partitions; p++)
        if (x->epoch[p] < 0)
            return false;
    return true;
}

uint64_t
demo_examples_settled(const struct demo_examples *x)
{
    return x->settled;
}

uint64_t
demo_examples_seq(const struct demo_examples *x, int32_t partition)
{
    return x->next_seq[partition];
}

struct aft_hash128
demo_examples_hash(const struct demo_examples *x, int32_t partition)
{
    return x->hash[partition];
}

const struct demo_sums *
demo_examples_of(const struct demo_examples *x, int policy)
{
    return &x->policies[policy];
}

const struct demo_sums *
demo_examples_message(const struct demo_examples *x, int policy, uint32_t i)
{
    return &x->messages[policy][i];
}

void
demo_examples_ratios(const struct demo_examples *x, struct aft_ratio ctr[DEMO_POLICIES],
                     struct aft_ratio value[DEMO_POLICIES])
{
    memset(ctr, 0, sizeof *ctr * DEMO_POLICIES);
    memset(value, 0, sizeof *value * DEMO_POLICIES);
    for (size_t i = 0; i < x->users_cap; i++) {
        const struct user *u = &x->users[i];
        if (!u->hash)
            continue;
        aft_ratio_add(&ctr[u->policy], u->clicks, (double)u->tiles);
        aft_ratio_add(&value[u->policy], u->value, (double)u->decisions);
    }
}
