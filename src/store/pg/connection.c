/* SPDX-License-Identifier: MIT */
#include "store/pg/connection.h"

#include <endian.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "core/log.h"

enum {
    VALUES_MAX = 16,
    /* type OIDs (pg_type.dat) */
    TYPE_INT8 = 20,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_JSON_ARRAY = 199,
    TYPE_TEXT_ARRAY = 1009,
    TYPE_INT8_ARRAY = 1016
};

/* ---- values ---- */

static void set_bytes(struct pg_value *value, Oid type, struct str text)
{
    *value = (struct pg_value){
        .type = type, .data = text.data == NULL ? "" : text.data, .len = (int)text.len};
}

void pg_set_text(struct pg_value *value, struct str text)
{
    set_bytes(value, TYPE_TEXT, text);
}

void pg_set_json(struct pg_value *value, struct str text)
{
    set_bytes(value, TYPE_JSON, text);
    if (text.data == NULL)
        value->data = NULL;
}

void pg_set_number(struct pg_value *value, uint64_t number)
{
    uint64_t bytes = htobe64(number);
    *value = (struct pg_value){.type = TYPE_INT8, .data = value->number, .len = sizeof bytes};
    memcpy(value->number, &bytes, sizeof bytes);
}

void pg_set_null(struct pg_value *value)
{
    value->data = NULL;
}

/* ---- arrays, as array_recv() of the server reads them ---- */

static void append_be32(struct buffer *bytes, uint32_t number)
{
    number = htobe32(number);
    buffer_append(bytes, &number, sizeof number);
}

static Oid element_type(enum pg_array_kind kind)
{
    static const Oid types[] = {
        [PG_TEXTS] = TYPE_TEXT, [PG_JSONS] = TYPE_JSON, [PG_NUMBERS] = TYPE_INT8};
    return types[kind];
}

void pg_array_begin(struct pg_array *array, enum pg_array_kind kind, size_t len)
{
    *array = (struct pg_array){.kind = kind};
    append_be32(&array->bytes, 1); /* dimensions */
    append_be32(&array->bytes, 1); /* there may be NULLs */
    append_be32(&array->bytes, element_type(kind));
    append_be32(&array->bytes, (uint32_t)len);
    append_be32(&array->bytes, 1); /* index of the first */
}

void pg_array_add_text(struct pg_array *array, struct str text)
{
    append_be32(&array->bytes, text.data == NULL ? UINT32_MAX : (uint32_t)text.len);
    buffer_append_str(&array->bytes, text);
}

void pg_array_add_number(struct pg_array *array, uint64_t number)
{
    number = htobe64(number);
    append_be32(&array->bytes, sizeof number);
    buffer_append(&array->bytes, &number, sizeof number);
}

bool pg_set_array(struct pg_value *value, const struct pg_array *array)
{
    static const Oid types[] = {
        [PG_TEXTS] = TYPE_TEXT_ARRAY, [PG_JSONS] = TYPE_JSON_ARRAY, [PG_NUMBERS] = TYPE_INT8_ARRAY};
    set_bytes(value, types[array->kind], buffer_str(&array->bytes));
    return !array->bytes.failed;
}

void pg_array_release(struct pg_array *array)
{
    buffer_release(&array->bytes);
}

/* ---- results ---- */

uint64_t pg_get_number(const PGresult *result, int row, int column)
{
    const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, row, column);
    int len = PQgetlength(result, row, column);
    uint64_t number = 0;
    for (int i = 0; i < len && i < 8; i++)
        number = number << 8 | bytes[i];
    return number;
}

