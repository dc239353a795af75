/* SPDX-License-Identifier: MIT
 *
 * POST /integrations:batch: {"operations":[…]}, executed together or not at all. Each operation
 * corresponds to the single request of the same name, and sees the effect of those before it:
 *   {"op":"create","integration":{…}}
 *   {"op":"put","integration":{…},"if_match":"\"7-1764287654123456\""}
 *   {"op":"patch","id":"…","patch":{…},"if_match":…}
 *   {"op":"delete","id":"…","if_match":…} */
#include "app/answer.h"
#include "app/conditions.h"
#include "app/handlers.h"
#include "base/clock.h"
#include "base/text.h"
#include "model/integration.h"
#include "model/json.h"
#include "model/json_walk.h"

enum {
    OPERATIONS_MAX = 1000,
    PATCHED_MAX = 8 /* total size of patched documents, in units of MAX_BODY_BYTES */
};

enum kind { CREATE, PUT, PATCH, DELETE, KINDS };
static const struct str kind_names[KINDS] = {STR_INIT("create"), STR_INIT("put"), STR_INIT("patch"),
                                             STR_INIT("delete")};

enum member { MEMBER_OP, MEMBER_ID, MEMBER_INTEGRATION, MEMBER_PATCH, MEMBER_IF_MATCH, MEMBERS };
static const struct str member_names[MEMBERS] = {STR_INIT("op"), STR_INIT("id"),
                                                 STR_INIT("integration"), STR_INIT("patch"),
                                                 STR_INIT("if_match")};

struct operation_read {
    enum kind kind;
    struct str id;
    struct str patch;
    struct store_version if_version; /* required by the client; all zeros: any */
    bool guarded; /* the change's if_version is that of the document that was patched */
};

struct batch {
    const struct call *call;
    struct arena *arena;
    struct arena patched; /* documents produced by patches; reset for each attempt */
    size_t patched_len;
    struct operation_read *operations;
    struct store_change *changes;
    size_t len;
    const struct store_version *if_store; /* that the store must still have; NULL: any */
    struct faults *faults;
    struct fault_place list_place; /* of the list of operations */
    struct fault_place place;      /* of the current operation */
};

/* ---- faults ---- */

static void add_fault(struct batch *batch, const char *message, const char *type)
{
    faults_add(batch->faults, &batch->place, str_from(message), type);
}

static void add_member_fault(struct batch *batch, const char *member, const char *message,
                             const char *type)
{
    struct fault_place place = fault_place_member(&batch->place, str_from(member));
    faults_add(batch->faults, &place, str_from(message), type);
}

/* ---- parsing ---- */

static bool read_kind(struct batch *batch, const struct json_member *member, enum kind *kind)
{
    if (!member->present) {
        add_member_fault(batch, "op", "field required", "value_error.missing");
        return false;
    }
    struct str text = member->value.text;
    for (*kind = CREATE; *kind < KINDS; (*kind)++)
        if (member->value.kind == JSON_STRING && text.len == kind_names[*kind].len + 2 &&
            memcmp(text.data + 1, kind_names[*kind].data, text.len - 2) == 0)
            return true;
    add_member_fault(batch, "op", "value is not one of create, put, patch, delete",
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
        add_member_fault(batch, name, "str type expected", "type_error.str");
        return false;
    }
    *text = json_decode_string(batch->arena, member->value.text);
    return true;
}

static void read_if_match(struct batch *batch, const struct json_member *member,
                          struct operation_read *operation)
{
    struct http_tag tag;
    struct str text;
    if (!read_string(batch, member, "if_match", &text) || !member->present)
        return;
    if (http_next_tag(&text, &tag) && text.len == 0)
        operation->if_version = conditions_version(tag.opaque);
    if (operation->if_version.revision == 0 || !conditions_is_version(operation->if_version))
        add_member_fault(batch, "if_match", "value is no ETag of an integration",
                         "value_error.etag");
}

