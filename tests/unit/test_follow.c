/* test_follow.c - warm standbys: tasks that follow an owner, over a log in memory. Whatever happens to owners, who follows never
 * writes, says divergence when what it reads is not what the owner read, and takes over so that the examples are the truth.
 */
#include "tests/truth.h"

/* ---- a machine: a store, a log handle whose reads may be tampered with, a task */
enum tampering { HONEST, LOSES_AN_IMPRESSION, FLIPS_A_HASH };

struct machine {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *inner;
    struct world *w;
    struct aft_store *store;
    struct aft_task *task;
    enum tampering tampering;
    int64_t from; /* the offset from which on records are tampered with */
    uint8_t *changed;
    struct aft_log_reader *impressions, *examples;
    uint64_t appends, tampered;
};
static struct machine *machine_now; /* whose step it is: readers know no log */

static enum aft_err
reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
            struct aft_log_reader **out, struct aft_error *e)
{
    struct machine *m = (struct machine *)l;
    AFT_TRY(m->inner->ops->reader_open(m->inner, topic, partition, offset, out, e));
    if (strcmp(topic, aft_config_text(m->w->config, "topics.impressions")) == 0)
        m->impressions = *out;
    if (strcmp(topic, aft_config_text(m->w->config, "topics.examples")) == 0)
        m->examples = *out;
    return AFT_OK;
}

static void
flip(struct machine *m, struct aft_record_in *r)
{
    struct aft_block b;
    WORLD_OK(aft_decode_block(world_body(r), &b, &world_error));
    if (r->offset < m->from || b.n == 0 || m->tampered)
        return;
    m->changed = realloc(m->changed, r->value.n);
    memcpy(m->changed, r->value.p, r->value.n);
    m->changed[b.examples.p - r->value.p - 8] ^=
        0x10; /* the hash is the 16 bytes before the array's head */
    r->value.p = m->changed;
    m->tampered++;
}

static enum aft_err
read_records(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
             uint32_t *n, bool *at_end, struct aft_error *e)
{
    struct machine *m = machine_now;
    AFT_TRY(m->inner->ops->read(r, out, max, timeout_ms, n, at_end, e));
    if (m->tampering == LOSES_AN_IMPRESSION && r == m->impressions)
        for (uint32_t i = 0; i < *n && !m->tampered; i++)
            if (out[i].offset >= m->from && out[i].value.p && out[i].value.n > 40) {
                memmove(out + i, out + i + 1, (*n - i - 1) * sizeof *out);
                --*n;
                m->tampered++;
            }
    if (m->tampering == FLIPS_A_HASH && r == m->examples)
        for (uint32_t i = 0; i < *n; i++)
            flip(m, &out[i]);
    return AFT_OK;
}

static enum aft_err
append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct machine *m = (struct machine *)l;
    m->appends++;
    return m->inner->ops->append(m->inner, a, e);
}

#define PASS(name, parameters, arguments)                  \
    static enum aft_err name parameters                    \
    {                                                      \
        struct aft_log *in = ((struct machine *)l)->inner; \
        return in->ops->name arguments;                    \
    }
PASS(topic_facts,
     (struct aft_log * l, const char *topic, struct aft_topic_facts *out, struct aft_error *e),
     (in, topic, out, e))
PASS(range,
     (struct aft_log * l, const char *topic, int32_t p, int64_t *begin, int64_t *end,
      struct aft_error *e),
     (in, topic, p, begin, end, e))

static void
poll_acks(struct aft_log *l, int timeout_ms)
{
    struct aft_log *in = ((struct machine *)l)->inner;
    in->ops->poll(in, timeout_ms);
}

static void
machine_open(struct machine *m, struct world *w)
{
    *m = (struct machine){.store = aft_store_mem_new(), .w = w};
    m->inner = aft_log_memory(w->broker);
    m->ops = *m->inner->ops;
    m->ops.reader_open = reader_open;
    m->ops.read = read_records;
    m->ops.append = append;
    m->ops.topic_facts = topic_facts;
    m->ops.range = range;
    m->ops.poll = poll_acks;
    m->log.ops = &m->ops;
}

