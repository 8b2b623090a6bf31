/* kit.h - what every unit test includes first: cmocka 1.1.5 wants four headers before its own; seeds from the environment. */
#ifndef AFT_TESTS_KIT_H
#define AFT_TESTS_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* kit_seed: AFT_SEED, or the default; printed, so that a failure can be run again. */
static inline uint64_t
kit_seed(uint64_t otherwise)
{
    const char *s = getenv("AFT_SEED");
    uint64_t seed = s ? strtoull(s, NULL, 0) : otherwise;
    printf("seed %llu (set AFT_SEED to run another)\n", (unsigned long long)seed);
    return seed;
}

/* kit_rounds: AFT_ROUNDS, or the default: how many random cases. */
static inline long
kit_rounds(long otherwise)
{
    const char *s = getenv("AFT_ROUNDS");
    return s ? strtol(s, NULL, 0) : otherwise;
}

/* kit_folder makes an empty folder of this run's own for the test `name`, and writes its path; kit_remove takes it and all in it away. */
static inline void
kit_folder(char path[64], const char *name)
{
    snprintf(path, 64, "/tmp/aft-test-%s-XXXXXX", name);
    assert_non_null(mkdtemp(path));
}

/* kit_file: a folder of its own, and the path of a file in it that is not there yet; kit_remove takes the folder. */
static inline void
kit_file(char folder[64], char path[80], const char *name)
{
    kit_folder(folder, name);
    snprintf(path, 80, "%s/file", folder);
}

static inline void
kit_remove(const char *path)
{
    char command[256];
    assert_true(strncmp(path, "/tmp/aft-test-", 14) == 0 && strlen(path) < 200);
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

#endif
