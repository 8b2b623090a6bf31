/* test_wire_codec.c - codecs: random nouns go round unchanged; cut-off and mutated bytes are refused or decoded, never read past
 * their end (run under asan); raw slices are carried on. Values, limits and bytes by hand are test_wire_values.c. */
#include "tests/kit.h"

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
    struct aft_design v = {.kind = text(1, 12),
                           .temperature = aft_random_unit(&rng),
                           .epsilon = aft_random_unit(&rng),
                           .k = (int32_t)any_long(),
                           .key = maybe(0, 12)};
    v.has_pass = below(2);
    v.pass = v.has_pass ? aft_random_unit(&rng) : 0;
    v.shadow = maybe(1, 64);
    v.shadow_n = v.shadow.p ? below(5) : 0;
    double *p = aft_arena_take(&arena, sizeof *p * (v.shadow_n + 1));
    for (uint32_t i = 0; i < v.shadow_n; i++)
        p[i] = aft_random_unit(&rng);
    v.shadow_p = p;
    return v;
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
        arms[i] = (struct aft_arm_status){text(1, 9), any_long(), any_long(), any_long(),
                                          1,          any_long(), any_long()};
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

static struct aft_score_request
score_request(void)
{
    struct aft_score_request v = {.user_id = text(1, 40),
                                  .context = features(),
                                  .device = maybe(0, 9),
                                  .k = (int32_t)below(9),
                                  .masks_n = below(4)};
    struct aft_setting *m = aft_arena_take(&arena, (v.masks_n + 1) * sizeof *m);
    for (uint32_t i = 0; i < v.masks_n; i++)
        m[i] = (struct aft_setting){text(1, 9), text(0, 9)};
    v.masks = m;
    v.candidates = candidates(&v.candidates_n);
    return v;
}

static struct aft_prescored
prescored(void)
{
    struct aft_prescored v = {.user_id = text(1, 40),
                              .snapshot = maybe(1, 64),
                              .round = any_long(),
                              .propensity_kind = (enum aft_propensity_kind)below(4),
                              .valid_from_ms = 1700000000000,
                              .valid_until_ms = 1700000000000 + below(100000),
                              .context = features(),
                              .candidates_n = below(5),
                              .design = {.kind = text(1, 12),
                                         .temperature = aft_random_unit(&rng),
                                         .epsilon = aft_random_unit(&rng),
                                         .k = (int32_t)below(9),
                                         .key = text(0, 12)}};
    struct aft_prescored_candidate *c = aft_arena_take(&arena, (v.candidates_n + 1) * sizeof *c);
    for (uint32_t i = 0; i < v.candidates_n; i++) {
        double *p = aft_arena_take(&arena, AFT_SLATE_MAX * sizeof *p);
        c[i] = (struct aft_prescored_candidate){.arm_id = text(1, 9),
                                                .features = features(),
                                                .has_log_weight = below(2),
                                                .mask = maybe(0, 8),
                                                .marginals = p,
                                                .marginals_n = below(AFT_SLATE_MAX + 1)};
        if (c[i].has_log_weight)
            c[i].log_weight = (float)aft_random_normal(&rng);
        for (uint32_t l = 0; l < c[i].marginals_n; l++)
            p[l] = aft_random_unit(&rng);
    }
    v.candidates = c;
    return v;
}

static struct aft_history
history(void)
{
    struct aft_history v = {.user_id = text(0, 40), .to = {any_long(), any_long()}};
    v.entries_n = below(5);
    struct aft_history_entry *x = aft_arena_take(&arena, (v.entries_n + 1) * sizeof *x);
    for (uint32_t i = 0; i < v.entries_n; i++) {
        uint64_t *ids = aft_arena_take(&arena, 9 * sizeof *ids);
        x[i] = (struct aft_history_entry){.what = (enum aft_history_what)below(4),
                                          .name = maybe(1, 30),
                                          .day = (uint16_t)below(65536),
                                          .ids = ids,
                                          .ids_n = below(10)};
        for (uint32_t j = 0; j < x[i].ids_n; j++)
            ids[j] = aft_random_u64(&rng) & AFT_HISTORY_ID_MAX;
    }
    v.entries = x;
    return v;
}

