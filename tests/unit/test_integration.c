/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "model/http.h"
#include "model/integration.h"

#define MISSING(field)                                                                             \
    "{\"loc\":[\"body\",\"" field "\"],\"msg\":\"field "                                           \
    "required\",\"type\":\"value_error.missing\"}"
#define NONE(field)                                                                                \
    "{\"loc\":[\"body\",\"" field                                                                  \
    "\"],\"msg\":\"none is not an allowed value\",\"type\":\"type_error.none.not_allowed\"}"
#define NO_STR(field)                                                                              \
    "{\"loc\":[\"body\",\"" field "\"],\"msg\":\"str type expected\",\"type\":\"type_error.str\"}"
#define NO_BOOL                                                                                    \
    "{\"loc\":[\"body\",\"status\"],\"msg\":\"value could not be parsed to a "                     \
    "boolean\",\"type\":\"type_error.bool\"}"
#define NO_DICT                                                                                    \
    "{\"loc\":[\"body\",\"settings\"],\"msg\":\"value is not a valid "                             \
    "dict\",\"type\":\"type_error.dict\"}"
#define NO_BODY "{\"loc\":[\"body\"],\"msg\":\"field required\",\"type\":\"value_error.missing\"}"
#define BODY_DICT                                                                                  \
    "{\"loc\":[\"body\"],\"msg\":\"value is not a valid dict\",\"type\":\"type_error.dict\"}"
#define BAD_ID                                                                                     \
    "{\"loc\":[\"body\",\"id\"],\"msg\":\"id must have 1 to 255 bytes, no control characters, "    \
    "and no part that is . or ..\",\"type\":\"value_error.id\"}"
#define SURROGATE(field)                                                                           \
    "{\"loc\":[\"body\",\"" field "\"],\"msg\":\"lone surrogate: a \\\\uD800 to \\\\uDFFF escape " \
    "without its other half\",\"type\":\"value_error.surrogate\"}"
#define RANGE                                                                                      \
    "{\"loc\":[\"body\",\"settings\"],\"msg\":\"number out of range: larger than a double can "    \
    "be\",\"type\":\"value_error.number_range\"}"
#define DUPLICATE(key)                                                                             \
    "{\"loc\":[\"body\",\"settings\"],\"msg\":\"duplicate key: \\\"" key                           \
    "\\\"\",\"type\":\"value_error.duplicate_key\"}"
#define WITH(members) "{\"id\":\"i\",\"name\":\"n\",\"description\":\"d\"," members "}"
#define KEPT(settings)                                                                             \
    "{\"id\":\"i\",\"name\":\"n\",\"description\":\"d\",\"status\":false,\"settings\":" settings "}"

