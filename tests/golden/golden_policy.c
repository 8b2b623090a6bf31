/* golden_policy.c - our mathematics against the executable specification's answers.
 *
 *   policy_oracle.py SEED N > vectors.json; golden_policy vectors.json        a list of {"fn", "args", "want"}
 * Prints "N agree, M differ, K unknown"; exit 0 only if none differ and none are unknown. Tolerance: 1e-12 for probabilities,
 * else 1e-9
 * relative (1e-9 absolute below 1). It prints the first ten that differ.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluate/evaluate.h"

enum { MANY = 64 };

struct check {
    const json_t *args, *want;
    double tolerance, worst;
};

static double
number(const struct check *c, const char *name)
{
    return json_number_value(json_object_get(c->args, name));
}

static uint32_t
numbers(const struct check *c, const char *name, double *out)
{
    const json_t *v = json_object_get(c->args, name);
    uint32_t n = (uint32_t)json_array_size(v);
    for (uint32_t i = 0; i < n && i < MANY; i++)
        out[i] = json_number_value(json_array_get(v, i));
    return n;
}

static void
compare(struct check *c, double have, const json_t *want)
{
    double w = json_number_value(want), size = c->tolerance < 1e-10 ? 1 : fmax(1, fabs(w));
    double off = fabs(have - w) / size;
    c->worst = off > c->worst || off != off ? off : c->worst;
}

static void
compare_list(struct check *c, const double *have, uint32_t n)
{
    if (json_array_size(c->want) != n)
        c->worst = (double)INFINITY;
    for (uint32_t i = 0; i < n; i++)
        compare(c, have[i], json_array_get(c->want, i));
}

static void
compare_field(struct check *c, double have, const char *name)
{
    compare(c, have, json_object_get(c->want, name));
}

static void
weights(struct check *c)
{
    double lw[MANY], w[MANY];
    uint32_t n = numbers(c, "log_w", lw);
    aft_pl_weights(lw, n, number(c, "epsilon"), w);
    compare_list(c, w, n);
}

static void
conditionals(struct check *c)
{
    double lw[MANY], w[MANY], s[MANY], p[MANY];
    uint32_t slate[MANY], n = numbers(c, "log_w", lw), k = numbers(c, "slate", s);
    for (uint32_t i = 0; i < k; i++)
        slate[i] = (uint32_t)s[i];
    aft_pl_weights(lw, n, number(c, "epsilon"), w);
    aft_pl_conditionals(w, n, slate, k, p);
    compare_list(c, p, k);
}

static void
marginals(struct check *c)
{
    double lw[MANY], w[MANY], rest[MANY];
    uint32_t n = numbers(c, "log_w", lw), k = (uint32_t)number(c, "k");
    aft_pl_weights(lw, n, number(c, "epsilon"), w);
    aft_pl_rests(w, n, rest);
    for (uint32_t l = 0; l < k; l++)
        for (uint32_t i = 0; i < n; i++)
            compare(c, aft_pl_marginal(w, rest, n, i, l),
                    json_array_get(json_array_get(c->want, l), i));
}

static void
greedy(struct check *c)
{
    double s[MANY], p[MANY];
    uint32_t n = numbers(c, "score", s);
    aft_epsilon_greedy(s, n, number(c, "epsilon"), p);
    compare_list(c, p, n);
}

static void
soft(struct check *c)
{
    double s[MANY], p[MANY];
    uint32_t n = numbers(c, "score", s);
    aft_softmax(s, n, number(c, "lambda"), p);
    compare_list(c, p, n);
}

static void
square(struct check *c)
{
    double s[MANY], p[MANY];
    uint32_t n = numbers(c, "score", s);
    aft_squarecb(s, n, number(c, "gamma"), p);
    compare_list(c, p, n);
}

static void
square_elim(struct check *c)
{
    double s[MANY], low[MANY], high[MANY], p[MANY];
    uint32_t n = numbers(c, "score", s);
    numbers(c, "low", low);
    numbers(c, "high", high);
    aft_squarecb_elim(s, low, high, n, number(c, "gamma"), p);
    compare_list(c, p, n);
}

static void
reg_elim(struct check *c)
{
    double low[MANY], high[MANY], p[MANY];
    uint32_t n = numbers(c, "low", low);
    numbers(c, "high", high);
    aft_regcb_elim(low, high, n, p);
    compare_list(c, p, n);
}

static void
votes(struct check *c)
{
    double v[MANY], p[MANY];
    uint32_t vote[MANY], m = numbers(c, "votes", v), n = (uint32_t)number(c, "n");
    for (uint32_t i = 0; i < m; i++)
        vote[i] = (uint32_t)v[i];
    aft_bag(vote, m, n, p);
    compare_list(c, p, n);
}

static void
floored(struct check *c)
{
    double p[MANY];
    uint32_t n = numbers(c, "p", p);
    aft_floor(p, n, number(c, "epsilon"));
    compare_list(c, p, n);
}

static void
squared(struct check *c)
{
    double a = number(c, "eta") * number(c, "h") * number(c, "q");
    compare(c, aft_squared_flow(number(c, "f"), number(c, "y"), a), c->want);
}

static void
logistic(struct check *c)
{
    double a = number(c, "eta") * number(c, "h") * number(c, "q");
    compare(c, aft_logistic_flow(number(c, "f"), number(c, "y"), a), c->want);
}

static void
ips_rewards(struct check *c)
{
    double out[MANY];
    uint32_t n = (uint32_t)number(c, "n");
    aft_ips_rewards(n, (uint32_t)number(c, "chosen"), number(c, "r"), number(c, "p"),
                    number(c, "clip"), out);
    compare_list(c, out, n);
}

static void
dr_rewards(struct check *c)
{
    double q[MANY], out[MANY];
    uint32_t n = numbers(c, "q", q);
    aft_dr_rewards(q, n, (uint32_t)number(c, "chosen"), number(c, "r"), number(c, "p"),
                   number(c, "clip"), out);
    compare_list(c, out, n);
}

static struct aft_sparse
dense(const json_t *v)
{
    struct aft_sparse x = {.n = (uint32_t)json_array_size(v)};
    for (uint32_t i = 0; i < x.n; i++) {
        x.column[i] = i;
        x.value[i] = json_number_value(json_array_get(v, i));
    }
    return x;
}

/* The learner's own ridge: example by example, as it learns in production. */
static void
ridge(struct check *c)
{
    struct aft_linear m;
    static struct aft_ridge r;
    const json_t *rows = json_object_get(c->args, "rows"),
                 *theta = json_object_get(c->want, "theta");
    uint32_t d = (uint32_t)number(c, "d");
    aft_linear_init(&m, number(c, "lambda"), 1);
    aft_linear_add_block(&m);
    aft_linear_block_grow(&m, 0, d);
    aft_ridge_match(&r, &m);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct aft_sparse x = dense(json_array_get(row, 0));
        double weight = json_number_value(json_array_get(row, 1));
        double reward = json_number_value(json_array_get(row, 2));
        aft_ridge_learn(&r, &m, 0, &x, weight, reward / 2); /* half of it at once, half late */
        aft_ridge_revise(&r, &m, 0, &x, weight, reward - reward / 2);
    }
    for (uint32_t i = 0; i < d; i++)
        compare(c, m.blocks[0].theta[i], json_array_get(theta, i));
    struct aft_sparse x = dense(json_object_get(c->args, "x"));
    double y[AFT_LINEAR_COLUMNS], width = 0;
    aft_linear_apply(&m.blocks[0], &x, y);
    for (uint32_t i = 0; i < d; i++)
        width += x.value[i] * y[i];
    compare_field(c, width, "x_Ainv_x");
    aft_ridge_deinit(&r);
    aft_linear_deinit(&m);
}

