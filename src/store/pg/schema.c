/* SPDX-License-Identifier: MIT */
#include "store/pg/schema.h"

#include <stdio.h>

#include "base/buffer.h"
#include "core/log.h"

/* key of the advisory lock: the bytes of "integrat" */
#define LOCK_KEY "7597137600296673652"

/* How long a migration waits for the transactions of others. */
#define WAIT_MS "1000"

/* Queries the catalog directly: to_regclass() may use a cached result from before the wait for the
 * lock. */
static const struct pg_statement has_table = {
    "integration_has_table",
    "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'integration_schema'"
    " AND pg_table_is_visible(oid))::int4, (current_setting('server_encoding') = 'UTF8')::int4,"
    " EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " WHERE relname = 'integration_schema' AND pg_table_is_visible(c.oid)"
    " AND attname = 'addition')::int4"};
static const struct pg_statement select_version = {
    "integration_version", "SELECT coalesce(max(version), 0), 0::int8 FROM integration_schema"};
static const struct pg_statement select_versions = {
    "integration_versions",
    "SELECT coalesce(max(version), 0), coalesce(max(addition), 0) FROM integration_schema"};

/* The newest migration that a program must know to work with the tables; later ones only add to
 * them, so that hosts can be upgraded one after another, and back. */
enum { LEAST_KNOWN = 2 };

static enum pg_schema of_status(const struct pg *pg, enum pg_status status)
{
    if (status != PG_REFUSED)
        return PG_SCHEMA_LOST;
    if (pg_refused_as(pg, "55P03") ||
        pg_refused_as(pg, "57014")) /* lock_timeout, statement_timeout */
        return PG_SCHEMA_BUSY;
    return pg_refused_as(pg, "42501") ? PG_SCHEMA_FORBIDDEN : PG_SCHEMA_REFUSED;
}

/* Gets the newest migration applied, and the newest one that must be known. */
static enum pg_status ask_versions(struct pg *pg, bool has_additions, uint64_t deadline_ns,
                                   uint64_t *version, uint64_t *least)
{
    PGresult *result;
    enum pg_status status = pg_query(pg, has_additions ? &select_versions : &select_version, NULL,
                                     0, deadline_ns, &result);
    if (status != PG_OK)
        return status;
    uint64_t addition = pg_get_number(result, 0, 1);
    *least = pg_get_number(result, 0, 0);
    *version = addition > *least ? addition : *least;
    PQclear(result);
    return PG_OK;
}

enum pg_schema pg_schema_look(struct pg *pg, uint64_t *version, uint64_t deadline_ns)
{
    PGresult *result;
    *version = 0;
    enum pg_status status = pg_query(pg, &has_table, NULL, 0, deadline_ns, &result);
    if (status != PG_OK)
        return of_status(pg, status);
    bool there = pg_get_number(result, 0, 0) != 0;
    bool utf8 = pg_get_number(result, 0, 1) != 0;
    bool has_additions = pg_get_number(result, 0, 2) != 0;
    PQclear(result);
    if (!utf8)
        return PG_SCHEMA_ENCODING;
    if (!there)
        return PG_SCHEMA_OLD;
    uint64_t least = 0;
    status = ask_versions(pg, has_additions, deadline_ns, version, &least);
    if (status != PG_OK)
        return of_status(pg, status);
    if (least > pg_migrations_len)
        return PG_SCHEMA_NEWER;
    return *version < pg_migrations_len ? PG_SCHEMA_OLD : PG_SCHEMA_READY;
}

static enum pg_status apply(struct pg *pg, size_t index, uint64_t deadline_ns)
{
    char sql[160];
    enum pg_status status = pg_run(pg, pg_migrations[index].text, deadline_ns);
    if (status != PG_OK)
        return status;
    snprintf(sql, sizeof sql,
             index < LEAST_KNOWN
                 ? "INSERT INTO integration_schema (version, applied_at) VALUES (%zu, now())"
                 : "UPDATE integration_schema SET addition = %zu"
                   " WHERE version = (SELECT max(version) FROM integration_schema)",
             index + 1);
    LOG(LOG_INFO, "the database's schema is brought up to date",
        LOG_TEXT("migration", pg_migrations[index].name));
    return pg_run(pg, sql, deadline_ns);
}

/* Runs with the lock held, so nobody else migrates at the same time. */
static enum pg_schema apply_missing(struct pg *pg, size_t *applied, uint64_t deadline_ns)
{
    uint64_t version;
    enum pg_schema schema = pg_schema_look(pg, &version, deadline_ns);
    enum pg_status status = PG_OK;
    if (schema != PG_SCHEMA_OLD)
        return schema;
    if (version == 0)
        status = pg_run(pg,
                        "CREATE TABLE IF NOT EXISTS integration_schema ("
                        "version int8 PRIMARY KEY, applied_at timestamptz NOT NULL)",
                        deadline_ns);
    for (size_t i = version; i < pg_migrations_len && status == PG_OK; i++, ++*applied)
        status = apply(pg, i, deadline_ns);
    return status == PG_OK ? PG_SCHEMA_READY : of_status(pg, status);
}

enum pg_schema pg_schema_migrate(struct pg *pg, size_t *applied, uint64_t deadline_ns)
{
    *applied = 0;
    /* If this process hangs in the middle, it must not block others for long. */
    enum pg_status status =
        pg_run(pg,
               "BEGIN; SET LOCAL lock_timeout = " WAIT_MS "; SET LOCAL "
               "idle_in_transaction_session_timeout = " WAIT_MS "; SET LOCAL statement_timeout = "
               "0; SELECT pg_advisory_xact_lock(" LOCK_KEY ")",
               deadline_ns);
    if (status != PG_OK)
        return of_status(pg, status);
    enum pg_schema schema = apply_missing(pg, applied, deadline_ns);
    if (schema == PG_SCHEMA_LOST)
        return schema;
    status = pg_run(pg, schema == PG_SCHEMA_READY ? "COMMIT" : "ROLLBACK", deadline_ns);
    if (schema != PG_SCHEMA_READY)
        *applied = 0;
    return status == PG_OK ? schema : of_status(pg, status);
}

const char *pg_schema_explain(enum pg_schema schema)
{
    switch (schema) {
    case PG_SCHEMA_READY:
        return "the schema is up to date";
    case PG_SCHEMA_OLD:
        return "the schema is missing or old: run `integration-service migrate`";
    case PG_SCHEMA_NEWER:
        return "the database was written by a newer version of integration-service: use that one";
    case PG_SCHEMA_ENCODING:
        return "the database's encoding is not UTF8: create one with ENCODING 'UTF8'";
    case PG_SCHEMA_REFUSED:
        return "the database refused a statement: see the line before";
    case PG_SCHEMA_BUSY:
        return "the schema is old, and other transactions keep the tables from being changed";
    case PG_SCHEMA_FORBIDDEN:
        return "the role lacks rights: it needs those to create tables and a function once (run "
               "`integration-service migrate` with a role that has them), then SELECT, INSERT, "
               "UPDATE and DELETE on the tables";
    case PG_SCHEMA_LOST:
        break;
    }
    return "the database does not answer";
}
