/* test_cmd_learn.c - `aftertouch learn` over container files: the digest is the learner's own, the snapshot file loads, the
 * order of
 * reading does not matter. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "evaluate/evaluate.h"
#include "tests/learn_kit.h"
#include "wire/wire_avro.h"

enum { PER_FILE = 150 };

static char program[512]; /* beside the tests: ../bin/aftertouch */
static char directory[] = "/tmp/aft_learn_XXXXXX";

static const char *
path(const char *name)
{
    static char p[4][256];
    static int at;
    at = (at + 1) % 4;
    snprintf(p[at], sizeof p[at], "%s/%s", directory, name);
    return p[at];
}

/* Two files; fires interleave, with ties; swap = 1: neighbours of a file are in the wrong order. Learned here too, in the canonical
 * order. */
static struct aft_digest
write_files(int swap)
{
    struct kit_world w;
    struct aft_error e;
    struct aft_learner_settings s;
    struct aft_digest d;
    struct aft_buffer body[2][PER_FILE];
    struct aft_arena arena;
    memset(body, 0, sizeof body);
    aft_arena_init(&arena, 1 << 20);
    kit_world_init(&w, 21);
    for (int f = 0; f < 2; f++) {
        struct aft_file_writer *out = NULL;
        assert_int_equal(
            aft_file_create(path(f ? "b.avro" : "a.avro"), AFT_RECORD_EXAMPLE, false, &out, &e), 0);
        for (int i = 0; i < PER_FILE; i++) {
            struct aft_example x = kit_open(&w, NULL);
            x.seq = (uint64_t)i;
            x.fire_ms = i ^ swap;
            aft_encode_example(&body[f][i], &x);
            struct aft_file_record r = {.body = aft_buffer_bytes(&body[f][i])};
            assert_int_equal(aft_file_append(out, &r, &e), 0);
        }
        assert_int_equal(aft_file_finish(out, &e), 0);
    }
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.weighting", "none");
    struct aft_learner *l = kit_learner(&s);
    for (int i = 0; i < 2 * PER_FILE; i++) { /* fire, then partition */
        struct aft_reader r = aft_reader(aft_buffer_bytes(&body[i % 2][(i / 2) ^ swap]));
        struct aft_example x;
        aft_arena_reset(&arena);
        assert_int_equal(aft_decode_example(&r, &arena, &x, &e), 0);
        assert_int_equal(aft_learner_learn(l, &x, &e), 0);
        aft_buffer_deinit(&body[i % 2][(i / 2) ^ swap]);
    }
    aft_learner_digest(l, &d);
    aft_learner_free(l);
    aft_arena_deinit(&arena);
    kit_world_deinit(&w);
    return d;
}

static int
run(const char *arguments, char *out, size_t size)
{
    char command[2048];
    snprintf(command, sizeof command, "%s learn %s 2>&1", program, arguments);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, size - 1, p);
    out[n] = 0;
    return pclose(p);
}

/* Both files through the program; the digest must be the one that was reckoned here. */
static void
learn_both(int swap, char digest[65])
{
    struct aft_digest d = write_files(swap);
    char arguments[900], out[4096];
    aft_hex(d.b, sizeof d.b, digest);
    snprintf(arguments, sizeof arguments,
             "--json --set learner.weighting=none --set learner.reward.scale=1 --examples %s "
             "--examples %s --snapshot %s",
             path("a.avro"), path("b.avro"), path("s.avro"));
    if (run(arguments, out, sizeof out) != 0)
        fail_msg("%s", out);
    if (!strstr(out, digest) || !strstr(out, "\"decisions\":300"))
        fail_msg("wanted digest %s and 300 decisions in %s", digest, out);
}

static void
test_learn_files_that_must_be_sorted(void **state)
{
    char digest[65];
    (void)state;
    learn_both(1, digest);
}

/* The digest that the program says at the end of its words. */
static void
learned(const char *arguments, char digest[65])
{
    char out[4096] = "";
    int code = run(arguments, out, sizeof out);
    const char *at = strstr(out, "digest ");
    if (code != 0 || !at || strlen(at) < 7 + 64)
        fail_msg("%s: %s", arguments, out);
    snprintf(digest, 65, "%.64s", at ? at + 7 : "");
}

