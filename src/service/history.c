/* SPDX-License-Identifier: MIT
 *
 * What integrations were before: versions, made of the changes in the log. The document that a
 * change left is the one before the next change, or the one that is there. */
#include "base/clock.h"
#include "service/internal.h"

/* A document on its way to the change that made it. */
struct left {
    struct store_record record; /* revision 0: there is none */
    struct buffer document;
};

static void take(struct left *left, const struct store_record *record)
{
    left->record = *record;
    buffer_reset(&left->document, SIZE_MAX);
    if (record->revision > 0 && record->document.data != NULL)
        buffer_append_str(&left->document, record->document);
    else
        left->record.revision = 0;
}

/* ---- all versions ---- */

struct retelling {
    struct opening opening;
    struct masking masking;
    struct buffer opened;
    uint64_t below; /* only versions with a lower revision */
    struct left left;
    struct buffer shown;
    service_visit_version *visit;
    void *context;
    bool ended; /* the visitor has had enough, or something failed */
    enum store_status status;
};

/* Appends the document that was left, as the caller may see it, to `shown`. One that cannot be
 * opened comes without its settings. */
static enum store_status append_left(struct retelling *telling)
{
    struct store_record record = telling->left.record;
    record.document = buffer_str(&telling->left.document);
    if (opening_is_needed(record.document)) {
        buffer_reset(&telling->opened, SIZE_MAX);
        enum store_status status = opening_append(&telling->opening, &record, &telling->opened);
        if (telling->opened.failed || status == STORE_AWAY)
            return STORE_AWAY;
        record.document = buffer_str(&telling->opened);
    }
    return masking_append(&telling->masking, record.document, &telling->shown);
}

/* Shows a version with the document that was left, or without one. */
static bool show(struct retelling *telling, struct service_version *version, bool has_document)
{
    if (version->revision >= telling->below)
        return true;
    buffer_reset(&telling->shown, SIZE_MAX);
    if (has_document)
        telling->status = append_left(telling);
    if (telling->status == STORE_DAMAGED) { /* no integration, which an administrator has written */
        telling->status = STORE_OK;
        return true;
    }
    if (has_document && (telling->shown.failed || telling->left.document.failed))
        telling->status = STORE_AWAY;
    version->document = buffer_str(&telling->shown);
    return telling->status == STORE_OK && telling->visit(telling->context, version);
}

/* Shows what was left by a change that is not in the log. */
static bool show_unlogged(struct retelling *telling)
{
    const struct store_record *record = &telling->left.record;
    struct service_version version = {
        .revision = record->revision,
        .at_us = record->updated_us,
        .operation = record->created_us == record->updated_us ? STORE_CREATE : STORE_REPLACE,
        .members = STR("[]")};
    return record->revision == 0 || show(telling, &version, true);
}

static bool retell(void *context, const struct store_entry *entry)
{
    struct retelling *telling = context;
    bool removes = entry->operation == STORE_REMOVE;
    bool has_document = telling->left.record.revision == entry->revision;
    struct service_version version = {entry->revision, entry->at_us,   entry->operation,
                                      entry->author,   entry->members, {NULL, 0}};
    if (entry->revision > 0 && telling->left.record.revision > entry->revision)
        telling->ended = !show_unlogged(telling);
    if (entry->revision > 0 && !telling->ended && (removes || has_document))
        telling->ended = !show(telling, &version, !removes);
    take(&telling->left, &entry->before);
    return !telling->ended;
}

