/* bench_forecast.c - rewards that come late: what is known how early, in the simulated world.
 *
 * Participants enrol over sixty days and come back for ninety; a uniform policy shows them messages; outcomes come from seconds to a
 * fortnight later. `aftertouch join` makes examples of that. Three learners take them in order:
 *   forecast   learner.forecast=on          zero   what is missing counts as zero, until it comes
 *   wait       an impression is learned when it settles, with all of its reward
 * Every second day each scores the same probes (decisions taken from all over the run). A line of CSV a look: day, then for each
 * learner the root of the mean square of (score - score of the model that has seen everything settle), over the standard deviation
 * of that model's scores; then for each the mean score over that model's mean score: 1 is unbiased.
 *
 * usage: bench_forecast PROGRAM FOLDER [PARTICIPANTS = 1500 [SEED = 1 [MODEL = ridge]]]      PROGRAM: aftertouch; files go to FOLDER
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/visits.h"
#include "wire/wire_avro.h"

enum { LEARNERS = 3, PROBES = 400, LOOKS = 120 };
enum { FORECAST, ZERO, WAIT };

struct look {
    double day, scores[LEARNERS][PROBES];
};
struct bench {
    struct aft_buffer probes[PROBES]; /* OPEN examples */
    uint32_t probes_n, looks_n;
    bool logistic; /* scores are log-odds */
    struct look *looks;
    struct aft_learner *learners[LEARNERS];
    struct aft_arena arena, probe_arena;
    struct aft_scratch *scratch;
};

static _Noreturn void
stop(const struct aft_error *e)
{
    fprintf(stderr, "bench_forecast: %s\n", e->message);
    exit(1);
}

#define GO(call)                   \
    do {                           \
        struct aft_error e_;       \
        struct aft_error *e = &e_; \
        if ((call) != AFT_OK)      \
            stop(&e_);             \
    } while (0)

/* ---- the logs */
static void
log_visit(struct aft_file_writer *f, struct aft_world *w, const struct aft_visit *v, int64_t offset,
          struct aft_scratch *scratch, const struct aft_model *uniform)
{
    struct visit_nouns nouns;
    struct aft_decision d;
    struct aft_shown shown[AFT_SLATE_MAX];
    struct aft_buffer body = {0};
    uint32_t slate[AFT_SLATE_MAX];
    char id[32];
    visit_read(v, &nouns);
    snprintf(id, sizeof id, "d-%u-%u", v->participant, v->number);
    struct aft_request r = {.context = {nouns.context, VISIT_CONTEXT},
                            .candidates = nouns.candidates,
                            .candidates_n = v->candidates_n,
                            .k = v->k,
                            .key = aft_text(id)};
    GO(aft_decide(uniform, scratch, &r, &d, e));
    for (uint32_t i = 0; i < d.n; i++) {
        const struct aft_world_candidate *c = &v->candidates[d.slots[i].candidate];
        slate[i] = d.slots[i].candidate;
        shown[i] = (struct aft_shown){.arm_id = aft_text(c->arm_id),
                                      .slot = (int32_t)i,
                                      .propensity = d.slots[i].propensity,
                                      .marginal = d.slots[i].marginal,
                                      .has_marginal = d.slots[i].has_marginal,
                                      .subject = c->subject ? aft_text(c->subject) : AFT_ABSENT};
    }
    aft_world_shown(w, v, id, slate, d.n);
    struct aft_impression x = {.decision_id = aft_text(id),
                               .user_id = aft_text(v->user_id),
                               .timestamp_ms = v->time_ms,
                               .policy = AFT_LITERAL("uniform"),
                               .context = r.context,
                               .candidates = nouns.candidates,
                               .candidates_n = v->candidates_n,
                               .slate = shown,
                               .slate_n = d.n};
    aft_encode_impression(&body, &x);
    struct aft_file_record record = {.offset = offset,
                                     .log_timestamp_ms = v->time_ms,
                                     .key = aft_text(v->user_id),
                                     .body = aft_buffer_bytes(&body)};
    GO(aft_file_append(f, &record, e));
    aft_buffer_deinit(&body);
}

