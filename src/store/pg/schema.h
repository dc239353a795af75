/* SPDX-License-Identifier: MIT
 *
 * The tables in the database: the numbered files of sql/, each applied once. */
#ifndef STORE_PG_SCHEMA_H
#define STORE_PG_SCHEMA_H

#include "base/embedded.h"
#include "store/pg/connection.h"

extern const struct embedded_file pg_migrations[];
extern const size_t pg_migrations_len;

enum pg_schema {
    PG_SCHEMA_READY,
    PG_SCHEMA_OLD,       /* it lacks migrations, and may have none */
    PG_SCHEMA_NEWER,     /* of a newer version of this program */
    PG_SCHEMA_ENCODING,  /* the database cannot hold every character: it is not UTF-8 */
    PG_SCHEMA_FORBIDDEN, /* our role may not do that */
    PG_SCHEMA_REFUSED,
    PG_SCHEMA_LOST
};

/* Looks which version the database has. */
enum pg_schema pg_schema_look(struct pg *pg, uint64_t *version, uint64_t deadline_ns);

/* Applies what is missing, in one transaction under an advisory lock: many may try at once.
 * *applied: how many migrations that were. */
enum pg_schema pg_schema_migrate(struct pg *pg, size_t *applied, uint64_t deadline_ns);

/* A sentence for people. */
const char *pg_schema_explain(enum pg_schema schema);

#endif
