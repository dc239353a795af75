/* SPDX-License-Identifier: MIT
 *
 * Schemas of providers: what is understood of them, what is refused, and what is secret. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "harness.h"
#include "model/json_texts.h"
#include "providers/providers.h"

#define OBJECT "{\"type\":\"object\","

Test(providers, refuses_what_it_does_not_understand)
{
    static const struct {
        const char *schema;
        const char *fault;
    } cases[] = {
        {"", "expecting value"},
        {"[]", "it must be a schema: an object"},
        {"{}", "settings are an object: it must have \"type\": \"object\""},
        {"{\"type\":\"string\"}", "settings are an object: it must have \"type\": \"object\""},
        {OBJECT "\"properties\":{\"a\":{\"title\":\"a\",\"title\":\"b\"}}}",
         "it has a member twice, a number out of range, or half a surrogate pair"},
        {OBJECT "\"title\":\"\\uD800\"}",
         "it has a member twice, a number out of range, or half a surrogate pair"},
        {"{\"type\":\"object\"},\"x\":{}", "extra data"},
        {OBJECT "\"allOf\":[]}", "/allOf: this keyword is not understood"},
        {OBJECT "\"properties\":{\"a\":{\"$ref\":\"#\"}}}",
         "/properties/a/$ref: this keyword is not understood"},
        {OBJECT "\"properties\":{\"a\":{\"items\":{\"type\":\"text\"}}}}",
         "/properties/a/items/type: it must be one of string, integer, number, boolean, object and "
         "array"},
        {OBJECT "\"properties\":{\"a\":{\"type\":[\"string\",\"null\"]}}}",
         "/properties/a/type: it must be a string"},
        {OBJECT "\"properties\":{\"a\":true}}", "/properties/a: it must be a schema: an object"},
        {OBJECT "\"properties\":[]}", "/properties: it must be an object of schemas"},
        {OBJECT "\"required\":\"a\"}", "/required: it must be a list of strings"},
        {OBJECT "\"required\":[1]}", "/required: it must be a string"},
        {OBJECT "\"additionalProperties\":null}",
         "/additionalProperties: it must be true or false"},
        {OBJECT "\"properties\":{\"a\":{\"enum\":[]}}}",
         "/properties/a/enum: it must name something"},
        {OBJECT "\"properties\":{\"a\":{\"enum\":[\"x\",1]}}}",
         "/properties/a/enum: it must be a string"},
        {OBJECT "\"properties\":{\"a\":{\"minLength\":-1}}}",
         "/properties/a/minLength: it must be a number of zero or more, without a fraction"},
        {OBJECT "\"properties\":{\"a\":{\"minimum\":\"1\"}}}",
         "/properties/a/minimum: it must be a number"},
        {OBJECT "\"properties\":{\"a\":{\"type\":\"integer\",\"writeOnly\":true}}}",
         "/properties/a: only texts can be secret (writeOnly)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct buffer fault = {0};
        struct str text = arena_copy(&arena, str_from(cases[i].schema));
        cr_expect(schema_read(&arena, text, &fault) == NULL, "%s", cases[i].schema);
        cr_expect(str_equal(buffer_str(&fault), str_from(cases[i].fault)), "%s: %.*s",
                  cases[i].schema, (int)fault.len, fault.data);
        buffer_release(&fault);
        arena_release(&arena);
    }
}

/* A pattern that ECMAScript and POSIX read in different ways would say yes to one and no to the
 * other. */
