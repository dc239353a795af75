/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "model/json.h"
#include "model/json_walk.h"
#include "model/merge.h"

/* Texts that json-c or a lenient reader lets through, and others, with what a strict one says. */
static const struct {
    const char *text;
    size_t len; /* 0: up to the NUL */
    enum json_status status;
} texts[] = {
    {"{}", 0, JSON_OK},
    {" \t\r\n[ 1 , 2 ] ", 0, JSON_OK},
    {"0", 0, JSON_OK},
    {"-0", 0, JSON_OK},
    {"-0.0e-0", 0, JSON_OK},
    {"1E+2", 0, JSON_OK},
    {"123456789012345678901234567890123456789012345678901234567890", 0, JSON_OK},
    {"\"\\u0000\"", 0, JSON_OK},
    {"\"\\ud83d\\ude00\"", 0, JSON_OK},
    {"\"\xF0\x9F\x98\x80\"", 0, JSON_OK},
    {"\"\x7F\"", 0, JSON_OK},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0, JSON_OK},
    {"", 0, JSON_SYNTAX},
    {" ", 0, JSON_SYNTAX},
    {"NaN", 0, JSON_SYNTAX},
    {"Infinity", 0, JSON_SYNTAX},
    {"-Infinity", 0, JSON_SYNTAX},
    {"TRUE", 0, JSON_SYNTAX},
    {"tru", 0, JSON_SYNTAX},
    {"nulll", 0, JSON_SYNTAX},
    {"01", 0, JSON_SYNTAX},
    {"-", 0, JSON_SYNTAX},
    {"+1", 0, JSON_SYNTAX},
    {"1.", 0, JSON_SYNTAX},
    {".5", 0, JSON_SYNTAX},
    {"1e", 0, JSON_SYNTAX},
    {"1e+", 0, JSON_SYNTAX},
    {"0x10", 0, JSON_SYNTAX},
    {"'a'", 0, JSON_SYNTAX},
    {"{'a':1}", 0, JSON_SYNTAX},
    {"{a:1}", 0, JSON_SYNTAX},
    {"{\"a\":1,}", 0, JSON_SYNTAX},
    {"{\"a\" 1}", 0, JSON_SYNTAX},
    {"{\"a\":}", 0, JSON_SYNTAX},
    {"{,}", 0, JSON_SYNTAX},
    {"[1,]", 0, JSON_SYNTAX},
    {"[1 2]", 0, JSON_SYNTAX},
    {"[1", 0, JSON_SYNTAX},
    {"[}", 0, JSON_SYNTAX},
    {"{\"a\":1", 0, JSON_SYNTAX},
    {"\"a", 0, JSON_SYNTAX},
    {"\"\\", 0, JSON_SYNTAX},
    {"\"\\x41\"", 0, JSON_SYNTAX},
    {"\"\\u12\"", 0, JSON_SYNTAX},
    {"\"\\u12G4\"", 0, JSON_SYNTAX},
    {"\"\\ud83d\\u12\"", 0, JSON_SYNTAX},
    {"\"a\tb\"", 0, JSON_SYNTAX},
    {"\"a\nb\"", 0, JSON_SYNTAX},
    {"\"a\0b\"", 5, JSON_SYNTAX},
    {"{}\0", 3, JSON_SYNTAX},
    {"{} {}", 0, JSON_SYNTAX},
    {"{}/* c */", 0, JSON_SYNTAX},
    {"// c\n{}", 0, JSON_SYNTAX},
    {"\xEF\xBB\xBF{}", 0, JSON_SYNTAX},
    {"\f{}", 0, JSON_SYNTAX},
    {"\xC2\xA0{}", 0, JSON_SYNTAX},
    {"\"\xFF\xFE\"", 0, JSON_ENCODING},
    {"\"\xC0\x80\"", 0, JSON_ENCODING},
    {"\"\xC3\"", 0, JSON_ENCODING},
    {"\"\xE0\x80\x80\"", 0, JSON_ENCODING},
    {"\"\xED\xA0\x80\"", 0, JSON_ENCODING},
    {"\"\xF4\x90\x80\x80\"", 0, JSON_ENCODING},
    {"\"\xF8\x88\x80\x80\x80\"", 0, JSON_ENCODING},
    {"nope\xFF", 0, JSON_ENCODING},
};

