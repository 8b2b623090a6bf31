/* fuzz_vw_text.c - lines of Vowpal Wabbit's text, and of its JSON, which becomes text. What is read is bounded: no name twice, names and
 * texts within their bounds, numbers finite; and it goes through the example's own encoder and decoder unchanged. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct aft_features f)
{
    AFT_ASSERT(f.n <= AFT_FEATURES_MAX);
    for (uint32_t i = 0; i < f.n; i++) {
        AFT_ASSERT(f.v[i].name.n > 0 && f.v[i].name.n <= AFT_ID_BYTES_MAX);
        AFT_ASSERT(f.v[i].type != AFT_FEATURE_NUMBER || f.v[i].number - f.v[i].number == 0);
        AFT_ASSERT(f.v[i].type != AFT_FEATURE_TEXT || f.v[i].text.n <= AFT_TEXT_BYTES_MAX);
        for (uint32_t k = 0; k < i; k++)
            AFT_ASSERT(!aft_same(f.v[i].name, f.v[k].name));
    }
}

static void
round_trip(struct aft_features f, struct aft_arena *a)
{
    struct aft_example x = {.decision_id = AFT_LITERAL("d"),
                            .user_id = AFT_LITERAL("u"),
                            .policy = AFT_LITERAL("vw"),
                            .context = f};
    struct aft_example y;
    struct aft_buffer b = {0};
    struct aft_error e;
    aft_encode_example(&b, &x);
    struct aft_reader r = aft_reader(aft_buffer_bytes(&b));
    AFT_ASSERT(aft_decode_example(&r, a, &y, &e) == AFT_OK && y.context.n == f.n);
    aft_buffer_deinit(&b);
}

static void
text(struct aft_bytes line, struct aft_arena *a)
{
    struct aft_vw_line l;
    struct aft_features f;
    struct aft_error e;
    aft_arena_reset(a);
    if (aft_vw_head(line, a, &l, &e) == AFT_OK && l.kind != AFT_VW_BLANK &&
        aft_vw_features(l.features, NULL, a, &f, &e) == AFT_OK) {
        check(f);
        round_trip(f, a);
    }
}

static void
json(struct aft_bytes line, struct aft_arena *a)
{
    static struct aft_vw_json j;
    struct aft_error e;
    for (int ds = 0; ds < 2; ds++)
        if (aft_vw_json_read(line, ds, &j, &e) == AFT_OK)
            for (uint32_t i = 0; i < j.lines_n; i++)
                text(aft_vw_json_text(&j, i), a);
    aft_buffer_deinit(&j.bytes);
    j.bytes = (struct aft_buffer){0};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aft_arena a;
    aft_arena_init(&a, 4 << 20);
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) : size;
        struct aft_bytes line = {data, n};
        if (aft_vw_json_is(line))
            json(line, &a);
        else
            text(line, &a);
        n += end != NULL;
        data += n;
        size -= n;
    }
    aft_arena_deinit(&a);
    return 0;
}
