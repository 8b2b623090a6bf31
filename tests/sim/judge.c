/* judge.c - what came out, against what should: one joiner over the whole logs and the ticks that count, in one go.
 *
 *   the examples that a reader takes = the joiner's, byte for byte, in order; each block's hash that of the chain up to its end
 *   the last owner's state and fates = the joiner's
 *   every outcome has one fate; the shares of every credited outcome add up to 1,000,000
 *   what the joiner or the decoder refuses stands among the dead letters with its bytes, and nothing else does
 */
#include "tests/sim/world.h"

/* What a reader of the examples takes for true. */
struct view {
    struct sim_world *w;
    struct aft_bytes *body;
    struct aft_hash128 *after; /* the chain's hash after each */
    uint64_t n, cap;
    int64_t newest;
    struct stale { /* what stale owners wrote, newest first */
        struct stale *next;
        uint64_t seq;
        struct aft_bytes body;
    } * stale;
};

static bool
same_hash(struct aft_hash128 a, struct aft_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

static void
view_add(struct view *x, struct aft_bytes body)
{
    if (x->n == x->cap) {
        struct view old = *x;
        x->cap = x->cap ? 2 * x->cap : 256;
        x->body = sim_take(x->w, x->cap * sizeof *x->body);
        x->after = sim_take(x->w, x->cap * sizeof *x->after);
        for (uint64_t i = 0; i < x->n; i++) {
            x->body[i] = old.body[i];
            x->after[i] = old.after[i];
        }
    }
    struct aft_hash128 before = x->n ? x->after[x->n - 1] : (struct aft_hash128){0, 0};
    x->body[x->n] = body;
    x->after[x->n++] = aft_hash128(body, before);
}

/* One example of a block; false when it cannot be. stale: it is looked at, and not taken. */
static bool
view_example(struct view *x, uint64_t seq, struct aft_bytes body, bool stale)
{
    struct sim_world *w = x->w;
    bool known = seq < x->n;
    if (stale) {
        struct stale *s = sim_take(w, sizeof *s);
        *s = (struct stale){x->stale, seq, body};
        x->stale = s;
        return true;
    }
    if (known && w->o.mutant != SIM_READER_DEDUPE) {
        w->stats->repeated++;
        if (!aft_same(body, x->body[seq]))
            sim_wrong(w, "example %llu was published twice, differently", (unsigned long long)seq);
    } else if (seq > x->n) {
        sim_wrong(w, "a gap: example %llu follows %llu", (unsigned long long)seq,
                  (unsigned long long)x->n);
    } else {
        view_add(x, body);
    }
    return !w->verdict->wrong;
}

static void
view_block(struct view *x, const struct aft_block *b, struct aft_arena *scratch)
{
    struct sim_world *w = x->w;
    struct aft_reader r = aft_reader(b->examples);
    bool stale = b->epoch < x->newest && w->o.mutant != SIM_READER_EPOCH;
    if (!stale)
        x->newest = b->epoch;
    w->stats->stale_blocks += stale;
    for (uint32_t i = 0; i < b->n; i++) {
        struct aft_example v;
        struct aft_error e;
        const uint8_t *from = r.p;
        aft_arena_reset(scratch);
        if (aft_decode_example(&r, scratch, &v, &e) != AFT_OK || v.seq != b->first_seq + i) {
            sim_wrong(w, "example %llu of a block cannot be read, or has another number",
                      (unsigned long long)(b->first_seq + i));
            return;
        }
        if (!view_example(x, v.seq, (struct aft_bytes){from, (size_t)(r.p - from)}, stale))
            return;
    }
    uint64_t end = b->first_seq + b->n;
    if (b->n && !stale && !same_hash(b->hash, x->after[end - 1]))
        sim_wrong(w, "the block that ends with example %llu carries a hash that is not the chain's",
                  (unsigned long long)(end - 1));
}

static void
view_read(struct view *x)
{
    struct sim_world *w = x->w;
    struct aft_arena scratch;
    aft_arena_init(&scratch, 16 << 20);
    for (size_t i = 0; i < w->topic[SIM_EXAMPLES].n && !w->verdict->wrong; i++) {
        struct aft_frame frame;
        struct aft_block block;
        struct aft_error e;
        if (aft_frame_parse(w->topic[SIM_EXAMPLES].v[i].value, &frame, &e) != AFT_OK ||
            aft_decode_block(frame.body, &block, &e) != AFT_OK)
            sim_wrong(w, "record %zu of the examples is no block: %s", i, e.message);
        else
            view_block(x, &block, &scratch);
    }
    aft_arena_deinit(&scratch);
}

/* How many of the stale examples would have been lies. */
static uint64_t
stale_wrong(const struct view *x)
{
    uint64_t n = 0;
    for (const struct stale *s = x->stale; s; s = s->next)
        n += s->seq < x->n && !aft_same(s->body, x->body[s->seq]);
    return n;
}

/* ---- one joiner over everything */
static enum aft_err
truth_example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
              struct aft_error *e)
{
    const struct view *x = ctx;
    (void)hash, (void)e;
    if (seq >= x->n)
        sim_wrong(x->w, "example %llu was never published", (unsigned long long)seq);
    else if (!aft_same(body, x->body[seq]))
        sim_wrong(x->w, "example %llu is not what the logs give", (unsigned long long)seq);
    return AFT_OK;
}

