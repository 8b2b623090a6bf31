/* bench_learn.c - the learner by itself, from memory, one core.
 *
 *   flow: score all 50 arms of a decision and learn the shown one (about 11,500 crossed features), weighting none: decisions per
 *   CPU-second; the true click rate of the greedy arm before each was learned, progressive and over the last tenth (optimum
 *   about 0.901;
 *   Vowpal Wabbit tuned 0.858 / 0.886 on the same law); digest.
 *   the other ways to learn, over a tenth of the decisions: weighting auto, VW's rule, ips, dr, ensembles, other explorers. Those that
 *   explore are measured once more with a decision made and drawn besides (aft_decide, K = 1, a snapshot each 5,000 decisions)
 *   ridge: rank-one updates at d = 50, and late credits, per CPU-second.
 * usage: bench_learn [DECISIONS = 200000 [SEED [FOLDER [asked]]]]; with a FOLDER it measures nothing and writes the stream there for
 * peers: syn.vw (Vowpal Wabbit's text, cost = -click), truth.f32 (50 true chances a decision) and, for `aftertouch learn`, syn.avro.
 * SEED: or the name of a law of laws.h, for those files. A number in the folder's place: that way alone (0 is flow), over all decisions;
 * or: ridge, alone. A number and `asked`: that way, so many decisions for each line on standard input that says how many; their
 * CPU-seconds are the answer (peers/vw_memory.py, which has another learner do the same in turn).
 */
#include "tests/bench/laws.h"
#include "wire/wire_avro.h"

enum {
    CHUNK = 50,
    SNAPSHOT = 5000,
    D = 50,
    RIDGE_ROWS = 1000,
    RIDGE_TURNS = 100,
    RIDGE_TIMES = 500
};

/* Settings, as key and value, up to the first without a key. */
struct way {
    const char *name, *set[6][2];
};
static const struct way ways[] = {
    {"flow", {{"learner.model", "flow"}, {"learner.weighting", "none"}}},
    {"flow, auto weighting", {{"learner.model", "flow"}, {"learner.weighting", "auto"}}},
    {"vw, iwr", {{"learner.model", "vw"}, {"learner.weighting", "iwr"}}},
    {"flow-squared, ips",
     {{"learner.model", "flow-squared"},
      {"learner.reduction", "ips"},
      {"learner.weighting", "capped"}}},
    {"flow-squared, dr",
     {{"learner.model", "flow-squared"},
      {"learner.reduction", "dr"},
      {"learner.weighting", "capped"}}},
    {"flow, bagging of 5",
     {{"learner.model", "flow"}, {"policy.explore", "bagging"}, {"learner.members", "5"}}},
    {"flow-squared, cover of 3",
     {{"learner.model", "flow-squared"}, {"policy.explore", "cover"}, {"learner.members", "3"}}},
    {"flow, softmax",
     {{"learner.model", "flow"}, {"learner.weighting", "none"}, {"policy.explore", "softmax"}}},
    {"flow, squarecb", {{"learner.model", "flow"}, {"policy.explore", "squarecb"}}},
    {"flow, regcb", {{"learner.model", "flow"}, {"policy.explore", "regcb-elim"}}},
    {"flow, bagging of 5, iwr",
     {{"learner.model", "flow"},
      {"policy.explore", "bagging"},
      {"learner.members", "5"},
      {"learner.weighting", "iwr"}}},
};
enum { WAYS = sizeof ways / sizeof *ways };

static bool
explores(const struct way *w)
{
    for (int i = 0; i < 6 && w->set[i][0]; i++)
        if (strcmp(w->set[i][0], "policy.explore") == 0)
            return true;
    return false;
}

static struct aft_learner *
learner_of(const struct way *w)
{
    struct aft_learner_settings s;
    struct aft_error e;
    struct aft_learner *l = NULL;
    bool known = true, good = true;
    aft_learner_settings_default(&s);
    for (int i = 0; good && i < 6 && w->set[i][0]; i++)
        good = aft_learner_set(&s, w->set[i][0], w->set[i][1], &known, &e) == AFT_OK && known;
    if (!good || aft_learner_new(&s, &l, &e) != AFT_OK)
        fprintf(stderr, "%s: %s\n", w->name, known ? e.message : "unknown setting");
    return l;
}