struct str pg_get_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return (struct str){NULL, 0};
    return (struct str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

/* ---- waiting ---- */

static enum pg_status lost(struct pg *pg)
{
    pg->lost = true;
    return PG_LOST;
}

/* Waits until the socket is ready. Returns false if the deadline passes first. */
static bool wait_for(struct pg *pg, short events, uint64_t deadline_ns)
{
    struct pollfd polled = {PQsocket(pg->connection), events, 0};
    for (;;) {
        int left_ms = clock_ms_until(deadline_ns);
        if (left_ms == 0)
            return false;
        if (poll(&polled, 1, left_ms) > 0)
            return true;
    }
}

/* Sends what libpq has buffered. Reads input meanwhile, so that the two sides cannot deadlock. */
static bool flush(struct pg *pg, uint64_t deadline_ns)
{
    int left;
    while ((left = PQflush(pg->connection)) > 0)
        if (!wait_for(pg, POLLIN | POLLOUT, deadline_ns) || !PQconsumeInput(pg->connection))
            return false;
    return left == 0;
}

/* Gets the next result, or NULL after the last one. Returns false if the connection is lost. */
static bool next_result(struct pg *pg, uint64_t deadline_ns, PGresult **result)
{
    while (PQisBusy(pg->connection))
        if (!wait_for(pg, POLLIN, deadline_ns) || !PQconsumeInput(pg->connection))
            return false;
    *result = PQgetResult(pg->connection);
    return true;
}

bool pg_refused_as(const struct pg *pg, const char *sqlstate)
{
    return strncmp(pg->sqlstate, sqlstate, strlen(sqlstate)) == 0;
}

/* After these errors the connection is unusable: the server is shutting down, in which case it may
 * have committed already; or it has become a standby, or does not know our prepared statements any
 * more. */
static const char *const endings[] = {"57P0", "08"};
static const char *const declining[] = {"25006", "0A000", "26000", "42P05"};

/* Logs a server error. The primary message contains none of our data (the detail might). */
static enum pg_status refused(struct pg *pg, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (sqlstate == NULL) /* generated by libpq: the connection broke */
        return lost(pg);
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", sqlstate);
    bool ends = false;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        ends |= pg_refused_as(pg, endings[i]);
    for (size_t i = 0; i < ARRAY_LEN(declining); i++)
        pg->declined |= pg_refused_as(pg, declining[i]);
    bool unprepared = pg_refused_as(pg, "26000") || pg_refused_as(pg, "42P05");
    LOG(LOG_WARNING,
        unprepared ? "the database does not know our prepared statements: behind PgBouncer, set "
                     "DB_PREPARED_STATEMENTS=off"
                   : "the database refused a statement",
        LOG_TEXT("sqlstate", sqlstate), LOG_TEXT("error", message == NULL ? "" : message));
    return ends || pg->declined ? lost(pg) : PG_REFUSED;
}

static enum pg_status outcome_of(struct pg *pg, const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        return PG_OK;
    case PGRES_SINGLE_TUPLE:
        return PG_ROW;
    default:
        return refused(pg, result);
    }
}

/* Reads all results of what was sent; *last is the last one, or NULL on failure. */
static enum pg_status finish(struct pg *pg, uint64_t deadline_ns, PGresult **last)
{
    enum pg_status status = PG_OK;
    PGresult *result;
    *last = NULL;
    if (!flush(pg, deadline_ns))
        return lost(pg);
    for (;;) {
        if (!next_result(pg, deadline_ns, &result)) {
            status = PG_LOST;
            break;
        }
        if (result == NULL)
            break;
        enum pg_status now = outcome_of(pg, result);
        if (status == PG_OK && now != PG_OK)
            status = now;
        PQclear(*last);
        *last = result;
    }
    if (status == PG_OK && PQstatus(pg->connection) == CONNECTION_OK)
        return PG_OK;
    PQclear(*last);
    *last = NULL;
    return status == PG_REFUSED && PQstatus(pg->connection) == CONNECTION_OK ? PG_REFUSED
                                                                             : lost(pg);
}

/* ---- statements ---- */

static bool is_prepared(const struct pg *pg, const struct pg_statement *statement)
{
    for (size_t i = 0; i < pg->prepared_len; i++)
        if (pg->prepared[i] == statement)
            return true;
    return false;
}