/* Copies an integration that was read successfully into the change. */
static void take_outcome(struct batch *batch, enum integration_outcome outcome,
                         const struct integration *integration, struct store_change *change)
{
    if (outcome == INTEGRATION_OK) {
        change->id = integration->id;
        change->document = integration->document;
        if (integration->document.len > batch->call->session->app->config->max_body_bytes)
            add_fault(batch, "the integration would become too large", "value_error.too_large");
    } else if (outcome != INTEGRATION_INVALID) {
        batch->arena->failed = true; /* parsed before: out of memory */
    }
}

static struct integration_rules rules_at(const struct batch *batch, const char *member,
                                         struct str id)
{
    return (struct integration_rules){.is_json = true,
                                      .path_id = id,
                                      .place = fault_place_member(&batch->place, str_from(member))};
}

static void read_integration(struct batch *batch, const struct json_member *member,
                             const struct operation_read *operation, struct store_change *change)
{
    struct integration_rules rules = rules_at(batch, "integration", operation->id);
    struct integration integration;
    if (!member->present) {
        add_member_fault(batch, "integration", "field required", "value_error.missing");
        return;
    }
    take_outcome(
        batch,
        integration_parse(batch->arena, member->value.text, &rules, &integration, batch->faults),
        &integration, change);
}

/* Reads the members of an operation other than its kind and id. */
static void read_content(struct batch *batch, const struct json_member members[MEMBERS],
                         struct operation_read *operation, struct store_change *change)
{
    bool has_id = operation->id.len > 0;
    if (operation->kind == CREATE && members[MEMBER_IF_MATCH].present)
        add_member_fault(batch, "if_match", "what is created has no ETag yet", "value_error.etag");
    else
        read_if_match(batch, &members[MEMBER_IF_MATCH], operation);
    if (operation->kind == CREATE || operation->kind == PUT)
        read_integration(batch, &members[MEMBER_INTEGRATION], operation, change);
    else if (!integration_id_is_valid(operation->id))
        add_member_fault(batch, "id", has_id ? "no integration can have this id" : "field required",
                         has_id ? "value_error.id" : "value_error.missing");
    if (operation->kind == PATCH && !members[MEMBER_PATCH].present)
        add_member_fault(batch, "patch", "field required", "value_error.missing");
    operation->patch = members[MEMBER_PATCH].value.text;
}

static void read_operation(struct batch *batch, struct str text, struct operation_read *operation,
                           struct store_change *change)
{
    static const enum store_operation operations[KINDS] = {[CREATE] = STORE_CREATE,
                                                           [PUT] = STORE_REPLACE,
                                                           [PATCH] = STORE_REPLACE,
                                                           [DELETE] = STORE_REMOVE};
    struct json_member members[MEMBERS];
    struct json_value root;
    struct json_error error;
    *operation = (struct operation_read){.id = STR("")};
    *change = (struct store_change){.id = STR("")};
    for (size_t i = 0; i < MEMBERS; i++)
        members[i].name = member_names[i];
    if (json_scan(batch->arena, text, &root, members, MEMBERS, &error) != JSON_OK) {
        batch->arena->failed = true; /* valid JSON, parsed before: out of memory */
        return;
    }
    if (root.kind != JSON_OBJECT) {
        add_fault(batch, "value is not a valid dict", "type_error.dict");
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
        add_fault(batch, "field required", "value_error.missing");
    else if (member.value.kind != JSON_ARRAY)
        add_fault(batch, "value is not a valid list", "type_error.list");
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
        add_fault(batch, "ensure this value has at most 1000 items", "value_error.list.max_items");
    return batch->len <= OPERATIONS_MAX;
}

static void set_place(struct batch *batch, size_t at)
{
    batch->place = fault_place_number(&batch->list_place, at);
}

/* Parses all operations. Returns false on faults or lack of memory. */
static bool read_batch(struct batch *batch)
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
        set_place(batch, i);
        read_operation(batch, element, &batch->operations[i], &batch->changes[i]);
        batch->changes[i].if_version = batch->operations[i].if_version;
    }
    return batch->faults->len == 0 && !batch->arena->failed;
}

