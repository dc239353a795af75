/* SPDX-License-Identifier: MIT
 *
 * POST /integrations:batch: {"operations":[…]}, executed together or not at all. Each operation
 * corresponds to the single request of the same name, and sees the effect of those before it:
 *   {"op":"create","integration":{…}}
 *   {"op":"put","integration":{…},"if_match":"\"7-1764287654123456\""}
 *   {"op":"patch","id":"…","patch":{…},"if_match":…}
 *   {"op":"delete","id":"…","if_match":…} */
#include "app/batch.h"

#include "app/admission.h"
#include "app/answer.h"
#include "app/conditions.h"
#include "app/handlers.h"
#include "app/settings.h"
#include "base/clock.h"
#include "base/text.h"

enum { PATCHED_MAX = 8 /* total size of patched documents, in units of MAX_BODY_BYTES */ };

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
    struct batch_operation *operation = &batch->operations[at];
    struct store_record record;
    if (earlier != NULL) {
        buffer_append_str(document, earlier->document);
        return earlier->operation == STORE_REMOVE ? STORE_NOT_FOUND : STORE_OK;
    }
    enum store_status status =
        call_get_to_change(batch->call, batch->changes[at].id, fresh, &record, document);
    if (status != STORE_OK)
        return status;
    bool any = operation->if_version.revision == 0;
    struct store_version version = store_record_version(&record);
    operation->guarded = !fresh || any; /* the document may be outdated */
    batch->changes[at].if_version = version;
    return any || store_version_equal(operation->if_version, version) ? STORE_OK : STORE_CHANGED;
}

/* Puts a document into a change, stored texts in the place of their masks. */
static void unmask(struct batch *batch, size_t at, struct str stored, const char *member,
                   struct str document)
{
    const struct call *call = batch->call;
    struct str wrong = {NULL, 0};
    batch_set_place(batch, at);
    switch (service_unmask(&call->session->service, &call->caller, stored, &batch->patched,
                           &document, &wrong)) {
    case SERVICE_UNMASKED:
        batch->changes[at].document = document;
        break;
    case SERVICE_MASK_WRONG:
        batch_add_member_fault(batch, member, call_mask_fault, "value_error.mask");
        break;
    case SERVICE_UNMASKING_FAILED:
        batch->arena->failed = true;
        break;
    }
}

static void apply_patch(struct batch *batch, size_t at, struct str document)
{
    const struct batch_operation *operation = &batch->operations[at];
    struct store_change *change = &batch->changes[at];
    struct integration integration = {0};
    struct arena scratch = {0};
    size_t most = batch->call->session->app->config->max_body_bytes;
    batch_set_place(batch, at);
    struct integration_rules rules = batch_rules_at(batch, "patch", operation->id);
    enum integration_outcome outcome = integration_patch(&scratch, document, operation->patch,
                                                         &rules, &integration, batch->faults);
    integration.id = operation->id;
    integration.document = arena_copy(&batch->patched, integration.document);
    batch_take_outcome(batch, outcome, &integration, change);
    arena_release(&scratch);
    if (outcome == INTEGRATION_OK)
        unmask(batch, at, document, "patch", change->document);
    batch->patched_len += change->document.len;
    if (change->document.len > most || batch->patched_len > PATCHED_MAX * most)
        batch_add_member_fault(batch, "patch", "the integrations would become too large",
                               "value_error.too_large");
}

/* Whether what an operation stores depends on what is stored. */
static bool is_derived(const struct batch *batch, const struct batch_operation *operation)
{
    return operation->kind == BATCH_PATCH ||
           (operation->kind == BATCH_PUT &&
            service_has_masks(&batch->call->caller, operation->given));
}

/* Puts what an operation stores into its change. */
static void derive(struct batch *batch, size_t at, struct str document)
{
    if (batch->operations[at].kind == BATCH_PATCH) {
        apply_patch(batch, at, document);
        return;
    }
    unmask(batch, at, document, "integration", batch->operations[at].given);
    if (batch->changes[at].document.len > batch->call->session->app->config->max_body_bytes)
        batch_add_member_fault(batch, "integration", "the integration would become too large",
                               "value_error.too_large");
}

/* Replaces patches, and documents with masks, by the resulting documents. On failure, *failed is
 * the operation at fault. */
