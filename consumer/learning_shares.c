/* learning_shares.c - a round of a learner of sums (learner.shards), shared by threads. In: a round that is ready. Out: it is learned.
 * The threads live for the round: each sums partitions of its own and touches nothing else (learner/sums.c); the caller's merges. */
#include <pthread.h>
#include <stdlib.h>

#include "consumer/learning_inner.h"

struct sharer {
    struct aft_learning *l;
    const struct afti_round *round;
    struct aft_share share;
    pthread_t thread;
    bool started;
    enum aft_err err;
    struct aft_error e;
};

static void *
sum_share(void *sharer)
{
    struct sharer *s = sharer;
    s->err = aft_rounds_share(s->l->rounds, s->round->ends, s->round->ends_n, s->l->learner,
                              &s->share, &s->e);
    return NULL;
}

enum aft_err
afti_round_learn(struct aft_learning *l, const struct afti_round *r, struct aft_error *e)
{
    uint32_t n = aft_config_learner(l->o.config)->shards;
    struct sharer v[AFT_SHARDS_MAX];
    n = n < (uint32_t)l->o.partitions ? n : (uint32_t)l->o.partitions;
    if (!aft_learner_sums(l->learner) || n < 2)
        return aft_rounds_learn(l->rounds, r->ends, r->ends_n, l->learner, e);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (struct sharer){.l = l, .round = r, .share = {i, n}};
    for (uint32_t i = 1; i < n; i++)
        v[i].started = pthread_create(&v[i].thread, NULL, sum_share, &v[i]) == 0;
    for (uint32_t i = 0; i < n; i++)
        if (!v[i].started)
            sum_share(&v[i]); /* ours, and those for which there was no thread */
    for (uint32_t i = 0; i < n; i++)
        if (v[i].started)
            pthread_join(v[i].thread, NULL);
    for (uint32_t i = 0; i < n; i++)
        if (v[i].err != AFT_OK) {
            *e = v[i].e;
            return v[i].err;
        }
    aft_rounds_merged(l->rounds, r->ends, r->ends_n, l->learner);
    return AFT_OK;
}