/* ---- patches ---- */

/* The last operation before number `at` on the same integration, or NULL. */
static const struct store_change *find_earlier(const struct batch *batch, size_t at)
{
    for (size_t i = at; i-- > 0;)
        if (str_equal(batch->changes[i].id, batch->changes[at].id))
            return &batch->changes[i];
    return NULL;
}

/* Appends the document that a patch applies to: the result of an earlier operation, or else the
 * stored document. */
static enum store_status find_document(struct batch *batch, size_t at, bool fresh,
                                       struct buffer *document)
{
    const struct store_change *earlier = find_earlier(batch, at);
    struct operation_read *operation = &batch->operations[at];
    struct store_record record;
    if (earlier != NULL) {
        buffer_append_str(document, earlier->document);
        return earlier->operation == STORE_REMOVE ? STORE_NOT_FOUND : STORE_OK;
    }
    enum store_status status =
        call_get_to_change(batch->call, operation->id, fresh, &record, document);
    if (status != STORE_OK)
        return status;
    bool any = operation->if_version.revision == 0;
    struct store_version version = store_record_version(&record);
    operation->guarded = !fresh || any; /* the document may be outdated */
    batch->changes[at].if_version = version;
    return any || store_version_equal(operation->if_version, version) ? STORE_OK : STORE_CHANGED;
}

static void apply_patch(struct batch *batch, size_t at, struct str document)
{
    const struct operation_read *operation = &batch->operations[at];
    struct store_change *change = &batch->changes[at];
    struct integration integration = {0};
    struct arena scratch = {0};
    size_t most = batch->call->session->app->config->max_body_bytes;
    set_place(batch, at);
    struct integration_rules rules = rules_at(batch, "patch", operation->id);
    enum integration_outcome outcome = integration_patch(&scratch, document, operation->patch,
                                                         &rules, &integration, batch->faults);
    integration.id = operation->id;
    integration.document = arena_copy(&batch->patched, integration.document);
    take_outcome(batch, outcome, &integration, change);
    arena_release(&scratch);
    batch->patched_len += change->document.len;
    if (change->document.len > most || batch->patched_len > PATCHED_MAX * most)
        add_member_fault(batch, "patch", "the integrations would become too large",
                         "value_error.too_large");
}

/* Replaces patches by the resulting documents. On failure, *failed is the operation at fault. */
static enum store_status apply_patches(struct batch *batch, bool fresh, size_t *failed)
{
    for (size_t i = 0; i < batch->len; i++) {
        struct buffer document = {0};
        if (batch->operations[i].kind != PATCH)
            continue;
        *failed = i;
        enum store_status status = find_document(batch, i, fresh, &document);
        if (status == STORE_OK && document.len > 0) /* else an earlier patch had faults */
            apply_patch(batch, i, buffer_str(&document));
        batch->arena->failed |= document.failed | batch->patched.failed;
        buffer_release(&document);
        if (status != STORE_OK)
            return status;
        if (batch->arena->failed)
            return STORE_AWAY;
        if (batch->patched_len > PATCHED_MAX * batch->call->session->app->config->max_body_bytes)
            break;
    }
    return STORE_OK;
}

/* ---- answering ---- */

static void answer_results(const struct batch *batch, const struct store_batch *made)
{
    static const unsigned statuses[KINDS] = {
        [CREATE] = 201, [PUT] = 200, [PATCH] = 200, [DELETE] = 204};
    struct buffer *body = answer_json(batch->call, 200);
    buffer_append_str(body, STR("{\"results\":["));
    for (size_t i = 0; i < batch->len; i++) {
        enum kind kind = batch->operations[i].kind;
        buffer_append_str(body, i == 0 ? STR("{\"status\":") : STR(",{\"status\":"));
        buffer_append_u64(body, statuses[kind]);
        buffer_append_str(body, STR(",\"id\":"));
        text_append_json(body, batch->changes[i].id);
        if (kind != DELETE && made->made_us != 0) {
            uint64_t revision = made->revision - (batch->len - 1 - i);
            buffer_append_str(body, STR(",\"etag\":\"\\\""));
            conditions_append_tag(body, (struct store_version){revision, made->made_us});
            buffer_append_str(body, STR("\\\"\""));
        }
        buffer_append_char(body, '}');
    }
    buffer_append_str(body, STR("]}"));
}

