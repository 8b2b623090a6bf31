/* config.c - the rules of the join: checked, put in one order, digested. Pure. */
#include <stdio.h>
#include <stdlib.h>

#include "attribution/inner.h"

static int
by_name(const void *a, const void *b)
{
    const struct aft_kind *x = a, *y = b;
    return aft_compare(aft_text(x->name), aft_text(y->name));
}

void
afti_config_sort(struct aft_join_config *c)
{
    qsort(c->kinds, c->kinds_n, sizeof c->kinds[0], by_name);
}

int
afti_kind(const struct aft_join_config *c, struct aft_bytes name)
{
    for (uint32_t i = 0; i < c->kinds_n; i++)
        if (aft_same(aft_text(c->kinds[i].name), name))
            return (int)i;
    return -1;
}

static enum aft_err
check_kind(const struct aft_kind *k, struct aft_error *e)
{
    if (!k->name[0])
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "a kind of outcome has no name: write reward.<kind>.weight=...");
    if (k->rule == AFT_RULE_TIME_DECAY && k->half_life_ms <= 0)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "reward.%s.rule=time_decay needs reward.%s.half.life above 0", k->name,
                        k->name);
    if (k->half_life_ms < 0 || k->delay_half_life_ms < 0)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "reward.%s: a half-life is negative: give it a positive duration", k->name);
    return AFT_OK;
}

enum aft_err
afti_config_check(const struct aft_join_config *c, struct aft_error *e)
{
    const int64_t most =
        INT64_C(3650) * 86400000; /* ten years: sums of a few stay far inside 64 bits */
    const int64_t times[] = {c->window_ms,       c->grace_ms,    c->open_after_ms,
                             c->orphan_after_ms, c->disorder_ms, c->max_future_ms};
    const char *names[] = {"window",       "grace",    "open.after",
                           "orphan.after", "disorder", "max.future"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (times[i] < 0 || times[i] > most)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "join.%s is outside 0 .. 3650d: give it a duration in there", names[i]);
    if (c->orphan_after_ms > c->window_ms + c->grace_ms)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "join.orphan.after is longer than join.window + join.grace, so an outcome would be "
            "forgotten while it waits: shorten it");
    if (c->kinds_n > AFT_KINDS_MAX)
        return AFT_FAIL(e, AFT_E_CONFIG, "more than %u kinds of outcomes: merge some",
                        AFT_KINDS_MAX);
    for (uint32_t i = 0; i < c->kinds_n; i++)
        AFT_TRY(check_kind(&c->kinds[i], e));
    return AFT_OK;
}

static void
digest_long(struct aft_digester *d, int64_t v)
{
    uint8_t b[8];
    aft_store_le64(b, (uint64_t)v);
    aft_digester_update(d, (struct aft_bytes){b, sizeof b});
}

static void
digest_kind(struct aft_digester *d, const struct aft_kind *k)
{
    digest_long(d, (int64_t)aft_text(k->name).n);
    aft_digester_update(d, aft_text(k->name));
    digest_long(d, k->weight_micro);
    digest_long(d, k->rule);
    digest_long(d, k->rule == AFT_RULE_TIME_DECAY ? k->half_life_ms : 0);
    digest_long(d, k->match);
    digest_long(d, k->count_first | k->prefer_clicked << 1 | k->click << 2 | k->activates << 3);
    digest_long(d, k->delay_half_life_ms);
}

void
aft_join_config_digest(const struct aft_join_config *c, struct aft_digest *out)
{
    struct aft_join_config sorted = *c;
    struct aft_digester d;
    afti_config_sort(&sorted);
    aft_digester_init(&d);
    digest_long(&d, c->window_ms);
    digest_long(&d, c->grace_ms);
    digest_long(&d, c->open_after_ms);
    digest_long(&d, c->orphan_after_ms);
    digest_long(&d, c->disorder_ms);
    digest_long(&d, c->max_future_ms);
    digest_long(&d, c->emit_rewarded_only);
    digest_long(&d, c->kinds_n);
    for (uint32_t i = 0; i < sorted.kinds_n; i++)
        digest_kind(&d, &sorted.kinds[i]);
    aft_digester_final(&d, out);
}
