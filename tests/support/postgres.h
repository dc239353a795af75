/* SPDX-License-Identifier: MIT
 *
 * A real PostgreSQL server of a unit test's own. */
#ifndef SUPPORT_POSTGRES_H
#define SUPPORT_POSTGRES_H

struct postgres {
    char directory[64];
    int databases; /* made so far */
};

enum { POSTGRES_URL_SIZE = 160 };

/* A failure ends the test. */
void postgres_start(struct postgres *postgres);
void postgres_stop(struct postgres *postgres);

/* Makes a new database; `url` leads to it. */
void postgres_database(struct postgres *postgres, char url[POSTGRES_URL_SIZE]);

/* Runs SQL in the database that `url` leads to. */
void postgres_run(const char *url, const char *sql);

#endif
