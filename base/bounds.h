/* bounds.h - every maximum that a record, a decision or a batch may reach, in one place.
 *
 * A limit is a promise: bytes that ask for more are refused as data (dead-lettered with the limit's
 * name), never half-read. The static assertions below are the relations between them.
 */
#ifndef AFT_BASE_BOUNDS_H
#define AFT_BASE_BOUNDS_H

#define AFT_RECORD_BYTES_MAX (4u << 20) /* one Kafka record's value */
#define AFT_IMPRESSION_BYTES_MAX \
    (3u << 20) /* an impression's: its example is larger, and must be a record too */
#define AFT_ID_BYTES_MAX \
    255u /* decision, user, outcome, arm, session, subject, kind, feature name */
#define AFT_TEXT_BYTES_MAX 4096u /* a string feature's value, a policy's name */
#define AFT_FEATURES_MAX 512u    /* features of one context, one candidate or one item */
#define AFT_CANDIDATES_MAX 1000u /* candidates of one decision */
#define AFT_KNOWN_MAX 65535u     /* numbers of known candidates under one revision */
#define AFT_SHOWN_MAX 32u /* items of a logged slate (other engines may show more than we draw) */
#define AFT_SLATE_MAX 8u  /* items that our own policies draw */
#define AFT_COMPONENTS_MAX \
    64u /* reward components of one item = outcome kinds of one configuration */
#define AFT_KINDS_MAX 64u
#define AFT_BLOCK_EXAMPLES_MAX 65536u /* examples of one block record */
#define AFT_BLOCK_BYTES_MAX \
    (900u << 10) /* a block is sent before it grows past this, unless one example alone does */
#define AFT_PART_BYTES_MAX (900u << 10) /* a part of a snapshot */
#define AFT_PARTS_MAX 65536u            /* parts of one snapshot */
#define AFT_ARMS_MAX 65536u             /* arms that a manifest counts */
#define AFT_SETTINGS_MAX 1024u          /* settings in a manifest */
#define AFT_NAMED_MAX \
    1024u /* policies of a scoreboard, its named sums, a manifest's named counts */
#define AFT_PARTITIONS_MAX 4096u
#define AFT_HISTORY_EVENTS_MAX 1024u /* of one user, in the history's topic: the newest */
#define AFT_DEPTH_MAX 32u            /* nesting of a schema */
#define AFT_PASS_LEAST 0.001 /* of impressions, at least such a share is logged (design.pass) */

_Static_assert(AFT_SLATE_MAX <= AFT_SHOWN_MAX, "what we draw can be logged");
_Static_assert(AFT_KINDS_MAX <= AFT_COMPONENTS_MAX, "a component a kind");
_Static_assert(AFT_IMPRESSION_BYTES_MAX +
                       AFT_SHOWN_MAX * (32u + AFT_COMPONENTS_MAX * (AFT_ID_BYTES_MAX + 16u)) +
                       4096u <=
                   AFT_RECORD_BYTES_MAX,
               "rewards, changes and components of all items, and the block's head");
_Static_assert(AFT_BLOCK_BYTES_MAX < (1u << 20), "below the brokers' default message.max.bytes");

#endif