Test(providers, takes_patterns_that_mean_one_thing)
{
    static const struct {
        const char *pattern;
        bool taken;
    } cases[] = {
        {"^[0-9a-f]{32}$", true}, {"a\\\\.b|c", true}, {"^xoxb-", true},       {"\\\\d+", false},
        {"(?:a)", false},         {"a+?", false},      {"(a", false},          {"\\\\1", false},
        {"a\\\\", false},         {"\\u0000", false},  {"[[:alpha:]]", false}, {"[a\\\\]]", false},
        {"[]a]", false},          {"a{,3}", false},    {"a{2,3}", true},       {"[^a-z]+", true},
        {"a**", false},           {"[a", false},       {"x[.*+?()]", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena = {0};
        struct buffer fault = {0};
        struct buffer schema = {0};
        buffer_printf(&schema, OBJECT "\"properties\":{\"a\":{\"pattern\":\"%s\"}}}",
                      cases[i].pattern);
        struct str text = arena_copy(&arena, buffer_str(&schema));
        const struct schema *read = schema_read(&arena, text, &fault);
        cr_expect((read != NULL) == cases[i].taken, "%s: %.*s", cases[i].pattern, (int)fault.len,
                  fault.data);
        if (read != NULL)
            schema_release(read);
        buffer_release(&schema);
        buffer_release(&fault);
        arena_release(&arena);
    }
}

/* Each text of the settings begins with "s" if it is secret. */
Test(providers, knows_what_is_secret)
{
    static const char schema_text[] =
        OBJECT "\"properties\":{"
               "\"token\":{\"type\":\"string\",\"writeOnly\":true},"
               "\"name\":{\"type\":\"string\"},"
               "\"said\":{\"type\":\"string\",\"writeOnly\":false},"
               "\"any\":{},"
               "\"count\":{\"type\":\"integer\"},"
               "\"deep\":{\"writeOnly\":true,\"properties\":{\"a\":{\"writeOnly\":false}}},"
               "\"list\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
               "\"tokens\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"writeOnly\":true}},"
               "\"open\":{\"type\":\"object\",\"writeOnly\":false,"
               "\"properties\":{\"pin\":{\"writeOnly\":true}}},"
               "\"map\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}}";
    static const char settings[] =
        "{\"token\":\"s\",\"name\":\"o\",\"said\":\"o\",\"any\":\"o\",\"count\":\"s\",\"none\":"
        "\"s\","
        "\"token2\":\"s\",\"deep\":{\"a\":\"s\",\"b\":[\"s\"]},\"list\":[\"o\",\"o\",[\"s\"]],"
        "\"tokens\":[\"s\",\"s\"],\"open\":{\"pin\":\"s\",\"x\":\"o\",\"y\":{\"z\":[\"o\"]}},"
        "\"map\":{\"k\":\"o\",\"l\":{\"m\":\"s\"}},\"x\":{\"name\":\"s\"},\"tok\\u0065n\":\"s\"}";
    struct arena arena = {0};
    struct buffer fault = {0};
    struct json_texts texts;
    struct str value;
    size_t seen = 0;
    const struct schema *schema = schema_read(&arena, STR(schema_text), &fault);
    cr_assert(schema != NULL, "%.*s", (int)fault.len, fault.data);
    json_texts_open(&texts, STR(settings), &arena);
    while (json_texts_next(&texts, &value)) {
        cr_expect(schema_is_secret(schema, buffer_str(&texts.path)) == (value.data[1] == 's'),
                  "text %zu", seen);
        seen++;
    }
    cr_expect(seen == 21, "%zu", seen);
    json_texts_close(&texts);
    schema_release(schema);
    arena_release(&arena);
}

static void put(const char *directory, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

static struct str title_of(const struct providers *providers, const char *name)
{
    const struct provider *provider = providers_find(providers, str_from(name));
    return provider == NULL ? STR("(none)") : schema_title(provider->schema);
}

Test(providers, come_from_the_program_and_from_directories)
{
    struct providers providers;
    char directory[64];
    char both[140];
    char error[PROVIDERS_ERROR_SIZE];
    struct config config = {.providers_dir = ""};
    cr_assert(providers_open(&providers, &config, error), "%s", error);
    cr_expect(providers.len == 6);
    cr_expect(providers_of(&providers, STR("facebook:shop:de")) ==
              providers_find(&providers, STR("facebook")));
    cr_expect(providers_of(&providers, STR("facebook")) != NULL);
    cr_expect(providers_of(&providers, STR("facebook-shop")) == NULL);
    cr_expect(providers_of(&providers, STR(":facebook")) == NULL);

    directory_make(directory);
    put(directory, "line.json", OBJECT "\"title\":\"LINE\"}");
    put(directory, "slack.json", OBJECT "\"title\":\"Our Slack\"}");
    put(directory, "readme.txt", "no schema");
    put(directory, ".hidden.json", "nor this");
    snprintf(both, sizeof both, "%s::%s", directory, directory);
    config.providers_dir = both;
    providers_reload(&providers, &config);
    cr_expect(providers.len == 7);
    cr_expect(str_equal(title_of(&providers, "line"), STR("LINE")));
    cr_expect(str_equal(title_of(&providers, "slack"), STR("Our Slack")));
    cr_expect(str_equal(title_of(&providers, "telegram"), STR("Telegram")));

    put(directory, "line.json", OBJECT "\"title\":7}"); /* what was known stays */
    providers_reload(&providers, &config);
    cr_expect(str_equal(title_of(&providers, "line"), STR("LINE")));
    struct providers others;
    cr_expect(!providers_open(&others, &config, error));
    cr_expect(strstr(error, "/line.json: /title: it must be a string") != NULL, "%s", error);
    put(directory, "line.json", OBJECT "\"title\":\"\"}");
    put(directory, "Line 2.json", OBJECT "\"title\":\"\"}");
    cr_expect(!providers_open(&others, &config, error));
    cr_expect(strstr(error, "the name of a provider is") != NULL, "%s", error);
    config.providers_dir = "/nonexistent";
    cr_expect(!providers_open(&others, &config, error));
    cr_expect_str_eq(error, "PROVIDERS_DIR: /nonexistent: No such file or directory");
    providers_close(&providers);
    directory_remove(directory);
}
