/* SPDX-License-Identifier: MIT
 *
 * One connection to PostgreSQL, used by one thread at a time. Everything has a deadline: a server
 * that hangs is seen by no keepalive, so libpq is only ever waited for with poll(2). */
#ifndef STORE_PG_CONNECTION_H
#define STORE_PG_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/str.h"

enum pg_status {
    PG_OK,
    PG_ROW,     /* pg_next: a row; others may follow */
    PG_REFUSED, /* the server answered with an error: pg->sqlstate; nothing was changed */
    PG_LOST     /* the connection is gone, or its time was over: what became of it is not known */
};

enum { PG_STATEMENTS_MAX = 16 };

/* What every connection of a service has in common. */
struct pg_settings {
    bool prepare;                  /* statements, once a connection; not behind PgBouncer */
    uint64_t statement_timeout_ms; /* for the server; 0: none */
};

/* A statement of the program; its address is its identity. */
struct pg_statement {
    const char *name;
    const char *sql;
};

struct pg {
    PGconn *connection;
    const struct pg_settings *settings;
    const struct pg_statement *prepared[PG_STATEMENTS_MAX];
    size_t prepared_len;
    char sqlstate[6];
    bool lost; /* a call returned PG_LOST: nothing more can be asked */
};

/* A parameter in PostgreSQL's binary format. */
struct pg_value {
    Oid type;
    const char *data; /* NULL: SQL's NULL */
    int len;
    char number[8]; /* where pg_number keeps its bytes */
};

/* Values of parameters; what they point to must live until the statement is sent. */
void pg_set_text(struct pg_value *value, struct str text);
void pg_set_json(struct pg_value *value, struct str text);
void pg_set_number(struct pg_value *value, uint64_t number);

/* A column of a result: numbers of 4 or 8 bytes, or text. NULL is 0, and a text with data NULL. */
uint64_t pg_get_number(const PGresult *result, int row, int column);
struct str pg_get_text(const PGresult *result, int row, int column);

/* Takes a new connection over and prepares it for work (its time limits, READ COMMITTED). */
enum pg_status pg_open(struct pg *pg, PGconn *connection, const struct pg_settings *settings,
                       uint64_t deadline_ns);
/* Ends the connection; if it was lost too. */
void pg_close(struct pg *pg);

/* Runs a statement. *result gets its rows, to be cleared by the caller, when it is PG_OK. */
enum pg_status pg_query(struct pg *pg, const struct pg_statement *statement,
                        const struct pg_value *values, int values_len, uint64_t deadline_ns,
                        PGresult **result);

/* Runs statements without parameters, in one go and one transaction unless they say otherwise. */
enum pg_status pg_run(struct pg *pg, const char *sql, uint64_t deadline_ns);

/* The same as pg_query for many rows: sends the statement; then each pg_next gives PG_ROW with a
 * result of one row to be cleared, or how it ended. */
enum pg_status pg_send(struct pg *pg, const struct pg_statement *statement,
                       const struct pg_value *values, int values_len, uint64_t deadline_ns);
enum pg_status pg_next(struct pg *pg, uint64_t deadline_ns, PGresult **result);

/* Whether an idle connection still stands: looks, and asks nothing. */
bool pg_is_alive(struct pg *pg);

/* Whether the last refusal was of a class (the first two characters) or code of SQLSTATE
 * (PostgreSQL's manual, appendix A). */
bool pg_refused_as(const struct pg *pg, const char *sqlstate);

#endif
