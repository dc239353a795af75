/* SPDX-License-Identifier: MIT */
#include "model/integration.h"

#include "base/text.h"
#include "model/fault.h"
#include "model/json.h"
#include "model/json_walk.h"
#include "model/merge.h"

const struct str integration_field_names[INTEGRATION_FIELDS] = {
    [INTEGRATION_ID] = STR_INIT("id"),
    [INTEGRATION_NAME] = STR_INIT("name"),
    [INTEGRATION_DESCRIPTION] = STR_INIT("description"),
    [INTEGRATION_STATUS] = STR_INIT("status"),
    [INTEGRATION_SETTINGS] = STR_INIT("settings"),
};

/* In place of settings that could not be read (seal/seal.h): whoever sends them back would lose
 * them. */
static const struct str unreadable = STR_INIT("unreadable");

enum { MEMBERS = INTEGRATION_FIELDS + 1 };

struct parser {
    struct arena *arena;
    const struct integration_rules *rules;
    struct fault_place place;             /* location of the body */
    struct json_member members[MEMBERS];  /* the last one is `unreadable` */
    struct str texts[INTEGRATION_STATUS]; /* id, name and description, decoded */
    bool status;
    struct faults *faults;
    bool faulty;
    bool no_memory;
};

static void fault(struct parser *parser, const struct fault_place *place, struct str message,
                  const char *type)
{
    parser->faulty = true;
    faults_add(parser->faults, place, message, type);
}

/* Adds a fault of the body as a whole. */
static void body_fault(struct parser *parser, const char *message, const char *type)
{
    fault(parser, &parser->place, str_from(message), type);
}

static void syntax_fault(struct parser *parser, const struct json_error *error)
{
    struct fault_place place = fault_place_number(&parser->place, error->offset);
    fault(parser, &place, str_from(error->message), "value_error.jsondecode");
}

static void field_fault_str(struct parser *parser, enum integration_field field, struct str message,
                            const char *type)
{
    struct fault_place place = fault_place_member(&parser->place, integration_field_names[field]);
    fault(parser, &place, message, type);
}

static void field_fault(struct parser *parser, enum integration_field field, const char *message,
                        const char *type)
{
    field_fault_str(parser, field, str_from(message), type);
}

static void surrogate_fault(struct parser *parser, enum integration_field field)
{
    field_fault(parser, field, "lone surrogate: a \\uD800 to \\uDFFF escape without its other half",
                "value_error.surrogate");
}

/* Reads a text member; an integer stands for its decimal text. Returns false on a fault or lack of
 * memory. */
