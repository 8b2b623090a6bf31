/* snapshot_read.c - the snapshots topic, or a container file, -> what was published. In: records. Out: a history, sorted by round, as
 * compaction would leave it: the last record of each key, no tombstones. What cannot be read is said and passed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/snapshot.h"

#define BATCH 32u
#define WAIT_MS 1000

void
snapshot_history_free(struct snapshot_history *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        aft_buffer_deinit(&h->v[i].key);
        aft_buffer_deinit(&h->v[i].body);
    }
    free(h->v);
    free(h->rows);
    aft_dict_deinit(&h->keys);
    aft_decoder_free(h->decoder);
    aft_arena_deinit(&h->arena);
    aft_snapshot_set_free(h->serving);
}

/* ---- gathering */
static struct snapshot_record *
place_of(struct snapshot_history *h, struct aft_bytes key)
{
    uint32_t at = aft_dict_add(&h->keys, aft_hash64(key, 0));
    if (at < h->n)
        return &h->v[at];
    if (h->n == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 64;
        h->v = realloc(h->v, h->cap * sizeof *h->v);
        AFT_ASSERT(h->v != NULL);
    }
    h->v[h->n] = (struct snapshot_record){.offset = -1};
    aft_put_raw(&h->v[h->n].key, key);
    return &h->v[h->n++];
}

static enum aft_err
put_body(struct snapshot_history *h, struct aft_bytes key, struct aft_bytes body, int64_t offset,
         struct aft_error *e)
{
    struct aft_snapshot_record r;
    struct aft_error refused;
    bool whole;
    AFT_TRY(aft_decode_snapshot(body, &h->arena, &r, e));
    if (!aft_same(r.model, aft_text(h->model)))
        return AFT_OK;
    struct snapshot_record *p = place_of(h, key);
    aft_buffer_reset(&p->body);
    aft_put_raw(&p->body, body);
    p->offset = offset;
    p->round = r.round;
    p->kind = r.kind;
    p->part = r.part;
    p->manifest = r.has_manifest;
    p->bytes = (int64_t)body.n;
    if (aft_snapshot_set_add(h->serving, body, &whole, &refused) != AFT_OK)
        return AFT_OK; /* history in parts; what stands is told from the records */
    return AFT_OK;
}

static enum aft_err
put(struct snapshot_history *h, const struct aft_record_in *in, struct aft_error *e)
{
    struct aft_bytes body;
    size_t model = strlen(h->model);
    if (in->key.n <= model || memcmp(in->key.p, h->model, model) != 0 || in->key.p[model] != '/')
        return AFT_OK;
    if (!in->value.p) {
        struct snapshot_record *p = place_of(h, in->key);
        aft_buffer_reset(&p->body);
        p->offset = -1;
        return AFT_OK;
    }
    aft_arena_reset(&h->arena);
    AFT_TRY(aft_decoder_body(h->decoder, in->value, &h->arena, &body, e));
    return put_body(h, in->key, body, in->offset, e);
}

/* ---- in order */
static int
by_round(const void *a, const void *b)
{
    const struct snapshot_record *x = a, *y = b;
    bool px = x->kind == AFT_SNAPSHOT_PIN, py = y->kind == AFT_SNAPSHOT_PIN;
    if (px != py)
        return px - py;
    if (px)
        return (x->offset > y->offset) - (x->offset < y->offset);
    if (x->round != y->round)
        return x->round < y->round ? -1 : 1;
    return x->part - y->part;
}

static void
sort(struct snapshot_history *h)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].offset >= 0) {
            h->v[kept++] = h->v[i];
            continue;
        }
        aft_buffer_deinit(&h->v[i].key);
        aft_buffer_deinit(&h->v[i].body);
    }
    h->n = kept;
    if (h->n > 1)
        qsort(h->v, h->n, sizeof *h->v, by_round);
}

static struct aft_snapshot_set *
empty_set(const struct snapshot_history *h)
{
    struct aft_snapshot_set *s = aft_snapshot_set_new();
    if (h->has_key)
        aft_snapshot_set_key(s, h->public);
    return s;
}

/* Which manifests could be taken, one after the other. */
static void
judge(struct snapshot_history *h)
{
    struct aft_snapshot_set *s = empty_set(h);
    struct aft_error e;
    int64_t bytes = 0, round = -1;
    h->rows = calloc((size_t)h->n + 1, sizeof *h->rows);
    AFT_ASSERT(h->rows);
    for (uint32_t i = 0; i < h->n && h->v[i].kind != AFT_SNAPSHOT_PIN; i++) {
        bool whole = false;
        struct snapshot_record *r = &h->v[i];
        bytes = r->round == round ? bytes + r->bytes : r->bytes;
        round = r->round;
        enum aft_err err = aft_snapshot_set_add(s, aft_buffer_bytes(&r->body), &whole, &e);
        if (!r->manifest)
            continue;
        struct aft_snapshot_record m;
        aft_arena_reset(&h->arena);
        bool good = aft_decode_snapshot(aft_buffer_bytes(&r->body), &h->arena, &m, &e) == AFT_OK;
        struct snapshot_row row = {.record = i, .bytes = bytes, .whole = err == AFT_OK && whole};
        row.arms = row.whole ? aft_snapshot_set_newest(s)->manifest.arms_n
                   : good    ? m.manifest.arms_n
                             : 0;
        h->rows[h->rows_n++] = row;
    }
    aft_snapshot_set_free(s);
}

