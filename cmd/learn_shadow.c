/* learn_shadow.c - `learn --shadow`: what the model would have earned that the engine followed beside the one that decided
 * (shadow_model). In: the files of examples, once more; of each decision its SETTLE, where the rewards are final. Out: estimates.
 * I1 rows of a slate stand together, slates in the order of the files. One thread.
 */
#include <jansson.h>
#include <stdlib.h>

#include "cmd/learn.h"
#include "evaluate/evaluate.h"
#include "wire/wire_avro.h"

enum { ARENA_BYTES = 16 << 20 };

struct shadow {
    struct aft_slate_row *rows;
    struct aft_ope_row *top; /* of each slate, its first slot */
    double *pass;
    uint32_t *k;
    size_t rows_n, rows_cap, n, cap;
    struct aft_arena arena;
};

static void *
grown(void *p, size_t size, size_t cap)
{
    p = realloc(p, cap * size);
    AFT_ASSERT(p != NULL);
    return p;
}

static void
make_room(struct shadow *s)
{
    if (s->rows_n + AFT_SLATE_MAX > s->rows_cap) {
        s->rows_cap = 2 * s->rows_cap + 64 * AFT_SLATE_MAX;
        s->rows = grown(s->rows, sizeof *s->rows, s->rows_cap);
    }
    if (s->n == s->cap) {
        s->cap = 2 * s->cap + 1024;
        s->top = grown(s->top, sizeof *s->top, s->cap);
        s->pass = grown(s->pass, sizeof *s->pass, s->cap);
        s->k = grown(s->k, sizeof *s->k, s->cap);
    }
}

static void
take(struct shadow *s, const struct aft_example *x)
{
    make_room(s);
    struct aft_slate_row *rows = s->rows + s->rows_n;
    uint32_t k = x->phase == AFT_SETTLE ? aft_ope_shadow(x, rows, &s->pass[s->n]) : 0;
    if (k == 0)
        return;
    s->top[s->n] = (struct aft_ope_row){
        .ratio = rows[0].conditional, .reward = rows[0].reward, .pass = s->pass[s->n]};
    s->rows_n += s->k[s->n++] = k;
}

static enum aft_err
read_file(struct shadow *s, struct aft_file_reader *in, struct aft_error *e)
{
    for (;;) {
        struct aft_file_record r;
        struct aft_example x;
        bool end = false;
        AFT_TRY(aft_file_next(in, &r, &end, e));
        if (end)
            return AFT_OK;
        struct aft_reader body = aft_reader(r.body);
        aft_arena_reset(&s->arena);
        AFT_TRY(aft_decode_example(&body, &s->arena, &x, e));
        take(s, &x);
    }
}

static json_t *
estimates(const struct shadow *s)
{
    struct aft_ope o;
    struct aft_slate_ope slate;
    if (s->n == 0)
        return json_pack("{s:i}", "decisions", 0);
    aft_ope(s->top, (uint32_t)s->n, 0, 0, &o);
    aft_slate_ope(s->rows, s->k, s->pass, (uint32_t)s->n, &slate);
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "decisions", (json_int_t)s->n,
                     "ips", o.ips, "snips", o.snips, "effective_n", o.effective_n, "mean_ratio",
                     o.mean_ratio, "max_ratio", o.max_ratio, "slate_ips", slate.sips, "slate_rips",
                     slate.rips);
}

static double
number(const json_t *shadow, const char *name)
{
    return json_real_value(json_object_get(shadow, name));
}

void
learn_shadow_say(const json_t *shadow)
{
    json_int_t n = json_integer_value(json_object_get(shadow, "decisions"));
    if (n == 0)
        puts("shadow model: no settled decision here says of one (shadow_model of the engine)");
    else
        printf("shadow model, %lld settled decisions: top slot ips %.6f snips %.6f (effective n "
               "%.0f, mean ratio %.4f, greatest %.1f), slates ips %.6f rips %.6f\n",
               (long long)n, number(shadow, "ips"), number(shadow, "snips"),
               number(shadow, "effective_n"), number(shadow, "mean_ratio"),
               number(shadow, "max_ratio"), number(shadow, "slate_ips"),
               number(shadow, "slate_rips"));
}

enum aft_err
learn_shadow(const struct learn_job *j, struct json_t **out, struct aft_error *e)
{
    struct shadow s = {0};
    enum aft_err err = AFT_OK;
    aft_arena_init(&s.arena, ARENA_BYTES);
    for (int32_t p = 0; p < j->n && err == AFT_OK; p++) {
        struct aft_file_reader *in = NULL;
        err = aft_file_open(j->files[p], AFT_RECORD_EXAMPLE, false, &in, e);
        if (err == AFT_OK)
            err = read_file(&s, in, e);
        aft_file_close(in);
    }
    if (err == AFT_OK)
        *out = estimates(&s);
    aft_arena_deinit(&s.arena);
    free(s.rows);
    free(s.top);
    free(s.pass);
    free(s.k);
    return err;
}
