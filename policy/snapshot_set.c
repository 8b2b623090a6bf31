/* snapshot_set.c - which record of a snapshots topic is taken, which is refused and why, and what is served. One thread.
 *
 * The topic is compacted, written by whoever learns just now, and perhaps by somebody who should not. What a reader sees of it:
 *   T1  a set's key holds its round, and a set is a function of the journal: whoever publishes a round, publishes the same bytes under
 *       the same keys. So no record of a set ever takes the place of another one; compaction removes nothing but what a tombstone names.
 *   T2  a set's manifest is written after its parts, a pin's after its parts. (But a record that was written twice stands where it was
 *       written last, once compaction has run: a part may come behind the manifest that names it, a delta before its full set.)
 *   T3  tombstones for sets are written only after the manifest of a later full set is in the topic, tombstones for a pin's parts
 *       only after the next pin is.
 * Hence, wherever the topic ends when a reader comes to its end: the newest full set whose manifest stands before that end has no
 * tombstone before it (T3), so neither it nor a delta behind it lacks a part (T1, T2), though compaction may have run at any time. A
 * manifest that is true but whose parts, or parent, have not come waits for them.
 * Mixed writers: the one who was overtaken writes bytes that are the same (T1), or tombstones for what is older than a full set (T3).
 *
 * Invariants of the reader
 *   I1  rounds of the newest set only rise: a set that is not newer is refused (rollback protection)
 *   I2  a set is taken when all parts that its manifest names are here, by digest, and the manifest is what its digest says, and is
 *       signed where a key is set; a delta besides only when its parent is the newest set
 *   I3  serials of pins only rise; a pin is taken when the set within it is whole and true by I2, and is the one that it names
 *   I4  what is served is the pinned set, else the newest
 */
#include <stdlib.h>

#include "policy/snapshot_inner.h"

enum { ARENA_MAX = 64 << 20, WAITING_MAX = 256 };

struct waiting { /* a manifest, checked; a round of its own each; ascending */
    struct aft_buffer body;
    int64_t round;
};

struct aft_snapshot_set {
    struct afti_parts parts, pin_parts;
    struct waiting waiting[WAITING_MAX];
    uint32_t waiting_n;
    struct afti_chain *newest;
    struct aft_snapshot_set *pinned; /* holds the pinned chain; NULL: nothing is pinned */
    struct afti_link pin;            /* the last pin's records */
    struct aft_arena arena;
    struct aft_buffer model;
    bool has_key, no_pins, weights_only;
    uint8_t key[32];
    struct aft_snapshot_stats stats;
};

struct aft_snapshot_set *
aft_snapshot_set_new(void)
{
    struct aft_snapshot_set *s = calloc(1, sizeof *s);
    AFT_ASSERT(s);
    aft_arena_init(&s->arena, ARENA_MAX);
    return s;
}

void
aft_snapshot_set_free(struct aft_snapshot_set *s)
{
    if (!s)
        return;
    afti_parts_deinit(&s->parts);
    afti_parts_deinit(&s->pin_parts);
    for (uint32_t i = 0; i < s->waiting_n; i++)
        aft_buffer_deinit(&s->waiting[i].body);
    afti_chain_free(s->newest);
    aft_snapshot_set_free(s->pinned);
    afti_link_deinit(&s->pin);
    aft_arena_deinit(&s->arena);
    aft_buffer_deinit(&s->model);
    free(s);
}

void
aft_snapshot_set_key(struct aft_snapshot_set *s, const uint8_t public[32])
{
    memcpy(s->key, public, sizeof s->key);
    s->has_key = true;
}

void
aft_snapshot_set_no_pins(struct aft_snapshot_set *s)
{
    s->no_pins = true;
}

void
aft_snapshot_set_weights_only(struct aft_snapshot_set *s)
{
    AFT_ASSERT(!s->newest && !s->pinned);
    s->weights_only = true;
}

const char *
aft_snapshot_refusal_name(enum aft_snapshot_refusal r)
{
    static const char *const names[AFT_SNAPSHOT_REFUSALS] = {"malformed", "forged", "torn",
                                                             "old",       "orphan", "foreign"};
    return names[r];
}

