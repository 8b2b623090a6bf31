/* vw_dsjson.h - a line of Vowpal Wabbit's JSON for contextual bandits -> the same event as lines of VW's text (vw_text.h); part of
 * wire/wire.h. Pure, bounded.
 *
 *   {"_label_cost":-1,"_label_probability":0.8,"_labelIndex":1,"EventId":"e1","Timestamp":"2021-02-04T16:31:29.246Z",
 *    "a":[2,1],"p":[0.8,0.2],"pdrop":0.5,"c":{"User":{"name":"Ann","age":3},"_multi":[{"_tag":"x"},{"id":7}]}}       --dsjson
 *   {"User":{"name":"Ann","age":3},"_multi":[{"_tag":"x"},{"id":7,"_label":"0:-1:0.8"}]}                              --json
 * become
 *   shared |User name=Ann age:3                (tag e1)
 *   |                                          (tag x)
 *   0:-1:0.8 | id:7
 *
 * What a key is, is VW's own rule: an object or a list of one opens a namespace of that name (of the innermost one alone), a text is
 * `key=text`, a number `key:number`, true `key`; false, null and keys with '_' in front (but _text, _tag, _multi, _label...) are
 * nothing; a list of numbers is anonymous features; _text is split at blanks. In names and texts a blank, '|' and ':' become '_'.
 * The label goes to the _labelIndex-th of _multi; without _multi the line is a single one of `--cb K` and _label_Action says which.
 * An object may have one key twice: both count, as in VW.
 */
#ifndef AFT_WIRE_VW_DSJSON_H
#define AFT_WIRE_VW_DSJSON_H

#include "wire/wire.h"

struct aft_vw_json_line {
    uint32_t text_at, text_n, tag_at, tag_n; /* in bytes */
};

struct aft_vw_json {
    struct aft_buffer bytes; /* kept from line to line; the caller frees it */
    struct aft_vw_json_line lines[1 + AFT_CANDIDATES_MAX];
    uint32_t lines_n;     /* 0: VW passes over such a line (_skipLearn; in dsjson: no "a") */
    int64_t timestamp_ms; /* valid when has_time */
    double pass; /* 1 - pdrop: with which probability such an event was kept; valid when has_pass */
    bool has_time, has_pass;
};

/* aft_vw_json_is: the line looks like JSON (it begins with '{'). aft_vw_json_ds: and has a "c" with the features: dsjson. */
bool aft_vw_json_is(struct aft_bytes line);
bool aft_vw_json_ds(struct aft_bytes line);

/* aft_vw_json_read: `ds`: the line is dsjson. AFT_E_MALFORMED or AFT_E_LIMIT say what is wrong and how to mend it: no JSON, several
 * slots (CCB, slates), continuous actions, a label without _labelIndex. `out` is zeroed before its first use. Any thread. */
enum aft_err aft_vw_json_read(struct aft_bytes line, bool ds, struct aft_vw_json *out,
                              struct aft_error *e) AFT_MUST_CHECK;
struct aft_bytes aft_vw_json_text(const struct aft_vw_json *j, uint32_t line);
struct aft_bytes aft_vw_json_tag(const struct aft_vw_json *j, uint32_t line);

#endif
