/* demo.c - `aftertouch demo`: the verb: its options, its directory, which of the two ways it runs (demo_embedded.c, demo_broker.c). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/demo.h"

enum { SECONDS_DEFAULT = 45, SECONDS_MAX = 100000 };

static void
signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

static int
run_broker(struct aft_config *config, const struct demo_options *o)
{
    struct aft_error e;
    struct demo_result r = {.o = o, .participants = demo_participants(o)};
    enum aft_err err = demo_broker_run(config, o, &r, &e);
    int code = err == AFT_OK ? demo_report(&r) : cmd_fail("demo", &e);
    demo_examples_close(r.examples);
    return code;
}

/* ---- the directory */
static void
remove_tree(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        unlinkat(at, name, 0);
        return;
    }
    DIR *d = fdopendir(fd);
    for (struct dirent *x; d && (x = readdir(d)) != NULL;)
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
            remove_tree(fd, x->d_name);
    if (d)
        closedir(d);
    unlinkat(at, name, AT_REMOVEDIR);
}

static enum aft_err
directory_open(struct demo_options *o, const char *given, struct aft_error *e)
{
    const char *tmp = getenv("TMPDIR");
    o->keep = given != NULL;
    int n = given ? snprintf(o->directory, sizeof o->directory, "%s", given)
                  : snprintf(o->directory, sizeof o->directory, "%s/aftertouch-demo-XXXXXX",
                             tmp && tmp[0] ? tmp : "/tmp");
    if (n < 0 || (size_t)n >= sizeof o->directory)
        return AFT_FAIL(e, AFT_E_USAGE, "the directory's name is too long");
    if (!given && !mkdtemp(o->directory))
        return AFT_FAIL(e, AFT_E_IO, "cannot make %s: %s; --dir says where instead", o->directory,
                        strerror(errno));
    if (given && mkdir(o->directory, 0755) != 0)
        return AFT_FAIL(e, AFT_E_IO,
                        "cannot make %s: %s; --dir wants a directory that is not there yet",
                        o->directory, strerror(errno));
    return AFT_OK;
}

/* ---- the verb */
static const struct cmd_option own[] = {
    {"kafka", "BOOTSTRAP", "over a real broker, with the service as another process"},
    {"seconds", "N",
     "size: about so many seconds' worth of participants (default 45); not a cut of time, "
     "so that a seed gives the same result on any machine"},
    {"seed", "N", "another world (default 1)"},
    {"port", "N", "serve the live page and /metrics on 127.0.0.1:N (0: any free port)"},
    {"dir", "DIR",
     "keep state and topics in DIR, which must not be there yet; with --kafka the topics, too, "
     "which are deleted at the end otherwise"},
};

static bool
number(const struct cmd_line *l, const char *name, long low, long high, long *out)
{
    const char *text = cmd_given(l, name, 0);
    char *end;
    if (!text)
        return true;
    errno = 0;
    *out = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *out >= low && *out <= high)
        return true;
    fprintf(stderr, "aftertouch demo: --%s %s: want a whole number from %ld to %ld\n", name, text,
            low, high);
    return false;
}

static int
run(struct cmd_line *l, struct demo_options *o)
{
    struct aft_error e;
    sigset_t set;
    signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread: they inherit it */
    if (directory_open(o, cmd_given(l, "dir", 0), &e) != AFT_OK)
        return cmd_fail("demo", &e);
    enum aft_err err = demo_defaults(l->config, o, &e);
    int code = err == AFT_OK ? 0 : cmd_fail("demo", &e);
    if (code == 0)
        code = o->kafka ? run_broker(l->config, o) : demo_embedded_run(l->config, o);
    if (!o->keep)
        remove_tree(AT_FDCWD, o->directory);
    return code;
}

int
cmd_demo(int argc, char **argv)
{
    struct cmd_line l;
    long seconds = SECONDS_DEFAULT, port = -1, seed = 1;
    int code = cmd_parse(argc, argv, own, (int)(sizeof own / sizeof *own), &l);
    if (code >= 0)
        return code;
    bool ok = number(&l, "seconds", 1, SECONDS_MAX, &seconds) &&
              number(&l, "port", 0, 65535, &port) && number(&l, "seed", 0, INT64_MAX, &seed);
    ok = ok && cmd_options_alone(argv[0], &l);
    struct demo_options o = {.seed = (uint64_t)seed,
                             .seconds = (int)seconds,
                             .port = (int)port,
                             .json = l.json,
                             .kafka = cmd_given(&l, "kafka", 0)};
    code = ok ? run(&l, &o) : 2;
    cmd_line_free(&l);
    return code;
}
