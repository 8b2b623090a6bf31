/* faulty_store.c - a machine's disk: a store whose every atomic step makes a new version; old ones stay, for restarts to find.
 *
 * Faults: a process dies in the middle of a commit, and the step is there or it is not, never half of it; what drop_below allows to go
 * lingers. I1 the keys of a version ascend strictly. I2 a commit's keys come in ascending order.
 */
#include "tests/sim/world.h"

struct aft_store_scan {
    const struct sim_version *v;
    size_t at;
};

static struct sim_disk *
disk_of(struct aft_store *s)
{
    return (struct sim_disk *)s; /* base is the first member */
}

void
sim_disk_put(struct sim_disk *d, const struct sim_version *v)
{
    struct sim_world *w = d->m->w;
    if (w->versions_n == w->versions_cap) {
        const struct sim_version **old = w->versions;
        w->versions_cap = w->versions_cap ? 2 * w->versions_cap : 64;
        w->versions = sim_take(w, w->versions_cap * sizeof(struct sim_version *));
        for (size_t i = 0; i < w->versions_n; i++)
            w->versions[i] = old[i];
    }
    w->versions[w->versions_n++] = v;
    d->now = v;
}

static struct sim_version *
version_of(struct sim_world *w, size_t room)
{
    struct sim_version *v = sim_take(w, sizeof *v);
    *v = (struct sim_version){sim_take(w, room * sizeof *v->v), 0};
    return v;
}

/* merged: the old version with these puts over it. */
static const struct sim_version *
merged(struct sim_world *w, const struct sim_version *old, const struct aft_put *puts, size_t n)
{
    struct sim_version *v = version_of(w, old->n + n);
    size_t i = 0;
    for (size_t k = 0; k < n; k++) {
        AFT_INVARIANT(I2, k == 0 || aft_compare(puts[k - 1].key, puts[k].key) < 0);
        while (i < old->n && aft_compare(old->v[i].key, puts[k].key) < 0)
            v->v[v->n++] = old->v[i++];
        if (i < old->n && aft_same(old->v[i].key, puts[k].key))
            i++;
        if (puts[k].value.p)
            v->v[v->n++] = (struct aft_put){sim_copy(w, puts[k].key), sim_copy(w, puts[k].value)};
    }
    while (i < old->n)
        v->v[v->n++] = old->v[i++];
    return v;
}

static enum aft_err
disk_commit(struct aft_store *s, const struct aft_put *puts, size_t n, struct aft_error *e)
{
    struct sim_disk *d = disk_of(s);
    struct sim_world *w = d->m->w;
    if (!sim_effect(d->m))
        return AFT_FAIL(e, AFT_E_IO, "the process is dead");
    bool torn = sim_chance(w, w->weather.tear), there = aft_random_below(&w->r, 2);
    if (!torn || there)
        sim_disk_put(d, merged(w, d->now, puts, n));
    sim_trace(w, "machine %d: commit, %zu puts%s", sim_number(d->m), n,
              !torn   ? ""
              : there ? ", there, and the process died"
                      : ", not there, and the process died");
    w->stats->commits += !torn;
    if (!torn)
        return AFT_OK;
    w->stats->torn_commits++;
    d->m->dead = true;
    return AFT_FAIL(e, AFT_E_IO, "the process died in the middle of a commit");
}

static size_t
place(const struct sim_version *v, struct aft_bytes key)
{
    size_t low = 0, high = v->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (aft_compare(v->v[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum aft_err
disk_get(struct aft_store *s, struct aft_bytes key, struct aft_buffer *out, bool *found,
         struct aft_error *e)
{
    const struct sim_version *v = disk_of(s)->now;
    size_t at = place(v, key);
    (void)e;
    *found = at < v->n && aft_same(v->v[at].key, key);
    if (*found)
        aft_put_raw(out, v->v[at].value);
    return AFT_OK;
}

static enum aft_err
disk_last(struct aft_store *s, struct aft_buffer *key, struct aft_buffer *value, bool *found,
          struct aft_error *e)
{
    const struct sim_version *v = disk_of(s)->now;
    (void)e;
    *found = v->n > 0;
    if (*found) {
        aft_put_raw(key, v->v[v->n - 1].key);
        aft_put_raw(value, v->v[v->n - 1].value);
    }
    return AFT_OK;
}

static enum aft_err
disk_scan_open(struct aft_store *s, struct aft_bytes from, struct aft_store_scan **out,
               struct aft_error *e)
{
    (void)e;
    *out = sim_take(disk_of(s)->m->w, sizeof **out);
    **out = (struct aft_store_scan){disk_of(s)->now, place(disk_of(s)->now, from)};
    return AFT_OK;
}

static enum aft_err
disk_scan_next(struct aft_store_scan *c, struct aft_put *out, bool *end, struct aft_error *e)
{
    (void)e;
    *end = c->at >= c->v->n;
    if (!*end)
        *out = c->v->v[c->at++];
    return AFT_OK;
}

static void
disk_scan_close(struct aft_store_scan *c)
{
    (void)c;
}

static enum aft_err
disk_drop_below(struct aft_store *s, struct aft_bytes key, struct aft_error *e)
{
    struct sim_disk *d = disk_of(s);
    size_t from = place(d->now, key);
    if (!sim_effect(d->m))
        return AFT_FAIL(e, AFT_E_IO, "the process is dead");
    if (from == 0 || sim_chance(d->m->w, 500))
        return AFT_OK;
    struct sim_version *v = version_of(d->m->w, d->now->n);
    while (from < d->now->n)
        v->v[v->n++] = d->now->v[from++];
    sim_disk_put(d, v);
    return AFT_OK;
}

static uint64_t
disk_bytes(struct aft_store *s)
{
    return disk_of(s)->now->n;
}

/* What a task never asks of its store (purge, checkpoint, close) is not there. */
static const struct aft_store_ops disk_ops = {
    .commit = disk_commit,
    .get = disk_get,
    .last = disk_last,
    .scan_open = disk_scan_open,
    .scan_next = disk_scan_next,
    .scan_close = disk_scan_close,
    .drop_below = disk_drop_below,
    .bytes = disk_bytes,
};

void
sim_disk_init(struct sim_disk *d, struct sim_machine *m)
{
    static const struct sim_version nothing = {NULL, 0};
    *d = (struct sim_disk){{&disk_ops}, m, &nothing};
}
