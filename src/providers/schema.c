/* SPDX-License-Identifier: MIT
 *
 * Reading schemas. */
#include "providers/schema.h"

#include <math.h>
#include <string.h>

#include "model/json.h"
#include "model/json_texts.h"
#include "model/json_walk.h"
#include "providers/internal.h"
#include "providers/pattern.h"

struct reader {
    struct arena *arena;
    struct buffer *fault;
    struct buffer place; /* of the value that is being read: a JSON pointer */
    struct schema_pattern *patterns;
    bool failed;
};

static struct schema *read_schema(struct reader *reader, struct str text);

/* Says what is wrong with the value that is being read; the first fault counts. */
static void complain(struct reader *reader, const char *wrong)
{
    if (reader->failed)
        return;
    reader->failed = true;
    buffer_append_str(reader->fault, buffer_str(&reader->place));
    if (reader->place.len > 0)
        buffer_append_str(reader->fault, STR(": "));
    buffer_append_str(reader->fault, str_from(wrong));
}

static void *allocate(struct reader *reader, size_t size)
{
    void *memory = arena_alloc(reader->arena, size);
    if (memory == NULL)
        complain(reader, "no memory for it");
    return memory;
}

/* Goes down into a member; returns where to come back to. The name is as it stands in the text:
 * "~" and "/" do not occur in what is told of places. */
static size_t enter(struct reader *reader, struct str name)
{
    size_t before = reader->place.len;
    buffer_append_char(&reader->place, '/');
    buffer_append_str(&reader->place, name);
    return before;
}

static void leave(struct reader *reader, size_t before)
{
    reader->place.len = before;
}

/* ---- values ---- */

static struct str read_text(struct reader *reader, struct str value)
{
    if (value.data[0] != '"') {
        complain(reader, "it must be a string");
        return STR("");
    }
    struct str text = json_decode_string(reader->arena, value);
    if (text.data == NULL)
        complain(reader, "no memory for it");
    return text;
}

static bool read_boolean(struct reader *reader, struct str value)
{
    if (value.data[0] != 't' && value.data[0] != 'f')
        complain(reader, "it must be true or false");
    return value.data[0] == 't';
}

static struct schema_texts read_texts(struct reader *reader, struct str value)
{
    struct schema_texts texts = {NULL, 0};
    struct str name;
    struct str element;
    if (value.data[0] != '[') {
        complain(reader, "it must be a list of strings");
        return texts;
    }
    texts.list = allocate(reader, (json_walk_count(value) + 1) * sizeof *texts.list);
    while (!reader->failed && json_walk_next(&value, &name, &element))
        texts.list[texts.len++] = read_text(reader, element);
    return texts;
}

/* ---- keywords: each is read into a member of the schema ---- */

static void read_text_keyword(struct reader *reader, void *member, struct str value)
{
    *(struct str *)member = read_text(reader, value);
}

static void read_texts_keyword(struct reader *reader, void *member, struct str value)
{
    *(struct schema_texts *)member = read_texts(reader, value);
}

static void read_count(struct reader *reader, void *member, struct str value)
{
    if (!str_to_u64(value, member))
        complain(reader, "it must be a number of zero or more, without a fraction");
}

static void read_number(struct reader *reader, void *member, struct str value)
{
    if (schema_is_number(value))
        *(double *)member = json_decode_number(value);
    else
        complain(reader, "it must be a number");
}

static void read_choices(struct reader *reader, void *member, struct str value)
{
    struct schema_texts *choices = member;
    *choices = read_texts(reader, value);
    if (choices->len == 0)
        complain(reader, "it must name something");
}

static void read_type(struct reader *reader, void *member, struct str value)
{
    static const char *const names[SCHEMA_TYPES] = {
        [SCHEMA_ANY] = "",          [SCHEMA_STRING] = "string",   [SCHEMA_INTEGER] = "integer",
        [SCHEMA_NUMBER] = "number", [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_OBJECT] = "object",
        [SCHEMA_ARRAY] = "array"};
    enum schema_type *type = member;
    struct str text = read_text(reader, value);
    for (int i = SCHEMA_STRING; i < SCHEMA_TYPES; i++)
        if (str_equal(text, str_from(names[i])))
            *type = (enum schema_type)i;
    if (*type == SCHEMA_ANY)
        complain(reader, "it must be one of string, integer, number, boolean, object and array");
}