/* d as an example; *item must live as long. */
static struct aft_example
example_of(const struct stream_decision *d, uint64_t revision, struct aft_example_item *item)
{
    const struct aft_candidate *c = &d->candidates[d->shown];
    *item = (struct aft_example_item){.arm_id = c->arm_id,
                                      .propensity = d->propensity,
                                      .features = c->features,
                                      .reward_micro = d->click ? AFT_MICRO : 0};
    return (struct aft_example){.phase = AFT_OPEN,
                                .decision_id = AFT_LITERAL("d"),
                                .user_id = AFT_LITERAL("u"),
                                .policy = AFT_LITERAL("logged"),
                                .context = {d->context, STREAM_CONTEXT},
                                .candidates = d->candidates,
                                .candidates_n = STREAM_OFFERED,

                                .items = item,
                                .revision = revision,
                                .items_n = 1};
}

/* A chunk of decisions as examples in memory. */
struct chunk {
    struct stream_decision decision[CHUNK];
    struct aft_example_item item[CHUNK];
    struct aft_example example[CHUNK];
    uint32_t greedy[CHUNK];
};

static void
fill(struct chunk *c, struct stream *s, long n)
{
    for (long i = 0; i < n; i++) {
        stream_decide(s, &c->decision[i]);
        c->example[i] = example_of(&c->decision[i], 1, &c->item[i]);
    }
}

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What the quickest tenth of the n times did at least, each for so many: what is left when others disturb. */
static double
undisturbed(double *took, long n, double each)
{
    qsort(took, (size_t)n, sizeof *took, ascending);
    return each / took[n / 10];
}

/* CPU seconds of the learning alone. */
static double
learn_chunk(struct aft_learner *l, struct chunk *c, long n)
{
    struct aft_error e;
    double from = stream_cpu();
    for (long i = 0; i < n; i++) {
        if (aft_learner_learn(l, &c->example[i], &e) != AFT_OK)
            return -1;
        c->greedy[i] = aft_learner_greedy(l);
    }
    return stream_cpu() - from;
}

/* ---- what the learner's snapshot decides */
struct server {
    struct aft_model *model;
    struct aft_scratch *scratch;
};

static enum aft_err
to_set(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    bool whole;
    (void)key;
    return aft_snapshot_set_add(ctx, body, &whole, e);
}

static bool
publish(struct server *s, struct aft_learner *l, int64_t round)
{
    struct aft_error e;
    struct aft_end end = {0};
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_publish_spec spec = {
        .model = AFT_LITERAL("m"), .round = round, .ends = &end, .ends_n = 1};
    aft_model_free(s->model);
    s->model = NULL;
    bool good = aft_learner_publish(l, &spec, to_set, set, &e) == AFT_OK &&
                aft_model_load(set, &s->model, &e) == AFT_OK;
    if (!good)
        fprintf(stderr, "bench_learn: %s\n", e.message);
    aft_snapshot_set_free(set);
    return good;
}

/* CPU seconds, or -1. */
static double
decide_chunk(const struct server *s, const struct chunk *c, long n)
{
    struct aft_error e;
    struct aft_decision out;
    double from = stream_cpu();
    for (long i = 0; i < n; i++) {
        char key[16] = {(char)('a' + i)};
        struct aft_request r = {.context = {c->decision[i].context, STREAM_CONTEXT},
                                .candidates = c->decision[i].candidates,
                                .candidates_n = STREAM_OFFERED,
                                .k = 1,
                                .key = aft_text(key)};
        if (aft_decide(s->model, s->scratch, &r, &out, &e) != AFT_OK) {
            fprintf(stderr, "bench_learn: %s\n", e.message);
            return -1;
        }
    }
    return stream_cpu() - from;
}

/* A way that explores, learned and decided: decisions per CPU-second. */
static bool
bench_explorer(const struct way *w, long n, uint64_t seed)
{
    static struct stream s;
    struct chunk *c = malloc(sizeof *c);
    struct aft_learner *l = learner_of(w);
    struct server server = {.scratch = aft_scratch_new()};
    double *each = calloc((size_t)(n / CHUNK + 2), sizeof *each), cpu = 0;
    bool good = c && l && each;
    stream_init(&s, seed);
    for (long at = 0; good && at < n; at += CHUNK) {
        long m = n - at < CHUNK ? n - at : CHUNK;
        if (at % SNAPSHOT == 0)
            good = publish(&server, l, at / SNAPSHOT + 1);
        if (!good)
            break;
        fill(c, &s, m);
        double decided = decide_chunk(&server, c, m), learned = learn_chunk(l, c, m);
        good = decided >= 0 && learned >= 0;
        each[at / CHUNK] = decided + learned;
        cpu += decided + learned;
    }
    if (good)
        printf("%s, learned and decided: %.0f decisions/cpu-s, %.0f in the quickest tenth of the "
               "time\n",
               w->name, (double)n / cpu, undisturbed(each, n / CHUNK, CHUNK));
    aft_model_free(server.model);
    aft_scratch_free(server.scratch);
    aft_learner_free(l);
    free(each);
    free(c);
    return good;
}