static enum pg_status prepare(struct pg *pg, const struct pg_statement *statement, const Oid *types,
                              int types_len, uint64_t deadline_ns)
{
    PGresult *result;
    if (!PQsendPrepare(pg->connection, statement->name, statement->sql, types_len, types))
        return lost(pg);
    enum pg_status status = finish(pg, deadline_ns, &result);
    PQclear(result);
    if (status == PG_OK && pg->prepared_len < PG_STATEMENTS_MAX)
        pg->prepared[pg->prepared_len++] = statement;
    return status;
}

static enum pg_status send(struct pg *pg, const struct pg_statement *statement,
                           const struct pg_value *values, int values_len, uint64_t deadline_ns)
{
    Oid types[VALUES_MAX];
    const char *data[VALUES_MAX];
    int lengths[VALUES_MAX];
    int formats[VALUES_MAX];
    int sent;
    for (int i = 0; i < values_len && i < VALUES_MAX; i++) {
        types[i] = values[i].type;
        data[i] = values[i].data;
        lengths[i] = values[i].len;
        formats[i] = 1;
    }
    if (pg->settings->prepare) {
        enum pg_status status = is_prepared(pg, statement)
                                    ? PG_OK
                                    : prepare(pg, statement, types, values_len, deadline_ns);
        if (status != PG_OK)
            return status;
        sent = PQsendQueryPrepared(pg->connection, statement->name, values_len, data, lengths,
                                   formats, 1);
    } else {
        sent = PQsendQueryParams(pg->connection, statement->sql, values_len, types, data, lengths,
                                 formats, 1);
    }
    return sent ? PG_OK : lost(pg);
}

enum pg_status pg_query(struct pg *pg, const struct pg_statement *statement,
                        const struct pg_value *values, int values_len, uint64_t deadline_ns,
                        PGresult **result)
{
    enum pg_status status = send(pg, statement, values, values_len, deadline_ns);
    return status == PG_OK ? finish(pg, deadline_ns, result) : status;
}

enum pg_status pg_run(struct pg *pg, const char *sql, uint64_t deadline_ns)
{
    PGresult *result;
    if (!PQsendQuery(pg->connection, sql))
        return lost(pg);
    enum pg_status status = finish(pg, deadline_ns, &result);
    PQclear(result);
    return status;
}

enum pg_status pg_send(struct pg *pg, const struct pg_statement *statement,
                       const struct pg_value *values, int values_len, uint64_t deadline_ns)
{
    enum pg_status status = send(pg, statement, values, values_len, deadline_ns);
    if (status != PG_OK)
        return status;
    return PQsetSingleRowMode(pg->connection) && flush(pg, deadline_ns) ? PG_OK : lost(pg);
}

enum pg_status pg_next(struct pg *pg, uint64_t deadline_ns, PGresult **result)
{
    if (!next_result(pg, deadline_ns, result) || *result == NULL)
        return lost(pg);
    enum pg_status status = outcome_of(pg, *result);
    if (status == PG_ROW)
        return PG_ROW;
    PQclear(*result);
    /* Only the end of the results may follow. */
    if (!next_result(pg, deadline_ns, result) || *result != NULL)
        return lost(pg);
    return status;
}

/* ---- opening and closing ---- */

enum pg_status pg_open(struct pg *pg, PGconn *connection, const struct pg_settings *settings,
                       uint64_t deadline_ns)
{
    char sql[160];
    *pg = (struct pg){.connection = connection, .settings = settings};
    /* With PgBouncer, settings would stick to a server connection that others use later. */
    if (!settings->prepare)
        return PG_OK;
    snprintf(sql, sizeof sql,
             "SET statement_timeout = %" PRIu64
             "; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
             pg_statement_ms(settings->timeout_ms));
    return pg_run(pg, sql, deadline_ns);
}

void pg_close(struct pg *pg)
{
    PQfinish(pg->connection);
    pg->connection = NULL;
}

bool pg_is_alive(struct pg *pg)
{
    struct pollfd polled = {PQsocket(pg->connection), POLLIN, 0};
    while (poll(&polled, 1, 0) > 0) /* a final error and the end of the connection, or a notice */
        if (!PQconsumeInput(pg->connection))
            return false;
    return PQstatus(pg->connection) == CONNECTION_OK;
}