static void
test_shares_and_their_merge(void **state)
{
    static const char sums[] = "--set learner.model=ridge --set learner.reward.scale=1";
    char want[65], have[65], line[1600];
    (void)state;
    for (int swap = 0; swap < 2; swap++) {
        write_files(swap);
        for (int shards = 1; shards <= 4; shards++) {
            snprintf(line, sizeof line, "%s --set learner.shards=%d --snapshot %s %s %s", sums,
                     shards, path("s.avro"), path("a.avro"), path("b.avro"));
            learned(line, shards == 1 ? want : have);
            assert_string_equal(want, shards == 1 ? want : have);
        }
        for (int i = 0; i < 2; i++) {
            snprintf(line, sizeof line,
                     "%s --set learner.shards=1 --share %d/2 --snapshot %s %s %s", sums, i,
                     path(i ? "s1.avro" : "s0.avro"), path("a.avro"), path("b.avro"));
            learned(line, have);
            assert_string_not_equal(want, have);
        }
        snprintf(line, sizeof line, "%s --set learner.shards=1 --snapshot %s --merge %s --merge %s",
                 sums, path("s.avro"), path("s1.avro"), path("s0.avro"));
        learned(line, have);
        assert_string_equal(want, have);
    }
    char out[4096];
    snprintf(line, sizeof line, "%s --set learner.shards=1 --snapshot %s --merge %s", sums,
             path("s.avro"), path("s0.avro"));
    assert_int_equal(run(line, out, sizeof out), 0);
    assert_non_null(strstr(out, "partition 1 has no example in any of these snapshots"));
    snprintf(line, sizeof line, "--set learner.shards=2 --snapshot %s %s", path("s.avro"),
             path("a.avro"));
    int code = run(line, out, sizeof out);
    assert_int_equal(WEXITSTATUS(code), 3); /* the default model is no sum */
    assert_non_null(strstr(out, "only sums can be shared"));
}

static void
test_learn_from_files(void **state)
{
    struct aft_error e;
    char digest[65];
    (void)state;
    learn_both(0, digest);
    struct aft_file_reader *f = NULL;
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_model *m = NULL;
    assert_int_equal(aft_file_open(path("s.avro"), AFT_RECORD_SNAPSHOT, false, &f, &e), 0);
    bool whole = false, end = false;
    while (!end) {
        struct aft_file_record r;
        assert_int_equal(aft_file_next(f, &r, &end, &e), 0);
        if (!end)
            assert_int_equal(aft_snapshot_set_add(set, r.body, &whole, &e), 0);
    }
    assert_true(whole);
    assert_int_equal(aft_model_load(set, &m, &e), 0);
    struct aft_bytes id = aft_model_snapshot_id(m);
    assert_true(aft_same(id, aft_text(digest)));
    assert_int_equal(aft_snapshot_set_manifest(set)->manifest.ends_n, 2);
    aft_model_free(m);
    aft_snapshot_set_free(set);
    aft_file_close(f);
}

/* More than a record's bytes between two blocks, out of order: the blocks that learn makes of it stay readable. */
static void
test_unordered_and_large(void **state)
{
    (void)state;
    static char text[4000];
    struct aft_feature f[100];
    char names[100][8], out[4096], arguments[600];
    struct aft_error e;
    struct aft_file_writer *file = NULL;
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        f[i] = (struct aft_feature){
            .name = aft_text(names[i]), .type = AFT_FEATURE_TEXT, .text = aft_text(text)};
    }
    assert_int_equal(aft_file_create(path("c.avro"), AFT_RECORD_EXAMPLE, false, &file, &e), 0);
    for (int i = 0; i < 30; i++) {
        struct aft_buffer body = {0};
        struct aft_example x = {.seq = (uint64_t)i,
                                .fire_ms = 100 - i,
                                .decision_id = AFT_LITERAL("d"),
                                .user_id = AFT_LITERAL("u"),
                                .policy = AFT_LITERAL("p"),
                                .context = {f, 100}};
        aft_encode_example(&body, &x);
        assert_int_equal(
            aft_file_append(file, &(struct aft_file_record){.body = aft_buffer_bytes(&body)}, &e),
            0);
        aft_buffer_deinit(&body);
    }
    assert_int_equal(aft_file_finish(file, &e), 0);
    snprintf(arguments, sizeof arguments, "--json --examples %s --snapshot %s", path("c.avro"),
             path("s.avro"));
    if (run(arguments, out, sizeof out) != 0 || !strstr(out, "\"decisions\":30"))
        fail_msg("%s", out);
    snprintf(arguments, sizeof arguments, "--examples %s --snapshot %s --greedy %s", path("c.avro"),
             path("s.avro"), path("g.txt"));
    assert_int_not_equal(run(arguments, out, sizeof out), 0);
    assert_non_null(strstr(out, "order of fire"));
}