static const struct {
    const char *body;
    const char *expected; /* the document, or the faults between the brackets */
    enum integration_outcome outcome;
} rows[] = {
    /* documents */
    {"{\"settings\":{},\"status\":true,\"description\":\"d\",\"name\":\"n\",\"id\":\"i\",\"x\":1}",
     "{\"id\":\"i\",\"name\":\"n\",\"description\":\"d\",\"status\":true,\"settings\":{}}",
     INTEGRATION_OK},
    {"{\"id\":12,\"name\":-0,\"description\":123456789012345678901234567890}",
     "{\"id\":\"12\",\"name\":\"0\",\"description\":\"123456789012345678901234567890\","
     "\"status\":false,\"settings\":{}}",
     INTEGRATION_OK},
    {"{\"id\":\"\\u00e9\",\"name\":\"\\u0000\",\"description\":\"\\ud83d\\ude00\\/\"}",
     "{\"id\":\"\xC3\xA9\",\"name\":\"\\u0000\",\"description\":\"\xF0\x9F\x98\x80/\","
     "\"status\":false,\"settings\":{}}",
     INTEGRATION_OK},
    {WITH("\"settings\":null"), KEPT("{}"), INTEGRATION_OK},
    {WITH("\"settings\":\"\""), KEPT("{}"), INTEGRATION_OK},
    {WITH("\"settings\": { \"z\" : 1.10, \"a\" : [1E+2, -0], \"\\u0061\\u0000\": "
          "\"\\ud83d\\ude00\" }"),
     KEPT("{\"z\":1.10,\"a\":[1E+2,-0],\"\\u0061\\u0000\":\"\\ud83d\\ude00\"}"), INTEGRATION_OK},
    {WITH("\"settings\":{\"n\":123456789012345678901234567890123456789012345678901234567890}"),
     KEPT("{\"n\":123456789012345678901234567890123456789012345678901234567890}"), INTEGRATION_OK},
    {WITH("\"settings\":{},\"settings\":{\"a\":1}"), KEPT("{\"a\":1}"), INTEGRATION_OK},
    {WITH("\"extra\":[1e400,\"\\ud800\",{\"a\":1,\"a\":2}]"), KEPT("{}"), INTEGRATION_OK},
    {WITH("\"id\":null,\"id\":\"i\""), KEPT("{}"), INTEGRATION_OK},
    /* faults, in the order of the members */
    {"", NO_BODY, INTEGRATION_INVALID},
    {"null", NO_BODY, INTEGRATION_INVALID},
    {"[]", BODY_DICT, INTEGRATION_INVALID},
    {"[[\"id\",\"x\"]]", BODY_DICT, INTEGRATION_INVALID},
    {"5", BODY_DICT, INTEGRATION_INVALID},
    {"\"x\"", BODY_DICT, INTEGRATION_INVALID},
    {"true", BODY_DICT, INTEGRATION_INVALID},
    {"{}", MISSING("id") "," MISSING("name") "," MISSING("description"), INTEGRATION_INVALID},
    {"{\"id\":null,\"name\":null,\"description\":null,\"status\":null}",
     NONE("id") "," NONE("name") "," NONE("description") "," NONE("status"), INTEGRATION_INVALID},
    {"{\"settings\":1,\"status\":2,\"description\":[],\"name\":{},\"id\":true}",
     NO_STR("id") "," NO_STR("name") "," NO_STR("description") "," NO_BOOL "," NO_DICT,
     INTEGRATION_INVALID},
    {"{\"id\":1.0,\"name\":1e2,\"description\":false}",
     NO_STR("id") "," NO_STR("name") "," NO_STR("description"), INTEGRATION_INVALID},
    {"{\"id\":\"\",\"name\":\"\",\"description\":\"\"}", BAD_ID, INTEGRATION_INVALID},
    {"{\"id\":\"a\\nb\",\"name\":\"\",\"description\":\"\"}", BAD_ID, INTEGRATION_INVALID},
    {"{\"id\":\"\\u0000\",\"name\":\"\",\"description\":\"\"}", BAD_ID, INTEGRATION_INVALID},
    {"{\"id\":\"\\u0085\",\"name\":\"\",\"description\":\"\"}", BAD_ID, INTEGRATION_INVALID},
    {"{\"id\":\"..\",\"name\":\"\",\"description\":\"\"}", BAD_ID, INTEGRATION_INVALID},
    {"{\"id\":\"\\ud800\",\"name\":\"\\udc00\",\"description\":\"\"}",
     SURROGATE("id") "," SURROGATE("name"), INTEGRATION_INVALID},
    {WITH("\"status\":\"\\ud800\""), NO_BOOL, INTEGRATION_INVALID},
    {WITH("\"settings\":[]"), NO_DICT, INTEGRATION_INVALID},
    {WITH("\"settings\":\"x\""), NO_DICT, INTEGRATION_INVALID},
    {WITH("\"settings\":{\"a\":1e400}"), RANGE, INTEGRATION_INVALID},
    {WITH("\"settings\":{\"a\":[\"\\ud800\"]}"), SURROGATE("settings"), INTEGRATION_INVALID},
    {WITH("\"settings\":{\"k\":1,\"k\":2}"), DUPLICATE("k"), INTEGRATION_INVALID},
    {WITH("\"settings\":[{\"k\":1,\"k\":2}]"), NO_DICT, INTEGRATION_INVALID},
    {WITH("\"settings\":{\"a\":NaN}"),
     "{\"loc\":[\"body\",55],\"msg\":\"expecting value\",\"type\":\"value_error.jsondecode\"}",
     INTEGRATION_INVALID},
    {"{'id':1}",
     "{\"loc\":[\"body\",1],\"msg\":\"expecting property name enclosed in double quotes\","
     "\"type\":\"value_error.jsondecode\"}",
     INTEGRATION_INVALID},
    {"\xFF", "", INTEGRATION_UNREADABLE},
};

