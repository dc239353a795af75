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
#include <stdint.h>

#include "base/base.h"
#include "base/event.h"

/* Content of the file; all zeros in a new file. */
struct turn_page {
    struct event commits;
    struct event given;             /* the turn was given up */
    _Atomic uint64_t holder;        /* process id of who has it, or had it last */
    _Atomic uint64_t taken_ns;      /* since when (steady clock) */
    _Atomic uint64_t checked_ns;    /* when readers were last checked (steady clock) */
    _Atomic uint64_t oldest_reader; /* the oldest transaction that was then being read */
    _Atomic uint64_t oldest_ns;     /* since when it has been the oldest (steady clock) */
    _Atomic uint64_t file;          /* inode of the data.mdb that lock.mdb is about; 0: unknown */
};

struct turn {
    pthread_mutex_t lock; /* within this process; then the file's, among all */
    int fd;
    struct turn_page *page;
};

/* Opens or creates the file `path`. Returns 0, or an errno and there is nothing to close. */
MUST_CHECK int turn_open(struct turn *turn, const char *path);
void turn_close(struct turn *turn);

/* Waits for the turn until `deadline_ns` (steady clock), but at most 20 s. Returns 0, ETIMEDOUT
 * (logged, with the process that has it), or another errno. */
MUST_CHECK int turn_take(struct turn *turn, uint64_t deadline_ns);

/* Whether the turn is free, or whoever has it gives it up before `deadline_ns` (steady clock). */
MUST_CHECK bool turn_moves(struct turn *turn, uint64_t deadline_ns);

/* Takes the turn if nobody has it. */
MUST_CHECK bool turn_try(struct turn *turn);
void turn_give(struct turn *turn);

#endif
