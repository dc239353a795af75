/* SPDX-License-Identifier: MIT
 *
 * The operations on a store, each in one place. */
#include "service/internal.h"

#include "base/clock.h"

const char *const service_operation_names[SERVICE_OPERATIONS] = {[SERVICE_GET] = "get",
                                                                 [SERVICE_LIST] = "list",
                                                                 [SERVICE_CHANGE] = "change",
                                                                 [SERVICE_HISTORY] = "history",
                                                                 [SERVICE_READY] = "ready"};

const char *const service_outcome_names[] = {
    [STORE_OK] = "ok",           [STORE_NOT_FOUND] = "not_found", [STORE_EXISTS] = "exists",
    [STORE_CHANGED] = "changed", [STORE_FULL] = "full",           [STORE_AWAY] = "away",
    [STORE_UNKNOWN] = "unknown", [STORE_SEALED] = "sealed",       [STORE_DAMAGED] = "damaged",
    [STORE_BROKEN] = "broken"};
const size_t service_outcomes_len = ARRAY_LEN(service_outcome_names);

enum store_status service_finish(const struct service_session *session,
                                 enum service_operation operation, uint64_t started_ns,
                                 enum store_status status)
{
    if (status == STORE_BROKEN)
        atomic_store(&session->service->broken, true);
    if (session->slot != NULL)
        metrics_count_operation(session->slot, &(struct metrics_operation){
                                                   .operation = operation,
                                                   .outcome = status,
                                                   .duration_ns = clock_steady_ns() - started_ns});
    return status;
}

/* Reads a document. */
static enum store_status get(struct service_session *session, const struct service_caller *caller,
                             struct str id, struct store_read *read, struct store_record *record,
                             struct buffer *out)
{
    uint64_t started_ns = clock_steady_ns();
    size_t before = out->len;
    read->deadline_ns = caller->deadline_ns;
    enum store_status status =
        session->service->backend->get(session->store, read, id, record, out);
    if (status == STORE_OK)
        status = opening_replace(session, caller, id, record, before, out);
    return service_finish(session, SERVICE_GET, started_ns, status);
}

enum store_status service_get(struct service_session *session, const struct service_caller *caller,
                              struct str id, struct store_read *read, struct store_record *record,
                              struct buffer *out)
{
    struct buffer document = {0};
    if (!caller->masked)
        return get(session, caller, id, read, record, out);
    enum store_status status = get(session, caller, id, read, record, &document);
    out->failed |= document.failed;
    if (status == STORE_OK && document.len > 0) /* else the caller has it */
        status = service_mask(session, caller, buffer_str(&document), out);
    buffer_release(&document);
    return status;
}

enum store_status service_get_to_change(struct service_session *session,
                                        const struct service_caller *caller, struct str id,
                                        struct store_read *read, struct store_record *record,
                                        struct buffer *out)
{
    enum store_status status = get(session, caller, id, read, record, out);
    if (status != STORE_NOT_FOUND || read->fresh || !service_replicates(session->service))
        return status;
    read->fresh = true;
    return get(session, caller, id, read, record, out);
}

/* ---- lists ---- */

struct shown_visit {
    struct opening opening;
    struct masking masking;
    struct buffer opened;
    struct buffer masked;
    store_visit *visit;
    void *context;
    enum store_status status;
};

/* Opens the document of *record. One that cannot be opened is shown without its settings. */
static bool open_record(struct shown_visit *showing, struct store_record *record)
{
    if (!opening_is_needed(record->document))
        return true;
    buffer_reset(&showing->opened, SIZE_MAX);
    enum store_status status = opening_append(&showing->opening, record, &showing->opened);
    record->unreadable = status == STORE_SEALED || status == STORE_DAMAGED;
    record->document = buffer_str(&showing->opened);
    if (showing->opened.failed || (status != STORE_OK && !record->unreadable))
        showing->status = STORE_AWAY;
    return showing->status == STORE_OK;
}

/* Masks the document of *record. Returns false if it is no integration, which an administrator may
 * have put into the database. */
static bool mask_record(struct shown_visit *showing, struct store_record *record)
{
    buffer_reset(&showing->masked, SIZE_MAX);
    enum store_status status =
        masking_append(&showing->masking, record->document, &showing->masked);
    if (status != STORE_OK && status != STORE_DAMAGED)
        showing->status = status;
    record->document = buffer_str(&showing->masked);
    return status == STORE_OK;
}

static bool visit_shown(void *context, const struct store_record *record)
{
    struct shown_visit *showing = context;
    struct store_record shown = *record;
    if (!open_record(showing, &shown))
        return false;
    if (showing->masking.wanted && !mask_record(showing, &shown))
        return showing->status == STORE_OK;
    return showing->visit(showing->context, &shown);
}

