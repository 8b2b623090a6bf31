/* test_cmd_import.c - `aftertouch import vw`: files as VW's users have them -> examples, told in one line each; what is left out and
 * why; rewards' ranges; arms' names; VW's options as a configuration that `learn` takes. */
#include "tests/kit.h"

#include <string.h>
#include <unistd.h>

#include "wire/wire_avro.h"

static char program[512]; /* beside the tests: ../bin/aftertouch */
static char directory[] = "/tmp/aft_import_XXXXXX";
static char said[16384], told[16384];

/* From the tutorials: two events, the second with a cost of 0, an unlabelled one, a tag. */
static const char tutorial[] = "shared | s_1 s_2\n"
                               "0:1.0:0.5 | a_1 b_1 c_1\n"
                               "| a_2 b_2 c_2\n"
                               "| a_3 b_3 c_3\n"
                               "\n"
                               "shared 'second | s_1 s_3\n"
                               "| a_1 b_1 c_1\n"
                               "0:0.0:0.25 | a_2 b_2 c_2\n"
                               "\n"
                               "shared | s_9\n"
                               "| a_1 b_1 c_1\n"
                               "| a_3 b_3 c_3\n";

static const char *
path(const char *name)
{
    static char p[4][256];
    static int at;
    at = (at + 1) % 4;
    snprintf(p[at], sizeof p[at], "%s/%s", directory, name);
    return p[at];
}

