/* import_options.c - Vowpal Wabbit's command line -> settings of ours, each tried before it is written. One thread.
 *
 * -q AB names namespaces by their first letters; ours is `features.interactions = Action*Body`, by their names. The flow crosses
 * every feature of the context with every feature of the arm by itself, so of -q those pairs alone are written that lie within the
 * context or within the arm; a triple of two sorts of the one and one of the other is such a pair too. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/import.h"

enum takes { NOTHING, VALUE, LIST /* values, up to the next option */ };
enum what {
    CROSS,
    IGNORE,
    KEEP,
    SINGLE,
    ADF,
    SOURCE,
    DSJSON,
    MIN_COST,
    MAX_COST,
    CB_TYPE,
    SETTING,  /* `into` is a key of ours */
    EXPLORER, /* `into` is a word of policy.explore, `key` takes the value */
    SILENT,   /* says nothing about the data or the model */
    NONE,     /* has no counterpart; `into` says why */
    REFUSE,   /* the file is no log of decisions; `into` says why */
    OPTIONS   /* a string of options */
};

static const struct row {
    const char *name;
    char letter;
    enum takes takes;
    enum what what;
    const char *into, *key;
} rows[] = {
#define SLOTS_WHY                                                                                \
    "events of several slots are no contextual-bandit events: log each slot as one of its own, " \
    "and import with --cb_explore_adf"
#define CONTINUOUS_WHY "continuous actions are no contextual-bandit actions: cut them into classes"
#define CLASSES_WHY "its file has classes or costs of all actions, no logged decisions"
#define X(name, letter, takes, what, into, key) {name, letter, takes, what, into, key},
#include "cmd/import_options.def"
#undef X
};

__attribute__((format(printf, 2, 3))) static void
remark(struct import_options *o, const char *format, ...)
{
    va_list args;
    if (o->remarks_n == sizeof o->remarks / sizeof o->remarks[0])
        return;
    va_start(args, format);
    vsnprintf(o->remarks[o->remarks_n++], sizeof o->remarks[0], format, args);
    va_end(args);
}

/* A later value of a key takes the place of an earlier one. */
static void
setting(struct import_options *o, const char *key, const char *value)
{
    size_t n = strlen(key);
    uint32_t i = 0;
    while (i < o->settings_n && (strncmp(o->settings[i], key, n) != 0 || o->settings[i][n] != '='))
        i++;
    if (i == sizeof o->settings / sizeof o->settings[0])
        return;
    o->settings_n += i == o->settings_n;
    snprintf(o->settings[i], sizeof o->settings[i], "%s=%s", key, value);
}

static void
cb_type(struct import_options *o, const char *type)
{
    AFT_ASSERT(type);
    bool mtr = strcmp(type, "mtr") == 0;
    setting(o, "learner.reduction", mtr ? "iwr" : type);
    if (mtr)
        setting(o, "learner.weighting", "iwr");
    o->any_label |= strcmp(type, "ips") == 0 || strcmp(type, "dr") == 0;
}

static int
number_of(const char *name, const char *value, double low, double high, double *out)
{
    if (aft_vw_number(aft_text(value), out) && *out >= low && *out <= high)
        return -1;
    fprintf(stderr, "aftertouch import: --%s %.60s: must be a number from %g to %g\n", name, value,
            low, high);
    return 2;
}

static int
range(struct import *m, const struct row *row, const char *value)
{
    double cost = 0;
    int code = number_of(row->name, value, -1e9, 1e9, &cost);
    if (!m->has_range) { /* the other end, until it is named: VW's default */
        m->low = -1;
        m->high = 0;
    }
    m->has_range = true;
    *(row->what == MIN_COST ? &m->high : &m->low) = -cost;
    return code;
}

static int
single(struct import *m, const struct row *row, const char *value)
{
    double n = 0;
    int code = number_of(row->name, value, 1, AFT_CANDIDATES_MAX, &n);
    m->single = true;
    m->actions = (uint32_t)n;
    return code;
}

/* A variant goes before what it is a variant of, in whatever order they come. */
static bool
variant(const char *there, const char *comes)
{
    return there && ((strcmp(there, "elim") == 0 && strcmp(comes, "squarecb") == 0) ||
                     (strcmp(there, "regcbopt") == 0 && strcmp(comes, "regcb") == 0));
}

