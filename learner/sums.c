/* sums.c - an additive model, by partition: learner.shards. In: each partition's examples, in their own order. Out, at the end of a
 * round: the model, merged by partition number.
 *
 *   part      of a partition: a learner whose ridge keeps A and b alone (without lambda), its own dictionaries, arms, scoreboard and
 *             counts: a function of the partition's examples, whoever sums them, in whatever process
 *   merge     for p = 0, 1, ..: new columns, arms and policies get their places in the order of the parts' own; then, block by block
 *             where a part changed,  A = lambda I + sum_p A_p   b = sum_p b_p   (rows and columns by their places), theta and inv(A)
 *             from them. A column that found no place of its own is in the reserved one of its hash, as in policy/linear.c
 * Counts, sums, arms and scoreboard are added up anew, in that order. So the whole is a function of the parts and of the ends of the
 * rounds before, which are data: one digest, however many share the work.
 * Threads: afti parts of different partitions may be used at a time; merge alone.
 * Invariant: I1 after a merge no block of any part is changed.
 */
#include <stdlib.h>

#include "learner/inner.h"

enum { LIMIT = AFT_LINEAR_COLUMNS - AFT_LINEAR_RESERVED };

bool
aft_learner_sums(const struct aft_learner *l)
{
    return l->parts != NULL;
}

struct aft_learner *
afti_part(struct aft_learner *l, uint32_t partition)
{
    AFT_ASSERT(l->parts && partition < AFT_PARTITIONS_MAX);
    if (!l->parts[partition]) {
        struct aft_learner *part = afti_learner_make(&l->settings);
        part->part = true;
        for (uint32_t i = 0; i < part->members_n; i++)
            part->members[i].ridge.sums = true;
        l->parts[partition] = part;
    }
    return l->parts[partition];
}

enum aft_err
aft_learner_sum(struct aft_learner *l, uint32_t partition, const struct aft_example *x,
                struct aft_error *e)
{
    return aft_learner_learn(afti_part(l, partition), x, e);
}

/* The next part from *p on, or NULL. */
static const struct aft_learner *
next_part(const struct aft_learner *l, uint32_t *p)
{
    while (*p < AFT_PARTITIONS_MAX)
        if (l->parts[(*p)++])
            return l->parts[*p - 1];
    return NULL;
}

/* ---- places */
static void
place_columns(struct aft_linear *to, const struct aft_dict *columns)
{
    for (uint32_t i = 0; i < columns->n && to->columns.n < LIMIT; i++)
        aft_dict_add(&to->columns, columns->keys[i]);
}

static void
place_blocks(struct aft_linear *to, const struct aft_linear *from)
{
    if (from->arms.n == 0 && from->blocks_n > to->blocks_n)
        aft_linear_add_block(to);
    for (uint32_t i = 0; i < from->arms.n; i++)
        if (aft_dict_add(&to->arms, from->arms.keys[i]) == to->blocks_n)
            aft_linear_add_block(to);
}

/* The part's block that is l's block `at`, or AFT_NOWHERE. */
static uint32_t
part_block(const struct aft_linear *to, const struct aft_linear *from, uint32_t at)
{
    if (to->arms.n)
        return aft_dict_find(&from->arms, to->arms.keys[at]);
    return at < from->blocks_n ? at : AFT_NOWHERE;
}

static void
map_columns(const struct aft_linear *to, const struct aft_linear *from, uint32_t *map)
{
    for (uint32_t i = 0; i < AFT_LINEAR_COLUMNS; i++)
        map[i] = i; /* the reserved ones */
    for (uint32_t i = 0; i < from->columns.n; i++) {
        uint32_t at = aft_dict_find(&to->columns, from->columns.keys[i]);
        map[i] = at != AFT_NOWHERE
                     ? at
                     : LIMIT + (uint32_t)(from->columns.keys[i] % AFT_LINEAR_RESERVED);
    }
}

/* ---- A and b */
static void
add_block(struct aft_ridge_block *to, const struct aft_ridge_block *from, uint32_t d,
          const uint32_t *map)
{
    for (uint32_t i = 0; i < d; i++) {
        const double *row = from->a + (size_t)i * from->stride;
        to->b[map[i]] += from->b[i];
        for (uint32_t j = 0; j <= i; j++) {
            bool below = map[i] >= map[j], met = map[i] == map[j] && i != j;
            uint32_t high = below ? map[i] : map[j], low = below ? map[j] : map[i];
            to->a[(size_t)high * to->stride + low] += met ? 2 * row[j] : row[j];
        }
    }
}

