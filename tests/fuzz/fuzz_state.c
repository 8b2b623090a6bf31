/* fuzz_state.c - a state directory whose bytes are not what was written: the joiner's own state of a random case, changed as the input says,
 * is opened, and where that works, the rest of the case is joined on it. It is refused as corrupt, in words, or it goes on.
 * Input: case u8 | edits of (put u8, offset le16, value u8). An edit sets a byte of a segment's value, or, for a commit record, one of
 * its numbers, sealed again: checksums keep chance out, not a hostile hand. */
#include <stdlib.h>

#include "tests/join_cases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CASES = 8, PUTS = 64 };

struct row {
    struct aft_bytes key;
    uint8_t *p;
    size_t n;
};

struct stored {
    struct join_case of;
    struct row rows[PUTS];
    size_t n, taken[2];
};

static enum aft_err
example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash, (void)e;
    return AFT_OK;
}

static const struct aft_join_out out = {.example = example};
static const struct aft_join_identity identity = {"fuzz", 0};

static uint8_t *
copied(const uint8_t *from, size_t n)
{
    uint8_t *p = malloc(n + 1);
    AFT_ASSERT(p);
    memcpy(p, from, n);
    return p;
}

static void
dump(struct aft_store *store, struct stored *s)
{
    struct aft_store_scan *scan;
    struct aft_error e;
    struct aft_put put;
    bool end = false;
    AFT_ASSERT(store->ops->scan_open(store, AFT_LITERAL("\0"), &scan, &e) == AFT_OK);
    for (;;) {
        AFT_ASSERT(store->ops->scan_next(scan, &put, &end, &e) == AFT_OK);
        if (end)
            break;
        AFT_ASSERT(s->n < PUTS);
        s->rows[s->n++] = (struct row){.key = {copied(put.key.p, put.key.n), put.key.n},
                                       .p = copied(put.value.p, put.value.n),
                                       .n = put.value.n};
    }
    store->ops->scan_close(scan);
}

/* Records from..to (in tenths) of both logs. */
static enum aft_err
feed(struct aft_joiner *j, const struct join_case *c, size_t taken[2], size_t tenths)
{
    struct aft_error e;
    for (int log = 0; log < 2; log++)
        for (; taken[log] < c->n[log] * tenths / 10; taken[log]++) {
            const struct case_record *r = &c->log[log][taken[log]];
            struct aft_bytes body = r->erase ? AFT_ABSENT : (struct aft_bytes){r->body, r->body_n};
            struct aft_join_resume resume;
            aft_joiner_resume(j, &resume);
            if ((int64_t)taken[log] < resume.next_offset[log])
                continue;
            enum aft_err err = aft_joiner_take(j, (enum aft_log_kind)log, (int64_t)taken[log],
                                               r->arrival, aft_text(r->user), body, &e);
            if (err != AFT_OK && aft_err_class(err) != AFT_CLASS_DATA)
                return err;
        }
    return aft_joiner_run(j, &e);
}

static void
make(struct stored *s, uint64_t seed)
{
    struct aft_store *store = aft_store_mem_new();
    struct aft_joiner *j;
    struct aft_error e;
    uint64_t seq;
    case_make(&s->of, seed);
    s->of.config.open_max = 5000;
    AFT_ASSERT(aft_joiner_open(&s->of.config, &identity, store, &out, &j, &e) == AFT_OK);
    for (size_t tenths = 3; tenths <= 6; tenths += 3) {
        AFT_ASSERT(feed(j, &s->of, s->taken, tenths) == AFT_OK);
        aft_joiner_cut(j, AFT_LITERAL("rider"), &seq);
        AFT_ASSERT(aft_joiner_commit(j, &e) == AFT_OK);
    }
    aft_joiner_close(j);
    dump(store, s);
    store->ops->close(store);
}

/* One of the commit record's numbers, by the edit; sealed by encoding it anew. */
static void
edit_commit(struct row *row, uint32_t which, uint8_t by)
{
    struct aft_commit_record c;
    struct aft_buffer b = {0};
    struct aft_error e;
    if (aft_commit_decode((struct aft_bytes){row->p, row->n}, &c, &e) != AFT_OK)
        return; /* an edit before this one made it impossible */
    int64_t step = (int8_t)by * (INT64_C(1) << which / 16 % 48);
    int64_t *numbers[] = {&c.logs[0].next_offset, &c.logs[1].next_offset,
                          &c.logs[0].most_ms,     &c.logs[1].most_ms,
                          &c.logs[0].tick_ms,     &c.place_e,
                          &c.place_offset,        &c.fired_ms,
                          &c.counts[by % 8]};
    uint64_t *unsigneds[] = {&c.seq, &c.first_segment, &c.last_segment};
    if (which % 16 < 9)
        *numbers[which % 16] = (int64_t)((uint64_t)*numbers[which % 16] + (uint64_t)step);
    else if (which % 16 < 12)
        *unsigneds[which % 16 - 9] += (uint64_t)step;
    else
        c.place_log = by & 1;
    aft_commit_encode(&b, &c);
    uint8_t *sealed = copied(b.p, b.n);
    free(row->p);
    row->p = sealed;
    row->n = b.n;
    aft_buffer_deinit(&b);
}

static void
edit(struct row *rows, size_t n, const uint8_t *how)
{
    struct row *row = &rows[how[0] % n];
    uint32_t at = how[1] | (uint32_t)how[2] << 8;
    if (row->key.p[AFT_KEY_BYTES - 1] == AFT_KEY_COMMIT)
        edit_commit(row, at, how[3]);
    else if (row->n)
        row->p[at % row->n] = how[3];
}

static void
go_on(struct aft_store *store, const struct stored *s)
{
    struct aft_joiner *j;
    struct aft_error e = {0};
    struct aft_digest digest;
    size_t taken[2] = {0, 0};
    enum aft_err err = aft_joiner_open(&s->of.config, &identity, store, &out, &j, &e);
    AFT_ASSERT(err == AFT_OK || e.message[0] != '\0');
    if (err != AFT_OK)
        return;
    aft_joiner_digest(j, &digest);
    err = feed(j, &s->of, taken, 10);
    AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_FATAL);
    aft_joiner_close(j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stored cases[CASES]; /* made once, kept for the next inputs */
    if (size == 0)
        return 0;
    struct stored *s = &cases[data[0] % CASES];
    if (s->n == 0)
        make(s, 1 + data[0] % CASES);
    struct row rows[PUTS];
    struct aft_put puts[PUTS];
    for (size_t i = 0; i < s->n; i++) {
        rows[i] = s->rows[i];
        rows[i].p = copied(rows[i].p, rows[i].n);
    }
    for (size_t at = 1; at + 4 <= size && s->n; at += 4)
        edit(rows, s->n, data + at);
    for (size_t i = 0; i < s->n; i++)
        puts[i] = (struct aft_put){rows[i].key, {rows[i].p, rows[i].n}};
    struct aft_store *store = aft_store_mem_new();
    struct aft_error e;
    AFT_ASSERT(store->ops->commit(store, puts, s->n, &e) == AFT_OK);
    go_on(store, s);
    store->ops->close(store);
    for (size_t i = 0; i < s->n; i++)
        free(rows[i].p);
    return 0;
}
