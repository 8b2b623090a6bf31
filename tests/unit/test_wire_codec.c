/* test_wire_codec.c - frames and codecs: random nouns go round unchanged; cut-off and mutated bytes are refused or decoded,
 * never read past their end (run under asan); values outside their range are refused; other forms of the same value (negative
 * counts, many blocks) give the same noun and the same raw bytes. */
#include "tests/kit.h"

#include <math.h>

#include "wire/wire.h"

static struct aft_arena arena;
static struct aft_error error;
static struct aft_random rng;

static int
setup(void **state)
{
    (void)state;
    aft_arena_init(&arena, 64u << 20);
    aft_random_init(&rng, kit_seed(20260101), 1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    aft_arena_deinit(&arena);
    return 0;
}

static uint32_t
below(uint32_t n)
{
    return aft_random_below(&rng, n);
}

static struct aft_bytes
text(size_t least, size_t most)
{
    size_t n = least + below((uint32_t)(most - least + 1));
    uint8_t *p = aft_arena_take(&arena, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)('a' + below(26));
    return (struct aft_bytes){p, n};
}

static struct aft_bytes
maybe(size_t least, size_t most)
{
    return below(2) ? text(least, most) : AFT_ABSENT;
}

static struct aft_bytes
numbered(const char *stem, unsigned i)
{
    char *p = aft_arena_take(&arena, 32);
    snprintf(p, 32, "%s-%u", stem, i);
    return aft_text(p);
}

static struct aft_features
features(void)
{
    uint32_t n = below(6);
    struct aft_feature *v = aft_arena_take(&arena, (n + 1) * sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = (struct aft_feature){.name = text(1, 12), .type = (enum aft_feature_type)below(3)};
        if (v[i].type == AFT_FEATURE_NUMBER)
            v[i].number = aft_random_normal(&rng);
        else if (v[i].type == AFT_FEATURE_TEXT)
            v[i].text = text(0, 20);
        else
            v[i].flag = below(2);
    }
    return (struct aft_features){v, n};
}

static int64_t
any_long(void)
{
    return (int64_t)(aft_random_u64(&rng) >> below(64));
}

static const struct aft_candidate *
candidates(uint32_t *n)
{
    *n = below(5);
    struct aft_candidate *v = aft_arena_take(&arena, (*n + 1) * sizeof *v);
    for (uint32_t i = 0; i < *n; i++)
        v[i] = (struct aft_candidate){.arm_id = text(1, 9),
                                      .features = features(),
                                      .has_log_weight = below(2),
                                      .log_weight = (float)aft_random_unit(&rng),
                                      .mask = maybe(0, 8)};
    return v;
}

static struct aft_design
design(void)
{
    return (struct aft_design){text(1, 12), aft_random_unit(&rng), aft_random_unit(&rng),
                               (int32_t)any_long(), maybe(0, 12)};
}

static struct aft_impression
impression(void)
{
    struct aft_impression v = {.decision_id = text(1, 40),
                               .user_id = text(1, 40),
                               .timestamp_ms = 1700000000000 + below(100000),
                               .session_id = maybe(1, 9),
                               .policy = text(0, 20),
                               .snapshot = maybe(1, 64),
                               .propensity_kind = (enum aft_propensity_kind)below(4),
                               .deferred = below(2),
                               .context = features(),
                               .has_design = below(2),
                               .design = design()};
    v.candidates = candidates(&v.candidates_n);
    v.slate_n = below(5);
    struct aft_shown *s = aft_arena_take(&arena, (v.slate_n + 1) * sizeof *s);
    for (uint32_t i = 0; i < v.slate_n; i++)
        s[i] = (struct aft_shown){.arm_id = numbered("arm", i),
                                  .slot = (int32_t)below(32),
                                  .propensity = aft_random_unit(&rng),
                                  .has_marginal = below(2),
                                  .marginal = aft_random_unit(&rng),
                                  .subject = maybe(1, 9),
                                  .features = features()};
    v.slate = s;
    return v;
}

static struct aft_outcome
outcome(void)
{
    return (struct aft_outcome){
        text(1, 30),  text(1, 30),  1700000000000, text(1, 10),  (int64_t)below(4000000) - 2000000,
        maybe(1, 30), maybe(1, 30), maybe(1, 30),  maybe(1, 30), maybe(1, 30)};
}

static struct aft_example
example(void)
{
    struct aft_example v = {.seq = aft_random_u64(&rng) >> 1,
                            .phase = (enum aft_phase)below(4),
                            .fire_ms = any_long(),
                            .decision_id = text(1, 40),
                            .user_id = text(1, 40),
                            .timestamp_ms = any_long(),
                            .policy = text(0, 20),
                            .snapshot = maybe(1, 64),
                            .propensity_kind = (enum aft_propensity_kind)below(4),
                            .cause = maybe(1, 20),
                            .context = features(),
                            .has_design = below(2),
                            .design = design()};
    v.candidates = candidates(&v.candidates_n);
    v.items_n = below(5);
    struct aft_example_item *s = aft_arena_take(&arena, (v.items_n + 1) * sizeof *s);
    for (uint32_t i = 0; i < v.items_n; i++) {
        uint32_t n = below(4);
        struct aft_component *c = aft_arena_take(&arena, (n + 1) * sizeof *c);
        for (uint32_t k = 0; k < n; k++)
            c[k] = (struct aft_component){text(1, 9), any_long()};
        s[i] = (struct aft_example_item){.arm_id = numbered("arm", i),
                                         .slot = (int32_t)below(32),
                                         .propensity = aft_random_unit(&rng),
                                         .has_marginal = below(2),
                                         .marginal = aft_random_unit(&rng),
                                         .features = features(),
                                         .reward_micro = any_long(),
                                         .delta_micro = -any_long(),
                                         .components = c,
                                         .components_n = n};
    }
    v.items = s;
    return v;
}

static struct aft_clock_record
clock_record(void)
{
    struct aft_clock_record v = {.epoch = any_long(), .owner = maybe(0, 20)};
    if (below(2)) {
        v.kind = AFT_CLOCK_TICK;
        v.log = (enum aft_log_kind)below(2);
        v.at_offset = any_long();
        v.watermark_ms = any_long();
    }
    return v;
}

static const struct aft_end *
ends(uint32_t n, bool hashed)
{
    struct aft_end *v = aft_arena_take(&arena, (n + 1) * sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = (struct aft_end){.partition = (int32_t)i, any_long(), any_long(), {0, 0}};
        if (hashed)
            v[i].hash = (struct aft_hash128){aft_random_u64(&rng), aft_random_u64(&rng)};
    }
    return v;
}

static struct aft_round_record
round_record(void)
{
    struct aft_round_record v = {.epoch = any_long(),
                                 .kind = (enum aft_round_kind)below(2),
                                 .round = any_long(),
                                 .ends_n = below(4),
                                 .publish = (enum aft_publish)below(3),
                                 .decision = maybe(0, 20),
                                 .owner = maybe(0, 20)};
    v.ends = ends(v.ends_n, false);
    return v;
}

static struct aft_digest
digest(void)
{
    struct aft_digest d;
    for (int i = 0; i < 32; i++)
        d.b[i] = (uint8_t)below(256);
    return d;
}

static void
fill_manifest(struct aft_manifest *m)
{
    *m = (struct aft_manifest){.digest = digest(),
                               .parent = digest(),
                               .set_digest = digest(),
                               .configuration = digest(),
                               .has_parent = below(2),
                               .has_signature = below(2),
                               .event_time_ms = any_long(),
                               .ends_n = below(4),
                               .part_digests_n = below(3),
                               .settings_n = below(3),
                               .arms_n = below(3),
                               .scoreboard_n = below(3),
                               .counts_n = below(3)};
    m->ends = ends(m->ends_n, true);
    struct aft_digest *parts = aft_arena_take(&arena, 4 * sizeof *parts);
    struct aft_setting *settings = aft_arena_take(&arena, 4 * sizeof *settings);
    struct aft_arm_status *arms = aft_arena_take(&arena, 4 * sizeof *arms);
    struct aft_policy_score *scores = aft_arena_take(&arena, 4 * sizeof *scores);
    struct aft_named_sum *sums = aft_arena_take(&arena, 4 * sizeof *sums);
    struct aft_named_count *counts = aft_arena_take(&arena, 4 * sizeof *counts);
    for (unsigned i = 0; i < 4; i++) {
        parts[i] = digest();
        settings[i] = (struct aft_setting){text(1, 9), text(0, 30)};
        arms[i] = (struct aft_arm_status){text(1, 9), any_long(), any_long(), any_long(), 1};
        sums[i] = (struct aft_named_sum){text(1, 9), aft_random_normal(&rng)};
        scores[i] = (struct aft_policy_score){text(0, 9), any_long(), any_long(), 0.5,
                                              -1.5,       sums,       below(4)};
        counts[i] = (struct aft_named_count){text(1, 9), any_long()};
    }
    m->part_digests = parts;
    m->settings = settings;
    m->arms = arms;
    m->scoreboard = scores;
    m->counts = counts;
}

static struct aft_snapshot_record
snapshot_record(void)
{
    struct aft_snapshot_record v = {.model = text(1, 12),
                                    .round = any_long(),
                                    .kind = (enum aft_snapshot_kind)below(3),
                                    .parts = 5,
                                    .part = (int32_t)below(6),
                                    .plane = (enum aft_plane)below(3),
                                    .data = text(0, 50),
                                    .has_manifest = below(2),
                                    .note = maybe(0, 20)};
    if (v.has_manifest)
        fill_manifest(&v.manifest);
    return v;
}

static struct aft_block
block_record(void)
{
    struct aft_block v = {.epoch = any_long(),
                          .partition = (int32_t)below(100),
                          .first_seq = aft_random_u64(&rng) >> 1,
                          .hash = {aft_random_u64(&rng), aft_random_u64(&rng)},
                          .n = below(4)};
    struct aft_buffer b = {0};
    for (uint32_t i = 0; i < v.n; i++) {
        struct aft_example x = example();
        aft_encode_example(&b, &x);
    }
    v.examples = aft_arena_copy(&arena, aft_buffer_bytes(&b));
    aft_buffer_deinit(&b);
    return v;
}

/* again decodes body as record r and appends its encoding. */
static enum aft_err
again(enum aft_record r, struct aft_bytes body, struct aft_buffer *b)
{
    struct aft_impression impression_v;
    struct aft_outcome outcome_v;
    struct aft_example example_v;
    struct aft_block block_v;
    struct aft_clock_record clock_v;
    struct aft_round_record round_v;
    struct aft_snapshot_record snapshot_v;
    struct aft_reader reader = aft_reader(body);
    switch (r) {
    case AFT_RECORD_IMPRESSION:
        AFT_TRY(aft_decode_impression(body, &arena, &impression_v, &error));
        aft_encode_impression(b, &impression_v);
        return AFT_OK;
    case AFT_RECORD_OUTCOME:
        AFT_TRY(aft_decode_outcome(body, &arena, &outcome_v, &error));
        aft_encode_outcome(b, &outcome_v);
        return AFT_OK;
    case AFT_RECORD_EXAMPLE:
        AFT_TRY(aft_decode_example(&reader, &arena, &example_v, &error));
        aft_encode_example(b, &example_v);
        return aft_left(&reader) ? AFT_E_MALFORMED : AFT_OK;
    case AFT_RECORD_EXAMPLE_BLOCK:
        AFT_TRY(aft_decode_block(body, &block_v, &error));
        aft_encode_block(b, &block_v);
        reader = aft_reader(block_v.examples);
        for (uint32_t i = 0; i < block_v.n; i++)
            AFT_TRY(aft_decode_example(&reader, &arena, &example_v, &error));
        return aft_left(&reader) ? AFT_E_MALFORMED : AFT_OK;
    case AFT_RECORD_CLOCK:
        AFT_TRY(aft_decode_clock(body, &clock_v, &error));
        aft_encode_clock(b, &clock_v);
        return AFT_OK;
    case AFT_RECORD_ROUND:
        AFT_TRY(aft_decode_round(body, &arena, &round_v, &error));
        aft_encode_round(b, &round_v);
        return AFT_OK;
    case AFT_RECORD_SNAPSHOT:
        AFT_TRY(aft_decode_snapshot(body, &arena, &snapshot_v, &error));
        aft_encode_snapshot(b, &snapshot_v);
        return AFT_OK;
    case AFT_RECORD_COUNT:
        break;
    }
    AFT_NEVER();
}

static void
encode_random(enum aft_record r, struct aft_buffer *b)
{
    struct aft_impression impression_v = impression();
    struct aft_outcome outcome_v = outcome();
    struct aft_example example_v = example();
    struct aft_block block_v = block_record();
    struct aft_clock_record clock_v = clock_record();
    struct aft_round_record round_v = round_record();
    struct aft_snapshot_record snapshot_v = snapshot_record();
    switch (r) {
    case AFT_RECORD_IMPRESSION:
        aft_encode_impression(b, &impression_v);
        return;
    case AFT_RECORD_OUTCOME:
        aft_encode_outcome(b, &outcome_v);
        return;
    case AFT_RECORD_EXAMPLE:
        aft_encode_example(b, &example_v);
        return;
    case AFT_RECORD_EXAMPLE_BLOCK:
        aft_encode_block(b, &block_v);
        return;
    case AFT_RECORD_CLOCK:
        aft_encode_clock(b, &clock_v);
        return;
    case AFT_RECORD_ROUND:
        aft_encode_round(b, &round_v);
        return;
    case AFT_RECORD_SNAPSHOT:
        aft_encode_snapshot(b, &snapshot_v);
        return;
    case AFT_RECORD_COUNT:
        break;
    }
    AFT_NEVER();
}

/* The bytes in a block of their own, so that asan sees a read past their end. */
static struct aft_bytes
alone(struct aft_bytes b)
{
    uint8_t *p = malloc(b.n ? b.n : 1);
    assert_non_null(p);
    if (b.n)
        memcpy(p, b.p, b.n);
    return (struct aft_bytes){p, b.n};
}

static void
release(struct aft_bytes b)
{
    free((void *)(uintptr_t)b.p);
}

static void
refuses_every_cut(enum aft_record r, struct aft_bytes whole)
{
    for (size_t n = 0; n < whole.n; n++) {
        struct aft_buffer out = {0};
        struct aft_bytes cut = alone((struct aft_bytes){whole.p, n});
        assert_int_not_equal(again(r, cut, &out), AFT_OK);
        release(cut);
        aft_buffer_deinit(&out);
    }
}

static void
survives_mutations(enum aft_record r, struct aft_bytes whole)
{
    for (int i = 0; i < 40; i++) {
        struct aft_buffer out = {0};
        struct aft_bytes bad = alone(whole);
        uint8_t *p = (uint8_t *)(uintptr_t)bad.p;
        for (uint32_t k = 1 + below(3); k; k--)
            p[below((uint32_t)bad.n)] = (uint8_t)below(256);
        enum aft_err err = again(r, bad, &out);
        if (err != AFT_OK)
            assert_int_equal(aft_err_class(err), AFT_CLASS_DATA);
        release(bad);
        aft_buffer_deinit(&out);
    }
}

static void
nouns_go_round(void **state)
{
    (void)state;
    for (long round = kit_rounds(60); round > 0; round--) {
        for (int r = 0; r < AFT_RECORD_COUNT; r++) {
            struct aft_buffer first = {0}, second = {0};
            aft_arena_reset(&arena);
            encode_random((enum aft_record)r, &first);
            struct aft_bytes body = alone(aft_buffer_bytes(&first));
            enum aft_err err = again((enum aft_record)r, body, &second);
            if (err)
                fail_msg("%s: %s", aft_record_name((enum aft_record)r), error.message);
            assert_true(aft_same(body, aft_buffer_bytes(&second)));
            refuses_every_cut((enum aft_record)r, body);
            survives_mutations((enum aft_record)r, body);
            aft_put_u8(&first, 0); /* a byte too many */
            if (r != AFT_RECORD_EXAMPLE_BLOCK)
                assert_int_not_equal(again((enum aft_record)r, aft_buffer_bytes(&first), &second),
                                     AFT_OK);
            release(body);
            aft_buffer_deinit(&first);
            aft_buffer_deinit(&second);
        }
    }
}

/* ---- one impression by hand, field by field, with bytes written here */
static struct aft_impression
small_impression(struct aft_shown shown[2])
{
    shown[0] = (struct aft_shown){
        .arm_id = AFT_LITERAL("a"), .slot = 0, .propensity = 0.5, .subject = AFT_LITERAL("t")};
    shown[1] = (struct aft_shown){.arm_id = AFT_LITERAL("b"), .slot = 31, .propensity = 1};
    return (struct aft_impression){.decision_id = AFT_LITERAL("d"),
                                   .user_id = AFT_LITERAL("u"),
                                   .timestamp_ms = 1,
                                   .policy = AFT_LITERAL("p"),
                                   .slate = shown,
                                   .slate_n = 2};
}

static void
bytes_are_avro(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        2, 'd', 2,   'u', 2, 0, 2, 'p', 0, 0, 0,    0,    0, /* .. candidates */
        4, 2,   'a', 0,   0, 0, 0, 0,   0, 0, 0xe0, 0x3f, 0, 2, 2, 't',
        0, 2,   'b', 62,  0, 0, 0, 0,   0, 0, 0xf0, 0x3f, 0, 0, 0, 0, /* end */
        0};
    struct aft_shown shown[2];
    struct aft_impression v = small_impression(shown);
    struct aft_buffer b = {0};
    aft_encode_impression(&b, &v);
    assert_int_equal(b.n, sizeof want);
    assert_memory_equal(b.p, want, sizeof want);
    assert_int_equal(aft_decode_impression(aft_buffer_bytes(&b), &arena, &v, &error), AFT_OK);
    assert_int_equal(v.slate_n, 2);
    assert_true(aft_same(v.slate[0].subject, AFT_LITERAL("t")));
    assert_null(v.slate[1].subject.p);
    assert_null(v.session_id.p);
    assert_int_equal(v.slate[1].slot, 31);
    assert_true(v.slate[0].propensity == 0.5);
    assert_int_equal(v.raw_context.n, 1);
    assert_ptr_equal(v.raw_candidates.p, b.p + 12);
    assert_ptr_equal(v.raw_design.p, b.p + b.n - 1);
    aft_buffer_deinit(&b);
}