static bool
bench_way(const struct way *w, long n, uint64_t seed)
{
    static struct stream s;
    struct chunk *c = malloc(sizeof *c);
    struct aft_learner *l = learner_of(w);
    struct aft_digest digest;
    long tenth = n / 10;
    double cpu = 0, rate = 0, last = 0, best = 0, took = 0;
    double *each = calloc((size_t)(n / CHUNK + 2), sizeof *each);
    char hex[65];
    stream_init(&s, seed);
    for (long at = 0; c && l && each && took >= 0 && at < n; at += CHUNK) {
        long m = n - at < CHUNK ? n - at : CHUNK;
        fill(c, &s, m);
        took = learn_chunk(l, c, m);
        cpu += took;
        each[at / CHUNK] = took;
        for (long i = 0; i < m; i++) {
            double p = c->decision[i].truth[c->greedy[i]], top = 0;
            for (int k = 0; k < STREAM_OFFERED; k++)
                top = fmax(top, c->decision[i].truth[k]);
            rate += p;
            best += top;
            last += at + i >= n - tenth ? p : 0;
        }
    }
    if (!l || !each) {
        free(each);
        free(c);
        return false;
    }
    aft_learner_digest(l, &digest);
    aft_hex(digest.b, 8, hex);
    printf("%s: %.0f decisions/cpu-s, %.0f in the quickest tenth of the time; true click rate %.4f "
           "progressive, %.4f last tenth, best "
           "possible %.4f; digest %s\n",
           w->name, (double)n / cpu, undisturbed(each, n / CHUNK, CHUNK), rate / (double)n,
           last / (double)tenth, best / (double)n, hex);
    aft_learner_free(l);
    free(each);
    free(c);
    return took >= 0;
}

/* A way in turns: a number of decisions a line in, their CPU seconds out. */
static int
bench_asked(const struct way *w, uint64_t seed)
{
    static struct stream s;
    struct chunk *c = malloc(sizeof *c);
    struct aft_learner *l = learner_of(w);
    char line[32];
    stream_init(&s, seed);
    while (c && l && fgets(line, sizeof line, stdin)) {
        double cpu = 0;
        for (long left = strtol(line, NULL, 10), n; left > 0; left -= n) {
            n = left < CHUNK ? left : CHUNK;
            fill(c, &s, n);
            cpu += learn_chunk(l, c, n);
        }
        printf("%.9f\n", cpu);
        fflush(stdout);
    }
    aft_learner_free(l);
    free(c);
    return 0;
}

/* n times `turns` updates, or late credits: CPU seconds of each n-th. */
static double
ridge_turns(struct aft_ridge *r, struct aft_linear *m, const struct aft_sparse *x, bool late,
            double took[RIDGE_TIMES])
{
    double all = 0;
    for (long i = 0; i < RIDGE_TIMES; i++) {
        double from = stream_cpu();
        for (long j = 0, k; j < RIDGE_TURNS; j++) {
            k = i * RIDGE_TURNS + j;
            if (late)
                aft_ridge_revise(r, m, 0, &x[k % RIDGE_ROWS], 1, (double)(k % 7 == 0) - 0.1);
            else
                aft_ridge_learn(r, m, 0, &x[k % RIDGE_ROWS], 1, (double)(k % 7 == 0));
        }
        took[i] = stream_cpu() - from;
        all += took[i];
    }
    return (double)RIDGE_TIMES * RIDGE_TURNS / all;
}

static void
bench_ridge(void)
{
    static struct aft_ridge r;
    static struct aft_sparse x[RIDGE_ROWS];
    double took[RIDGE_TIMES];
    struct aft_linear m;
    struct aft_random random;
    aft_random_init(&random, 9, 0);
    aft_linear_init(&m, 1, 1);
    aft_linear_add_block(&m);
    aft_linear_block_grow(&m, 0, D);
    aft_ridge_match(&r, &m);
    for (int i = 0; i < RIDGE_ROWS; i++)
        for (uint32_t j = 0; j < D; j++) {
            x[i].column[j] = j;
            x[i].value[j] = 2 * aft_random_unit(&random) - 1;
            x[i].n = D;
        }
    for (int late = 0; late < 2; late++) {
        double rate = ridge_turns(&r, &m, x, late, took);
        printf("ridge d=%d: %.0f %s/cpu-s, %.0f in the quickest tenth of the time (theta[0] %g)\n",
               D, rate, late ? "late credits" : "updates",
               undisturbed(took, RIDGE_TIMES, RIDGE_TURNS), m.blocks[0].theta[0]);
    }
    aft_ridge_deinit(&r);
    aft_linear_deinit(&m);
}

