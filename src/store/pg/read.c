/* SPDX-License-Identifier: MIT
 *
 * Reads, from the replica or, if asked for, from the database itself. */
#include "base/text.h"
#include "store/pg/backend.h"
#include "store/pg/replica.h"

static const struct pg_statement select_one = {
    "integration_one",
    "SELECT s.revision, d.sequence, d.revision, (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8,"
    " integration_readable(d.id, d.revision, d.document)"
    " FROM integration_store s LEFT JOIN integration_documents d ON d.id = $1"};
/* Returns at least one row, which has the revision. */
static const struct pg_statement select_all = {
    "integration_all",
    "SELECT s.revision, d.sequence, d.revision, (extract(epoch FROM d.created_at) * 1000000)::int8,"
    " (extract(epoch FROM d.updated_at) * 1000000)::int8,"
    " integration_readable(d.id, d.revision, d.document), s.tag"
    " FROM integration_store s LEFT JOIN integration_documents d ON d.sequence > $1"
    " AND (s.revision <> $2 OR s.tag <> $3)"
    " AND ($4::json IS NULL OR d.id IN (SELECT json_array_elements_text($4::json)))"
    " ORDER BY d.sequence LIMIT $5"};
static const struct pg_statement ask_ready = {"integration_ready",
                                              "SELECT coalesce(integration_ready(), -1)"};

/* Whether there is a replica to read from. */
static enum store_status look_for_replica(struct store_session *session)
{
    struct store_version version;
    if (session->complete)
        return STORE_OK;
    enum store_status status = documents_get_version(&session->reader, &version);
    session->complete = status == STORE_OK;
    return status == STORE_NOT_FOUND ? STORE_AWAY : status;
}

static enum store_status get_fresh(struct store_session *session, struct store_read *read,
                                   struct str id, struct store_record *record, struct buffer *out)
{
    struct pg_value key;
    PGresult *result;
    struct pg_pooled *pooled = pg_backend_take(session, read->deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    pg_set_text(&key, id);
    enum pg_status asked = pg_query(&pooled->pg, &select_one, &key, 1, read->deadline_ns, &result);
    enum store_status status = STORE_NOT_FOUND;
    if (asked == PG_OK) {
        *record = pg_backend_read_record(result, 1);
        read->version.revision = pg_get_number(result, 0, 0);
        if (record->document.data != NULL) {
            if (!store_version_equal(store_record_version(record), read->known))
                buffer_append_str(out, record->document);
            record->document.data = NULL; /* not valid after the result is cleared */
            status = STORE_OK;
        }
        PQclear(result);
    } else {
        status = pg_backend_failure(session, &pooled->pg, asked);
    }
    pg_backend_give(session, pooled);
    return status;
}

/* A list that is read. */
struct listing {
    struct store_read *read;
    store_visit *visit;
    void *context;
};

static bool visit_row(void *context, const PGresult *row)
{
    const struct listing *listing = context;
    struct store_record record = pg_backend_read_record(row, 1);
    listing->read->version =
        (struct store_version){pg_get_number(row, 0, 0), pg_get_number(row, 0, 6)};
    return record.document.data == NULL || listing->visit(listing->context, &record);
}

static enum store_status each_fresh(struct store_session *session, struct store_read *read,
                                    store_visit *visit, void *context)
{
    struct buffer ids = {0};
    struct pg_value values[5];
    const struct pg_question question = {&select_all, values, ARRAY_LEN(values)};
    struct listing listing = {read, visit, context};
    for (size_t i = 0; i < read->ids_len; i++) {
        buffer_append_char(&ids, i == 0 ? '[' : ',');
        text_append_json(&ids, read->ids[i]);
    }
    if (read->ids_len > 0)
        buffer_append_char(&ids, ']');
    pg_set_number(&values[0], read->after);
    pg_set_number(&values[1], read->known.revision);
    pg_set_number(&values[2], read->known.tag);
    pg_set_json(&values[3], buffer_str(&ids));
    pg_set_number(&values[4], read->wanted == 0 ? INT64_MAX : read->wanted);
    enum store_status status =
        pg_backend_ask(session, &question, read->deadline_ns, visit_row, &listing);
    buffer_release(&ids);
    return status;
}

enum store_status pg_backend_get(struct store_session *session, struct store_read *read,
                                 struct str id, struct store_record *record, struct buffer *out)
{
    if (read->fresh)
        return get_fresh(session, read, id, record, out);
    enum store_status status = look_for_replica(session);
    read->age_ms = pg_store_age_ms(&session->store->shared);
    return status == STORE_OK ? documents_get(&session->reader, read, id, record, out) : status;
}

enum store_status pg_backend_each(struct store_session *session, struct store_read *read,
                                  store_visit *visit, void *context)
{
    if (read->fresh)
        return each_fresh(session, read, visit, context);
    enum store_status status = look_for_replica(session);
    read->age_ms = pg_store_age_ms(&session->store->shared);
    return status == STORE_OK ? documents_each(&session->reader, read, visit, context) : status;
}

static bool is_negative(const PGresult *result)
{
    return pg_get_number(result, 0, 0) > INT64_MAX;
}

enum store_status pg_backend_ready(struct store_session *session, uint64_t deadline_ns)
{
    PGresult *result;
    struct pg_pooled *pooled = pg_backend_take(session, deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    enum pg_status asked = pg_query(&pooled->pg, &ask_ready, NULL, 0, deadline_ns, &result);
    bool ready = asked == PG_OK && !is_negative(result);
    if (asked == PG_OK)
        PQclear(result);
    else
        (void)pg_backend_failure(session, &pooled->pg, asked);
    pg_backend_give(session, pooled);
    return ready ? STORE_OK : STORE_AWAY;
}

/* The replica of a host whose follower has just been upgraded, or which has none, does not have it
 * yet. */
enum store_status pg_backend_mask_key(struct store_session *session, uint64_t deadline_ns,
                                      uint8_t key[STORE_MASK_KEY_LEN])
{
    enum store_status status = documents_get_masks(&session->reader, key);
    if (status != STORE_NOT_FOUND)
        return status;
    struct pg_pooled *pooled = pg_backend_take(session, deadline_ns);
    if (pooled == NULL)
        return STORE_AWAY;
    memset(key, 0, STORE_MASK_KEY_LEN);
    enum pg_status asked = pg_replica_ask_masks(&pooled->pg, deadline_ns, key);
    status = asked == PG_OK ? STORE_OK : pg_backend_failure(session, &pooled->pg, asked);
    pg_backend_give(session, pooled);
    return status;
}
