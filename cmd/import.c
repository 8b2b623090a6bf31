/* import.c - `import vw FILE --examples F`: Vowpal Wabbit's contextual-bandit text -> a container file of examples (import_vw.c), and
 * the configuration that VW's own options mean here (import_options.c). Talk on stderr, counts on stdout. */
#include "cmd/import.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_MAX = 128 };

static const struct cmd_option own[] = {
    {"examples", "FILE", "write the examples to FILE (Avro container, one partition)"},
    {"out-config", "FILE", "write the configuration that VW's options mean to FILE"},
    {"arm-id", "HOW", "what names an action: auto, tag, line, place, or namespace:NAME"},
    {"reward-range", "LOW..HIGH", "rewards (= -cost) that become 0 and 1; others are left out"},
    {"strict", NULL, "stop at the first line that cannot be read"},
    {"vw", "OPTIONS",
     "VW's own options, as one text or one by one: -q, --interactions, --ignore, --cb K, --cb_adf, "
     "--cb_type, --epsilon, ..."},
};

static int
bad(const char *what, const char *value)
{
    fprintf(stderr, "aftertouch import: %s %.80s; see aftertouch import --help\n", what, value);
    return 2;
}

static int
arm_id(struct import *m, const char *how)
{
    static const enum import_arms ways[] = {IMPORT_ARMS_AUTO, IMPORT_ARMS_TAG, IMPORT_ARMS_LINE,
                                            IMPORT_ARMS_PLACE};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(how, import_arms_name(ways[i])) == 0) {
            m->arms = ways[i];
            return -1;
        }
    if (strncmp(how, "namespace:", 10) != 0)
        return bad("--arm-id wants auto, tag, line, place or namespace:NAME, not", how);
    m->arms = IMPORT_ARMS_SPACE;
    m->arm_space = how + 10;
    return -1;
}

static int
reward_range(struct import *m, const char *text)
{
    const char *dots = strstr(text, "..");
    struct aft_bytes low = {(const uint8_t *)text, dots ? (size_t)(dots - text) : 0};
    m->has_range = true;
    if (!dots || !aft_vw_number(low, &m->low) || !aft_vw_number(aft_text(dots + 2), &m->high) ||
        m->high <= m->low)
        return bad("--reward-range wants LOW..HIGH, like -1..0, not", text);
    return -1;
}

/* The file, and what is asked for; -1, or the exit code. */
static int
gather(const struct cmd_line *line, struct import *m)
{
    const char *how = cmd_given(line, "arm-id", 0), *range = cmd_given(line, "reward-range", 0);
    m->examples = cmd_given(line, "examples", 0);
    m->out_config = cmd_given(line, "out-config", 0);
    m->strict = cmd_given(line, "strict", 0) != NULL;
    if (line->positional_n < 1 || strcmp(line->positional[0], "vw") != 0)
        return bad("can import \"vw\", not", line->positional_n ? line->positional[0] : "nothing");
    if (line->positional_n > 2)
        return bad("reads one FILE (several: cat A B | aftertouch import vw - ...); there is also",
                   line->positional[2]);
    if (line->positional_n == 2)
        m->source = line->positional[1];
    if (!m->source || !m->examples)
        return bad("wants", "vw FILE (- is standard input) and --examples FILE");
    if (m->single && m->adf)
        return bad("either --cb K or", "--cb_adf");
    int code = how ? arm_id(m, how) : -1;
    return code < 0 && range ? reward_range(m, range) : code;
}

static void
spaces_json(json_t *o, const char *key, const struct import_spaces *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->n; i++)
        json_array_append_new(list, json_string(s->v[i]));
    json_object_set_new(o, key, list);
}

