/* store_mem.c - a store in memory: keys in one sorted array. For tests and for offline files; gone when closed. One thread.
 * Keys only grow, so that a put is nearly always an append; anything else moves the tail of the array.
 * Invariant: I1 keys ascend strictly. */
#include <stdlib.h>

#include "state/state.h"

struct entry {
    struct aft_buffer key, value;
};
struct mem {
    struct aft_store base;
    struct entry *v;
    size_t n, cap;
};
struct aft_store_scan {
    const struct mem *m;
    size_t at;
};

static struct mem *
mem_of(struct aft_store *s)
{
    return (struct mem *)s;
}

/* place returns the first entry whose key is not below `key`. */
static size_t
place(const struct mem *m, struct aft_bytes key)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (aft_compare(aft_buffer_bytes(&m->v[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
is_at(const struct mem *m, size_t at, struct aft_bytes key)
{
    return at < m->n && aft_same(aft_buffer_bytes(&m->v[at].key), key);
}

static void
take_out(struct mem *m, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        aft_buffer_deinit(&m->v[i].key);
        aft_buffer_deinit(&m->v[i].value);
    }
    if (to < m->n)
        memmove(m->v + from, m->v + to, (m->n - to) * sizeof *m->v);
    m->n -= to - from;
}

static void
put(struct mem *m, const struct aft_put *p)
{
    size_t at = place(m, p->key);
    if (!p->value.p) {
        if (is_at(m, at, p->key))
            take_out(m, at, at + 1);
        return;
    }
    if (!is_at(m, at, p->key)) {
        if (m->n == m->cap) {
            m->cap = m->cap ? m->cap * 2 : 64;
            m->v = realloc(m->v, m->cap * sizeof *m->v);
            AFT_ASSERT(m->v != NULL);
        }
        memmove(m->v + at + 1, m->v + at, (m->n - at) * sizeof *m->v);
        m->v[at] = (struct entry){0};
        m->n++;
        aft_put_raw(&m->v[at].key, p->key);
    }
    aft_buffer_reset(&m->v[at].value);
    aft_put_raw(&m->v[at].value, p->value);
}

static enum aft_err
mem_commit(struct aft_store *s, const struct aft_put *puts, size_t n, struct aft_error *e)
{
    (void)e;
    for (size_t i = 0; i < n; i++)
        put(mem_of(s), &puts[i]);
    return AFT_OK;
}

static enum aft_err
mem_get(struct aft_store *s, struct aft_bytes key, struct aft_buffer *out, bool *found,
        struct aft_error *e)
{
    (void)e;
    const struct mem *m = mem_of(s);
    size_t at = place(m, key);
    *found = is_at(m, at, key);
    if (*found)
        aft_put_raw(out, aft_buffer_bytes(&m->v[at].value));
    return AFT_OK;
}

static enum aft_err
mem_last(struct aft_store *s, struct aft_buffer *key, struct aft_buffer *value, bool *found,
         struct aft_error *e)
{
    (void)e;
    const struct mem *m = mem_of(s);
    *found = m->n > 0;
    if (*found) {
        aft_put_raw(key, aft_buffer_bytes(&m->v[m->n - 1].key));
        aft_put_raw(value, aft_buffer_bytes(&m->v[m->n - 1].value));
    }
    return AFT_OK;
}

static enum aft_err
mem_scan_open(struct aft_store *s, struct aft_bytes from, struct aft_store_scan **out,
              struct aft_error *e)
{
    (void)e;
    struct aft_store_scan *c = malloc(sizeof *c);
    AFT_ASSERT(c != NULL);
    *c = (struct aft_store_scan){mem_of(s), place(mem_of(s), from)};
    *out = c;
    return AFT_OK;
}

static enum aft_err
mem_scan_next(struct aft_store_scan *c, struct aft_put *out, bool *end, struct aft_error *e)
{
    (void)e;
    *end = c->at >= c->m->n;
    if (!*end) {
        const struct entry *v = &c->m->v[c->at++];
        *out = (struct aft_put){aft_buffer_bytes(&v->key), aft_buffer_bytes(&v->value)};
    }
    return AFT_OK;
}

static void
mem_scan_close(struct aft_store_scan *c)
{
    free(c);
}

static enum aft_err
mem_drop_below(struct aft_store *s, struct aft_bytes key, struct aft_error *e)
{
    (void)e;
    size_t n = place(mem_of(s), key);
    if (n)
        take_out(mem_of(s), 0, n);
    return AFT_OK;
}

static enum aft_err
mem_purge(struct aft_store *s, struct aft_error *e)
{
    (void)s;
    (void)e;
    return AFT_OK;
}

static enum aft_err
mem_checkpoint(struct aft_store *s, const char *directory, struct aft_error *e)
{
    (void)s;
    return AFT_FAIL(e, AFT_E_FAILED,
                    "a store in memory cannot be copied to %s: give the joiner a state.dir",
                    directory);
}

static uint64_t
mem_bytes(struct aft_store *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < mem_of(s)->n; i++)
        n += mem_of(s)->v[i].key.n + mem_of(s)->v[i].value.n;
    return n;
}

static void
mem_close(struct aft_store *s)
{
    struct mem *m = mem_of(s);
    take_out(m, 0, m->n);
    free(m->v);
    free(m);
}

static const struct aft_store_ops mem_ops = {
    .commit = mem_commit,
    .get = mem_get,
    .last = mem_last,
    .scan_open = mem_scan_open,
    .scan_next = mem_scan_next,
    .scan_close = mem_scan_close,
    .drop_below = mem_drop_below,
    .purge = mem_purge,
    .checkpoint = mem_checkpoint,
    .bytes = mem_bytes,
    .close = mem_close,
};

struct aft_store *
aft_store_mem_new(void)
{
    struct mem *m = calloc(1, sizeof *m);
    AFT_ASSERT(m != NULL);
    m->base.ops = &mem_ops;
    return &m->base;
}
