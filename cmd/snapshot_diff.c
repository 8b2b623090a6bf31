/* snapshot_diff.c - `snapshot diff A B`: settings, arms, counts and rows of weights that differ between two snapshots. A row is known by
 * the hash of what it stands for; those of arms have the arm's name. What a row's change is worth: the root of the sum of the squares
 * of its weights' changes. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/snapshot.h"

enum { LARGEST = 10 };

struct row {
    uint64_t hash;
    double change;
    bool added;
};
struct diff {
    const struct aft_snapshot_record *a, *b;
    struct aft_weights wa, wb;
    struct row *rows; /* that changed */
    uint32_t rows_n, added, rows_before, rows_after;
};

/* ---- rows */
static void
note_row(struct diff *d, uint64_t hash, double squares, bool added)
{
    if (squares <= 0 && !added)
        return;
    d->rows[d->rows_n++] = (struct row){hash, sqrt(squares), added};
    d->added += added;
}

/* All members' weights of a row; columns stand in the order in which they came, and never move. */
static double
bilinear_change(const struct aft_bilinear *a, const struct aft_bilinear *b, uint32_t ra,
                uint32_t rb)
{
    double squares = 0;
    for (uint32_t m = 0; m < b->members; m++)
        for (uint32_t c = 0; c < b->columns.n; c++) {
            double before = 0, after = (double)b->w[aft_bilinear_at(b, rb, m) + c];
            if (ra != AFT_NOWHERE && m < a->members && c < a->columns.n)
                before = (double)a->w[aft_bilinear_at(a, ra, m) + c];
            squares += (after - before) * (after - before);
        }
    return squares;
}

static void
bilinear_rows(struct diff *d)
{
    const struct aft_bilinear *a = &d->wa.bilinear, *b = &d->wb.bilinear;
    d->rows_before = a->rows.n;
    d->rows_after = b->rows.n;
    for (uint32_t i = 0; i < b->rows.n; i++) {
        uint32_t at = aft_dict_find(&a->rows, b->rows.keys[i]);
        note_row(d, b->rows.keys[i], bilinear_change(a, b, at, i), at == AFT_NOWHERE);
    }
}

/* A linear model's rows are its blocks; the shared one has no name. */
static void
linear_rows(struct diff *d)
{
    const struct aft_linear *a = &d->wa.linear, *b = &d->wb.linear;
    d->rows_before = a->blocks_n;
    d->rows_after = b->blocks_n;
    for (uint32_t i = 0; i < b->blocks_n; i++) {
        uint64_t key = b->arms.n ? b->arms.keys[i] : 0;
        uint32_t at = b->arms.n ? aft_dict_find(&a->arms, key) : a->blocks_n ? 0 : AFT_NOWHERE;
        double squares = 0;
        for (uint32_t m = 0; m < b->members; m++) {
            const struct aft_linear_block *y = aft_linear_block(b, i, m), *x = NULL;
            if (at != AFT_NOWHERE && m < a->members)
                x = aft_linear_block(a, at, m);
            for (uint32_t c = 0; c < y->d; c++) {
                double by = y->theta[c] - (x && c < x->d ? x->theta[c] : 0);
                squares += by * by;
            }
        }
        note_row(d, key, squares, at == AFT_NOWHERE);
    }
}

static int
by_change(const void *x, const void *y)
{
    double a = ((const struct row *)x)->change, b = ((const struct row *)y)->change;
    return (a < b) - (a > b);
}

static enum aft_err
rows(struct diff *d, const struct aft_snapshot_set *a, const struct aft_snapshot_set *b,
     struct aft_error *e)
{
    AFT_TRY(aft_weights_decode(aft_snapshot_set_plane(a, AFT_PLANE_WEIGHTS), &d->wa, e));
    AFT_TRY(aft_weights_decode(aft_snapshot_set_plane(b, AFT_PLANE_WEIGHTS), &d->wb, e));
    if (d->wa.kind != d->wb.kind)
        return AFT_OK; /* told by learner.model */
    bool bilinear = aft_model_traits(d->wb.kind)->bilinear;
    uint32_t n = bilinear ? d->wb.bilinear.rows.n : d->wb.linear.blocks_n;
    d->rows = calloc((size_t)n + 1, sizeof *d->rows);
    AFT_ASSERT(d->rows);
    if (bilinear)
        bilinear_rows(d);
    else
        linear_rows(d);
    if (d->rows_n > 1)
        qsort(d->rows, d->rows_n, sizeof *d->rows, by_change);
    return AFT_OK;
}

