/* test_replay_state.c - a state that was there, beside what a replay computes: the same, also where it is old; and where a bug of the software
 * changed it (a byte, a row, an offset; all checksums right), the decision or the outcome is named, and the field.
 */
#include "tests/life.h"

#include <unistd.h>

static char root[64];
static unsigned copies;

static int
root_make(void **state)
{
    (void)state;
    kit_folder(root, "replay-state");
    return 0;
}

static int
root_remove(void **state)
{
    (void)state;
    kit_remove(root);
    return 0;
}

/* ---- copies of states, in which something is changed */
struct spoil {
    int32_t partition;
    /* value: of a segment or of the commit record */
    void (*change)(struct spoil *s, struct aft_bytes key, struct aft_buffer *value);
    int hits;
    uint64_t pick; /* a number for the change */
    char id[80];   /* what it is, as the change found it */
};

static void
store_copy(struct aft_store *from, struct aft_store *to, struct spoil *s)
{
    struct aft_store_scan *scan;
    struct aft_put at;
    bool end;
    WORLD_OK(from->ops->scan_open(from, (struct aft_bytes){(const uint8_t *)"", 0}, &scan,
                                  &world_error));
    for (;;) {
        struct aft_buffer value = {0};
        WORLD_OK(from->ops->scan_next(scan, &at, &end, &world_error));
        if (end)
            break;
        aft_put_raw(&value, at.value);
        if (s)
            s->change(s, at.key, &value);
        struct aft_put put = {at.key, aft_buffer_bytes(&value)};
        WORLD_OK(to->ops->commit(to, &put, 1, &world_error));
        aft_buffer_deinit(&value);
    }
    from->ops->scan_close(scan);
}

/* Into a directory of its own; out: its name. */
static void
states_copy(struct life *x, struct spoil *s, char out[128])
{
    char path[160];
    struct aft_store *to;
    snprintf(out, 128, "%s/%u", root, copies++);
    char command[160];
    snprintf(command, sizeof command, "mkdir '%s'", out);
    assert_int_equal(system(command), 0);
    for (int p = 0; p < PARTITIONS; p++) {
        snprintf(path, sizeof path, "%s/%d", out, p);
        WORLD_OK(aft_store_rocksdb_open(path, &to, &world_error));
        store_copy(x->stores[p], to, s && s->partition == p ? s : NULL);
        to->ops->close(to);
    }
    assert_true(!s || s->hits > 0);
}

static enum aft_err
replay_beside(struct life *x, const char *state, struct aft_replay_result *out, struct aft_error *e)
{
    struct aft_replay_options o = {.config = x->w.config,
                                   .log = x->w.log,
                                   .clock = world_clock(&x->w),
                                   .from_ms = INT64_MIN,
                                   .until_ms = INT64_MAX,
                                   .state = state,
                                   .verify = true};
    return aft_replay(&o, out, e);
}

static enum aft_err
replay_spoiled(struct life *x, struct spoil *s, struct aft_replay_result *out, struct aft_error *e)
{
    char state[128];
    states_copy(x, s, state);
    enum aft_err err = replay_beside(x, state, out, e);
    free(out->parts);
    return err;
}

/* ---- the same */
static void
as_it_is_and_as_it_was(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    char old[128], now[128];
    life_open(&x, kit_seed(21));
    life_live(&x, 900, 0);
    states_copy(&x, NULL, old); /* whatever is committed */
    life_live(&x, 900, 0);
    life_end(&x);
    states_copy(&x, NULL, now);
    for (int i = 0; i < 2; i++) {
        WORLD_OK(replay_beside(&x, i ? now : old, &r, &world_error));
        for (int p = 0; p < PARTITIONS; p++) {
            assert_int_equal(r.parts[p].held, AFT_HELD_SAME);
            assert_true(r.parts[p].held_decisions > 20 && r.parts[p].held_outcomes > 5);
            assert_memory_equal(&r.parts[p].state, &x.state[p], sizeof x.state[p]);
        }
        free(r.parts);
    }
    life_close(&x);
}

/* Not from the beginning: compared where everything that it hangs on was read, and said where not. */
static void
from_the_middle(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_replay_result r;
    char early[128], late[128];
    life_open(&x, kit_seed(22));
    life_live(&x, 900, 0);
    states_copy(&x, NULL, early);
    life_live(&x, 3000, 0);
    life_end(&x);
    states_copy(&x, NULL, late);
    struct aft_replay_options o = {.config = x.w.config,
                                   .log = x.w.log,
                                   .clock = world_clock(&x.w),
                                   .from_ms = INT64_C(1700000000000) + 150000,
                                   .until_ms = INT64_MAX,
                                   .state = late,
                                   .verify = true};
    WORLD_OK(aft_replay(&o, &r, &world_error));
    for (int p = 0; p < PARTITIONS; p++) {
        assert_int_equal(r.parts[p].held, AFT_HELD_SAME);
        assert_true(r.parts[p].held_decisions > 10);
    }
    free(r.parts);
    o.state = early;
    WORLD_OK(aft_replay(&o, &r, &world_error));
    assert_int_equal(r.parts[0].held, AFT_HELD_EARLY);
    free(r.parts);
    o.from_ms = INT64_MIN;
    o.until_ms = INT64_C(1700000000000) + 300000;
    o.state = late;
    WORLD_OK(aft_replay(&o, &r, &world_error));
    assert_int_equal(r.parts[0].held, AFT_HELD_LATE);
    free(r.parts);
    life_close(&x);
}

