/* import_arms.c - names: for VW's actions, which have none, what their features make of one; for what is counted. In: features. Out: an id. Pure. */
#include <string.h>

#include "cmd/import_inner.h"

static struct aft_bytes
bare(struct aft_bytes name, size_t space_n)
{
    return space_n ? (struct aft_bytes){name.p + space_n + 1, name.n - space_n - 1} : name;
}

/* A feature as an id: its name without the namespace, with its text. */
static uint32_t
feature_id(const struct aft_feature *f, size_t space_n, char out[AFT_ID_BYTES_MAX + 1])
{
    struct aft_bytes name = bare(f->name, space_n);
    int n = f->type == AFT_FEATURE_TEXT
                ? snprintf(out, AFT_ID_BYTES_MAX + 1, "%.*s=%.*s", (int)name.n,
                           (const char *)name.p, (int)f->text.n, (const char *)f->text.p)
                : snprintf(out, AFT_ID_BYTES_MAX + 1, "%.*s", (int)name.n, (const char *)name.p);
    return n < (int)AFT_ID_BYTES_MAX ? (uint32_t)n : AFT_ID_BYTES_MAX;
}

uint32_t
import_line_id(struct aft_bytes text, struct aft_features f, char out[AFT_ID_BYTES_MAX + 1])
{
    struct aft_bytes rest = text, space = AFT_ABSENT;
    if (f.n == 1 && aft_vw_namespace(&rest, &space) && f.v[0].name.n > space.n + (space.n > 0))
        return feature_id(&f.v[0], space.n, out);
    return (uint32_t)snprintf(out, AFT_ID_BYTES_MAX + 1, "%016llx",
                              (unsigned long long)aft_hash64(text, 0));
}

uint32_t
import_space_id(const struct import *m, struct aft_features f, char out[AFT_ID_BYTES_MAX + 1])
{
    size_t n = strlen(m->arm_space);
    for (uint32_t i = 0; i < f.n; i++) {
        struct aft_bytes name = f.v[i].name;
        bool named =
            n == 0 ? !memchr(name.p, '^', name.n)
                   : name.n > n + 1 && memcmp(name.p, m->arm_space, n) == 0 && name.p[n] == '^';
        if (named)
            return feature_id(&f.v[i], n, out);
    }
    return 0;
}

const char *
import_count_name(enum import_count c)
{
    static const char *const names[IMPORT_COUNTS] = {"unlabelled",  "malformed", "labels",
                                                     "probability", "cost",      "limit",
                                                     "skipped",     "no_support"};
    return names[c];
}

const char *
import_arms_name(enum import_arms a)
{
    static const char *const names[] = {"auto", "tag", "line", "namespace", "place"};
    return names[a];
}
