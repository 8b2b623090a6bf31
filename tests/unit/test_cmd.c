/* test_cmd.c - command lines that are wrong: the exit code, and words that say what is wrong and how to mend it. Nothing is written. */
#include "tests/kit.h"

#include <sys/wait.h>
#include <unistd.h>

static char program[1024]; /* beside the tests: ../bin/aftertouch */

/* run: both outputs; the exit code, -1 for a signal. */
static int
run_in(const char *folder, const char *line, char *out, size_t size)
{
    char command[8192];
    snprintf(command, sizeof command, "cd %s && { %s %s; } 2>&1 </dev/null", folder, program, line);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, size - 1, p);
    out[n] = 0;
    int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
run(const char *line, char *out, size_t size)
{
    return run_in(".", line, out, size);
}

struct line {
    const char *words;
    int code;
    const char *says;
};

static void
wrong_lines(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"", 2, "aftertouch VERB"},
        {"rnu", 2, "there is no verb \"rnu\""},
        {"help rnu", 2, "there is no verb \"rnu\""},
        {"run --rloe join", 2, "unknown option --rloe; see aftertouch run --help"},
        {"run join", 2, "\"join\" is no option, and it takes nothing else"},
        {"run -v", 2, "\"-v\" is no option"},
        {"run --role both", 2, "want all, join or learn"},
        {"run --role join --role learn", 2, "--role is given twice (join, learn)"},
        {"run --standby=yes", 2, "--standby takes no value"},
        {"run", 3, "kafka.bootstrap.servers is not set"},
        {"version now", 2, "\"now\" is no option"},
        {"join --impressions a --outcomes b --examples c d", 2, "\"d\" is no option"},
        {"join --impressions a --impressions b --outcomes c --examples d", 2, "given twice (a, b)"},
        {"join --impressions", 2, "--impressions wants FILE"},
        {"learn --snapshot s", 2, "want --examples FILE..."},
        {"learn --snapshot s $(seq 65)", 2, "65 files; it takes 64 at most"},
        {"learn --examples a --merge b --snapshot s", 2, "one of the two"},
        {"learn --examples a --snapshot s --snapshot t", 2, "--snapshot is given twice (s, t)"},
        {"score requests --snapshot a --in b --out c", 2, "\"requests\" is no option"},
        {"demo shop", 2, "\"shop\" is no option"},
        {"doctor kafka", 2, "\"kafka\" is no option"},
        {"replay all", 2, "\"all\" is no option"},
        {"config show --set join.window", 2, "want KEY=VALUE"},
        {"config show --set join.windw=1d", 3, "did you mean join.window?"},
        {"config show --set =1", 3, "`aftertouch config show` lists those that there are"},
        {"config check --config /nowhere", 3, "cannot read the configuration /nowhere"},
        {"config doc > /dev/full", 1, "standard output could not be written"},
        {"config show --json > /dev/full", 1, "standard output could not be written"},
        {"version >&-", 1, "standard output could not be written"},
    };
    char out[1 << 14];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int code = run(lines[i].words, out, sizeof out);
        if (code != lines[i].code || !strstr(out, lines[i].says))
            fail_msg("aftertouch %s: exit %d, not %d; lacks \"%s\": %s", lines[i].words, code,
                     lines[i].code, lines[i].says, out);
    }
}

/* As many options as a topic has partitions, and more: the files are what is missed, not room for their names. */
static void
many_options(void **state)
{
    (void)state;
    char out[4096];
    const char *line = "replay --verify $(seq -f '--impressions /nowhere/%g' 200) $(seq -f "
                       "'--outcomes /nowhere/%g' 200) $(seq -f '--examples /nowhere/%g' 200)";
    int code = run(line, out, sizeof out);
    if (code == 2 || !strstr(out, "/nowhere/"))
        fail_msg("exit %d: %s", code, out);
}

/* What is read is never written over; what fails leaves no file behind, and takes no device away. */
static void
outputs(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"import vw log --examples log", 2, "written over what is read"},
        {"import vw log --examples ./link", 2, "written over what is read"},
        {"import vw log --examples out --out-config log", 2, "written over what is read"},
        {"import vw log --examples out --out-config out", 2, "written over --out-config"},
        {"import vw log --examples out", 1, "not one of 1 events"},
        {"join --impressions log --outcomes o --examples log", 2, "written over --impressions"},
        {"join --impressions log --outcomes log --examples out", 1, "Obj 1"},
        {"learn --examples log --snapshot log", 2, "written over --examples"},
        {"learn log --snapshot log", 2, "written over what is read"},
        {"learn log --snapshot out --greedy out", 2, "written over --greedy"},
        {"learn log --snapshot out", 1, "log near byte"},
        {"score --snapshot log --in b --out log", 2, "written over --snapshot"},
        {"score --snapshot a --in log --out link", 2, "written over --in"},
        {"config show --config log", 3, "log:1"},
    };
    char folder[64], out[4096], command[1024];
    kit_folder(folder, "cmd");
    snprintf(command, sizeof command, "cd %s && echo text > log && ln log link", folder);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int code = run_in(folder, lines[i].words, out, sizeof out);
        snprintf(command, sizeof command, "cd %s && test \"$(cat log)\" = text && test ! -e out",
                 folder);
        if (code != lines[i].code || !strstr(out, lines[i].says) || system(command) != 0)
            fail_msg("aftertouch %s: exit %d, not %d, \"%s\", or a file is not as it was: %s",
                     lines[i].words, code, lines[i].code, lines[i].says, out);
    }
    kit_remove(folder);
}

int
main(int argc, char **argv)
{
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    int n = slash ? (int)(slash - argv[0]) : 0;
    char here[500] = "";
    if (argc && argv[0][0] != '/' && !getcwd(here, sizeof here))
        return 1;
    snprintf(program, sizeof program, "%s%s%.*s/../bin/aftertouch", here, here[0] ? "/" : "",
             n ? n : 1, n ? argv[0] : ".");
    const struct CMUnitTest tests[] = {cmocka_unit_test(wrong_lines),
                                       cmocka_unit_test(many_options), cmocka_unit_test(outputs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
