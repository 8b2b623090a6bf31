/* test_vw_text.c - Vowpal Wabbit's text: labels, tags, namespaces, features, numbers; what must be refused, with its words; the
 * cases are those that VW 9.11.9 was run on. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "wire/wire.h"

static struct aft_arena arena;
static struct aft_error e;

static struct aft_vw_line
head(const char *text)
{
    struct aft_vw_line l;
    aft_arena_reset(&arena);
    if (aft_vw_head(aft_text(text), &arena, &l, &e) != AFT_OK)
        fail_msg("%s: %s", text, e.message);
    return l;
}

static void
head_refused(const char *text, const char *words)
{
    struct aft_vw_line l;
    aft_arena_reset(&arena);
    assert_int_not_equal(aft_vw_head(aft_text(text), &arena, &l, &e), AFT_OK);
    if (!strstr(e.message, words))
        fail_msg("%s: %s (wanted: %s)", text, e.message, words);
}

static void
test_heads(void **state)
{
    (void)state;
    assert_int_equal(head("").kind, AFT_VW_BLANK);
    assert_int_equal(head(" \t\r\n").kind, AFT_VW_BLANK);
    assert_int_equal(head("shared |U a").kind, AFT_VW_SHARED);
    struct aft_vw_line l = head("0:-1:0.25 'tag|A x y");
    assert_int_equal(l.kind, AFT_VW_ACTION);
    assert_int_equal(l.labels_n, 1);
    assert_true(l.labels[0].has_cost && l.labels[0].has_probability);
    assert_true(l.labels[0].cost == -1 && l.labels[0].probability == 0.25);
    assert_true(aft_same(l.tag, AFT_LITERAL("tag")));
    assert_true(aft_same(l.features, AFT_LITERAL("|A x y")));
    l = head("shared 'event-7 |U a");
    assert_true(l.kind == AFT_VW_SHARED && aft_same(l.tag, AFT_LITERAL("event-7")));
    l = head("tag|A x"); /* a word that touches the bar */
    assert_true(l.labels_n == 0 && aft_same(l.tag, AFT_LITERAL("tag")));
    l = head("2:0.5:0.25 3 1 | a c");
    assert_int_equal(l.labels_n, 3);
    assert_true(l.labels[0].action == 2 && l.labels[1].action == 3 && !l.labels[2].has_cost);
    l = head("0:1.5 |A x");
    assert_true(l.labels[0].has_cost && !l.labels[0].has_probability);
    l = head("dropped by VW\t0:2:1 |A x");
    assert_true(l.labels_n == 1 && l.labels[0].cost == 2);
    assert_int_equal(head("| a").labels_n, 0);
}

static void
test_heads_refused(void **state)
{
    (void)state;
    head_refused("0:-1:0.5|A y", "put a space between");
    head_refused("shared|U a", "put a space between");
    head_refused("0:-1:0.5\t|A y", "instead of the tab");
    head_refused("shared\t|U a", "instead of the tab");
    head_refused("x 2:0:0.5\t'tag |U a", "instead of the tab");
    head_refused("shared 0:1:0.5 |U a", "has no cost");
    head_refused("0:x:0.5 |A y", "action:cost:probability");
    head_refused("0:1:0.5:7 |A y", "action:cost:probability");
    head_refused("0:nan:0.5 |A y", "action:cost:probability");
    head_refused("-1:1:0.5 |A y", "action:cost:probability");
    head_refused("1.5:1:0.5 |A y", "action:cost:probability");
    head_refused("ccb shared |U a", "\"ccb\"");
    head_refused("0:1:0.5 A y", "no '|'");
    head_refused("{\"_label_cost\":1}", "JSON");
}

/* ---- features, printed as name=number or name="text" */
static const char *
features_of(const char *text, const struct aft_vw_filter *filter)
{
    static char out[4096];
    struct aft_features f;
    size_t n = 0;
    aft_arena_reset(&arena);
    if (aft_vw_features(aft_text(text), filter, &arena, &f, &e) != AFT_OK)
        fail_msg("%s: %s", text, e.message);
    out[0] = 0;
    for (uint32_t i = 0; i < f.n; i++) {
        const struct aft_feature *x = &f.v[i];
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s", i ? " " : "", (int)x->name.n,
                              (const char *)x->name.p);
        if (x->type == AFT_FEATURE_NUMBER)
            n += (size_t)snprintf(out + n, sizeof out - n, "=%g", x->number);
        else
            n += (size_t)snprintf(out + n, sizeof out - n, "=\"%.*s\"", (int)x->text.n,
                                  (const char *)x->text.p);
    }
    return out;
}

static void
test_features(void **state)
{
    (void)state;
    assert_string_equal(features_of("|U a b:2 |V:0.5 c d:-.5e-1 | e", NULL),
                        "U^a=1 U^b=2 V^c=0.5 V^d=-0.025 e=1");
    assert_string_equal(features_of("|U:2 a b:2 c=red d:blue :3 12:2 e=x:3", NULL),
                        "U^a=2 U^b=4 U^c=red=2 U^d=\"blue\" U^0=6 U^12=4 U^e=x=6");
    assert_string_equal(features_of("|U topic=cars a:0 |V |W\tb  c:+2 \r\n", NULL),
                        "U^topic=\"cars\" W^b=1 W^c=2");
    assert_string_equal(features_of("|U a:1 a:2 a|U a", NULL), "U^a=5");
    assert_string_equal(features_of("|G genre=war x genre=war genre=love genre=noir", NULL),
                        "G^x=1 G^genre=war=2 G^genre=love=1 G^genre=noir=1");
    assert_string_equal(features_of("|", NULL), "");
    assert_string_equal(features_of("| = =a a= :5", NULL), "==1 =a=1 a==1 0=5");
}