static enum aft_err
decode_changed(struct aft_impression v)
{
    struct aft_buffer b = {0};
    struct aft_impression out;
    aft_encode_impression(&b, &v);
    enum aft_err err = aft_decode_impression(aft_buffer_bytes(&b), &arena, &out, &error);
    aft_buffer_deinit(&b);
    return err;
}

static void
values_are_checked(void **state)
{
    (void)state;
    struct aft_shown s[2];
    struct aft_impression v = small_impression(s);
    assert_int_equal(decode_changed(v), AFT_OK);
    s[1].arm_id = s[0].arm_id;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    assert_non_null(strstr(error.message, "slate.arm_id"));
    v = small_impression(s);
    s[0].slot = 32;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    s[0].slot = -1;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    static const double bad[] = {0, -0.5, 1.0000001, (double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v = small_impression(s);
        s[0].propensity = bad[i];
        assert_int_equal(decode_changed(v), AFT_E_VALUE);
        v.propensity_kind = AFT_PROPENSITY_UNKNOWN;
        assert_int_equal(decode_changed(v), i == 0 ? AFT_OK : AFT_E_VALUE);
        v = small_impression(s);
        s[0].has_marginal = true;
        s[0].marginal = bad[i];
        assert_int_equal(decode_changed(v), AFT_E_VALUE);
    }
    v = small_impression(s);
    v.user_id.n = 0;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    static uint8_t many[AFT_ID_BYTES_MAX + 1];
    v = small_impression(s);
    v.user_id = (struct aft_bytes){many, AFT_ID_BYTES_MAX};
    assert_int_equal(decode_changed(v), AFT_OK);
    v.user_id.n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    assert_non_null(strstr(error.message, "user_id"));
    v = small_impression(s);
    v.timestamp_ms = INT64_MAX;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    struct aft_feature f = {.name = AFT_LITERAL("x"), .number = (double)NAN};
    v = small_impression(s);
    v.context = (struct aft_features){&f, 1};
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
}

static void
limits_hold(void **state)
{
    (void)state;
    struct aft_shown s[AFT_SHOWN_MAX + 1];
    struct aft_impression v = small_impression(s);
    for (unsigned i = 0; i <= AFT_SHOWN_MAX; i++)
        s[i] = (struct aft_shown){.arm_id = numbered("arm", i), .propensity = 1};
    v.slate_n = AFT_SHOWN_MAX;
    assert_int_equal(decode_changed(v), AFT_OK);
    v.slate_n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    static struct aft_feature f[AFT_FEATURES_MAX + 1];
    for (unsigned i = 0; i <= AFT_FEATURES_MAX; i++)
        f[i] = (struct aft_feature){.name = AFT_LITERAL("x"), .type = AFT_FEATURE_FLAG};
    v = small_impression(s);
    v.context = (struct aft_features){f, AFT_FEATURES_MAX};
    assert_int_equal(decode_changed(v), AFT_OK);
    v.context.n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    static struct aft_candidate c[AFT_CANDIDATES_MAX + 1];
    for (unsigned i = 0; i <= AFT_CANDIDATES_MAX; i++)
        c[i] = (struct aft_candidate){.arm_id = AFT_LITERAL("x")};
    v = small_impression(s);
    v.candidates = c;
    v.candidates_n = AFT_CANDIDATES_MAX;
    assert_int_equal(decode_changed(v), AFT_OK);
    v.candidates_n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    struct aft_arena tiny;
    struct aft_impression out;
    struct aft_buffer b = {0};
    aft_arena_init(&tiny, 64);
    aft_encode_impression(&b, &v);
    assert_int_equal(aft_decode_impression(aft_buffer_bytes(&b), &tiny, &out, &error), AFT_E_LIMIT);
    aft_arena_deinit(&tiny);
    aft_buffer_deinit(&b);
}

/* A context of n flags as foreign writers may put it: blocks of `step`, counts negated and sizes given if `sized`. */
static void
foreign_context(struct aft_buffer *b, unsigned n, unsigned step, bool sized)
{
    for (unsigned i = 0; i < n; i += step) {
        unsigned here = n - i < step ? n - i : step;
        struct aft_buffer items = {0};
        for (unsigned k = 0; k < here; k++) {
            char name[8];
            snprintf(name, sizeof name, "f%u", i + k);
            aft_put_bytes(&items, aft_text(name));
            aft_put_long(&items, 2);
            aft_put_u8(&items, 1);
        }
        aft_put_long(b, sized ? -(int64_t)here : here);
        if (sized)
            aft_put_long(b, (int64_t)items.n);
        aft_put_raw(b, aft_buffer_bytes(&items));
        aft_buffer_deinit(&items);
    }
    aft_put_u8(b, 0);
}

static void
every_form_gives_one(void **state)
{
    (void)state;
    struct aft_buffer want = {0};
    foreign_context(&want, 200, 200, false);
    for (unsigned form = 1; form < 400; form++) {
        struct aft_buffer b = {0};
        struct aft_impression v;
        static const uint8_t head[] = {2, 'd', 2, 'u', 2, 0, 2, 'p', 0, 0, 0}, tail[] = {0, 0, 0};
        aft_arena_reset(&arena);
        aft_put_raw(&b, (struct aft_bytes){head, sizeof head});
        foreign_context(&b, 200, 1 + form / 2, form & 1);
        aft_put_raw(&b, (struct aft_bytes){tail, sizeof tail});
        assert_int_equal(aft_decode_impression(aft_buffer_bytes(&b), &arena, &v, &error), AFT_OK);
        assert_int_equal(v.context.n, 200);
        assert_true(aft_same(v.context.v[199].name, AFT_LITERAL("f199")));
        assert_true(aft_same(v.raw_context, aft_buffer_bytes(&want)));
        aft_buffer_deinit(&b);
    }
    aft_buffer_deinit(&want);
}

static void
raw_parts_are_carried_on(void **state)
{
    (void)state;
    for (long round = kit_rounds(200); round > 0; round--) {
        aft_arena_reset(&arena);
        struct aft_example v = example(), decoded;
        struct aft_buffer plain = {0}, carried = {0};
        aft_encode_example(&plain, &v);
        struct aft_reader r = aft_reader(aft_buffer_bytes(&plain));
        assert_int_equal(aft_decode_example(&r, &arena, &decoded, &error), AFT_OK);
        decoded.context = (struct aft_features){0}; /* the raw slices must be what is written */
        decoded.candidates_n = 0;
        decoded.has_design = !decoded.has_design;
        aft_encode_example(&carried, &decoded);
        assert_true(aft_same(aft_buffer_bytes(&plain), aft_buffer_bytes(&carried)));
        aft_buffer_deinit(&plain);
        aft_buffer_deinit(&carried);
    }
}

static void
hostile_counts(void **state)
{
    (void)state;
    static const uint8_t head[] = {2, 'd', 2, 'u', 2, 0, 2, 'p', 0, 0, 0};
    static const int64_t counts[] = {INT64_MIN, INT64_MIN + 1, -1, INT64_MAX, 1ll << 32, 512, -512};
    static const int64_t sizes[] = {INT64_MIN, -1, INT64_MAX, 1ll << 40, 0};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            struct aft_buffer b = {0};
            struct aft_impression v;
            aft_put_raw(&b, (struct aft_bytes){head, sizeof head});
            aft_put_long(&b, counts[i]);
            aft_put_long(&b, sizes[k]);
            aft_arena_reset(&arena);
            struct aft_bytes body = alone(aft_buffer_bytes(&b));
            assert_int_not_equal(aft_decode_impression(body, &arena, &v, &error), AFT_OK);
            assert_true(arena.used < 1024); /* a count alone buys no memory */
            release(body);
            aft_buffer_deinit(&b);
        }
}

