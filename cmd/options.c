/* options.c - the options that all verbs share, and a verb's own. In: argv after "aftertouch". Out: a cmd_line;
 * talk on stderr. */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cmd_option shared[] = {
    {"config", "FILE...",
     "read the configuration from FILE (again for more, the later over the former)"},
    {"set", "KEY=VALUE...", "set one key, over the file (again for more)"},
    {"json", NULL, "answer in JSON"},
    {"help", NULL, "this text"},
};
#define SHARED_N ((int)(sizeof shared / sizeof shared[0]))

static void
help_rows(const struct cmd_option *o, int n)
{
    for (int i = 0; i < n; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o[i].name, o[i].value ? " " : "",
                 o[i].value ? o[i].value : "");
        printf("  %-26s %s\n", left, o[i].help);
    }
}

static void
help(const char *verb, const struct cmd_option *own, int own_n)
{
    const char *arguments, *what;
    cmd_verb_row(verb, &arguments, &what);
    printf("aftertouch %s %s\n  %s\n\n", verb, arguments, what);
    help_rows(own, own_n);
    help_rows(shared, SHARED_N);
}

static const struct cmd_option *
find(const struct cmd_option *o, int n, const char *name, size_t length)
{
    for (int i = 0; i < n; i++)
        if (strlen(o[i].name) == length && memcmp(o[i].name, name, length) == 0)
            return &o[i];
    return NULL;
}

static int
set_pair(const char *verb, struct cmd_line *l, const char *pair)
{
    struct aft_error e;
    const char *equals = strchr(pair, '=');
    if (!equals) {
        fprintf(stderr, "aftertouch %s: --set %s: want KEY=VALUE\n", verb, pair);
        return 2;
    }
    char *key = strdup(pair);
    if (!key)
        return 1;
    key[equals - pair] = '\0';
    enum aft_err err = aft_config_set(l->config, key, equals + 1, &e);
    free(key);
    return err == AFT_OK ? -1 : cmd_fail(verb, &e);
}

/* The file first, then every --set in order, wherever they stood. */
static int
configure(const char *verb, struct cmd_line *l)
{
    struct aft_error e;
    const char *value;
    for (int i = 0; (value = cmd_given(l, "config", i)) != NULL; i++)
        if (aft_config_load(l->config, value, &e) != AFT_OK)
            return cmd_fail(verb, &e);
    for (int i = 0; (value = cmd_given(l, "set", i)) != NULL; i++) {
        int code = set_pair(verb, l, value);
        if (code >= 0)
            return code;
    }
    return -1;
}

/* One option at argv[*i]; moves *i over its value. -1, or the exit code. */
static int
take_option(int argc, char **argv, int *i, const struct cmd_option *own, int own_n,
            struct cmd_line *l)
{
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const struct cmd_option *o = find(own, own_n, text, length);
    if (!o)
        o = find(shared, SHARED_N, text, length);
    if (!o) {
        fprintf(stderr, "aftertouch %s: unknown option %s; see aftertouch %s --help\n", argv[0],
                argv[*i], argv[0]);
        return 2;
    }
    const char *value = equals ? equals + 1 : "";
    if (o->value && !equals) {
        if (*i + 1 >= argc) {
            fprintf(stderr, "aftertouch %s: --%s wants %s\n", argv[0], o->name, o->value);
            return 2;
        }
        value = argv[++*i];
    } else if (!o->value && equals) {
        fprintf(stderr, "aftertouch %s: --%s takes no value\n", argv[0], o->name);
        return 2;
    }
    if (o->value && !strstr(o->value, "...") && cmd_given(l, o->name, 0)) {
        fprintf(stderr, "aftertouch %s: --%s is given twice (%s, %s): want it once\n", argv[0],
                o->name, cmd_given(l, o->name, 0), value);
        return 2;
    }
    l->given[l->given_n].name = o->name;
    l->given[l->given_n++].value = value;
    return -1;
}

static int
take_all(int argc, char **argv, const struct cmd_option *own, int own_n, struct cmd_line *l)
{
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "-h") == 0) {
            l->given[0].name = "help";
            l->given[0].value = "";
            l->given_n = 1;
            return -1;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            int code = take_option(argc, argv, &i, own, own_n, l);
            if (code >= 0)
                return code;
        } else {
            l->positional[l->positional_n++] = argv[i];
        }
    }
    return -1;
}

int
cmd_parse(int argc, char **argv, const struct cmd_option *own, int own_n, struct cmd_line *out)
{
    size_t most = (size_t)argc;
    *out = (struct cmd_line){.config = aft_config_new(),
                             .positional = calloc(most, sizeof *out->positional),
                             .given = calloc(most, sizeof *out->given)};
    AFT_ASSERT(out->positional && out->given);
    int code = take_all(argc, argv, own, own_n, out);
    if (code < 0 && cmd_given(out, "help", 0)) {
        help(argv[0], own, own_n);
        code = 0;
    }
    out->json = cmd_given(out, "json", 0) != NULL;
    if (code < 0)
        code = configure(argv[0], out);
    if (code >= 0)
        cmd_line_free(out);
    return code;
}

void
cmd_line_free(struct cmd_line *l)
{
    aft_config_free(l->config);
    free(l->positional);
    free(l->given);
    *l = (struct cmd_line){0};
}

bool
cmd_options_alone(const char *verb, const struct cmd_line *l)
{
    if (l->positional_n > 0)
        fprintf(stderr,
                "aftertouch %s: \"%s\" is no option, and it takes nothing else; see aftertouch %s "
                "--help\n",
                verb, l->positional[0], verb);
    return l->positional_n == 0;
}

const char *
cmd_given(const struct cmd_line *l, const char *name, int i)
{
    for (int k = 0; k < l->given_n; k++)
        if (strcmp(l->given[k].name, name) == 0 && i-- == 0)
            return l->given[k].value;
    return NULL;
}

int
cmd_fail(const char *verb, const struct aft_error *e)
{
    fprintf(stderr, "aftertouch %s: %s\n", verb, e->message);
    return aft_err_exit(e->code);
}

int
cmd_either(int argc, char **argv, const struct cmd_either *v)
{
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, NULL, 0, &l);
    if (code >= 0)
        return code;
    int which = 2;
    for (int i = 0; l.positional_n == 1 + v->more && i < 2; i++)
        if (l.positional[0] && strcmp(l.positional[0], v->words[i]) == 0)
            which = i;
    code = 0;
    if (which == 2) {
        fprintf(stderr, "aftertouch %s: want %s\n", argv[0], v->want);
        code = 2;
    } else if (v->work(&l, which, &e) != AFT_OK) {
        code = cmd_fail(argv[0], &e);
    }
    cmd_line_free(&l);
    return code;
}
