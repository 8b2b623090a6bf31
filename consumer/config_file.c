/* config_file.c - a file of key=value lines, `#` or `!` comments, as Kafka's own.
 * In: a path. Out: keys set with "file:line" as their origin. A key twice in one file is an error that names both lines.
 */
#include "consumer/config_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    char **keys;
    int *lines;
    size_t n, cap;
};

static char *
trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    char *end = s + strlen(s);
    while (end > s && strchr(" \t\r\n", end[-1]))
        *--end = '\0';
    return s;
}

static enum aft_err
seen_add(struct seen *s, const char *key, int line, const char *path, struct aft_error *e)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->keys[i], key) == 0)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "%s:%d: %s was already set in line %d; keep one of them", path, line,
                            key, s->lines[i]);
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 32;
        s->keys = realloc(s->keys, s->cap * sizeof *s->keys);
        s->lines = realloc(s->lines, s->cap * sizeof *s->lines);
        AFT_ASSERT(s->keys != NULL && s->lines != NULL);
    }
    s->keys[s->n] = afti_strdup(key);
    s->lines[s->n++] = line;
    return AFT_OK;
}

static void
seen_free(struct seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->keys[i]);
    free(s->keys);
    free(s->lines);
}

static enum aft_err
line_put(struct aft_config *c, struct seen *seen, char *text, const char *path, int line,
         struct aft_error *e)
{
    char origin[512];
    char *key = trim(text);
    if (*key == '\0' || *key == '#' || *key == '!')
        return AFT_OK;
    size_t n = strlen(key);
    if (key[n - 1] == '\\')
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "%s:%d: a line cannot go on in the next one; write it in one line", path,
                        line);
    char *equals = strchr(key, '=');
    if (!equals)
        return AFT_FAIL(e, AFT_E_CONFIG, "%s:%d: \"%s\" is not of the form key=value", path, line,
                        key);
    *equals = '\0';
    char *value = trim(equals + 1);
    key = trim(key);
    AFT_TRY(seen_add(seen, key, line, path, e));
    snprintf(origin, sizeof origin, "%s:%d", path, line);
    struct aft_error inner;
    enum aft_err err = afti_config_put(c, key, value, origin, &inner);
    return err == AFT_OK ? AFT_OK : AFT_FAIL(e, err, "%s: %s", origin, inner.message);
}

enum aft_err
aft_config_load(struct aft_config *c, const char *path, struct aft_error *e)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return AFT_FAIL(e, AFT_E_CONFIG, "cannot read the configuration %s: %s", path,
                        strerror(errno));
    char *text = NULL;
    size_t cap = 0;
    struct seen seen = {0};
    enum aft_err err = AFT_OK;
    ssize_t n;
    for (int line = 1; err == AFT_OK && (n = getline(&text, &cap, f)) >= 0; line++) {
        bool marked = line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0; /* as some editors do */
        err =
            strlen(text) == (size_t)n
                ? line_put(c, &seen, text + (marked ? 3 : 0), path, line, e)
                : AFT_FAIL(e, AFT_E_CONFIG, "%s:%d: a byte 0; save the file as UTF-8", path, line);
    }
    if (err == AFT_OK && ferror(f))
        err = AFT_FAIL(e, AFT_E_IO, "cannot read %s to its end: %s", path, strerror(errno));
    free(text);
    seen_free(&seen);
    fclose(f);
    return err;
}