Test(json, takes_what_the_rfc_takes_and_nothing_else)
{
    struct arena arena = {0};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str text = {texts[i].text, texts[i].len > 0 ? texts[i].len : strlen(texts[i].text)};
        struct json_value root;
        struct json_error error;
        enum json_status status = json_scan(&arena, text, &root, NULL, 0, &error);
        cr_expect(status == texts[i].status, "row %zu, %s: %d at %zu: %s", i, texts[i].text, status,
                  error.offset, error.message);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static enum json_status scan_nested(struct arena *arena, size_t depth, bool objects)
{
    struct buffer text = {0};
    struct json_value root;
    struct json_error error;
    for (size_t i = 0; i < depth; i++)
        buffer_append_str(&text, objects ? STR("{\"a\":") : STR("["));
    if (objects)
        buffer_append_char(&text, '1');
    for (size_t i = 0; i < depth; i++)
        buffer_append_char(&text, objects ? '}' : ']');
    enum json_status status = json_scan(arena, buffer_str(&text), &root, NULL, 0, &error);
    buffer_release(&text);
    arena_reset(arena);
    return status;
}

Test(json, nests_a_hundred_deep)
{
    struct arena arena = {0};
    cr_expect(scan_nested(&arena, 100, false) == JSON_OK);
    cr_expect(scan_nested(&arena, 100, true) == JSON_OK);
    cr_expect(scan_nested(&arena, 101, false) == JSON_TOO_DEEP);
    cr_expect(scan_nested(&arena, 101, true) == JSON_TOO_DEEP);
    cr_expect(scan_nested(&arena, 100000, false) == JSON_TOO_DEEP);
    arena_release(&arena);
}

/* Members of an outermost object, "m" being asked for. */
static const struct {
    const char *text;
    bool present;
    enum json_kind kind;
    const char *value;
    unsigned flaws;
    const char *duplicate;
} objects[] = {
    {"{\"x\":1}", false, JSON_NULL, "", 0, ""},
    {"{\"m\":1}", true, JSON_INTEGER, "1", 0, ""},
    {"{\"\\u006d\" : [ 1 ] }", true, JSON_ARRAY, "[ 1 ]", 0, ""},
    {"{\"m\":1,\"m\":null}", true, JSON_NULL, "null", 0, ""},
    {"{\"m\":1e3}", true, JSON_REAL, "1e3", 0, ""},
    {"{\"m\":1e400}", true, JSON_REAL, "1e400", JSON_FLAW_RANGE, ""},
    {"{\"m\":-1e400}", true, JSON_REAL, "-1e400", JSON_FLAW_RANGE, ""},
    {"{\"m\":1e-400}", true, JSON_REAL, "1e-400", 0, ""},
    {"{\"m\":[{\"a\":1e999}]}", true, JSON_ARRAY, "[{\"a\":1e999}]", JSON_FLAW_RANGE, ""},
    {"{\"x\":1e999,\"m\":1}", true, JSON_INTEGER, "1", 0, ""},
    {"{\"m\":\"\\ud800\"}", true, JSON_STRING, "\"\\ud800\"", JSON_FLAW_SURROGATE, ""},
    {"{\"m\":\"\\udc00\"}", true, JSON_STRING, "\"\\udc00\"", JSON_FLAW_SURROGATE, ""},
    {"{\"m\":\"\\ud800x\"}", true, JSON_STRING, "\"\\ud800x\"", JSON_FLAW_SURROGATE, ""},
    {"{\"m\":\"\\ud800\\ud800\\udc00\"}", true, JSON_STRING, "\"\\ud800\\ud800\\udc00\"",
     JSON_FLAW_SURROGATE, ""},
    {"{\"m\":{\"\\udfff\":1}}", true, JSON_OBJECT, "{\"\\udfff\":1}", JSON_FLAW_SURROGATE, ""},
    {"{\"\\ud800\":1,\"m\":1}", true, JSON_INTEGER, "1", 0, ""},
    {"{\"m\":{\"a\":1,\"b\":2,\"a\":3}}", true, JSON_OBJECT, "{\"a\":1,\"b\":2,\"a\":3}",
     JSON_FLAW_DUPLICATE, "a"},
    {"{\"m\":{\"a\":1,\"\\u0061\":3}}", true, JSON_OBJECT, "{\"a\":1,\"\\u0061\":3}",
     JSON_FLAW_DUPLICATE, "a"},
    {"{\"m\":[0,{\"b\":{\"k\":1,\"k\":1}}]}", true, JSON_ARRAY, "[0,{\"b\":{\"k\":1,\"k\":1}}]",
     JSON_FLAW_DUPLICATE, "k"},
    {"{\"m\":{\"\":1,\"\":1}}", true, JSON_OBJECT, "{\"\":1,\"\":1}", JSON_FLAW_DUPLICATE, ""},
    {"{\"m\":{\"z\":1,\"b\":1,\"z\":2,\"b\":2}}", true, JSON_OBJECT,
     "{\"z\":1,\"b\":1,\"z\":2,\"b\":2}", JSON_FLAW_DUPLICATE, "z"},
    {"{\"m\":{\"a\":{\"a\":1},\"b\":{\"a\":1}}}", true, JSON_OBJECT,
     "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", 0, ""},
    {"{\"m\":{\"a\":1,\"a\\u0000\":2}}", true, JSON_OBJECT, "{\"a\":1,\"a\\u0000\":2}", 0, ""},
};

Test(json, finds_members_and_their_flaws)
{
    struct arena arena = {0};
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        struct json_member member = {.name = STR("m")};
        struct json_value root;
        struct json_error error;
        const char *text = objects[i].text;
        cr_assert(json_scan(&arena, str_from(text), &root, &member, 1, &error) == JSON_OK, "%s",
                  text);
        cr_expect(root.kind == JSON_OBJECT, "%s", text);
        cr_expect(member.present == objects[i].present, "%s", text);
        if (!member.present)
            continue;
        cr_expect(member.value.kind == objects[i].kind, "%s", text);
        cr_expect(str_equal(member.value.text, str_from(objects[i].value)), "%s", text);
        cr_expect(member.value.flaws == objects[i].flaws, "%s: %u", text, member.value.flaws);
        cr_expect(str_equal(member.value.duplicate, str_from(objects[i].duplicate)), "%s", text);
    }
    arena_release(&arena);
}

