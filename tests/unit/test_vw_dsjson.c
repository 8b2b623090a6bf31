/* test_vw_dsjson.c - Vowpal Wabbit's JSON as lines of its text: what its own --audit prints of the same lines (9.11.9); what is refused
 * and with which words; time, drops, skipped lines; bytes of chance. */
#include "tests/kit.h"

#include <string.h>

#include "wire/wire.h"

static struct aft_vw_json json;
static char told[4096];

/* All lines as "tag>text\n". */
static enum aft_err
read(const char *line, bool ds, struct aft_error *e)
{
    size_t n = 0;
    told[0] = 0;
    enum aft_err err = aft_vw_json_read(aft_text(line), ds, &json, e);
    for (uint32_t i = 0; err == AFT_OK && i < json.lines_n; i++) {
        struct aft_bytes tag = aft_vw_json_tag(&json, i), text = aft_vw_json_text(&json, i);
        n += (size_t)snprintf(told + n, sizeof told - n, "%.*s>%.*s\n", (int)tag.n,
                              (const char *)tag.p, (int)text.n, (const char *)text.p);
    }
    return err;
}

static void
becomes(const char *line, bool ds, const char *wanted)
{
    struct aft_error e;
    if (read(line, ds, &e) != AFT_OK)
        fail_msg("%s", e.message);
    assert_string_equal(told, wanted);
}

static void
refused(const char *line, bool ds, const char *words)
{
    struct aft_error e;
    if (read(line, ds, &e) == AFT_OK || !strstr(e.message, words))
        fail_msg("%s: \"%s\" is wanted, not \"%s\"", line, words, told[0] ? told : e.message);
}

static void
test_dsjson(void **state)
{
    (void)state;
    becomes(
        "{\"_label_cost\":-1,\"_label_probability\":0.8,\"_label_Action\":2,\"_labelIndex\":1,"
        "\"Timestamp\":\"2021-02-04T16:31:29.2460000Z\",\"EventId\":\"e 1\",\"a\":[2,1],"
        "\"c\":{\"User\":{\"name\":\"Ann Lee\",\"age\":3,\"new\":true,\"old\":false,\"x\":null},"
        "\"_multi\":[{\"_tag\":\"cold brew\",\"i\":{\"id\":\"a|b:c\"}},{\"i\":{\"n\":-2.5e1}}]},"
        "\"p\":[0.8,0.2],\"VWState\":{\"m\":\"}]\\\"\"},\"pdrop\":0.75}",
        true,
        "e 1>shared |User name=Ann_Lee age:3 new\n"
        "cold brew>|i id=a_b_c\n"
        ">0:-1:0.8 |i n:-2.5e1\n");
    assert_true(json.has_time && json.timestamp_ms == 1612456289246);
    assert_true(json.has_pass && json.pass == 0.25);
    becomes("{\"a\":[1],\"c\":{\"_multi\":[{}]}}", true, ">shared |\n>|\n");
    assert_false(json.has_time || json.has_pass);
}

/* Nested objects open their own namespace, and leave it; lists; one key twice; words; numbers without names. */
static void
test_namespaces(void **state)
{
    (void)state;
    becomes("{\"s\":1,\"e\":\"\",\"j\":[{\"_title\":\"x\",\"a\":1},{\"Tags\":{\"Hip "
            "hop\":0.5},\"b\":2}],\"t\":\"u\","
            "\"_multi\":[{\"v\":[1,0,2.5],\"v\":[3]},{\"_text\":\"two words: "
            "here\",\"w\":\"1\",\"w\":\"2\"}]}",
            false,
            ">shared | s:1 e |j a:1 |Tags Hip_hop:0.5 |j b:2 | t=u\n"
            ">|v :1 :0 :2.5 |v :3\n"
            ">| two words_ here w=1 w=2\n");
    becomes("{\"_multi\":[{\"\\u00e4\\ud83d\\ude00\\n\":\"\\\"\\\\\"}]}", false,
            ">shared |\n>| \xc3\xa4\xf0\x9f\x98\x80_=\"\\\n");
}

static void
test_labels(void **state)
{
    (void)state;
    becomes("{\"_multi\":[{\"a\":1},{\"b\":1,\"_label\":\"2:3:.3\"}]}", false,
            ">shared |\n>| a:1\n>2:3:.3 | b:1\n");
    becomes("{\"_multi\":[{\"_label\":{\"Action\":1,\"Cost\":0.5,\"Probability\":0.25},\"a\":1}]}",
            false, ">shared |\n>1:0.5:0.25 | a:1\n");
    becomes("{\"_labelIndex\":0,\"_label_Action\":0,\"_label_Cost\":1,\"_label_Probability\":0.5,"
            "\"_multi\":[{\"a\":1}]}",
            false, ">shared |\n>0:1:0.5 | a:1\n");
    becomes("{\"_label_cost\":1,\"_label_action\":3,\"_label_probability\":0.5,\"a\":[3],\"c\":{"
            "\"f\":1}}",
            true, ">3:1:0.5 | f:1\n"); /* --cb K */
    becomes("{\"_skipLearn\":true,\"a\":[1],\"c\":{\"_multi\":[{}]}}", true, "");
    becomes("{\"c\":{\"_multi\":[{}]}}", true, ""); /* nothing was decided */
    becomes("{\"RewardValue\":1,\"EventId\":\"e\"}", true, "");
}