/* The faults as the contract writes them, in `text`. */
static struct str written(const struct faults *faults, struct buffer *text)
{
    buffer_reset(text, SIZE_MAX);
    faults_append_json(text, faults);
    return buffer_str(text);
}

static void check_row(struct arena *arena, size_t i)
{
    struct integration_rules rules = {.is_json = true};
    struct integration integration = {0};
    struct faults faults = {.arena = arena};
    struct buffer detail = {0};
    struct buffer expected = {0};
    enum integration_outcome outcome =
        integration_parse(arena, str_from(rows[i].body), &rules, &integration, &faults);
    cr_expect(outcome == rows[i].outcome, "%s: outcome %d", rows[i].body, outcome);
    if (outcome == INTEGRATION_OK)
        cr_expect(str_equal(integration.document, str_from(rows[i].expected)), "%s\n%s",
                  rows[i].body, integration.document.data);
    if (outcome == INTEGRATION_INVALID) {
        buffer_printf(&expected, "[%s]", rows[i].expected);
        cr_expect(str_equal(written(&faults, &detail), buffer_str(&expected)), "%s\n%.*s",
                  rows[i].body, (int)detail.len, detail.data);
    }
    buffer_release(&expected);
    buffer_release(&detail);
    arena_reset(arena);
}

Test(integration, reads_what_the_contract_says)
{
    struct arena arena = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&arena, i);
    arena_release(&arena);
}

/* Status as a body has it: 1, 0, or -1 for a fault. */
static int status_of(struct arena *arena, const char *status)
{
    struct buffer body = {0};
    struct faults faults = {.arena = arena};
    struct integration integration;
    struct integration_rules rules = {.is_json = true};
    buffer_printf(&body, "{\"id\":\"i\",\"name\":\"\",\"description\":\"\",\"status\":%s}", status);
    int result = -1;
    if (integration_parse(arena, buffer_str(&body), &rules, &integration, &faults) ==
        INTEGRATION_OK)
        result = strstr(integration.document.data, "\"status\":true") != NULL;
    buffer_release(&body);
    return result;
}

