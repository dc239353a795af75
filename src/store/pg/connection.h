/* SPDX-License-Identifier: MIT
 *
 * A connection to PostgreSQL, used by one thread at a time. All operations have deadlines, because
 * keepalives do not detect a server that hangs; so libpq is used without blocking, and all waiting
 * is done in poll(2). */
#ifndef STORE_PG_CONNECTION_H
#define STORE_PG_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "base/str.h"
#include "seal/vault.h"

enum pg_status {
    PG_OK,
    PG_ROW,     /* pg_next: a row; more may follow */
    PG_REFUSED, /* the server returned an error, see pg->sqlstate; nothing was changed */
    PG_LOST     /* connection lost or deadline passed: the outcome is unknown */
};

enum { PG_STATEMENTS_MAX = 16 };

/* Settings common to all connections of a service. */
struct pg_settings {
    bool prepare; /* prepare statements once per connection; not possible with PgBouncer */
    const struct vault *vault; /* what documents are sealed with */
    uint64_t timeout_ms;       /* for a piece of work, a change for example; 0: none */
};

/* The server gives up on a statement before the client does, for whoever gives up first does not
 * learn what became of it. Of the time for a piece of work the server has at most this part; with
 * PgBouncer it has no limit but what a transaction sets. */
static inline uint64_t pg_statement_ms(uint64_t timeout_ms)
{
    return timeout_ms / 8 * 5;
}

/* A statement of this program, identified by its address. */
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
    bool lost;     /* a call returned PG_LOST: the connection is unusable */
    bool declined; /* the server said so, and that it did not run the statement */
};

/* A parameter in PostgreSQL's binary format. */
struct pg_value {
    Oid type;
    const char *data; /* NULL: SQL NULL */
    int len;
    char number[8]; /* storage used by pg_set_number */
};

/* Set the value of a parameter. The data it points to must live until the statement has been
 * sent. */
void pg_set_text(struct pg_value *value, struct str text);
void pg_set_json(struct pg_value *value, struct str text);
void pg_set_number(struct pg_value *value, uint64_t number);
/* Makes a value that has been set SQL NULL, of the same type. */
void pg_set_null(struct pg_value *value);

/* An array of which all elements are known in number before they are added. */
enum pg_array_kind { PG_TEXTS, PG_JSONS, PG_NUMBERS };
struct pg_array {
    enum pg_array_kind kind;
    struct buffer bytes;
};
void pg_array_begin(struct pg_array *array, enum pg_array_kind kind, size_t len);
void pg_array_add_text(struct pg_array *array, struct str text); /* text.data NULL: SQL NULL */
void pg_array_add_number(struct pg_array *array, uint64_t number);
/* Sets the value to the array, which must live until the statement has been sent. Returns false if
 * memory for the elements was lacking. */
MUST_CHECK bool pg_set_array(struct pg_value *value, const struct pg_array *array);
void pg_array_release(struct pg_array *array);

/* Get a column of a result: a number of 4 or 8 bytes, or text. SQL NULL yields 0, or a str whose
 * data is NULL. */
uint64_t pg_get_number(const PGresult *result, int row, int column);
struct str pg_get_text(const PGresult *result, int row, int column);

/* Takes ownership of a new connection and prepares it for use (time limits, READ COMMITTED). */
enum pg_status pg_open(struct pg *pg, PGconn *connection, const struct pg_settings *settings,
                       uint64_t deadline_ns);
/* Closes the connection, even if it was lost. */
void pg_close(struct pg *pg);

/* Executes a statement. If it returns PG_OK, *result holds the rows, which the caller must
 * clear. */
enum pg_status pg_query(struct pg *pg, const struct pg_statement *statement,
                        const struct pg_value *values, int values_len, uint64_t deadline_ns,
                        PGresult **result);

/* Executes statements without parameters in one round trip, and in a single transaction unless they
 * say otherwise. */
enum pg_status pg_run(struct pg *pg, const char *sql, uint64_t deadline_ns);

/* Like pg_query, for many rows: pg_send sends the statement; then each call of pg_next returns
 * PG_ROW and a result with one row, which the caller must clear, or else the final status. */
enum pg_status pg_send(struct pg *pg, const struct pg_statement *statement,
                       const struct pg_value *values, int values_len, uint64_t deadline_ns);
enum pg_status pg_next(struct pg *pg, uint64_t deadline_ns, PGresult **result);

/* Whether an idle connection is still open; checks this without sending anything. */
bool pg_is_alive(struct pg *pg);

/* Whether the last error has this SQLSTATE code or, given two characters, is of this class
 * (PostgreSQL manual, appendix A). */
bool pg_refused_as(const struct pg *pg, const char *sqlstate);

#endif