static void read_secrecy(struct reader *reader, void *member, struct str value)
{
    *(enum schema_secrecy *)member = read_boolean(reader, value) ? SECRECY_SECRET : SECRECY_OPEN;
}

static void read_pattern(struct reader *reader, void *member, struct str value)
{
    struct str text = read_text(reader, value);
    struct schema_pattern *pattern = allocate(reader, sizeof *pattern);
    if (reader->failed)
        return;
    if (!pattern_compile(text, &pattern->regex)) {
        complain(reader, "it must be a regular expression that POSIX and ECMAScript read alike, "
                         "without escaped letters or digits, \"(?\", two quantifiers in a row, and "
                         "backslashes or \"[\" in brackets");
        return;
    }
    *(const regex_t **)member = &pattern->regex;
    pattern->next = reader->patterns;
    reader->patterns = pattern;
}

static void read_items(struct reader *reader, void *member, struct str value)
{
    *(const struct schema **)member = read_schema(reader, value);
}

static void read_properties(struct reader *reader, void *member, struct str value)
{
    const struct schema_property **end = member;
    struct str name;
    struct str element;
    if (value.data[0] != '{') {
        complain(reader, "it must be an object of schemas");
        return;
    }
    while (!reader->failed && json_walk_next(&value, &name, &element)) {
        struct schema_property *property = allocate(reader, sizeof *property);
        if (property == NULL)
            return;
        *property = (struct schema_property){.name = read_text(reader, name)};
        size_t before = enter(reader, property->name);
        property->schema = read_schema(reader, element);
        leave(reader, before);
        *end = property;
        end = &property->next;
    }
}

static void read_others(struct reader *reader, void *member, struct str value)
{
    struct schema_others *others = member;
    if (value.data[0] == '{')
        others->schema = read_schema(reader, value);
    else
        others->none = !read_boolean(reader, value);
}

#define AT(member) offsetof(struct schema, member)

static const struct keyword {
    const char *name;
    void (*read)(struct reader *reader, void *member, struct str value); /* NULL: has no effect */
    size_t offset; /* of the member, in struct schema */
} keywords[] = {
    {"type", read_type, AT(type)},
    {"properties", read_properties, AT(properties)},
    {"required", read_texts_keyword, AT(required)},
    {"additionalProperties", read_others, AT(others)},
    {"items", read_items, AT(items)},
    {"minItems", read_count, AT(items_len.least)},
    {"maxItems", read_count, AT(items_len.most)},
    {"enum", read_choices, AT(choices)},
    {"minLength", read_count, AT(text_len.least)},
    {"maxLength", read_count, AT(text_len.most)},
    {"pattern", read_pattern, AT(pattern)},
    {"minimum", read_number, AT(least)},
    {"maximum", read_number, AT(most)},
    {"writeOnly", read_secrecy, AT(secrecy)},
    {"title", read_text_keyword, AT(title)},
    {"description", read_text_keyword, AT(description)},
    {"$schema", NULL, 0},
    {"$id", NULL, 0},
    {"$comment", NULL, 0},
    {"default", NULL, 0},
    {"examples", NULL, 0},
    {"format", NULL, 0},
    {"deprecated", NULL, 0},
    {"readOnly", NULL, 0},
};

static const struct keyword *find_keyword(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (str_equal(name, str_from(keywords[i].name)))
            return &keywords[i];
    return NULL;
}

static void read_keyword(struct reader *reader, struct schema *schema, struct str name,
                         struct str value)
{
    size_t before = enter(reader, name);
    const struct keyword *keyword = find_keyword(name);
    if (keyword != NULL && keyword->read != NULL)
        keyword->read(reader, (char *)schema + keyword->offset, value);
    else if (keyword == NULL && !str_has_prefix(name, STR("x-")))
        complain(reader, "this keyword is not understood");
    leave(reader, before);
}

