/* SPDX-License-Identifier: MIT
 *
 * The log of changes, read from the database. */
#include "store/pg/backend.h"

/* Of what is kept: the newest entries, one more than there are versions, the oldest of them without
 * its document (sql/006_history.sql). The first row may be the document as it is. */
static const struct pg_statement select_history = {
    "integration_history",
    "WITH kept AS (SELECT c.* FROM integration_changes c WHERE c.id = $1 AND c.revision > 0"
    " AND c.operation IS NOT NULL AND c.made_at >= now() - $3 * interval '1 day'"
    " ORDER BY c.revision DESC LIMIT $4::int8 + 1),"
    " newest AS (SELECT min(revision) AS revision FROM kept WHERE $2 > 0 AND revision >= $2),"
    " oldest AS (SELECT revision FROM kept ORDER BY revision DESC OFFSET $4)"
    " SELECT 9223372036854775807 AS revision, 0::int8, NULL, d.id, NULL, NULL, NULL, d.sequence,"
    " d.revision, integration_us(d.created_at), integration_us(d.updated_at),"
    " integration_readable(d.id, d.revision, d.document)"
    " FROM integration_documents d, newest WHERE d.id = $1 AND newest.revision IS NULL"
    " UNION ALL SELECT k.revision, integration_us(k.made_at), k.operation, k.id, k.actor,"
    " k.request_id, k.members, k.sequence, k.before_revision, integration_us(k.before_created_at),"
    " integration_us(k.before_updated_at),"
    " CASE WHEN k.revision NOT IN (SELECT revision FROM oldest) THEN k.before END"
    " FROM kept k, newest WHERE k.revision <= coalesce(newest.revision, k.revision)"
    " ORDER BY 1 DESC"};
/* Returns at least one row, which has the versions. */
static const struct pg_statement select_log = {
    "integration_log",
    "SELECT c.revision, integration_us(c.made_at), c.operation, c.id, c.actor, c.request_id,"
    " c.members, c.sequence, c.before_revision, integration_us(c.before_created_at),"
    " integration_us(c.before_updated_at), NULL, c.tag, s.revision, s.tag,"
    " (SELECT a.tag FROM integration_changes a WHERE a.revision = $1)"
    " FROM integration_store s LEFT JOIN LATERAL (SELECT f.* FROM integration_changes f"
    " WHERE f.revision > $1 AND f.operation IS NOT NULL"
    " AND f.made_at >= now() - $2 * interval '1 day' ORDER BY f.revision LIMIT $3) c ON true"
    " ORDER BY c.revision"};

static enum store_operation read_operation(struct str name)
{
    if (str_equal(name, STR("create")))
        return STORE_CREATE;
    return str_equal(name, STR("remove")) ? STORE_REMOVE : STORE_REPLACE;
}

/* Reads the columns that both have. */
static struct store_entry read_entry(const PGresult *row)
{
    struct store_entry entry = {
        .revision = pg_get_number(row, 0, 0),
        .at_us = pg_get_number(row, 0, 1),
        .operation = read_operation(pg_get_text(row, 0, 2)),
        .id = pg_get_text(row, 0, 3),
        .author = {.actor = pg_get_text(row, 0, 4), .request_id = pg_get_text(row, 0, 5)},
        .members = pg_get_text(row, 0, 6),
        .before = pg_backend_read_record(row, 7)};
    if (entry.revision == INT64_MAX)
        entry.revision = 0;
    if (entry.members.data == NULL)
        entry.members = STR("[]");
    return entry;
}

/* Entries that are read. */
struct reading {
    struct store_read *read;
    store_visit_entry *visit;
    void *context;
};

static bool visit_of_history(void *context, const PGresult *row)
{
    const struct reading *reading = context;
    struct store_entry entry = read_entry(row);
    return reading->visit(reading->context, &entry);
}

static bool visit_of_log(void *context, const PGresult *row)
{
    const struct reading *reading = context;
    struct store_read *read = reading->read;
    struct store_entry entry = read_entry(row);
    entry.tag = pg_get_number(row, 0, 12);
    read->version = (struct store_version){pg_get_number(row, 0, 13), pg_get_number(row, 0, 14)};
    read->known = (struct store_version){read->after, pg_get_number(row, 0, 15)};
    return entry.id.data == NULL || reading->visit(reading->context, &entry);
}

enum store_status pg_backend_history(struct store_session *session, struct store_read *read,
                                     struct str id, uint64_t from, store_visit_entry *visit,
                                     void *context)
{
    const struct store_keeping *keeping = &session->store->shared.options.history;
    struct pg_value values[4];
    const struct pg_question question = {&select_history, values, ARRAY_LEN(values)};
    struct reading reading = {read, visit, context};
    pg_set_text(&values[0], id);
    pg_set_number(&values[1], from);
    pg_set_number(&values[2], keeping->days);
    pg_set_number(&values[3], keeping->versions);
    return pg_backend_ask(session, &question, read->deadline_ns, visit_of_history, &reading);
}

enum store_status pg_backend_log(struct store_session *session, struct store_read *read,
                                 store_visit_entry *visit, void *context)
{
    const struct store_keeping *keeping = &session->store->shared.options.history;
    struct pg_value values[3];
    const struct pg_question question = {&select_log, values, ARRAY_LEN(values)};
    struct reading reading = {read, visit, context};
    pg_set_number(&values[0], read->after);
    pg_set_number(&values[1], keeping->days);
    pg_set_number(&values[2], read->wanted == 0 ? INT64_MAX : read->wanted);
    return pg_backend_ask(session, &question, read->deadline_ns, visit_of_log, &reading);
}
