/* SPDX-License-Identifier: MIT */
#include "core/metrics/area.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/mapping.h"
#include "core/metrics/layout.h"

const char area_magic[8] = "ISMETR4\n";
static_assert(sizeof(struct area_header) <= AREA_PAGE, "it fits");
static_assert(sizeof(struct area_process) == AREA_CACHE_LINE, "none shares one");

/* Size in bytes of a file with this many slots. */
static size_t size_with(const struct metrics *metrics, size_t slots)
{
    return offsetof(struct area, slots) + slots * metrics->slot_len * sizeof(uint64_t);
}

bool area_grow(const struct metrics *metrics, size_t slots)
{
    struct stat status;
    off_t size = (off_t)size_with(metrics, slots);
    if (fstat(metrics->fd, &status) != 0)
        return false;
    if (status.st_size >= size)
        return true;
    /* Allocate only the new part: where the file system lacks support, the C library writes
     * zeros. */
    do
        errno = posix_fallocate(metrics->fd, status.st_size, size - status.st_size);
    while (errno == EINTR);
    return errno == 0;
}

enum outcome { AREA_READY, AREA_REPLACED, AREA_BROKEN };

/* Writes the header of an area in which no process is known. */
static bool write_header(const struct metrics *metrics, uint64_t slots_used)
{
    struct area_header header = {.shape = metrics->shape, .slots_used = slots_used};
    memcpy(header.magic, area_magic, sizeof area_magic);
    return pwrite(metrics->fd, &header, sizeof header, 0) == (ssize_t)sizeof header;
}

/* Initializes a new file. */
static enum outcome make_area(const struct metrics *metrics, const char *path)
{
    if (area_grow(metrics, 1) && write_header(metrics, 1))
        return AREA_READY;
    int reason = errno;
    if (ftruncate(metrics->fd, 0) != 0)
        unlink(path);
    errno = reason;
    return AREA_BROKEN;
}

static bool is_area(const struct metrics *metrics, off_t size)
{
    struct area_header header;
    return pread(metrics->fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
           memcmp(header.magic, area_magic, sizeof area_magic) == 0 &&
           header.shape == metrics->shape && header.processes_used <= AREA_PROCESSES &&
           header.slots_used <= AREA_SLOTS && (size_t)size >= size_with(metrics, header.slots_used);
}

/* Runs with the file locked: initializes a new file, or checks that it has this shape. */
static enum outcome prepare_area(const struct metrics *metrics, const char *path)
{
    struct stat status;
    if (fstat(metrics->fd, &status) != 0)
        return AREA_BROKEN;
    if (status.st_nlink == 0)
        return AREA_REPLACED;
    if (status.st_size == 0)
        return make_area(metrics, path);
    if (is_area(metrics, status.st_size))
        return AREA_READY;
    return unlink(path) == 0 ? AREA_REPLACED : AREA_BROKEN;
}

/* Opens the file as an area of this shape. On failure returns false with errno set and nothing
 * open. */
static bool open_area(struct metrics *metrics, const char *path)
{
    enum outcome outcome = AREA_REPLACED;
    while (outcome == AREA_REPLACED) {
        metrics->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
        if (metrics->fd < 0)
            return false;
        outcome = AREA_BROKEN;
        if (lock_wait(metrics->fd, AREA_LOCK)) {
            outcome = prepare_area(metrics, path);
            lock_release(metrics->fd, AREA_LOCK);
        }
        if (outcome == AREA_READY)
            return true;
        int reason = errno;
        close(metrics->fd);
        errno = reason;
    }
    return false;
}

/* As many as a service uses, but for the largest; what others count is lost until they restart. */
enum { SLOTS_HEALED = 256 };

/* Somebody emptied the file: the counts begin anew. */
static bool heal(void *context)
{
    const struct metrics *metrics = context;
    return ftruncate(metrics->fd, (off_t)size_with(metrics, AREA_SLOTS)) == 0 &&
           write_header(metrics, SLOTS_HEALED);
}

static bool map_area(struct metrics *metrics)
{
    void *area = mmap(NULL, size_with(metrics, AREA_SLOTS), PROT_READ | PROT_WRITE, MAP_SHARED,
                      metrics->fd, 0);
    if (area == MAP_FAILED) {
        int reason = errno;
        close(metrics->fd);
        errno = reason;
        return false;
    }
    metrics->area = area;
    mapping_guard(area, size_with(metrics, AREA_SLOTS), heal, metrics);
    return true;
}

struct metrics *metrics_open(const char *path, const struct metrics_labels *labels, char *error,
                             size_t error_size)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL) {
        snprintf(error, error_size, "no memory for the metrics");
        return NULL;
    }
    metrics->labels = labels;
    metrics->slot_len = layout_len(labels);
    metrics->shape = layout_shape(labels);
    if (open_area(metrics, path) && map_area(metrics))
        return metrics;
    snprintf(error, error_size, "cannot open the metrics file %s: %s", path, strerror(errno));
    free(metrics);
    return NULL;
}

void metrics_close(struct metrics *metrics)
{
    mapping_release(metrics->area);
    munmap(metrics->area, size_with(metrics, AREA_SLOTS));
    close(metrics->fd);
    free(metrics);
}

bool area_is_held(const struct metrics *metrics, size_t process)
{
    return metrics->process == &metrics->area->processes[process] ||
           lock_is_held(metrics->fd, AREA_LOCK_PROCESSES + process);
}

bool area_lives(const struct metrics *metrics, uint64_t ticket)
{
    size_t process = area_process_of(ticket);
    return ticket != 0 && atomic_load(&metrics->area->processes[process].ticket) == ticket &&
           area_is_held(metrics, process);
}
