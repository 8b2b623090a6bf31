/* config_properties.c - kafka.* keys to the options of aft_log_kafka_open, rocksdb.* keys to those of aft_store_rocksdb_open_with.
 * In: keys as text. Out: config->kafka: what is common, what is for consumers, what is for producers; config->rocksdb. Secrets are
 * read from their files here and nowhere else, and are never shown.
 */
#include "consumer/config_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES_MAX 65536
#define BROKER_TIMEOUT_MS 10000

void
afti_properties_free(struct aft_config *c)
{
    for (size_t i = 0; i < c->secrets_n; i++)
        free(c->secrets[i]);
    free(c->secrets);
    free(c->properties);
    free(c->rocksdb);
    c->rocksdb = NULL;
    c->secrets = NULL;
    c->secrets_n = 0;
    c->properties = NULL;
}

/* The file's text without its last line end; kept by the config. */
static enum aft_err
secret_read(struct aft_config *c, const char *key, const char *path, const char **out,
            struct aft_error *e)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return AFT_FAIL(e, AFT_E_CONFIG, "%s: cannot read %s: %s", key, path, strerror(errno));
    char *text = calloc(1, SECRET_BYTES_MAX + 1);
    AFT_ASSERT(text != NULL);
    size_t n = fread(text, 1, SECRET_BYTES_MAX, f);
    bool whole = n < SECRET_BYTES_MAX && !ferror(f);
    fclose(f);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = '\0';
    c->secrets[c->secrets_n++] = text;
    *out = text;
    return whole && n > 0
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_CONFIG, "%s: %s is empty, too long or unreadable", key, path);
}

/* `name` of a property without `.file`, when that makes it a secret. Kept by the config, as a secret is. */
static const char *
secret_name(struct aft_config *c, const char *property)
{
    size_t n = strlen(property);
    if (n < 6 || strcmp(property + n - 5, ".file") != 0)
        return NULL;
    char *name = afti_strdup(property);
    name[n - 5] = '\0';
    if (!aft_kafka_secret(name)) {
        free(name);
        return NULL;
    }
    c->secrets[c->secrets_n++] = name;
    return name;
}

static enum aft_err
property_add(struct aft_config *c, const struct afti_extra *x, const char *property,
             struct aft_property *list, uint32_t *n, struct aft_error *e)
{
    struct aft_property p = {property, x->value};
    const char *name = secret_name(c, property);
    if (name) {
        p.name = name;
        AFT_TRY(secret_read(c, x->key, x->value, &p.value, e));
    }
    list[(*n)++] = p;
    return AFT_OK;
}

/* All of rocksdb.*, in RocksDB's own form. */
static void
rocksdb_build(struct aft_config *c)
{
    static const char prefix[] = "rocksdb.";
    struct aft_buffer text = {0};
    for (size_t i = 0; i < c->extras_n; i++) {
        const struct afti_extra *x = &c->extras[i];
        if (strncmp(x->key, prefix, sizeof prefix - 1) != 0)
            continue;
        aft_put_raw(&text, aft_text(x->key + sizeof prefix - 1));
        aft_put_u8(&text, '=');
        aft_put_raw(&text, aft_text(x->value));
        aft_put_u8(&text, ';');
    }
    aft_put_u8(&text, '\0');
    c->rocksdb = afti_strdup((const char *)text.p);
    aft_buffer_deinit(&text);
}

enum aft_err
afti_properties_build(struct aft_config *c, struct aft_error *e)
{
    afti_properties_free(c);
    rocksdb_build(c);
    size_t n = c->extras_n + 1;
    c->properties = calloc(3 * n, sizeof *c->properties);
    c->secrets = calloc(2 * n, sizeof *c->secrets);
    AFT_ASSERT(c->properties != NULL && c->secrets != NULL);
    struct aft_property *common = c->properties, *consumer = common + n, *producer = consumer + n;
    c->kafka =
        (struct aft_kafka_options){.bootstrap = aft_config_text(c, "kafka.bootstrap.servers"),
                                   .client_id = aft_config_text(c, "app.id"),
                                   .common = common,
                                   .consumer = consumer,
                                   .producer = producer,
                                   .timeout_ms = BROKER_TIMEOUT_MS};
    for (size_t i = 0; i < c->extras_n; i++) {
        const struct afti_extra *x = &c->extras[i];
        if (strncmp(x->key, "kafka.consumer.", 15) == 0)
            AFT_TRY(property_add(c, x, x->key + 15, consumer, &c->kafka.consumer_n, e));
        else if (strncmp(x->key, "kafka.producer.", 15) == 0)
            AFT_TRY(property_add(c, x, x->key + 15, producer, &c->kafka.producer_n, e));
        else if (strncmp(x->key, "kafka.", 6) == 0)
            AFT_TRY(property_add(c, x, x->key + 6, common, &c->kafka.common_n, e));
    }
    return AFT_OK;
}
