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
    VALUES_MAX = 8,
    /* OIDs of types (pg_type.dat) */
    TYPE_INT8 = 20,
    TYPE_TEXT = 25,
    TYPE_JSON = 114
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

/* Waits until the socket is ready, or the time is over: false. */
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

/* Sends what libpq holds back; meanwhile takes what comes, lest both sides wait. */
static bool flush(struct pg *pg, uint64_t deadline_ns)
{
    int left;
    while ((left = PQflush(pg->connection)) > 0)
        if (!wait_for(pg, POLLIN | POLLOUT, deadline_ns) || !PQconsumeInput(pg->connection))
            return false;
    return left == 0;
}

/* The next result, or NULL at the end of them; false: the connection is lost. */
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

/* After these a connection is of no use: it is going down, has become a standby's, or knows our
 * statements no more. */
static const char *const endings[] = {"57P0", "08", "25006", "0A000", "26000"};

/* Logs what the server says; its primary message holds no values of ours (the detail may). */
static enum pg_status refused(struct pg *pg, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (sqlstate == NULL) /* libpq's own: the connection broke */
        return lost(pg);
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", sqlstate);
    bool ends = false;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        ends |= pg_refused_as(pg, endings[i]);
    LOG(LOG_WARNING, "the database refused a statement", LOG_TEXT("sqlstate", sqlstate),
        LOG_TEXT("error", message == NULL ? "" : message));
    return ends ? lost(pg) : PG_REFUSED;
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

/* Reads all results of what was sent; *last gets the last one that is no error. */
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
    /* What follows is the end, or the connection's. */
    if (!next_result(pg, deadline_ns, result) || *result != NULL)
        return lost(pg);
    return status;
}

/* ---- open and close ---- */

enum pg_status pg_open(struct pg *pg, PGconn *connection, const struct pg_settings *settings,
                       uint64_t deadline_ns)
{
    char sql[160];
    *pg = (struct pg){.connection = connection, .settings = settings};
    /* Behind PgBouncer a setting would stay with a server connection that others get. */
    if (!settings->prepare)
        return PG_OK;
    snprintf(sql, sizeof sql,
             "SET statement_timeout = %" PRIu64
             "; SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
             settings->statement_timeout_ms);
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
    while (poll(&polled, 1, 0) > 0) /* its last words, then its end; or a notice */
        if (!PQconsumeInput(pg->connection))
            return false;
    return PQstatus(pg->connection) == CONNECTION_OK;
}