static void
test_filter(void **state)
{
    (void)state;
    struct aft_vw_filter f;
    memset(&f, 0, sizeof f);
    f.skip['U'] = f.skip[' '] = true;
    assert_string_equal(features_of("|User a |A b | c |Unit d", &f), "A^b=1");
    struct aft_bytes text = AFT_LITERAL("|User:2 a|A b | c"), name;
    assert_true(aft_vw_namespace(&text, &name) && aft_same(name, AFT_LITERAL("User")));
    assert_true(aft_vw_namespace(&text, &name) && aft_same(name, AFT_LITERAL("A")));
    assert_true(aft_vw_namespace(&text, &name) && name.n == 0);
    assert_false(aft_vw_namespace(&text, &name));
}

static void
features_refused(const char *text, const char *words)
{
    struct aft_features f;
    aft_arena_reset(&arena);
    assert_int_not_equal(aft_vw_features(aft_text(text), NULL, &arena, &f, &e), AFT_OK);
    if (!strstr(e.message, words))
        fail_msg("%s: %s (wanted: %s)", text, e.message, words);
}

static void
test_features_refused(void **state)
{
    (void)state;
    static char many[8 * AFT_FEATURES_MAX];
    size_t n = (size_t)snprintf(many, sizeof many, "|U");
    for (unsigned i = 0; i <= AFT_FEATURES_MAX; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, " f%u", i);
    features_refused("|U a:nan", "no finite value");
    features_refused("|U a:-Inf", "no finite value");
    features_refused("|U a:", "no finite value");
    features_refused("|U:x a", "weight of namespace U");
    features_refused("|U a:1e308 a:1e308", "too large");
    features_refused("|U t=x t:2", "a number and a text");
    features_refused(many, "more than 512 features");
}

static void
test_long_names(void **state)
{
    (void)state;
    char text[1024] = "|ns ";
    struct aft_features f;
    memset(text + 4, 'x', 600);
    snprintf(text + 604, 20, " %s", "b");
    aft_arena_reset(&arena);
    assert_int_equal(aft_vw_features(aft_text(text), NULL, &arena, &f, &e), AFT_OK);
    assert_int_equal(f.n, 2);
    assert_int_equal(f.v[0].name.n, AFT_ID_BYTES_MAX);
    assert_int_equal(f.v[0].name.p[AFT_ID_BYTES_MAX - 17], '~');
}

/* Numbers of every shape are strtod's, to the bit; what is none is refused. */
static void
test_numbers(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(5), 0);
    for (long i = 0; i < kit_rounds(20000); i++) {
        char text[64];
        double v = 0, scale = pow(10, (double)aft_random_below(&r, 40) - 20);
        double x = (aft_random_unit(&r) - 0.5) * scale;
        int digits = (int)aft_random_below(&r, 18);
        switch (aft_random_below(&r, 3)) {
        case 0:
            snprintf(text, sizeof text, "%.*g", digits, x);
            break;
        case 1:
            snprintf(text, sizeof text, "%.*f", digits, x);
            break;
        default:
            snprintf(text, sizeof text, "%.*e", digits, x);
        }
        if (!aft_vw_number(aft_text(text), &v) || v != strtod(text, NULL))
            fail_msg("%s read as %.17g", text, v);
    }
    static const char *const none[] = {"",     "-",   ".",   "1e", "1e+x",
                                       "0x10", "nan", "inf", "1 ", "1e999"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(aft_vw_number(aft_text(none[i]), &(double){0}));
}

/* Random bytes and mutated lines: never past the end (a copy of exact size, for the sanitizers), always within bounds. */
static void
test_hostile(void **state)
{
    (void)state;
    static const char letters[] = "|: =\t.-+e0123abU^'#\n{";
    struct aft_random r;
    aft_random_init(&r, kit_seed(6), 1);
    for (long i = 0; i < kit_rounds(20000); i++) {
        size_t n = (size_t)aft_random_below(&r, 60);
        uint8_t *line = malloc(n + (n == 0));
        struct aft_vw_line l;
        struct aft_features f;
        assert_non_null(line);
        for (size_t k = 0; k < n; k++)
            line[k] = (uint8_t)letters[aft_random_below(&r, sizeof letters - 1)];
        aft_arena_reset(&arena);
        if (aft_vw_head((struct aft_bytes){line, n}, &arena, &l, &e) == AFT_OK &&
            l.kind != AFT_VW_BLANK && aft_vw_features(l.features, NULL, &arena, &f, &e) == AFT_OK)
            for (uint32_t a = 0; a < f.n; a++)
                for (uint32_t b = 0; b < a; b++)
                    assert_false(aft_same(f.v[a].name, f.v[b].name));
        free(line);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_heads_refused),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_features_refused),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_hostile),
    };
    aft_arena_init(&arena, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    aft_arena_deinit(&arena);
    return failed;
}
