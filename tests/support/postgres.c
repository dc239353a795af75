/* SPDX-License-Identifier: MIT */
#include "postgres.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void run_script(const char *word, const char *directory)
{
    char path[512];
    const char *srcdir = getenv("srcdir"); /* set by automake's test driver */
    int status = -1;
    snprintf(path, sizeof path, "%s/tests/support/postgres.sh", srcdir == NULL ? ".." : srcdir);
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, word, directory, (char *)NULL);
        _exit(127);
    }
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "%s %s: %d", path, word, status);
}

void postgres_start(struct postgres *postgres)
{
    directory_make(postgres->directory);
    postgres->databases = 0;
    run_script("start", postgres->directory);
}

void postgres_stop(struct postgres *postgres)
{
    run_script("stop", postgres->directory);
    directory_remove(postgres->directory);
}

void postgres_run(const char *url, const char *sql)
{
    PGconn *connection = PQconnectdb(url);
    cr_assert(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s",
              PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

static void set_url(const struct postgres *postgres, const char *name, char url[POSTGRES_URL_SIZE])
{
    snprintf(url, POSTGRES_URL_SIZE, "postgresql://postgres@/%s?host=%s", name,
             postgres->directory);
}

void postgres_database(struct postgres *postgres, char url[POSTGRES_URL_SIZE])
{
    char name[16];
    char sql[64];
    snprintf(name, sizeof name, "d%d", ++postgres->databases);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    set_url(postgres, "postgres", url);
    postgres_run(url, sql);
    set_url(postgres, name, url);
}
