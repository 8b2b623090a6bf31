/* core_bits.c - what the core makes of a fixed stream, as digests, a line each. tests/checks/bits.py builds it with several compilers and
 * runs it as on several CPUs; all must print the same. Not part of the build.
 *
 *   learner  the whole state after OPEN, REVISE and SETTLE of 400 decisions, for each kind of model and some settings
 *   topic    every record of a full snapshot and of two deltas
 *   decide   every probability of decisions by the model, by each way to explore that is not refused
 *   fmath    a million results of exp, log, quantile, logistic
 */
#include <stdio.h>
#include <stdlib.h>

#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), fputs("\n", stderr), abort())

#include "tests/learn_kit.h"

enum { DECISIONS = 400 };

static void
line(const char *what, const char *of, struct aft_digester *d)
{
    struct aft_digest digest;
    char hex[65];
    aft_digester_final(d, &digest);
    aft_hex(digest.b, sizeof digest.b, hex);
    printf("%-8s %-40s %s\n", what, of, hex);
}

static void
add_double(struct aft_digester *d, double x)
{
    uint8_t b[8];
    uint64_t u;
    memcpy(&u, &x, 8);
    aft_store_le64(b, u);
    aft_digester_update(d, (struct aft_bytes){b, 8});
}

/* ---- learning */
static void
learn(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_error e;
    if (aft_learner_learn(l, x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

/* A decision, its late reward, its end. */
static void
live(struct aft_learner *l, struct kit_world *w)
{
    struct aft_example x = kit_open(w, NULL);
    learn(l, &x);
    if (w->n % 3 == 0) {
        x.phase = AFT_REVISE;
        w->items[0].delta_micro = AFT_MICRO - w->items[0].reward_micro;
        w->items[0].reward_micro = AFT_MICRO;
        learn(l, &x);
    }
    x.phase = AFT_SETTLE;
    x.fire_ms += 60000;
    learn(l, &x);
}

struct sink {
    struct aft_digester topic;
    struct aft_snapshot_set *set;
};

static enum aft_err
take(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct sink *s = ctx;
    bool whole;
    aft_digester_update(&s->topic, key);
    aft_digester_update(&s->topic, body);
    return aft_snapshot_set_add(s->set, body, &whole, e);
}

static void
publish(struct aft_learner *l, struct sink *s, int64_t round)
{
    struct aft_error e;
    struct aft_publish_spec spec = {.model = AFT_LITERAL("m"),
                                    .round = round,
                                    .kind = round == 1 ? AFT_SNAPSHOT_FULL : AFT_SNAPSHOT_DELTA};
    if (aft_learner_publish(l, &spec, take, s, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

/* ---- deciding */
static void
decide(const struct aft_snapshot_set *set, struct aft_digester *d)
{
    struct kit_world w;
    struct aft_error e;
    struct aft_model *m;
    struct aft_decision out;
    if (aft_model_load(set, &m, &e) != AFT_OK)
        fail_msg("%s", e.message);
    kit_world_init(&w, 8);
    for (int i = 0; i < 50; i++) {
        kit_context(&w);
        w.n++;
        struct aft_request r = {.context = {w.context, 3},
                                .candidates = w.candidates,
                                .candidates_n = KIT_ARMS,
                                .k = KIT_SLOTS,
                                .key = aft_text(w.id)};
        if (aft_decide(m, w.scratch, &r, &out, &e) != AFT_OK)
            fail_msg("%s", e.message);
        for (uint32_t k = 0; k < out.n; k++) {
            add_double(d, out.slots[k].candidate);
            add_double(d, out.slots[k].propensity);
            add_double(d, out.slots[k].prefix);
        }
    }
    aft_model_free(m);
    kit_world_deinit(&w);
}

static void
one(struct aft_learner_settings *settings, const char *name)
{
    struct kit_world w;
    struct aft_digester d, decisions;
    struct aft_digest digest;
    struct sink s = {.set = aft_snapshot_set_new()};
    struct aft_learner *l = kit_learner(settings);
    kit_world_init(&w, 4);
    aft_digester_init(&s.topic);
    aft_digester_init(&decisions);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < DECISIONS / 3 + 1; i++)
            live(l, &w);
        publish(l, &s, round);
    }
    aft_learner_digest(l, &digest);
    aft_digester_init(&d);
    aft_digester_update(&d, (struct aft_bytes){digest.b, sizeof digest.b});
    line("learner", name, &d);
    line("topic", name, &s.topic);
    decide(s.set, &decisions);
    line("decide", name, &decisions);
    aft_snapshot_set_free(s.set);
    aft_learner_free(l);
    kit_world_deinit(&w);
}

/* "key=value key=value"; what this build refuses is told as refused, by every build alike. */
static void
with(const char *model, const char *more)
{
    struct aft_learner_settings s;
    struct aft_learner *l;
    struct aft_error e;
    char name[160], words[160], *at = words, *pair;
    snprintf(name, sizeof name, "%s %s", model, more);
    snprintf(words, sizeof words, "%s", more);
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    kit_set(&s, "features.bits", "12");
    kit_set(&s, "features.interactions", "device*topic, device*slot");
    kit_set(&s, "features.buckets.days", "7,14,30,60");
    while ((pair = strtok_r(at, " ", &at)) != NULL) {
        char *value = strchr(pair, '=');
        *value++ = '\0';
        kit_set(&s, pair, value);
    }
    if (aft_learner_new(&s, &l, &e) != AFT_OK) {
        printf("%-8s %-40s refused\n", "learner", name);
        return;
    }
    aft_learner_free(l);
    one(&s, name);
}

static void
fmath(void)
{
    struct aft_random r;
    struct aft_digester d;
    aft_random_init(&r, 20261123, 0);
    aft_digester_init(&d);
    for (int i = 0; i < 100000; i++) {
        double u = aft_random_unit(&r);
        add_double(&d, aft_exp((u - 0.5) * 1400));
        add_double(&d, aft_log(aft_random_unit(&r) * 1e6));
        add_double(&d, aft_normal_quantile(aft_random_unit(&r)));
        add_double(&d, aft_logistic((u - 0.5) * 60));
    }
    line("fmath", "", &d);
}

int
main(void)
{
    static const char *const more[] = {"policy.explore=softmax", "policy.explore=thompson",
                                       "learner.scope=per_arm", "learner.half.life=1h"};
    uint32_t n;
    const struct aft_word *models = aft_model_words(&n);
    fmath();
    for (uint32_t i = 0; i < n; i++)
        for (size_t j = 0; j < sizeof more / sizeof *more; j++)
            with(models[i].text, more[j]);
    with("flow-squared", "learner.reduction=ips");
    with("flow-squared", "learner.reduction=dr");
    with("flow-squared", "policy.explore=cover learner.members=3");
    return 0;
}