/* A number cannot be masked. */
static bool may_be_secret(const struct schema *schema)
{
    return schema->secrecy != SECRECY_SECRET ||
           (schema->type != SCHEMA_INTEGER && schema->type != SCHEMA_NUMBER &&
            schema->type != SCHEMA_BOOLEAN);
}

static struct schema *read_schema(struct reader *reader, struct str text)
{
    struct str name;
    struct str value;
    struct schema *schema = allocate(reader, sizeof *schema);
    if (schema == NULL)
        return NULL;
    *schema = (struct schema){.title = STR(""),
                              .description = STR(""),
                              .text_len = {0, UINT64_MAX},
                              .items_len = {0, UINT64_MAX},
                              .least = -INFINITY,
                              .most = INFINITY};
    if (text.data[0] != '{') {
        complain(reader, "it must be a schema: an object");
        return NULL;
    }
    while (!reader->failed && json_walk_next(&text, &name, &value))
        read_keyword(reader, schema, read_text(reader, name), value);
    if (!may_be_secret(schema))
        complain(reader, "only texts can be secret (writeOnly)");
    return reader->failed ? NULL : schema;
}

/* Scans the text, and then as the only member of an object: flaws are recorded for members. Returns
 * an empty text if it has any. */
static struct str scan(struct reader *reader, struct str text)
{
    struct json_value root;
    struct json_error error;
    struct json_member member = {.name = STR("schema")};
    struct buffer whole = {0};
    buffer_append_str(&whole, STR("{\"schema\":"));
    buffer_append_str(&whole, text);
    buffer_append_char(&whole, '}');
    struct str copy = arena_copy(reader->arena, buffer_str(&whole));
    bool failed = whole.failed || copy.data == NULL;
    buffer_release(&whole);
    enum json_status status =
        failed ? JSON_NO_MEMORY : json_scan(reader->arena, text, &root, NULL, 0, &error);
    if (status == JSON_OK)
        status = json_scan(reader->arena, copy, &root, &member, 1, &error);
    if (status == JSON_NO_MEMORY)
        complain(reader, "no memory for it");
    else if (status == JSON_SYNTAX)
        complain(reader, error.message);
    else if (status != JSON_OK)
        complain(reader, "it is not UTF-8, or nested too deeply");
    else if (member.value.flaws != 0)
        complain(reader, "it has a member twice, a number out of range, or half a surrogate pair");
    return reader->failed ? STR("") : member.value.text;
}

static void free_patterns(struct schema_pattern *pattern)
{
    for (; pattern != NULL; pattern = pattern->next)
        regfree(&pattern->regex);
}

void schema_release(const struct schema *schema)
{
    free_patterns(schema->patterns);
}

const struct schema *schema_read(struct arena *arena, struct str text, struct buffer *fault)
{
    struct reader reader = {.arena = arena, .fault = fault};
    struct schema *schema = NULL;
    struct str scanned = scan(&reader, text);
    if (scanned.len > 0)
        schema = read_schema(&reader, scanned);
    if (schema != NULL && schema->type != SCHEMA_OBJECT)
        complain(&reader, "settings are an object: it must have \"type\": \"object\"");
    buffer_release(&reader.place);
    if (reader.failed || schema == NULL) {
        free_patterns(reader.patterns);
        return NULL;
    }
    schema->patterns = reader.patterns;
    return schema;
}

struct str schema_title(const struct schema *schema)
{
    return schema->title;
}

struct str schema_description(const struct schema *schema)
{
    return schema->description;
}

/* ---- secrets ---- */

const struct schema *schema_member(const struct schema *schema, struct str name)
{
    for (const struct schema_property *property = schema->properties; property != NULL;
         property = property->next)
        if (str_equal(property->name, name))
            return property->schema;
    return schema->others.schema;
}

bool schema_is_secret(const struct schema *schema, struct str path)
{
    struct str name;
    bool open = false;
    while (schema != NULL) {
        if (schema->secrecy == SECRECY_SECRET)
            return true;
        open |= schema->secrecy == SECRECY_OPEN;
        if (!json_texts_step(&path, &name)) /* the schema is that of the text itself */
            return schema->type != SCHEMA_ANY && schema->type != SCHEMA_STRING && !open;
        schema = name.data == NULL ? schema->items : schema_member(schema, name);
    }
    return !open;
}