/* ---- telling */
static json_t *
text_of(struct aft_bytes b)
{
    return json_stringn((const char *)b.p, b.n);
}

static json_t *
name_of(const struct diff *d, uint64_t hash, const struct aft_features_plan *plan)
{
    struct aft_encoded arm;
    struct aft_error e;
    char hex[20];
    for (uint32_t i = 0; i < d->b->manifest.arms_n; i++) {
        struct aft_bytes id = d->b->manifest.arms[i].arm_id;
        if (aft_encode_arm(plan, id, (struct aft_features){0}, &arm, &e) == AFT_OK &&
            arm.v[0].hash == hash)
            return text_of(id);
    }
    snprintf(hex, sizeof hex, "#%016llx", (unsigned long long)hash);
    return json_string(hash ? hex : "all arms");
}

static json_t *
tell_rows(const struct diff *d)
{
    struct aft_policy_settings s;
    static struct aft_features_plan plan;
    json_t *largest = json_array();
    aft_policy_settings_default(&s);
    aft_features_plan_init(&plan, &s);
    for (uint32_t i = 0; i < d->rows_n && i < LARGEST; i++)
        json_array_append_new(largest, json_pack("{s:o, s:f, s:b}", "row",
                                                 name_of(d, d->rows[i].hash, &plan), "change",
                                                 d->rows[i].change, "added", d->rows[i].added));
    return json_pack("{s:i, s:i, s:i, s:i, s:o}", "before", (int)d->rows_before, "after",
                     (int)d->rows_after, "changed", (int)d->rows_n, "added", (int)d->added,
                     "largest", largest);
}

static const struct aft_setting *
setting_of(const struct aft_manifest *f, struct aft_bytes name)
{
    for (uint32_t i = 0; i < f->settings_n; i++)
        if (aft_same(f->settings[i].name, name))
            return &f->settings[i];
    return NULL;
}

static json_t *
tell_settings(const struct diff *d)
{
    json_t *out = json_array();
    const struct aft_manifest *f = &d->b->manifest, *g = &d->a->manifest;
    for (uint32_t i = 0; i < f->settings_n; i++) {
        const struct aft_setting *now = &f->settings[i], *was = setting_of(g, now->name);
        if (was && aft_same(was->value, now->value))
            continue;
        json_array_append_new(out, json_pack("{s:o, s:o, s:o}", "name", text_of(now->name), "from",
                                             was ? text_of(was->value) : json_null(), "to",
                                             text_of(now->value)));
    }
    for (uint32_t i = 0; i < g->settings_n; i++)
        if (!setting_of(f, g->settings[i].name))
            json_array_append_new(out,
                                  json_pack("{s:o, s:o, s:n}", "name", text_of(g->settings[i].name),
                                            "from", text_of(g->settings[i].value), "to"));
    return out;
}

static json_t *
tell_arms(const struct diff *d)
{
    struct aft_dict before = {0};
    const struct aft_manifest *f = &d->b->manifest, *g = &d->a->manifest;
    json_t *out = json_array();
    for (uint32_t i = 0; i < g->arms_n; i++)
        aft_dict_add(&before, aft_hash64(g->arms[i].arm_id, 0));
    for (uint32_t i = 0; i < f->arms_n; i++) {
        const struct aft_arm_status *now = &f->arms[i], none = {.clicks = 0}, *was = &none;
        uint32_t at = aft_dict_find(&before, aft_hash64(now->arm_id, 0));
        if (at != AFT_NOWHERE)
            was = &g->arms[at];
        if (at != AFT_NOWHERE && now->exposures == was->exposures && now->clicks == was->clicks &&
            now->reward_micro == was->reward_micro)
            continue;
        json_array_append_new(
            out,
            json_pack("{s:o, s:b, s:I, s:I, s:f}", "arm", text_of(now->arm_id), "added",
                      at == AFT_NOWHERE, "exposures", (json_int_t)(now->exposures - was->exposures),
                      "clicks", (json_int_t)(now->clicks - was->clicks), "reward",
                      (double)(now->reward_micro - was->reward_micro) / AFT_MICRO));
    }
    aft_dict_deinit(&before);
    return out;
}

