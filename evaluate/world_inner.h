/* world_inner.h - the participants, and the truth about what they do. Shared by simulator.c and world_messages.c. */
#ifndef AFT_EVALUATE_WORLD_INNER_H
#define AFT_EVALUATE_WORLD_INNER_H

#include "evaluate/simulator.h"

enum afti_topic {
    AFTI_CONTRIBUTION,
    AFTI_BENEFICIARY,
    AFTI_ROLLOVER,
    AFTI_INVESTMENTS,
    AFTI_PAPERLESS,
    AFTI_SECURITY,
    AFTI_ADVICE,
    AFTI_PLANNING,
    AFTI_EDUCATION,
    AFTI_TOPICS
};
enum {
    AFTI_AGES = 5,
    AFTI_STAGES = 4,
    AFTI_DEVICES = 2,
    AFTI_TASKS = AFTI_EDUCATION,
    AFTI_SLOTS_MAX = 8
};

struct afti_message {
    const char *id;
    enum afti_topic topic;
    uint8_t format, tone, action;
    int8_t quality;           /* tenths of a logit */
    int16_t from_day, to_day; /* of the world's calendar: messages come and go */
};
const struct afti_message *afti_message(uint32_t i);
const char *afti_topic_name(enum afti_topic t);
const char *afti_task_name(enum afti_topic t); /* NULL: education has none */
const char *afti_format_name(const struct afti_message *m);
const char *afti_tone_name(const struct afti_message *m);
const char *afti_action_name(const struct afti_message *m);
const char *afti_age_name(uint32_t age);
extern const char *const afti_device_names[AFTI_DEVICES]; /* 0 web, 1 app */

/* What the truth depends on at one moment. */
struct afti_moment {
    uint32_t age, stage, device;
    bool plan_match, auto_enrolled, prior_plan, weekend, evening;
    double inclination; /* his own, hidden */
};
/* Probability of a click on message i in a slot, seen `seen` times before; of bringing its task about, given a click or none. */
double afti_click_probability(const struct afti_moment *x, uint32_t i, uint32_t slot,
                              uint32_t seen);
double afti_task_probability(const struct afti_moment *x, uint32_t i, uint32_t slot, bool clicked);
/* Of looking at the benefit properly, after a click. */
double afti_view_probability(const struct afti_moment *x, uint32_t i);

/* afti_refer adds one visit to the reference sums (sums, not yet means). seen: how often he has seen each message. */
void afti_refer(const struct aft_world_options *o, const struct afti_moment *x,
                const struct aft_visit *v, const uint8_t *seen, struct aft_world_reference *sums);

#endif