Test(json, finds_one_repeated_name_among_many)
{
    struct arena arena = {0};
    struct buffer text = {0};
    struct json_member member = {.name = STR("m")};
    struct json_value root;
    struct json_error error;
    buffer_append_str(&text, STR("{\"m\":{"));
    for (int i = 0; i < 100000; i++)
        buffer_printf(&text, "\"k%d\":0,", i);
    buffer_append_str(&text, STR("\"k5\":0}}"));
    cr_assert(json_scan(&arena, buffer_str(&text), &root, &member, 1, &error) == JSON_OK);
    cr_expect(member.value.flaws == JSON_FLAW_DUPLICATE);
    cr_expect(str_equal(member.value.duplicate, STR("k5")));
    buffer_release(&text);
    arena_release(&arena);
}

Test(json, decodes_strings_whole)
{
    struct arena arena = {0};
    struct str text = json_decode_string(&arena, STR("\"a\\u0000\\ud83d\\ude00\\n\xC3\xA9\""));
    cr_expect(str_equal(text, STR("a\0\xF0\x9F\x98\x80\n\xC3\xA9")));
    cr_expect(json_decode_string(&arena, STR("\"\"")).data != NULL);
    arena_release(&arena);
}

Test(json, drops_insignificant_space_only)
{
    struct buffer out = {0};
    json_walk_compact(&out, STR("{ \"a b\" :\t[ 1.10 ,\r\n-0, \" \\\" \" ] }"));
    cr_expect(str_equal(buffer_str(&out), STR("{\"a b\":[1.10,-0,\" \\\" \"]}")));
    buffer_release(&out);
}

