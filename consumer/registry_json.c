/* registry_json.c - reads a schema registry's answer. In: the body of GET /schemas/ids/<id> or /schemas/guids/<guid>; out: the
 * schema's text, or a refusal in words; of any answer, its error's code. Any thread. */
#include <jansson.h>

#include "consumer/registry.h"

static enum aft_err
schema_of(const char *name, const json_t *root, struct aft_buffer *json, struct aft_error *e)
{
    const json_t *schema = json_object_get(root, "schema");
    const char *type = json_string_value(json_object_get(root, "schemaType"));
    if (!json_is_string(schema))
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "schema %s: the answer has no \"schema\": is schema.registry.url the base "
                        "address of a Confluent-compatible registry?",
                        name);
    if (type && strcmp(type, "AVRO") != 0)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                        "schema %s is of type %.40s: only Avro can be read; write with an Avro "
                        "serializer",
                        name, type);
    if (json_array_size(json_object_get(root, "references")) > 0)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                        "schema %s refers to other schemas, which is not read: register it with "
                        "its named types written out in place",
                        name);
    aft_put_raw(json, (struct aft_bytes){(const uint8_t *)json_string_value(schema),
                                         json_string_length(schema)});
    return AFT_OK;
}

enum aft_err
afti_registry_answer(const char *name, struct aft_bytes answer, struct aft_buffer *json,
                     struct aft_error *e)
{
    json_error_t why;
    json_t *root = json_loadb((const char *)answer.p, answer.n, 0, &why);
    if (!root)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "schema %s: the answer is not JSON (%s): is schema.registry.url the base "
                        "address of a Confluent-compatible registry?",
                        name, why.text);
    enum aft_err err = schema_of(name, root, json, e);
    json_decref(root);
    return err;
}

long
afti_registry_code(struct aft_bytes answer)
{
    json_t *root = answer.n ? json_loadb((const char *)answer.p, answer.n, 0, NULL) : NULL;
    long code = (long)json_integer_value(json_object_get(root, "error_code"));
    json_decref(root);
    return code;
}