static bool read_text(struct parser *parser, enum integration_field field)
{
    const struct json_member *member = &parser->members[field];
    struct str *text = &parser->texts[field];
    if (!member->present) {
        field_fault(parser, field, "field required", "value_error.missing");
        return false;
    }
    switch (member->value.kind) {
    case JSON_NULL:
        field_fault(parser, field, "none is not an allowed value", "type_error.none.not_allowed");
        return false;
    case JSON_INTEGER:
        *text = str_equal(member->value.text, STR("-0")) ? STR("0") : member->value.text;
        return true;
    case JSON_STRING:
        if ((member->value.flaws & JSON_FLAW_SURROGATE) != 0) {
            surrogate_fault(parser, field);
            return false;
        }
        *text = json_decode_string(parser->arena, member->value.text);
        parser->no_memory |= text->data == NULL;
        return text->data != NULL;
    case JSON_BOOLEAN:
    case JSON_REAL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    field_fault(parser, field, "str type expected", "type_error.str");
    return false;
}

static void read_id(struct parser *parser)
{
    if (!read_text(parser, INTEGRATION_ID))
        return;
    struct str id = parser->texts[INTEGRATION_ID];
    if (!integration_id_is_valid(id))
        field_fault(
            parser, INTEGRATION_ID,
            "id must have 1 to 255 bytes, no control characters, and no part that is . or ..",
            "value_error.id");
    else if (parser->rules->path_id.len > 0 && !str_equal(id, parser->rules->path_id))
        field_fault(parser, INTEGRATION_ID, "id does not match the path",
                    "value_error.id_mismatch");
}

bool integration_status_from(struct str word, bool *status)
{
    static const struct {
        const char *word;
        bool status;
    } words[] = {{"1", true},  {"on", true},     {"t", true},  {"true", true},
                 {"y", true},  {"yes", true},    {"0", false}, {"off", false},
                 {"f", false}, {"false", false}, {"n", false}, {"no", false}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_ignore_case(word, str_from(words[i].word))) {
            *status = words[i].status;
            return true;
        }
    return false;
}

static bool value_to_status(struct parser *parser, const struct json_value *value)
{
    double number;
    struct str word;
    switch (value->kind) {
    case JSON_BOOLEAN:
        parser->status = value->text.data[0] == 't';
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        number = json_decode_number(value->text);
        parser->status = number == 1.0;
        return number == 1.0 || number == 0.0;
    case JSON_STRING:
        word = json_decode_string(parser->arena, value->text);
        parser->no_memory |= word.data == NULL;
        return integration_status_from(word, &parser->status);
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return false;
}

static void read_status(struct parser *parser)
{
    const struct json_member *member = &parser->members[INTEGRATION_STATUS];
    if (!member->present)
        return;
    if (member->value.kind == JSON_NULL)
        field_fault(parser, INTEGRATION_STATUS, "none is not an allowed value",
                    "type_error.none.not_allowed");
    else if (!value_to_status(parser, &member->value))
        field_fault(parser, INTEGRATION_STATUS, "value could not be parsed to a boolean",
                    "type_error.bool");
}

static void duplicate_fault(struct parser *parser, struct str name)
{
    char storage[512];
    struct buffer message = buffer_on(storage, sizeof storage);
    buffer_append_str(&message, STR("duplicate key: "));
    text_append_json(&message, name);
    if (message.failed) /* too long to quote */
        field_fault(parser, INTEGRATION_SETTINGS, "duplicate key", "value_error.duplicate_key");
    else
        field_fault_str(parser, INTEGRATION_SETTINGS,
                        arena_copy(parser->faults->arena, buffer_str(&message)),
                        "value_error.duplicate_key");
}

static void read_settings(struct parser *parser)
{
    struct json_member *member = &parser->members[INTEGRATION_SETTINGS];
    const struct json_value *value = &member->value;
    /* Both mean no settings, as in the original service. */
    if (member->present && (value->kind == JSON_NULL || str_equal(value->text, STR("\"\""))))
        member->present = false;
    if (!member->present)
        return;
    if (value->kind != JSON_OBJECT)
        field_fault(parser, INTEGRATION_SETTINGS, "value is not a valid dict", "type_error.dict");
    else if ((value->flaws & JSON_FLAW_SURROGATE) != 0)
        surrogate_fault(parser, INTEGRATION_SETTINGS);
    else if ((value->flaws & JSON_FLAW_RANGE) != 0)
        field_fault(parser, INTEGRATION_SETTINGS,
                    "number out of range: larger than a double can be", "value_error.number_range");
    else if ((value->flaws & JSON_FLAW_DUPLICATE) != 0)
        duplicate_fault(parser, value->duplicate);
}

static void refuse_unreadable(struct parser *parser)
{
    struct fault_place place = fault_place_member(&parser->place, unreadable);
    fault(parser, &place,
          STR("the settings could not be read, so this would replace them: if that is meant, leave "
              "this member out"),
          "value_error.unreadable");
}

static void append_text(struct buffer *document, const char *name, struct str text)
{
    buffer_append_str(document, str_from(name));
    text_append_json(document, text);
}

static void write_document(const struct parser *parser, struct buffer *document)
{
    const struct json_member *settings = &parser->members[INTEGRATION_SETTINGS];
    append_text(document, "{\"id\":", parser->texts[INTEGRATION_ID]);
    append_text(document, ",\"name\":", parser->texts[INTEGRATION_NAME]);
    append_text(document, ",\"description\":", parser->texts[INTEGRATION_DESCRIPTION]);
    buffer_append_str(document, STR(",\"status\":"));
    buffer_append_str(document, parser->status ? STR("true") : STR("false"));
    buffer_append_str(document, STR(",\"settings\":"));
    if (settings->present)
        json_walk_compact(document, settings->value.text);
    else
        buffer_append_str(document, STR("{}"));
    buffer_append_char(document, '}');
}

static enum integration_outcome parse_object(struct parser *parser, struct integration *integration)
{
    read_id(parser);
    (void)read_text(parser, INTEGRATION_NAME);
    (void)read_text(parser, INTEGRATION_DESCRIPTION);
    read_status(parser);
    read_settings(parser);
    if (parser->members[INTEGRATION_FIELDS].present)
        refuse_unreadable(parser);
    if (parser->no_memory)
        return INTEGRATION_NO_MEMORY;
    if (parser->faulty)
        return INTEGRATION_INVALID;
    struct buffer document = {0};
    write_document(parser, &document);
    integration->id = parser->texts[INTEGRATION_ID];
    integration->document =
        document.failed ? (struct str){NULL, 0} : arena_copy(parser->arena, buffer_str(&document));
    buffer_release(&document);
    return integration->document.data == NULL ? INTEGRATION_NO_MEMORY : INTEGRATION_OK;
}

static struct parser parser_of(struct arena *arena, const struct integration_rules *rules,
                               struct faults *faults)
{
    struct parser parser = {
        .arena = arena, .rules = rules, .place = rules->place, .faults = faults};
    if (parser.place.root == NULL)
        parser.place.root = "body";
    for (size_t i = 0; i < INTEGRATION_FIELDS; i++)
        parser.members[i].name = integration_field_names[i];
    parser.members[INTEGRATION_FIELDS].name = unreadable;
    return parser;
}

/* Parses the body as a JSON object. */
static enum integration_outcome read_object(struct parser *parser, struct str body,
                                            struct json_value *root, struct json_member *members,
                                            size_t members_len)
{
    struct json_error error;
    if (body.len == 0) {
        body_fault(parser, "field required", "value_error.missing");
        return INTEGRATION_INVALID;
    }
    if (!parser->rules->is_json) {
        body_fault(parser, "value is not a valid dict", "type_error.dict");
        return INTEGRATION_INVALID;
    }
    switch (json_scan(parser->arena, body, root, members, members_len, &error)) {
    case JSON_OK:
        break;
    case JSON_SYNTAX:
        syntax_fault(parser, &error);
        return INTEGRATION_INVALID;
    case JSON_ENCODING:
    case JSON_TOO_DEEP:
        return INTEGRATION_UNREADABLE;
    case JSON_NO_MEMORY:
        return INTEGRATION_NO_MEMORY;
    }
    if (root->kind == JSON_OBJECT)
        return INTEGRATION_OK;
    if (root->kind == JSON_NULL)
        body_fault(parser, "field required", "value_error.missing");
    else
        body_fault(parser, "value is not a valid dict", "type_error.dict");
    return INTEGRATION_INVALID;
}

static enum integration_outcome parse_body(struct parser *parser, struct str body,
                                           struct integration *integration)
{
    struct json_value root;
    enum integration_outcome outcome = read_object(parser, body, &root, parser->members, MEMBERS);
    return outcome == INTEGRATION_OK ? parse_object(parser, integration) : outcome;
}

enum integration_outcome integration_parse(struct arena *arena, struct str body,
                                           const struct integration_rules *rules,
                                           struct integration *integration, struct faults *faults)
{
    struct parser parser = parser_of(arena, rules, faults);
    return parse_body(&parser, body, integration);
}

enum integration_outcome integration_read_object(struct arena *arena, struct str body,
                                                 const struct integration_rules *rules,
                                                 struct json_value *root,
                                                 struct json_member *members, size_t members_len,
                                                 struct faults *faults)
{
    struct parser parser = parser_of(arena, rules, faults);
    return read_object(&parser, body, root, members, members_len);
}

/* Parses the patch, and finds the faults that it has regardless of the document. */
static enum integration_outcome check_patch(struct parser *parser, struct str patch,
                                            struct json_value *root)
{
    enum integration_outcome outcome =
        read_object(parser, patch, root, parser->members, INTEGRATION_FIELDS);
    const struct json_member *settings = &parser->members[INTEGRATION_SETTINGS];
    if (outcome != INTEGRATION_OK)
        return outcome;
    if (settings->present && settings->value.kind == JSON_OBJECT)
        read_settings(parser);
    return parser->faulty ? INTEGRATION_INVALID : INTEGRATION_OK;
}

enum integration_outcome integration_patch(struct arena *arena, struct str document,
                                           struct str patch, const struct integration_rules *rules,
                                           struct integration *integration, struct faults *faults)
{
    struct parser parser = parser_of(arena, rules, faults);
    struct buffer merged = {0};
    struct json_value root;
    enum integration_outcome outcome = check_patch(&parser, patch, &root);
    if (outcome == INTEGRATION_OK) {
        merge_patch(arena, document, root.text, &merged);
        outcome = merged.failed || arena->failed
                      ? INTEGRATION_NO_MEMORY
                      : parse_body(&parser, buffer_str(&merged), integration);
        buffer_release(&merged);
    }
    return outcome;
}

/* Extracts the member `name` from a document written by this service: members in its own order, and
 * no white space. */
static bool take_member(struct str *rest, struct str name, struct str *value)
{
    size_t before = name.len + 4; /* {"name": */
    if (rest->len < before || memcmp(rest->data + 2, name.data, name.len) != 0 ||
        rest->data[1] != '"' || rest->data[before - 1] != ':')
        return false;
    const char *end = rest->data + rest->len;
    const char *stop = json_walk_end(rest->data + before, end);
    *value = (struct str){rest->data + before, (size_t)(stop - rest->data) - before};
    if (value->len == 0 || value->data[0] == ' ') /* not written by this service */
        return false;
    *rest = (struct str){stop, (size_t)(end - stop)};
    return true;
}

bool integration_split(struct arena *arena, struct str document,
                       struct str values[INTEGRATION_FIELDS])
{
    struct json_member members[INTEGRATION_FIELDS];
    struct json_value root;
    struct json_error error;
    struct str rest = document;
    bool split = true;
    for (size_t i = 0; i < INTEGRATION_FIELDS && split; i++)
        split = take_member(&rest, integration_field_names[i], &values[i]);
    if (split && str_equal(rest, STR("}")))
        return true;
    for (size_t i = 0; i < INTEGRATION_FIELDS; i++)
        members[i].name = integration_field_names[i];
    split = json_scan(arena, document, &root, members, INTEGRATION_FIELDS, &error) == JSON_OK;
    for (size_t i = 0; i < INTEGRATION_FIELDS && split; i++) {
        split = members[i].present;
        values[i] = members[i].value.text;
    }
    return split;
}

struct str integration_id(struct arena *arena, struct str document)
{
    struct str values[INTEGRATION_FIELDS];
    return integration_split(arena, document, values)
               ? json_decode_string(arena, values[INTEGRATION_ID])
               : (struct str){NULL, 0};
}

static bool has_dot_segment(struct str id)
{
    struct str segment;
    while (str_split(&id, '/', &segment))
        if (str_equal(segment, STR(".")) || str_equal(segment, STR("..")))
            return true;
    return false;
}

bool integration_id_is_valid(struct str id)
{
    return id.len >= 1 && id.len <= INTEGRATION_ID_MAX && text_is_utf8(id) &&
           !text_has_control(id) && !has_dot_segment(id);
}
