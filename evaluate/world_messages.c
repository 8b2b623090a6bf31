/* world_messages.c - the twenty messages of the simulated plan, and the truth about who responds to which. Pure tables and formulas.
 * Effects are tenths of a logit. */
#include "evaluate/world_inner.h"

enum { BANNER, CARD, STORY, CHECKLIST, QUIZ, ARTICLE, VIDEO, FORMATS };
enum { PLAIN, WARM, URGENT, PLAYFUL, TONES };
enum { DO_TASK, TALK, READ, ACTIONS };
enum { ALWAYS = 32767 };

static const struct afti_message messages[AFT_WORLD_MESSAGES] = {
    {"save_more_nudge", AFTI_CONTRIBUTION, BANNER, URGENT, DO_TASK, 0, 0, ALWAYS},
    {"save_more_story", AFTI_CONTRIBUTION, STORY, WARM, READ, -1, 0, ALWAYS},
    {"match_reminder", AFTI_CONTRIBUTION, CARD, PLAIN, DO_TASK, 2, 0, ALWAYS},
    {"beneficiary_simple", AFTI_BENEFICIARY, CARD, PLAIN, DO_TASK, 1, 0, ALWAYS},
    {"beneficiary_family", AFTI_BENEFICIARY, STORY, WARM, READ, 2, 0, ALWAYS},
    {"rollover_checklist", AFTI_ROLLOVER, CHECKLIST, PLAIN, DO_TASK, 1, 0, ALWAYS},
    {"rollover_call", AFTI_ROLLOVER, CARD, WARM, TALK, -1, 0, ALWAYS},
    {"target_date_card", AFTI_INVESTMENTS, CARD, PLAIN, DO_TASK, 1, 0, ALWAYS},
    {"investor_quiz", AFTI_INVESTMENTS, QUIZ, PLAYFUL, DO_TASK, 2, 0, ALWAYS},
    {"fund_fees_article", AFTI_INVESTMENTS, ARTICLE, PLAIN, READ, -2, 0, 100},
    {"paperless_green", AFTI_PAPERLESS, BANNER, PLAYFUL, DO_TASK, 0, 0, ALWAYS},
    {"paperless_quick", AFTI_PAPERLESS, CARD, PLAIN, DO_TASK, 1, 0, ALWAYS},
    {"two_factor_banner", AFTI_SECURITY, BANNER, URGENT, DO_TASK, 1, 0, ALWAYS},
    {"two_factor_story", AFTI_SECURITY, STORY, WARM, READ, -1, 0, ALWAYS},
    {"advisor_session", AFTI_ADVICE, CARD, WARM, TALK, 1, 0, ALWAYS},
    {"advisor_video", AFTI_ADVICE, VIDEO, PLAYFUL, TALK, 0, 20, ALWAYS},
    {"projection_quiz", AFTI_PLANNING, QUIZ, PLAYFUL, DO_TASK, 0, 0, ALWAYS},
    {"projection_video", AFTI_PLANNING, VIDEO, WARM, READ, 1, 35, ALWAYS},
    {"budget_tips", AFTI_EDUCATION, ARTICLE, PLAIN, READ, 0, 0, ALWAYS},
    {"loan_facts", AFTI_EDUCATION, ARTICLE, URGENT, READ, -2, 0, ALWAYS},
};

static const char *const topic_names[AFTI_TOPICS] = {"contribution", "beneficiary", "rollover",
                                                     "investments",  "paperless",   "security",
                                                     "advice",       "planning",    "education"};
static const char *const task_names[AFTI_TOPICS] = {
    "increase_contribution", "name_beneficiary", "roll_over",
    "choose_investments",    "go_paperless",     "set_up_two_factor",
    "book_advisor",          "run_projection",   NULL};
static const char *const format_names[FORMATS] = {"banner", "card",    "story", "checklist",
                                                  "quiz",   "article", "video"};
static const char *const tone_names[TONES] = {"plain", "warm", "urgent", "playful"};
static const char *const action_names[ACTIONS] = {"do_task", "talk", "read"};
static const char *const age_names[AFTI_AGES] = {"20s", "30s", "40s", "50s", "60s"};
const char *const afti_device_names[AFTI_DEVICES] = {"web", "app"};

