/* SPDX-License-Identifier: MIT */
#include "app/admission.h"
#include "app/answer.h"
#include "app/conditions.h"
#include "app/handlers.h"
#include "app/query.h"
#include "app/settings.h"
#include "base/clock.h"
#include "model/integration.h"

/* Replaces the document in the body by the selected members. */
static void choose_fields(const struct call *call, const struct query *query,
                          struct store_record *record, struct buffer *body)
{
    if (query->fields == 0)
        return;
    record->document = arena_copy(&call->session->arena, buffer_str(body));
    buffer_reset(body, SIZE_MAX);
    query_append(call, query, record, &call->session->arena, body);
}

void handle_get(const struct call *call)
{
    struct store_record record;
    struct query query = {0};
    if (!query_read(call, QUERY_OF_ONE, &query))
        return;
    struct store_read read = call_read(call);
    struct buffer *body = answer_json(call, 200);
    enum store_status status = STORE_NOT_FOUND;
    read.known = conditions_known(call);
    if (integration_id_is_valid(call->id)) {
        status =
            service_get(&call->session->service, &call->caller, call->id, &read, &record, body);
        call_tell_state(call, &read, status);
    }
    if (status != STORE_OK) {
        answer_failure(call, status);
        return;
    }
    struct store_version version = store_record_version(&record);
    conditions_tell(call, version, record.updated_us);
    if (conditions_refuse(call, version, record.updated_us))
        return;
    if (conditions_has(call, version, record.updated_us))
        answer_not_modified(call);
    else
        choose_fields(call, &query, &record, body);
}

/* ---- changes ---- */

static enum store_status make_change(const struct call *call, const struct store_change *change,
                                     const struct store_version *if_store)
{
    struct store_batch batch = {.changes = change, .len = 1, .if_store = if_store};
    enum store_status status = service_change(&call->session->service, &call->caller, &batch);
    if (status == STORE_OK) {
        call_tell_change(call, &batch);
        if (change->operation != STORE_REMOVE && batch.made_us != 0)
            conditions_tell(call, (struct store_version){batch.revision, batch.made_us},
                            batch.made_us);
    } else if (status == STORE_CHANGED ||
               (status == STORE_EXISTS && call->request->method == HTTP_PUT)) {
        conditions_tell(call, batch.found, 0);
        status = STORE_CHANGED;
    }
    return status;
}

/* Adds the Location of the new integration. */
static void tell_location(const struct call *call, struct str id)
{
    struct str path = http_target_path(call->request->target);
    struct buffer location = {0};
    http_append_uri(&location, call->request->prefix);
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    http_append_uri(&location, path);
    if (call->request->method == HTTP_POST) {
        buffer_append_char(&location, '/');
        http_append_segment(&location, id);
    }
    answer_header(call, STR("Location"), &location);
}

/* Makes the change, and answers with the resulting integration. */
static enum store_status write(const struct call *call, const struct store_change *change,
                               const struct store_version *if_store)
{
    bool creates = change->operation == STORE_CREATE;
    /* Build the answer first: after the commit, running out of memory must not fail the request. */
    struct buffer *body = answer_json(call, creates ? 201 : 200);
    buffer_reset(body, SIZE_MAX);
    enum store_status status =
        service_mask(&call->session->service, &call->caller, change->document, body);
    if (status != STORE_OK || body->failed)
        return STORE_AWAY;
    status = make_change(call, change, if_store);
    if (status == STORE_OK && creates)
        tell_location(call, change->id);
    return status;
}

static void answer_unmade(const struct call *call, enum store_status status)
{
    if (status == STORE_CHANGED)
        conditions_answer_changed(call);
    else
        answer_failure(call, status);
}

static struct integration_rules rules_of(const struct call *call)
{
    return (struct integration_rules){
        .is_json = http_content_type_is_json(call->request->content_type), .path_id = call->id};
}

/* Whether the integration could be written back; if not, answers with the error. An escape is
 * longer than some of what it stands for. */
static bool has_room(const struct call *call, const struct integration *integration)
{
    bool fits = integration->document.len <= call->session->app->config->max_body_bytes;
    if (!fits)
        answer_error(call, 413, STR("The integration would become too large"));
    return fits;
}

/* Parses the request body as an integration; if it is invalid, answers with the error. */
static bool read_integration(const struct call *call, struct integration *integration)
{
    struct integration_rules rules = rules_of(call);
    struct app_session *session = call->session;
    return answer_outcome(call, integration_parse(&session->arena, call->request->body, &rules,
                                                  integration, &session->faults)) &&
           has_room(call, integration);
}

/* Puts stored texts in the place of their masks; `stored` empty: nothing is stored. If that cannot
 * be done, answers with the error. */