static void
log_outcome(struct aft_file_writer *f, const struct aft_world_outcome *o, int64_t offset)
{
    struct aft_buffer body = {0};
    struct aft_outcome x = {.outcome_id = aft_text(o->outcome_id),
                            .user_id = aft_text(o->user_id),
                            .timestamp_ms = o->time_ms,
                            .kind = aft_text(o->kind),
                            .value_micro = AFT_MICRO,
                            .decision_id =
                                o->decision_id[0] ? aft_text(o->decision_id) : AFT_ABSENT,
                            .arm_id = o->arm_id ? aft_text(o->arm_id) : AFT_ABSENT,
                            .subject = o->subject ? aft_text(o->subject) : AFT_ABSENT,
                            .retracts = o->retracts[0] ? aft_text(o->retracts) : AFT_ABSENT};
    aft_encode_outcome(&body, &x);
    struct aft_file_record record = {.offset = offset,
                                     .log_timestamp_ms = o->delivered_ms,
                                     .key = aft_text(o->user_id),
                                     .body = aft_buffer_bytes(&body)};
    GO(aft_file_append(f, &record, e));
    aft_buffer_deinit(&body);
}

static const char *
path_of(const char *folder, const char *name)
{
    static char path[4][512];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s.avro", folder, name);
    return path[at];
}

static void
write_logs(const char *folder, uint32_t participants, uint64_t seed)
{
    struct aft_world_options options;
    struct aft_file_writer *impressions, *outcomes;
    struct aft_visit v;
    struct aft_world_outcome o;
    struct aft_scratch *scratch = aft_scratch_new();
    struct aft_model *uniform = aft_model_uniform();
    int64_t shown = 0, happened = 0;
    aft_world_options_default(&options);
    options.participants = participants;
    options.seed = seed;
    struct aft_world *w = aft_world_new(&options);
    int64_t end = aft_world_end_ms(w);
    GO(aft_file_create(path_of(folder, "impressions"), AFT_RECORD_IMPRESSION, true, &impressions,
                       e));
    GO(aft_file_create(path_of(folder, "outcomes"), AFT_RECORD_OUTCOME, true, &outcomes, e));
    while (aft_world_next_visit(w, end, &v))
        log_visit(impressions, w, &v, shown++, scratch, uniform);
    while (aft_world_next_outcome(w, end + 30 * AFT_WORLD_DAY_MS, &o))
        log_outcome(outcomes, &o, happened++);
    GO(aft_file_finish(impressions, e));
    GO(aft_file_finish(outcomes, e));
    fprintf(stderr, "%lld impressions, %lld outcomes\n", (long long)shown, (long long)happened);
    aft_world_free(w);
    aft_model_free(uniform);
    aft_scratch_free(scratch);
}

static void
join(const char *program, const char *folder)
{
    char command[4096];
    snprintf(
        command, sizeof command,
        "%s join --impressions %s --outcomes %s --examples %s --set join.window=14d --set "
        "join.grace=6h --set join.open.after=10m --set join.disorder=1m "
        "--set reward.click.weight=0.05 --set reward.click.count=first --set "
        "reward.click.click=true --set reward.key_task_completed.weight=1.0 --set "
        "reward.key_task_completed.rule=last_touch --set "
        "reward.key_task_completed.match=subject --set reward.qualified_view_benefit.weight=0.2 "
        "--set reward.qualified_view_benefit.count=first 1>&2",
        program, path_of(folder, "impressions"), path_of(folder, "outcomes"),
        path_of(folder, "examples"));
    if (system(command) != 0) {
        fprintf(stderr, "bench_forecast: %s\n", command);
        exit(1);
    }
}

