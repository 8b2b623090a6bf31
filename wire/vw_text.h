/* vw_text.h - a line of Vowpal Wabbit's text for contextual bandits -> label and features; part of wire/wire.h. Pure, bounded.
 *
 *   shared 'tag |ns a b:2 |other:0.5 c        the context of an event           label and tag stand before the first '|'
 *   0:-1:0.25 'tag |A i17 price:3.2           an action that was taken: action:cost:probability
 *   |A i18 price:2                            another one; an empty line ends the event
 *   2:-1:0.25 1 3 |ns a b                     without --cb_adf: a line is an event, the label names the actions there were
 *
 * A feature f of namespace ns is called "ns^f" (as VW's --audit prints it), one without a namespace "f"; without a name,
 * "ns^" and its number.
 *   f        the number 1            f:2.5      the number 2.5         both times the weight of the namespace (|ns:0.5)
 *   f=v      the text v of feature f     f:v    (v no number) likewise
 * What VW adds up, stands once: numbers of one name are summed; a text feature that stands more than once in a line becomes
 * one number "ns^f=v" for each value (so does one with a weight). A feature of value 0 is left out, as VW does. A name past
 * AFT_ID_BYTES_MAX is cut and closed with its hash.
 */
#ifndef AFT_WIRE_VW_TEXT_H
#define AFT_WIRE_VW_TEXT_H

#include "wire/wire.h"

enum aft_vw_kind { AFT_VW_BLANK, AFT_VW_SHARED, AFT_VW_ACTION };

struct aft_vw_label {
    uint32_t action;
    double cost, probability; /* valid when they are there; finite */
    bool has_cost, has_probability;
};

/* Slices borrow from the line. `features`: from the first '|' to the last byte that is no blank. */
struct aft_vw_line {
    enum aft_vw_kind kind;
    const struct aft_vw_label *labels; /* in the arena */
    uint32_t labels_n;
    struct aft_bytes tag, features;
};

/* aft_vw_head reads what stands before the features. AFT_E_MALFORMED or AFT_E_LIMIT say what is wrong and how to mend it (the
 * caller knows the line's number): other label types, a label that touches the '|' (VW takes that for a tag) or stands before a
 * tab (VW drops it), costs that are no numbers, no '|'. */
enum aft_err aft_vw_head(struct aft_bytes line, struct aft_arena *a, struct aft_vw_line *out,
                         struct aft_error *e) AFT_MUST_CHECK;

/* Which namespaces are read, by their first letter (' ' for features without one). aft_vw_all reads all of them. */
struct aft_vw_filter {
    bool skip[256];
};

#define AFT_VW_NAMESPACES_MAX 64u

/* aft_vw_features: `text` as in aft_vw_line.features. Features and names are in the arena, in the order of the line; at most
 * AFT_FEATURES_MAX. */
enum aft_err aft_vw_features(struct aft_bytes text, const struct aft_vw_filter *filter,
                             struct aft_arena *a, struct aft_features *out,
                             struct aft_error *e) AFT_MUST_CHECK;

/* aft_vw_namespace: the next '|' of *text: its name in *name (empty: none), *text moves behind it. false: no more. */
bool aft_vw_namespace(struct aft_bytes *text, struct aft_bytes *name);

/* aft_vw_number reads all of b as a decimal number, correctly rounded, and finite: [+-]digits[.digits][e[+-]digits]. */
bool aft_vw_number(struct aft_bytes b, double *out);

/* aft_vw_put_features, aft_vw_put_candidate: parts of an example's canonical body, for a caller that puts a list together from
 * pieces it has kept: features as they are encoded; one candidate of such features. */
void aft_vw_put_features(struct aft_buffer *b, struct aft_features f);
void aft_vw_put_candidate(struct aft_buffer *b, struct aft_bytes arm_id, struct aft_bytes features);

#endif