static void
explorer(struct import_options *o, const struct row *row, const char *value)
{
    if (variant(o->explorer, row->name))
        return;
    o->explorer = row->name;
    setting(o, "policy.explore", row->into);
    o->any_label |= strcmp(row->into, "cover") == 0;
    if (row->key)
        setting(o, row->key, value);
}

static void
letters(struct import_options *o, struct import *m, const char *value, bool keep)
{
    AFT_ASSERT(value);
    if (keep && !o->keeps) /* the first --keep leaves everything else out */
        memset(m->filter.skip, 1, sizeof m->filter.skip);
    o->keeps |= keep;
    for (const char *c = value; *c; c++)
        m->filter.skip[(uint8_t)*c] = !keep;
}

/* An option that is VW's. -1, or the exit code. */
static int
take(struct import_options *o, struct import *m, const struct row *row, const char *value)
{
    AFT_ASSERT(value || row->takes == NOTHING);
    switch (row->what) {
    case CROSS:
        AFT_ASSERT(value);
        if (strlen(value) < 2 || strlen(value) > 7 ||
            o->crosses_n == sizeof o->crosses / sizeof o->crosses[0]) {
            fprintf(stderr,
                    "aftertouch import: --%s %.60s: want 2 to 7 letters of namespaces, at most "
                    "64 times; the log's own name goes right behind \"vw\"\n",
                    row->name, value);
            return 2;
        }
        snprintf(o->crosses[o->crosses_n++], sizeof o->crosses[0], "%s", value);
        return -1;
    case IGNORE:
    case KEEP:
        letters(o, m, value, row->what == KEEP);
        return -1;
    case SINGLE:
        o->explores |= row->into != NULL;
        return single(m, row, value);
    case ADF:
        m->adf = true;
        o->explores |= row->into != NULL;
        return -1;
    case SOURCE:
        m->source = value;
        return -1;
    case DSJSON:
        m->json = IMPORT_DSJSON;
        return -1;
    case MIN_COST:
    case MAX_COST:
        return range(m, row, value);
    case CB_TYPE:
        cb_type(o, value);
        return -1;
    case SETTING:
        o->epsilon |= strcmp(row->name, "epsilon") == 0;
        setting(o, row->into, value);
        return -1;
    case EXPLORER:
        explorer(o, row, value);
        return -1;
    case NONE:
        remark(o, "--%s%s%s: %s", row->name, value ? " " : "", value ? value : "", row->into);
        return -1;
    case REFUSE:
        fprintf(stderr, "aftertouch import: --%s: %s\n", row->name, row->into);
        return 2;
    case SILENT:
    case OPTIONS:
        return -1;
    }
    AFT_NEVER();
}

/* The row of an argument, and its value where it stands in the same word ("-qUA", "--quadratic=UA"). */
static const struct row *
row_of(const char *argument, const char **value)
{
    bool longer = argument[0] == '-' && argument[1] == '-';
    const char *text = argument + 2, *equals = strchr(argument, '=');
    size_t n = longer && equals ? (size_t)(equals - text) : longer ? strlen(text) : 0;
    *value = longer && equals ? equals + 1 : NULL;
    if (argument[0] != '-' || !argument[1])
        return NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (longer && strlen(rows[i].name) == n && memcmp(rows[i].name, text, n) == 0)
            return &rows[i];
        if (!longer && rows[i].letter && rows[i].letter == argument[1]) {
            *value = argument[2] ? argument + 2 : NULL;
            return &rows[i];
        }
    }
    return NULL;
}

static int
split(struct import_options *o, const char *options, char **out, int cap)
{
    size_t n = strlen(options);
    int found = 0;
    if (o->text_n + n + 1 > sizeof o->text)
        return -1;
    char *text = o->text + o->text_n, *rest = NULL;
    memcpy(text, options, n + 1);
    o->text_n += (uint32_t)n + 1;
    for (char *w = strtok_r(text, " \t\n", &rest); w; w = strtok_r(NULL, " \t\n", &rest)) {
        if (found == cap)
            return -1;
        out[found++] = w;
    }
    return found;
}

static int
too_many(void)
{
    fputs("aftertouch import: too many options\n", stderr);
    return 2;
}

/* The option at argv[*at], its values behind it. -1, or the exit code. VW's lists go on to the next option; a file that is there is
 * no namespace's letter, but the log. */
