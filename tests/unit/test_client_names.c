/* A context's names are kept from one decision to the next and compared, not copied: whatever names come next, in whatever buffer, the
 * record says what the request said, and a name given twice is seen. */
#include "tests/kit.h"

#include <string.h>

#include "client/client.h"

enum { FEATURES_MAX = 70, NAME = 48 };

static struct aft_buffer noted;

static enum aft_err
note(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
     struct aft_bytes value, struct aft_error *e)
{
    (void)ctx, (void)topic, (void)time_ms, (void)key, (void)e;
    aft_buffer_reset(&noted);
    aft_put_raw(&noted, value);
    return AFT_OK;
}

struct asked {
    char names[FEATURES_MAX][NAME]; /* the same memory each time */
    struct aft_client_feature features[FEATURES_MAX];
    struct aft_client_candidate arms[2];
    struct aft_client_request r;
};

/* n names of those that a case draws: alike in order mostly, short and long. */
static void
ask(struct aft_random *rng, struct asked *q, uint32_t n)
{
    uint32_t turn = aft_random_below(rng, 4) ? 0 : aft_random_below(rng, FEATURES_MAX);
    *q = (struct asked){.r = AFT_CLIENT_REQUEST};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t which = (i + turn) % FEATURES_MAX;
        int length = which % 7 == 3 ? 30 + (int)(which % 8) : 0; /* about AFTI_NAME_KEPT */
        snprintf(q->names[i], NAME, "%0*u%u", length, 1u, 100 + which);
        q->features[i] = (struct aft_client_feature){q->names[i], AFT_CLIENT_NUMBER, i + 0.5, NULL};
    }
    q->arms[0].arm_id = "a";
    q->arms[1].arm_id = "b";
    q->r.user_id = "u";
    q->r.device = aft_random_below(rng, 2) ? "web" : NULL;
    q->r.context = q->features;
    q->r.context_n = n;
    q->r.candidates = q->arms;
    q->r.candidates_n = 2;
    q->r.k = 1;
}

static void
logged_as_asked(const struct asked *q, struct aft_arena *arena)
{
    struct aft_frame frame;
    struct aft_impression x;
    struct aft_error e;
    aft_arena_reset(arena);
    assert_int_equal(aft_frame_parse(aft_buffer_bytes(&noted), &frame, &e), AFT_OK);
    assert_int_equal(aft_decode_impression(frame.body, arena, &x, &e), AFT_OK);
    assert_int_equal(x.context.n, q->r.context_n + (q->r.device != NULL));
    for (uint32_t i = 0; i < q->r.context_n; i++) {
        bool found = false;
        for (uint32_t j = 0; j < x.context.n; j++)
            found |= aft_same(x.context.v[j].name, aft_text(q->names[i])) &&
                     x.context.v[j].number == i + 0.5;
        assert_true(found);
    }
}

static void
names_are_those_of_the_request(void **state)
{
    (void)state;
    static struct asked q;
    struct aft_client_transport transport = {.append = note};
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client *c;
    struct aft_client_decision *d;
    struct aft_client_error why;
    struct aft_error e;
    struct aft_arena arena;
    struct aft_random rng;
    aft_arena_init(&arena, 1 << 20);
    aft_random_init(&rng, kit_seed(19), 0);
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    for (long round = kit_rounds(2000); round > 0; round--) {
        uint32_t n = aft_random_below(&rng, 3) ? 12 : 1 + aft_random_below(&rng, FEATURES_MAX);
        ask(&rng, &q, n);
        bool twice = n > 1 && aft_random_below(&rng, 5) == 0;
        if (twice) { /* one that was known to differ, under another's name */
            uint32_t from = aft_random_below(&rng, n), to = (from + 1) % n;
            memcpy(q.names[to], q.names[from], NAME);
        }
        enum aft_client_code code = aft_client_decide(c, &q.r, &d, &why);
        assert_int_equal(code, twice ? AFT_CLIENT_WRONG : AFT_CLIENT_OK);
        if (twice) {
            assert_non_null(strstr(why.message, "given twice"));
            continue;
        }
        assert_int_equal(aft_client_log_impression(c, d, &why), AFT_CLIENT_OK);
        logged_as_asked(&q, &arena);
        aft_client_decision_free(c, d);
    }
    aft_client_close(c, 0, NULL);
    aft_buffer_deinit(&noted);
    aft_arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
