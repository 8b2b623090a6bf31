/* config.h - one configuration: Kafka's own form (key=value lines, # comments), `--set key=value` over it. Unknown keys are errors
 * that name the nearest known one. One table (config.def) gives parser, defaults, --help, docs/CONFIGURATION.md.
 * Durations: 14d, 10h, 10m, 30s, 250ms. Sizes: 64MB. Secrets are file names, read when used, never printed.
 */
#ifndef AFT_CONSUMER_CONFIG_H
#define AFT_CONSUMER_CONFIG_H

#include "attribution/attribution.h"
#include "learner/learner.h"
#include "log/log.h"

struct aft_config;
struct aft_config *aft_config_new(void);
void aft_config_free(struct aft_config *c);
enum aft_err aft_config_load(struct aft_config *c, const char *path,
                             struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_config_set(struct aft_config *c, const char *key, const char *value,
                            struct aft_error *e) AFT_MUST_CHECK;
/* aft_config_check: relations between keys; call it after the last set, before anything below. */
enum aft_err aft_config_check(struct aft_config *c, struct aft_error *e) AFT_MUST_CHECK;

/* Plain values by key (a key of config.def; anything else is a bug and aborts). Text lives as long as the config. */
const char *aft_config_text(const struct aft_config *c, const char *key);
int64_t aft_config_int(const struct aft_config *c,
                       const char *key); /* integers, durations (ms), sizes (bytes), booleans */
double aft_config_number(const struct aft_config *c, const char *key);

/* The typed halves that the core takes. */
const struct aft_join_config *aft_config_join(const struct aft_config *c);
const struct aft_learner_settings *aft_config_learner(const struct aft_config *c);
/* aft_config_kafka: options for aft_log_kafka_open from kafka.*; lives as long as the config. */
const struct aft_kafka_options *aft_config_kafka(const struct aft_config *c);
/* aft_config_rocksdb: rocksdb.* as aft_store_rocksdb_open_with takes it; likewise. */
const char *aft_config_rocksdb(const struct aft_config *c);

/* aft_config_each: every key with its value and where it came from ("default", "file:line", "--set"), for `config show`.
 * aft_config_help / aft_config_markdown: the table, for --help and the reference page. */
void aft_config_each(const struct aft_config *c,
                     void (*each)(void *ctx, const char *key, const char *value,
                                  const char *origin),
                     void *ctx);
void aft_config_markdown(struct aft_buffer *out);

#endif