/* REFUSE(s, why, e, code, ...) counts and fails. */
#define REFUSE(s, why, e, code, ...) ((s)->stats.refused[why]++, AFT_FAIL(e, code, __VA_ARGS__))

/* ---- what is here */
static const struct aft_snapshot_record *
newest(const struct aft_snapshot_set *s)
{
    return s->newest ? &s->newest->manifest : NULL;
}

const struct aft_snapshot_record *
aft_snapshot_set_newest(const struct aft_snapshot_set *s)
{
    return newest(s);
}

static const struct afti_chain *
served(const struct aft_snapshot_set *s)
{
    return s->pinned ? s->pinned->newest : s->newest;
}

const struct aft_snapshot_record *
aft_snapshot_set_manifest(const struct aft_snapshot_set *s)
{
    const struct afti_chain *c = served(s);
    return c ? &c->manifest : NULL;
}

struct aft_bytes
aft_snapshot_set_plane(const struct aft_snapshot_set *s, enum aft_plane plane)
{
    const struct afti_chain *c = served(s);
    AFT_ASSERT(plane == AFT_PLANE_WEIGHTS || plane == AFT_PLANE_LEARNER);
    return c ? aft_buffer_bytes(&c->image[plane]) : AFT_ABSENT;
}

void
aft_snapshot_set_stats(const struct aft_snapshot_set *s, struct aft_snapshot_stats *out)
{
    *out = s->stats;
    out->links = s->newest ? s->newest->n - 1 : 0;
    out->chain_bytes = s->newest ? s->newest->bytes : 0;
    out->pinned = s->pinned != NULL;
}

static enum aft_err
each_of(const struct afti_link *l, aft_snapshot_sink sink, void *ctx, struct aft_error *e)
{
    for (int32_t i = 0; l->bodies && i <= l->parts; i++)
        AFT_TRY(sink(ctx, aft_buffer_bytes(&l->bodies[i]), e));
    return AFT_OK;
}

enum aft_err
aft_snapshot_set_each(const struct aft_snapshot_set *s, aft_snapshot_sink sink, void *ctx,
                      struct aft_error *e)
{
    for (uint32_t i = 0; s->newest && i < s->newest->n; i++)
        AFT_TRY(each_of(&s->newest->links[i], sink, ctx, e));
    return each_of(&s->pin, sink, ctx, e);
}

/* ---- a manifest and its parts -> a link */
static enum aft_err
check_manifest(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct aft_error *e)
{
    const struct aft_manifest *f = &r->manifest;
    struct aft_digest sealed;
    if (r->part != r->parts || f->part_digests_n != (uint32_t)r->parts ||
        (r->parts == 0 && r->kind != AFT_SNAPSHOT_PIN))
        return REFUSE(s, AFT_SNAPSHOT_MALFORMED, e, AFT_E_MALFORMED,
                      "the manifest of round %lld does not name its %d parts", (long long)r->round,
                      r->parts);
    aft_manifest_seal(r, &sealed);
    if (memcmp(&sealed, &f->set_digest, sizeof sealed) != 0)
        return REFUSE(s, AFT_SNAPSHOT_FORGED, e, AFT_E_VALUE,
                      "the manifest of round %lld is not what its digest says",
                      (long long)r->round);
    struct aft_bytes message = {f->set_digest.b, sizeof f->set_digest.b};
    if (s->has_key && (!f->has_signature || !aft_verify(s->key, message, f->signature)))
        return REFUSE(s, AFT_SNAPSHOT_FORGED, e, AFT_E_VALUE,
                      "the %s of round %lld is not signed by the configured key",
                      r->kind == AFT_SNAPSHOT_PIN ? "pin" : "snapshot", (long long)r->round);
    return AFT_OK;
}

