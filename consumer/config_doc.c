/* config_doc.c - the table of keys as docs/CONFIGURATION.md (`aftertouch config doc`). Pure: a function of config.def and of the
 * policy's defaults.
 */
#include "consumer/config_inner.h"

#include <stdio.h>
#include <string.h>

static void
put(struct aft_buffer *b, const char *text)
{
    aft_put_raw(b, aft_text(text));
}

static const char *
type_name(enum afti_type type)
{
    static const char *const names[] = {"name",    "text",   "file",       "duration", "size",
                                        "integer", "number", "true/false", "choice",   ""};
    return names[type];
}

/* A cell: bars would end it. */
static void
put_code(struct aft_buffer *b, const char *text)
{
    if (text[0] == '\0')
        return;
    put(b, "`");
    for (const char *p = text; *p; p++) {
        if (*p == '|')
            put(b, "\\");
        aft_put_u8(b, (uint8_t)*p);
    }
    put(b, "`");
}

struct wanted {
    const char *key;
    struct aft_buffer *out;
};

static void
put_setting(void *ctx, const char *key, const char *value)
{
    const struct wanted *w = ctx;
    if (strcmp(key, w->key) == 0)
        put_code(w->out, value);
}

static void
put_row(struct aft_buffer *b, const struct afti_row *row, const struct aft_policy_settings *policy)
{
    struct wanted w = {row->key, b};
    put(b, "| ");
    put_code(b, row->key);
    put(b, " | ");
    put(b, type_name(row->type));
    put(b, " | ");
    if (row->type == AFTI_LEARNER && row->otherwise[0] == '\0')
        aft_policy_settings_each(policy, put_setting, &w);
    else
        put_code(b, row->otherwise);
    put(b, " | ");
    put_code(b, strcmp(row->range, "required") == 0 || strcmp(row->range, "optional") == 0
                    ? ""
                    : row->range);
    put(b, " | ");
    put(b, row->help);
    put(b, " |\n");
}

void
aft_config_markdown(struct aft_buffer *out)
{
    struct aft_learner_settings settings;
    aft_learner_settings_default(&settings);
    put(out, "# Configuration\n\n"
             "Made by `aftertouch config doc` from `consumer/config.def`; a test checks that this "
             "page is current.\n\n"
             "A file of `key=value` lines (`--config FILE`; `#` begins a comment), and `--set "
             "key=value` over it. A key that is not "
             "known is an error that names the nearest known one. Durations are `14d`, `10h`, "
             "`10m`, `30s`, `250ms`; sizes `64KB`, "
             "`64MB` (1 KB = 1024 bytes). Secrets are given as the names of files.\n"
             "`aftertouch config show` prints every key with where its value came from; "
             "`aftertouch config check` checks a file.\n\n"
             "| key | type | default | range | what |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < afti_rows_n; i++)
        put_row(out, &afti_rows[i], &settings.policy);
    put(out, "\n## Keys with a part that you name\n\n"
             "| key | type | default | range | what |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < afti_families_n; i++)
        put_row(out, &afti_families[i], &settings.policy);
    put(out, "\nWithout any `reward.` key the kinds are `click` (weight 0.05, `click=true`, "
             "`count=first`), `key_task_completed` "
             "(1.0, last touch), `qualified_view_benefit` (0.2, last touch) and `rendered` "
             "(`activates=true`).\n");
}
