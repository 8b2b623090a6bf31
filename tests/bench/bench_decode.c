/* bench_decode.c - decoding impressions of about 250 bytes, ours against avro-c's generic values, in one run on one core:
 *   same      writer's and reader's schema alike        ours: codec                 avro-c: avro_value_read
 *   resolved  a field more, floats for doubles          ours: plan, then codec      avro-c: resolved writer into a generic value
 * usage: bench_decode [RECORDS [ROUNDS]]    prints records a second of each (the best round) and the ratio ours / avro-c
 * avro-c's resolved value is made anew for each record: kept, it slows down without limit. */
#include <avro.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire/wire_avro.h"

struct set {
    struct aft_buffer bytes;
    size_t *offset; /* n + 1 of them */
    unsigned n;
};

struct bench {
    struct set same, foreign;
    struct aft_plan *plan;
    avro_schema_t writer, reader;
    avro_value_iface_t *class, *resolved;
    struct aft_arena arena;
    struct aft_buffer body;
    int64_t sum; /* so that nothing is optimised away */
};

static void
die(const char *what)
{
    fprintf(stderr, "bench_decode: %s\n", what);
    exit(1);
}

static double
seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- data */
static void
put_text(struct aft_buffer *b, struct aft_random *r, const char *stem)
{
    char s[40];
    snprintf(s, sizeof s, "%s%08x", stem, (unsigned)aft_random_u32(r));
    aft_put_bytes(b, aft_text(s));
}

static void
put_context(struct aft_buffer *b, struct aft_random *r)
{
    static const char *const names[] = {"tenure", "age_band", "balance", "logins", "plan", "hour"};
    aft_put_long(b, 7);
    for (int i = 0; i < 6; i++) {
        aft_put_bytes(b, aft_text(names[i]));
        aft_put_long(b, 0);
        aft_put_double(b, aft_random_normal(r));
    }
    aft_put_bytes(b, AFT_LITERAL("device"));
    aft_put_long(b, 1);
    aft_put_bytes(b, AFT_LITERAL("web"));
    aft_put_u8(b, 0);
}

static void
put_slate(struct aft_buffer *b, struct aft_random *r, bool foreign)
{
    aft_put_long(b, 3);
    for (int i = 0; i < 3; i++) {
        char arm[16];
        snprintf(arm, sizeof arm, "arm-%d%03u", i, aft_random_below(r, 200));
        aft_put_bytes(b, aft_text(arm));
        aft_put_long(b, i);
        if (foreign)
            aft_put_float(b, (float)aft_random_unit(r));
        else
            aft_put_double(b, aft_random_unit(r));
        aft_put_long(b, 0); /* marginal */
        aft_put_long(b, 0); /* subject */
        aft_put_u8(b, 0);   /* features */
    }
    aft_put_u8(b, 0);
}

static void
put_impression(struct aft_buffer *b, struct aft_random *r, unsigned i, bool foreign)
{
    put_text(b, r, "decision-");
    put_text(b, r, "user-5f2c");
    aft_put_long(b, 1763000000000 + i * 37);
    aft_put_long(b, 1);
    put_text(b, r, "s-");
    if (foreign)
        aft_put_bytes(b, AFT_LITERAL("ios"));
    aft_put_bytes(b, AFT_LITERAL("personalised"));
    aft_put_long(b, 0); /* snapshot */
    aft_put_long(b, 0); /* propensity_kind */
    aft_put_u8(b, 0);   /* deferred */
    put_context(b, r);
    aft_put_u8(b, 0); /* candidates */
    put_slate(b, r, foreign);
    aft_put_long(b, 0); /* design */
}

static void
make_set(struct set *s, unsigned n, bool foreign)
{
    struct aft_random r;
    aft_random_init(&r, 42, foreign);
    s->n = n;
    s->offset = malloc((n + 1) * sizeof *s->offset);
    if (!s->offset)
        die("out of memory");
    for (unsigned i = 0; i < n; i++) {
        s->offset[i] = s->bytes.n;
        put_impression(&s->bytes, &r, i, foreign);
    }
    s->offset[n] = s->bytes.n;
}

static struct aft_bytes
record(const struct set *s, unsigned i)
{
    return (struct aft_bytes){s->bytes.p + s->offset[i], s->offset[i + 1] - s->offset[i]};
}

/* The text with `what` replaced by `with`. */
static void
replaced(struct aft_buffer *b, const char *what, const char *with)
{
    struct aft_buffer out = {0};
    aft_put_u8(b, 0);
    char *at = strstr((char *)b->p, what);
    if (!at)
        die("the schema has changed: mend bench_decode");
    size_t head = (size_t)(at - (char *)b->p);
    aft_put_raw(&out, (struct aft_bytes){b->p, head});
    aft_put_raw(&out, aft_text(with));
    aft_put_raw(&out, aft_text(at + strlen(what)));
    aft_buffer_deinit(b);
    *b = out;
}

