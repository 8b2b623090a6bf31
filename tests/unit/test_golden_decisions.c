/* test_golden_decisions.c - tests/golden/decisions.json: every explorer's slates and probabilities, bit by bit, through the public
 * header alone, as any engine would ask. Python reads the same file (tests/python/test_golden.py); make_decisions.py makes it. */
#include "tests/kit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/aftertouch.h"

enum { MOST = 16 }; /* candidates, features of a vector */

struct ask {
    struct aft_client_request request;
    struct aft_client_candidate candidates[MOST];
    struct aft_client_feature features[MOST][MOST], context[MOST];
};

static int
digit(char c)
{
    const char *all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(all, c);
    return c && at ? (int)(at - all) : -1;
}

static void
write_decoded(const char *base64, const char *path)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint32_t bits = 0;
    int have = 0;
    for (; *base64 && *base64 != '='; base64++) {
        int d = digit(*base64);
        assert_true(d >= 0);
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            assert_int_not_equal(fputc((int)(bits >> have & 255), f), EOF);
        }
    }
    assert_int_equal(fclose(f), 0);
}

static uint32_t
take_features(json_t *object, struct aft_client_feature *out)
{
    uint32_t n = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        assert_true(n < MOST);
        out[n] = (struct aft_client_feature){.name = name};
        out[n].type = json_is_string(value)    ? AFT_CLIENT_TEXT
                      : json_is_boolean(value) ? AFT_CLIENT_FLAG
                                               : AFT_CLIENT_NUMBER;
        out[n].text = json_string_value(value);
        out[n].number = json_is_number(value) ? json_number_value(value) : json_is_true(value);
        n++;
    }
    return n;
}

static void
take_ask(json_t *from, struct ask *to)
{
    to->request = (struct aft_client_request)AFT_CLIENT_REQUEST;
    to->request.user_id = json_string_value(json_object_get(from, "user_id"));
    to->request.key = json_string_value(json_object_get(from, "key"));
    to->request.device = json_string_value(json_object_get(from, "device"));
    to->request.k = (uint32_t)json_integer_value(json_object_get(from, "k"));
    to->request.context = to->context;
    to->request.context_n = take_features(json_object_get(from, "context"), to->context);
    json_t *candidates = json_object_get(from, "candidates");
    uint32_t n = (uint32_t)json_array_size(candidates);
    assert_true(n > 0 && n <= MOST);
    for (uint32_t i = 0; i < n; i++) {
        json_t *c = json_array_get(candidates, i);
        struct aft_client_feature *f = to->features[i];
        to->candidates[i] = (struct aft_client_candidate){
            .arm_id = json_string_value(json_object_get(c, "arm_id")),
            .mask = json_string_value(json_object_get(c, "mask")),
            .features = f,
            .features_n = take_features(json_object_get(c, "features"), f)};
    }
    to->request.candidates = to->candidates;
    to->request.candidates_n = n;
}

static void
same_double(double x, json_t *expected)
{
    uint64_t u;
    char hex[17];
    memcpy(&u, &x, sizeof u);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)u);
    assert_string_equal(hex, json_string_value(expected));
}

static void
same_weight(float x, json_t *expected)
{
    uint32_t u;
    char hex[9];
    if (json_is_null(expected)) {
        assert_true(x < -3e38F); /* minus infinity */
        return;
    }
    memcpy(&u, &x, sizeof u);
    snprintf(hex, sizeof hex, "%08x", u);
    assert_string_equal(hex, json_string_value(expected));
}