/* ---- changed */
/* The record's bytes within the segment, behind its head; false: there is no more. */
static bool
next_record(struct aft_buffer *segment, size_t *at, uint8_t **payload, struct aft_redo_record *r)
{
    if (*at == 0)
        *at = AFT_SEGMENT_HEAD;
    size_t begin = *at;
    if (!aft_redo_next(aft_buffer_bytes(segment), at, r))
        return false;
    *payload = segment->p + begin + AFT_REDO_HEAD;
    return true;
}

static uint8_t *
policy_in(uint8_t *p, size_t n)
{
    static const char policy[] = "personalised";
    for (size_t i = 0; i + sizeof policy - 1 <= n; i++)
        if (memcmp(p + i, policy, sizeof policy - 1) == 0)
            return p + i;
    return NULL;
}

/* The policy's name in the stored impression of the last decision but `pick`. */
static void
policy_changed(struct spoil *s, struct aft_bytes key, struct aft_buffer *value)
{
    struct aft_redo_record r;
    uint8_t *payload;
    if (s->hits || key.p[8] != AFT_KEY_SEGMENT || aft_load_be64(key.p) < s->pick)
        return;
    for (size_t at = 0; next_record(value, &at, &payload, &r);) {
        uint8_t *name = r.kind == AFT_REDO_IMPRESSION ? policy_in(payload, r.payload.n) : NULL;
        if (!name)
            continue;
        snprintf(s->id, sizeof s->id, "%.*s", payload[0] / 2, (const char *)payload + 1);
        name[2] = 'R';
        s->hits++;
        return;
    }
}

/* One micro-unit more in the ledger entry of an outcome. */
static void
ledger_changed(struct spoil *s, struct aft_bytes key, struct aft_buffer *value)
{
    struct aft_redo_record r;
    uint8_t *payload;
    if (s->hits || key.p[8] != AFT_KEY_SEGMENT || aft_load_be64(key.p) < s->pick)
        return;
    for (size_t at = 0; next_record(value, &at, &payload, &r);) {
        if (r.kind != AFT_REDO_OUTCOME || r.payload.n < 40 || payload[16] != 0 || payload[17] != 2)
            continue;
        struct aft_reader at_unit = {payload + 18 + 16 + 2, payload + r.payload.n};
        int64_t ppm;
        assert_true(aft_get_long(&at_unit, &ppm) && ppm > 0);
        payload[at_unit.p - payload] ^= 2; /* lowest bit but the sign's */
        s->hits++;
        return;
    }
}

static void
offset_changed(struct spoil *s, struct aft_bytes key, struct aft_buffer *value)
{
    struct aft_commit_record c;
    struct aft_buffer before = {0};
    if (key.p[8] != AFT_KEY_COMMIT)
        return;
    aft_put_raw(&before, aft_buffer_bytes(value));
    WORLD_OK(aft_commit_decode(aft_buffer_bytes(&before), &c, &world_error));
    if (s->pick == 0)
        c.logs[AFT_IMPRESSIONS].next_offset += 40;
    else if (s->pick == 1)
        c.counts[0]++;
    else
        c.logs[AFT_OUTCOMES].most_ms += 50000;
    aft_buffer_reset(value);
    aft_commit_encode(value, &c);
    aft_buffer_deinit(&before);
    s->hits++; /* the last one counts, and there may be older ones before it */
}

/* A state in the middle of its life, with more to come behind it. */
static void
half_a_life(struct life *x, uint64_t seed, struct aft_store *was[PARTITIONS])
{
    life_open(x, kit_seed(seed));
    life_live(x, 900, 0);
    for (int p = 0; p < PARTITIONS; p++) {
        was[p] = aft_store_mem_new();
        store_copy(x->stores[p], was[p], NULL);
    }
    life_live(x, 400, 0);
    life_end(x);
    for (int p = 0; p < PARTITIONS; p++) {
        struct aft_store *now = x->stores[p];
        x->stores[p] = was[p];
        was[p] = now;
    }
}

