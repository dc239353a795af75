/* SPDX-License-Identifier: MIT */
#include "store/pg/shared.h"

#include <stdio.h>

#include "base/clock.h"

enum { PATH_SIZE = 512 };

bool pg_store_open(struct pg_store *store, const struct store_options *options, char *error,
                   size_t error_size)
{
    char path[PATH_SIZE];
    struct environment_options environment = {.max_bytes = options->max_bytes, .replica = true};
    *store = (struct pg_store){.options = *options};
    if (!pg_target_open(&store->target, options->database.url, error, error_size))
        return false;
    snprintf(path, sizeof path, "%s/database", options->directory);
    if (pg_area_open(&store->area, path, options->database.connections, error, error_size)) {
        snprintf(path, sizeof path, "%s/replica", options->directory);
        if (environment_open(&store->replica, path, &environment, error, error_size))
            return true;
        pg_area_close(&store->area);
    }
    pg_target_close(&store->target);
    return false;
}

void pg_store_close(struct pg_store *store)
{
    environment_close(&store->replica);
    pg_area_close(&store->area);
    pg_target_close(&store->target);
}

uint64_t pg_store_age_ms(const struct pg_store *store)
{
    uint64_t complete_us =
        atomic_load_explicit(&store->area.shared->complete_us, memory_order_relaxed);
    uint64_t now_us = clock_wall_us();
    if (complete_us == 0)
        return UINT64_MAX;
    return now_us > complete_us ? (now_us - complete_us) / 1000 : 0;
}
