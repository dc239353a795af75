/* SPDX-License-Identifier: MIT
 *
 * An upgrade in place: the supervisor replaces its own program by execve(2), as the same process,
 * and the new program goes on with the socket, the lock and the children of the one before. What it
 * must know for that comes in one environment variable. */
#ifndef MAIN_TAKEOVER_H
#define MAIN_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/base.h"

enum { TAKEOVER_WORKERS_MAX = 256 };

struct takeover {
    int listen_fd;
    int lock_fd;
    int shared_fd;     /* memory in common with the workers */
    bool socket_given; /* by the service manager */
    pid_t nginx;       /* 0: none */
    pid_t follower;    /* 0: none */
    struct {
        pid_t pid;
        bool retiring; /* has been told to */
    } workers[TAKEOVER_WORKERS_MAX];
    size_t workers_len;
};

/* Whether an earlier program of this process left something to take over. Call once, before
 * anything is forked. Children that are none of this process are left out. */
MUST_CHECK bool takeover_receive(struct takeover *takeover);

/* Asks the program that now has this one's name whether it could run here (its check-config), in a
 * child whose exit status tells. -1: the fork failed. */
pid_t takeover_rehearse(void);

/* Goes on as that program. Returns, with errno, only if that failed. */
void takeover_exec(const struct takeover *takeover, bool with_nginx);

#endif