static const int8_t by_age[AFTI_TOPICS][AFTI_AGES] = {
    {2, 6, 3, -4, -9}, {-9, 5, 6, 2, 0},  {-9, 3, 7, 4, -3}, {6, 3, -2, -4, -6}, {7, 3, -1, -6, -9},
    {-3, -2, 0, 5, 7}, {-8, -3, 2, 8, 9}, {-7, -2, 4, 9, 8}, {8, 2, -3, -6, -8},
};
static const int8_t by_stage[AFTI_TOPICS][AFTI_STAGES] = {
    {5, 6, -1, -5},  {6, 2, -3, -5}, {-7, 0, 6, 3},  {-5, 3, 6, 1}, {7, 0, -4, -5},
    {8, -1, -4, -3}, {-8, -3, 3, 8}, {-6, -2, 3, 8}, {1, 3, 1, -1},
};
static const int8_t by_device[AFTI_DEVICES][FORMATS] = {{0, 2, 0, 4, 3, 2, -2},
                                                        {2, 3, 1, -4, -2, -6, 5}};
static const int8_t tone_by_age[TONES][AFTI_AGES] = {
    {-2, 0, 1, 2, 3}, {0, 1, 2, 4, 5}, {-3, -1, -1, 0, -2}, {6, 3, 0, -4, -7}};
static const double slot_effect[AFTI_DEVICES][3] = {{0, -0.35, -0.7}, {0, -0.5, -0.9}};

/* ---- names */
const struct afti_message *
afti_message(uint32_t i)
{
    AFT_ASSERT(i < AFT_WORLD_MESSAGES);
    return &messages[i];
}

const char *
aft_world_message(uint32_t i)
{
    return afti_message(i)->id;
}

const char *
afti_topic_name(enum afti_topic t)
{
    return topic_names[t];
}

const char *
afti_task_name(enum afti_topic t)
{
    return task_names[t];
}

const char *
afti_format_name(const struct afti_message *m)
{
    return format_names[m->format];
}

const char *
afti_tone_name(const struct afti_message *m)
{
    return tone_names[m->tone];
}

const char *
afti_action_name(const struct afti_message *m)
{
    return action_names[m->action];
}

const char *
afti_age_name(uint32_t age)
{
    return age_names[age];
}

/* ---- the truth */
static double
interest(const struct afti_moment *x, enum afti_topic t)
{
    double tenths = by_age[t][x->age] + by_stage[t][x->stage];
    if (t == AFTI_CONTRIBUTION)
        tenths += (x->plan_match ? 5 : -3) - (x->auto_enrolled ? 3 : 0);
    if (t == AFTI_INVESTMENTS)
        tenths += x->auto_enrolled ? 4 : -2;
    if (t == AFTI_ROLLOVER)
        tenths += x->prior_plan ? 8 : -12;
    return tenths / 10;
}

double
afti_click_probability(const struct afti_moment *x, uint32_t i, uint32_t slot, uint32_t seen)
{
    const struct afti_message *m = afti_message(i);
    double tenths = m->quality + by_device[x->device][m->format] + tone_by_age[m->tone][x->age] +
                    (x->weekend ? -1 : 0) + (x->evening && x->device == 1 ? 2 : 0);
    double fatigue = 0.2 * aft_log(1.0 + (double)seen);
    return aft_logistic(-3.05 + interest(x, m->topic) + tenths / 10 +
                        slot_effect[x->device][slot < 3 ? slot : 2] - fatigue + x->inclination);
}

double
afti_task_probability(const struct afti_moment *x, uint32_t i, uint32_t slot, bool clicked)
{
    const struct afti_message *m = afti_message(i);
    if (!task_names[m->topic])
        return 0;
    double act = m->action == DO_TASK ? 0.25 : m->action == TALK ? 0.1 : -0.35;
    return aft_logistic(-5.5 + 0.9 * interest(x, m->topic) + act + (clicked ? 2.2 : 0) +
                        0.5 * slot_effect[x->device][slot < 3 ? slot : 2] + 0.5 * x->inclination);
}

double
afti_view_probability(const struct afti_moment *x, uint32_t i)
{
    return aft_logistic(-0.6 + 0.8 * interest(x, afti_message(i)->topic));
}