/* With which probability the row was logged; where it says nothing, all were. */
static double
pass_of(const json_t *list, uint32_t i)
{
    const json_t *v = json_array_get(list, i);
    return v ? json_number_value(v) : 1;
}

static void
ope(struct check *c)
{
    struct aft_ope_row rows[MANY];
    struct aft_ope o;
    const json_t *v = json_object_get(c->args, "rows");
    uint32_t n = (uint32_t)json_array_size(v);
    for (uint32_t i = 0; i < n && i < MANY; i++) {
        const json_t *r = json_array_get(v, i);
        rows[i] = (struct aft_ope_row){json_number_value(json_array_get(r, 0)),
                                       json_number_value(json_array_get(r, 1)),
                                       json_number_value(json_array_get(r, 2)),
                                       json_number_value(json_array_get(r, 3)), pass_of(r, 4)};
    }
    aft_ope(rows, n, number(c, "tau"), number(c, "lambda"), &o);
    compare_field(c, o.ips, "ips");
    compare_field(c, o.snips, "snips");
    compare_field(c, o.dm, "dm");
    compare_field(c, o.dr, "dr");
    compare_field(c, o.switch_dr, "switch_dr");
    compare_field(c, o.dr_os, "dr_os");
    compare_field(c, o.effective_n, "ess");
    compare_field(c, o.mean_ratio, "mean_w");
    compare_field(c, o.max_ratio, "max_w");
}

