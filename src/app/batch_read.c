/* SPDX-License-Identifier: MIT */
#include "app/answer.h"
#include "app/batch.h"
#include "app/conditions.h"
#include "model/json.h"
#include "model/json_walk.h"

enum { OPERATIONS_MAX = 1000 };

static const struct str kind_names[BATCH_KINDS] = {STR_INIT("create"), STR_INIT("put"),
                                                   STR_INIT("patch"), STR_INIT("delete")};

enum member { MEMBER_OP, MEMBER_ID, MEMBER_INTEGRATION, MEMBER_PATCH, MEMBER_IF_MATCH, MEMBERS };
static const struct str member_names[MEMBERS] = {STR_INIT("op"), STR_INIT("id"),
                                                 STR_INIT("integration"), STR_INIT("patch"),
                                                 STR_INIT("if_match")};

/* ---- faults ---- */

void batch_add_fault(struct batch *batch, const char *message, const char *type)
{
    faults_add(batch->faults, &batch->place, str_from(message), type);
}

void batch_add_member_fault(struct batch *batch, const char *member, const char *message,
                            const char *type)
{
    struct fault_place place = fault_place_member(&batch->place, str_from(member));
    faults_add(batch->faults, &place, str_from(message), type);
}

/* ---- parsing ---- */

static bool read_kind(struct batch *batch, const struct json_member *member, enum batch_kind *kind)
{
    if (!member->present) {
        batch_add_member_fault(batch, "op", "field required", "value_error.missing");
        return false;
    }
    struct str text = member->value.text;
    for (*kind = BATCH_CREATE; *kind < BATCH_KINDS; (*kind)++)
        if (member->value.kind == JSON_STRING && text.len == kind_names[*kind].len + 2 &&
            memcmp(text.data + 1, kind_names[*kind].data, text.len - 2) == 0)
            return true;
    batch_add_member_fault(batch, "op", "value is not one of create, put, patch, delete",
                           "value_error.const");
    return false;
}

/* Reads a string; leaves it empty if the member is absent, and returns false if it is not a
 * string. */
static bool read_string(struct batch *batch, const struct json_member *member, const char *name,
                        struct str *text)
{
    *text = STR("");
    if (!member->present)
        return true;
    if (member->value.kind != JSON_STRING || (member->value.flaws & JSON_FLAW_SURROGATE) != 0) {
        batch_add_member_fault(batch, name, "str type expected", "type_error.str");
        return false;
    }
    *text = json_decode_string(batch->arena, member->value.text);
    return true;
}

static void read_if_match(struct batch *batch, const struct json_member *member,
                          struct batch_operation *operation)
{
    struct http_tag tag;
    struct str text;
    if (!read_string(batch, member, "if_match", &text) || !member->present)
        return;
    if (http_next_tag(&text, &tag) && text.len == 0)
        operation->if_version = conditions_version(batch->call, tag.opaque);
    if (operation->if_version.revision == 0 || !conditions_is_version(operation->if_version))
        batch_add_member_fault(batch, "if_match", "value is no ETag of an integration",
                               "value_error.etag");
}

/* Copies an integration that was read successfully into the change. */
void batch_take_outcome(struct batch *batch, enum integration_outcome outcome,
                        const struct integration *integration, struct store_change *change)
{
    if (outcome == INTEGRATION_OK) {
        change->id = integration->id;
        change->document = integration->document;
    } else if (outcome != INTEGRATION_INVALID) {
        batch->arena->failed = true; /* parsed before: out of memory */
    }
}

struct integration_rules batch_rules_at(const struct batch *batch, const char *member,
                                        struct str id)
{
    return (struct integration_rules){.is_json = true,
                                      .path_id = id,
                                      .place = fault_place_member(&batch->place, str_from(member))};
}

static void read_integration(struct batch *batch, const struct json_member *member,
                             struct batch_operation *operation, struct store_change *change)
{
    struct integration_rules rules = batch_rules_at(batch, "integration", operation->id);
    struct integration integration;
    if (!member->present) {
        batch_add_member_fault(batch, "integration", "field required", "value_error.missing");
        return;
    }
    batch_take_outcome(
        batch,
        integration_parse(batch->arena, member->value.text, &rules, &integration, batch->faults),
        &integration, change);
    operation->given = change->document;
    if (change->document.len > batch->call->session->app->config->max_body_bytes)
        batch_add_fault(batch, "the integration would become too large", "value_error.too_large");
}