Test(integration, reads_status_as_the_original_did)
{
    struct arena arena = {0};
    static const char *const yes[] = {"true",   "1",     "1.0",      "1e0",   "10e-1",  "\"1\"",
                                      "\"on\"", "\"T\"", "\"TRUE\"", "\"y\"", "\"Yes\""};
    static const char *const no[] = {"false", "0",       "0.0",   "-0",        "-0.0",  "0e9",
                                     "\"0\"", "\"OFF\"", "\"f\"", "\"False\"", "\"n\"", "\"No\""};
    static const char *const wrong[] = {"2",           "-1",
                                        "0.5",         "1e400",
                                        "[]",          "{}",
                                        "[true]",      "\"\"",
                                        "\" true\"",   "\"maybe\"",
                                        "\"1.0\"",     "null",
                                        "\"\\u0000\"", "100000000000000000000000000000000"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        cr_expect(status_of(&arena, yes[i]) == 1, "%s", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        cr_expect(status_of(&arena, no[i]) == 0, "%s", no[i]);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_expect(status_of(&arena, wrong[i]) == -1, "%s", wrong[i]);
    arena_release(&arena);
}

Test(integration, holds_the_id_against_the_path)
{
    struct arena arena = {0};
    struct faults faults = {.arena = &arena};
    struct buffer detail = {0};
    struct integration integration;
    struct integration_rules rules = {.is_json = true, .path_id = STR("j")};
    cr_expect(integration_parse(&arena, STR(WITH("\"x\":1")), &rules, &integration, &faults) ==
              INTEGRATION_INVALID);
    cr_expect(str_equal(written(&faults, &detail),
                        STR("[{\"loc\":[\"body\",\"id\"],\"msg\":\"id does not match the path\","
                            "\"type\":\"value_error.id_mismatch\"}]")));
    faults.len = 0;
    rules.path_id = STR("i");
    cr_expect(integration_parse(&arena, STR(WITH("\"x\":1")), &rules, &integration, &faults) ==
              INTEGRATION_OK);
    rules.is_json = false;
    cr_expect(integration_parse(&arena, STR("nope"), &rules, &integration, &faults) ==
              INTEGRATION_INVALID);
    cr_expect(str_equal(written(&faults, &detail), STR("[" BODY_DICT "]")));
    buffer_release(&detail);
    arena_release(&arena);
}

Test(integration, bounds_ids_in_bytes)
{
    char id[256];
    memset(id, 'x', sizeof id);
    cr_expect(integration_id_is_valid((struct str){id, 255}));
    cr_expect(!integration_id_is_valid((struct str){id, 256}));
    cr_expect(integration_id_is_valid(STR("a/b")) && integration_id_is_valid(STR(" ")) &&
              integration_id_is_valid(STR("...")) && integration_id_is_valid(STR("\xE6\x97\xA5")) &&
              integration_id_is_valid(STR("a..b/.c/d.")) && integration_id_is_valid(STR("//")));
    static const char *const unreachable[] = {"..", "../x", "x/..", "a/../b", "./a", "a/.", "/.."};
    for (size_t i = 0; i < ARRAY_LEN(unreachable); i++)
        cr_expect(!integration_id_is_valid(str_from(unreachable[i])), "%s", unreachable[i]);
    cr_expect(!integration_id_is_valid(STR("\xFF")) && !integration_id_is_valid(STR(".")));
}

Test(http, knows_json_content_types)
{
    static const char *const json[] = {"",
                                       "application/json",
                                       "APPLICATION/JSON",
                                       "application/json; charset=utf-8",
                                       "application/json;",
                                       "application/vnd.api+json",
                                       " application/json ",
                                       "application/x+JSON;a=b"};
    static const char *const other[] = {"text/json",
                                        "application/xml",
                                        "application",
                                        "json",
                                        "application/json/x",
                                        "application/jsonx",
                                        "application/x-www-form-urlencoded",
                                        "; application/json",
                                        "text/plain; application/json"};
    for (size_t i = 0; i < ARRAY_LEN(json); i++)
        cr_expect(http_content_type_is_json(str_from(json[i])), "%s", json[i]);
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        cr_expect(!http_content_type_is_json(str_from(other[i])), "%s", other[i]);
}

Test(http, finds_the_path_of_a_target)
{
    static const char *const rows_of_targets[][2] = {
        {"/a?b", "/a"},    {"/a", "/a"},           {"http://h:1/a?b=/c", "/a"},
        {"http://h", "/"}, {"http://h?x", "/"},    {"", "/"},
        {"*", "*"},        {"/a?http://x/", "/a"}, {"//a", "//a"}};
    for (size_t i = 0; i < ARRAY_LEN(rows_of_targets); i++)
        cr_expect(str_equal(http_target_path(str_from(rows_of_targets[i][0])),
                            str_from(rows_of_targets[i][1])),
                  "%s", rows_of_targets[i][0]);
}