/* ---- learners */
static struct aft_learner *
learner(const char *model, const char *forecast)
{
    static const char *const keys[][2] = {{"learner.weighting", "none"},
                                          {"learner.reward.scale", "1.25"},
                                          {"features.interactions", VISIT_INTERACTIONS},
                                          {"features.buckets.days_since_enrol", "7,21,45"},
                                          {"policy.explore", "softmax"},
                                          {"policy.temperature", "1"}};
    struct aft_learner_settings s;
    struct aft_learner *l = NULL;
    bool known;
    aft_learner_settings_default(&s);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        GO(aft_learner_set(&s, keys[i][0], keys[i][1], &known, e));
    GO(aft_learner_set(&s, "learner.model", model, &known, e));
    GO(aft_learner_set(&s, "learner.forecast", forecast, &known, e));
    GO(aft_learner_new(&s, &l, e));
    return l;
}

static enum aft_err
to_set(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    bool whole;
    (void)key;
    return aft_snapshot_set_add(ctx, body, &whole, e);
}

/* With a temperature of 1 a log-weight is the score: a ridge's expected reward at the top, or log-odds of it. */
static double
score(struct bench *b, const struct aft_model *m, const struct aft_example *x)
{
    struct aft_decision d;
    struct aft_candidate c[AFT_WORLD_MESSAGES];
    uint32_t n = x->candidates_n < AFT_WORLD_MESSAGES ? x->candidates_n : AFT_WORLD_MESSAGES;
    double found = 0;
    for (uint32_t i = 0; i < n; i++) {
        c[i] = x->candidates[i];
        c[i].mask = AFT_ABSENT;
    }
    struct aft_request r = {.context = x->context,
                            .candidates = c,
                            .candidates_n = n,
                            .k = 1,
                            .key = AFT_LITERAL("probe")};
    GO(aft_decide(m, b->scratch, &r, &d, e));
    for (uint32_t i = 0; i < n; i++)
        if (aft_same(c[i].arm_id, x->items[0].arm_id))
            found = (double)d.log_weights[i];
    return found;
}

static void
look(struct bench *b, double day)
{
    struct look *out = &b->looks[b->looks_n++];
    struct aft_end end = {0};
    out->day = day;
    for (int k = 0; k < LEARNERS; k++) {
        struct aft_snapshot_set *set = aft_snapshot_set_new();
        struct aft_model *m = NULL;
        struct aft_publish_spec spec = {
            .model = AFT_LITERAL("m"), .round = b->looks_n, .ends = &end, .ends_n = 1};
        GO(aft_learner_publish(b->learners[k], &spec, to_set, set, e));
        GO(aft_model_load(set, &m, e));
        for (uint32_t i = 0; i < b->probes_n; i++) {
            struct aft_reader r = aft_reader(aft_buffer_bytes(&b->probes[i]));
            struct aft_example x;
            aft_arena_reset(&b->probe_arena);
            GO(aft_decode_example(&r, &b->probe_arena, &x, e));
            out->scores[k][i] = score(b, m, &x);
            if (b->logistic)
                out->scores[k][i] = aft_logistic(out->scores[k][i]);
        }
        aft_model_free(m);
        aft_snapshot_set_free(set);
    }
}

static void
learn(struct bench *b, struct aft_example *x)
{
    GO(aft_learner_learn(b->learners[FORECAST], x, e));
    GO(aft_learner_learn(b->learners[ZERO], x, e));
    if (x->phase != AFT_SETTLE)
        return;
    x->phase = AFT_OPEN;
    GO(aft_learner_learn(b->learners[WAIT], x, e));
}

/* Each example to `each`, in the file's order. */
static void
read_examples(struct bench *b, const char *path,
              void (*each)(struct bench *b, struct aft_example *x, struct aft_bytes body))
{
    struct aft_file_reader *f = NULL;
    struct aft_file_record record;
    bool end = false;
    GO(aft_file_open(path, AFT_RECORD_EXAMPLE, false, &f, e));
    for (;;) {
        struct aft_example x;
        GO(aft_file_next(f, &record, &end, e));
        if (end)
            break;
        struct aft_reader r = aft_reader(record.body);
        aft_arena_reset(&b->arena);
        GO(aft_decode_example(&r, &b->arena, &x, e));
        each(b, &x, record.body);
    }
    aft_file_close(f);
}

