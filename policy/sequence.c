/* sequence.c - a slate drawn slot by slot, its weights changing with the topics that stand above. Pure. Any thread.
 *
 * In a slot, with m candidates left, candidate i has the probability
 *     (1 - epsilon) w by / (sum of w by over those left) + epsilon / m
 *     by = repeat^(how many above are of i's topic) x (uncovered, while some declared topic that is not i's own is not above, but
 *          still to be had)
 * so each slot keeps p >= epsilon / m, and what a topic above takes from its own goes to the others.
 * The draw is a race like Plackett-Luce's: an exponential variable has no memory, so who has not won yet runs on, from where he is,
 * at his new speed; candidates are known by (key, index), as there.
 * Invariants: I1 each conditional is in (0, 1]; I2 a slate holds no item twice.
 */
#include "policy/inner.h"

/* What stands above, as far as the weights of the next slot depend on it. */
struct above {
    uint32_t item[AFT_SLATE_MAX];
    uint32_t n, covered; /* covered: a bit a declared topic */
};

static bool
stands(const struct above *a, uint32_t i)
{
    for (uint32_t l = 0; l < a->n; l++)
        if (a->item[l] == i)
            return true;
    return false;
}

static void
push(const struct afti_sequence *q, struct above *a, uint32_t item)
{
    AFT_ASSERT(a->n < AFT_SLATE_MAX);
    AFT_INVARIANT(I2, !stands(a, item));
    a->item[a->n++] = item;
    if (q->wanted[item])
        a->covered |= 1u << (q->wanted[item] - 1);
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

/* p[0 .. n): w times what stands above makes of it; zero for who stands there. */
static void
weights(const struct afti_sequence *q, const struct above *a, double *p)
{
    memcpy(p, q->w, q->n * sizeof *p);
    if (lacking(q, a))
        for (uint32_t i = 0; i < q->n; i++)
            p[i] *= q->wanted[i] && !(a->covered >> (q->wanted[i] - 1) & 1) ? 1 : q->uncovered;
    for (uint32_t l = 0; l < a->n; l++) {
        uint64_t topic = q->topic[a->item[l]];
        for (uint32_t i = 0; topic && i < q->n; i++)
            p[i] *= q->topic[i] == topic ? q->repeat : 1;
    }
    for (uint32_t l = 0; l < a->n; l++)
        p[a->item[l]] = 0;
}

/* p[0 .. n): of the next slot; zero for who stands above. */
static void
next_slot(const struct afti_sequence *q, const struct above *a, double *p)
{
    double sum = 0, low = q->epsilon / (q->n - a->n), even = 1.0 / (q->n - a->n);
    weights(q, a, p);
    for (uint32_t i = 0; i < q->n; i++)
        sum += p[i];
    double scale = sum > 1e-290 ? (1 - q->epsilon) / sum : 0;
    for (uint32_t i = 0; i < q->n; i++)
        p[i] = scale > 0 ? p[i] * scale + low : even;
    for (uint32_t l = 0; l < a->n; l++)
        p[a->item[l]] = 0;
}

void
afti_sequence_draw(const struct afti_sequence *q, const uint32_t *index, uint64_t key, uint32_t k,
                   uint32_t *slate)
{
    double left[AFT_CANDIDATES_MAX], v[AFT_CANDIDATES_MAX];
    struct above a = {.n = 0};
    AFT_ASSERT(k > 0 && k <= q->n && k <= AFT_SLATE_MAX);
    afti_race(index, q->n, key, left);
    for (uint32_t l = 0; l < k; l++) {
        uint32_t first = q->n;
        double at = 0;
        next_slot(q, &a, v);
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
        next_slot(q, &a, v);
        p[l] = v[slate[l]] < 1 ? v[slate[l]] : 1;
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
    double v[AFT_CANDIDATES_MAX];
    next_slot(w->q, &a, v);
    w->marginal[a.n] += p * v[w->slate[a.n]];
    if (a.n + 1 == w->slots)
        return;
    for (uint32_t i = 0; i < w->q->n; i++)
        if (v[i] > 0 && i != w->slate[w->slots - 1]) {
            struct above next = a;
            push(w->q, &next, i);
            enumerate(w, next, p * v[i]);
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