static void
report_json(const struct import *m)
{
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:s, s:I, s:s, s:{s:f, s:f}, s:{s:f, s:f}}",
                          "lines", (json_int_t)m->lines, "events", (json_int_t)m->events,
                          "examples", (json_int_t)m->examples_n, "actions",
                          (json_int_t)(m->single ? m->actions : m->action_lines), "arm_id",
                          m->single ? "label" : import_arms_name(m->arms), "arms",
                          (json_int_t)(m->single ? m->actions : m->different), "format",
                          m->single ? "cb" : "cb_adf", "cost", "low", m->cost_low, "high",
                          m->cost_high, "reward", "low", m->low, "high", m->high);
    json_t *left = json_object();
    for (int i = 0; i < IMPORT_COUNTS; i++)
        json_object_set_new(left, import_count_name((enum import_count)i),
                            json_integer((json_int_t)m->counts[i]));
    json_object_set_new(o, "counts", left);
    spaces_json(o, "context", &m->shared);
    spaces_json(o, "arm", &m->own);
    json_t *divided = json_object();
    for (uint32_t i = 0; i < m->scales_n; i++)
        json_object_set_new(divided, m->scales[i].name, json_real(m->scales[i].by));
    json_object_set_new(o, "divided", divided);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static void
report_text(const struct import *m)
{
    printf("%llu of %llu events (%llu lines) are examples now\n", (unsigned long long)m->examples_n,
           (unsigned long long)m->events, (unsigned long long)m->lines);
    for (int i = 0; i < IMPORT_COUNTS; i++)
        if (m->counts[i])
            printf("  %s: %llu\n", import_count_name((enum import_count)i),
                   (unsigned long long)m->counts[i]);
    printf("costs %g to %g; reward = (-cost - %g) / %g\n", m->cost_low, m->cost_high, m->low,
           m->high - m->low);
    if (m->single)
        printf("arms: 1 to %u\n", m->actions);
    else
        printf("arms are named by their %s\n", import_arms_name(m->arms));
}

static enum aft_err
write_config(const struct import *m, struct import_options *o, struct aft_error *e)
{
    FILE *f = m->out_config ? fopen(m->out_config, "w") : stderr;
    if (!f)
        return AFT_FAIL(e, AFT_E_IO, "%s: %s", m->out_config, strerror(errno));
    import_config_write(m, o, f);
    for (uint32_t i = 0; i < o->remarks_n && m->out_config; i++)
        fprintf(stderr, "aftertouch import: %s\n", o->remarks[i]);
    if (m->out_config && fclose(f) != 0)
        return AFT_FAIL(e, AFT_E_IO, "%s: %s", m->out_config, strerror(errno));
    return AFT_OK;
}

static int
run(struct import *m, struct import_options *o, bool json)
{
    struct aft_error e;
    m->crosses = (const char(*)[8])o->crosses;
    m->crosses_n = o->crosses_n;
    enum aft_err err = import_vw(m, &e);
    if (err == AFT_OK)
        err = write_config(m, o, &e);
    if (err != AFT_OK)
        return cmd_fail("import", &e);
    if (json)
        report_json(m);
    else
        report_text(m);
    return 0;
}

int
cmd_import(int argc, char **argv)
{
    AFT_ASSERT(argc > 0 && !argv[argc]);
    struct import *m = calloc(1, sizeof *m);
    struct import_options *o = calloc(1, sizeof *o);
    char *rest[ARGUMENTS_MAX + 1] = {argv[0]};
    int rest_n = 1;
    struct cmd_line line;
    AFT_ASSERT(m && o);
    int code = import_options(argv + 1, o, m, rest, ARGUMENTS_MAX, &rest_n);
    if (code < 0)
        code = cmd_parse(rest_n, rest, own, (int)(sizeof own / sizeof own[0]), &line);
    if (code < 0) {
        struct aft_error e;
        code = gather(&line, m);
        if (code < 0 && (cmd_apart(&line, "examples", &e) || cmd_apart(&line, "out-config", &e)))
            code = cmd_fail("import", &e);
        if (code < 0)
            code = run(m, o, line.json);
        cmd_line_free(&line);
    }
    free(m);
    free(o);
    return code;
}