static void
machine_start(struct machine *m, bool follow)
{
    struct aft_task_options o = {.config = m->w->config,
                                 .log = &m->log,
                                 .store = m->store,
                                 .clock = world_clock(m->w),
                                 .owner = "a test",
                                 .follow = follow};
    WORLD_OK(aft_task_open(&o, &m->task, &world_error));
    m->appends = 0;
}

static void
machine_kill(struct machine *m)
{
    aft_task_close(m->task);
    m->task = NULL;
    m->inner->ops->poll(m->inner, 0);
}

static enum aft_err
machine_step(struct machine *m, struct aft_error *e)
{
    bool busy;
    machine_now = m;
    return aft_task_step(m->task, 0, &busy, e);
}

static void
machine_close(struct machine *m)
{
    if (m->task)
        machine_kill(m);
    m->store->ops->close(m->store);
    m->inner->ops->close(m->inner);
    free(m->changed);
}

/* What the owner tells its group: the offsets that it committed, never less than was told. */
static void
tell(const struct machine *owner, int64_t told[2])
{
    int64_t now[2];
    if (!owner->task || aft_task_epoch(owner->task) < 0)
        return;
    aft_task_committed(owner->task, now);
    for (int i = 0; i < 2; i++)
        told[i] = now[i] > told[i] ? now[i] : told[i];
}

static struct aft_task_following
following(const struct machine *m)
{
    struct aft_task_following f;
    aft_task_following(m->task, &f);
    return f;
}

/* Until all windows are closed and everything is committed. */
static void
to_the_end(struct world *w, struct machine *m)
{
    struct aft_task_status s;
    for (int i = 0; i < 600; i++) {
        w->now_ms += i < 590 ? 500 : 0;
        WORLD_OK(machine_step(m, &world_error));
    }
    WORLD_OK(aft_task_drain(m->task, &world_error));
    aft_task_status(m->task, false, &s);
    assert_true(s.owner && s.caught_up);
}

static void
check_truth(struct world *w, const struct machine *m)
{
    struct truth_result truth;
    struct world_examples got;
    struct aft_task_status s;
    aft_task_status(m->task, true, &s);
    truth_of(w, 0, &truth);
    world_examples_read(w, 0, &got);
    compare(&got, &truth.examples, true);
    assert_memory_equal(&truth.digest, &s.state, sizeof truth.digest);
    assert_memory_equal(&truth.counts.fates, &s.join.fates, sizeof truth.counts.fates);
    truth_free(&truth);
    world_examples_free(&got);
}

/* ---- the cases */
static void
follows_and_writes_nothing(void **state)
{
    (void)state;
    struct world w;
    struct machine owner, standby;
    struct aft_task_status a, b;
    int64_t told[2] = {-1, -1};
    world_open(&w, kit_seed(41), 1);
    machine_open(&owner, &w);
    machine_open(&standby, &w);
    machine_start(&owner, false);
    machine_start(&standby, true);
    for (int i = 0; i < 6000; i++) {
        if (i < 4000 && i % 2)
            world_happen(&w, 0);
        w.now_ms += i < 4000 ? 0 : i < 5900 ? 100 : 0;
        WORLD_OK(machine_step(&owner, &world_error));
        tell(&owner, told);
        WORLD_OK(aft_task_follow(standby.task, told, &world_error));
        WORLD_OK(machine_step(&standby, &world_error));
    }
    WORLD_OK(aft_task_drain(owner.task, &world_error));
    tell(&owner, told);
    for (int i = 0; i < 50; i++) {
        WORLD_OK(aft_task_follow(standby.task, told, &world_error));
        WORLD_OK(machine_step(&standby, &world_error));
    }
    aft_task_status(owner.task, true, &a);
    aft_task_status(standby.task, true, &b);
    assert_true(a.next_seq > 500 && a.ticks > 20);
    assert_int_equal(standby.appends, 0);
    assert_true(b.follows && !b.owner && following(&standby).level);
    assert_int_equal(b.next_seq, a.next_seq);
    assert_int_equal(b.checked_seq, a.next_seq); /* all of them were compared */
    assert_int_equal(b.dead_letters, a.dead_letters);
    assert_memory_equal(&a.state, &b.state, sizeof a.state);
    assert_true(b.commits > 20);
    machine_kill(&standby); /* and its own state is one to go on from */
    machine_start(&standby, true);
    for (int i = 0; i < 50; i++) {
        WORLD_OK(aft_task_follow(standby.task, told, &world_error));
        WORLD_OK(machine_step(&standby, &world_error));
    }
    aft_task_status(standby.task, true, &b);
    assert_memory_equal(&a.state, &b.state, sizeof a.state);
    machine_close(&owner);
    machine_close(&standby);
    world_close(&w);
}