static void
values_round_half_to_even(void **state)
{
    (void)state;
    int64_t m;
    static const struct {
        double value;
        int64_t micro;
    } cases[] = {{1, 1000000},
                 {-1, -1000000},
                 {0, 0},
                 {0x1p-7, 7812},
                 {3 * 0x1p-7, 23438},
                 {-0x1p-7, -7812}, /* 7812.5, 23437.5 */
                 {0.1, 100000},
                 {1e-7, 0},
                 {9e12, 9000000000000000000},
                 {6e-7, 1},
                 {-6e-7, -1},
                 {-9e12, -9000000000000000000},
                 {1e9 + 0x1p-7, 1000000000007812},
                 {123456.789012, 123456789012}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(aft_value_micro(cases[i].value, &m));
        assert_int_equal(m, cases[i].micro);
    }
    assert_false(aft_value_micro((double)NAN, &m));
    assert_false(aft_value_micro((double)INFINITY, &m));
    assert_false(aft_value_micro(9.0000001e12, &m));
    assert_false(aft_value_micro(-1e300, &m));
}

static void
frames(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_frame f;
    aft_frame_put_single(&b, AFT_RECORD_OUTCOME);
    assert_int_equal(b.n, 10);
    aft_put_raw(&b, AFT_LITERAL("xyz"));
    assert_int_equal(aft_frame_parse(aft_buffer_bytes(&b), &f, &error), AFT_OK);
    assert_int_equal(f.kind, AFT_FRAME_SINGLE_OBJECT);
    assert_true(f.fingerprint == aft_record_fingerprint(AFT_RECORD_OUTCOME));
    assert_true(aft_same(f.body, AFT_LITERAL("xyz")));
    for (size_t n = 0; n < 10; n++)
        assert_int_equal(aft_frame_parse((struct aft_bytes){b.p, n}, &f, &error),
                         n < 2 ? AFT_E_MAGIC : AFT_E_MALFORMED);
    aft_buffer_reset(&b);
    aft_frame_put_confluent(&b, 0x01020304);
    static const uint8_t want[] = {0, 1, 2, 3, 4};
    assert_int_equal(b.n, 5);
    assert_memory_equal(b.p, want, 5);
    assert_int_equal(aft_frame_parse(aft_buffer_bytes(&b), &f, &error), AFT_OK);
    assert_int_equal(f.id, 0x01020304);
    assert_int_equal(f.body.n, 0);
    for (size_t n = 1; n < 5; n++)
        assert_int_equal(aft_frame_parse((struct aft_bytes){b.p, n}, &f, &error), AFT_E_MALFORMED);
    assert_int_equal(aft_frame_parse(AFT_LITERAL("{}"), &f, &error), AFT_E_MAGIC);
    assert_int_equal(aft_frame_parse((struct aft_bytes){b.p, AFT_RECORD_BYTES_MAX + 1}, &f, &error),
                     AFT_E_LIMIT);
    aft_buffer_deinit(&b);
}