/* Answers that one operation failed, so that none was executed. */
static void answer_failed(struct batch *batch, enum store_status status,
                          const struct store_batch *made)
{
    if (status == STORE_CHANGED && made->failed == batch->len) {
        conditions_tell(batch->call, made->found, 0);
        conditions_answer_changed(batch->call);
        return;
    }
    set_place(batch, made->failed);
    if (status == STORE_NOT_FOUND)
        add_fault(batch, "not found", "value_error.not_found");
    else if (status == STORE_EXISTS)
        add_fault(batch, "integration id already exists", "value_error.exists");
    else if (status == STORE_CHANGED)
        add_fault(batch, "the integration has been changed meanwhile", "value_error.changed");
    if (batch->faults->len > 0)
        answer_faults(batch->call, 409);
    else
        answer_failure(batch->call, status);
}

/* Makes the changes. Sets *again if a document has changed since a patch was applied to it. */
static enum store_status make_changes(struct batch *batch, bool fresh, struct store_batch *made,
                                      bool *again)
{
    const struct call *call = batch->call;
    *made = (struct store_batch){
        .changes = batch->changes, .len = batch->len, .if_store = batch->if_store};
    arena_reset(&batch->patched);
    batch->patched_len = 0;
    enum store_status status = apply_patches(batch, fresh, &made->failed);
    if (status == STORE_OK && batch->faults->len == 0 && batch->len > 0)
        status = service_change(&call->session->service, &call->caller, made);
    *again = status == STORE_CHANGED && made->failed < batch->len &&
             batch->operations[made->failed].guarded && batch->faults->len == 0 &&
             clock_steady_ns() < call->caller.deadline_ns;
    return status;
}

static bool lacks_condition(const struct batch *batch)
{
    for (size_t i = 0; i < batch->len; i++)
        if (batch->operations[i].kind != CREATE && batch->operations[i].if_version.revision == 0 &&
            find_earlier(batch, i) == NULL) /* otherwise its tag cannot be known yet */
            return batch->call->session->app->config->require_if_match;
    return false;
}

static void answer_made(struct batch *batch, enum store_status status,
                        const struct store_batch *made)
{
    if (batch->faults->len > 0) {
        answer_faults(batch->call, 422);
    } else if (status == STORE_OK) {
        if (batch->len > 0)
            call_tell_revision(batch->call, made->revision);
        answer_results(batch, made);
    } else {
        answer_failed(batch, status, made);
    }
}

void handle_batch(const struct call *call)
{
    struct app_session *session = call->session;
    const struct fault_place body = {.root = "body"};
    struct batch batch = {.call = call,
                          .arena = &session->arena,
                          .faults = &session->faults,
                          .list_place = fault_place_member(&body, STR("operations"))};
    struct store_batch made;
    batch.place = batch.list_place;
    if (!read_batch(&batch)) {
        if (batch.faults->len > 0)
            answer_faults(call, 422);
        return;
    }
    struct store_version version;
    if (!conditions_read_list(call, &version, &batch.if_store))
        return;
    if (lacks_condition(&batch)) {
        answer_error(call, 428, STR("if_match is required in each operation"));
        return;
    }
    bool again = false;
    enum store_status status = make_changes(&batch, false, &made, &again);
    while (again)
        status = make_changes(&batch, true, &made, &again);
    answer_made(&batch, status, &made);
    arena_release(&batch.patched);
}