static enum store_status begin_showing(struct shown_visit *showing, struct service_session *session,
                                       const struct service_caller *caller)
{
    enum store_status status = masking_open(&showing->masking, session, caller);
    if (status != STORE_OK)
        return status;
    status = opening_open(&showing->opening, session, caller);
    if (status != STORE_OK)
        masking_close(&showing->masking);
    return status;
}

enum store_status service_list(struct service_session *session, const struct service_caller *caller,
                               struct store_read *read, store_visit *visit, void *context)
{
    uint64_t started_ns = clock_steady_ns();
    struct shown_visit showing = {.visit = visit, .context = context};
    read->deadline_ns = caller->deadline_ns;
    enum store_status status = begin_showing(&showing, session, caller);
    if (status != STORE_OK)
        return service_finish(session, SERVICE_LIST, started_ns, status);
    status = session->service->backend->each(session->store, read, visit_shown, &showing);
    if (status == STORE_OK)
        status = showing.status;
    opening_close(&showing.opening);
    masking_close(&showing.masking);
    buffer_release(&showing.opened);
    buffer_release(&showing.masked);
    return service_finish(session, SERVICE_LIST, started_ns, status);
}

/* ---- the others ---- */

enum store_status service_change(struct service_session *session,
                                 const struct service_caller *caller, struct store_batch *batch)
{
    uint64_t started_ns = clock_steady_ns();
    if (started_ns >= caller->deadline_ns) /* it waited for a thread, or its process was frozen */
        return service_finish(session, SERVICE_CHANGE, started_ns, STORE_AWAY);
    batch->author = caller->author;
    batch->deadline_ns = caller->deadline_ns;
    return service_finish(session, SERVICE_CHANGE, started_ns,
                          session->service->backend->change(session->store, batch));
}

/* Checks that the replica is recent enough to serve from. */
static enum store_status judge_replica(struct service_session *session)
{
    struct store_stats stats;
    enum store_status status = service_stats(session, &stats);
    if (status != STORE_OK)
        return status;
    return stats.age_ms <= session->service->config->max_staleness_ms ? STORE_OK : STORE_AWAY;
}

enum store_status service_ready(struct service_session *session,
                                const struct service_caller *caller)
{
    const struct service *service = session->service;
    uint64_t started_ns = clock_steady_ns();
    if (service_replicates(service) && service->config->readiness_policy == READINESS_SERVE_STALE)
        return judge_replica(session);
    return service_finish(session, SERVICE_READY, started_ns,
                          service->backend->ready(session->store, caller->deadline_ns));
}

enum store_status service_stats(struct service_session *session, struct store_stats *stats)
{
    enum store_status status = session->service->backend->stats(session->store, stats);
    if (status == STORE_BROKEN)
        atomic_store(&session->service->broken, true);
    return status;
}

enum store_status service_reseal(struct service_session *session,
                                 const struct service_caller *caller,
                                 struct store_resealing *resealing)
{
    resealing->deadline_ns = caller->deadline_ns;
    return session->service->backend->reseal(session->store, resealing);
}

enum store_status service_holdings(struct service_session *session, struct store_read *read,
                                   struct store_holding list[VAULT_KEYS_MAX], size_t *len)
{
    return session->service->backend->holdings(session->store, read, list, len);
}

bool service_replicates(const struct service *service)
{
    return service->backend->replicates;
}

static bool see_enough(void *context, const struct store_record *record)
{
    (void)context;
    (void)record;
    return false;
}

struct newness {
    uint64_t revision;
    bool has_newer;
};

static bool look_for_newer(void *context, const struct store_record *record)
{
    struct newness *newness = context;
    newness->has_newer = record->revision > newness->revision;
    return !newness->has_newer;
}

bool service_has_newer(struct service_session *session, const struct str *ids, size_t ids_len,
                       uint64_t revision)
{
    struct newness newness = {.revision = revision};
    struct store_read read = {.ids = ids, .ids_len = ids_len};
    return session->service->backend->each(session->store, &read, look_for_newer, &newness) ==
               STORE_OK &&
           newness.has_newer;
}

enum store_status service_version(struct service_session *session, struct store_version *version)
{
    struct store_read read = {.deadline_ns = UINT64_MAX};
    enum store_status status =
        session->service->backend->each(session->store, &read, see_enough, NULL);
    *version = read.version;
    return status;
}

struct event *service_commits(struct service *service)
{
    return service->backend->commits(service->store);
}
