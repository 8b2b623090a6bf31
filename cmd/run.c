/* run.c - `run`: the service until a signal. In: configuration, --role. Out: the exit code of what ended it; 0 after SIGTERM or
 * SIGINT, 130 when interrupted before it was ready. A second signal ends it at once. */
#include "cmd/cmd.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct watch {
    struct aft_service *service;
    sigset_t set;
    bool interrupted; /* read after the thread was joined */
};

static void *
watch_main(void *ctx)
{
    struct watch *w = ctx;
    int which;
    while (sigwait(&w->set, &which) != 0)
        ;
    if (which == SIGUSR2)
        return NULL; /* the service ended by itself */
    w->interrupted = true;
    aft_say("info", "run", "%s: finishing what is in hand; once more ends at once",
            which == SIGINT ? "SIGINT" : "SIGTERM");
    aft_service_stop(w->service);
    while (sigwait(&w->set, &which) != 0)
        ;
    if (which != SIGUSR2)
        _exit(130);
    return NULL;
}

static int
role_of(const char *text, enum aft_role *out)
{
    static const char *const names[] = {"all", "join", "learn"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum aft_role)i;
            return -1;
        }
    fprintf(stderr, "aftertouch run: --role %s: want all, join or learn\n", text);
    return 2;
}

static int
serve(const char *verb, struct cmd_line *l, enum aft_role role, struct watch *w)
{
    struct aft_error e;
    pthread_t thread;
    bool standby = cmd_given(l, "standby", 0) != NULL;
    if (standby && role == AFT_ROLE_LEARN) {
        fputs("aftertouch run: --standby follows joiners; it does not go with --role learn\n",
              stderr);
        return 2;
    }
    if (aft_config_check(l->config, &e) != AFT_OK ||
        aft_service_start(l->config, role, standby, &w->service, &e) != AFT_OK)
        return cmd_fail(verb, &e);
    bool watching = pthread_create(&thread, NULL, watch_main, w) == 0;
    if (!watching)
        aft_service_stop(w->service);
    enum aft_err err = aft_service_wait(w->service, &e);
    bool ready = aft_service_was_ready(w->service);
    if (watching) {
        pthread_kill(thread, SIGUSR2);
        pthread_join(thread, NULL);
    }
    aft_service_free(w->service);
    if (err != AFT_OK)
        return cmd_fail(verb, &e);
    return !watching ? 1 : w->interrupted && !ready ? 130 : 0;
}

int
cmd_run(int argc, char **argv)
{
    static const struct cmd_option own[] = {
        {"role", "all|join|learn", "do both halves, or one of them"},
        {"standby", NULL,
         "follow the process that works, muted; check its examples; take over when it is gone"}};
    struct cmd_line l;
    struct watch w = {0};
    enum aft_role role = AFT_ROLE_ALL;
    int code = cmd_parse(argc, argv, own, sizeof own / sizeof own[0], &l);
    if (code >= 0)
        return code;
    const char *text = cmd_given(&l, "role", 0);
    code = !cmd_options_alone(argv[0], &l) ? 2 : text ? role_of(text, &role) : -1;
    if (code < 0) {
        /* blocked here, before any thread begins, so that the watcher alone receives them */
        sigemptyset(&w.set);
        sigaddset(&w.set, SIGTERM);
        sigaddset(&w.set, SIGINT);
        sigaddset(&w.set, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &w.set, NULL);
        signal(SIGPIPE, SIG_IGN);
        code = serve(argv[0], &l, role, &w);
    }
    cmd_line_free(&l);
    return code;
}