static void
open_schemas(struct bench *x)
{
    struct aft_error e;
    struct aft_schema *w = NULL, *r = NULL;
    struct aft_bytes ours = aft_record_schema(AFT_RECORD_IMPRESSION);
    struct aft_buffer theirs = {0};
    aft_put_raw(&theirs, ours);
    replaced(&theirs, "{\"name\": \"policy\"",
             "{\"name\": \"platform\", \"type\": \"string\"}, {\"name\": \"policy\"");
    replaced(&theirs, "\"propensity\", \"type\": \"double\"",
             "\"propensity\", \"type\": \"float\"");
    if (aft_schema_parse(aft_buffer_bytes(&theirs), &w, &e) || aft_schema_parse(ours, &r, &e) ||
        aft_plan_compile(w, r, &x->plan, &e))
        die(e.message);
    if (avro_schema_from_json_length((const char *)theirs.p, theirs.n, &x->writer) ||
        avro_schema_from_json_length((const char *)ours.p, ours.n, &x->reader))
        die(avro_strerror());
    x->class = avro_generic_class_from_schema(x->reader);
    x->resolved = avro_resolved_writer_new(x->writer, x->reader);
    if (!x->class || !x->resolved)
        die(avro_strerror());
    aft_schema_free(w);
    aft_schema_free(r);
    aft_buffer_deinit(&theirs);
}

/* ---- what is measured: n records, the time they took */
static double
ours_same(struct bench *x)
{
    struct aft_error e;
    struct aft_impression v;
    double start = seconds();
    for (unsigned i = 0; i < x->same.n; i++) {
        aft_arena_reset(&x->arena);
        if (aft_decode_impression(record(&x->same, i), &x->arena, &v, &e))
            die(e.message);
        x->sum += v.timestamp_ms + v.context.n + v.slate_n;
    }
    return seconds() - start;
}

static double
ours_resolved(struct bench *x)
{
    struct aft_error e;
    struct aft_impression v;
    double start = seconds();
    for (unsigned i = 0; i < x->foreign.n; i++) {
        aft_arena_reset(&x->arena);
        aft_buffer_reset(&x->body);
        if (aft_plan_run(x->plan, record(&x->foreign, i), &x->body, NULL, &e) ||
            aft_decode_impression(aft_buffer_bytes(&x->body), &x->arena, &v, &e))
            die(e.message);
        x->sum += v.timestamp_ms + v.context.n + v.slate_n;
    }
    return seconds() - start;
}

static double
avro_same(struct bench *x)
{
    avro_value_t v;
    avro_reader_t r = avro_reader_memory("", 0);
    if (avro_generic_value_new(x->class, &v))
        die(avro_strerror());
    double start = seconds();
    for (unsigned i = 0; i < x->same.n; i++) {
        struct aft_bytes b = record(&x->same, i);
        avro_reader_memory_set_source(r, (const char *)b.p, (int64_t)b.n);
        avro_value_reset(&v);
        if (avro_value_read(r, &v))
            die(avro_strerror());
    }
    double took = seconds() - start;
    avro_value_decref(&v);
    avro_reader_free(r);
    return took;
}

static double
avro_resolved(struct bench *x)
{
    avro_value_t v;
    avro_reader_t r = avro_reader_memory("", 0);
    if (avro_generic_value_new(x->class, &v))
        die(avro_strerror());
    double start = seconds();
    for (unsigned i = 0; i < x->foreign.n; i++) {
        struct aft_bytes b = record(&x->foreign, i);
        avro_value_t through;
        avro_resolved_writer_new_value(x->resolved, &through);
        avro_resolved_writer_set_dest(&through, &v);
        avro_reader_memory_set_source(r, (const char *)b.p, (int64_t)b.n);
        avro_value_reset(&v);
        if (avro_value_read(r, &through))
            die(avro_strerror());
        avro_value_decref(&through);
    }
    double took = seconds() - start;
    avro_value_decref(&v);
    avro_reader_free(r);
    return took;
}

static void
report(struct bench *x, const char *name, double (*ours)(struct bench *),
       double (*theirs)(struct bench *), long rounds)
{
    double best[2] = {1e9, 1e9};
    for (long i = 0; i < rounds; i++) {
        double a = ours(x), b = theirs(x);
        best[0] = a < best[0] ? a : best[0];
        best[1] = b < best[1] ? b : best[1];
    }
    printf("%-10s ours %12.0f records/s   avro-c %12.0f records/s   ratio %.1f\n", name,
           x->same.n / best[0], x->same.n / best[1], best[1] / best[0]);
}

int
main(int argc, char **argv)
{
    struct bench x = {.sum = 0};
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    if (n <= 0 || n > 10000000 || rounds <= 0)
        die("usage: bench_decode [RECORDS [ROUNDS]]");
    aft_arena_init(&x.arena, 1 << 20);
    make_set(&x.same, (unsigned)n, false);
    make_set(&x.foreign, (unsigned)n, true);
    open_schemas(&x);
    printf("%ld impressions, mean %.1f bytes (resolved: %.1f)\n", n,
           (double)x.same.bytes.n / (double)n, (double)x.foreign.bytes.n / (double)n);
    report(&x, "same", ours_same, avro_same, rounds);
    report(&x, "resolved", ours_resolved, avro_resolved, rounds);
    fprintf(stderr, "(%lld)\n", (long long)x.sum);
    avro_value_iface_decref(x.resolved);
    avro_value_iface_decref(x.class);
    avro_schema_decref(x.writer);
    avro_schema_decref(x.reader);
    aft_plan_free(x.plan);
    aft_arena_deinit(&x.arena);
    aft_buffer_deinit(&x.body);
    aft_buffer_deinit(&x.same.bytes);
    aft_buffer_deinit(&x.foreign.bytes);
    free(x.same.offset);
    free(x.foreign.offset);
    return 0;
}
