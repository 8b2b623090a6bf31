/* fuzz_snapshot.c - what an engine does with a snapshots topic that somebody else wrote: a set whose weights are the input, sealed as ours
 * are, so that nothing but the weights' own bounds stands between them and a decision. Input: settings u8 (model, explorer) | weights.
 * It is refused as data, or it decides: a slate with probabilities in (0, 1]. */
#include <math.h>
#include <stdlib.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const explorers[] = {"uniform", "epsilon_greedy", "softmax", "linucb",
                                        "thompson"};

static enum aft_err
add(struct aft_snapshot_set *set, const struct aft_snapshot_record *r, struct aft_digest *digest,
    bool *whole)
{
    struct aft_buffer body = {0};
    struct aft_error e;
    aft_encode_snapshot(&body, r);
    aft_digest_of(aft_buffer_bytes(&body), digest);
    enum aft_err err = aft_snapshot_set_add(set, aft_buffer_bytes(&body), whole, &e);
    aft_buffer_deinit(&body);
    return err;
}

static enum aft_err
load(struct aft_bytes weights, uint8_t choice, struct aft_model **out)
{
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_digest digest, ignored;
    struct aft_error e;
    bool whole = false;
    struct aft_snapshot_record part = {.model = AFT_LITERAL("default"),
                                       .round = 1,
                                       .parts = 1,
                                       .plane = AFT_PLANE_WEIGHTS,
                                       .data = weights};
    AFT_ASSERT(add(set, &part, &digest, &whole) == AFT_OK);
    const struct aft_setting settings[] = {
        {AFT_LITERAL("learner.model"), aft_text(choice & 1 ? "ridge" : "flow")},
        {AFT_LITERAL("learner.scope"), aft_text(choice & 2 ? "per_arm" : "shared")},
        {AFT_LITERAL("policy.explore"), aft_text(explorers[choice / 4 % 5])}};
    struct aft_snapshot_record m = {.model = part.model,
                                    .round = 1,
                                    .part = 1,
                                    .parts = 1,
                                    .plane = AFT_PLANE_MANIFEST,
                                    .data = AFT_LITERAL(""),
                                    .has_manifest = true,
                                    .manifest = {.digest = digest,
                                                 .part_digests = &digest,
                                                 .part_digests_n = 1,
                                                 .settings = settings,
                                                 .settings_n = 3}};
    aft_manifest_seal(&m, &m.manifest.set_digest);
    AFT_ASSERT(add(set, &m, &ignored, &whole) == AFT_OK && whole);
    enum aft_err err = aft_model_load(set, out, &e);
    aft_snapshot_set_free(set);
    return err;
}

static void
decide(const struct aft_model *m)
{
    static struct aft_decision d;
    const struct aft_feature days = {
        .name = AFT_LITERAL("days"), .type = AFT_FEATURE_NUMBER, .number = 3};
    const struct aft_candidate candidates[] = {
        {.arm_id = AFT_LITERAL("a0")},
        {.arm_id = AFT_LITERAL("a1"), .features = {&days, 1}},
        {.arm_id = AFT_LITERAL("a2")},
        {.arm_id = AFT_LITERAL("a3")}};
    struct aft_request r = {.context = {&days, 1},
                            .candidates = candidates,
                            .candidates_n = 4,
                            .k = 3,
                            .key = AFT_LITERAL("d1")};
    struct aft_scratch *s = aft_scratch_new();
    struct aft_error e;
    enum aft_err err = aft_decide(m, s, &r, &d, &e);
    AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
    AFT_ASSERT(err != AFT_OK || d.n == 3);
    for (uint32_t i = 0; err == AFT_OK && i < d.n; i++)
        AFT_ASSERT(d.slots[i].propensity > 0 && d.slots[i].propensity <= 1 &&
                   d.slots[i].prefix > 0 && d.slots[i].prefix <= 1);
    aft_scratch_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aft_model *m;
    if (size == 0 || size > AFT_PART_BYTES_MAX - 4096)
        return 0;
    enum aft_err err = load((struct aft_bytes){data + 1, size - 1}, data[0], &m);
    AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
    if (err == AFT_OK) {
        decide(m);
        aft_model_free(m);
    }
    return 0;
}
