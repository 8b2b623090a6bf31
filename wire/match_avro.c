/* match_avro.c - which of the writer's types, fields and symbols belong to which of the reader's. Pure; any thread. */
#include "wire/schema_avro.h"

static bool
alias_names(const struct afti_node *r, const struct afti_node *w)
{
    for (size_t i = 0; i < json_array_size(r->aliases); i++) {
        const char *a = json_string_value(json_array_get(r->aliases, i));
        if (a && strcmp(a, strchr(a, '.') ? w->name : w->last) == 0)
            return true;
    }
    return false;
}

bool
afti_same_type(const struct afti_node *w, const struct afti_node *r, bool strictly)
{
    if (w->kind != r->kind)
        return false;
    if (!w->name || strcmp(w->name, r->name) == 0)
        return true;
    return !strictly && (strcmp(w->last, r->last) == 0 || alias_names(r, w));
}

bool
afti_promotes(enum afti_kind w, enum afti_kind r)
{
    switch (w) {
    case AFTI_INT:
        return r == AFTI_LONG || r == AFTI_FLOAT || r == AFTI_DOUBLE;
    case AFTI_LONG:
        return r == AFTI_FLOAT || r == AFTI_DOUBLE;
    case AFTI_FLOAT:
        return r == AFTI_DOUBLE;
    case AFTI_BYTES:
        return r == AFTI_STRING;
    case AFTI_STRING:
        return r == AFTI_BYTES;
    default:
        return false;
    }
}

uint32_t
afti_pick(const struct afti_node *w, const struct afti_node *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (afti_same_type(w, r->child[i], true))
            return i;
    for (uint32_t i = 0; i < r->n; i++)
        if (afti_same_type(w, r->child[i], false))
            return i;
    for (uint32_t i = 0; i < r->n; i++)
        if (afti_promotes(w->kind, r->child[i]->kind))
            return i;
    return AFTI_NONE;
}

uint32_t
afti_field_of(const struct afti_node *w, const struct afti_field *f)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (strcmp(w->fields[i].name, f->name) == 0)
            return i;
    for (size_t a = 0; a < json_array_size(f->aliases); a++) {
        const char *alias = json_string_value(json_array_get(f->aliases, a));
        for (uint32_t i = 0; alias && i < w->n; i++)
            if (strcmp(w->fields[i].name, alias) == 0)
                return i;
    }
    return AFTI_NONE;
}

uint32_t
afti_symbol(const struct afti_node *r, const char *name)
{
    for (uint32_t i = 0; name && i < r->n; i++)
        if (strcmp(r->symbols[i], name) == 0)
            return i;
    return AFTI_NONE;
}