static void
slate_ope(struct check *c)
{
    struct aft_slate_row rows[MANY];
    struct aft_slate_ope o;
    uint32_t k[MANY], at = 0;
    double pass[MANY];
    const json_t *v = json_object_get(c->args, "rows"), *p = json_object_get(c->args, "passes");
    uint32_t n = (uint32_t)json_array_size(v);
    for (uint32_t i = 0; i < n && i < MANY; i++) {
        const json_t *slots = json_array_get(v, i);
        k[i] = (uint32_t)json_array_size(slots);
        pass[i] = pass_of(p, i);
        for (uint32_t l = 0; l < k[i] && at < MANY; l++) {
            const json_t *r = json_array_get(slots, l);
            rows[at++] = (struct aft_slate_row){json_number_value(json_array_get(r, 0)),
                                                json_number_value(json_array_get(r, 1)),
                                                json_number_value(json_array_get(r, 2))};
        }
    }
    aft_slate_ope(rows, k, pass, n, &o);
    compare_field(c, o.sips, "sips");
    compare_field(c, o.iips, "iips");
    compare_field(c, o.rips, "rips");
}

static const struct {
    const char *name;
    void (*run)(struct check *c);
    double tolerance;
} known[] = {
    {"pl_weights", weights, 1e-12},
    {"pl_conditionals", conditionals, 1e-12},
    {"pl_marginals", marginals, 1e-12},
    {"epsilon_greedy", greedy, 1e-12},
    {"softmax", soft, 1e-12},
    {"squarecb", square, 1e-12},
    {"squarecb_elim", square_elim, 1e-12},
    {"regcb_elim", reg_elim, 1e-12},
    {"bag", votes, 1e-12},
    {"floor", floored, 1e-12},
    {"update_squared", squared, 1e-9},
    {"update_logistic", logistic, 1e-9},
    {"ips_rewards", ips_rewards, 1e-9},
    {"dr_rewards", dr_rewards, 1e-9},
    {"ridge", ridge, 1e-9},
    {"ope", ope, 1e-9},
    {"slate_ope", slate_ope, 1e-9},
};

/* 1 agrees, 0 differs, -1 unknown. */
static int
judge(const json_t *vector, int shown)
{
    const char *fn = json_string_value(json_object_get(vector, "fn"));
    struct check c = {json_object_get(vector, "args"), json_object_get(vector, "want"), 0, 0};
    for (size_t i = 0; fn && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, fn) != 0)
            continue;
        c.tolerance = known[i].tolerance;
        known[i].run(&c);
        if (c.worst <= c.tolerance)
            return 1;
        char *args = json_dumps(c.args, JSON_COMPACT);
        if (shown < 10)
            fprintf(stderr, "%s is off by %g: %.400s\n", fn, c.worst, args);
        free(args);
        return 0;
    }
    return -1;
}

int
main(int argc, char **argv)
{
    json_error_t e;
    json_t *all = argc == 2 ? json_load_file(argv[1], 0, &e) : NULL;
    size_t agree = 0, differ = 0, unknown = 0;
    if (!json_is_array(all)) {
        fprintf(stderr, "usage: golden_policy FILE.json (what policy_oracle.py SEED N prints)\n");
        return 2;
    }
    for (size_t i = 0; i < json_array_size(all); i++) {
        int r = judge(json_array_get(all, i), (int)differ);
        agree += r == 1;
        differ += r == 0;
        unknown += r < 0;
    }
    json_decref(all);
    printf("%zu agree, %zu differ, %zu unknown\n", agree, differ, unknown);
    return differ || unknown || !agree;
}