static bool unmask(const struct call *call, struct str stored, struct arena *arena,
                   struct integration *integration)
{
    struct app_session *session = call->session;
    struct str member = {NULL, 0};
    enum service_unmasking unmasking = service_unmask(&session->service, &call->caller, stored,
                                                      arena, &integration->document, &member);
    if (unmasking == SERVICE_UNMASKED)
        return has_room(call, integration);
    if (unmasking == SERVICE_UNMASKING_FAILED) {
        answer_failure(call, STORE_AWAY);
        return false;
    }
    const struct fault_place body = {.root = "body"};
    struct fault_place settings = fault_place_member(&body, STR("settings"));
    struct fault_place place = fault_place_member(&settings, arena_copy(&session->arena, member));
    faults_add(&session->faults, &place, str_from(call_mask_fault), "value_error.mask");
    answer_faults(call, 422);
    return false;
}

/* Whether the settings are what their provider needs; if not, answers with the faults. */
static bool has_fit_settings(const struct call *call, const struct integration *integration)
{
    const struct fault_place body = {.root = "body"};
    struct faults *faults = &call->session->faults;
    settings_check(call, integration->id, integration->document, &body, faults);
    if (faults->len > 0)
        answer_faults(call, 422);
    return faults->len == 0;
}

void handle_create(const struct call *call)
{
    struct integration integration;
    struct store_version version;
    const struct store_version *if_store;
    if (!read_integration(call, &integration) || !admission_covers(call, integration.id) ||
        !unmask(call, (struct str){NULL, 0}, &call->session->arena, &integration) ||
        !has_fit_settings(call, &integration) || !conditions_read_list(call, &version, &if_store))
        return;
    struct store_change change = {STORE_CREATE, integration.id, integration.document, {0}};
    enum store_status status = write(call, &change, if_store);
    if (status != STORE_OK)
        answer_unmade(call, status);
}

/* ---- changes of what is stored ---- */

/* Makes of the body, and of what is stored, what is to be stored. If the body is at fault, answers
 * with the error. */
static bool derive(const struct call *call, struct arena *scratch, struct str stored,
                   struct integration *integration)
{
    struct faults *faults = &call->session->faults;
    struct str body = call->request->body;
    struct integration_rules rules = rules_of(call);
    enum integration_outcome outcome =
        call->request->method == HTTP_PATCH
            ? integration_patch(scratch, stored, body, &rules, integration, faults)
            : integration_parse(scratch, body, &rules, integration, faults);
    return answer_outcome(call, outcome) && has_room(call, integration) &&
           unmask(call, stored, scratch, integration) && has_fit_settings(call, integration);
}

/* Applies the body to the stored document, and writes the result unless the document has changed in
 * between (STORE_CHANGED). If the body is at fault, answers with the error and sets *answered. */
static enum store_status change_once(const struct call *call, struct arena *scratch, bool fresh,
                                     struct store_version if_version, bool *answered)
{
    struct app_session *session = call->session;
    struct buffer *body = &session->response.body;
    struct integration integration;
    struct store_record record;
    buffer_reset(body, SIZE_MAX); /* discard what an earlier attempt left */
    enum store_status status = call_get_to_change(call, call->id, fresh, &record, body);
    if (status != STORE_OK)
        return status;
    struct str document = arena_copy(scratch, buffer_str(body));
    buffer_reset(body, SIZE_MAX);
    if (document.data == NULL)
        return STORE_AWAY;
    struct store_version version = store_record_version(&record);
    if (if_version.revision != 0 && !store_version_equal(if_version, version)) {
        conditions_tell(call, version, 0);
        return STORE_CHANGED;
    }
    *answered = !derive(call, scratch, document, &integration);
    if (*answered)
        return STORE_OK;
    struct store_change change = {STORE_REPLACE, integration.id, integration.document, version};
    return write(call, &change, NULL);
}

/* Changes what is stored as the body says. */
static void change_stored(const struct call *call)
{
    struct http_response *response = &call->session->response;
    struct store_change change = {.id = call->id};
    bool answered = false;
    /* A replica may not know yet what a mask stands for that was read elsewhere. */
    bool fresh = service_has_masks(&call->caller, call->request->body);
    struct arena scratch = {0}; /* reset for each attempt */
    enum store_status status = STORE_NOT_FOUND;
    bool exists = integration_id_is_valid(call->id);
    if (exists && !conditions_read(call, &change))
        return;
    while (exists) {
        response->headers_len = 0;
        arena_reset(&scratch);
        status = change_once(call, &scratch, fresh, change.if_version, &answered);
        /* The first attempt may have read from a replica older than the client's condition. If a
         * fresh read does not satisfy the condition either, only the client can resolve the
         * conflict. */
        if (status != STORE_CHANGED || (fresh && change.if_version.revision != 0))
            break;
        if (clock_steady_ns() > call->caller.deadline_ns) {
            status = STORE_AWAY;
            break;
        }
        fresh = true;
    }
    arena_release(&scratch);
    if (!answered && status != STORE_OK)
        answer_unmade(call, status);
}

static bool is_patch(struct str content_type)
{
    return content_type.len == 0 ||
           http_content_type_is(content_type, STR("application/merge-patch+json")) ||
           http_content_type_is(content_type, STR("application/json"));
}

void handle_patch(const struct call *call)
{
    if (is_patch(call->request->content_type)) {
        change_stored(call);
        return;
    }
    http_response_header(&call->session->response, STR("Accept-Patch"), answer_patch_types);
    answer_error(call, 415, STR("Unsupported Media Type"));
}

