/* rounds.c - blocks of all partitions, as they are read -> the examples of a round, in the order (fire, partition, seq). One
 * thread.
 *
 *   block -> epoch older than the newest of its partition: dropped (a stale owner)
 *         -> examples below the next seq: dropped (duplicates); one above it: AFT_E_GAP
 *         -> the chain (XXH3-128 over each example's body, from the hash before) must end in the block's hash: else
 *         AFT_E_DIVERGENCE
 *   kept as bytes until their round; what arrives when changes nothing but memory.
 * Invariants: I1 a partition's entries are consecutive in seq, the last is next_seq - 1; I2 their bytes lie in its buffer in
 * order.
 */
#include <stdlib.h>

#include "learner/inner.h"

enum { ARENA_MAX = 64 << 20, ROSTER_MAX = 32 << 20 };

struct entry {
    int64_t fire_ms, offset; /* of the block */
    uint64_t seq;
    size_t at, n; /* bytes in the partition's buffer */
    struct aft_hash128 hash;
};

struct partition {
    int64_t epoch, next_offset;
    uint64_t next_seq;
    struct aft_hash128 hash;
    struct aft_buffer bytes;
    struct entry *entries;
    size_t first, n, cap; /* entries[first .. n) wait */
    struct aft_end learned;
};

struct place {
    int64_t fire_ms;
    uint32_t partition;
    size_t entry;
};

struct aft_rounds {
    struct partition *partitions;
    uint32_t n;
    struct aft_arena arena;
    struct aft_roster *roster; /* candidates are mostly those of the example before */
    struct place *order, *spare;
    size_t order_cap;
};

struct aft_rounds *
aft_rounds_new(uint32_t partitions)
{
    struct aft_rounds *r = calloc(1, sizeof *r);
    AFT_ASSERT(r && partitions > 0 && partitions <= AFT_PARTITIONS_MAX);
    r->partitions = calloc(partitions, sizeof *r->partitions);
    AFT_ASSERT(r->partitions);
    r->n = partitions;
    for (uint32_t p = 0; p < partitions; p++) {
        r->partitions[p].epoch = -1;
        r->partitions[p].learned.partition = (int32_t)p;
    }
    aft_arena_init(&r->arena, ARENA_MAX);
    r->roster = aft_roster_new(ROSTER_MAX);
    return r;
}

void
aft_rounds_free(struct aft_rounds *r)
{
    if (!r)
        return;
    for (uint32_t p = 0; p < r->n; p++) {
        aft_buffer_deinit(&r->partitions[p].bytes);
        free(r->partitions[p].entries);
    }
    aft_arena_deinit(&r->arena);
    aft_roster_free(r->roster);
    free(r->partitions);
    free(r->order);
    free(r->spare);
    free(r);
}

void
aft_rounds_seek(struct aft_rounds *r, const struct aft_end *end)
{
    AFT_ASSERT(end->partition >= 0 && (uint32_t)end->partition < r->n && end->next_seq >= 0);
    struct partition *p = &r->partitions[end->partition];
    p->first = p->n = 0;
    aft_buffer_reset(&p->bytes);
    p->next_seq = (uint64_t)end->next_seq;
    p->next_offset = end->next_offset;
    p->hash = end->hash;
    p->learned = *end;
}

/* ---- a block comes */
static void
keep(struct partition *p, const struct entry *x, struct aft_bytes body)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 256;
        p->entries = realloc(p->entries, p->cap * sizeof *p->entries);
        AFT_ASSERT(p->entries);
    }
    AFT_INVARIANT(I1, p->n == p->first || p->entries[p->n - 1].seq + 1 == x->seq);
    p->entries[p->n] = *x;
    p->entries[p->n++].at = p->bytes.n;
    aft_put_raw(&p->bytes, body);
}

static enum aft_err
diverged(const struct aft_block *b, int64_t offset, uint64_t seq, struct aft_error *e)
{
    return AFT_FAIL(
        e, AFT_E_DIVERGENCE,
        "examples partition %d offset %lld: the chain up to seq %llu is not the block's "
        "%016llx%016llx: replay from an earlier snapshot, or find out who else writes here",
        b->partition, (long long)offset, (unsigned long long)seq, (unsigned long long)b->hash.high,
        (unsigned long long)b->hash.low);
}