static void
truth_ticks(struct sim_world *w, struct aft_joiner *j)
{
    int64_t epoch = -1;
    for (size_t i = 0; i < w->topic[SIM_CLOCK].n; i++) {
        struct aft_frame frame;
        struct aft_clock_record r;
        struct aft_error e;
        if (aft_frame_parse(w->topic[SIM_CLOCK].v[i].value, &frame, &e) != AFT_OK ||
            aft_decode_clock(frame.body, &r, &e) != AFT_OK) {
            sim_wrong(w, "record %zu of the clock topic cannot be read: %s", i, e.message);
            return;
        }
        if (r.kind == AFT_CLOCK_EPOCH)
            epoch = (int64_t)i;
        else if (r.epoch == epoch)
            aft_joiner_tick(j, r.log, r.at_offset, r.watermark_ms);
        w->stats->ticks += r.kind == AFT_CLOCK_TICK;
        w->stats->stale_ticks += r.kind == AFT_CLOCK_TICK && r.epoch != epoch;
    }
}

static void
truth_log(struct sim_world *w, struct aft_joiner *j, enum aft_log_kind log)
{
    struct sim_log *topic = &w->topic[log == AFT_IMPRESSIONS ? SIM_IMPRESSIONS : SIM_OUTCOMES];
    for (size_t i = 0; i < topic->n; i++) {
        struct sim_record *r = &topic->v[i];
        struct aft_error e;
        r->rejected = r->unreadable || aft_joiner_take(j, log, (int64_t)i, r->timestamp_ms, r->key,
                                                       r->body, &e) != AFT_OK;
        aft_joiner_reached(j, log, (int64_t)i + 1);
    }
}

/* conserved: every outcome one fate, every credited one a million shares. */
static void
conserved(struct sim_world *w, const struct aft_join_counts *c)
{
    int64_t fates = c->counts.waiting;
#define X(name) fates += c->fates.name;
    AFT_FATES(X)
#undef X
    if (fates != c->outcomes)
        sim_wrong(w, "%lld outcomes have %lld fates", (long long)c->outcomes, (long long)fates);
    if (c->counts.credit_ppm != AFT_PPM * (c->fates.credited - c->counts.retracted))
        sim_wrong(w, "the shares of %lld credited outcomes add up to %lld",
                  (long long)(c->fates.credited - c->counts.retracted),
                  (long long)c->counts.credit_ppm);
}

static void
truth_compare(struct sim_world *w, struct aft_joiner *j, const struct view *x,
              const struct aft_task_status *last)
{
    struct aft_join_counts counts;
    struct aft_digest digest;
    aft_joiner_counts(j, &counts);
    aft_joiner_digest(j, &digest);
    if (x->n != (uint64_t)counts.examples || last->next_seq != x->n)
        sim_wrong(w, "%llu examples were published, the last owner counts %llu, the logs give %lld",
                  (unsigned long long)x->n, (unsigned long long)last->next_seq,
                  (long long)counts.examples);
    if (memcmp(&counts, &last->join, sizeof counts) != 0)
        sim_wrong(w, "the last owner counts other fates than the logs give");
    if (memcmp(&digest, &last->state, sizeof digest) != 0)
        sim_wrong(w, "the last owner's state is not what the logs give");
    conserved(w, &counts);
}