/* A number of thousandths as short as it can be: .1, -.25, 1. */
static void
put_thousandths(FILE *f, double v)
{
    char text[16];
    snprintf(text, sizeof text, "%.3f", v);
    for (char *z = text + strlen(text) - 1; *z == '0'; z--)
        *z = 0;
    if (text[strlen(text) - 1] == '.')
        text[strlen(text) - 1] = 0;
    char *p = text, *sign = text + (text[0] == '-');
    if (sign[0] == '0') { /* no leading zero */
        memmove(sign, sign + 1, strlen(sign));
        p = text;
    }
    fputs(sign[0] ? p : "0", f);
}

static void
export_one(const struct stream_decision *d, FILE *text, FILE *truth)
{
    fputs("shared |U", text);
    for (int i = 0; i < STREAM_CONTEXT; i++) {
        fprintf(text, " %c:", 'a' + i);
        put_thousandths(text, d->context[i].number);
    }
    for (uint32_t k = 0; k < STREAM_OFFERED; k++) {
        const struct aft_candidate *c = &d->candidates[k];
        fputc('\n', text);
        if (k == d->shown)
            fprintf(text, "0:%d:%.6g ", -(int)d->click, d->propensity);
        fprintf(text, "|A %.*s", (int)c->arm_id.n, (const char *)c->arm_id.p);
        for (uint32_t j = 0; j < STREAM_ARM; j++) {
            fprintf(text, " %c:", 'a' + (int)j);
            put_thousandths(text, c->features.v[j].number);
        }
        float t = (float)d->truth[k];
        fwrite(&t, sizeof t, 1, truth);
    }
    fputs("\n\n", text);
}

static bool
export_example(struct aft_file_writer *out, struct aft_buffer *b, const struct stream_decision *d,
               long i)
{
    struct aft_error e;
    struct aft_example_item item;
    struct aft_example x = example_of(d, 1, &item);
    x.seq = (uint64_t)i;
    x.fire_ms = x.timestamp_ms = i;
    aft_buffer_reset(b);
    aft_encode_example(b, &x);
    struct aft_file_record r = {.body = aft_buffer_bytes(b)};
    return aft_file_append(out, &r, &e) == AFT_OK;
}

static bool
export_to(const char *folder, long n, const struct stream_law *law)
{
    struct aft_file_writer *out = NULL;
    struct aft_buffer b = {0};
    struct aft_error e;
    static struct stream s;
    static struct stream_decision d;
    char path[512];
    snprintf(path, sizeof path, "%s/syn.vw", folder);
    FILE *text = fopen(path, "w");
    snprintf(path, sizeof path, "%s/truth.f32", folder);
    FILE *truth = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/syn.avro", folder);
    stream_init_as(&s, law, n);
    bool good =
        text && truth && aft_file_create(path, AFT_RECORD_EXAMPLE, false, &out, &e) == AFT_OK;
    for (long i = 0; good && i < n; i++) {
        stream_decide(&s, &d);
        export_one(&d, text, truth);
        good = export_example(out, &b, &d, i);
    }
    aft_buffer_deinit(&b);
    good = (!out || aft_file_finish(out, &e) == AFT_OK) && good;
    good = (!text || fclose(text) == 0) && good;
    return (!truth || fclose(truth) == 0) && good;
}

static struct stream_law
law_of(const char *name)
{
    for (int i = 0; i < LAWS; i++)
        if (strcmp(name, laws[i].name) == 0)
            return laws[i];
    return (struct stream_law){.seed = strtoull(name, NULL, 10)};
}

int
main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 20261123;
    if (argc > 3 && strcmp(argv[3], "ridge") == 0) {
        bench_ridge();
        return 0;
    }
    char *end = NULL;
    long way = argc > 3 ? strtol(argv[3], &end, 10) : 0;
    if (argc > 4 && strcmp(argv[4], "asked") == 0 && way >= 0 && way < WAYS)
        return bench_asked(&ways[way], seed);
    if (end && end != argv[3] && !*end && way >= 0 && way < WAYS)
        return bench_way(&ways[way], n, seed) &&
                       (!explores(&ways[way]) || bench_explorer(&ways[way], n, seed))
                   ? 0
                   : 1;
    struct stream_law law = law_of(argc > 2 ? argv[2] : "base");
    if (argc > 3)
        return export_to(argv[3], n, &law) ? 0 : 1;
    bool good = true;
    for (int i = 0; i < WAYS; i++) {
        good &= bench_way(&ways[i], i ? n / 10 : n, seed);
        good &= !explores(&ways[i]) || bench_explorer(&ways[i], n / 10, seed);
    }
    bench_ridge();
    return good ? 0 : 1;
}