static enum aft_err
check_parts(struct aft_snapshot_set *s, const struct afti_parts *parts,
            const struct aft_snapshot_record *r, struct aft_error *e)
{
    for (int32_t i = 0; i < r->parts; i++)
        if (!afti_parts_find(parts, &r->manifest.part_digests[i]))
            return REFUSE(
                s, AFT_SNAPSHOT_TORN, e, AFT_E_VALUE,
                "round %lld is torn: part %d of %d, as the manifest names it, is not here",
                (long long)r->round, i, r->parts);
    return AFT_OK;
}

/* Takes the parts, which are all here. */
static struct afti_link
link_of(struct afti_parts *parts, const struct aft_snapshot_record *r, struct aft_bytes manifest)
{
    struct afti_link l = {.parts = r->parts};
    l.bodies = calloc((size_t)r->parts + 1, sizeof *l.bodies);
    AFT_ASSERT(l.bodies);
    for (int32_t i = 0; i < r->parts; i++) {
        struct afti_part *p = afti_parts_find(parts, &r->manifest.part_digests[i]);
        if (!p)
            continue; /* named twice: what is empty does not decode */
        l.bodies[i] = p->body;
        l.bytes += p->body.n;
        p->body = (struct aft_buffer){0};
    }
    aft_put_raw(&l.bodies[r->parts], manifest);
    l.bytes += manifest.n;
    return l;
}

/* ---- full and delta */
static enum aft_err
check_place(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct aft_error *e)
{
    const struct aft_snapshot_record *now = newest(s);
    if (now && r->round <= now->round)
        return REFUSE(s, AFT_SNAPSHOT_OLD, e, AFT_E_VALUE,
                      "round %lld is not newer than round %lld: not taken", (long long)r->round,
                      (long long)now->round);
    if (r->kind == AFT_SNAPSHOT_FULL)
        return AFT_OK;
    if (!now || !r->manifest.has_parent ||
        memcmp(&r->manifest.parent, &now->manifest.digest, sizeof now->manifest.digest) != 0)
        return REFUSE(s, AFT_SNAPSHOT_ORPHAN, e, AFT_E_VALUE,
                      "round %lld is a delta to a set that is not here: the next full one mends it",
                      (long long)r->round);
    return AFT_OK;
}

static enum aft_err
extend(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct afti_link *link,
       struct aft_error *e)
{
    bool full = r->kind == AFT_SNAPSHOT_FULL;
    int64_t before = s->newest ? s->newest->manifest.round : INT64_MIN;
    struct afti_chain *c = full ? afti_chain_new(s->weights_only) : s->newest;
    uint64_t bytes = link->bytes;
    AFT_ASSERT(c); /* a delta follows the newest */
    enum aft_err err = afti_chain_add(c, link, e);
    if (err != AFT_OK) {
        afti_link_deinit(link);
        if (full)
            afti_chain_free(c);
        s->stats.refused[AFT_SNAPSHOT_MALFORMED]++;
        return err;
    }
    if (full)
        afti_chain_free(s->newest);
    s->newest = c;
    s->stats.fulls += full;
    s->stats.deltas += !full;
    s->stats.bytes = bytes;
    AFT_INVARIANT(I1, s->newest->manifest.round > before);
    return AFT_OK;
}

/* ---- manifests that wait */
static void
forget_waiting(struct aft_snapshot_set *s, uint32_t i)
{
    aft_buffer_deinit(&s->waiting[i].body);
    memmove(&s->waiting[i], &s->waiting[i + 1], (--s->waiting_n - i) * sizeof s->waiting[0]);
}

static void
wait_for_parts(struct aft_snapshot_set *s, int64_t round, struct aft_bytes body)
{
    if (s->waiting_n == WAITING_MAX)
        forget_waiting(s, 0);
    uint32_t at = s->waiting_n;
    while (at > 0 && s->waiting[at - 1].round > round)
        at--;
    if (at == 0 || s->waiting[at - 1].round < round) {
        memmove(&s->waiting[at + 1], &s->waiting[at], (s->waiting_n++ - at) * sizeof s->waiting[0]);
        s->waiting[at] = (struct waiting){.round = round};
    } else {
        at--;
    }
    aft_buffer_reset(&s->waiting[at].body);
    aft_put_raw(&s->waiting[at].body, body);
}