/* Owners die, or are only slow; standbys take over with what they hold, or follow again; any of them may be killed. */
static void
takes_over_at_any_moment(void **state)
{
    (void)state;
    enum { MACHINES = 3 };
    uint64_t seed = kit_seed(51), taken = 0, fenced = 0;
    for (long k = 0; k < kit_rounds(30); k++) {
        struct world w;
        struct machine m[MACHINES];
        int64_t told[2] = {-1, -1};
        world_open(&w, seed + (uint64_t)k, 1);
        for (int i = 0; i < MACHINES; i++) {
            machine_open(&m[i], &w);
            machine_start(&m[i], i > 0);
        }
        for (int i = 0; i < 4000; i++) {
            struct machine *one = &m[aft_random_below(&w.r, MACHINES)];
            uint32_t x = aft_random_below(&w.r, 1000);
            if (!one->task)
                machine_start(one, true);
            if (x < 250) {
                world_happen(&w, 0);
            } else if (x < 253) {
                machine_kill(one);
            } else if (x < 260 && following(one).follows) {
                taken++;
                aft_task_own(one->task);
            } else if (x < 600) {
                tell(one, told);
                WORLD_OK(aft_task_follow(one->task, told, &world_error));
            } else {
                enum aft_err err = machine_step(one, &world_error);
                if (err == AFT_E_NOT_OWNER)
                    machine_kill(one);
                else
                    WORLD_OK(err);
                fenced += err == AFT_E_NOT_OWNER;
            }
            if (one->task && following(one).follows)
                assert_int_equal(one->appends, 0);
        }
        for (int i = 0; i < MACHINES; i++) { /* each of them can end the story */
            if (!m[i].task || !following(&m[i]).follows) {
                if (m[i].task)
                    machine_kill(&m[i]);
                machine_start(&m[i], true);
            }
            aft_task_own(m[i].task);
            to_the_end(&w, &m[i]);
            check_truth(&w, &m[i]);
            machine_kill(&m[i]);
        }
        for (int i = 0; i < MACHINES; i++)
            machine_close(&m[i]);
        world_close(&w);
    }
    printf("%llu takeovers, %llu fenced\n", (unsigned long long)taken, (unsigned long long)fenced);
    assert_true(taken > 100 && fenced > 20);
}

/* The owner dies with its tick written and nothing done about it: who follows read the tick, and has examples that nobody published. */
static void
takes_over_with_unpublished_examples(void **state)
{
    (void)state;
    struct world w;
    struct machine owner, standby;
    struct aft_task_status s = {0};
    int64_t told[2] = {-1, -1};
    world_open(&w, kit_seed(71), 1);
    machine_open(&owner, &w);
    machine_open(&standby, &w);
    machine_start(&owner, false);
    machine_start(&standby, true);
    for (int i = 0; i < 4000 && s.next_seq <= s.published_seq; i++) {
        if (i < 1000)
            world_happen(&w, 0);
        w.now_ms += i < 1000 ? 0 : 100;
        WORLD_OK(machine_step(&owner, &world_error));
        tell(&owner, told);
        WORLD_OK(aft_task_follow(standby.task, told, &world_error));
        WORLD_OK(machine_step(&standby, &world_error));
        WORLD_OK(machine_step(&standby, &world_error));
        if (i > 1000)
            aft_task_status(standby.task, false, &s);
    }
    assert_true(s.follows && s.next_seq > s.published_seq);
    machine_kill(&owner);
    aft_task_own(standby.task);
    to_the_end(&w, &standby);
    check_truth(&w, &standby);
    machine_close(&owner);
    machine_close(&standby);
    world_close(&w);
}