static void
seals_see_everything_but_themselves(void **state)
{
    (void)state;
    struct aft_digest one, two;
    struct aft_snapshot_record v = snapshot_record();
    v.has_manifest = true;
    fill_manifest(&v.manifest);
    v.manifest.counts_n = 1;
    aft_manifest_seal(&v, &one);
    v.manifest.set_digest.b[3] ^= 1;
    v.manifest.has_signature = !v.manifest.has_signature;
    aft_manifest_seal(&v, &two);
    assert_memory_equal(&one, &two, sizeof one);
    v.manifest.counts_n = 0;
    aft_manifest_seal(&v, &two);
    assert_memory_not_equal(&one, &two, sizeof one);
}

/* Absent slices and empty buffers: clang's sanitizer takes an offset to a null pointer for what it is. */
static void
nothing_is_no_address(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_impression v;
    aft_put_raw(&b, AFT_ABSENT);
    assert_int_equal(b.n, 0);
    assert_int_equal(aft_decode_impression(AFT_ABSENT, &arena, &v, &error), AFT_E_MALFORMED);
    aft_buffer_deinit(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nouns_go_round),
        cmocka_unit_test(bytes_are_avro),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(every_form_gives_one),
        cmocka_unit_test(raw_parts_are_carried_on),
        cmocka_unit_test(hostile_counts),
        cmocka_unit_test(values_round_half_to_even),
        cmocka_unit_test(frames),
        cmocka_unit_test(nothing_is_no_address),
        cmocka_unit_test(seals_see_everything_but_themselves),
    };
    return cmocka_run_group_tests_name("wire codec", tests, setup, teardown);
}
