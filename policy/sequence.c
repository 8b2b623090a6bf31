/* sequence.c - a slate drawn slot by slot, its weights changing with the topics that stand above. Pure. Any thread.
 *
 * In a slot, candidate i weighs  v = floor + (w - floor) x repeat^(how many above are of i's topic) x (uncovered, while some
 * declared topic is neither above nor i's own, but still to be had),  and is drawn with v / sum of v over those that are left.
 * With both factors 1 that is Plackett-Luce over w. As v <= w, no sum is above 1: every slot keeps p >= floor.
 * The draw is the same race: an exponential variable has no memory, so who has not won yet runs on, from where he is, at his new
 * speed. A draw with both factors 1 has the winners of aft_pl_draw.
 * Invariants: I1 each conditional is in (0, 1]; I2 a slate holds no item twice.
 */
#include "policy/inner.h"

/* What stands above, as far as the weights of the next slot depend on it. */
struct above {
    uint32_t item[AFT_SLATE_MAX];
    uint32_t n, covered; /* covered: a bit a declared topic */
};

static void
push(const struct afti_sequence *q, struct above *a, uint32_t item)
{
    AFT_INVARIANT(I2, a->n < AFT_SLATE_MAX);
    a->item[a->n++] = item;
    if (q->wanted[item])
        a->covered |= 1u << (q->wanted[item] - 1);
}

static bool
stands(const struct above *a, uint32_t i)
{
    for (uint32_t l = 0; l < a->n; l++)
        if (a->item[l] == i)
            return true;
    return false;
}

/* Whether a declared topic that is not above can still be had. */
static bool
lacking(const struct afti_sequence *q, const struct above *a)
{
    for (uint32_t i = 0; q->uncovered != 1 && i < q->n; i++)
        if (q->wanted[i] && !(a->covered >> (q->wanted[i] - 1) & 1))
            return true; /* who is above has covered his own */
    return false;
}

static double
weight(const struct afti_sequence *q, const struct above *a, bool lacks, uint32_t i)
{
    double by = 1;
    bool covers = q->wanted[i] && !(a->covered >> (q->wanted[i] - 1) & 1);
    if (lacks && !covers)
        by = q->uncovered;
    for (uint32_t l = 0; q->topic[i] && l < a->n; l++)
        if (q->topic[a->item[l]] == q->topic[i])
            by *= q->repeat;
    double more = q->w[i] - q->floor;
    return q->floor + (more > 0 ? more * by : 0);
}

/* v[0 .. n), zero for who stands above; their sum. */
static double
weights(const struct afti_sequence *q, const struct above *a, double *v)
{
    bool lacks = lacking(q, a);
    double sum = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        v[i] = stands(a, i) ? 0 : weight(q, a, lacks, i);
        sum += v[i];
    }
    return sum;
}

void
afti_sequence_draw(const struct afti_sequence *q, const uint32_t *index, uint64_t key, uint32_t k,
                   uint32_t *slate)
{
    double left[AFT_CANDIDATES_MAX], v[AFT_CANDIDATES_MAX];
    struct above a = {.n = 0};
    AFT_ASSERT(k > 0 && k <= q->n && k <= AFT_SLATE_MAX);
    for (uint32_t i = 0; i < q->n; i++)
        left[i] = afti_race(key, index[i]);
    for (uint32_t l = 0; l < k; l++) {
        uint32_t first = q->n;
        double at = 0;
        weights(q, &a, v);
        for (uint32_t i = 0; i < q->n; i++) {
            double time = v[i] > 0 ? left[i] / v[i] : 0;
            if (v[i] > 0 && (first == q->n || time < at)) {
                first = i;
                at = time;
            }
        }
        for (uint32_t i = 0; i < q->n; i++) {
            left[i] -= v[i] * at;
            left[i] = left[i] > 0 ? left[i] : 0;
        }
        AFT_ASSERT(first < q->n);
        slate[l] = first;
        push(q, &a, first);
    }
}

void
afti_sequence_conditionals(const struct afti_sequence *q, const uint32_t *slate, uint32_t k,
                           double *p)
{
    double v[AFT_CANDIDATES_MAX];
    struct above a = {.n = 0};
    for (uint32_t l = 0; l < k; l++) {
        double sum = weights(q, &a, v);
        p[l] = v[slate[l]] / sum;
        AFT_INVARIANT(I1, p[l] > 0 && p[l] <= 1);
        push(q, &a, slate[l]);
    }
}

/* ---- marginals: over all that may stand above a slot; n^slot orders, n weights each */
enum { ENUMERATED = 1 << 15 };

struct walk {
    const struct afti_sequence *q;
    const uint32_t *slate;
    uint32_t slots; /* to be found */
    double *marginal;
};

/* a: who stands above, with probability p. */
static void
enumerate(const struct walk *w, struct above a, double p)
{
    double v[AFT_CANDIDATES_MAX], sum = weights(w->q, &a, v);
    w->marginal[a.n] += p * v[w->slate[a.n]] / sum;
    if (a.n + 1 == w->slots)
        return;
    for (uint32_t i = 0; i < w->q->n; i++)
        if (v[i] > 0 && i != w->slate[w->slots - 1]) {
            struct above next = a;
            push(w->q, &next, i);
            enumerate(w, next, p * v[i] / sum);
        }
}

uint32_t
afti_sequence_marginals(const struct afti_sequence *q, const uint32_t *slate, uint32_t k,
                        double *marginal)
{
    uint64_t cost = q->n;
    uint32_t slots = 1;
    for (; slots < k && cost * q->n <= ENUMERATED; slots++)
        cost *= q->n;
    for (uint32_t l = 0; l < slots; l++) {
        struct walk w = {q, slate, l + 1, (double[AFT_SLATE_MAX]){0}};
        enumerate(&w, (struct above){.n = 0}, 1);
        marginal[l] = w.marginal[l] < 1 ? w.marginal[l] : 1;
    }
    return slots;
}