/* --greedy: a line each decision, a candidate's number. */
static void
test_greedy(void **state)
{
    (void)state;
    char out[4096], arguments[600];
    int lines = 0, known = 0, greedy = 0;
    snprintf(arguments, sizeof arguments, "--examples %s --snapshot %s --greedy %s", path("a.avro"),
             path("s.avro"), path("g.txt"));
    if (run(arguments, out, sizeof out) != 0)
        fail_msg("%s", out);
    FILE *f = fopen(path("g.txt"), "r");
    assert_non_null(f);
    for (; fscanf(f, "%d", &greedy) == 1; lines++) {
        assert_true(greedy >= -1 && greedy < KIT_ARMS);
        known += greedy >= 0;
    }
    fclose(f);
    assert_int_equal(lines, PER_FILE);
    assert_int_equal(known, PER_FILE);
}

/* One thing that cannot be learned in each of the first decisions: counted by reason, never learned, never fatal. */
static void
spoil(struct kit_world *w, struct aft_example *x, int i)
{
    static const double odd[] = {0, -0.5, 1.5, (double)NAN, (double)INFINITY};
    enum { ODD = sizeof odd / sizeof odd[0] };
    struct aft_example_item *item = &w->items[0];
    if (i < ODD) {
        item->propensity = odd[i];
        return;
    }
    switch (i - ODD) {
    case 0:
        w->context[1].number = (double)NAN;
        return;
    case 1:
        w->context[1].number = -(double)INFINITY;
        return;
    case 2:
        x->design.pass = (double)NAN;
        x->design.has_pass = true;
        return;
    case 3:
        item->reward_micro = -AFT_MICRO;
        return;
    default:
        return;
    }
}

static void
test_refused(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_error e;
    struct aft_file_writer *out = NULL;
    struct aft_buffer body = {0};
    char arguments[600], said[4096];
    kit_world_init(&w, 22);
    assert_int_equal(aft_file_create(path("odd.avro"), AFT_RECORD_EXAMPLE, false, &out, &e), 0);
    for (int i = 0; i < 100; i++) {
        struct aft_example x = kit_open(&w, NULL);
        x.seq = (uint64_t)i;
        x.items_n = 1;
        spoil(&w, &x, i);
        aft_buffer_reset(&body);
        aft_encode_example(&body, &x);
        struct aft_file_record r = {.body = aft_buffer_bytes(&body)};
        assert_int_equal(aft_file_append(out, &r, &e), 0);
    }
    assert_int_equal(aft_file_finish(out, &e), 0);
    aft_buffer_deinit(&body);
    kit_world_deinit(&w);
    for (int how = 0; how < 4; how++) {
        static const char dr[] = "auto --set learner.reduction=dr --set learner.model=flow-squared";
        static const char *const ways[] = {"auto", "none", "iwr", dr};
        snprintf(arguments, sizeof arguments,
                 "--json --examples %s --snapshot %s --set learner.weighting=%s", path("odd.avro"),
                 path("o.s"), ways[how]);
        if (run(arguments, said, sizeof said) != 0)
            fail_msg("%s", said);
        if (!strstr(said, "\"decisions\":100"))
            fail_msg("%s: %s", ways[how], said);
        if (how < 3 && !strstr(said, "\"learned\":91"))
            fail_msg("%s: %s", ways[how], said);
        if (!strstr(said, "\"refused\":{\"support\":6,\"weight\":0,") ||
            strstr(said, "\"ips\":nan") || strstr(said, "\"dr\":nan"))
            fail_msg("%s: %s", ways[how], said);
    }
}

/* Examples that follow the schema and break a bound or a rule: refused as a whole, counted, named with their place. After them some that
 * are odd and break none. */
struct odd { /* longer than any */
    struct aft_example_item items[40];
    struct aft_candidate candidates[1001];
    struct aft_feature features[520];
    char names[1001][8], text[5000];
};

static const char *const broken_words[] = {
    "Example.items.slot is not in 0 .. 31",
    "Example.items.slot is not in 0 .. 31",
    "Example.items.arm_id stands twice in the example",
    "Example.items: more than 32",
    "Example.candidates: more than 1000",
    "Example.context: more than 512",
    "Example.context: more than 4096",
    "Example.items.arm_id is empty",
    "Example.decision_id is empty",
    "one of its times is none",
    "a reward is beyond",
    "a reward is beyond",
    "a component of a reward is beyond",
};
enum { BROKEN = sizeof broken_words / sizeof *broken_words, ODD_FILE = 60 };

