/* SPDX-License-Identifier: MIT
 *
 * Whose turn it is to write to an environment, and the event of a commit; both among all processes
 * of the host, by a small file that they lock and map.
 *
 * LMDB has a lock of its own for writers, a robust mutex between processes, but that one can leave
 * its waiters asleep: when the waiter that was woken is killed before it has the mutex, nobody
 * wakes the next. A lock of the kernel's (fcntl(2), F_OFD_SETLKW) has no such gap. */
#ifndef STORE_LMDB_TURN_H
#define STORE_LMDB_TURN_H

#include <pthread.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/event.h"

/* What the file holds; a new one is zeroed. */
struct turn_page {
    struct event commits;
};

struct turn {
    pthread_mutex_t lock; /* within this process; then the file's, among all */
    int fd;
    struct turn_page *page;
};

/* Opens or creates the file `path`: 0, or an errno and nothing to close. */
MUST_CHECK int turn_open(struct turn *turn, const char *path);
void turn_close(struct turn *turn);

/* Waits for the turn: 0, or an errno. */
MUST_CHECK int turn_take(struct turn *turn);
void turn_give(struct turn *turn);

#endif