static json_t *
tell_counts(const struct diff *d)
{
    json_t *out = json_object();
    const struct aft_manifest *f = &d->b->manifest, *g = &d->a->manifest;
    for (uint32_t i = 0; i < f->counts_n; i++) {
        int64_t by = f->counts[i].count;
        char name[AFT_ID_BYTES_MAX + 1];
        for (uint32_t j = 0; j < g->counts_n; j++)
            if (aft_same(g->counts[j].name, f->counts[i].name))
                by -= g->counts[j].count;
        snprintf(name, sizeof name, "%.*s", (int)f->counts[i].name.n,
                 (const char *)f->counts[i].name.p);
        if (by)
            json_object_set_new(out, name, json_integer(by));
    }
    return out;
}

static json_t *
tell_one(const struct aft_snapshot_record *r)
{
    char digest[65];
    aft_hex(r->manifest.digest.b, sizeof r->manifest.digest.b, digest);
    return json_pack("{s:I, s:s}", "round", (json_int_t)r->round, "digest", digest);
}

static void
print_text(const json_t *o)
{
    size_t i;
    const char *key;
    json_t *x, *rows = json_object_get(o, "rows"), *counts = json_object_get(o, "counts");
    json_array_foreach(json_object_get(o, "settings"), i, x)
    {
        const char *from = json_string_value(json_object_get(x, "from"));
        const char *to = json_string_value(json_object_get(x, "to"));
        printf("setting  %s: %s -> %s\n", json_string_value(json_object_get(x, "name")),
               from ? from : "(none)", to ? to : "(none)");
    }
    json_object_foreach(counts, key, x)
        printf("count    %s: %+lld\n", key, (long long)json_integer_value(x));
    json_array_foreach(json_object_get(o, "arms"), i, x)
        printf("arm      %s%s: %+lld shown, %+lld clicked, reward %+.6f\n",
               json_string_value(json_object_get(x, "arm")),
               json_is_true(json_object_get(x, "added")) ? " (new)" : "",
               (long long)json_integer_value(json_object_get(x, "exposures")),
               (long long)json_integer_value(json_object_get(x, "clicks")),
               json_real_value(json_object_get(x, "reward")));
    printf("weights  %lld of %lld rows changed, %lld of them new\n",
           (long long)json_integer_value(json_object_get(rows, "changed")),
           (long long)json_integer_value(json_object_get(rows, "after")),
           (long long)json_integer_value(json_object_get(rows, "added")));
    json_array_foreach(json_object_get(rows, "largest"), i, x)
        printf("row      %s: by %.6g\n", json_string_value(json_object_get(x, "row")),
               json_real_value(json_object_get(x, "change")));
}

static void
print(const struct diff *d, bool json)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "from", tell_one(d->a), "to",
                          tell_one(d->b), "settings", tell_settings(d), "counts", tell_counts(d),
                          "arms", tell_arms(d), "rows", tell_rows(d));
    AFT_ASSERT(o);
    if (json) {
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        print_text(o);
    }
    json_decref(o);
}

enum aft_err
snapshot_diff(const struct snapshot_history *h, int64_t from, int64_t to, bool json,
              struct aft_error *e)
{
    struct aft_snapshot_set *a = NULL, *b = NULL;
    struct diff d = {.rows_n = 0};
    enum aft_err err = snapshot_at(h, from, &a, e);
    if (err == AFT_OK)
        err = snapshot_at(h, to, &b, e);
    if (err == AFT_OK) {
        d.a = aft_snapshot_set_newest(a);
        d.b = aft_snapshot_set_newest(b);
        err = rows(&d, a, b, e);
    }
    if (err == AFT_OK)
        print(&d, json);
    free(d.rows);
    aft_weights_deinit(&d.wa);
    aft_weights_deinit(&d.wb);
    aft_snapshot_set_free(a);
    aft_snapshot_set_free(b);
    return err;
}