static void
break_item(struct aft_example_item *item, int i)
{
    static struct aft_component far;
    far = (struct aft_component){AFT_LITERAL("click"), INT64_MAX};
    if (i < 2)
        item->slot = i ? -1 : 77;
    if (i == 7)
        item->arm_id = AFT_LITERAL("");
    if (i == 10)
        item->reward_micro = INT64_MIN;
    if (i == 11)
        item->delta_micro = INT64_MAX;
    if (i == 12) {
        item->components = &far;
        item->components_n = 1;
    }
}

static void
break_example(struct kit_world *w, struct odd *o, struct aft_example *x, int i)
{
    for (uint32_t k = 0; k < 40; k++) {
        o->items[k] = w->items[0];
        o->items[k].arm_id = aft_text(o->names[k]);
        o->items[k].slot = (int32_t)(k % 32);
    }
    break_item(&w->items[0], i);
    if (i == 2)
        w->items[1].arm_id = w->items[0].arm_id;
    if (i == 3 || i == BROKEN) { /* 20 items are many, and good */
        x->items = o->items;
        x->items_n = i == 3 ? 33 : 20;
    }
    if (i == 4) {
        x->candidates = o->candidates;
        x->candidates_n = 1001;
    }
    if (i == 5)
        x->context = (struct aft_features){o->features, 513};
    if (i == 6)
        w->context[0].text = aft_text(o->text);
    if (i == 8)
        x->decision_id = AFT_LITERAL("");
    if (i == 9)
        x->timestamp_ms = INT64_MIN;
    if (i == BROKEN + 1)
        x->items_n = 0;
    if (i == BROKEN + 2)
        x->candidates_n = 0;
    if (i == BROKEN + 3)
        w->context[1] = w->context[2]; /* a feature twice */
    if (i == BROKEN + 4)
        w->items[1].slot = 0; /* a slot twice */
}

static void
write_odd(struct odd *o, const char *file, bool swap)
{
    struct kit_world w;
    struct aft_error e;
    struct aft_file_writer *out = NULL;
    struct aft_buffer body = {0};
    kit_world_init(&w, 23);
    memset(o->text, 'a', sizeof o->text - 1);
    for (int i = 0; i < 1001; i++) {
        snprintf(o->names[i], sizeof o->names[i], "n%d", i);
        o->candidates[i] = (struct aft_candidate){.arm_id = aft_text(o->names[i])};
        if (i < 520)
            o->features[i] = (struct aft_feature){.name = aft_text(o->names[i]), .number = 1};
    }
    assert_int_equal(aft_file_create(file, AFT_RECORD_EXAMPLE, false, &out, &e), 0);
    for (int i = 0; i < ODD_FILE; i++) {
        struct aft_example x = kit_open(&w, NULL);
        x.seq = (uint64_t)i;
        x.fire_ms = i ^ swap;
        break_example(&w, o, &x, i);
        aft_buffer_reset(&body);
        aft_encode_example(&body, &x);
        struct aft_file_record r = {.body = aft_buffer_bytes(&body)};
        assert_int_equal(aft_file_append(out, &r, &e), 0);
    }
    assert_int_equal(aft_file_finish(out, &e), 0);
    aft_buffer_deinit(&body);
    kit_world_deinit(&w);
}

static void
test_broken(void **state)
{
    static const char *const ways[] = {"learner.weighting=auto",
                                       "learner.weighting=none",
                                       "learner.reduction=dr --set learner.model=flow-squared",
                                       "learner.half.life=1h --set learner.model=vw",
                                       "learner.model=ridge --set learner.forecast=on",
                                       "learner.forecast=on",
                                       "learner.model=ridge --set learner.shards=2"};
    static struct odd o;
    char arguments[600], said[20000], want[80], place[120];
    (void)state;
    for (int swap = 0; swap < 2; swap++)
        for (size_t how = 0; how < sizeof ways / sizeof *ways; how++) {
            write_odd(&o, path("broken.avro"), swap);
            snprintf(arguments, sizeof arguments,
                     "--json --examples %s --snapshot %s --set learner.reward.scale=1 --set %s",
                     path("broken.avro"), path("o.s"), ways[how]);
            if (run(arguments, said, sizeof said) != 0)
                fail_msg("%s: %s", ways[how], said);
            snprintf(want, sizeof want, "\"decisions\":%d,", ODD_FILE);
            snprintf(place, sizeof place, "\"example\":%d}", BROKEN);
            if (!strstr(said, want) || !strstr(said, place))
                fail_msg("%s: %s", ways[how], said);
            for (int i = 0; i < 10 && !swap; i++) { /* so many are named */
                snprintf(place, sizeof place, "broken.avro: refused seq %d", i);
                if (!strstr(said, place) || !strstr(said, broken_words[i]))
                    fail_msg("%s: %s: %s", place, broken_words[i], said);
            }
        }
}