enum store_status service_history(struct service_session *session,
                                  const struct service_caller *caller, struct str id,
                                  uint64_t below, service_visit_version *visit, void *context)
{
    uint64_t started_ns = clock_steady_ns();
    struct retelling telling = {
        .below = below > 0 ? below : UINT64_MAX, .visit = visit, .context = context};
    struct store_read read = {.deadline_ns = caller->deadline_ns};
    enum store_status status = opening_open(&telling.opening, session, caller);
    if (status == STORE_OK)
        status = masking_open(&telling.masking, session, caller);
    if (status == STORE_OK)
        status =
            session->service->backend->history(session->store, &read, id, below, retell, &telling);
    if (status == STORE_OK && !telling.ended)
        (void)show_unlogged(&telling);
    if (status == STORE_OK)
        status = telling.status;
    opening_close(&telling.opening);
    masking_close(&telling.masking);
    buffer_release(&telling.opened);
    buffer_release(&telling.left.document);
    buffer_release(&telling.shown);
    return service_finish(session, SERVICE_HISTORY, started_ns, status);
}

/* ---- one version ---- */

struct search {
    uint64_t revision; /* of the version sought */
    struct buffer *out;
    uint64_t newest;           /* revision of the integration; 0: nothing is known of it */
    struct store_record found; /* its place */
    bool begins;               /* the oldest change that is kept created it */
    enum service_finding finding;
};

static bool look_at(void *context, const struct store_entry *entry)
{
    struct search *search = context;
    if (search->newest == 0)
        search->newest = entry->revision > 0 ? entry->revision : entry->before.revision;
    search->begins = entry->revision > 0 && entry->before.revision == 0;
    if (entry->revision ==
        search->revision) { /* its document would have come with the one before */
        search->finding =
            entry->operation == STORE_REMOVE ? SERVICE_VERSION_REMOVAL : SERVICE_VERSION_FORGOTTEN;
    } else if (entry->before.revision == search->revision) {
        buffer_append_str(search->out, entry->before.document);
        search->found = entry->before;
        search->finding =
            entry->before.document.data != NULL ? SERVICE_VERSION_FOUND : SERVICE_VERSION_FORGOTTEN;
    }
    return search->finding == SERVICE_VERSION_UNKNOWN;
}

/* The change that the log has next after a revision. */
struct next_change {
    struct str id;
    uint64_t revision; /* 0: none */
    bool is_of_id;
};

static bool take_next(void *context, const struct store_entry *entry)
{
    struct next_change *next = context;
    next->revision = entry->revision;
    next->is_of_id = str_equal(entry->id, next->id);
    return false;
}

/* Whether a version that is not known any more has been there, of an integration that is known. */
static enum store_status look_in_log(struct service_session *session, struct store_read *read,
                                     struct str id, struct search *search)
{
    struct next_change next = {.id = id};
    read->after = search->revision - 1;
    read->wanted = 1;
    enum store_status status =
        session->service->backend->log(session->store, read, take_next, &next);
    if (next.revision == search->revision)
        search->finding = next.is_of_id ? SERVICE_VERSION_FORGOTTEN : SERVICE_VERSION_UNKNOWN;
    else /* it is in the future, or from before the log begins */
        search->finding =
            (next.revision > 0 || search->revision < search->newest) && !search->begins
                ? SERVICE_VERSION_FORGOTTEN
                : SERVICE_VERSION_UNKNOWN;
    return status;
}

enum store_status service_find_version(struct service_session *session,
                                       const struct service_caller *caller, struct str id,
                                       uint64_t revision, enum service_finding *finding,
                                       struct buffer *out)
{
    uint64_t started_ns = clock_steady_ns();
    struct store_read read = {.deadline_ns = caller->deadline_ns};
    size_t before = out->len;
    struct search search = {.revision = revision, .out = out, .finding = SERVICE_VERSION_UNKNOWN};
    *finding = SERVICE_VERSION_UNKNOWN;
    if (revision == 0)
        return STORE_OK;
    enum store_status status = session->service->backend->history(session->store, &read, id,
                                                                  revision + 1, look_at, &search);
    if (status == STORE_OK && search.finding == SERVICE_VERSION_UNKNOWN && search.newest > 0)
        status = look_in_log(session, &read, id, &search);
    if (status == STORE_OK && search.finding == SERVICE_VERSION_FOUND)
        status = opening_replace(session, caller, id, &search.found, before, out);
    *finding = search.finding;
    return service_finish(session, SERVICE_HISTORY, started_ns, status);
}

