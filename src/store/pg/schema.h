/* SPDX-License-Identifier: MIT
 *
 * The tables in the database, created by the numbered files of sql/, each of which is applied
 * once. */
#ifndef STORE_PG_SCHEMA_H
#define STORE_PG_SCHEMA_H

#include "base/embedded.h"
#include "store/pg/connection.h"

extern const struct embedded_file pg_migrations[];
extern const size_t pg_migrations_len;

enum pg_schema {
    PG_SCHEMA_READY,
    PG_SCHEMA_OLD,       /* lacks migrations, perhaps all of them */
    PG_SCHEMA_NEWER,     /* of a newer version of this program, and unusable without it */
    PG_SCHEMA_ENCODING,  /* not UTF-8, so it cannot store all characters */
    PG_SCHEMA_FORBIDDEN, /* our role lacks privileges */
    PG_SCHEMA_REFUSED,
    PG_SCHEMA_BUSY, /* others hold the tables: try again */
    PG_SCHEMA_LOST
};

/* Determines the schema of the database: *version is the newest migration applied; 0: there are no
 * tables. */
enum pg_schema pg_schema_look(struct pg *pg, uint64_t *version, uint64_t deadline_ns);

/* Applies missing migrations in one transaction. An advisory lock makes concurrent calls safe. It
 * waits for others' transactions for a moment only, for those who come later wait behind it.
 * *applied is the number of migrations applied. */
enum pg_schema pg_schema_migrate(struct pg *pg, size_t *applied, uint64_t deadline_ns);

/* Returns a message for users. */
const char *pg_schema_explain(enum pg_schema schema);

#endif