static int
take_all(struct import_options *o, struct import *m, const struct row *row, const char *value,
         char **argv, int *at)
{
    if (row->takes != NOTHING && !value) {
        if (!argv[*at + 1]) {
            fprintf(stderr, "aftertouch import: %s wants a value\n", argv[*at]);
            return 2;
        }
        value = argv[++*at];
    }
    int code = take(o, m, row, row->takes == NOTHING ? NULL : value);
    while (code < 0 && row->takes == LIST && argv[*at + 1] && argv[*at + 1][0] != '-' &&
           access(argv[*at + 1], F_OK) != 0)
        code = take(o, m, row, argv[++*at]);
    return code;
}

int
import_options(char **argv, struct import_options *o, struct import *m, char **rest, int cap,
               int *rest_n)
{
    for (int i = 0; argv[i]; i++) {
        const char *value = NULL;
        const struct row *row = row_of(argv[i], &value);
        int code = -1;
        if (!row) {
            if (*rest_n == cap)
                return too_many();
            rest[(*rest_n)++] = argv[i];
        } else if (row->what == OPTIONS && (value || argv[i + 1])) {
            char *words[65];
            int n = split(o, value ? value : argv[++i], words, 64);
            words[n < 0 ? 0 : n] = NULL;
            code = n < 0 ? too_many() : import_options(words, o, m, rest, cap, rest_n);
        } else {
            code = take_all(o, m, row, value, argv, &i);
        }
        if (code >= 0)
            return code;
    }
    return -1;
}

/* ---- interactions */
enum { CONTEXT = 1, OWN = 2, SPACES = 2 * AFT_VW_NAMESPACES_MAX };
struct spaces {
    const char *name[SPACES];
    int where[SPACES]; /* CONTEXT, OWN or both */
    uint32_t n;
};

static void
add_spaces(struct spaces *s, const struct import_spaces *from, const struct import *m, int where)
{
    for (uint32_t i = 0; i < from->n; i++) {
        uint32_t k = 0;
        if (m->filter.skip[from->v[i][0] ? (uint8_t)from->v[i][0] : ' '])
            continue;
        while (k < s->n && strcmp(s->name[k], from->v[i]) != 0)
            k++;
        s->n += k == s->n;
        s->name[k] = from->v[i];
        s->where[k] |= where;
    }
}

static bool
matches(const struct spaces *s, uint32_t i, char letter)
{
    return letter == ':' || letter == (s->name[i][0] ? s->name[i][0] : ' ');
}

/* `a*b` behind the others in out, once. false: it cannot be written. */
static bool
add_pair(struct aft_buffer *out, const char *a, const char *b)
{
    char text[2 * IMPORT_NAME_MAX + 8];
    a = *a ? a : "^"; /* features without a namespace */
    b = *b ? b : "^";
    if (strpbrk(a, "*, ") || strpbrk(b, "*, ") || strlen(a) > 63 || strlen(b) > 63)
        return false;
    int n = snprintf(text, sizeof text, ",%s*%s,", strcmp(a, b) <= 0 ? a : b,
                     strcmp(a, b) <= 0 ? b : a);
    aft_put_u8(out, 0);
    bool there = strstr((char *)out->p, text) != NULL;
    out->n--;
    if (!there) /* the list begins and ends with a comma meanwhile */
        aft_put_raw(out, (struct aft_bytes){(const uint8_t *)text + 1, (size_t)n - 1});
    return true;
}

static bool
within(const struct spaces *s, uint32_t a, uint32_t b)
{
    return (s->where[a] & s->where[b]) != 0;
}

static void
cross_two(const struct spaces *s, const char *letters_of, struct aft_buffer *out,
          struct import_options *o)
{
    bool crossed = false, bad = false;
    for (uint32_t a = 0; a < s->n; a++)
        for (uint32_t b = 0; b < s->n; b++) {
            if (!matches(s, a, letters_of[0]) || !matches(s, b, letters_of[1]))
                continue;
            crossed |= (s->where[a] | s->where[b]) == (CONTEXT | OWN);
            if (within(s, a, b))
                bad |= !add_pair(out, s->name[a], s->name[b]);
        }
    if (crossed)
        remark(o, "-q %s: the flow crosses context and arm by itself", letters_of);
    if (bad)
        remark(o, "-q %s: a namespace's name has '*', ',' or a space: rename it", letters_of);
}

