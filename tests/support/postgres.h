/* SPDX-License-Identifier: MIT
 *
 * A real PostgreSQL server, private to a unit test. */
#ifndef SUPPORT_POSTGRES_H
#define SUPPORT_POSTGRES_H

struct postgres {
    char directory[64];
    int databases; /* created so far */
};

enum { POSTGRES_URL_SIZE = 160 };

/* Failure ends the test. */
void postgres_start(struct postgres *postgres);
void postgres_stop(struct postgres *postgres);

/* Creates a new database, and stores its URL in `url`. */
void postgres_database(struct postgres *postgres, char url[POSTGRES_URL_SIZE]);

/* Runs SQL in the database at `url`. */
void postgres_run(const char *url, const char *sql);

#endif