static void
same_slate(const struct aft_client_slate *s, json_t *expected)
{
    static const char *const kinds[] = {"EXACT", "EXACT_GIVEN_DRAWS", "ESTIMATED", "UNKNOWN"};
    assert_string_equal(s->policy, json_string_value(json_object_get(expected, "policy")));
    assert_string_equal(s->design, json_string_value(json_object_get(expected, "design")));
    assert_string_equal(kinds[s->propensity],
                        json_string_value(json_object_get(expected, "propensity")));
    assert_int_equal(s->baseline, json_is_true(json_object_get(expected, "baseline")));
    const char *snapshot = json_string_value(json_object_get(expected, "snapshot_id"));
    assert_int_equal(s->snapshot_id != NULL, snapshot != NULL);
    if (snapshot)
        assert_string_equal(s->snapshot_id, snapshot);
    json_t *slate = json_object_get(expected, "slate");
    json_t *conditional = json_object_get(expected, "conditional");
    json_t *prefix = json_object_get(expected, "prefix");
    json_t *marginal = json_object_get(expected, "marginal");
    json_t *weights = json_object_get(expected, "log_weights");
    assert_int_equal(s->n, json_array_size(slate));
    for (uint32_t i = 0; i < s->n; i++) {
        assert_string_equal(s->slots[i].arm_id, json_string_value(json_array_get(slate, i)));
        same_double(s->slots[i].conditional, json_array_get(conditional, i));
        same_double(s->slots[i].prefix, json_array_get(prefix, i));
        assert_int_equal(s->slots[i].has_marginal, !json_is_null(json_array_get(marginal, i)));
        if (s->slots[i].has_marginal)
            same_double(s->slots[i].marginal, json_array_get(marginal, i));
    }
    assert_int_equal(s->candidates_n, json_array_size(weights));
    for (uint32_t i = 0; i < s->candidates_n; i++)
        same_weight(s->log_weights[i], json_array_get(weights, i));
}

static void
check(struct aft_client *c, json_t *vector)
{
    static struct ask ask;
    struct aft_client_error why;
    struct aft_client_decision *d;
    uint32_t dropped[MOST];
    take_ask(json_object_get(vector, "ask"), &ask);
    if (aft_client_decide(c, &ask.request, &d, &why) != AFT_CLIENT_OK)
        fail_msg("%s: %s", ask.request.key, why.message);
    same_slate(aft_client_decision_slate(d), json_object_get(vector, "expect"));
    json_t *drop = json_object_get(vector, "drop");
    uint32_t n = (uint32_t)json_array_size(drop);
    for (uint32_t i = 0; i < n; i++)
        dropped[i] = (uint32_t)json_integer_value(json_array_get(drop, i));
    if (drop) {
        assert_int_equal(aft_client_decision_mask(c, d, dropped, n, "cap", &why), AFT_CLIENT_OK);
        same_slate(aft_client_decision_slate(d), json_object_get(vector, "then"));
    }
    aft_client_decision_free(c, d);
}

static void
golden_vectors(void **state)
{
    (void)state;
    json_error_t where;
    struct aft_client_error why;
    char folder[64], path[80];
    kit_file(folder, path, "golden");
    json_t *file = json_load_file(AFT_SOURCE_DIR "/tests/golden/decisions.json", 0, &where);
    if (!file)
        fail_msg("decisions.json:%d: %s", where.line, where.text);
    json_t *vectors = json_object_get(file, "vectors"), *vector;
    size_t i;
    assert_true(json_array_size(vectors) > 50);
    json_array_foreach(vectors, i, vector)
    {
        struct aft_client *c;
        struct aft_client_options o = AFT_CLIENT_OPTIONS;
        const char *name = json_string_value(json_object_get(vector, "snapshot"));
        json_t *snapshots = json_object_get(file, "snapshots");
        if (name)
            write_decoded(json_string_value(json_object_get(snapshots, name)), path);
        o.snapshot_file = name ? path : NULL;
        o.baseline_share = json_number_value(json_object_get(vector, "baseline_share"));
        if (aft_client_open(&o, &c, &why) != AFT_CLIENT_OK)
            fail_msg("%s: %s", name, why.message);
        check(c, vector);
        assert_int_equal(aft_client_close(c, 0, &why), AFT_CLIENT_OK);
    }
    json_decref(file);
    kit_remove(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