/* The command with standard input from `text`; stdout and stderr into said. */
static int
run(const char *text, const char *arguments)
{
    char command[2048];
    FILE *f = fopen(path("in.vw"), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    snprintf(command, sizeof command, "cd %s && %s %s 2>&1", directory, program, arguments);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(said, 1, sizeof said - 1, p);
    said[n] = 0;
    return pclose(p);
}

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void
tell(const char *format, ...)
{
    size_t n = strlen(told);
    va_list args;
    va_start(args, format);
    vsnprintf(told + n, sizeof told - n, format, args);
    va_end(args);
}

static void
tell_features(struct aft_features f)
{
    for (uint32_t i = 0; i < f.n; i++) {
        tell("%s%.*s", i ? "," : "", (int)f.v[i].name.n, (const char *)f.v[i].name.p);
        if (f.v[i].type == AFT_FEATURE_TEXT)
            tell("=%.*s", (int)f.v[i].text.n, (const char *)f.v[i].text.p);
        else if (f.v[i].number != 1)
            tell(":%g", f.v[i].number);
    }
}

static void
tell_example(const struct aft_example *x)
{
    const struct aft_example_item *item = &x->items[0];
    tell("%llu %.*s [", (unsigned long long)x->seq, (int)x->decision_id.n,
         (const char *)x->decision_id.p);
    tell_features(x->context);
    tell("]");
    for (uint32_t i = 0; i < x->candidates_n; i++) {
        tell(" %.*s(", (int)x->candidates[i].arm_id.n, (const char *)x->candidates[i].arm_id.p);
        tell_features(x->candidates[i].features);
        tell(")");
    }
    if (x->has_design && x->design.has_pass)
        tell(" kept=%g at=%lld", x->design.pass, (long long)x->timestamp_ms);
    tell(" -> %.*s p=%g r=%g%s\n", (int)item->arm_id.n, (const char *)item->arm_id.p,
         item->propensity, (double)item->reward_micro / AFT_MICRO,
         x->propensity_kind == AFT_PROPENSITY_UNKNOWN ? " unknown" : "");
    assert_int_equal(x->items_n, 1);
    assert_int_equal(x->phase, AFT_OPEN);
    assert_true(item->delta_micro == item->reward_micro);
}

/* import_is: the file's examples, as tell_example has them. */
static void
import_is(const char *text, const char *arguments, const char *wanted)
{
    char line[1024];
    struct aft_file_reader *f = NULL;
    struct aft_error e;
    struct aft_arena arena;
    bool end = false;
    snprintf(line, sizeof line, "import vw in.vw --examples out.avro %s", arguments);
    if (run(text, line) != 0)
        fail_msg("%s", said);
    told[0] = 0;
    aft_arena_init(&arena, 1 << 20);
    assert_int_equal(aft_file_open(path("out.avro"), AFT_RECORD_EXAMPLE, false, &f, &e), 0);
    for (uint64_t seq = 0;; seq++) {
        struct aft_file_record r;
        struct aft_example x;
        assert_int_equal(aft_file_next(f, &r, &end, &e), 0);
        if (end)
            break;
        struct aft_reader bytes = aft_reader(r.body);
        aft_arena_reset(&arena);
        if (aft_decode_example(&bytes, &arena, &x, &e) != AFT_OK)
            fail_msg("%s", e.message);
        assert_int_equal(x.seq, seq);
        tell_example(&x);
    }
    aft_file_close(f);
    aft_arena_deinit(&arena);
    assert_string_equal(told, wanted);
}

static void
says(const char *words)
{
    if (!strstr(said, words))
        fail_msg("wanted \"%s\" in:\n%s", words, said);
}

/* Actions come back, so their lines name them. */
static void
test_tutorial(void **state)
{
    (void)state;
    import_is(tutorial, "--json",
              "0 vw-0 [s_1,s_2] df12ac019a210a24(a_1,b_1,c_1) 1013e30dd86f6698(a_2,b_2,c_2) "
              "b0ee26b4ded571a5(a_3,b_3,c_3) -> df12ac019a210a24 p=0.5 r=0\n"
              "1 second [s_1,s_3] df12ac019a210a24(a_1,b_1,c_1) 1013e30dd86f6698(a_2,b_2,c_2) -> "
              "1013e30dd86f6698 p=0.25 r=1\n");
    says("\"unlabelled\":1");
    says("\"events\":3");
    says("\"reward\":{\"low\":-1.0,\"high\":0.0}");
    import_is(tutorial, "--arm-id place",
              "0 vw-0 [s_1,s_2] 1(a_1,b_1,c_1) 2(a_2,b_2,c_2) 3(a_3,b_3,c_3) -> 1 p=0.5 r=0\n"
              "1 second [s_1,s_3] 1(a_1,b_1,c_1) 2(a_2,b_2,c_2) -> 2 p=0.25 r=1\n");
}

/* Namespaces, weights, texts; tags, a namespace or the line itself as the arm's name. */
static void
test_arms(void **state)
{
    (void)state;
    const char *text = "shared |User name=Tom age:2\n|Action article=politics\n"
                       "0:-1:0.8 |Action article=sports\n\n"
                       "shared |User:0.5 name=Anna age:2\r\n|Action article=politics\r\n"
                       "5:0:0.2 |Action article=sports\r\n|Action article=sports\r\n";
    import_is(text, "",
              "0 vw-0 [User^name=Tom,User^age:2] article=politics(Action^article=politics) "
              "article=sports(Action^article=sports) -> article=sports p=0.8 r=1\n"
              "1 vw-1 [User^name=Anna:0.5,User^age] article=politics(Action^article=politics) "
              "article=sports(Action^article=sports) article=sports#3(Action^article=sports) -> "
              "article=sports p=0.2 r=0\n");
    import_is("'x |A a b\n0:-1:0.5 'y |A c d\n\n'y |A a:2\n0:0:0.5 'x |A b:3\n\n", "",
              "0 vw-0 [] x(A^a,A^b) y(A^c,A^d) -> y p=0.5 r=1\n"
              "1 vw-1 [] y(A^a:2) x(A^b:3) -> x p=0.5 r=0\n");
    import_is(
        "|P 1 |A i17 a:2\n0:-1:0.5 |P 2 |A i18 a:1\n\n|P 2 |A i17 a:2\n1:0:0.5 |P 1 |A i18 a:1",
        "--arm-id namespace:A --ignore P",
        "0 vw-0 [] i17(A^i17,A^a:2) i18(A^i18,A^a) -> i18 p=0.5 r=1\n"
        "1 vw-1 [] i17(A^i17,A^a:2) i18(A^i18,A^a) -> i18 p=0.5 r=0\n");
}

/* --cb K: the label names the action, or the actions that there were. */
static void
test_single(void **state)
{
    (void)state;
    const char *text = "1:2:0.4 | a c\n3:0.5:0.2 | b d\n4:1.2:0.5 | a b c\n"
                       "2:1:0.3 4 1 | b c\n3:1.5:0.7 | a d\n | a d\n";
    import_is(text, "--cb 4",
              "0 vw-0 [a,c] 1() 2() 3() 4() -> 1 p=0.4 r=0\n"
              "1 vw-1 [b,d] 1() 2() 3() 4() -> 3 p=0.2 r=1\n"
              "2 vw-2 [a,b,c] 1() 2() 3() 4() -> 4 p=0.5 r=0.533333\n"
              "3 vw-3 [b,c] 2() 4() 1() -> 2 p=0.3 r=0.666667\n"
              "4 vw-4 [a,d] 1() 2() 3() 4() -> 3 p=0.7 r=0.333333\n");
    says("unlabelled: 1");
    says("costs 0.5 to 2");
    import_is("1:2:0.4 | a\n2:1:0.5 | b\n", "--reward-range -2..0", /* found out: no empty line */
              "0 vw-0 [a] 1() 2() -> 1 p=0.4 r=0\n1 vw-1 [b] 1() 2() -> 2 p=0.5 r=0.5\n");
}

/* Costs of actions that were not taken have no probability: VW learns from the one that has. */
static void
test_known_costs(void **state)
{
    (void)state;
    import_is("1:1 2:2:0.5 3:3 | a\n1:4:1.0 2:2 3:1 | b\n1:4 2:2 | b\n1:4:0.5 2:2:0.5 | b\n",
              "--cb 3 --reward-range -4..0",
              "0 vw-0 [a] 1() 2() 3() -> 2 p=0.5 r=0.5\n1 vw-1 [b] 1() 2() 3() -> 1 p=1 r=0\n");
    says("labels: 2");
    import_is("0:1 |A a\n0:2:0.5 |A b\n0:3:0 |A c\n\n", "--reward-range -4..0",
              "0 vw-0 [] 1(A^a) 2(A^b) 3(A^c) -> 2 p=0.5 r=0.5\n");
}

/* VW's JSON is known by its looks; --dsjson says it, and passes over what is none, as VW does. */
static void
test_json(void **state)
{
    (void)state;
    const char *text =
        "{\"_label_cost\":-1,\"_label_probability\":0.8,\"_labelIndex\":1,\"EventId\":\"e1\",\"a\":"
        "[2,1],"
        "\"Timestamp\":\"1970-01-01T00:00:09Z\",\"pdrop\":0.5,"
        "\"c\":{\"U\":{\"n\":\"Ann\"},\"_multi\":[{\"_tag\":\"cold "
        "brew\",\"i\":{\"x\":2}},{\"_tag\":\"b\"}]}}\n"
        "{\"_skipLearn\":true,\"a\":[1],\"c\":{\"_multi\":[{}]}}\n"
        "checkpoint: \n"
        "{\"_label_cost\":0,\"_label_probability\":0.5,\"_labelIndex\":0,\"a\":[1,2],"
        "\"c\":{\"_multi\":[{\"_tag\":\"b\"},{\"_tag\":\"c\"}]}}\n"
        "{\"a\":[1,2],\"c\":{\"_multi\":[{\"_tag\":\"b\"},{\"_tag\":\"c\"}]}}\n"
        "{\"_label_cost\":0,\"a\":[1],\"c\":{\"_multi\":[{\"_tag\":\"b\"}],\"_slots\":[]}}\n";
    import_is(text, "--dsjson --cb_explore_adf --chain_hash --json",
              "0 e1 [U^n=Ann] cold brew(i^x:2) b() kept=0.5 at=9000 -> b p=0.8 r=1\n"
              "1 vw-2 [] b() c() -> b p=0.5 r=0\n");
    says("in.vw:6: \"_slots\"");
    says("\"skipped\":2");
    says("\"unlabelled\":1");
    import_is("{\"s\":1,\"_multi\":[{\"a\":\"x\",\"_label\":\"1:-1:0.5\"},{\"a\":\"y\"}]}\n", "",
              "0 vw-0 [s] 1(a=x) 2(a=y) -> 1 p=0.5 r=1\n");
    import_is("{\"_label\":\"2:0.5:0.5\",\"f\":1}\n{\"_label\":\"1:0:0.5\",\"g\":1}\n", "--cb 3",
              "0 vw-0 [f] 1() 2() 3() -> 2 p=0.5 r=0.5\n1 vw-1 [g] 1() 2() 3() -> 1 p=0.5 r=1\n");
}

/* Empty lines, between lines that each have a label or around single ones, make no actions of one event of them. */
static void
test_single_with_gaps(void **state)
{
    (void)state;
    const char *wanted = "0 vw-0 [a] 1() 2() -> 1 p=0.5 r=0\n1 vw-1 [b] 1() 2() -> 2 p=0.5 r=1\n"
                         "2 vw-2 [c] 1() 2() -> 1 p=0.5 r=1\n";
    import_is("1:1:0.5 | a\n\n2:0:0.5 | b\n\n1:0:0.5 | c\n", "", wanted);
    import_is("1:1:0.5 | a\n2:0:0.5 | b\n\n\n1:0:0.5 | c\n", "", wanted);
    import_is("1:1:0.5 | a\n\n2:0:0.5 | b\n\n1:0:0.5 | c\n\n| d\n", "", wanted);
    says("unlabelled: 1");
    import_is("1:1:0.5 | a\n| b\n\n2:0:0.5 | a\n| b\n", "", /* these are */
              "0 vw-0 [] a(a) b(b) -> a p=0.5 r=0\n1 vw-1 [] a(a) b(b) -> a p=0.5 r=1\n");
}

/* A time as a feature: VW takes it as it is, our learner would refuse it. */
static void
test_divided(void **state)
{
    (void)state;
    import_is(
        "shared |U at:1700000000 b:3000000 c:1e6 |W:4000 d:1500 e:2\n0:-1:0.5 |A a p:9e9\n|A b "
        "p:-3\n\n",
        "--json",
        "0 vw-0 [U^at:170000,U^b:300000,U^c:1e+06,W^d:600000,W^e:8000] 1(A^a,A^p:900000) "
        "2(A^b,A^p:-0.0003) -> 1 p=0.5 r=1\n");
    says("\"divided\":{\"U^at\":10000.0,\"U^b\":10.0,\"W^d\":10.0,\"A^p\":10000.0}");
    says("# feature U^at is above a million somewhere: divided by 10000 here");
    assert_int_equal(run("", "learn --examples out.avro --snapshot out.snapshot --json"), 0);
    says("\"feature\":0");
    import_is("shared |U age:35 pay:5500000\n0:-1:0.5 |A a\n|A b\n\n", "-q UA", /* the flow's */
              "0 vw-0 [U^age:35,U^pay:550000] 1(A^a) 2(A^b) -> 1 p=0.5 r=1\n");
    import_is("shared |U age:35 pay:55000\n0:-1:0.5 |A a\n|A b\n\n", "--interactions UUA",
              "0 vw-0 [U^age:35,U^pay:550] 1(A^a) 2(A^b) -> 1 p=0.5 r=1\n");
    import_is("shared |U age:35 pay:55000\n0:-1:0.5 |A a\n|A b\n\n", "-q UU --out-config out.conf",
              "0 vw-0 [U^age:35,U^pay:550] 1(A^a) 2(A^b) -> 1 p=0.5 r=1\n");
    assert_int_equal(
        run("", "learn --config out.conf --examples out.avro --snapshot out.snapshot --json"), 0);
    says("\"feature\":0");
}

/* What gzip made is read as it is: several members, too, and from a pipe; not half of it. */
static void
test_gzip(void **state)
{
    (void)state;
    char line[900];
    import_is(tutorial, "--json",
              "0 vw-0 [s_1,s_2] df12ac019a210a24(a_1,b_1,c_1) "
              "1013e30dd86f6698(a_2,b_2,c_2) b0ee26b4ded571a5(a_3,b_3,c_3) -> df12ac019a210a24 "
              "p=0.5 r=0\n1 second [s_1,s_3] df12ac019a210a24(a_1,b_1,c_1) "
              "1013e30dd86f6698(a_2,b_2,c_2) -> 1013e30dd86f6698 p=0.25 r=1\n");
    snprintf(line, sizeof line,
             "cd %s && cp out.avro plain.avro && head -5 in.vw | gzip > in.gz && tail -n +6 in.vw "
             "| gzip "
             ">> in.gz && head -c 100 in.gz > cut.gz",
             directory);
    assert_int_equal(system(line), 0);
    assert_int_equal(run("", "import vw in.gz --examples out.avro --json"), 0);
    says("\"events\":3");
    says("\"examples\":2");
    assert_int_equal(run("", "import vw - --examples out.avro --json < in.gz"), 0);
    says("\"examples\":2");
    assert_int_not_equal(run("", "import vw cut.gz --examples cut.avro"), 0);
    says("cut off");
    snprintf(line, sizeof line, "cd %s && test ! -e cut.avro", directory);
    assert_int_equal(system(line), 0);
}

static void
test_left_out(void **state)
{
    (void)state;
    const char *text = "0:-1:0.5 |A a\n|A b\n\n"
                       "0:-1:1.5 |A a\n|A b\n\n"          /* probability */
                       "0:-1:0.5 |A a\n0:-1:0.5 |A b\n\n" /* two costs */
                       "0:-1:0.5|A a\n|A b\n\n"           /* a label that is a tag */
                       "0:-1 |A a\n|A b\n\n"              /* no probability: imported */
                       "0:-7:0.5 |A a\n|A b\n\n"          /* outside the range */
                       "shared |U x\n\n"                  /* no actions */
                       "|A a:nan\n0:-1:0.5 |A b\n\n"
                       "0:-1:0 |A a\n|A b\n\n";
    import_is(text, "--reward-range 0..1",
              "0 vw-0 [] a(A^a) b(A^b) -> a p=0.5 r=1\n"
              "1 vw-4 [] a(A^a) b(A^b) -> a p=0 r=1 unknown\n"
              "2 vw-8 [] a(A^a) b(A^b) -> a p=0 r=1 unknown\n");
    says("in.vw:6: the probability 1.5");
    says("in.vw:10: \"0:-1:0.5\" touches");
    says("probability: 1");
    says("labels: 1");
    says("malformed: 3");
    says("cost: 1");
    says("no_support: 2");
    assert_int_not_equal(run(text, "import vw in.vw --examples out.avro --strict"), 0);
    says("in.vw:6: the probability 1.5");
}

static void
test_refused(void **state)
{
    (void)state;
    assert_int_not_equal(run("", "import vw in.vw --examples out.avro"), 0);
    says("not one of 0 events");
    assert_int_not_equal(run("\x1f\x8b\x08", "import vw in.vw --examples out.avro"), 0);
    says("cut off");
    assert_int_not_equal(run("{\"a\":1}\n", "import vw in.vw --examples out.avro"), 0);
    says("JSON");
    assert_int_not_equal(run("", "import vw nowhere.vw --examples out.avro"), 0);
    says("nowhere.vw");
    assert_int_not_equal(run("", "import csv in.vw --examples out.avro"), 0);
    says("can import");
    assert_int_not_equal(run("", "import vw in.vw"), 0);
    assert_int_not_equal(run("", "import vw in.vw --examples out.avro --reward-range 1..0"), 0);
    says("LOW..HIGH");
    assert_int_not_equal(run("", "import vw in.vw --examples out.avro --arm-id name"), 0);
    assert_int_not_equal(run("", "import vw in.vw --examples out.avro -q A"), 0);
    assert_int_not_equal(run("", "import vw in.vw --examples out.avro --epsilonn 1"), 0);
}

/* Options of VW's rarer sort, as its own tests give them: each is known, a list goes on to the next option, and a file ends it. */
static void
test_rare_options(void **state)
{
    (void)state;
    static const char *const rare[] = {
        "--automl 3 --verbose_metrics --priority_type favor_popular_namespaces --oracle_type rand",
        "--automl 4 --default_lease 100 --priority_challengers 1 --automl_significance_level .1",
        "--automl 3 --opt_func brentq --interaction_type cubic",
        "--dump_json_weights_experimental w.json --log_output stderr --limit_output 2",
        "--epsilon_decay --model_count 4 --min_scope 10 --initial_epsilon 0.5",
        "--sparse_weights -q:: --random_weights --initial_weight 0",
        "--cb_explore_adf --rnd 3 --rnd_alpha 0.2 --large_action_space --spanner_c 3",
        "--ignore_features_dsjson_experimental FromUrl|timeofday j|type",
        "--interactions UA UUA --ignore Z Y --ngram 2 U3 --noconstant",
        "--cb_dro --cb_dro_wmax 3 --all_slots_loss --marginal f --decay 0.1",
    };
    char arguments[300];
    const char *text = "shared |U u\n0:-1:0.5 |A a\n|A b\n\n";
    for (size_t i = 0; i < sizeof rare / sizeof rare[0]; i++) {
        snprintf(arguments, sizeof arguments,
                 "import vw in.vw --examples out.avro --json --vw '%s'", rare[i]);
        if (run(text, arguments) != 0)
            fail_msg("%s: %s", rare[i], said);
        says("\"examples\":1");
    }
    assert_int_not_equal(run(text, "import vw --examples out.avro -q UA nowhere.vw in.vw"), 0);
    says("letters of namespaces");
    assert_int_equal(run(text, "import vw --examples out.avro -q UA in.vw"), 0);
    assert_int_not_equal(run(text, "import vw in.vw in.vw --examples out.avro"), 0);
    says("cat A B");
    assert_int_not_equal(run(text, "import vw in.vw --examples out.avro --recall_tree 3"), 0);
    says("no logged decisions");
}

/* From a pipe; VW's options; what learn makes of it. */
static void
test_pipe_and_learn(void **state)
{
    (void)state;
    char text[60000] = "";
    size_t n = 0;
    for (int i = 0; i < 400; i++) /* action b is good for app, a for web */
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "shared |User device=%s |Zone z%d\n%s|Action a\n%s|Action b\n\n",
                              i % 3 ? "app" : "web", i % 5, i % 2 ? "0:0:0.5 " : "",
                              i % 2   ? ""
                              : i % 3 ? "0:-1:0.5 "
                                      : "0:-0.25:0.5 ");
    if (run(text, "import vw - --examples out.avro --out-config out.conf --json < in.vw "
                  "--vw '--cb_explore_adf --cb_type mtr --epsilon 0.1 -b 20 -q UA -qUU "
                  "--interactions UZA --quiet -l 0.1'") != 0)
        fail_msg("%s", said);
    says("\"examples\":400");
    if (run(text, "learn --config out.conf --examples out.avro --snapshot out.snapshot --json"))
        fail_msg("%s", said);
    says("\"decisions\":400");
    says("\"progressive\":{\"ips\":0.");
    const char *snips = strstr(said, "\"snips\":"), *dr = strstr(said, "\"dr\":");
    assert_non_null(snips);
    assert_non_null(dr);
    double value = strtod(snips + 8, NULL); /* the best there is: b, 0.75; at random: 0.37 */
    assert_true(value > 0.6 && value < 0.9);
    assert_int_equal(run("", "config check --config out.conf"), 0);
    assert_int_equal(run("", "config show --config out.conf"), 0);
    says("features.bits");
    snprintf(text, sizeof text, "rm -r %s", directory);
    assert_int_equal(system(text), 0);
}

int
main(int argc, char **argv)
{
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    char here[300];
    int n = slash ? (int)(slash - argv[0]) : 0;
    assert_non_null(getcwd(here, sizeof here));
    snprintf(program, sizeof program, "%s%s%.*s/../bin/aftertouch",
             n && argv[0][0] == '/' ? "" : here, n && argv[0][0] == '/' ? "" : "/", n ? n : 1,
             n ? argv[0] : ".");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tutorial),
        cmocka_unit_test(test_arms),
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_known_costs),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_single_with_gaps),
        cmocka_unit_test(test_divided),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rare_options),
        cmocka_unit_test(test_pipe_and_learn),
    };
    if (!mkdtemp(directory))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