void handle_replace(const struct call *call)
{
    struct integration integration;
    if (!read_integration(call, &integration))
        return;
    struct store_change change = {.operation = STORE_REPLACE, .id = integration.id};
    if (!conditions_read(call, &change))
        return;
    bool creates = change.operation == STORE_CREATE;
    if (!creates && service_has_masks(&call->caller, integration.document)) {
        change_stored(call); /* what they stand for must be looked up */
        return;
    }
    if (!unmask(call, (struct str){NULL, 0}, &call->session->arena, &integration) ||
        !has_fit_settings(call, &integration))
        return;
    change.document = integration.document;
    enum store_status status = write(call, &change, NULL);
    if (status != STORE_OK)
        answer_unmade(call, status);
}

/* ---- restoring ---- */

static void refuse_revision(const struct call *call, struct str message, const char *type)
{
    const struct fault_place body = {.root = "body"};
    struct fault_place place = fault_place_member(&body, STR("revision"));
    faults_add(&call->session->faults, &place, message, type);
    answer_faults(call, 422);
}

/* Reads which revision is asked for. If that cannot be done, answers with the error. */
static bool read_wanted(const struct call *call, uint64_t *revision)
{
    struct app_session *session = call->session;
    struct integration_rules rules = {.is_json =
                                          http_content_type_is_json(call->request->content_type)};
    struct json_member member = {.name = STR("revision")};
    struct json_value root;
    if (!answer_outcome(call, integration_read_object(&session->arena, call->request->body, &rules,
                                                      &root, &member, 1, &session->faults)))
        return false;
    if (!member.present)
        refuse_revision(call, STR("field required"), "value_error.missing");
    else if (!query_read_revision(call, &member.value, revision))
        refuse_revision(call, STR("value is no revision as the history shows them"),
                        "type_error.integer");
    return session->faults.len == 0;
}

/* Finds what the integration was after a revision. If it was nothing, answers with the error. */
static bool find_version(const struct call *call, uint64_t revision,
                         struct integration *integration)
{
    struct app_session *session = call->session;
    struct buffer document = {0};
    enum service_finding finding = SERVICE_VERSION_UNKNOWN;
    enum store_status status = service_find_version(&session->service, &call->caller, call->id,
                                                    revision, &finding, &document);
    if (status != STORE_OK)
        answer_failure(call, status);
    else if (finding == SERVICE_VERSION_UNKNOWN)
        answer_error(call, 404, STR("the integration has never had this revision"));
    else if (finding == SERVICE_VERSION_FORGOTTEN)
        answer_error(call, 410, STR("what it was after this revision is not kept any more"));
    else if (finding == SERVICE_VERSION_REMOVAL)
        refuse_revision(call, STR("this revision removed the integration: use DELETE for that"),
                        "value_error.removal");
    *integration = (struct integration){
        .id = call->id, .document = arena_copy(&session->arena, buffer_str(&document))};
    session->arena.failed |= document.failed;
    buffer_release(&document);
    return status == STORE_OK && finding == SERVICE_VERSION_FOUND && !session->arena.failed;
}

/* Replaces what is there, or creates it in its old place. */
static enum store_status write_back(const struct call *call, struct store_change *change)
{
    bool guarded = change->if_version.revision != 0;
    bool only_new = change->operation == STORE_CREATE;
    enum store_status status = only_new ? STORE_NOT_FOUND : STORE_EXISTS;
    do {
        if (status == STORE_NOT_FOUND && guarded)
            return STORE_CHANGED; /* there is nothing that has this tag */
        change->operation = status == STORE_NOT_FOUND ? STORE_RECREATE : STORE_REPLACE;
        status = write(call, change, NULL);
        if (status == STORE_EXISTS && only_new)
            return STORE_CHANGED;
        /* Others may create and remove it in between. */
    } while ((status == STORE_EXISTS || status == STORE_NOT_FOUND) &&
             clock_steady_ns() < call->caller.deadline_ns);
    return status == STORE_EXISTS || status == STORE_NOT_FOUND ? STORE_AWAY : status;
}

void handle_restore(const struct call *call)
{
    struct integration integration;
    struct store_change change = {.operation = STORE_REPLACE, .id = call->id};
    uint64_t revision = 0;
    if (!integration_id_is_valid(call->id)) {
        answer_failure(call, STORE_NOT_FOUND);
        return;
    }
    if (!read_wanted(call, &revision) || !conditions_read(call, &change) ||
        !find_version(call, revision, &integration) || !has_fit_settings(call, &integration))
        return;
    change.document = integration.document;
    enum store_status status = write_back(call, &change);
    if (status != STORE_OK)
        answer_unmade(call, status);
}

void handle_remove(const struct call *call)
{
    struct store_change change = {.operation = STORE_REMOVE, .id = call->id};
    enum store_status status = STORE_NOT_FOUND;
    if (integration_id_is_valid(call->id)) {
        if (!conditions_read(call, &change))
            return;
        status = make_change(call, &change, NULL);
    }
    if (status == STORE_OK)
        call->session->response.status = 204;
    else
        answer_unmade(call, status);
}
