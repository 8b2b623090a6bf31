/* join_cases.h - random cases for the joiner, in the manner of tests/oracle/join_cases.py: late and early records, duplicates, orphans,
 * retractions, erasures, clocks far ahead, idle ticks, every rule. Everything from one seed. */
#ifndef AFT_TESTS_JOIN_CASES_H
#define AFT_TESTS_JOIN_CASES_H

#include <stdio.h>
#include <stdlib.h>

#include "attribution/attribution.h"

enum { CASE_RECORDS = 4000, CASE_TICKS = 16 };

struct case_record {
    int64_t arrival, ts;
    bool erase;
    char user[40];
    uint8_t *body;
    size_t body_n;
};

struct case_tick {
    enum aft_log_kind log;
    int64_t at_offset, watermark_ms;
};

struct join_case {
    struct aft_join_config config;
    struct case_record *log[2];
    size_t n[2];
    struct case_tick tick[CASE_TICKS];
    size_t ticks;
    struct aft_random r;
    int64_t step;
    uint32_t users, erase_one_in, copy_one_in;
};

static inline int64_t
case_pick(struct aft_random *r, const int64_t *v, uint32_t n)
{
    return v[aft_random_below(r, n)];
}
#define CASE_PICK(r, ...)                          \
    case_pick((r), (const int64_t[]){__VA_ARGS__}, \
              (uint32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

static inline void
case_config(struct join_case *c)
{
    struct aft_random *r = &c->r;
    int64_t w = CASE_PICK(r, 60000, 3600000, 604800000);
    static const struct aft_kind kinds[] = {
        {.name = "rendered", .activates = true},
        {.name = "click", .weight_micro = 50000, .click = true},
        {.name = "key_task_completed", .weight_micro = 1000000},
        {.name = "qualified_view_benefit", .weight_micro = 200000},
    };
    c->config = (struct aft_join_config){.window_ms = w,
                                         .grace_ms = CASE_PICK(r, 0, w / 10),
                                         .open_after_ms = CASE_PICK(r, 0, w / 20, w, 2 * w),
                                         .orphan_after_ms = CASE_PICK(r, 1000, w / 4),
                                         .disorder_ms = CASE_PICK(r, 0, 100, w / 50),
                                         .max_future_ms = 3600000,
                                         .open_max = 100000,
                                         .kinds_n = 4};
    for (int i = 0; i < 4; i++)
        c->config.kinds[i] = kinds[i];
    c->config.kinds[1].count_first = aft_random_below(r, 2);
    for (int i = 2; i < 4; i++) {
        struct aft_kind *k = &c->config.kinds[i];
        k->rule = (enum aft_rule)aft_random_below(r, 6);
        k->half_life_ms = w / (i == 2 ? 3 : 7);
        if (i == 3)
            continue;
        k->match = (enum aft_match)aft_random_below(r, 3);
        k->count_first = aft_random_below(r, 3) == 0;
        k->prefer_clicked = aft_random_below(r, 2);
        k->delay_half_life_ms = CASE_PICK(r, 0, w / 2);
    }
}

static inline struct case_record *
case_add(struct join_case *c, enum aft_log_kind log, int64_t arrival, int64_t ts, const char *user)
{
    AFT_ASSERT(c->n[log] < CASE_RECORDS);
    struct case_record *v = &c->log[log][c->n[log]++];
    *v = (struct case_record){.arrival = arrival, .ts = ts};
    snprintf(v->user, sizeof v->user, "%s", user);
    return v;
}

static inline void
case_body(struct case_record *v, struct aft_buffer *b)
{
    v->body = malloc(b->n);
    AFT_ASSERT(v->body != NULL);
    memcpy(v->body, b->p, b->n);
    v->body_n = b->n;
    aft_buffer_deinit(b);
}

static inline int64_t
case_jitter(struct join_case *c)
{
    struct aft_random *r = &c->r;
    uint32_t how = aft_random_below(r, 5);
    return how < 3 ? 0
                   : aft_random_below(r, (uint32_t)(how == 3 ? c->step + 1 : c->config.window_ms));
}

static inline struct aft_impression
case_impression(struct join_case *c, const char *id, const char *user, int64_t t,
                struct aft_shown *slate)
{
    static const char *const arms[] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"};
    static const char *const subjects[] = {"contribution", "investments", "beneficiaries", NULL};
    struct aft_random *r = &c->r;
    struct aft_impression v = {.decision_id = aft_text(id),
                               .user_id = aft_text(user),
                               .timestamp_ms = t,
                               .policy = aft_text("personalised"),
                               .slate = slate,
                               .slate_n = 1 + aft_random_below(r, 3)};
    uint32_t arm = aft_random_below(r, 8);
    static const char *const sessions[] = {"s0", "s1", "s2", NULL};
    const char *session = sessions[aft_random_below(r, 4)];
    v.session_id = session ? aft_text(session) : AFT_ABSENT;
    v.deferred = aft_random_below(r, 8) == 0;
    for (uint32_t i = 0; i < v.slate_n; i++, arm = (arm + 3) % 8)
        slate[i] = (struct aft_shown){.arm_id = aft_text(arms[arm]),
                                      .slot = (int32_t)i,
                                      .propensity = 0.25,
                                      .subject = subjects[arm % 4] ? aft_text(subjects[arm % 4])
                                                                   : AFT_ABSENT};
    return v;
}

static inline void
case_outcome(struct join_case *c, const struct aft_impression *about, const char *user, int64_t t,
             const char *kind)
{
    struct aft_random *r = &c->r;
    struct aft_buffer b = {0};
    char id[40], taken[40];
    uint32_t step = (uint32_t)c->step + 1, w = (uint32_t)c->config.window_ms;
    int64_t ts =
        t + CASE_PICK(r, aft_random_below(r, step), aft_random_below(r, w),
                      aft_random_below(r, w) * INT64_C(2), -(int64_t)aft_random_below(r, step));
    snprintf(id, sizeof id, "o%zu", c->n[AFT_OUTCOMES]);
    struct aft_outcome o = {.outcome_id = aft_text(id),
                            .user_id = aft_text(user),
                            .timestamp_ms = ts,
                            .kind = aft_text(kind),
                            .value_micro =
                                aft_random_below(r, 3) ? AFT_MICRO : aft_random_below(r, 3000000)};
    if (strcmp(kind, "click") == 0 || strcmp(kind, "rendered") == 0 ||
        aft_random_below(r, 5) == 0) {
        o.decision_id = aft_random_below(r, 20) ? about->decision_id : aft_text("nowhere");
        o.arm_id = aft_random_below(r, 2) ? about->slate[aft_random_below(r, about->slate_n)].arm_id
                                          : AFT_ABSENT;
    } else {
        o.subject = aft_random_below(r, 2) ? about->slate[0].subject : AFT_ABSENT;
        o.session_id = aft_random_below(r, 2) ? about->session_id : AFT_ABSENT;
    }
    for (int copies = 1 + (aft_random_below(r, 15) == 0); copies > 0; copies--) {
        aft_encode_outcome(&b, &o);
        case_body(case_add(c, AFT_OUTCOMES, ts + case_jitter(c), ts, user), &b);
    }
    if (aft_random_below(r, 12))
        return;
    snprintf(taken, sizeof taken, "%s", id);
    strcat(id, "r");
    struct aft_outcome back = {.outcome_id = aft_text(id),
                               .user_id = o.user_id,
                               .timestamp_ms = ts + 1,
                               .kind = o.kind,
                               .value_micro = AFT_MICRO,
                               .retracts = aft_text(taken)};
    aft_encode_outcome(&b, &back);
    case_body(case_add(c, AFT_OUTCOMES, ts + case_jitter(c), ts + 1, user), &b);
}

static inline void
case_decision(struct join_case *c, uint32_t k, int64_t t)
{
    static const char *const kinds[] = {
        "click",    "click",  "key_task_completed", "key_task_completed", "qualified_view_benefit",
        "rendered", "mystery"};
    struct aft_random *r = &c->r;
    struct aft_shown slate[AFT_SHOWN_MAX];
    struct aft_buffer b = {0};
    char id[40], user[40];
    snprintf(id, sizeof id, "d%u", k);
    snprintf(user, sizeof user, "user-%u-of-all", aft_random_below(r, c->users));
    if (aft_random_below(r, c->erase_one_in) == 0) {
        case_add(c, AFT_IMPRESSIONS, t, t, user)->erase = true;
        return;
    }
    struct aft_impression v = case_impression(c, id, user, t, slate);
    for (int copies = 1 + (aft_random_below(r, c->copy_one_in) == 0); copies > 0; copies--) {
        aft_encode_impression(&b, &v);
        case_body(case_add(c, AFT_IMPRESSIONS, t + case_jitter(c), t, user), &b);
        if (aft_random_below(r, 4) == 0) /* a copy may say another time: an odd producer */
            v.timestamp_ms += aft_random_below(r, (uint32_t)c->step + 1);
    }
    v.timestamp_ms = t;
    if (v.deferred && aft_random_below(r, 3))
        case_outcome(c, &v, user, t, "rendered");
    for (int64_t n = CASE_PICK(r, 0, 0, 1, 1, 2, 4); n > 0; n--)
        case_outcome(c, &v, user, t, kinds[aft_random_below(r, 7)]);
}

static inline int
case_by_arrival(const void *a, const void *b)
{
    const struct case_record *x = a, *y = b;
    return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

static inline void
case_ticks(struct join_case *c, int64_t end)
{
    struct aft_random *r = &c->r;
    for (int log = 0; log < 2; log++) {
        for (int64_t n = CASE_PICK(r, 0, 0, 1, 3); n > 0; n--) {
            size_t at = aft_random_below(r, (uint32_t)c->n[log] + 1);
            int64_t when = at < c->n[log] ? c->log[log][at].arrival : end;
            c->tick[c->ticks++] = (struct case_tick){(enum aft_log_kind)log, (int64_t)at,
                                                     when - aft_random_below(r, (uint32_t)c->step)};
        }
        if (aft_random_below(r, 3))
            c->tick[c->ticks++] = (struct case_tick){(enum aft_log_kind)log, (int64_t)c->n[log],
                                                     end + 4 * c->config.window_ms};
    }
}

static inline void
case_make(struct join_case *c, uint64_t seed)
{
    *c = (struct join_case){0};
    aft_random_init(&c->r, seed, 77);
    case_config(c);
    for (int log = 0; log < 2; log++)
        c->log[log] = calloc(CASE_RECORDS, sizeof *c->log[log]);
    c->users = (uint32_t)CASE_PICK(&c->r, 1, 3, 20);
    c->erase_one_in = (uint32_t)CASE_PICK(&c->r, 10, 40, 1000);
    c->copy_one_in = (uint32_t)CASE_PICK(&c->r, 2, 12);
    c->step = c->config.window_ms / CASE_PICK(&c->r, 3, 20, 100);
    uint32_t n = (uint32_t)CASE_PICK(&c->r, 5, 40, 200);
    int64_t t = INT64_C(1700000000000), end = t;
    for (uint32_t k = 0; k < n; k++, t += aft_random_below(&c->r, (uint32_t)c->step))
        case_decision(c, k, t);
    for (int log = 0; log < 2; log++) {
        qsort(c->log[log], c->n[log], sizeof *c->log[log], case_by_arrival);
        for (size_t i = 0; i < c->n[log]; i++)
            end = c->log[log][i].arrival > end ? c->log[log][i].arrival : end;
    }
    case_ticks(c, end);
}

static inline void
case_free(struct join_case *c)
{
    for (int log = 0; log < 2; log++) {
        for (size_t i = 0; i < c->n[log]; i++)
            free(c->log[log][i].body);
        free(c->log[log]);
    }
}

#endif
