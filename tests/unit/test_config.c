/* test_config.c - the configuration: every key's form and default, files, families, errors that help, and the page of keys. */
#include "tests/kit.h"

#include <string.h>
#include <unistd.h>

#include "consumer/config.h"
#include "consumer/config_inner.h"

static struct aft_error err;

static void
set(struct aft_config *c, const char *key, const char *value)
{
    if (aft_config_set(c, key, value, &err) != AFT_OK)
        fail_msg("%s=%s: %s", key, value, err.message);
}

/* The set must fail, and its words must hold the given ones. */
static void
refused(struct aft_config *c, const char *key, const char *value, const char *words)
{
    assert_int_equal(aft_config_set(c, key, value, &err), AFT_E_CONFIG);
    if (!strstr(err.message, words))
        fail_msg("%s=%s: \"%s\" lacks \"%s\"", key, value, err.message, words);
}

static void
write_file(char *path, const char *text)
{
    strcpy(path, "/tmp/aft-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* The policy's defaults, as text, of two settings. */
struct texts {
    char text[64][200];
    int n;
};
static void
text_in(void *ctx, const char *key, const char *value)
{
    struct texts *t = ctx;
    assert_true(t->n < 64);
    snprintf(t->text[t->n++], sizeof t->text[0], "%s=%s", key, value);
}

static void
policy_defaults_are_the_policys(const struct aft_config *c)
{
    static struct texts ours, theirs;
    struct aft_policy_settings plain;
    ours.n = theirs.n = 0;
    aft_policy_settings_default(&plain);
    aft_policy_settings_each(&plain, text_in, &theirs);
    aft_policy_settings_each(&aft_config_learner(c)->policy, text_in, &ours);
    assert_int_equal(ours.n, theirs.n);
    for (int i = 0; i < ours.n; i++)
        assert_string_equal(ours.text[i], theirs.text[i]);
}

static void
defaults_hold(void **state)
{
    (void)state;
    struct aft_config *c = aft_config_new();
    assert_int_equal(aft_config_check(c, &err), AFT_OK);
    assert_int_equal(aft_config_int(c, "join.window"), INT64_C(14) * 86400000);
    assert_int_equal(aft_config_int(c, "join.open.after"), 600000);
    assert_int_equal(aft_config_int(c, "commit.bytes"), 16 << 20);
    assert_string_equal(aft_config_text(c, "topics.dead.letters"), "aftertouch.dead-letters");
    assert_string_equal(aft_config_text(c, "http.listen"), "127.0.0.1:9464");
    const struct aft_join_config *j = aft_config_join(c);
    assert_int_equal(j->kinds_n, 4);
    assert_string_equal(j->kinds[0].name, "click");
    assert_true(j->kinds[0].click && j->kinds[0].count_first);
    assert_int_equal(j->kinds[0].weight_micro, 50000);
    assert_string_equal(j->kinds[3].name, "rendered");
    assert_true(j->kinds[3].activates);
    struct aft_learner_settings plain;
    struct aft_digest a, b;
    aft_learner_settings_default(&plain);
    plain.reward_scale = 1.25; /* auto: a click, a key task and a view together */
    aft_learner_settings_digest(&plain, &a);
    aft_learner_settings_digest(aft_config_learner(c), &b);
    assert_memory_equal(&a, &b, sizeof a); /* the table adds nothing of its own to the learner */
    policy_defaults_are_the_policys(c);
    aft_config_free(c);
}

/* What tests/oracle/as_avro.py writes: every key of properties(). */
static void
oracle_keys(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"app.id", "oracle"},
                                           {"join.window", "5000ms"},
                                           {"join.grace", "100ms"},
                                           {"join.open.after", "0ms"},
                                           {"join.orphan.after", "77ms"},
                                           {"join.disorder", "9ms"},
                                           {"join.max.future", "3600000ms"},
                                           {"reward.click.weight", "0.050000"},
                                           {"reward.click.rule", "last_touch"},
                                           {"reward.click.count", "first"},
                                           {"reward.click.click", "true"},
                                           {"reward.done.weight", "1.000000"},
                                           {"reward.done.rule", "time_decay"},
                                           {"reward.done.match", "subject"},
                                           {"reward.done.prefer.clicked", "true"},
                                           {"reward.done.half.life", "12345ms"},
                                           {"reward.done.delay.half.life", "777ms"},
                                           {"reward.a.b.rule", "shapley"},
                                           {"reward.seen.activates", "true"}};
    struct aft_config *c = aft_config_new();
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        set(c, pairs[i][0], pairs[i][1]);
    assert_int_equal(aft_config_check(c, &err), AFT_OK);
    const struct aft_join_config *j = aft_config_join(c);
    assert_int_equal(j->window_ms, 5000);
    assert_int_equal(j->open_after_ms, 0);
    assert_int_equal(j->kinds_n, 4);
    assert_string_equal(j->kinds[0].name, "a.b");
    assert_int_equal(j->kinds[0].rule, AFT_RULE_SHAPLEY);
    assert_int_equal(j->kinds[0].weight_micro, AFT_MICRO);
    const struct aft_kind *done = &j->kinds[2];
    assert_string_equal(done->name, "done");
    assert_int_equal(done->rule, AFT_RULE_TIME_DECAY);
    assert_int_equal(done->match, AFT_MATCH_SUBJECT);
    assert_int_equal(done->half_life_ms, 12345);
    assert_int_equal(done->delay_half_life_ms, 777);
    assert_true(done->prefer_clicked && !done->count_first && !done->click);
    aft_config_free(c);
}