static void
take_probe(struct bench *b, struct aft_example *x, struct aft_bytes body)
{
    bool taken = aft_hash64(x->decision_id, 5) % 97 == 0 && x->items_n > 0;
    if (x->phase == AFT_OPEN && taken && b->probes_n < PROBES)
        aft_put_raw(&b->probes[b->probes_n++], body);
}

static void
take_example(struct bench *b, struct aft_example *x, struct aft_bytes body)
{
    static int64_t first, next;
    (void)body;
    first = first ? first : x->fire_ms;
    next = next ? next : first + 2 * AFT_WORLD_DAY_MS;
    if (x->fire_ms >= next && b->looks_n < LOOKS - 1) {
        look(b, (double)(next - first) / AFT_WORLD_DAY_MS);
        next += 2 * AFT_WORLD_DAY_MS;
    }
    learn(b, x);
}

/* ---- the answer */
static void
print_looks(const struct bench *b)
{
    const double *end = b->looks[b->looks_n - 1].scores[WAIT];
    double mean = 0, variance = 0, n = b->probes_n;
    for (uint32_t i = 0; i < b->probes_n; i++)
        mean += end[i] / n;
    for (uint32_t i = 0; i < b->probes_n; i++)
        variance += (end[i] - mean) * (end[i] - mean) / n;
    puts("day,error forecast,error zero,error wait,mean forecast,mean zero,mean wait");
    for (uint32_t k = 0; k < b->looks_n; k++) {
        double error[LEARNERS] = {0}, level[LEARNERS] = {0};
        for (int l = 0; l < LEARNERS; l++)
            for (uint32_t i = 0; i < b->probes_n; i++) {
                double off = b->looks[k].scores[l][i] - end[i];
                error[l] += off * off / n;
                level[l] += b->looks[k].scores[l][i] / n / mean;
            }
        printf("%.0f,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f\n", b->looks[k].day, sqrt(error[0] / variance),
               sqrt(error[1] / variance), sqrt(error[2] / variance), level[0], level[1], level[2]);
    }
}

int
main(int argc, char **argv)
{
    static struct bench b;
    if (argc < 3) {
        fputs("usage: bench_forecast PROGRAM FOLDER [PARTICIPANTS [SEED [MODEL]]]\n", stderr);
        return 2;
    }
    write_logs(argv[2], argc > 3 ? (uint32_t)atol(argv[3]) : 1500,
               argc > 4 ? strtoull(argv[4], NULL, 0) : 1);
    join(argv[1], argv[2]);
    const char *model = argc > 5 ? argv[5] : "ridge";
    b.logistic = strcmp(model, "flow") == 0 || strncmp(model, "bayes", 5) == 0;
    aft_arena_init(&b.arena, 8 << 20);
    aft_arena_init(&b.probe_arena, 8 << 20);
    b.scratch = aft_scratch_new();
    b.looks = calloc(LOOKS, sizeof *b.looks);
    AFT_ASSERT(b.looks);
    b.learners[FORECAST] = learner(model, "on");
    b.learners[ZERO] = learner(model, "off");
    b.learners[WAIT] = learner(model, "off");
    read_examples(&b, path_of(argv[2], "examples"), take_probe);
    read_examples(&b, path_of(argv[2], "examples"), take_example);
    look(&b, 999);
    print_looks(&b);
    for (int k = 0; k < LEARNERS; k++)
        aft_learner_free(b.learners[k]);
    for (uint32_t i = 0; i < b.probes_n; i++)
        aft_buffer_deinit(&b.probes[i]);
    aft_arena_deinit(&b.arena);
    aft_arena_deinit(&b.probe_arena);
    aft_scratch_free(b.scratch);
    free(b.looks);
    return 0;
}
