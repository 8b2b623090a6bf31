/* test_explain.c - explanations say what happened: an outcome's ledger is what its revisions brought, share by share; a
 * decision's credit is what
 * its last example holds. From memory, and from a store on disk beside the task that works on it.
 */
#include "tests/world.h"

#include <unistd.h>

#include "consumer/task_inner.h"

struct heard {
    struct aft_bytes decision; /* whose credit is summed */
    int64_t reward[AFT_SHOWN_MAX];
    uint64_t credits, held, passed_over;
    uint64_t ppm, matched;
};

static void
hear(void *ctx, const struct aft_explained_credit *c)
{
    struct heard *h = ctx;
    h->credits += c->kind != NULL;
    h->passed_over += c->kind == NULL;
    h->held += c->held;
    h->ppm += c->ppm;
    assert_true(c->held || c->kind);
    if (c->held)
        assert_true(c->decision_id.n > 1 && c->decision_id.p[0] == 'd');
    if (c->kind && c->held)
        assert_true(c->arm_id.n > 1 && c->arm_id.p[0] == 'a');
    if (c->kind && c->held && aft_same(c->decision_id, h->decision)) {
        h->matched++;
        h->reward[c->item] += c->reward_micro;
    }
}

struct run {
    struct world w;
    struct aft_store *store;
    struct aft_task *task;
    struct aft_joiner *joiner;
    struct world_examples examples;
};

static void
run_live(struct run *x, uint64_t seed, struct aft_store *store)
{
    bool busy;
    world_open(&x->w, seed, 1);
    x->store = store;
    struct aft_task_options o = {.config = x->w.config,
                                 .log = x->w.log,
                                 .store = store,
                                 .clock = world_clock(&x->w),
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &x->task, &world_error));
    for (int i = 0; i < 1200; i++) {
        if (i < 1190)
            world_happen(&x->w, 0);
        WORLD_OK(aft_task_step(x->task, 0, &busy, &world_error));
    }
    WORLD_OK(aft_task_drain(x->task, &world_error));
    x->joiner = x->task->joiner;
    world_examples_read(&x->w, 0, &x->examples);
}

static void
run_close(struct run *x)
{
    world_examples_free(&x->examples);
    aft_task_close(x->task);
    x->w.log->ops->poll(x->w.log, 0);
    x->store->ops->close(x->store);
    world_close(&x->w);
}

static void
example_at(struct run *x, uint64_t i, struct aft_example *out)
{
    struct aft_reader r = aft_reader(world_example(&x->examples, i));
    aft_arena_reset(&x->examples.arena);
    WORLD_OK(aft_decode_example(&r, &x->examples.arena, out, &world_error));
}

/* Every revision's cause. */
static uint64_t
outcomes_checked(struct run *x, struct aft_joiner *j)
{
    uint64_t checked = 0, passed_over = 0;
    for (uint64_t i = 0; i < x->examples.n; i++) {
        struct aft_example v;
        struct aft_explained_outcome o;
        example_at(x, i, &v);
        struct heard h = {.decision = v.decision_id};
        const struct aft_explain_sink sink = {&h, hear};
        if (v.phase != AFT_REVISE)
            continue;
        WORLD_OK(aft_joiner_explain_outcome(j, v.cause, &o, &sink, &world_error));
        assert_int_equal(o.credits, h.credits);
        assert_int_equal(o.fate, o.known ? AFT_FATE_credited : AFT_FATE_UNTOLD);
        if (!o.credits)
            continue; /* forgotten by now, or its user was erased */
        assert_int_equal(h.ppm, AFT_PPM);
        assert_int_equal(o.ppm, AFT_PPM);
        passed_over += h.passed_over;
        if (!h.matched)
            continue; /* settled: its id is not held any more */
        for (uint32_t k = 0; k < v.items_n; k++)
            assert_int_equal(h.reward[k], v.items[k].delta_micro);
        checked++;
    }
    assert_true(passed_over > 0);
    return checked;
}

/* Every live decision's last example. */
static uint64_t
decisions_checked(struct run *x, struct aft_joiner *j)
{
    uint64_t checked = 0;
    for (uint64_t d = 0; d < x->w.decisions; d++) {
        struct aft_explained_decision o;
        char id[40];
        sprintf(id, "d0-%llu", (unsigned long long)d);
        struct heard h = {.decision = aft_text(id)};
        const struct aft_explain_sink sink = {&h, hear};
        WORLD_OK(aft_joiner_explain_decision(j, aft_text(id), &o, &sink, &world_error));
        if (!o.known || !o.opened)
            continue;
        assert_true(o.settles_ms - o.shown_ms == 65000 && o.items > 0);
        for (uint64_t i = x->examples.n; i-- > 0;) {
            struct aft_example v;
            example_at(x, i, &v);
            if (!aft_same(v.decision_id, aft_text(id)))
                continue;
            for (uint32_t k = 0; k < v.items_n; k++)
                assert_int_equal(h.reward[k], v.items[k].reward_micro);
            checked += h.credits > 0;
            break;
        }
    }
    return checked;
}

static void
what_happened(void **state)
{
    (void)state;
    struct run x = {0};
    struct aft_explained_outcome o;
    struct aft_explained_decision d;
    const struct aft_explain_sink sink = {NULL, hear};
    run_live(&x, kit_seed(12), aft_store_mem_new());
    assert_true(outcomes_checked(&x, x.joiner) > 10);
    assert_true(decisions_checked(&x, x.joiner) > 10);
    WORLD_OK(aft_joiner_explain_outcome(x.joiner, aft_text("nobody's"), &o, &sink, &world_error));
    WORLD_OK(aft_joiner_explain_decision(x.joiner, aft_text("nobody's"), &d, &sink, &world_error));
    assert_false(o.known || d.known);
    run_close(&x);
}

static enum aft_err
nowhere(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash;
    return AFT_FAIL(e, AFT_E_FAILED, "whoever only looks emits nothing");
}

static void
beside_the_task(void **state)
{
    (void)state;
    char root[64], path[80];
    struct run x = {0};
    struct aft_store *store;
    struct aft_joiner *joiner;
    kit_folder(root, "explain");
    snprintf(path, sizeof path, "%s/0", root);
    WORLD_OK(aft_store_rocksdb_open(path, &store, &world_error));
    run_live(&x, kit_seed(13), store);
    WORLD_OK(aft_store_rocksdb_look(path, &store, &world_error));
    const struct aft_join_identity id = {aft_config_text(x.w.config, "app.id"), 0};
    const struct aft_join_out out = {NULL, nowhere};
    WORLD_OK(aft_joiner_open(aft_config_join(x.w.config), &id, store, &out, &joiner, &world_error));
    assert_true(outcomes_checked(&x, joiner) > 10);
    assert_true(decisions_checked(&x, joiner) > 10);
    aft_joiner_close(joiner);
    struct aft_put put = {AFT_LITERAL("k"), AFT_LITERAL("v")};
    struct aft_error e;
    assert_int_not_equal(store->ops->commit(store, &put, 1, &e), AFT_OK);
    store->ops->close(store);
    run_close(&x);
    kit_remove(root);
}

/* What is called a rule here, the configuration takes for it. */
static void
rules_have_the_names_of_the_configuration(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 1, 1);
    for (int rule = 0; rule <= (int)AFT_RULE_SHAPLEY; rule++)
        world_set(&w, "reward.click.rule", aft_rule_name((enum aft_rule)rule));
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_have_the_names_of_the_configuration),
                                       cmocka_unit_test(what_happened),
                                       cmocka_unit_test(beside_the_task)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
