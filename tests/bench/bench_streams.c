/* bench_streams.c - what is learned, on streams of many laws, with our defaults, against Vowpal Wabbit's rule (learner.model=vw,
 * importance-weighted) at the rate that was best for it on the base stream. peers/vw_streams.py has Vowpal Wabbit itself beside it.
 *
 * Regret: the best possible click rate less the true one of the greedy arm, before each decision was learned. Ten streams of one
 * kind (bilinear, logistic); then two of another, that the model cannot say: steps (sums of indicator products) and waves.
 * Wanted: ratio of regrets over the ten at most 0.5 as geometric mean and 0.65 each; on the other two at most 1. Exits 1 otherwise.
 * usage: bench_streams [DECISIONS = 200000 [NAME]]
 */
#include "tests/bench/laws.h"

static struct aft_learner *
learner_of(const char *const settings[][2], int n)
{
    struct aft_learner_settings s;
    struct aft_error e;
    struct aft_learner *l = NULL;
    bool known;
    aft_learner_settings_default(&s);
    for (int i = 0; i < n; i++)
        if (aft_learner_set(&s, settings[i][0], settings[i][1], &known, &e) != AFT_OK || !known)
            fprintf(stderr, "%s: %s\n", settings[i][0], e.message);
    if (aft_learner_new(&s, &l, &e) != AFT_OK)
        fprintf(stderr, "%s\n", e.message);
    return l;
}

struct result {
    double rate, last, best; /* true click rates: of the greedy arm, in the last tenth; possible */
};

static bool
run(const struct stream_law *law, struct aft_learner *l, long n, struct result *out)
{
    static struct stream s;
    struct stream_decision d;
    struct aft_error e;
    *out = (struct result){0};
    stream_init_as(&s, law, n);
    for (long i = 0; i < n; i++) {
        double top = 0;
        stream_decide(&s, &d);
        struct aft_example_item item = {.arm_id = d.candidates[d.shown].arm_id,
                                        .propensity = d.propensity,
                                        .features = d.candidates[d.shown].features,
                                        .reward_micro = d.click ? AFT_MICRO : 0};
        struct aft_example x = {.phase = AFT_OPEN,
                                .decision_id = AFT_LITERAL("d"),
                                .context = {d.context, STREAM_CONTEXT},
                                .candidates = d.candidates,
                                .candidates_n = STREAM_OFFERED,
                                .items = &item,
                                .items_n = 1,
                                .revision = 1};
        if (aft_learner_learn(l, &x, &e) != AFT_OK)
            return false;
        for (int k = 0; k < STREAM_OFFERED; k++)
            top = fmax(top, d.truth[k]);
        out->best += top / (double)n;
        out->rate += d.truth[aft_learner_greedy(l)] / (double)n;
        if (i >= n - n / 10)
            out->last += d.truth[aft_learner_greedy(l)] / (double)(n / 10);
    }
    return true;
}

/* The ratio of regrets; negative: something failed. */
static double
compare(const struct stream_law *law, long n)
{
    static const char *const theirs[][2] = {{"learner.model", "vw"},
                                            {"learner.rate", "0.05"},
                                            {"learner.reduction", "iwr"},
                                            {"learner.weighting", "iwr"}};
    struct aft_learner *a = learner_of(NULL, 0), *b = learner_of(theirs, 4);
    struct result x, y;
    bool good = a && b && run(law, a, n, &x) && run(law, b, n, &y);
    aft_learner_free(a);
    aft_learner_free(b);
    if (!good)
        return -1;
    double ratio = (x.best - x.rate) / (y.best - y.rate);
    printf("%-7s best %.4f   ours %.4f / %.4f   vw's rule %.4f / %.4f   ratio of regrets %.2f\n",
           law->name, x.best, x.rate, x.last, y.rate, y.last, ratio);
    return ratio;
}

int
main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;
    double logs = 0, worst = 0, worst_other = 0;
    int counted = 0;
    bool good = true;
    for (int i = 0; i < LAWS; i++) {
        if (argc > 2 && strcmp(argv[2], laws[i].name) != 0)
            continue;
        double ratio = compare(&laws[i], n);
        good &= ratio >= 0;
        if (i >= ALIKE) {
            worst_other = fmax(worst_other, ratio);
            continue;
        }
        logs += log(ratio);
        worst = fmax(worst, ratio);
        counted++;
    }
    double mean = counted ? exp(logs / counted) : 0;
    printf("ten streams: geometric mean %.2f, worst %.2f; of another kind: worst %.2f\n", mean,
           worst, worst_other);
    return good && mean <= .5 && worst <= .65 && worst_other <= 1 ? 0 : 1;
}
