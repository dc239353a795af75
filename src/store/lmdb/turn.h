/* SPDX-License-Identifier: MIT
 *
 * The turn to write to an environment, and the event of a commit. Both are shared by all processes
 * of the host through a small file that they lock and map.
 *
 * LMDB has a writer lock of its own, a robust mutex shared between processes. But if the waiter
 * that has been woken is killed before it acquires the mutex, nobody wakes the next one. Kernel
 * locks (fcntl(2), F_OFD_SETLKW) do not have this problem. */
#ifndef STORE_LMDB_TURN_H
#define STORE_LMDB_TURN_H

#include <pthread.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/event.h"

/* Content of the file; all zeros in a new file. */
struct turn_page {
    struct event commits;
};

struct turn {
    pthread_mutex_t lock; /* among the threads of this process; taken before the file lock */
    int fd;
    struct turn_page *page;
};

/* Opens or creates the file `path`. Returns 0, or an errno, in which case there is nothing to
 * close. */
MUST_CHECK int turn_open(struct turn *turn, const char *path);
void turn_close(struct turn *turn);

/* Waits for the turn. Returns 0, or an errno. */
MUST_CHECK int turn_take(struct turn *turn);
/* Takes the turn if nobody has it. */
MUST_CHECK bool turn_try(struct turn *turn);
void turn_give(struct turn *turn);

#endif
