/* SPDX-License-Identifier: MIT */
#include "store/pg/shared.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { PATH_SIZE = 512 };

/* Names the boot of this machine by the start of its id (random(4)). */
static uint64_t read_boot(void)
{
    char id[9] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL)
        return 0;
    bool read = fread(id, 1, sizeof id - 1, file) == sizeof id - 1;
    fclose(file);
    return read ? strtoull(id, NULL, 16) : 0;
}

bool pg_store_open(struct pg_store *store, const struct store_options *options, char *error,
                   size_t error_size)
{
    char path[PATH_SIZE];
    struct environment_options environment = {.max_bytes = options->max_bytes, .replica = true};
    *store = (struct pg_store){.options = *options, .boot = read_boot()};
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

struct pg_moment pg_moment_now(void)
{
    return (struct pg_moment){clock_wall_us(), clock_steady_ns()};
}

void pg_store_note_complete(struct pg_store *store, const struct pg_moment *asked)
{
    struct pg_shared *shared = store->area.shared;
    atomic_store(&shared->complete_ns_of, 0);
    atomic_store(&shared->boot, store->boot);
    atomic_store(&shared->complete_ns, asked->steady_ns);
    atomic_store(&shared->complete_us, asked->wall_us);
    atomic_store(&shared->complete_ns_of, asked->wall_us);
    event_signal(&shared->progress, EVENT_ANY);
}

/* By the steady clock; 0 if it has not run since before that moment, or a program that does not
 * know it has noted another one. */
static uint64_t complete_ns(const struct pg_store *store)
{
    const struct pg_shared *shared = store->area.shared;
    uint64_t complete = atomic_load(&shared->complete_ns);
    bool valid = store->boot != 0 && atomic_load(&shared->boot) == store->boot &&
                 atomic_load(&shared->complete_ns_of) == atomic_load(&shared->complete_us);
    return valid ? complete : 0;
}

bool pg_store_is_complete_since(const struct pg_store *store, const struct pg_moment *moment)
{
    uint64_t complete = complete_ns(store);
    return complete != 0 ? complete >= moment->steady_ns
                         : atomic_load(&store->area.shared->complete_us) >= moment->wall_us;
}

/* The longer of what the clocks say: the one may have been set back, the other stands still while
 * the machine sleeps. */
uint64_t pg_store_age_ms(const struct pg_store *store)
{
    uint64_t complete_us =
        atomic_load_explicit(&store->area.shared->complete_us, memory_order_relaxed);
    uint64_t steady_ns = complete_ns(store);
    struct pg_moment now = pg_moment_now();
    if (complete_us == 0)
        return UINT64_MAX;
    uint64_t by_wall_ms = now.wall_us > complete_us ? (now.wall_us - complete_us) / 1000 : 0;
    uint64_t by_steady_ms =
        steady_ns != 0 && now.steady_ns > steady_ns ? (now.steady_ns - steady_ns) / NS_PER_MS : 0;
    return by_wall_ms > by_steady_ms ? by_wall_ms : by_steady_ms;
}