static void
tampered(enum tampering what, uint64_t seed)
{
    struct world w;
    struct machine owner, standby;
    int64_t told[2] = {-1, -1};
    enum aft_err err = AFT_OK;
    struct aft_error e;
    world_open(&w, seed, 1);
    machine_open(&owner, &w);
    machine_open(&standby, &w);
    standby.tampering = what;
    standby.from = 60;
    machine_start(&owner, false);
    machine_start(&standby, true);
    for (int i = 0; i < 6000 && err == AFT_OK; i++) {
        if (i < 3000)
            world_happen(&w, 0);
        else
            w.now_ms += 300;
        WORLD_OK(machine_step(&owner, &world_error));
        tell(&owner, told);
        WORLD_OK(aft_task_follow(standby.task, told, &world_error));
        err = machine_step(&standby, &e);
    }
    assert_int_equal(standby.tampered, 1);
    assert_int_equal(err, AFT_E_DIVERGENCE);
    assert_non_null(strstr(e.message, "partition 0"));
    assert_non_null(strstr(e.message, "the first that differs is one of"));
    assert_int_equal(standby.appends, 0);
    machine_close(&owner);
    machine_close(&standby);
    world_close(&w);
}

static void
says_divergence(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(61);
    tampered(LOSES_AN_IMPRESSION, seed);
    tampered(FLIPS_A_HASH, seed);
}

/* ---- a state of other topics */
/* An owner's life in a world of its own; m->store is what it leaves. Returns how many examples it counts. */
static uint64_t
lived(struct world *w, struct machine *m, uint64_t seed, int steps)
{
    struct aft_task_status s;
    world_open(w, seed, 1);
    machine_open(m, w);
    machine_start(m, false);
    for (int i = 0; i < steps + 200; i++) {
        if (i < steps)
            world_happen(w, 0);
        w->now_ms += i < steps ? 0 : 100;
        WORLD_OK(machine_step(m, &world_error));
    }
    WORLD_OK(aft_task_drain(m->task, &world_error));
    aft_task_status(m->task, false, &s);
    machine_kill(m);
    return s.next_seq;
}

/* Nothing more comes, and nobody tells how far to follow (or it owns): it is told by what is published already. */
static void
refuses(struct machine *m, struct aft_store *store, bool follow)
{
    enum aft_err err = AFT_OK;
    struct aft_error e;
    struct aft_store *own = m->store;
    m->store = store;
    machine_start(m, follow);
    for (int i = 0; i < 100 && err == AFT_OK; i++)
        err = machine_step(m, &e);
    assert_true(err == AFT_E_DIVERGENCE || err == AFT_E_GAP);
    assert_non_null(strstr(e.message, "partition 0"));
    if (follow)
        assert_int_equal(m->appends, 0);
    machine_kill(m);
    m->store = own;
}

static void
refuses_a_state_of_other_topics(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(81);
    for (long k = 0; k < kit_rounds(12); k++) {
        struct world w, other;
        struct machine honest, liar;
        uint64_t theirs = lived(&other, &liar, seed + (uint64_t)k, 300 + 170 * (int)(k % 12));
        uint64_t ours = lived(&w, &honest, seed + 1000 + (uint64_t)k, 3000);
        assert_true(theirs > 20 && ours > theirs);
        refuses(&honest, liar.store, true);
        refuses(&honest, liar.store, false);
        machine_start(&honest, true); /* its own is taken */
        for (int i = 0; i < 100; i++)
            WORLD_OK(machine_step(&honest, &world_error));
        assert_true(following(&honest).follows);
        machine_close(&honest);
        machine_close(&liar);
        world_close(&w);
        world_close(&other);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_and_writes_nothing),
        cmocka_unit_test(takes_over_at_any_moment),
        cmocka_unit_test(takes_over_with_unpublished_examples),
        cmocka_unit_test(says_divergence),
        cmocka_unit_test(refuses_a_state_of_other_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
