/* catalogue.c - candidates that many decisions share: copied and checked once, then only read. Any thread.
 * Its revision is a number that no other catalogue of the client has, so a decision's scratch resolves it once a snapshot and knows it
 * again wherever it lies (policy/policy.h).
 * I1 it is freed with its last holder: the engine, or a decision that was made with it. */
#include <stdlib.h>

#include "client/client_inner.h"

enum { CATALOGUE_BYTES_MAX = 64 << 20 };

static void delete (struct aft_client_catalogue *k)
{
    aft_arena_deinit(&k->own);
    free(k);
}

static enum aft_err
take(struct aft_client *c, struct aft_client_catalogue *k, const struct aft_client_candidate *v,
     uint32_t n, struct aft_error *e)
{
    for (uint32_t i = 0; v && i < n && i < AFT_CANDIDATES_MAX; i++)
        if (v[i].mask)
            return AFT_FAIL(e, AFT_E_VALUE,
                            "candidate %u of a catalogue has a mask; masks are a request's", i);
    struct afti_candidates taken;
    AFT_TRY(afti_candidates_take(&k->own, v, n, &taken, e));
    k->candidates = taken.v;
    k->subjects = taken.subjects;
    k->n = n;
    k->client = c;
    k->revision = 1 + atomic_fetch_add_explicit(&c->catalogues, 1, memory_order_relaxed);
    atomic_init(&k->holders, 1);
    return AFT_OK;
}

enum aft_client_code
aft_client_catalogue_new(struct aft_client *c, const struct aft_client_candidate *candidates,
                         uint32_t candidates_n, struct aft_client_catalogue **catalogue,
                         struct aft_client_error *why)
{
    struct aft_error e;
    struct aft_client_catalogue *k = calloc(1, sizeof *k);
    *catalogue = NULL;
    if (!k)
        return afti_client_public(AFT_FAIL(&e, AFT_E_NOMEM, "no memory for a catalogue"), &e, why);
    aft_arena_init(&k->own, CATALOGUE_BYTES_MAX);
    enum aft_err err = take(c, k, candidates, candidates_n, &e);
    if (err == AFT_OK)
        *catalogue = k;
    else
        delete (k);
    return afti_client_public(err, &e, why);
}

void
afti_catalogue_hold(const struct aft_client_catalogue *k)
{
    struct aft_client_catalogue *ours = (struct aft_client_catalogue *)(uintptr_t)k;
    atomic_fetch_add_explicit(&ours->holders, 1, memory_order_relaxed);
}

void
aft_client_catalogue_free(struct aft_client_catalogue *k)
{
    if (!k)
        return;
    unsigned before = atomic_fetch_sub_explicit(&k->holders, 1, memory_order_acq_rel);
    AFT_INVARIANT(I1, before > 0);
    if (before == 1)
        delete (k);
}