/* The examples of a block that are new; those below next_seq are skipped over. *hash: after the last. */
static enum aft_err
read_examples(struct aft_rounds *r, struct partition *p, const struct aft_block *b, int64_t offset,
              struct aft_hash128 *hash, struct aft_error *e)
{
    struct aft_reader in = aft_reader(b->examples);
    for (uint32_t i = 0; i < b->n; i++) {
        struct aft_example x;
        const uint8_t *start = in.p;
        aft_arena_reset(&r->arena);
        AFT_TRY(aft_decode_example_by(r->roster, &in, &r->arena, &x, e));
        if (x.seq != b->first_seq + i)
            return AFT_FAIL(e, AFT_E_GAP,
                            "examples partition %d offset %lld: seq %llu where the block says %llu",
                            b->partition, (long long)offset, (unsigned long long)x.seq,
                            (unsigned long long)(b->first_seq + i));
        if (x.seq < p->next_seq)
            continue;
        struct aft_bytes body = {start, (size_t)(in.p - start)};
        *hash = aft_hash128(body, *hash);
        struct entry entry = {x.fire_ms, offset, x.seq, 0, body.n, *hash};
        keep(p, &entry, body);
    }
    if (memcmp(hash, &b->hash, sizeof *hash) != 0)
        return diverged(b, offset, b->first_seq + b->n, e);
    return AFT_OK;
}

/* All of a block's new examples, or none. */
static enum aft_err
take_examples(struct aft_rounds *r, struct partition *p, const struct aft_block *b, int64_t offset,
              struct aft_error *e)
{
    if (p->first == p->n) {
        p->first = p->n = 0;
        aft_buffer_reset(&p->bytes);
    }
    struct aft_hash128 hash = p->hash;
    size_t bytes = p->bytes.n, entries = p->n;
    enum aft_err err = read_examples(r, p, b, offset, &hash, e);
    if (err != AFT_OK) {
        p->n = entries;
        p->bytes.n = bytes;
        return err;
    }
    p->hash = hash;
    p->next_seq = b->first_seq + b->n;
    return AFT_OK;
}

enum aft_err
aft_rounds_block(struct aft_rounds *r, int32_t partition, int64_t offset, struct aft_bytes body,
                 struct aft_error *e)
{
    struct aft_block b;
    AFT_TRY(aft_decode_block(body, &b, e));
    if (partition < 0 || (uint32_t)partition >= r->n || b.partition != partition)
        return AFT_FAIL(
            e, AFT_E_VALUE,
            "a block of partition %d came in partition %d of %u: the examples topic was "
            "written with other partitions",
            b.partition, partition, r->n);
    struct partition *p = &r->partitions[partition];
    uint64_t end = b.first_seq + b.n;
    if (b.epoch < p->epoch)
        return AFT_OK; /* next_offset stays: the record before it always says which epoch is in force */
    if (b.n && b.epoch > p->epoch && p->epoch >= 0)
        return AFT_FAIL(e, AFT_E_GAP,
                        "examples partition %d offset %lld: epoch %lld begins with seq %llu and "
                        "not with its empty block: a record is lost or was changed; replay",
                        partition, (long long)offset, (long long)b.epoch,
                        (unsigned long long)b.first_seq);
    if (b.n && b.first_seq > p->next_seq)
        return AFT_FAIL(e, AFT_E_GAP,
                        "examples partition %d offset %lld: expected seq %llu, the next is %llu: "
                        "examples are lost; check the topic's retention and replay",
                        partition, (long long)offset, (unsigned long long)p->next_seq,
                        (unsigned long long)b.first_seq);
    if (b.n && end == p->next_seq && memcmp(&b.hash, &p->hash, sizeof b.hash) != 0)
        return diverged(&b, offset, end, e);
    if (b.n && end > p->next_seq)
        AFT_TRY(take_examples(r, p, &b, offset, e));
    p->epoch = b.epoch;
    p->next_offset = offset + 1;
    return AFT_OK;
}