static void
empty(struct aft_ridge_block *b, double lambda)
{
    memset(b->a, 0, (size_t)b->stride * b->stride * sizeof *b->a);
    memset(b->b, 0, b->stride * sizeof *b->b);
    for (uint32_t i = 0; i < b->stride; i++)
        b->a[(size_t)i * b->stride + i] = lambda;
}

static bool
block_changed(const struct aft_learner *l, uint32_t at)
{
    const struct aft_linear *to = &l->table.weights.linear;
    const struct aft_learner *part;
    for (uint32_t p = 0; (part = next_part(l, &p)) != NULL;) {
        uint32_t k = part_block(to, &part->table.weights.linear, at);
        for (uint32_t m = 0; k != AFT_NOWHERE && m < l->members_n; m++)
            if (k < part->members[m].ridge.n && part->members[m].ridge.blocks[k].changed)
                return true;
    }
    return false;
}

static void
merge_block(struct aft_learner *l, uint32_t at)
{
    struct aft_linear *to = &l->table.weights.linear;
    const struct aft_learner *part;
    uint32_t map[AFT_LINEAR_COLUMNS];
    aft_linear_block_grow(to, at, aft_linear_columns(to));
    for (uint32_t m = 0; m < l->members_n; m++) {
        aft_ridge_match(&l->members[m].ridge, to);
        empty(&l->members[m].ridge.blocks[at], to->lambda);
    }
    for (uint32_t p = 0; (part = next_part(l, &p)) != NULL;) {
        const struct aft_linear *from = &part->table.weights.linear;
        uint32_t k = part_block(to, from, at);
        if (k == AFT_NOWHERE)
            continue;
        map_columns(to, from, map);
        for (uint32_t m = 0; m < l->members_n; m++)
            if (k < part->members[m].ridge.n)
                add_block(&l->members[m].ridge.blocks[at], &part->members[m].ridge.blocks[k],
                          aft_linear_block(from, k, m)->d, map);
    }
    for (uint32_t m = 0; m < l->members_n; m++)
        afti_ridge_refactor(aft_linear_block(to, at, m), &l->members[m].ridge.blocks[at],
                            to->lambda);
}

static void
mark(struct aft_learner *part, bool changed)
{
    for (uint32_t m = 0; m < part->members_n; m++)
        for (uint32_t k = 0; k < part->members[m].ridge.n; k++)
            part->members[m].ridge.blocks[k].changed = changed;
}

static void
merge_model(struct aft_learner *l)
{
    struct aft_linear *to = &l->table.weights.linear;
    const struct aft_learner *part;
    for (uint32_t p = 0; (part = next_part(l, &p)) != NULL;) {
        place_columns(to, &part->table.weights.linear.columns);
        place_blocks(to, &part->table.weights.linear);
    }
    for (uint32_t at = 0; at < to->blocks_n; at++)
        if (block_changed(l, at))
            merge_block(l, at);
    for (uint32_t p = 0; p < AFT_PARTITIONS_MAX; p++)
        if (l->parts[p])
            mark(l->parts[p], false); /* I1 */
}

/* ---- what is counted */
static void
add_counts(struct aft_learner *l, const struct aft_learner *part)
{
    for (int i = 0; i < AFTI_COUNTS; i++) {
        int64_t *to = &l->counts[i], from = part->counts[i];
        bool time = i == AFTI_EVENT_TIME || i == AFTI_FORGOTTEN_TO;
        *to = !time ? *to + from : from > *to ? from : *to;
    }
    for (int i = 0; i < AFTI_SUMS; i++)
        l->sums[i] += part->sums[i];
    for (uint32_t i = 0; i < AFT_HISTOGRAM; i++) {
        l->weights[i] += part->weights[i];
        l->rewards[i] += part->rewards[i];
    }
}

static void
add_arms(struct afti_arms *to, const struct afti_arms *from)
{
    for (uint32_t i = 0; i < from->index.n; i++) {
        const struct afti_arm *a = &from->v[i];
        uint32_t at = afti_arms_of(to, a->id, true, a->first_seen_ms);
        if (at != AFT_NOWHERE)
            afti_arm_add(&to->v[at], a);
    }
}

