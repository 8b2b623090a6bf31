/* main.c - the table of verbs and the dispatch. In: argv. Out: the exit code of the verb. */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct verb {
    const char *name;
    int (*function)(int argc, char **argv);
    const char *arguments, *what;
};

static const struct verb verbs[] = {
#define X(verb, function, arguments, what) {verb, function, arguments, what},
#include "cmd/verbs.def"
#undef X
};
#define VERBS_N (sizeof verbs / sizeof verbs[0])

static const struct verb *
find(const char *name)
{
    for (size_t i = 0; i < VERBS_N; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void
usage(FILE *out)
{
    fputs("aftertouch: credits late outcomes to what was shown, learns from it, publishes the "
          "model.\n\n"
          "  aftertouch VERB [--config FILE] [--set KEY=VALUE]... [--json] [...]\n\n",
          out);
    for (size_t i = 0; i < VERBS_N; i++)
        fprintf(out, "  %s%s%s\n      %s\n", verbs[i].name, verbs[i].arguments[0] ? " " : "",
                verbs[i].arguments, verbs[i].what);
    fputs(
        "\nEvery verb answers --help. Keys of the configuration: aftertouch config show.\n"
        "Exit: 0 ok, 1 failed, 2 usage, 3 configuration, 4 broker unreachable, 5 schema,\n"
        "      6 state damaged or gap in a log, 7 divergence, 8 not the owner, 130 interrupted.\n",
        out);
}

int
cmd_help(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        usage(stdout);
        return 0;
    }
    const struct verb *v = find(argv[1]);
    if (!v) {
        fprintf(stderr, "aftertouch help: there is no verb \"%s\"; see aftertouch help\n", argv[1]);
        return 2;
    }
    char option[] = "--help";
    char *help[] = {argv[1], option, NULL};
    return v->function(2, help);
}

/* cmd_verb_row: a verb's row, for cmd_parse's --help. */
void
cmd_verb_row(const char *name, const char **arguments, const char **what)
{
    const struct verb *v = find(name);
    *arguments = v ? v->arguments : "";
    *what = v ? v->what : "";
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct verb *v = find(name);
    if (!v) {
        fprintf(stderr, "aftertouch: there is no verb \"%s\"; see aftertouch help\n", name);
        return 2;
    }
    int code = v->function(argc - 1, argv + 1);
    bool lost = ferror(stdout) != 0; /* before what is flushed now */
    if ((fflush(stdout) != 0 || lost) && code == 0) {
        fprintf(stderr, "aftertouch: standard output could not be written%s%s\n", lost ? "" : ": ",
                lost ? "" : strerror(errno));
        return 1;
    }
    return code;
}