/* ---- all changes ---- */

/* Changes that one read looks at, if it looks for some only: so it ends in bounded time. */
enum { LOOKED_AT_ONCE = 10000 };

struct following {
    struct service_feed *feed;
    uint64_t seen;    /* changes */
    uint64_t visited; /* those that are asked for */
    bool has_gap;     /* changes are missing from the log */
    store_visit_entry *visit;
    void *context;
};

static bool is_of_provider(struct str id, struct str provider)
{
    return str_has_prefix(id, provider) && (id.len == provider.len || id.data[provider.len] == ':');
}

static bool is_wanted(const struct service_feed *feed, const struct store_entry *entry)
{
    return (feed->ids_len == 0 || str_is_among(entry->id, feed->ids, feed->ids_len)) &&
           (feed->provider.len == 0 || is_of_provider(entry->id, feed->provider)) &&
           (feed->operations == 0 || (feed->operations & 1U << entry->operation) != 0);
}

static bool follow(void *context, const struct store_entry *entry)
{
    struct following *following = context;
    struct service_feed *feed = following->feed;
    bool is_first = following->seen == 0 && feed->from_start;
    bool wanted = is_wanted(feed, entry);
    following->has_gap = !is_first && entry->revision != feed->next.revision + 1;
    feed->more = following->has_gap || (wanted && following->visited == feed->limit);
    if (feed->more)
        return false;
    following->seen++;
    feed->next = (struct store_version){entry->revision, entry->tag};
    if (!wanted)
        return true;
    following->visited++;
    return following->visit(following->context, entry);
}

/* Reads on until there is something that is asked for, or nothing more. *known: the version that
 * the store had where it began. */
static enum store_status follow_log(struct service_session *session, struct store_read *read,
                                    struct following *following, struct store_version *known)
{
    const struct store_backend *backend = session->service->backend;
    enum store_status status = backend->log(session->store, read, follow, following);
    uint64_t looked_at = following->seen;
    *known = read->known;
    while (status == STORE_OK && !following->feed->more && following->visited == 0 &&
           looked_at == LOOKED_AT_ONCE && clock_steady_ns() < read->deadline_ns) {
        looked_at = following->seen;
        read->after = following->feed->next.revision;
        status = backend->log(session->store, read, follow, following);
        looked_at = following->seen - looked_at;
    }
    return status;
}

enum store_status service_changes(struct service_session *session,
                                  const struct service_caller *caller, struct service_feed *feed,
                                  store_visit_entry *visit, void *context)
{
    uint64_t started_ns = clock_steady_ns();
    bool all = feed->ids_len == 0 && feed->provider.len == 0 && feed->operations == 0;
    struct following following = {.feed = feed, .visit = visit, .context = context};
    struct store_read read = {.deadline_ns = caller->deadline_ns,
                              .after = feed->from_start ? 0 : feed->after.revision,
                              .wanted = all ? feed->limit + 1 : LOOKED_AT_ONCE};
    feed->next = feed->after;
    feed->more = false;
    struct store_version known = {0};
    enum store_status status = follow_log(session, &read, &following, &known);
    bool is_empty = following.seen == 0;
    if (feed->from_start && is_empty)
        feed->next = read.version;
    /* What the log lacks at its end is a gap, too. */
    feed->more |= feed->next.revision < read.version.revision;
    following.has_gap |= is_empty && feed->more;
    bool is_known = feed->from_start || (known.tag != 0 && known.tag == feed->after.tag &&
                                         feed->after.revision <= read.version.revision);
    if (status == STORE_OK && (!is_known || (following.has_gap && is_empty)))
        status = STORE_NOT_FOUND;
    return service_finish(session, SERVICE_HISTORY, started_ns, status);
}
