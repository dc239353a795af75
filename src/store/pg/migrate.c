/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL functions for the command line: checking a URL, and migrating the schema. */
#include <stdio.h>

#include "base/clock.h"
#include "store/pg/schema.h"
#include "store/pg/target.h"
#include "store/pg/url.h"
#include "store/store.h"

enum { MIGRATION_MS = 600000 };

bool store_pg_check(const char *url, struct buffer *ignored, char *error, size_t error_size)
{
    struct pg_target target;
    struct buffer uri = {0};
    bool valid = pg_url_rewrite(str_from(url), &uri, ignored, error, error_size) &&
                 pg_target_open(&target, url, error, error_size);
    if (valid)
        pg_target_close(&target);
    buffer_release(&uri);
    return valid;
}

enum store_migration store_pg_migrate(const struct store_options *options, char *error,
                                      size_t error_size)
{
    struct pg_target target;
    struct pg pg;
    struct pg_settings settings = {.prepare = options->database.prepare};
    uint64_t deadline_ns = clock_after_ms(options->database.timeout_ms);
    size_t applied = 0;
    if (!pg_target_open(&target, options->database.url, error, error_size))
        return STORE_NOT_MIGRATED;
    PGconn *connection = pg_target_connect(&target, deadline_ns, error, error_size);
    pg_target_close(&target);
    if (connection == NULL)
        return STORE_NOT_MIGRATED;
    enum pg_schema schema = PG_SCHEMA_LOST;
    if (pg_open(&pg, connection, &settings, deadline_ns) == PG_OK)
        do
            schema = pg_schema_migrate(&pg, &applied, clock_after_ms(MIGRATION_MS));
        while (schema == PG_SCHEMA_BUSY); /* each failure is logged, and was waited for */
    pg_close(&pg);
    snprintf(error, error_size, "%s", pg_schema_explain(schema));
    if (schema != PG_SCHEMA_READY)
        return STORE_NOT_MIGRATED;
    return applied > 0 ? STORE_MIGRATED : STORE_UP_TO_DATE;
}