static void
errors_help(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"join.windw", "1d", "join.window"},
        {"topics.impresions", "x", "topics.impressions"},
        {"reward.sale.wieght", "1", "reward.sale.weight"},
        {"commit.intreval", "1s", "commit.interval"},
        {"reward..weight", "1", "reward.<kind>.weight"},
        {"colour", "red", "`aftertouch config show` lists"},
        {"join.window", "14", "a duration"},
        {"join.window", "-1d", "a duration"},
        {"join.window", "500d", "1s..400d"},
        {"join.window", "9223372036854775807d", "a duration"},
        {"topics.partitions", "0", "1..4096"},
        {"topics.partitions", "six", "an integer"},
        {"app.id", "../x", "letters"},
        {"app.id", "..", "letters"},
        {"state.dir", "", "not empty"},
        {"commit.bytes", "4mb", "a size"},
        {"join.emit", "some", "all|rewarded"},
        {"reward.x.rule", "best", "shapley"},
        {"reward.x.weight", "1e", "decimal"},
        {"learner.lambda", "minus one", "learner.lambda"},
        {"kafka.sasl.password", "hunter2", "kafka.sasl.password.file"},
    };
    struct aft_config *c = aft_config_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(c, cases[i][0], cases[i][1], cases[i][2]);
    assert_null(strstr(err.message, "hunter2"));
    assert_int_equal(aft_config_int(c, "join.window"), INT64_C(14) * 86400000); /* unharmed */
    aft_config_free(c);
}

static void
relations(void **state)
{
    (void)state;
    struct aft_config *c = aft_config_new();
    set(c, "topics.outcomes", "impressions");
    assert_int_equal(aft_config_check(c, &err), AFT_E_CONFIG);
    assert_non_null(strstr(err.message, "topics.impressions and topics.outcomes"));
    set(c, "topics.outcomes", "outcomes");
    set(c, "http.listen", "9464");
    assert_int_equal(aft_config_check(c, &err), AFT_E_CONFIG);
    assert_non_null(strstr(err.message, "ADDRESS:PORT"));
    set(c, "http.listen", "");
    set(c, "reward.x.weight", "0.0000001");
    assert_int_equal(aft_config_check(c, &err), AFT_E_CONFIG);
    set(c, "reward.x.weight", "-0.25");
    assert_int_equal(aft_config_check(c, &err), AFT_OK);
    assert_int_equal(aft_config_join(c)->kinds[0].weight_micro, -250000);
    aft_config_free(c);
}

