/* golden_join - a case of tests/oracle/join_cases.py through the joiner, judged by tests/oracle/golden_join.py.
 *
 *   golden_join DIR [SEED]    DIR/{config.json,impressions.jsonl,outcomes.jsonl,clock.jsonl} -> examples as JSON lines, then one line
 *                             with fates and counts. With a SEED the logs arrive interleaved at random, in random batches, with cuts
 *                             and commits at random places, and the joiner is thrown away and opened again at random.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "attribution/attribution.h"

struct out {
    struct aft_buffer bodies; /* le32 length, body */
    uint64_t next;
};

static void
die(const char *what)
{
    fprintf(stderr, "golden_join: %s\n", what);
    exit(1);
}

static struct aft_bytes
text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? aft_text(s) : AFT_ABSENT;
}

static int64_t
long_of(const json_t *o, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static bool
flag_of(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static json_t *
read_lines(const char *dir, const char *name)
{
    char path[4096];
    static char line[1 << 20];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    json_t *all = json_array();
    while (fgets(line, sizeof line, f))
        json_array_append_new(all, json_loads(line, 0, NULL));
    fclose(f);
    return all;
}

/* ---- configuration */

static int
index_in(const char *const *names, int n, struct aft_bytes name)
{
    for (int i = 0; i < n; i++)
        if (aft_same(aft_text(names[i]), name))
            return i;
    return 0;
}

static void
kind_of(const char *name, const json_t *k, struct aft_kind *out)
{
    static const char *const rules[] = {"last_touch", "first_touch",    "linear",
                                        "time_decay", "position_based", "shapley"};
    static const char *const matches[] = {"user", "subject", "session"};
    *out = (struct aft_kind){.weight_micro = long_of(k, "weight_micro", 0)};
    snprintf(out->name, sizeof out->name, "%s", name);
    out->rule = (enum aft_rule)index_in(rules, 6, text_of(k, "rule"));
    out->match = (enum aft_match)index_in(matches, 3, text_of(k, "match"));
    out->half_life_ms = long_of(k, "half_life_ms", 0);
    out->delay_half_life_ms = long_of(k, "reward_half_life_ms", 0);
    out->count_first = aft_same(text_of(k, "count"), aft_text("first"));
    out->prefer_clicked = flag_of(k, "prefer_clicked");
    out->click = flag_of(k, "click");
    out->activates = flag_of(k, "activates");
}

static void
config_of(const json_t *c, struct aft_join_config *out)
{
    const char *name;
    json_t *k;
    *out = (struct aft_join_config){.window_ms = long_of(c, "window_ms", 0),
                                    .grace_ms = long_of(c, "grace_ms", 0),
                                    .open_after_ms = long_of(c, "open_after_ms", 0),
                                    .orphan_after_ms = long_of(c, "orphan_after_ms", 0),
                                    .disorder_ms = long_of(c, "disorder_ms", 0),
                                    .max_future_ms = long_of(c, "max_future_ms", 0),
                                    .open_max = 1u << 20};
    json_object_foreach(json_object_get(c, "kinds"), name, k)
    {
        kind_of(name, k, &out->kinds[out->kinds_n++]);
    }
}

/* ---- records */

static void
impression_body(const json_t *r, struct aft_buffer *b)
{
    struct aft_shown slate[AFT_SHOWN_MAX];
    struct aft_impression v = {.decision_id = text_of(r, "decision_id"),
                               .user_id = text_of(r, "user_id"),
                               .timestamp_ms = long_of(r, "ts", 0),
                               .session_id = text_of(r, "session_id"),
                               .policy = aft_text("personalised"),
                               .deferred = flag_of(r, "deferred"),
                               .slate = slate};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(r, "items"), i, item)
    {
        slate[v.slate_n++] =
            (struct aft_shown){.arm_id = text_of(item, "arm"),
                               .slot = (int32_t)i,
                               .propensity = json_number_value(json_object_get(item, "propensity")),
                               .subject = text_of(item, "subject")};
    }
    aft_encode_impression(b, &v);
}

static void
outcome_body(const json_t *r, struct aft_buffer *b)
{
    struct aft_outcome v = {.outcome_id = text_of(r, "outcome_id"),
                            .user_id = text_of(r, "user_id"),
                            .timestamp_ms = long_of(r, "ts", 0),
                            .kind = text_of(r, "kind"),
                            .value_micro = long_of(r, "value_micro", AFT_MICRO),
                            .decision_id = text_of(r, "decision_id"),
                            .arm_id = text_of(r, "arm"),
                            .subject = text_of(r, "subject"),
                            .session_id = text_of(r, "session_id"),
                            .retracts = text_of(r, "retracts")};
    aft_encode_outcome(b, &v);
}

/* ---- output */

static enum aft_err
keep(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash, struct aft_error *e)
{
    struct out *o = ctx;
    (void)hash;
    if (seq > o->next)
        return AFT_FAIL(e, AFT_E_GAP, "example %llu came after %llu", (unsigned long long)seq,
                        (unsigned long long)o->next);
    if (seq < o->next)
        return AFT_OK; /* written again after a restart */
    o->next++;
    aft_put_le32(&o->bodies, (uint32_t)body.n);
    aft_put_raw(&o->bodies, body);
    return AFT_OK;
}

static json_t *
string_of(struct aft_bytes b)
{
    return b.p ? json_stringn((const char *)b.p, b.n) : json_null();
}

static void
print_line(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static void
print_example(const struct aft_example *x)
{
    static const char *const phases[] = {"open", "revise", "settle", "erase"};
    json_t *o = json_object(), *deltas = json_array(), *rewards = json_array(), *all = json_array();
    for (uint32_t i = 0; i < x->items_n; i++) {
        json_t *c = json_object();
        for (uint32_t k = 0; k < x->items[i].components_n; k++)
            json_object_setn_new(c, (const char *)x->items[i].components[k].kind.p,
                                 x->items[i].components[k].kind.n,
                                 json_integer(x->items[i].components[k].micro));
        json_array_append_new(deltas, json_integer(x->items[i].delta_micro));
        json_array_append_new(rewards, json_integer(x->items[i].reward_micro));
        json_array_append_new(all, c);
    }
    json_object_set_new(o, "seq", json_integer((json_int_t)x->seq));
    json_object_set_new(o, "phase", json_string(phases[x->phase]));
    json_object_set_new(o, "fire", json_integer(x->fire_ms));
    json_object_set_new(o, "decision_id", string_of(x->decision_id));
    json_object_set_new(o, "cause", string_of(x->cause));
    json_object_set_new(o, "delta_micro", deltas);
    json_object_set_new(o, "reward_micro", rewards);
    json_object_set_new(o, "components", all);
    print_line(o);
}

static void
print_all(const struct out *o, const struct aft_joiner *j)
{
    struct aft_reader r = aft_reader(aft_buffer_bytes(&o->bodies));
    struct aft_arena arena;
    struct aft_error e;
    uint32_t n;
    aft_arena_init(&arena, 64 << 20);
    while (aft_get_le32(&r, &n)) {
        struct aft_reader one = {r.p, r.p + n};
        struct aft_example x;
        aft_arena_reset(&arena);
        if (aft_decode_example(&one, &arena, &x, &e) != AFT_OK)
            die(e.message);
        print_example(&x);
        r.p += n;
    }
    aft_arena_deinit(&arena);
    struct aft_join_counts c;
    aft_joiner_counts(j, &c);
    json_t *fates = json_object(), *counts = json_object(), *all = json_object();
#define X(name) json_object_set_new(fates, #name, json_integer(c.fates.name));
    AFT_FATES(X)
#undef X
#define X(name) json_object_set_new(counts, #name, json_integer(c.counts.name));
    AFT_COUNTS(X)
#undef X
    json_object_set_new(all, "fates", fates);
    json_object_set_new(all, "counts", counts);
    json_object_set_new(all, "dead", json_integer(c.future));
    print_line(all);
}

/* ---- the run */

struct run {
    struct aft_join_config config;
    json_t *logs[2], *clock;
    struct aft_store *store;
    struct aft_joiner *joiner;
    size_t at[2]; /* records given */
    struct out out;
    struct aft_random random;
    bool wild;
};

static void
must(enum aft_err failed, const struct aft_error *e)
{
    if (failed)
        die(e->message);
}

static void
open_joiner(struct run *r)
{
    struct aft_join_identity who = {"golden", 0};
    struct aft_join_out out = {&r->out, keep};
    struct aft_join_resume resume;
    struct aft_error e;
    size_t i;
    json_t *c;
    must(aft_joiner_open(&r->config, &who, r->store, &out, &r->joiner, &e), &e);
    aft_joiner_resume(r->joiner, &resume);
    if (resume.next_seq > r->out.next)
        die("the state is ahead of the examples");
    for (int k = 0; k < 2; k++)
        r->at[k] = (size_t)resume.next_offset[k];
    json_array_foreach(r->clock, i, c)
    {
        bool outcomes = aft_same(text_of(c, "log"), aft_text("outcomes"));
        aft_joiner_tick(r->joiner, outcomes ? AFT_OUTCOMES : AFT_IMPRESSIONS,
                        long_of(c, "at_offset", 0), long_of(c, "watermark", 0));
    }
}

static void
reopen(struct run *r)
{
    aft_joiner_close(r->joiner);
    open_joiner(r);
}

static void
give(struct run *r, int log)
{
    struct aft_buffer body = {0};
    struct aft_error e = {0};
    const json_t *v = json_array_get(r->logs[log], r->at[log]++);
    bool erase = flag_of(v, "erase");
    if (!erase && log == 0)
        impression_body(v, &body);
    else if (!erase)
        outcome_body(v, &body);
    enum aft_err failed = aft_joiner_take(r->joiner, (enum aft_log_kind)log,
                                          long_of(v, "offset", 0), long_of(v, "log_ts", 0),
                                          text_of(v, "user_id"), aft_buffer_bytes(&body), &e);
    if (failed && aft_err_class(failed) != AFT_CLASS_DATA)
        die(e.message);
    aft_buffer_deinit(&body);
}

/* wild_cut: a cut, perhaps some work before its commit, perhaps a crash instead of it or right behind it. */
static void
wild_cut(struct run *r)
{
    struct aft_error e;
    struct aft_digest before, after;
    uint64_t seq;
    aft_joiner_cut(r->joiner, aft_text("rider"), &seq);
    bool on = aft_random_below(&r->random, 2);
    if (on)
        must(aft_joiner_run(r->joiner, &e), &e);
    aft_joiner_digest(r->joiner, &before);
    if (aft_random_below(&r->random, 4) == 0) {
        reopen(r);
        return;
    }
    must(aft_joiner_commit(r->joiner, &e), &e);
    if (on || aft_random_below(&r->random, 3) != 0)
        return;
    reopen(r);
    aft_joiner_digest(r->joiner, &after);
    if (memcmp(before.b, after.b, sizeof before.b) != 0)
        die("recovery changed the state's meaning");
}

static void
wild_step(struct run *r)
{
    struct aft_error e;
    if (aft_random_below(&r->random, 4) == 0)
        must(aft_joiner_run(r->joiner, &e), &e);
    if (aft_random_below(&r->random, 12) == 0)
        wild_cut(r);
    else if (aft_random_below(&r->random, 40) == 0)
        reopen(r);
}

static void
run_case(struct run *r)
{
    struct aft_error e;
    size_t n[2] = {json_array_size(r->logs[0]), json_array_size(r->logs[1])};
    while (r->at[0] < n[0] || r->at[1] < n[1]) {
        int log =
            r->wild ? (int)aft_random_below(&r->random, 2) : (int)aft_joiner_behind(r->joiner);
        log = r->at[log] < n[log] ? log : !log;
        uint32_t batch = r->wild ? 1 + aft_random_below(&r->random, 20) : 7;
        for (; batch > 0 && r->at[log] < n[log]; batch--)
            give(r, log);
        if (r->wild)
            wild_step(r);
        else
            must(aft_joiner_run(r->joiner, &e), &e);
    }
    aft_joiner_reached(r->joiner, AFT_IMPRESSIONS, INT64_MAX);
    aft_joiner_reached(r->joiner, AFT_OUTCOMES, INT64_MAX);
    must(aft_joiner_run(r->joiner, &e), &e);
}

int
main(int argc, char **argv)
{
    struct run r = {0};
    char path[4096];
    if (argc < 2)
        die("usage: golden_join DIR [SEED]");
    snprintf(path, sizeof path, "%s/config.json", argv[1]);
    json_t *config = json_load_file(path, 0, NULL);
    if (!config)
        die(path);
    config_of(config, &r.config);
    r.logs[0] = read_lines(argv[1], "impressions.jsonl");
    r.logs[1] = read_lines(argv[1], "outcomes.jsonl");
    r.clock = read_lines(argv[1], "clock.jsonl");
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    r.wild = seed != 0;
    aft_random_init(&r.random, seed, 1);
    r.store = aft_store_mem_new();
    open_joiner(&r);
    run_case(&r);
    print_all(&r.out, r.joiner);
    aft_joiner_close(r.joiner);
    r.store->ops->close(r.store);
    aft_buffer_deinit(&r.out.bodies);
    for (int k = 0; k < 2; k++)
        json_decref(r.logs[k]);
    json_decref(r.clock);
    json_decref(config);
    return 0;
}