/* Two of one sort and one of the other: a pair, which the flow crosses with the rest. */
static void
cross_three(const struct spaces *s, const char *l, struct aft_buffer *out, struct import_options *o)
{
    uint32_t wrong = 0;
    for (uint32_t a = 0; a < s->n; a++)
        for (uint32_t b = 0; b < s->n; b++)
            for (uint32_t c = 0; c < s->n; c++) {
                if (!matches(s, a, l[0]) || !matches(s, b, l[1]) || !matches(s, c, l[2]))
                    continue;
                bool all = within(s, a, b) && within(s, b, c) && within(s, a, c);
                if (all || !(within(s, a, b) || within(s, b, c) || within(s, a, c)))
                    wrong++;
                else if (within(s, a, b))
                    wrong += !add_pair(out, s->name[a], s->name[b]);
                else if (within(s, b, c))
                    wrong += !add_pair(out, s->name[b], s->name[c]);
                else
                    wrong += !add_pair(out, s->name[a], s->name[c]);
            }
    if (wrong)
        remark(o, "--interactions %s: triples within the context or within the arm are left out",
               l);
}

static void
interactions(const struct import *m, struct import_options *o, struct aft_buffer *out)
{
    struct spaces s = {.n = 0};
    add_spaces(&s, &m->shared, m, CONTEXT);
    add_spaces(&s, &m->own, m, OWN);
    aft_put_u8(out, ',');
    for (uint32_t i = 0; i < o->crosses_n; i++) {
        if (strlen(o->crosses[i]) == 2)
            cross_two(&s, o->crosses[i], out, o);
        else if (strlen(o->crosses[i]) == 3)
            cross_three(&s, o->crosses[i], out, o);
        else
            remark(o, "--interactions %s: of more than three is left out", o->crosses[i]);
    }
    out->n--; /* the last comma */
    aft_put_u8(out, 0);
}

/* ---- the configuration */
static void
try_setting(struct import_options *o, const char *pair, FILE *out)
{
    struct aft_config *c = aft_config_new();
    struct aft_error e;
    char key[80];
    const char *equals = strchr(pair, '=');
    snprintf(key, sizeof key, "%.*s", (int)(equals - pair), pair);
    if (aft_config_set(c, key, equals + 1, &e) == AFT_OK && aft_config_check(c, &e) == AFT_OK)
        fprintf(out, "%s\n", pair);
    else
        remark(o, "%s is left out: %.120s", pair, e.message);
    aft_config_free(c);
}

void
import_config_write(const struct import *m, struct import_options *o, FILE *out)
{
    struct aft_buffer crosses = {0};
    interactions(m, o, &crosses);
    for (uint32_t i = 0; i < m->scales_n; i++)
        remark(o, "feature %.80s is above %s somewhere%s: divided by %g here; log it so, too",
               m->scales[i].name, m->largest < 1e6 ? "1000" : "a million",
               m->largest < 1e6 ? ", and -q multiplies" : "", m->scales[i].by);
    fprintf(
        out,
        "# from %s by aftertouch import vw; a reward r of VW's (= -cost) is (r - %g) / %g here\n",
        m->source, m->low, m->high - m->low);
    if (o->any_label)
        fputs("# rewards that are made up leave [0, 1]: squared loss\n", out);
    fprintf(out, "learner.model=%s\n", o->any_label ? "flow-squared" : "flow");
    if (!o->explorer && (o->epsilon || o->explores)) /* VW's default */
        setting(o, "policy.explore", "epsilon");
    for (uint32_t i = 0; i < o->settings_n; i++)
        try_setting(o, o->settings[i], out);
    if (crosses.n > 2) {
        struct aft_buffer pair = {0};
        aft_put_raw(&pair, AFT_LITERAL("features.interactions="));
        aft_put_raw(&pair, aft_text((char *)crosses.p + 1));
        aft_put_u8(&pair, 0);
        try_setting(o, (char *)pair.p, out);
        aft_buffer_deinit(&pair);
    }
    for (uint32_t i = 0; i < o->remarks_n; i++)
        fprintf(out, "# %s\n", o->remarks[i]);
    aft_buffer_deinit(&crosses);
}