static bool
waits(const struct aft_snapshot_set *s, int64_t round)
{
    for (uint32_t i = 0; i < s->waiting_n; i++)
        if (s->waiting[i].round == round)
            return true;
    return false;
}

/* Takes what can be taken now of the manifests that wait, in the order of their rounds; what that refuses was counted when it came. */
static bool
take_waiting(struct aft_snapshot_set *s)
{
    bool any = false;
    for (uint32_t i = 0; i < s->waiting_n;) {
        struct aft_snapshot_record r;
        struct aft_error e;
        struct aft_snapshot_stats before = s->stats;
        struct aft_bytes body = aft_buffer_bytes(&s->waiting[i].body);
        aft_arena_reset(&s->arena);
        if (newest(s) && s->waiting[i].round <= newest(s)->round) {
            forget_waiting(s, i);
        } else if (aft_decode_snapshot(body, &s->arena, &r, &e) != AFT_OK ||
                   check_place(s, &r, &e) != AFT_OK ||
                   check_parts(s, &s->parts, &r, &e) != AFT_OK) {
            s->stats = before;
            i++;
        } else {
            struct afti_link link = link_of(&s->parts, &r, body);
            any = extend(s, &r, &link, &e) == AFT_OK || any;
            forget_waiting(s, i);
        }
    }
    if (any)
        afti_parts_forget(&s->parts, newest(s)->round);
    return any;
}

static enum aft_err
take_set(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct aft_bytes body,
         bool *whole, struct aft_error *e)
{
    const struct aft_snapshot_record *now = newest(s);
    AFT_TRY(check_manifest(s, r, e));
    if (now && now->round == r->round &&
        memcmp(&now->manifest.set_digest, &r->manifest.set_digest, sizeof(struct aft_digest)) == 0)
        return AFT_OK; /* the same again */
    bool newer = !now || r->round > now->round;
    enum aft_err err = check_place(s, r, e);
    if (err == AFT_OK)
        err = check_parts(s, &s->parts, r, e);
    if (err != AFT_OK && newer)
        wait_for_parts(s, r->round, body);
    AFT_TRY(err);
    struct afti_link link = link_of(&s->parts, r, body);
    err = extend(s, r, &link, e);
    afti_parts_forget(&s->parts, s->newest ? s->newest->manifest.round : INT64_MIN);
    AFT_TRY(err);
    take_waiting(s);
    *whole = s->pinned == NULL;
    return AFT_OK;
}

/* ---- pins */
/* The set within a pin, whole and true (I3). */
static enum aft_err
unpack(struct aft_snapshot_set *s, const struct aft_snapshot_record *r,
       const struct afti_link *link, struct aft_snapshot_set *out, struct aft_error *e)
{
    for (int32_t i = 0; i < link->parts; i++) {
        struct aft_snapshot_record p;
        bool whole;
        AFT_TRY(aft_decode_snapshot(aft_buffer_bytes(&link->bodies[i]), &s->arena, &p, e));
        AFT_TRY(aft_snapshot_set_add(out, p.data, &whole, e));
    }
    const struct aft_snapshot_record *m = newest(out);
    if (!m || m->round != r->round || !aft_same(m->model, r->model) ||
        memcmp(&m->manifest.digest, &r->manifest.digest, sizeof m->manifest.digest) != 0)
        return AFT_FAIL(e, AFT_E_VALUE, "the pin of round %lld does not hold that set",
                        (long long)r->round);
    return AFT_OK;
}

static enum aft_err
pinned_of(struct aft_snapshot_set *s, const struct aft_snapshot_record *r,
          const struct afti_link *link, struct aft_snapshot_set **out, struct aft_error *e)
{
    *out = NULL;
    if (r->parts == 0)
        return AFT_OK;
    struct aft_snapshot_set *pinned = aft_snapshot_set_new();
    pinned->no_pins = true;
    pinned->weights_only = s->weights_only;
    if (s->has_key)
        aft_snapshot_set_key(pinned, s->key);
    enum aft_err err = unpack(s, r, link, pinned, e);
    if (err != AFT_OK) {
        aft_snapshot_set_free(pinned);
        s->stats.refused[AFT_SNAPSHOT_FORGED]++;
        return err;
    }
    *out = pinned;
    return AFT_OK;
}

