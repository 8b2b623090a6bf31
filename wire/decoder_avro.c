/* decoder_avro.c - a topic's decoder: framed value -> canonical body, with a plan for each schema that was seen.
 * In: values, and a port that knows schemas by name. Out: bodies that borrow from the value, or from the caller's arena.
 *
 * Invariants: I1 what the port did not answer is not remembered here, be it that it does not know (what is unknown now may be known soon:
 * the port itself sees to it that a flood of such values costs it little), cannot say for now (AFT_E_AGAIN), or refuses us: none of
 * it is a property of the schema. I2 a schema that cannot be read as our record is remembered: a flood of such values is judged once.
 * The memory of plans is a ring of ENTRIES: the oldest makes room. One thread a decoder.
 */
#include <stdlib.h>

#include "wire/wire_avro.h"

enum { ENTRIES = 64 };

struct entry {
    enum aft_frame_kind kind;
    uint64_t name, more; /* registry id or fingerprint; or the two halves of a GUID */
    struct aft_plan *plan;
    struct aft_error why; /* plan == NULL: the answer to every value of this schema */
};

struct aft_decoder {
    enum aft_record record;
    struct aft_schema_port port;
    struct aft_schema *reader;
    struct entry entry[ENTRIES];
    unsigned n, next, last; /* filled; to be replaced next; found last */
    struct aft_buffer json, body;
};

enum aft_err
aft_decoder_new(enum aft_record r, struct aft_schema_port port, struct aft_decoder **out,
                struct aft_error *e)
{
    struct aft_schema *reader;
    AFT_TRY(aft_schema_parse(aft_record_schema(r), &reader, e));
    struct aft_decoder *d = calloc(1, sizeof *d);
    AFT_ASSERT(d != NULL);
    d->record = r;
    d->port = port;
    d->reader = reader;
    *out = d;
    return AFT_OK;
}

void
aft_decoder_free(struct aft_decoder *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->n; i++)
        aft_plan_free(d->entry[i].plan);
    aft_schema_free(d->reader);
    aft_buffer_deinit(&d->json);
    aft_buffer_deinit(&d->body);
    free(d);
}

static struct entry
name_of(const struct aft_frame *f)
{
    struct entry e = {.kind = f->kind, .name = f->id};
    if (f->kind == AFT_FRAME_SINGLE_OBJECT)
        e.name = f->fingerprint;
    if (f->kind == AFT_FRAME_GUID) {
        e.name = aft_load_le64(f->guid);
        e.more = aft_load_le64(f->guid + 8);
    }
    return e;
}

static struct entry *
find(struct aft_decoder *d, const struct entry *e)
{
    for (unsigned i = 0; i < d->n; i++) {
        unsigned at = (d->last + i) % d->n;
        if (d->entry[at].name == e->name && d->entry[at].kind == e->kind &&
            d->entry[at].more == e->more) {
            d->last = at;
            return &d->entry[at];
        }
    }
    return NULL;
}

static struct entry *
remember(struct aft_decoder *d, const struct entry *e)
{
    unsigned at = d->n < ENTRIES ? d->n++ : d->next;
    d->next = (at + 1) % ENTRIES;
    d->last = at;
    aft_plan_free(d->entry[at].plan);
    d->entry[at] = *e;
    return &d->entry[at];
}

static enum aft_err
ask(struct aft_decoder *d, const struct aft_frame *f, struct aft_error *e)
{
    const struct aft_schema_port *port = &d->port;
    aft_buffer_reset(&d->json);
    if (f->kind == AFT_FRAME_CONFLUENT && port->by_id)
        return port->by_id(port->ctx, f->id, &d->json, e);
    if (f->kind == AFT_FRAME_SINGLE_OBJECT && port->by_fingerprint)
        return port->by_fingerprint(port->ctx, f->fingerprint, &d->json, e);
    if (f->kind == AFT_FRAME_GUID && port->by_guid)
        return port->by_guid(port->ctx, f->guid, &d->json, e);
    if (f->kind == AFT_FRAME_GUID)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                        "the record's header names a schema by GUID, but no schema registry is "
                        "configured; set schema.registry.url");
    if (f->kind == AFT_FRAME_CONFLUENT)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                        "the value names schema id %u, but no schema registry is configured; set "
                        "schema.registry.url",
                        f->id);
    return AFT_FAIL(
        e, AFT_E_UNKNOWN_SCHEMA,
        "the value names a schema of fingerprint %016llx, which nobody here knows; write "
        "with our published schema or configure a registry",
        (unsigned long long)f->fingerprint);
}

static enum aft_err
compile(struct aft_decoder *d, struct aft_plan **plan, struct aft_error *e)
{
    struct aft_schema *writer;
    AFT_TRY(aft_schema_parse(aft_buffer_bytes(&d->json), &writer, e));
    enum aft_err err = aft_plan_compile(writer, d->reader, plan, e);
    aft_schema_free(writer);
    return err;
}

/* The plan of the frame's schema. A schema that does not fit is the record's fault here, not ours: class DATA. */
static enum aft_err
plan_of(struct aft_decoder *d, const struct aft_frame *f, struct aft_plan **out,
        struct aft_error *e)
{
    struct entry name = name_of(f);
    struct entry *known = find(d, &name);
    if (!known) {
        struct aft_plan *plan = NULL;
        struct aft_error why = {0};
        AFT_TRY(ask(d, f, e)); /* I1 */
        enum aft_err err = compile(d, &plan, &why);
        if (err && aft_err_class(err) != AFT_CLASS_DATA)
            why.code = AFT_E_UNKNOWN_SCHEMA;
        known = remember(d, &name);
        known->plan = plan;
        known->why = why;
    }
    *out = known->plan;
    if (*out)
        return AFT_OK;
    *e = known->why;
    return e->code;
}

static enum aft_err
body_of(struct aft_decoder *d, const struct aft_frame *f, struct aft_arena *a,
        struct aft_bytes *body, struct aft_error *e)
{
    struct aft_plan *plan = NULL;
    *body = f->body;
    if (f->kind == AFT_FRAME_SINGLE_OBJECT && f->fingerprint == aft_record_fingerprint(d->record))
        return AFT_OK;
    AFT_TRY(plan_of(d, f, &plan, e));
    if (aft_plan_identity(plan))
        return AFT_OK;
    aft_buffer_reset(&d->body);
    AFT_TRY(aft_plan_run(plan, f->body, &d->body, NULL, e));
    *body = aft_arena_copy(a, aft_buffer_bytes(&d->body));
    if (!body->p)
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "the batch's arena of %zu bytes is full; send smaller records", a->max);
    return AFT_OK;
}

enum aft_err
aft_decoder_body(struct aft_decoder *d, struct aft_bytes value, struct aft_arena *a,
                 struct aft_bytes *body, struct aft_error *e)
{
    struct aft_frame f;
    AFT_TRY(aft_frame_parse(value, &f, e));
    return body_of(d, &f, a, body, e);
}

enum aft_err
aft_decoder_headed(struct aft_decoder *d, struct aft_bytes header, struct aft_bytes value,
                   struct aft_arena *a, struct aft_bytes *body, struct aft_error *e)
{
    struct aft_frame f;
    if (!header.p)
        return aft_decoder_body(d, value, a, body, e);
    AFT_TRY(aft_frame_of_header(header, value, &f, e));
    return body_of(d, &f, a, body, e);
}