/* Reads the members of an operation other than its kind and id. */
static void read_content(struct batch *batch, const struct json_member members[MEMBERS],
                         struct batch_operation *operation, struct store_change *change)
{
    bool has_id = operation->id.len > 0;
    if (operation->kind == BATCH_CREATE && members[MEMBER_IF_MATCH].present)
        batch_add_member_fault(batch, "if_match", "what is created has no ETag yet",
                               "value_error.etag");
    else
        read_if_match(batch, &members[MEMBER_IF_MATCH], operation);
    if (operation->kind == BATCH_CREATE || operation->kind == BATCH_PUT)
        read_integration(batch, &members[MEMBER_INTEGRATION], operation, change);
    else if (!integration_id_is_valid(operation->id))
        batch_add_member_fault(batch, "id",
                               has_id ? "no integration can have this id" : "field required",
                               has_id ? "value_error.id" : "value_error.missing");
    if (operation->kind == BATCH_PATCH && !members[MEMBER_PATCH].present)
        batch_add_member_fault(batch, "patch", "field required", "value_error.missing");
    operation->patch = members[MEMBER_PATCH].value.text;
}

static void read_operation(struct batch *batch, struct str text, struct batch_operation *operation,
                           struct store_change *change)
{
    static const enum store_operation operations[BATCH_KINDS] = {[BATCH_CREATE] = STORE_CREATE,
                                                                 [BATCH_PUT] = STORE_REPLACE,
                                                                 [BATCH_PATCH] = STORE_REPLACE,
                                                                 [BATCH_DELETE] = STORE_REMOVE};
    struct json_member members[MEMBERS];
    struct json_value root;
    struct json_error error;
    *operation = (struct batch_operation){.id = STR("")};
    *change = (struct store_change){.id = STR("")};
    for (size_t i = 0; i < MEMBERS; i++)
        members[i].name = member_names[i];
    if (json_scan(batch->arena, text, &root, members, MEMBERS, &error) != JSON_OK) {
        batch->arena->failed = true; /* valid JSON, parsed before: out of memory */
        return;
    }
    if (root.kind != JSON_OBJECT) {
        batch_add_fault(batch, "value is not a valid dict", "type_error.dict");
        return;
    }
    if (!read_kind(batch, &members[MEMBER_OP], &operation->kind) ||
        !read_string(batch, &members[MEMBER_ID], "id", &operation->id))
        return;
    change->operation = operations[operation->kind];
    change->id = operation->id;
    read_content(batch, members, operation, change);
}

/* Finds the list of operations; if there is none, adds a fault or answers with an error. */
static bool read_list(struct batch *batch, struct json_value *list)
{
    const struct http_request *request = batch->call->request;
    struct integration_rules rules = {.is_json = http_content_type_is_json(request->content_type)};
    struct json_member member = {.name = STR("operations")};
    struct json_value root;
    if (!answer_outcome(batch->call, integration_read_object(batch->arena, request->body, &rules,
                                                             &root, &member, 1, batch->faults)))
        return false;
    if (!member.present)
        batch_add_fault(batch, "field required", "value_error.missing");
    else if (member.value.kind != JSON_ARRAY)
        batch_add_fault(batch, "value is not a valid list", "type_error.list");
    *list = member.value;
    return batch->faults->len == 0;
}

/* Counts the operations; returns false if there are too many. */
static bool count_operations(struct batch *batch, const struct json_value *list)
{
    struct str rest = list->text;
    struct str name;
    struct str element;
    while (batch->len <= OPERATIONS_MAX && json_walk_next(&rest, &name, &element))
        batch->len++;
    if (batch->len > OPERATIONS_MAX)
        batch_add_fault(batch, "ensure this value has at most 1000 items",
                        "value_error.list.max_items");
    return batch->len <= OPERATIONS_MAX;
}

void batch_set_place(struct batch *batch, size_t at)
{
    batch->place = fault_place_number(&batch->list_place, at);
}

/* Parses all operations. Returns false on faults or lack of memory. */
bool batch_read(struct batch *batch)
{
    struct json_value list;
    struct str name;
    struct str element;
    if (!read_list(batch, &list) || !count_operations(batch, &list))
        return false;
    size_t room = batch->len + 1; /* never zero bytes */
    batch->operations = arena_alloc(batch->arena, room * sizeof *batch->operations);
    batch->changes = arena_alloc(batch->arena, room * sizeof *batch->changes);
    if (batch->arena->failed)
        return false;
    struct str rest = list.text;
    for (size_t i = 0; json_walk_next(&rest, &name, &element); i++) {
        batch_set_place(batch, i);
        read_operation(batch, element, &batch->operations[i], &batch->changes[i]);
        batch->changes[i].if_version = batch->operations[i].if_version;
    }
    return batch->faults->len == 0 && !batch->arena->failed;
}