static void
half_a_life_close(struct life *x, struct aft_store *was[PARTITIONS])
{
    for (int p = 0; p < PARTITIONS; p++) {
        struct aft_store *then = x->stores[p];
        x->stores[p] = was[p];
        was[p] = then;
    }
    life_close(x);
    for (int p = 0; p < PARTITIONS; p++)
        was[p]->ops->close(was[p]);
}

static uint64_t
last_segment(struct aft_store *store)
{
    struct aft_buffer key = {0}, value = {0};
    bool found;
    WORLD_OK(store->ops->last(store, &key, &value, &found, &world_error));
    assert_true(found);
    uint64_t n = aft_load_be64(key.p);
    aft_buffer_deinit(&key);
    aft_buffer_deinit(&value);
    return n;
}

/* A change among the last segments, the first that means something: what is settled may stand there too. */
static struct spoil
first_named(struct life *x, int32_t partition,
            void (*how)(struct spoil *, struct aft_bytes, struct aft_buffer *),
            struct aft_replay_result *r, struct aft_error *e)
{
    uint64_t last = last_segment(x->stores[partition]);
    for (uint64_t back = 9; back > 0; back--) {
        struct spoil s = {.partition = partition, .change = how, .pick = last - back};
        enum aft_err err = replay_spoiled(x, &s, r, e);
        if (err == AFT_E_DIVERGENCE)
            return s;
        if (err != AFT_OK)
            fail_msg("%s: %s", aft_err_name(err), e->message);
    }
    fail_msg("nothing that was changed was named");
    return (struct spoil){0};
}

static void
named(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_store *was[PARTITIONS];
    struct aft_replay_result r;
    struct aft_error e;
    half_a_life(&x, 23, was);
    struct spoil s = first_named(&x, 1, policy_changed, &r, &e);
    assert_int_equal(aft_err_exit(e.code), 7);
    assert_true(r.diverged && r.of_state && r.partition == 1);
    assert_string_equal(r.decision_id, s.id);
    assert_string_equal(r.field, "impression.policy");
    assert_string_equal(r.state.value[0], "personalised");
    assert_string_equal(r.state.value[1], "peRsonalised");
    assert_non_null(strstr(e.message, s.id));
    (void)first_named(&x, 0, ledger_changed, &r, &e);
    assert_true(r.of_state && r.partition == 0);
    if (r.state.of ==
        AFT_DIFFERENCE_OUTCOME) /* its credit is in the touch's cells too, which come first */
        assert_int_equal(r.outcome_id[0], 'o');
    else
        assert_string_equal(r.field, "credit.unit_micro");
    static const char *const fields[] = {"", "fates.credited", ""};
    for (uint64_t pick = 0; pick < 3; pick++) {
        s = (struct spoil){.partition = 1, .change = offset_changed, .pick = pick};
        assert_int_equal(replay_spoiled(&x, &s, &r, &e), AFT_E_DIVERGENCE);
        assert_true(r.of_state && r.partition == 1);
        if (fields[pick][0])
            assert_string_equal(r.field, fields[pick]);
        else
            assert_non_null(strstr(e.message, "gone on from there"));
    }
    half_a_life_close(&x, was);
}

/* Any byte of a segment: refused, or named, or it is one that means nothing any more. */
static void
any_byte(struct spoil *s, struct aft_bytes key, struct aft_buffer *value)
{
    if (s->hits || value->n == 0 || key.p[8] != AFT_KEY_SEGMENT ||
        aft_load_be64(key.p) < s->pick >> 32)
        return;
    value->p[(s->pick & UINT32_MAX) % value->n] ^= 1;
    s->hits++;
}

static void
any(void **state)
{
    (void)state;
    struct life x = {0};
    struct aft_store *was[PARTITIONS];
    struct aft_replay_result r;
    struct aft_error e;
    long rounds = kit_rounds(12), found = 0;
    half_a_life(&x, 24, was);
    uint64_t last = last_segment(x.stores[0]);
    for (long i = 0; i < rounds; i++) {
        struct spoil s = {.change = any_byte,
                          .pick = (last - 4 + aft_random_below(&x.w.r, 4)) << 32 |
                                  aft_random_below(&x.w.r, 1u << 30)};
        enum aft_err err = replay_spoiled(&x, &s, &r, &e);
        if (err != AFT_OK && err != AFT_E_CORRUPT && err != AFT_E_DIVERGENCE)
            fail_msg("%s: %s", aft_err_name(err), e.message);
        assert_true(err != AFT_E_DIVERGENCE || r.of_state);
        found += err != AFT_OK;
    }
    assert_true(found > rounds * 3 / 4);
    half_a_life_close(&x, was);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_it_is_and_as_it_was, root_make, root_remove),
        cmocka_unit_test_setup_teardown(from_the_middle, root_make, root_remove),
        cmocka_unit_test_setup_teardown(named, root_make, root_remove),
        cmocka_unit_test_setup_teardown(any, root_make, root_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