static enum aft_err
begin(struct snapshot_history *h, struct aft_error *e)
{
    aft_arena_init(&h->arena, 64u << 20);
    h->serving = empty_set(h);
    return aft_decoder_new(AFT_RECORD_SNAPSHOT, (struct aft_schema_port){0}, &h->decoder, e);
}

enum aft_err
snapshot_read(struct aft_log *log, const char *topic, struct snapshot_history *h,
              struct aft_error *e)
{
    struct aft_log_reader *reader;
    struct aft_record_in batch[BATCH];
    int64_t first, end;
    h->where = topic;
    AFT_TRY(begin(h, e));
    AFT_TRY(log->ops->range(log, topic, 0, &first, &end, e));
    AFT_TRY(log->ops->reader_open(log, topic, 0, first, &reader, e));
    enum aft_err err = AFT_OK;
    bool at_end = first == end;
    while (err == AFT_OK && !at_end) {
        uint32_t n = 0;
        err = log->ops->read(reader, batch, BATCH, WAIT_MS, &n, &at_end, e);
        for (uint32_t i = 0; err == AFT_OK && i < n; i++) {
            struct aft_error why;
            if (put(h, &batch[i], &why) != AFT_OK)
                aft_say("warn", "snapshot", "offset %lld: %s", (long long)batch[i].offset,
                        why.message);
        }
    }
    log->ops->reader_close(reader);
    AFT_TRY(err);
    sort(h);
    judge(h);
    return AFT_OK;
}

static enum aft_err
records_of_file(struct aft_file_reader *in, struct snapshot_history *h, struct aft_error *e)
{
    for (int64_t n = 0;; n++) {
        struct aft_file_record f;
        char key[32];
        bool end = false;
        AFT_TRY(aft_file_next(in, &f, &end, e));
        if (end)
            return AFT_OK;
        snprintf(key, sizeof key, "%lld", (long long)n);
        aft_arena_reset(&h->arena);
        AFT_TRY(put_body(h, aft_text(key), f.body, n, e));
    }
}

enum aft_err
snapshot_read_file(const char *path, struct snapshot_history *h, struct aft_error *e)
{
    struct aft_file_reader *in;
    h->where = path;
    h->file = true;
    AFT_TRY(begin(h, e));
    AFT_TRY(aft_file_open(path, AFT_RECORD_SNAPSHOT, false, &in, e));
    enum aft_err err = records_of_file(in, h, e);
    aft_file_close(in);
    AFT_TRY(err);
    if (h->n == 0)
        return AFT_FAIL(e, AFT_E_FAILED, "%s holds no snapshot of model %s (snapshot.model)", path,
                        h->model);
    sort(h);
    judge(h);
    return AFT_OK;
}

/* ---- one of them */
enum aft_err
snapshot_round(struct snapshot_history *h, const char *which, int64_t *round, struct aft_error *e)
{
    size_t n = strlen(which);
    uint32_t found = 0;
    char *end;
    long long number = strtoll(which, &end, 10);
    for (uint32_t i = 0; i < h->rows_n; i++) {
        const struct snapshot_record *r = &h->v[h->rows[i].record];
        struct aft_snapshot_record m;
        char digest[65];
        aft_arena_reset(&h->arena);
        AFT_TRY(aft_decode_snapshot(aft_buffer_bytes(&r->body), &h->arena, &m, e));
        aft_hex(m.manifest.digest.b, sizeof m.manifest.digest.b, digest);
        bool by_number = *end == '\0' && n > 0 && r->round == number;
        if (!by_number && !(n >= 8 && n <= 64 && memcmp(digest, which, n) == 0))
            continue;
        *round = r->round;
        found++;
    }
    if (found == 1)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_FAILED,
                    found ? "%s stands for more than one snapshot of model %s in %s: give its round"
                          : "there is no snapshot %s of model %s in %s (a round, or at least 8 "
                            "digits of a digest)%s",
                    which, h->model, h->where,
                    h->file ? "; without one, its newest is taken"
                            : "; see aftertouch snapshot list");
}

enum aft_err
snapshot_at(const struct snapshot_history *h, int64_t round, struct aft_snapshot_set **out,
            struct aft_error *e)
{
    struct aft_snapshot_set *s = empty_set(h);
    struct aft_error why = {.code = AFT_OK};
    for (uint32_t i = 0; i < h->n && h->v[i].kind != AFT_SNAPSHOT_PIN; i++) {
        bool whole;
        if (h->v[i].round > round)
            break;
        (void)!aft_snapshot_set_add(s, aft_buffer_bytes(&h->v[i].body), &whole, &why);
    }
    const struct aft_snapshot_record *m = aft_snapshot_set_newest(s);
    if (m && m->round == round) {
        *out = s;
        return AFT_OK;
    }
    aft_snapshot_set_free(s);
    return AFT_FAIL(e, AFT_E_FAILED,
                    "round %lld cannot be put together from what %s holds%s%s; %sexported file "
                    "would do (--file)",
                    (long long)round, h->where, why.code == AFT_OK ? "" : ": ",
                    why.code == AFT_OK ? "" : why.message, h->file ? "another " : "an ");
}