static void
add_scores(struct afti_scoreboard *to, const struct afti_scoreboard *from)
{
    for (uint32_t i = 0; i < from->n; i++) {
        const struct afti_policy *a = &from->v[i];
        struct afti_policy *p = afti_scoreboard_of(to, a->name);
        if (!p)
            continue;
        p->decisions += a->decisions;
        p->items += a->items;
        p->clicks += a->clicks;
        p->value += a->value;
        for (int j = 0; j < AFTI_CROSS; j++)
            p->cross[j] += a->cross[j];
    }
}

/* Everything that is counted, from nothing; arms and policies keep their places. */
static void
merge_counted(struct aft_learner *l)
{
    const struct aft_learner *part;
    int64_t time = l->counts[AFTI_EVENT_TIME];
    memset(l->counts, 0, sizeof l->counts);
    memset(l->sums, 0, sizeof l->sums);
    memset(l->weights, 0, sizeof l->weights);
    memset(l->rewards, 0, sizeof l->rewards);
    l->counts[AFTI_EVENT_TIME] = time;
    for (uint32_t i = 0; i < l->arms.index.n; i++)
        afti_arm_empty(&l->arms.v[i]);
    for (uint32_t i = 0; i < l->scoreboard.n; i++)
        l->scoreboard.v[i] = (struct afti_policy){.name = l->scoreboard.v[i].name};
    for (uint32_t p = 0; (part = next_part(l, &p)) != NULL;) {
        add_counts(l, part);
        add_arms(&l->arms, &part->arms);
        add_scores(&l->scoreboard, &part->scoreboard);
    }
}

void
aft_learner_merge(struct aft_learner *l)
{
    AFT_ASSERT(l->parts);
    merge_model(l);
    merge_counted(l);
}

enum aft_err
aft_learner_adopt(struct aft_learner *l, struct aft_learner *from, struct aft_error *e)
{
    AFT_ASSERT(l->parts && from->parts);
    if (memcmp(&l->configuration, &from->configuration, sizeof l->configuration) != 0)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "sums that were made under other features.* or learner.* settings cannot "
                        "be merged: sum all shares under the same");
    for (uint32_t p = 0; p < AFT_PARTITIONS_MAX; p++)
        if (l->parts[p] && from->parts[p])
            return AFT_FAIL(e, AFT_E_VALUE,
                            "partition %u is in two shares: its examples would count twice", p);
    for (uint32_t p = 0; p < AFT_PARTITIONS_MAX; p++) {
        if (!from->parts[p])
            continue;
        l->parts[p] = from->parts[p];
        from->parts[p] = NULL;
        mark(l->parts[p], true);
    }
    return AFT_OK;
}

/* ---- bytes: state.c */
static void
put_keys(struct aft_buffer *out, const struct aft_dict *d)
{
    aft_put_le32(out, d->n);
    for (uint32_t i = 0; i < d->n; i++)
        aft_put_le64(out, d->keys[i]);
}

void
afti_part_encode_places(const struct aft_learner *part, struct aft_buffer *out)
{
    const struct aft_linear *m = &part->table.weights.linear;
    put_keys(out, &m->columns);
    put_keys(out, &m->arms);
    aft_put_le32(out, m->blocks_n);
    for (uint32_t i = 0; i < m->blocks_n; i++)
        aft_put_le32(out, aft_linear_block(m, i, 0)->d);
}

static bool
get_keys(struct aft_reader *r, uint32_t most, struct aft_dict *d)
{
    uint32_t n;
    uint64_t key;
    if (!aft_get_le32(r, &n) || n > most || n > aft_left(r) / 8)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!aft_get_le64(r, &key) || aft_dict_add(d, key) != i)
            return false;
    return true;
}

bool
afti_part_decode_places(struct aft_learner *part, struct aft_reader *r)
{
    struct aft_linear *m = &part->table.weights.linear;
    uint32_t blocks, d;
    if (!get_keys(r, LIMIT, &m->columns) || !get_keys(r, UINT32_MAX, &m->arms) ||
        !aft_get_le32(r, &blocks) || (m->arms.n ? blocks != m->arms.n : blocks > 1))
        return false;
    for (uint32_t i = 0; i < blocks; i++) {
        if (!aft_get_le32(r, &d) || d > aft_linear_columns(m))
            return false;
        aft_linear_add_block(m);
        aft_linear_block_grow(m, i, d);
    }
    return true;
}
