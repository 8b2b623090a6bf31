/* schema_avro.h - a parsed schema as a tree: what avro-c checks, with what it drops (defaults, aliases, order of the source).
 *
 * Nodes and names live in the schema's arena; defaults and symbols borrow from its JSON. Named types are nodes that several
 * parents may point to, so a recursive schema is a graph with cycles.
 * Invariants: I1 a union has no union as a branch. I2 every child is filled once parsing is over.
 */
#ifndef AFT_WIRE_SCHEMA_AVRO_H
#define AFT_WIRE_SCHEMA_AVRO_H

#include <jansson.h>

#include "wire/wire_avro.h"

enum afti_kind {
    AFTI_NULL,
    AFTI_BOOLEAN,
    AFTI_INT,
    AFTI_LONG,
    AFTI_FLOAT,
    AFTI_DOUBLE,
    AFTI_BYTES,
    AFTI_STRING,
    AFTI_ARRAY,
    AFTI_MAP,
    AFTI_UNION,
    AFTI_FIXED,
    AFTI_ENUM,
    AFTI_RECORD,
    AFTI_KIND_COUNT
};

struct afti_node;
struct afti_field {
    const char *name;
    struct afti_node *type;
    json_t *otherwise; /* the default; NULL: none */
    json_t *aliases;   /* array of strings, or NULL */
};

struct afti_node {
    enum afti_kind kind;
    const char *name; /* named types: full name, and where its last part begins */
    const char *last;
    json_t *aliases;
    size_t size;               /* fixed */
    uint32_t n;                /* fields, branches, symbols; 1 for array and map */
    struct afti_field *fields; /* record */
    struct afti_node **child;  /* array: items; map: values; union: branches */
    const char **symbols;      /* enum */
    const char *otherwise;     /* enum: its default symbol, or NULL */
    bool written;              /* in the canonical form already */
};

struct aft_schema {
    struct aft_arena arena;
    struct aft_buffer text;
    json_t *json;
    struct afti_node *root;
    struct afti_node **named;
    uint32_t named_n, named_cap;
    struct aft_buffer canonical;
    uint64_t fingerprint;
};

enum {
    AFTI_SCHEMA_BYTES_MAX = 1 << 20,
    AFTI_SCHEMA_ARENA_MAX = 32 << 20,
    AFTI_FIELDS_MAX = 1024, /* of one record */
    AFTI_BRANCHES_MAX = 1024,
    AFTI_SYMBOLS_MAX = 8192, /* of one enum */
    AFTI_NAMED_MAX = 4096    /* named types of one schema */
};

const char *afti_kind_name(enum afti_kind k);
/* afti_canonical appends the parsing canonical form (Avro specification, "Transforming into Parsing Canonical Form"). */
void afti_canonical(struct afti_node *root, struct aft_buffer *out);

/* ---- what matches what (match_avro.c)
 * afti_same_type: one kind, and named types by their full name; or, if not strictly, by the last part of it or an alias of the
 * reader's. afti_promotes: the specification's promotions. afti_pick: the reader's branch for a type of the writer's: the same
 * type of the same full name, then of a matching name, then what it can be promoted to; within each, the first. afti_field_of:
 * the writer's field for a reader's, by name, then by the reader's aliases. afti_symbol: the index of a symbol. AFTI_NONE: none.
 * */
#define AFTI_NONE UINT32_MAX
bool afti_same_type(const struct afti_node *w, const struct afti_node *r, bool strictly);
bool afti_promotes(enum afti_kind w, enum afti_kind r);
uint32_t afti_pick(const struct afti_node *w, const struct afti_node *r);
uint32_t afti_field_of(const struct afti_node *w, const struct afti_field *f);
uint32_t afti_symbol(const struct afti_node *r, const char *name);

/* afti_put_default appends the binary form of a default under its type; false when the JSON does not fit the type. */
bool afti_put_default(const struct afti_node *type, json_t *value, struct aft_buffer *out);

/* The one lock around avro-c. */
void afti_avro_lock(void);
void afti_avro_unlock(void);

#endif