Test(json, merges_patches)
{
    static const char *const rows[][3] = {
        /* RFC 7396, appendix A */
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        /* bytes, order, names that are written in other ways, and repeated ones */
        {"{ \"b\" : 1.0 , \"a\" : [ 1 , {} ] }", "{\"c\":2}",
         "{\"b\":1.0,\"a\":[ 1 , {} ],\"c\":2}"},
        {"{\"z\":1,\"\\u0061\":1e2,\"y\":3}", "{\"a\":9}", "{\"z\":1,\"\\u0061\":9,\"y\":3}"},
        {"{\"a:\\\"}\":{\"x\":\"]}\\\\\"}}", "{\"a:\\\"}\":{\"y\":1}}",
         "{\"a:\\\"}\":{\"x\":\"]}\\\\\",\"y\":1}}"},
        {"{\"a\":1}", "{\"b\":1,\"a\":2,\"b\":3,\"a\":null}", "{\"b\":3}"},
        {"{}", "{ \"b\" : 1 , \"a\" : { \"c\" : null , \"d\" : [ null ] } }",
         "{\"b\":1,\"a\":{\"d\":[ null ]}}"},
        {"{\"a\":{\"b\":{\"c\":1}}}", "{\"a\":{\"b\":{\"c\":{\"d\":2}}}}",
         "{\"a\":{\"b\":{\"c\":{\"d\":2}}}}"},
        {"{}", "{}", "{}"},
        {"{ }", "{ }", "{}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena arena = {0};
        struct buffer out = {0};
        merge_patch(&arena, str_from(rows[i][0]), str_from(rows[i][1]), &out);
        cr_expect(str_equal(buffer_str(&out), str_from(rows[i][2])), "%s + %s: %.*s", rows[i][0],
                  rows[i][1], (int)out.len, out.data);
        buffer_release(&out);
        arena_release(&arena);
    }
}

Test(json, walks_over_much_white_space_quickly, .timeout = 20)
{
    struct buffer text = {0};
    struct str rest;
    struct str name;
    struct str value;
    size_t count = 0;
    buffer_append_char(&text, '[');
    for (int i = 0; i < 200000; i++)
        buffer_append(&text, i == 0 ? " 0 " : ", 0 ", i == 0 ? 3 : 4);
    for (int i = 0; i < 1000000; i++)
        buffer_append_char(&text, ' ');
    buffer_append_char(&text, ']');
    for (rest = buffer_str(&text); json_walk_next(&rest, &name, &value); count++)
        cr_assert(str_equal(value, STR("0")));
    cr_expect(count == 200000);
    buffer_release(&text);
}

Test(json, merges_many_members_quickly, .timeout = 20)
{
    struct arena arena = {0};
    struct buffer target = {0};
    struct buffer patch = {0};
    struct buffer out = {0};
    for (int i = 0; i < 100000; i++) {
        buffer_printf(&target, "%s\"k%d\":%d", i == 0 ? "{" : ",", i, i);
        buffer_printf(&patch, "%s\"k%d\":null", i == 0 ? "{" : ",", 99999 - i);
    }
    buffer_append_str(&target, STR(",\"last\":1}"));
    buffer_append_char(&patch, '}');
    merge_patch(&arena, buffer_str(&target), buffer_str(&patch), &out);
    cr_expect(str_equal(buffer_str(&out), STR("{\"last\":1}")));
    buffer_release(&out);
    buffer_release(&patch);
    buffer_release(&target);
    arena_release(&arena);
}