/* --shadow: what is said of the model beside is what evaluate says of the settled examples, to the digits that are printed. */
static void
test_shadow(void **state)
{
    (void)state;
    enum { DECISIONS = 40 };
    struct kit_world w;
    struct aft_error e;
    struct aft_file_writer *out = NULL;
    struct aft_ope_row top[DECISIONS];
    struct aft_ope o;
    char arguments[900], said[4096], want[200];
    kit_world_init(&w, 5);
    assert_int_equal(aft_file_create(path("shadow.avro"), AFT_RECORD_EXAMPLE, false, &out, &e), 0);
    for (int i = 0; i < 2 * DECISIONS; i++) {
        static struct aft_example x; /* a decision's OPEN, then its SETTLE */
        static double p[KIT_SLOTS];
        struct aft_slate_row rows[AFT_SLATE_MAX];
        struct aft_buffer body = {0};
        if (i % 2 == 0)
            x = kit_open(&w, NULL);
        for (uint32_t l = 0; l < x.items_n; l++)
            p[l] = x.items[l].propensity * (l == 0 && i % 4 == 0 ? 0.5 : 0.75);
        x.has_design = true;
        x.design.shadow = AFT_LITERAL("another model");
        x.design.shadow_p = p;
        x.design.shadow_n = x.items_n;
        x.phase = i % 2 ? AFT_SETTLE : AFT_OPEN;
        x.seq = (uint64_t)i;
        x.fire_ms = i;
        aft_encode_example(&body, &x);
        struct aft_file_record r = {.body = aft_buffer_bytes(&body)};
        assert_int_equal(aft_file_append(out, &r, &e), 0);
        aft_buffer_deinit(&body);
        double pass;
        assert_true(aft_ope_shadow(&x, rows, &pass) > 0);
        top[i / 2] = (struct aft_ope_row){rows[0].conditional, rows[0].reward, 0, 0, pass};
    }
    assert_int_equal(aft_file_finish(out, &e), 0);
    kit_world_deinit(&w);
    aft_ope(top, DECISIONS, 0, 0, &o);
    snprintf(arguments, sizeof arguments, "--shadow --examples %s --snapshot %s",
             path("shadow.avro"), path("shadow-s.avro"));
    assert_int_equal(run(arguments, said, sizeof said), 0);
    snprintf(want, sizeof want, "shadow model, 40 settled decisions: top slot ips %.6f snips %.6f",
             o.ips, o.snips);
    if (!strstr(said, want) || !(o.ips > 0))
        fail_msg("%s: %s", want, said);
    snprintf(arguments, sizeof arguments, "--shadow --json --examples %s --snapshot %s",
             path("a.avro"), path("shadow-s.avro"));
    assert_int_equal(run(arguments, said, sizeof said), 0);
    assert_non_null(strstr(said, "\"shadow\":{\"decisions\":0}"));
}

static void
test_wrong_arguments(void **state)
{
    (void)state;
    char out[4096], arguments[512];
    assert_int_not_equal(run("--examples nowhere.avro --snapshot /tmp/x.avro", out, sizeof out), 0);
    assert_non_null(strstr(out, "nowhere.avro"));
    snprintf(arguments, sizeof arguments, "--examples %s", path("a.avro"));
    assert_int_not_equal(run(arguments, out, sizeof out), 0);
    assert_non_null(strstr(out, "--snapshot"));
    snprintf(arguments, sizeof arguments, "rm -r %s", directory);
    assert_int_equal(system(arguments), 0);
}

int
main(int argc, char **argv)
{
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    int n = slash ? (int)(slash - argv[0]) : 0;
    snprintf(program, sizeof program, "%.*s/../bin/aftertouch", n ? n : 1, n ? argv[0] : ".");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn_files_that_must_be_sorted),
        cmocka_unit_test(test_learn_from_files),
        cmocka_unit_test(test_unordered_and_large),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_shares_and_their_merge),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_wrong_arguments),
    };
    if (!mkdtemp(directory))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