static enum store_status apply_patches(struct batch *batch, bool fresh, size_t *failed)
{
    for (size_t i = 0; i < batch->len; i++) {
        struct buffer document = {0};
        if (batch->operations[i].kind == BATCH_CREATE)
            unmask(batch, i, (struct str){NULL, 0}, "integration", batch->operations[i].given);
        if (!is_derived(batch, &batch->operations[i]))
            continue;
        *failed = i;
        enum store_status status = find_document(batch, i, fresh, &document);
        if (status == STORE_OK && document.len > 0) /* else an earlier patch had faults */
            derive(batch, i, buffer_str(&document));
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

/* Checks the settings of what is to be stored. */
static void check_settings(struct batch *batch)
{
    static const char *const members[BATCH_KINDS] = {
        [BATCH_CREATE] = "integration", [BATCH_PUT] = "integration", [BATCH_PATCH] = "patch"};
    for (size_t i = 0; i < batch->len; i++) {
        const char *member = members[batch->operations[i].kind];
        if (member == NULL)
            continue;
        batch_set_place(batch, i);
        struct fault_place place = fault_place_member(&batch->place, str_from(member));
        settings_check(batch->call, batch->changes[i].id, batch->changes[i].document, &place,
                       batch->faults);
    }
}

/* ---- answering ---- */

static void answer_results(const struct batch *batch, const struct store_batch *made)
{
    static const unsigned statuses[BATCH_KINDS] = {
        [BATCH_CREATE] = 201, [BATCH_PUT] = 200, [BATCH_PATCH] = 200, [BATCH_DELETE] = 204};
    struct buffer *body = answer_json(batch->call, 200);
    buffer_append_str(body, STR("{\"results\":["));
    for (size_t i = 0; i < batch->len; i++) {
        enum batch_kind kind = batch->operations[i].kind;
        buffer_append_str(body, i == 0 ? STR("{\"status\":") : STR(",{\"status\":"));
        buffer_append_u64(body, statuses[kind]);
        buffer_append_str(body, STR(",\"id\":"));
        text_append_json(body, batch->changes[i].id);
        if (kind != BATCH_DELETE && made->made_us != 0) {
            uint64_t revision = made->revision - (batch->len - 1 - i);
            buffer_append_str(body, STR(",\"etag\":\"\\\""));
            conditions_append_tag(batch->call, body,
                                  (struct store_version){revision, made->made_us});
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
    batch_set_place(batch, made->failed);
    if (status == STORE_NOT_FOUND)
        batch_add_fault(batch, "not found", "value_error.not_found");
    else if (status == STORE_EXISTS)
        batch_add_fault(batch, "integration id already exists", "value_error.exists");
    else if (status == STORE_CHANGED)
        batch_add_fault(batch, "the integration has been changed meanwhile", "value_error.changed");
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
    for (size_t i = 0; i < batch->len; i++)
        if (is_derived(batch, &batch->operations[i]))
            batch->changes[i].document = (struct str){NULL, 0}; /* it was in there */
    enum store_status status = apply_patches(batch, fresh, &made->failed);
    if (status == STORE_OK && batch->faults->len == 0)
        check_settings(batch);
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
        if (batch->operations[i].kind != BATCH_CREATE &&
            batch->operations[i].if_version.revision == 0 &&
            find_earlier(batch, i) == NULL) /* otherwise its tag cannot be known yet */
            return batch->call->session->app->config->require_if_match;
    return false;
}

/* Whether the key may deal with all integrations; if not, answers. */
static bool covers_all(const struct batch *batch)
{
    for (size_t i = 0; i < batch->len; i++)
        if (!admission_covers(batch->call, batch->changes[i].id))
            return false;
    return true;
}

static void answer_made(struct batch *batch, enum store_status status,
                        const struct store_batch *made)
{
    if (batch->faults->len > 0) {
        answer_faults(batch->call, 422);
    } else if (status == STORE_OK) {
        if (batch->len > 0)
            call_tell_change(batch->call, made);
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
    if (!batch_read(&batch)) {
        if (batch.faults->len > 0)
            answer_faults(call, 422);
        return;
    }
    struct store_version version;
    if (!covers_all(&batch) || !conditions_read_list(call, &version, &batch.if_store))
        return;
    if (lacks_condition(&batch)) {
        answer_error(call, 428, STR("if_match is required in each operation"));
        return;
    }
    bool again = false;
    /* A replica may not know yet what a mask stands for that was read elsewhere. */
    bool fresh = service_has_masks(&call->caller, call->request->body);
    enum store_status status = make_changes(&batch, fresh, &made, &again);
    while (again)
        status = make_changes(&batch, true, &made, &again);
    answer_made(&batch, status, &made);
    arena_release(&batch.patched);
}