static void
test_time(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t ms;
    } times[] = {{"1970-01-01T00:00:00Z", 0},
                 {"2000-02-29T23:59:59.9999999Z", 951868799999},
                 {"2021-04-26T17:23:28.1726275", 1619457808172},
                 {"2021-04-26 19:23:28.5+02:00", 1619457808500},
                 {"1969-12-31T22:00:00-01:30", -1800000}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char line[160];
        snprintf(line, sizeof line, "{\"Timestamp\":\"%s\",\"a\":[1],\"c\":{\"_multi\":[{}]}}",
                 times[i].text);
        becomes(line, true, ">shared |\n>|\n");
        assert_true(json.has_time && json.timestamp_ms == times[i].ms);
    }
    char line[160];
    refused("{\"Timestamp\":\"yesterday\",\"a\":[1],\"c\":{}}", true, "is no time like");
    static const char *const never[] = {
        "2021-13-01T00:00:00Z", "2021-02-31T00:00:00Z",      "2021-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2021-04-31T00:00:00Z",      "2021-01-00T00:00:00Z",
        "2021-01-01T24:00:00Z", "2021-01-01T00:60:00Z",      "2021-01-01T00:00:61Z",
        "2021-01-01T00:00:00Q", "2021-01-01T00:00:00+24:00", "2021-01-01T00:00:00+01:60"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        snprintf(line, sizeof line, "{\"Timestamp\":\"%s\",\"a\":[1],\"c\":{}}", never[i]);
        refused(line, true, "is no time like");
    }
}

static void
test_refused(void **state)
{
    (void)state;
    refused("{\"c\":{\"_multi\":[{}],\"_slots\":[{}]}}", true,
            "\"_slots\": an event of several slots");
    refused("{\"c\":{\"_multi\":[{}]},\"_outcomes\":[]}", true, "\"_outcomes\"");
    refused("{\"a\":[1],\"c\":{\"_multi\":[{\"_slot_id\":0}]}}", true, "\"_slot_id\"");
    refused("{\"_label_ca\":{\"action\":1},\"c\":{}}", false, "continuous actions");
    refused("{\"_label\":1,\"f\":1}", false, "write \"action:cost:probability\"");
    refused("{\"_label_reward\":1,\"f\":1}", false, "is no label");
    refused("{\"_label_cost\":1,\"_label_probability\":0.5,\"a\":[1],\"c\":{\"_multi\":[{}]}}",
            true, "without \"_labelIndex\"");
    refused("{\"_label_cost\":1,\"_labelIndex\":1,\"a\":[1],\"c\":{\"_multi\":[{}]}}", true,
            "_labelIndex 1 of 1 actions");
    refused("{\"pdrop\":1,\"a\":[1],\"c\":{\"_multi\":[{}]}}", true, "pdrop 1");
    refused("{\"_multi\":[{\"_multi\":[]}]}", false, "inside of");
    refused("{\"_multi\":{}}", false, "must be a list");
    refused("{\"_multi\":[1]}", false, "must be an object");
    refused("{\"v\":[\"a\"]}", false, "a list with a text");
    refused("{\"v\":[[1]]}", false, "a list with a list");
    refused("{\"v\":1x}", false, "\"1x\" is neither");
    const char *broken[] = {"{",         "{\"a\"}",     "{\"a\":}",   "{\"a\":1", "{\"a\":1}}",
                            "{\"a\":1]", "{\"a\":1 2}", "{\"a:1}",    "{a:1}",    "{\"a\":[1}",
                            "{,}",       "{\"a\":1,}",  "{\"a\":\"\\"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        refused(broken[i], false, "no JSON");
    char deep[200];
    size_t n = 0;
    for (int i = 0; i < 20; i++)
        n += (size_t)snprintf(deep + n, sizeof deep - n, "{\"a\":");
    snprintf(deep + n, sizeof deep - n, "1}}}}}}}}}}}}}}}}}}}}");
    refused(deep, false, "more than 16 objects");
}

/* Whatever the bytes: an answer, and what was not refused is text that our reader of VW's text takes or refuses. */
static void
test_chance(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ":",
                                         ",",
                                         "\"",
                                         "\\",
                                         "\\u12",
                                         "\"c\":",
                                         "\"_multi\":",
                                         "\"a\":[1]",
                                         "1",
                                         "-2.5",
                                         "\"x\"",
                                         "\"_label\":",
                                         "\"_labelIndex\":0",
                                         "\"_text\":\"a b\"",
                                         "true",
                                         "null",
                                         " "};
    enum { PIECES = sizeof pieces / sizeof pieces[0] };
    struct aft_random random;
    aft_random_init(&random, kit_seed(5), 0);
    struct aft_arena arena;
    aft_arena_init(&arena, 1 << 20);
    for (int i = 0; i < kit_rounds(20000); i++) {
        char line[300];
        size_t n = (size_t)snprintf(line, sizeof line, "{");
        struct aft_error e;
        struct aft_vw_line l;
        for (uint32_t k = aft_random_below(&random, 24); k > 0; k--)
            n += (size_t)snprintf(line + n, sizeof line - n, "%s",
                                  pieces[aft_random_below(&random, PIECES)]);
        if (aft_vw_json_read(aft_text(line), i & 1, &json, &e) != AFT_OK)
            continue;
        for (uint32_t k = 0; k < json.lines_n; k++) {
            aft_arena_reset(&arena);
            enum aft_err err = aft_vw_head(aft_vw_json_text(&json, k), &arena, &l, &e);
            assert_true(err != AFT_OK || l.kind != AFT_VW_BLANK);
        }
    }
    aft_arena_deinit(&arena);
    aft_buffer_deinit(&json.bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dsjson),  cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_labels),  cmocka_unit_test(test_time),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