/* ---- rounds */
void
aft_rounds_ends(const struct aft_rounds *r, struct aft_end *ends)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct partition *p = &r->partitions[i];
        ends[i] = (struct aft_end){(int32_t)i, (int64_t)p->next_seq, p->next_offset, p->hash};
    }
}

void
aft_rounds_learned(const struct aft_rounds *r, struct aft_end *ends)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct partition *p = &r->partitions[i];
        ends[i] = p->learned;
        ends[i].next_offset = p->first < p->n ? p->entries[p->first].offset : p->next_offset;
    }
}

uint64_t
aft_rounds_pending(const struct aft_rounds *r)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += r->partitions[i].n - r->partitions[i].first;
    return n;
}

bool
aft_rounds_ready(const struct aft_rounds *r, const struct aft_end *ends, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        AFT_ASSERT(ends[i].partition >= 0 && (uint32_t)ends[i].partition < r->n);
        if (r->partitions[ends[i].partition].next_seq < (uint64_t)ends[i].next_seq)
            return false;
    }
    return true;
}

static bool
before(const struct place *a, const struct place *b)
{
    if (a->fire_ms != b->fire_ms)
        return a->fire_ms < b->fire_ms;
    return a->partition != b->partition ? a->partition < b->partition : a->entry < b->entry;
}

/* Bottom-up merge sort into *order. */
static void
sort(struct place **order, struct place **spare, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n;
            size_t high = low + 2 * width < n ? low + 2 * width : n, i = low, j = middle;
            for (size_t k = low; k < high; k++)
                (*spare)[k] = i < middle && (j == high || !before(&(*order)[j], &(*order)[i]))
                                  ? (*order)[i++]
                                  : (*order)[j++];
        }
        struct place *swap = *order;
        *order = *spare;
        *spare = swap;
    }
}

/* The entries of a partition that belong to the round. */
static size_t
collect_one(const struct partition *p, const struct aft_end *end, struct place *out)
{
    size_t n = 0;
    for (size_t k = p->first; k < p->n && p->entries[k].seq < (uint64_t)end->next_seq; k++)
        out[n++] = (struct place){p->entries[k].fire_ms, (uint32_t)end->partition, k};
    return n;
}

static size_t
collect(struct aft_rounds *r, const struct aft_end *ends, uint32_t n)
{
    size_t total = (size_t)aft_rounds_pending(r), count = 0;
    if (total > r->order_cap) {
        r->order_cap = 2 * total;
        r->order = realloc(r->order, r->order_cap * sizeof *r->order);
        r->spare = realloc(r->spare, r->order_cap * sizeof *r->spare);
        AFT_ASSERT(r->order && r->spare);
    }
    for (uint32_t i = 0; i < n; i++)
        count += collect_one(&r->partitions[ends[i].partition], &ends[i], r->order + count);
    AFT_ASSERT(count <= total);
    sort(&r->order, &r->spare, count);
    return count;
}

/* What was learned is forgotten; the place reached is remembered. */
static void
forget(struct partition *p, const struct aft_end *end)
{
    while (p->first < p->n && p->entries[p->first].seq < (uint64_t)end->next_seq) {
        const struct entry *x = &p->entries[p->first++];
        p->learned.next_seq = (int64_t)x->seq + 1;
        p->learned.hash = x->hash;
    }
    if (p->first > 4096 && p->first > p->n / 2) { /* the front is empty: move the rest up */
        size_t shift = p->first < p->n ? p->entries[p->first].at : p->bytes.n;
        memmove(p->bytes.p, p->bytes.p + shift, p->bytes.n - shift);
        p->bytes.n -= shift;
        memmove(p->entries, p->entries + p->first, (p->n - p->first) * sizeof *p->entries);
        p->n -= p->first;
        p->first = 0;
        for (size_t k = 0; k < p->n; k++)
            p->entries[k].at -= shift;
    }
}

