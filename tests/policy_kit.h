/* policy_kit.h - models made by hand for tests of deciding: an arm's score is its feature "score" (a reward, or log-odds for the
 * flow), its standard deviation its feature "width"; members of an ensemble see "z0" to "z2" each in its own way. */
#ifndef AFT_TESTS_POLICY_KIT_H
#define AFT_TESTS_POLICY_KIT_H

#include <math.h>
#include <string.h>

#include "policy/policy.h"

enum { POLICY_ARMS = 64, POLICY_OWN = 7, POLICY_MEMBERS = 5, POLICY_NUMBERS = 5 };

struct policy_spec {
    const char *name;        /* for messages */
    const char *settings[9]; /* key, value, key, value ..., NULL */
    bool flow;
    int64_t settled;
};

static inline const char *
policy_number(uint32_t i)
{
    static const char *const names[POLICY_NUMBERS] = {"score", "width", "z0", "z1", "z2"};
    return names[i];
}

/* What member j makes of a unit of number i. */
static inline double
policy_weight(uint32_t j, uint32_t i)
{
    return i == 0 ? 1 : i == 1 ? 0 : (double)((3 * j + 7 * i + 5) * 31 % 17) / 8 - 1;
}

/* hash[0]: the constant; then those of the numbers. */
static inline void
policy_hashes(uint64_t hash[POLICY_NUMBERS + 1])
{
    static struct aft_features_plan plan;
    static struct aft_encoded context, arm;
    static struct aft_term terms[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    struct aft_policy_settings s;
    struct aft_feature f[POLICY_NUMBERS];
    struct aft_error e;
    aft_policy_settings_default(&s);
    aft_features_plan_init(&plan, &s);
    for (uint32_t i = 0; i < POLICY_NUMBERS; i++)
        f[i] = (struct aft_feature){.name = aft_text(policy_number(i)), .number = 1};
    AFT_ASSERT(aft_encode_context(&plan, (struct aft_features){0}, &context, &e) == AFT_OK);
    AFT_ASSERT(aft_encode_arm(&plan, AFT_LITERAL("a"), (struct aft_features){f, POLICY_NUMBERS},
                              &arm, &e) == AFT_OK);
    AFT_ASSERT(aft_terms_shared(&plan, &context, 0, terms) == 1);
    hash[0] = terms[0].hash;
    for (uint32_t i = 0; i < POLICY_NUMBERS; i++)
        hash[i + 1] = arm.v[i + 1].hash;
}

static inline void
policy_linear(struct aft_weights *w, const uint64_t *hash)
{
    struct aft_linear *l = &w->linear;
    aft_linear_init(l, 1e300, POLICY_MEMBERS);
    for (uint32_t i = 0; i < POLICY_NUMBERS; i++)
        aft_dict_add(&l->columns, hash[i + 1]);
    uint32_t block = aft_linear_add_block(l);
    aft_linear_block_grow(l, block, POLICY_NUMBERS);
    for (uint32_t j = 0; j < POLICY_MEMBERS; j++) {
        struct aft_linear_block *b = aft_linear_block(l, block, j);
        for (uint32_t i = 0; i < POLICY_NUMBERS; i++) {
            b->theta[i] = policy_weight(j, i);
            b->cov[(size_t)i * b->stride + i] = i == 1;
        }
    }
}

static inline void
policy_bilinear(struct aft_weights *w, const uint64_t *hash)
{
    struct aft_bilinear *b = &w->bilinear;
    aft_bilinear_init(b, 12, POLICY_MEMBERS);
    b->stride = 8;
    for (uint32_t i = 0; i <= POLICY_NUMBERS; i++)
        aft_dict_add(&b->rows, hash[i]);
    aft_dict_add(&b->columns, hash[0]);
    b->rows_cap = b->rows.n;
    b->w = calloc(aft_bilinear_size(b), sizeof *b->w);
    b->v = calloc(aft_bilinear_size(b), sizeof *b->v);
    AFT_ASSERT(b->w && b->v);
    for (uint32_t j = 0; j < POLICY_MEMBERS; j++)
        for (uint32_t i = 0; i < POLICY_NUMBERS; i++) {
            b->w[aft_bilinear_at(b, i + 1, j)] = (float)policy_weight(j, i);
            b->v[aft_bilinear_at(b, i + 1, j)] = i == 1;
        }
}

static inline void
policy_weights(bool flow, struct aft_buffer *out)
{
    struct aft_weights w = {0};
    uint64_t hash[POLICY_NUMBERS + 1];
    policy_hashes(hash);
    aft_weights_init(&w, flow ? AFT_MODEL_FLOW : AFT_MODEL_RIDGE, POLICY_MEMBERS);
    if (flow)
        policy_bilinear(&w, hash);
    else
        policy_linear(&w, hash);
    aft_weights_encode(&w, out);
    aft_weights_deinit(&w);
}

/* The bodies of the records of a set that holds the model: one part, then the manifest. */
static inline void
policy_records(const struct policy_spec *s, struct aft_buffer *part, struct aft_buffer *manifest)
{
    struct aft_buffer weights = {0};
    struct aft_setting settings[8] = {
        {AFT_LITERAL("learner.model"), s->flow ? AFT_LITERAL("flow") : AFT_LITERAL("ridge")}};
    struct aft_named_count settled = {AFT_LITERAL("settled"), s->settled};
    struct aft_digest digest;
    uint32_t n = 1;
    policy_weights(s->flow, &weights);
    for (; s->settings[2 * n - 2]; n++)
        settings[n] = (struct aft_setting){aft_text(s->settings[2 * n - 2]),
                                           aft_text(s->settings[2 * n - 1])};
    struct aft_snapshot_record r = {.model = AFT_LITERAL("test"),
                                    .round = 1,
                                    .parts = 1,
                                    .plane = AFT_PLANE_WEIGHTS,
                                    .data = aft_buffer_bytes(&weights)};
    aft_encode_snapshot(part, &r);
    aft_digest_of(aft_buffer_bytes(part), &digest);
    r = (struct aft_snapshot_record){.model = AFT_LITERAL("test"),
                                     .round = 1,
                                     .part = 1,
                                     .parts = 1,
                                     .plane = AFT_PLANE_MANIFEST,
                                     .data = AFT_LITERAL(""),
                                     .has_manifest = true};
    r.manifest = (struct aft_manifest){.digest = digest,
                                       .part_digests = &digest,
                                       .part_digests_n = 1,
                                       .settings = settings,
                                       .settings_n = n,
                                       .counts = &settled,
                                       .counts_n = 1};
    aft_manifest_seal(&r, &r.manifest.set_digest);
    aft_encode_snapshot(manifest, &r);
    aft_buffer_deinit(&weights);
}

static inline struct aft_model *
policy_model(const struct policy_spec *s)
{
    struct aft_buffer part = {0}, manifest = {0};
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_model *m = NULL;
    struct aft_error e;
    bool whole = false;
    policy_records(s, &part, &manifest);
    AFT_ASSERT(aft_snapshot_set_add(set, aft_buffer_bytes(&part), &whole, &e) == AFT_OK);
    AFT_ASSERT(aft_snapshot_set_add(set, aft_buffer_bytes(&manifest), &whole, &e) == AFT_OK &&
               whole);
    if (aft_model_load(set, &m, &e) != AFT_OK)
        fail_msg("%s: %s", s->name, e.message);
    aft_snapshot_set_free(set);
    aft_buffer_deinit(&part);
    aft_buffer_deinit(&manifest);
    return m;
}

/* ---- requests */
struct policy_request {
    char ids[POLICY_ARMS][16], key[24];
    struct aft_feature own[POLICY_ARMS][POLICY_OWN], device;
    struct aft_candidate arms[POLICY_ARMS];
    float recent[POLICY_ARMS];
    struct aft_request r;
};

static inline void
policy_request_init(struct policy_request *q, uint32_t n, uint32_t k)
{
    static const char *const topics[] = {"red", "green", "blue", "white"};
    memset(q, 0, sizeof *q);
    AFT_ASSERT(n <= POLICY_ARMS);
    for (uint32_t a = 0; a < n; a++) {
        snprintf(q->ids[a], sizeof q->ids[a], "arm%u", a);
        q->arms[a] = (struct aft_candidate){.arm_id = aft_text(q->ids[a]),
                                            .features = {q->own[a], POLICY_OWN}};
        for (uint32_t i = 0; i < POLICY_NUMBERS; i++)
            q->own[a][i].name = aft_text(policy_number(i));
        q->own[a][POLICY_NUMBERS] = (struct aft_feature){.name = AFT_LITERAL("topic"),
                                                         .type = AFT_FEATURE_TEXT,
                                                         .text = aft_text(topics[a % 4])};
        q->own[a][POLICY_NUMBERS + 1].name = AFT_LITERAL("recent_exposures");
    }
    q->device = (struct aft_feature){
        .name = AFT_LITERAL("device"), .type = AFT_FEATURE_TEXT, .text = AFT_LITERAL("web")};
    q->r = (struct aft_request){
        .context = {&q->device, 1}, .candidates = q->arms, .candidates_n = n, .k = k};
}

static inline void
policy_key(struct policy_request *q, uint64_t key)
{
    snprintf(q->key, sizeof q->key, "%llu", (unsigned long long)key);
    q->r.key = aft_text(q->key);
}

static inline void
policy_score(struct policy_request *q, uint32_t arm, double score, double width)
{
    q->own[arm][0].number = score;
    q->own[arm][1].number = width;
}

/* The weights that a decision logged, over the eligible: index[i] is the candidate of w[i]. Their number. */
static inline uint32_t
policy_logged(const struct aft_decision *d, uint32_t candidates_n, double *w, uint32_t *index)
{
    double lw[POLICY_ARMS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < candidates_n; i++)
        if ((double)d->log_weights[i] > -(double)INFINITY) {
            index[n] = i;
            lw[n++] = (double)d->log_weights[i];
        }
    aft_pl_weights(lw, n, d->design.epsilon, w);
    return n;
}

/* What a spec wants of topics: topic t is wanted when the bit t is set. */
struct policy_topics {
    bool any;
    double repeat, uncovered;
    uint32_t wanted;
};

/* p[0 .. n): of each eligible candidate in slot l, given what stands above, from what was logged; as docs/POLICIES.md says, written
 * down a second time. */
static inline void
policy_slot(const struct aft_decision *d, const struct policy_topics *t, uint32_t l,
            const double *w, const uint32_t *index, uint32_t n, double *p)
{
    double sum = 0, top = -(double)INFINITY;
    uint32_t count[4] = {0};
    bool missing = false;
    for (uint32_t j = 0; j < l; j++)
        count[d->slots[j].candidate % 4]++;
    for (uint32_t i = 0; i < n; i++) {
        missing |= (t->wanted >> index[i] % 4 & 1) && count[index[i] % 4] == 0;
        top = fmax(top, (double)d->log_weights[index[i]]);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t topic = index[i] % 4;
        p[i] = t->any ? exp((double)d->log_weights[index[i]] - top) * pow(t->repeat, count[topic])
                      : w[i];
        if (t->any && missing && !((t->wanted >> topic & 1) && count[topic] == 0))
            p[i] *= t->uncovered;
        for (uint32_t j = 0; j < l; j++)
            p[i] = d->slots[j].candidate == index[i] ? 0 : p[i];
        sum += p[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        bool above = false;
        for (uint32_t j = 0; j < l; j++)
            above |= d->slots[j].candidate == index[i];
        double epsilon = t->any ? d->design.epsilon : 0;
        p[i] = above ? 0 : sum > 0 ? (1 - epsilon) * p[i] / sum + epsilon / (n - l) : 1. / (n - l);
    }
}

#endif