static enum aft_err
take_pin(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct aft_bytes body,
         bool *whole, struct aft_error *e)
{
    int64_t serial = aft_pin_serial(r);
    struct aft_snapshot_set *pinned;
    AFT_TRY(check_manifest(s, r, e));
    if (s->pin.bodies && aft_same(body, aft_buffer_bytes(&s->pin.bodies[s->pin.parts])))
        return AFT_OK; /* the same again */
    if (serial <= s->stats.pin_serial)
        return REFUSE(s, AFT_SNAPSHOT_OLD, e, AFT_E_VALUE,
                      "pin %lld is not newer than pin %lld: not taken", (long long)serial,
                      (long long)s->stats.pin_serial);
    AFT_TRY(check_parts(s, &s->pin_parts, r, e));
    struct afti_link link = link_of(&s->pin_parts, r, body);
    enum aft_err err = pinned_of(s, r, &link, &pinned, e);
    afti_parts_forget(&s->pin_parts, INT64_MAX);
    if (err != AFT_OK) {
        afti_link_deinit(&link);
        return err;
    }
    bool was = s->pinned != NULL;
    aft_snapshot_set_free(s->pinned);
    afti_link_deinit(&s->pin);
    s->pinned = pinned;
    s->pin = link;
    s->stats.pins++;
    s->stats.pin_serial = serial;
    *whole = pinned || (was && s->newest);
    return AFT_OK;
}

/* ---- a record */
/* A part waits for its manifest. One of a round that is not newer can only be history, and is let go. */
static enum aft_err
keep_part(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct aft_bytes body,
          bool *whole, struct aft_error *e)
{
    const struct aft_snapshot_record *now = newest(s);
    if (r->part >= r->parts || r->plane == AFT_PLANE_MANIFEST)
        return REFUSE(s, AFT_SNAPSHOT_MALFORMED, e, AFT_E_MALFORMED,
                      "part %d of %d is not a part of a snapshot", r->part, r->parts);
    if (r->kind == AFT_SNAPSHOT_PIN)
        afti_parts_put(&s->pin_parts, r->round, body);
    else if (!now || r->round > now->round)
        afti_parts_put(&s->parts, r->round, body);
    if (waits(s, r->round) && take_waiting(s))
        *whole = s->pinned == NULL;
    return AFT_OK;
}

static enum aft_err
decode(struct aft_snapshot_set *s, struct aft_bytes body, struct aft_snapshot_record *r,
       struct aft_error *e)
{
    aft_arena_reset(&s->arena);
    enum aft_err err = aft_decode_snapshot(body, &s->arena, r, e);
    if (err != AFT_OK) {
        s->stats.refused[AFT_SNAPSHOT_MALFORMED]++;
        return err;
    }
    if (s->model.n && !aft_same(aft_buffer_bytes(&s->model), r->model))
        return REFUSE(s, AFT_SNAPSHOT_FOREIGN, e, AFT_E_VALUE,
                      "a record of model %.*s in the snapshots of model %.*s", (int)r->model.n,
                      (const char *)r->model.p, (int)s->model.n, (const char *)s->model.p);
    if (s->model.n == 0)
        aft_put_raw(&s->model, r->model);
    return AFT_OK;
}

enum aft_err
aft_snapshot_set_add(struct aft_snapshot_set *s, struct aft_bytes body, bool *whole,
                     struct aft_error *e)
{
    struct aft_snapshot_record r;
    *whole = false;
    AFT_TRY(decode(s, body, &r, e));
    if (r.kind == AFT_SNAPSHOT_PIN && s->no_pins)
        return AFT_OK;
    if (!r.has_manifest)
        return keep_part(s, &r, body, whole, e);
    return r.kind == AFT_SNAPSHOT_PIN ? take_pin(s, &r, body, whole, e)
                                      : take_set(s, &r, body, whole, e);
}
