/* simulator.h - a seeded world of retirement plans: participants who enrol, come back for ninety days, look at messages, click,
 * and complete tasks from seconds to a fortnight later. It stands in for an engine's users in the demo, in tests and in `simulate`.
 * Pure: no clock, and every draw is a function of the seed and the participant.
 *
 *      loop: aft_world_next_visit -> somebody decides -> aft_world_shown;  aft_world_next_outcome ... as time passes
 *
 * The truth (evaluate/world_messages.c) is a logistic of participant x message effects (age, days since enrolment, plan, device x
 * format, age x tone), of the slot (web 3 tiles, app 2), of fatigue (how often he has seen this message) and of a participant's own
 * inclination, which no feature shows. A seen message may bring about its task, sooner when it was clicked; tasks are also completed
 * without any (organic). A task is done once; its messages are then masked. Some outcomes come twice, some late, a few completions
 * are taken back.
 *
 * Thread: one. Everything handed out lives until the next call on the world.
 */
#ifndef AFT_EVALUATE_SIMULATOR_H
#define AFT_EVALUATE_SIMULATOR_H

#include "base/base.h"

#define AFT_WORLD_MESSAGES 20
#define AFT_WORLD_DAY_MS INT64_C(86400000)
#define AFT_WORLD_ONBOARDING_DAYS 90
#define AFT_WORLD_TASK_DAYS 14 /* a message brings its task about within so many days, or not */

struct aft_world_options {
    uint64_t seed;
    uint32_t participants;
    int64_t start_ms;
    int32_t enrol_days;                       /* they enrol evenly over so many days */
    double duplicate_share, retraction_share; /* of outcomes; of completions */
    double click_value, task_value,
        view_value; /* what a reward is, for the reference figures alone */
};
/* aft_world_options_default: 2025-01-01 (so that all of it lies in the past), 60 days of enrolment, 1 % duplicates, 2 % retractions,
 * rewards 0.05 / 1.0 / 0.2. */
void aft_world_options_default(struct aft_world_options *o);

struct aft_world;
struct aft_world *aft_world_new(const struct aft_world_options *o);
void aft_world_free(struct aft_world *w);
/* aft_world_end_ms: no visit comes at or after it; outcomes may for AFT_WORLD_TASK_DAYS more (and a few days of retractions). */
int64_t aft_world_end_ms(const struct aft_world *w);
/* aft_world_message: id of message i, 0 .. AFT_WORLD_MESSAGES-1. */
const char *aft_world_message(uint32_t i);

struct aft_world_candidate {
    uint32_t message; /* 0 .. AFT_WORLD_MESSAGES-1 */
    const char *arm_id;
    const char *subject; /* the task, or NULL */
    const char *mask;    /* "done", or NULL: eligible */
    const char *topic, *format, *tone, *action;
    const char *seen; /* how often by this participant: "never", "once", "few", "often" */
};
struct aft_visit {
    int64_t time_ms;
    uint32_t participant, number; /* his visits counted from 0 */
    const char *user_id, *session_id;
    const char *device; /* "web", "app" */
    uint32_t k;         /* tiles: 3, 2 */
    int32_t days_since_enrol;
    const char *age_band, *hour_band, *day_kind;
    bool plan_match, auto_enrolled, prior_plan;
    uint32_t candidates_n;
    struct aft_world_candidate candidates[AFT_WORLD_MESSAGES];
};

/* aft_world_next_visit: the next visit before `before_ms`, in order of time; false: none. Each visit must be answered by one
 * aft_world_shown before the next is asked for. */
bool aft_world_next_visit(struct aft_world *w, int64_t before_ms, struct aft_visit *out);
/* aft_world_shown: what was put before him, top first (indices into the visit's candidates), n <= 8, and the decision's id (at most
 * 32 bytes): outcomes are drawn and scheduled. */
void aft_world_shown(struct aft_world *w, const struct aft_visit *v, const char *decision_id,
                     const uint32_t *candidates, uint32_t n);

struct aft_world_outcome {
    int64_t time_ms, delivered_ms; /* when it happened; when the log gets it */
    char outcome_id[40], user_id[40];
    const char *kind;             /* "click", "qualified_view_benefit", "key_task_completed" */
    char decision_id[40];         /* empty: not known */
    const char *arm_id, *subject; /* or NULL */
    char retracts[40];            /* empty: nothing */
};
/* aft_world_next_outcome: the next one delivered before `before_ms`, in order of delivery; false: none. Ask only for times up to which
 * all visits have been answered. */
bool aft_world_next_outcome(struct aft_world *w, int64_t before_ms, struct aft_world_outcome *out);

/* aft_world_reference: expectations under the truth, over the visits that were made with the histories that they had: of choosing
 * uniformly among the eligible, and of the best slate for clicks, and for value (a completion that a tile would bring about is
 * counted as if no other tile could have brought it). ctr is per tile, value per visit. */
struct aft_world_reference {
    uint64_t visits, tiles;
    double uniform_ctr, best_ctr, uniform_value, best_value;
};
void aft_world_reference(const struct aft_world *w, struct aft_world_reference *out);

#endif
