/* SPDX-License-Identifier: MIT
 *
 * When keys were used last: a hash table with open addressing, which all processes write to without
 * locks. What it says is for people; the worst that a race does is to forget a minute. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/metrics.h"
#include "core/metrics/area.h"

enum { PROBES = 16 }; /* entries that a key may be in */

struct metrics_key_uses {
    struct area_key keys[AREA_KEYS];
};

/* Returns the entry that a key is in, or may take: a free one, or that of the key whose last use is
 * longest ago. */
static struct area_key *find(struct area_key *keys, uint64_t key)
{
    struct area_key *oldest = &keys[key % AREA_KEYS];
    for (size_t i = 0; i < PROBES; i++) {
        struct area_key *entry = &keys[(key + i) % AREA_KEYS];
        uint64_t owner = area_get(&entry->key);
        if (owner == key || owner == 0)
            return entry;
        if (area_get(&entry->minute) < area_get(&oldest->minute))
            oldest = entry;
    }
    return oldest;
}

void metrics_note_key(struct metrics *metrics, uint64_t key, uint64_t minute)
{
    struct area_key *entry = find(metrics->area->keys, key);
    /* Written once a minute, so that the line stays in the caches of all CPUs. */
    if (area_get(&entry->key) == key && area_get(&entry->minute) == minute)
        return;
    area_set(&entry->minute, minute);
    area_set(&entry->key, key);
}

struct metrics_key_uses *metrics_load_key_uses(const char *path)
{
    struct area_header header;
    struct metrics_key_uses *uses = malloc(sizeof *uses);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool loaded =
        uses != NULL && fd >= 0 && pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        memcmp(header.magic, area_magic, sizeof header.magic) == 0 &&
        pread(fd, uses, sizeof *uses, offsetof(struct area, keys)) == (ssize_t)sizeof *uses;
    if (fd >= 0)
        close(fd);
    if (loaded)
        return uses;
    free(uses);
    return NULL;
}

uint64_t metrics_key_minute(struct metrics_key_uses *uses, uint64_t key)
{
    struct area_key *entry = find(uses->keys, key);
    return area_get(&entry->key) == key ? area_get(&entry->minute) : 0;
}