static void
files(void **state)
{
    (void)state;
    char path[64];
    struct aft_config *c = aft_config_new();
    write_file(
        path, "# a comment\n\n  app.id = shop \r\njoin.window=7d\nkafka.bootstrap.servers=a:1,b:2\n"
              "kafka.client.rack=r1\nkafka.consumer.fetch.min.bytes=9\nkafka.producer.linger.ms=3");
    assert_int_equal(aft_config_load(c, path, &err), AFT_OK);
    set(c, "join.window", "8d");
    assert_int_equal(aft_config_check(c, &err), AFT_OK);
    assert_string_equal(aft_config_text(c, "app.id"), "shop");
    assert_int_equal(aft_config_join(c)->window_ms, INT64_C(8) * 86400000);
    const struct aft_kafka_options *k = aft_config_kafka(c);
    assert_string_equal(k->bootstrap, "a:1,b:2");
    assert_int_equal(k->common_n, 1);
    assert_string_equal(k->common[0].name, "client.rack");
    assert_string_equal(k->consumer[0].name, "fetch.min.bytes");
    assert_string_equal(k->producer[0].value, "3");
    assert_string_equal(aft_config_rocksdb(c), "");
    set(c, "rocksdb.write_buffer_size", "64M");
    set(c, "rocksdb.compression", "kLZ4Compression");
    assert_int_equal(aft_config_check(c, &err), AFT_OK);
    assert_string_equal(aft_config_rocksdb(c),
                        "write_buffer_size=64M;compression=kLZ4Compression;");
    assert_int_equal(aft_config_set(c, "rocksdb.write_bufer_size", "64M", &err), AFT_E_CONFIG);
    assert_non_null(strstr(err.message, "rocksdb.write_bufer_size=64M: "));
    assert_int_equal(aft_config_set(c, "rocksdb.", "1", &err), AFT_E_CONFIG);
    unlink(path);
    write_file(path, "app.id=a\n\napp.id=b\n");
    assert_int_equal(aft_config_load(c, path, &err), AFT_E_CONFIG);
    assert_non_null(strstr(err.message, ":3: app.id was already set in line 1"));
    unlink(path);
    write_file(path, "\xef\xbb\xbf"
                     "app.id=marked\n");
    assert_int_equal(aft_config_load(c, path, &err), AFT_OK);
    assert_string_equal(aft_config_text(c, "app.id"), "marked");
    unlink(path);
    write_file(path, "app.id=a\n#");
    FILE *zero = fopen(path, "a");
    assert_true(zero && fputc(0, zero) == 0 && fclose(zero) == 0);
    assert_int_equal(aft_config_load(c, path, &err), AFT_E_CONFIG);
    assert_non_null(strstr(err.message, ":2: a byte 0"));
    unlink(path);
    write_file(path, "app.id\n");
    assert_int_equal(aft_config_load(c, path, &err), AFT_E_CONFIG);
    unlink(path);
    assert_int_equal(aft_config_load(c, path, &err), AFT_E_CONFIG);
    aft_config_free(c);
}

static void
secrets_come_by_file(void **state)
{
    (void)state;
    char path[64];
    struct aft_config *c = aft_config_new();
    write_file(path, "hunter2\n");
    set(c, "kafka.sasl.password.file", path);
    assert_int_equal(aft_config_check(c, &err), AFT_OK);
    const struct aft_kafka_options *k = aft_config_kafka(c);
    assert_int_equal(k->common_n, 1);
    assert_string_equal(k->common[0].name, "sasl.password");
    assert_string_equal(k->common[0].value, "hunter2");
    unlink(path);
    assert_int_equal(aft_config_check(c, &err), AFT_E_CONFIG);
    aft_config_free(c);
}

static void
distances(void **state)
{
    (void)state;
    assert_int_equal(afti_distance("", ""), 0);
    assert_int_equal(afti_distance("abc", "abc"), 0);
    assert_int_equal(afti_distance("abc", ""), 3);
    assert_int_equal(afti_distance("kitten", "sitting"), 3);
    assert_int_equal(afti_distance("ab", "ba"), 1);
    assert_int_equal(afti_distance("join.widnow", "join.window"), 1);
}

static void
text_of(const char *path, struct aft_buffer *out)
{
    size_t n;
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot read %s", path);
    while ((n = fread(aft_reserve(out, 4096), 1, 4096, f)) > 0)
        out->n += n;
    fclose(f);
}

static void
page_is_current(void **state)
{
    (void)state;
    struct aft_buffer page = {0}, file = {0};
    aft_config_markdown(&page);
    text_of(AFT_SOURCE_DIR "/docs/CONFIGURATION.md", &file);
    if (!aft_same(aft_buffer_bytes(&page), aft_buffer_bytes(&file)))
        fail_msg("docs/CONFIGURATION.md is old: aftertouch config doc > docs/CONFIGURATION.md");
    aft_buffer_deinit(&page);
    aft_buffer_deinit(&file);
}

static void
example_parses(void **state)
{
    (void)state;
    struct aft_config *c = aft_config_new();
    if (aft_config_load(c, AFT_SOURCE_DIR "/deploy/aftertouch.conf.example", &err) != AFT_OK ||
        aft_config_check(c, &err) != AFT_OK)
        fail_msg("%s", err.message);
    assert_true(aft_config_text(c, "kafka.bootstrap.servers")[0] != '\0');
    aft_config_free(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold),  cmocka_unit_test(oracle_keys),
        cmocka_unit_test(errors_help),    cmocka_unit_test(relations),
        cmocka_unit_test(files),          cmocka_unit_test(secrets_come_by_file),
        cmocka_unit_test(distances),      cmocka_unit_test(page_is_current),
        cmocka_unit_test(example_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