/* A survey says yes only to what the decoder takes, and the same of it; and to all that an encoder writes, but a shadow's. */
static enum aft_err
surveyed(struct aft_bytes body, struct aft_impression *v, struct aft_buffer *b)
{
    struct aft_survey seen;
    bool yes = aft_survey_impression(body, &seen);
    enum aft_err err = aft_decode_impression(body, &arena, v, &error);
    if (yes) {
        assert_int_equal(err, AFT_OK);
        assert_true(aft_same(seen.decision_id, v->decision_id) &&
                    aft_same(seen.user_id, v->user_id) && seen.timestamp_ms == v->timestamp_ms &&
                    seen.deferred == v->deferred && seen.slate_n == v->slate_n);
    }
    AFT_TRY(err);
    size_t from = b->n;
    aft_encode_impression(b, v);
    if (aft_same(body, (struct aft_bytes){b->p + from, b->n - from}))
        assert_true(yes || (v->has_design && v->design.shadow.p));
    return AFT_OK;
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
    struct aft_score_request request_v;
    struct aft_prescored prescored_v;
    struct aft_history history_v;
    struct aft_reader reader = aft_reader(body);
    switch (r) {
    case AFT_RECORD_IMPRESSION:
        return surveyed(body, &impression_v, b);
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
    case AFT_RECORD_SCORE_REQUEST:
        AFT_TRY(aft_decode_score_request(body, &arena, &request_v, &error));
        aft_encode_score_request(b, &request_v);
        return AFT_OK;
    case AFT_RECORD_PRESCORED:
        AFT_TRY(aft_decode_prescored(body, &arena, &prescored_v, &error));
        aft_encode_prescored(b, &prescored_v);
        return AFT_OK;
    case AFT_RECORD_HISTORY:
        AFT_TRY(aft_decode_history(body, &arena, &history_v, &error));
        aft_encode_history(b, &history_v);
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
    struct aft_score_request request_v = score_request();
    struct aft_prescored prescored_v = prescored();
    struct aft_history history_v = history();
    if (r == AFT_RECORD_IMPRESSION)
        aft_encode_impression(b, &impression_v);
    else if (r == AFT_RECORD_OUTCOME)
        aft_encode_outcome(b, &outcome_v);
    else if (r == AFT_RECORD_EXAMPLE)
        aft_encode_example(b, &example_v);
    else if (r == AFT_RECORD_EXAMPLE_BLOCK)
        aft_encode_block(b, &block_v);
    else if (r == AFT_RECORD_CLOCK)
        aft_encode_clock(b, &clock_v);
    else if (r == AFT_RECORD_ROUND)
        aft_encode_round(b, &round_v);
    else if (r == AFT_RECORD_SNAPSHOT)
        aft_encode_snapshot(b, &snapshot_v);
    else if (r == AFT_RECORD_SCORE_REQUEST)
        aft_encode_score_request(b, &request_v);
    else if (r == AFT_RECORD_PRESCORED)
        aft_encode_prescored(b, &prescored_v);
    else
        aft_encode_history(b, &history_v);
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

/* Small changes to small numbers reach every check of the survey: counts, branches, kinds, slots. */
static void
surveys_are_sound(void **state)
{
    (void)state;
    for (long round = kit_rounds(3000); round > 0; round--) {
        struct aft_buffer first = {0}, second = {0};
        struct aft_impression v;
        aft_arena_reset(&arena);
        encode_random(AFT_RECORD_IMPRESSION, &first);
        for (int i = 0; i < 20; i++) {
            struct aft_bytes bad = alone(aft_buffer_bytes(&first));
            uint8_t *p = (uint8_t *)(uintptr_t)bad.p + below((uint32_t)bad.n);
            *p = below(2) ? (uint8_t)below(8) : (uint8_t)(*p + below(3) - 1);
            aft_buffer_reset(&second);
            if (surveyed(bad, &v, &second) != AFT_OK)
                assert_int_equal(aft_err_class(error.code), AFT_CLASS_DATA);
            release(bad);
        }
        aft_buffer_deinit(&first);
        aft_buffer_deinit(&second);
    }
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

/* An example spliced from an impression's bytes is the one encoded from the decoded impression; cut bytes are not read past their end. */
static void
spliced(const struct aft_impression *v, const struct aft_example *x)
{
    struct aft_buffer body = {0}, want = {0}, got = {0};
    struct aft_item_credit credit[8] = {{0}};
    struct aft_example_item item[8];
    struct aft_splice s = {x->seq, x->phase, x->fire_ms, x->cause, credit, v->slate_n};
    struct aft_example all = *x;
    for (uint32_t i = 0; i < v->slate_n; i++) {
        const struct aft_shown *w = &v->slate[i];
        if (i < x->items_n)
            credit[i] = (struct aft_item_credit){x->items[i].reward_micro, x->items[i].delta_micro,
                                                 x->items[i].components, x->items[i].components_n};
        item[i] = (struct aft_example_item){w->arm_id,
                                            w->slot,
                                            w->propensity,
                                            w->marginal,
                                            w->has_marginal,
                                            w->features,
                                            AFT_ABSENT,
                                            credit[i].reward_micro,
                                            credit[i].delta_micro,
                                            credit[i].components,
                                            credit[i].components_n};
    }
    all.decision_id = v->decision_id;
    all.user_id = v->user_id;
    all.timestamp_ms = v->timestamp_ms;
    all.policy = v->policy;
    all.snapshot = v->snapshot;
    all.propensity_kind = v->propensity_kind;
    all.context = v->context;
    all.candidates = v->candidates;
    all.candidates_n = v->candidates_n;
    all.has_design = v->has_design;
    all.design = v->design;
    all.items = item;
    all.items_n = v->slate_n;
    aft_encode_impression(&body, v);
    aft_encode_example(&want, &all);
    assert_true(aft_splice_example(&got, aft_buffer_bytes(&body), &s));
    assert_true(aft_same(aft_buffer_bytes(&want), aft_buffer_bytes(&got)));
    struct aft_glance seen;
    assert_true(aft_glance_impression(aft_buffer_bytes(&body), &seen));
    assert_true(aft_same(seen.decision_id, v->decision_id) && aft_same(seen.user_id, v->user_id));
    assert_int_equal(seen.timestamp_ms, v->timestamp_ms);
    s.items_n++;
    assert_false(aft_splice_example(&got, aft_buffer_bytes(&body), &s));
    s.items_n--;
    for (size_t n = 0; n < body.n; n += 1 + below(8)) {
        struct aft_bytes cut = alone((struct aft_bytes){body.p, n});
        (void)!aft_splice_example(&got, cut, &s);
        if (aft_glance_impression(cut, &seen)) /* whole, or nothing */
            assert_true(seen.timestamp_ms == v->timestamp_ms &&
                        n > v->decision_id.n + v->user_id.n);
        release(cut);
    }
    aft_buffer_deinit(&body);
    aft_buffer_deinit(&want);
    aft_buffer_deinit(&got);
}

/* A shadow's list in two blocks: not spliced, and decoded into the one form. */
static void
a_split_shadow_is_written_anew(void **state)
{
    (void)state;
    const double p[3] = {0.5, 0.25, 0.125};
    aft_arena_reset(&arena);
    struct aft_impression v = impression(), decoded;
    struct aft_buffer one = {0}, two = {0}, spliced_into = {0};
    v.has_design = true;
    v.design.shadow = AFT_LITERAL("0123");
    v.design.shadow_p = p;
    v.design.shadow_n = 3;
    aft_encode_impression(&one, &v);
    aft_put_raw(&two, (struct aft_bytes){one.p, one.n - 26});
    aft_put_long(&two, 1);
    aft_put_raw(&two, (struct aft_bytes){one.p + one.n - 25, 8});
    aft_put_long(&two, 2);
    aft_put_raw(&two, (struct aft_bytes){one.p + one.n - 17, 16});
    aft_put_u8(&two, 0);
    struct aft_item_credit credit[32] = {{0}};
    struct aft_splice s = {1, AFT_OPEN, 2, AFT_ABSENT, credit, v.slate_n};
    assert_false(aft_splice_example(&spliced_into, aft_buffer_bytes(&two), &s));
    assert_int_equal(aft_decode_impression(aft_buffer_bytes(&two), &arena, &decoded, &error),
                     AFT_OK);
    assert_int_equal(decoded.design.shadow_n, 3);
    assert_memory_equal(decoded.design.shadow_p, p, sizeof p);
    assert_memory_equal(decoded.raw_design.p, one.p + one.n - decoded.raw_design.n,
                        decoded.raw_design.n);
    aft_buffer_deinit(&one);
    aft_buffer_deinit(&two);
    aft_buffer_deinit(&spliced_into);
}

/* A number with more bytes than it needs, before a place of the body: read as the same, but what stands in an example is one form alone. */
static void
a_long_written_number_is_not_carried_on(void **state)
{
    (void)state;
    aft_arena_reset(&arena);
    struct aft_impression v = impression(), decoded;
    struct aft_buffer one = {0}, wide = {0}, out = {0};
    v.decision_id = AFT_LITERAL("d");
    v.user_id = AFT_LITERAL("u");
    v.timestamp_ms = 5;
    v.session_id = AFT_ABSENT;
    v.policy = AFT_LITERAL("p");
    v.snapshot = AFT_ABSENT;
    aft_encode_impression(&one, &v);
    const size_t numbers[] = {0, 2, 4, 6, 9}; /* two lengths, the time, a length, the kind */
    struct aft_item_credit credit[32] = {{0}};
    struct aft_splice s = {1, AFT_OPEN, 2, AFT_ABSENT, credit, v.slate_n};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        size_t at = numbers[i];
        aft_buffer_reset(&wide);
        aft_put_raw(&wide, (struct aft_bytes){one.p, at});
        aft_put_u8(&wide, one.p[at] | 128);
        aft_put_u8(&wide, 0);
        aft_put_raw(&wide, (struct aft_bytes){one.p + at + 1, one.n - at - 1});
        assert_int_equal(aft_decode_impression(aft_buffer_bytes(&wide), &arena, &decoded, &error),
                         AFT_OK);
        assert_int_equal(decoded.timestamp_ms, v.timestamp_ms);
        assert_int_equal(decoded.slate_n, v.slate_n);
        assert_false(aft_splice_example(&out, aft_buffer_bytes(&wide), &s));
    }
    aft_buffer_deinit(&one);
    aft_buffer_deinit(&wide);
    aft_buffer_deinit(&out);
}

static void
examples_are_spliced(void **state)
{
    (void)state;
    for (long round = kit_rounds(200); round > 0; round--) {
        aft_arena_reset(&arena);
        struct aft_impression v = impression();
        struct aft_example x = example();
        spliced(&v, &x);
    }
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nouns_go_round),
        cmocka_unit_test(surveys_are_sound),
        cmocka_unit_test(raw_parts_are_carried_on),
        cmocka_unit_test(examples_are_spliced),
        cmocka_unit_test(a_long_written_number_is_not_carried_on),
        cmocka_unit_test(a_split_shadow_is_written_anew),
        cmocka_unit_test(seals_see_everything_but_themselves),
    };
    return cmocka_run_group_tests_name("wire codec", tests, setup, teardown);
}
