/* SPDX-License-Identifier: MIT */
#include "store/pg/area.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/mapping.h"

enum { FORMAT = 2, FETCH_BYTE = PG_CONNECTIONS_MAX /* of the file, that is locked to fetch */ };

/* How long a call to pg_area_want counts. A process that still lacks connections repeats it more
 * often than this. */
#define WANTED_NS 50000000ULL

static const char other_format[] = "it is of another version";

/* What it says is soon said again, but for the counts. */
static bool heal(void *context)
{
    static const uint64_t format = FORMAT;
    const struct pg_area *area = context;
    return ftruncate(area->fd, sizeof *area->shared) == 0 &&
           pwrite(area->fd, &format, sizeof format, offsetof(struct pg_shared, format)) ==
               (ssize_t)sizeof format;
}

/* Maps the open file. Returns NULL, or an error message. */
static const char *map(struct pg_area *area)
{
    /* Allocate the pages on disk now, so that a full disk causes an error here rather than SIGBUS
     * later. */
    errno = posix_fallocate(area->fd, 0, sizeof *area->shared);
    if (errno != 0)
        return strerror(errno);
    void *shared =
        mmap(NULL, sizeof *area->shared, PROT_READ | PROT_WRITE, MAP_SHARED, area->fd, 0);
    if (shared == MAP_FAILED)
        return strerror(errno);
    area->shared = shared;
    mapping_guard(shared, sizeof *area->shared, heal, area);
    uint64_t format = 0;
    if (!atomic_compare_exchange_strong(&area->shared->format, &format, FORMAT) && format != FORMAT)
        return other_format;
    return NULL;
}

static const char *open_file(struct pg_area *area, const char *path)
{
    area->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    return area->fd < 0 ? strerror(errno) : map(area);
}

bool pg_area_open(struct pg_area *area, const char *path, size_t places, char *error,
                  size_t error_size)
{
    *area = (struct pg_area){.places = places};
    const char *wrong = open_file(area, path);
    if (wrong == other_format) { /* its content is soon rebuilt in a new file */
        pg_area_close(area);
        area->shared = NULL;
        wrong = unlink(path) == 0 ? open_file(area, path) : strerror(errno);
    }
    if (wrong == NULL)
        return true;
    snprintf(error, error_size, "cannot open %s: %s", path, wrong);
    if (area->fd >= 0)
        pg_area_close(area);
    return false;
}

void pg_area_close(struct pg_area *area)
{
    if (area->shared != NULL) {
        mapping_release(area->shared);
        munmap(area->shared, sizeof *area->shared);
    }
    close(area->fd);
}

static int take_one_of(struct pg_area *area, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        bool taken = false;
        if (!atomic_compare_exchange_strong(&area->taken[i], &taken, true))
            continue;
        if (lock_try(area->fd, i)) {
            pg_area_use(area, (int)i, PG_BUSY);
            return (int)i;
        }
        atomic_store(&area->taken[i], false);
    }
    return -1;
}

int pg_area_take_first(struct pg_area *area)
{
    return take_one_of(area, 0, 1);
}

int pg_area_take(struct pg_area *area)
{
    return take_one_of(area, 1, area->places);
}

void pg_area_use(struct pg_area *area, int place, enum pg_use use)
{
    atomic_store_explicit(&area->shared->uses[place], (uint8_t)use, memory_order_relaxed);
}

void pg_area_give(struct pg_area *area, int place)
{
    pg_area_use(area, place, PG_FREE);
    lock_release(area->fd, (uint64_t)place);
    atomic_store(&area->taken[place], false);
}

bool pg_area_begin_fetch(struct pg_area *area)
{
    bool fetching = false;
    if (!atomic_compare_exchange_strong(&area->fetching, &fetching, true))
        return false;
    if (lock_try(area->fd, FETCH_BYTE))
        return true;
    atomic_store(&area->fetching, false);
    return false;
}

void pg_area_end_fetch(struct pg_area *area)
{
    lock_release(area->fd, FETCH_BYTE);
    atomic_store(&area->fetching, false);
}

void pg_area_want(struct pg_area *area)
{
    atomic_store_explicit(&area->shared->wanted_ns, clock_steady_ns(), memory_order_relaxed);
}

bool pg_area_is_wanted(const struct pg_area *area)
{
    uint64_t now_ns = clock_steady_ns();
    uint64_t wanted_ns = atomic_load_explicit(&area->shared->wanted_ns, memory_order_relaxed);
    /* A time in the future is from before a reboot. */
    return now_ns >= wanted_ns && now_ns - wanted_ns < WANTED_NS;
}

void pg_area_starve(struct pg_area *area)
{
    atomic_store(&area->shared->starved, 1);
}

bool pg_area_feed(struct pg_area *area)
{
    return atomic_load_explicit(&area->shared->starved, memory_order_relaxed) != 0 &&
           atomic_exchange(&area->shared->starved, 0) != 0;
}

size_t pg_area_count(struct pg_area *area, enum pg_use use)
{
    size_t count = 0;
    for (size_t i = 0; i < PG_CONNECTIONS_MAX; i++)
        if (atomic_load_explicit(&area->shared->uses[i], memory_order_relaxed) == use &&
            (atomic_load(&area->taken[i]) || lock_is_held(area->fd, i)))
            count++;
    return count;
}
