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

static uint64_t read_count(struct reader *reader, struct str value)
{
    uint64_t count = 0;
    if (!str_to_u64(value, &count))
        complain(reader, "it must be a number of zero or more, without a fraction");
    return count;
}

static double read_number(struct reader *reader, struct str value)
{
    if (value.data[0] != '-' && (value.data[0] < '0' || value.data[0] > '9')) {
        complain(reader, "it must be a number");
        return 0;
    }
    return json_decode_number(value);
}

/* Counts the elements of an array or the members of an object. */
static size_t count_elements(struct str rest)
{
    struct str name;
    struct str value;
    size_t len = 0;
    while (json_walk_next(&rest, &name, &value))
        len++;
    return len;
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
    texts.list = allocate(reader, (count_elements(value) + 1) * sizeof *texts.list);
    while (!reader->failed && json_walk_next(&value, &name, &element))
        texts.list[texts.len++] = read_text(reader, element);
    return texts;
}

/* ---- keywords ---- */

static void read_type(struct reader *reader, struct schema *schema, struct str value)
{
    static const char *const names[SCHEMA_TYPES] = {
        [SCHEMA_ANY] = "",          [SCHEMA_STRING] = "string",   [SCHEMA_INTEGER] = "integer",
        [SCHEMA_NUMBER] = "number", [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_OBJECT] = "object",
        [SCHEMA_ARRAY] = "array"};
    struct str text = read_text(reader, value);
    for (int type = SCHEMA_STRING; type < SCHEMA_TYPES; type++)
        if (str_equal(text, str_from(names[type])))
            schema->type = (enum schema_type)type;
    if (schema->type == SCHEMA_ANY)
        complain(reader, "it must be one of string, integer, number, boolean, object and array");
}

static void read_properties(struct reader *reader, struct schema *schema, struct str value)
{
    const struct schema_property **end = &schema->properties;
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

static void read_required(struct reader *reader, struct schema *schema, struct str value)
{
    schema->required = read_texts(reader, value);
}

static void read_others(struct reader *reader, struct schema *schema, struct str value)
{
    if (value.data[0] == '{')
        schema->others = read_schema(reader, value);
    else
        schema->closed = !read_boolean(reader, value);
}

static void read_items(struct reader *reader, struct schema *schema, struct str value)
{
    schema->items = read_schema(reader, value);
}

static void read_choices(struct reader *reader, struct schema *schema, struct str value)
{
    schema->choices = read_texts(reader, value);
    if (schema->choices.len == 0)
        complain(reader, "it must name something");
}

static void read_min_length(struct reader *reader, struct schema *schema, struct str value)
{
    schema->text_len.least = read_count(reader, value);
}

static void read_max_length(struct reader *reader, struct schema *schema, struct str value)
{
    schema->text_len.most = read_count(reader, value);
}

static void read_min_items(struct reader *reader, struct schema *schema, struct str value)
{
    schema->items_len.least = read_count(reader, value);
}

static void read_max_items(struct reader *reader, struct schema *schema, struct str value)
{
    schema->items_len.most = read_count(reader, value);
}

static void read_minimum(struct reader *reader, struct schema *schema, struct str value)
{
    schema->least = read_number(reader, value);
}

static void read_maximum(struct reader *reader, struct schema *schema, struct str value)
{
    schema->most = read_number(reader, value);
}

/* Whether a bracket expression, from behind its "[", means the same; returns its end, or NULL. */
static const char *skip_brackets(const char *at, const char *end)
{
    if (at < end && *at == '^')
        at++;
    for (const char *first = at; at < end; at++) {
        if (*at == '\\' || *at == '[')
            return NULL; /* an escape for one, a character for the other; or [:alpha:] */
        if (*at == ']')
            return at == first ? NULL : at;
    }
    return NULL;
}

/* Whether POSIX and ECMAScript mean the same by a pattern, as far as can be seen. */
static bool is_common(struct str pattern)
{
    const char *end = pattern.data + pattern.len;
    for (const char *at = pattern.data; at < end; at++) {
        char next = '\0';
        if (at + 1 < end)
            next = at[1];
        bool repeats = *at == '*' || *at == '+' || *at == '?' || *at == '}';
        if (*at == '\0' || (*at == '(' && next == '?') ||
            (*at == '{' && (next < '0' || next > '9')) ||
            (repeats && (next == '?' || next == '+' || next == '*')))
            return false;
        if (*at == '\\' && (next == '\0' || strchr("^$.*+?()[]{}|/\\", next) == NULL))
            return false;
        if (*at == '\\')
            at++;
        else if (*at == '[' && (at = skip_brackets(at + 1, end)) == NULL)
            return false;
    }
    return true;
}

static void read_pattern(struct reader *reader, struct schema *schema, struct str value)
{
    struct str text = read_text(reader, value);
    struct schema_pattern *pattern = allocate(reader, sizeof *pattern);
    if (reader->failed)
        return;
    if (!is_common(text) || regcomp(&pattern->regex, text.data, REG_EXTENDED | REG_NOSUB) != 0) {
        complain(reader, "it must be a regular expression that POSIX and ECMAScript read alike, "
                         "without escaped letters or digits, \"(?\", two quantifiers in a row, and "
                         "backslashes or \"[\" in brackets");
        return;
    }
    schema->pattern = &pattern->regex;
    pattern->next = reader->patterns;
    reader->patterns = pattern;
}

static void read_secrecy(struct reader *reader, struct schema *schema, struct str value)
{
    schema->secrecy = read_boolean(reader, value) ? SECRECY_SECRET : SECRECY_OPEN;
}

static void read_title(struct reader *reader, struct schema *schema, struct str value)
{
    schema->title = read_text(reader, value);
}

static void read_description(struct reader *reader, struct schema *schema, struct str value)
{
    schema->description = read_text(reader, value);
}

static void ignore(struct reader *reader, struct schema *schema, struct str value)
{
    (void)reader;
    (void)schema;
    (void)value;
}

static const struct keyword {
    const char *name;
    void (*read)(struct reader *reader, struct schema *schema, struct str value);
} keywords[] = {
    {"type", read_type},
    {"properties", read_properties},
    {"required", read_required},
    {"additionalProperties", read_others},
    {"items", read_items},
    {"minItems", read_min_items},
    {"maxItems", read_max_items},
    {"enum", read_choices},
    {"minLength", read_min_length},
    {"maxLength", read_max_length},
    {"pattern", read_pattern},
    {"minimum", read_minimum},
    {"maximum", read_maximum},
    {"writeOnly", read_secrecy},
    {"title", read_title},
    {"description", read_description},
    {"$schema", ignore},
    {"$id", ignore},
    {"$comment", ignore},
    {"default", ignore},
    {"examples", ignore},
    {"format", ignore},
    {"deprecated", ignore},
    {"readOnly", ignore},
};

static void read_keyword(struct reader *reader, struct schema *schema, struct str name,
                         struct str value)
{
    size_t before = enter(reader, name);
    size_t i = 0;
    while (i < ARRAY_LEN(keywords) && !str_equal(name, str_from(keywords[i].name)))
        i++;
    if (i < ARRAY_LEN(keywords))
        keywords[i].read(reader, schema, value);
    else if (!str_has_prefix(name, STR("x-")))
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
    return schema->others;
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
