/* fuzz_config.c - any bytes as a configuration file: read and checked, or refused in words as a fault of the configuration. What was
 * taken is shown key by key, and what is shown is taken again: `config show` is a configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "consumer/consumer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_again(void *ctx, const char *key, const char *value, const char *origin)
{
    struct aft_error e;
    if (strcmp(origin, "default") == 0)
        return;
    enum aft_err err = aft_config_set(ctx, key, value, &e);
    AFT_ASSERT(err == AFT_OK);
}

static void
show(const struct aft_config *c)
{
    struct aft_config *same = aft_config_new();
    struct aft_error e;
    aft_config_each(c, put_again, same);
    enum aft_err err = aft_config_check(same, &e);
    AFT_ASSERT(err == AFT_OK);
    aft_config_free(same);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/aft-fuzz-XXXXXX";
    struct aft_error e;
    int fd = mkstemp(path);
    AFT_ASSERT(fd >= 0);
    AFT_ASSERT(write(fd, data, size) == (ssize_t)size);
    close(fd);
    struct aft_config *c = aft_config_new();
    enum aft_err err = aft_config_load(c, path, &e);
    if (err == AFT_OK && (err = aft_config_check(c, &e)) == AFT_OK)
        show(c);
    AFT_ASSERT(err == AFT_OK || (err == AFT_E_CONFIG && e.message[0] != '\0'));
    aft_config_free(c);
    unlink(path);
    return 0;
}
