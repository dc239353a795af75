/* SPDX-License-Identifier: MIT */
#include "store/lmdb/readers.h"

#include "base/clock.h"
#include "core/log.h"

enum { CHECK_MS = 1000 };

/* Takes the smallest transaction number of the lines that mdb_reader_list prints: process, thread,
 * and the number or "-". */
static int see_line(const char *line, void *context)
{
    uint64_t *oldest = context;
    const char *last = strrchr(line, ' ');
    struct str number = last == NULL ? STR("") : str_from(last + 1);
    uint64_t transaction;
    if (number.len > 0 && number.data[number.len - 1] == '\n')
        number.len--;
    if (str_to_u64(number, &transaction) && transaction < *oldest)
        *oldest = transaction;
    return 0;
}

static void note_oldest(struct environment *environment, uint64_t now_ns)
{
    struct turn_page *page = environment->turn.page;
    MDB_envinfo info;
    uint64_t oldest = UINT64_MAX;
    mdb_env_info(environment->env, &info);
    mdb_reader_list(environment->env, see_line, &oldest);
    if (oldest >= info.me_last_txnid)
        oldest = 0; /* nobody reads anything but what is current */
    if (atomic_exchange(&page->oldest_reader, oldest) != oldest)
        atomic_store(&page->oldest_ns, now_ns);
}

void readers_check(struct environment *environment)
{
    struct turn_page *page = environment->turn.page;
    uint64_t now_ns = clock_steady_ns();
    uint64_t checked_ns = atomic_load(&page->checked_ns);
    int dead = 0;
    /* After a restart of the machine, the clock is behind what the file says. */
    if ((now_ns >= checked_ns && now_ns - checked_ns < CHECK_MS * NS_PER_MS) ||
        !atomic_compare_exchange_strong(&page->checked_ns, &checked_ns, now_ns))
        return;
    mdb_reader_check(environment->env, &dead);
    if (dead > 0)
        LOG(LOG_WARNING, "readers of the store were killed: they are forgotten",
            LOG_NUMBER("readers", dead));
    note_oldest(environment, now_ns);
}

uint64_t readers_oldest_ms(const struct environment *environment)
{
    const struct turn_page *page = environment->turn.page;
    uint64_t since_ns = atomic_load(&page->oldest_ns);
    uint64_t now_ns = clock_steady_ns();
    if (atomic_load(&page->oldest_reader) == 0 || since_ns > now_ns)
        return 0;
    return (now_ns - since_ns) / NS_PER_MS;
}
