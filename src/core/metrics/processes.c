/* SPDX-License-Identifier: MIT */
#include "core/metrics/processes.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/metrics/area.h"
#include "core/metrics/layout.h"

static uint64_t count_descriptors(uint64_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/fd", pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    uint64_t count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; /* "." and ".." */
}

static uint64_t resident_bytes(uint64_t pid)
{
    char path[64];
    char line[128] = "";
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/statm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    const char *resident = fgets(line, sizeof line, file) == NULL ? NULL : strchr(line, ' ');
    fclose(file);
    uint64_t pages =
        resident == NULL ? 0 : strtoull(resident, NULL, 10); /* proc(5): its second word */
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A killed process's requests are in flight no more. */
static uint64_t count_in_flight(const struct metrics *metrics)
{
    uint64_t total = area_get(area_slot(metrics, 0) + LAYOUT_IN_FLIGHT);
    size_t used = area_used(metrics);
    for (size_t i = 1; i < used; i++) {
        uint64_t here = area_get(area_slot(metrics, i) + LAYOUT_IN_FLIGHT);
        if (here != 0 && area_is_held(metrics, i))
            total += here;
    }
    return total;
}

struct processes processes_look(const struct metrics *metrics)
{
    struct processes processes = {.in_flight = count_in_flight(metrics)};
    size_t used = area_used(metrics);
    for (size_t i = 1; i < used; i++) {
        const _Atomic uint64_t *slot = area_slot(metrics, i);
        uint64_t pid = area_get(slot + LAYOUT_PID);
        if (pid == 0 || !area_is_held(metrics, i))
            continue;
        processes.workers += area_get(slot + LAYOUT_SERVES);
        processes.resident_bytes += resident_bytes(pid);
        processes.descriptors += count_descriptors(pid);
    }
    return processes;
}
