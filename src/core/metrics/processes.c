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
        resident == NULL ? 0 : strtoull(resident, NULL, 10); /* the second field, see proc(5) */
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void look_at(const struct area_process *process, struct processes *processes)
{
    uint64_t pid = area_get(&process->pid);
    processes->workers += area_get(&process->serves);
    processes->resident_bytes += resident_bytes(pid);
    processes->descriptors += count_descriptors(pid);
}

/* Counts requests in flight, except those of killed processes. `living` holds the ticket of each
 * living process, indexed by process; otherwise 0. */
static uint64_t count_in_flight(const struct metrics *metrics, const uint64_t *living)
{
    uint64_t total = area_get(area_slot(metrics, 0) + LAYOUT_IN_FLIGHT);
    size_t used = atomic_load(&metrics->area->header.slots_used);
    for (size_t i = 1; i < used; i++) {
        uint64_t here = area_get(area_slot(metrics, i) + LAYOUT_IN_FLIGHT);
        uint64_t owner = area_get(&metrics->area->owners[i]);
        if (living[area_process_of(owner)] == owner)
            total += here;
    }
    return total;
}

struct processes processes_look(const struct metrics *metrics)
{
    struct processes processes = {0};
    uint64_t living[AREA_PROCESSES] = {0};
    size_t used = atomic_load(&metrics->area->header.processes_used);
    for (size_t i = 0; i < used; i++) {
        const struct area_process *process = &metrics->area->processes[i];
        processes.cpu_us += area_get(&process->cpu_us);
        if (!area_is_held(metrics, i))
            continue;
        living[i] = area_get(&process->ticket);
        look_at(process, &processes);
    }
    processes.in_flight = count_in_flight(metrics, living);
    return processes;
}