static void
truth(struct sim_world *w, struct view *x, const struct aft_task_status *last)
{
    struct aft_store *store = aft_store_mem_new();
    struct aft_join_identity id = {aft_config_text(w->config, "app.id"), 0};
    struct aft_join_out out = {x, truth_example};
    struct aft_joiner *j = NULL;
    struct aft_error e;
    enum aft_err err = aft_joiner_open(aft_config_join(w->config), &id, store, &out, &j, &e);
    if (err == AFT_OK) {
        truth_ticks(w, j);
        truth_log(w, j, AFT_IMPRESSIONS);
        truth_log(w, j, AFT_OUTCOMES);
        err = aft_joiner_run(j, &e);
    }
    if (err != AFT_OK)
        sim_wrong(w, "the judge's joiner fails: %s", e.message);
    else
        truth_compare(w, j, x, last);
    aft_joiner_close(j);
    store->ops->close(store);
}

/* ---- dead letters */
static struct aft_bytes
header(const struct sim_record *r, const char *name)
{
    for (uint32_t i = 0; i < r->headers_n; i++)
        if (aft_same(r->headers[i].name, aft_text(name)))
            return r->headers[i].value;
    return AFT_ABSENT;
}

static bool
same_or_null(struct aft_bytes a, struct aft_bytes b)
{
    return !a.p == !b.p && (!a.p || aft_same(a, b));
}

/* origin: the input record that a dead letter says it is; NULL when there is none. */
static struct sim_record *
origin(struct sim_world *w, const struct sim_record *dead)
{
    char number[24] = "";
    struct aft_bytes topic = header(dead, "aftertouch.topic"),
                     offset = header(dead, "aftertouch.offset");
    if (!topic.p || offset.n == 0 || offset.n >= sizeof number)
        return NULL;
    memcpy(number, offset.p, offset.n);
    size_t at = strtoull(number, NULL, 10);
    for (int t = SIM_IMPRESSIONS; t <= SIM_OUTCOMES; t++)
        if (aft_same(topic, aft_text(sim_topic_name(w, (enum sim_topic)t))))
            return at < w->topic[t].n ? &w->topic[t].v[at] : NULL;
    return NULL;
}

static void
dead_letters(struct sim_world *w)
{
    for (size_t i = 0; i < w->topic[SIM_DEAD].n; i++) {
        const struct sim_record *dead = &w->topic[SIM_DEAD].v[i];
        struct sim_record *r = origin(w, dead);
        if (!r || !r->rejected) {
            sim_wrong(w, "dead letter %zu is of no record that was refused", i);
            return;
        }
        if (!same_or_null(dead->key, r->key) || !same_or_null(dead->value, r->value) ||
            header(dead, "aftertouch.reason").n == 0 || header(dead, "aftertouch.detail").n == 0) {
            sim_wrong(w, "dead letter %zu has not its record's bytes, or no reason", i);
            return;
        }
        w->stats->dead++;
        w->stats->dead_repeated += r->dead;
        r->dead = true;
    }
    for (int t = SIM_IMPRESSIONS; t <= SIM_OUTCOMES; t++)
        for (size_t i = 0; i < w->topic[t].n; i++)
            if (w->topic[t].v[i].rejected && !w->topic[t].v[i].dead) {
                sim_wrong(w, "%s offset %zu was refused and is no dead letter",
                          sim_topic_name(w, (enum sim_topic)t), i);
                return;
            }
}

void
sim_judge(struct sim_world *w, const struct aft_task_status *last)
{
    struct view x = {.w = w, .newest = -1};
    view_read(&x);
    if (w->o.judging)
        w->o.judging(true);
    if (!w->verdict->wrong)
        truth(w, &x, last);
    if (w->o.judging)
        w->o.judging(false);
    if (!w->verdict->wrong)
        dead_letters(w);
    w->stats->examples += x.n;
    w->stats->stale_wrong += stale_wrong(&x);
}