/* ---- a learner of sums: partition by partition, each in its own order (fire, seq) */
struct share { /* one sharer's; nothing of it is another's */
    const struct aft_rounds *r;
    struct aft_learner *l;
    struct aft_arena arena;
    struct aft_roster *roster;
    struct place *order, *spare;
    size_t cap;
};

static enum aft_err
share_one(struct share *s, const struct aft_end *end, struct aft_error *e)
{
    const struct partition *p = &s->r->partitions[end->partition];
    if (p->n - p->first > s->cap) {
        s->cap = p->n - p->first;
        s->order = realloc(s->order, s->cap * sizeof *s->order);
        s->spare = realloc(s->spare, s->cap * sizeof *s->spare);
        AFT_ASSERT(s->order && s->spare);
    }
    size_t n = collect_one(p, end, s->order);
    sort(&s->order, &s->spare, n);
    for (size_t i = 0; i < n; i++) {
        const struct entry *x = &p->entries[s->order[i].entry];
        struct aft_reader in = aft_reader((struct aft_bytes){p->bytes.p + x->at, x->n});
        struct aft_example example;
        aft_arena_reset(&s->arena);
        AFT_TRY(aft_decode_example_by(s->roster, &in, &s->arena, &example, e));
        AFT_TRY(aft_learner_sum(s->l, (uint32_t)end->partition, &example, e));
    }
    return AFT_OK;
}

enum aft_err
aft_rounds_share(struct aft_rounds *r, const struct aft_end *ends, uint32_t n,
                 struct aft_learner *l, const struct aft_share *share, struct aft_error *e)
{
    struct share s = {.r = r, .l = l, .roster = aft_roster_new(ROSTER_MAX)};
    enum aft_err err = AFT_OK;
    AFT_ASSERT(share->number < share->of && aft_learner_sums(l));
    aft_arena_init(&s.arena, ARENA_MAX);
    for (uint32_t i = 0; i < n && err == AFT_OK; i++)
        if ((uint32_t)ends[i].partition % share->of == share->number)
            err = share_one(&s, &ends[i], e);
    aft_arena_deinit(&s.arena);
    aft_roster_free(s.roster);
    free(s.order);
    free(s.spare);
    return err;
}

void
aft_rounds_merged(struct aft_rounds *r, const struct aft_end *ends, uint32_t n,
                  struct aft_learner *l)
{
    aft_learner_merge(l);
    for (uint32_t i = 0; i < n; i++)
        forget(&r->partitions[ends[i].partition], &ends[i]);
    afti_health_round(l);
}

static enum aft_err
learn_all(struct aft_rounds *r, size_t count, struct aft_learner *l, struct aft_error *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct partition *p = &r->partitions[r->order[i].partition];
        const struct entry *x = &p->entries[r->order[i].entry];
        struct aft_reader in = aft_reader((struct aft_bytes){p->bytes.p + x->at, x->n});
        struct aft_example example;
        aft_arena_reset(&r->arena);
        AFT_TRY(aft_decode_example_by(r->roster, &in, &r->arena, &example, e));
        AFT_TRY(aft_learner_learn(l, &example, e));
    }
    return AFT_OK;
}

enum aft_err
aft_rounds_learn(struct aft_rounds *r, const struct aft_end *ends, uint32_t n,
                 struct aft_learner *l, struct aft_error *e)
{
    const struct aft_share all = {0, 1};
    if (!aft_rounds_ready(r, ends, n))
        return AFT_FAIL(e, AFT_E_AGAIN, "the examples of the round have not all been read yet");
    if (aft_learner_sums(l)) {
        AFT_TRY(aft_rounds_share(r, ends, n, l, &all, e));
        aft_rounds_merged(r, ends, n, l);
        return AFT_OK;
    }
    AFT_TRY(learn_all(r, collect(r, ends, n), l, e));
    for (uint32_t i = 0; i < n; i++)
        forget(&r->partitions[ends[i].partition], &ends[i]);
    afti_health_round(l);
    return AFT_OK;
}
