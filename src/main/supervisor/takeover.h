/* SPDX-License-Identifier: MIT
 *
 * An upgrade in place: the supervisor replaces its own program by execve(2), as the same process,
 * and the new program goes on with the socket, the lock and the children of the one before. What it
 * must know for that comes in one environment variable.
 *
 * Limits: the new program is looked for by the name that this one was started by (execvp(3)); the
 * lookup of a relative path begins in the current directory. */
#ifndef MAIN_SUPERVISOR_TAKEOVER_H
#define MAIN_SUPERVISOR_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/base.h"

enum { TAKEOVER_WORKERS_MAX = 256 };

struct takeover {
    int listen_fd;
    int lock_fd;
    int shared_fd;     /* memory shared with the workers */
    bool socket_given; /* by the service manager */
    bool rehearsed;    /* only a rehearsal: see takeover_rehearse */
    pid_t nginx;       /* 0: none */
    pid_t follower;    /* 0: none */
    struct {
        pid_t pid;
        bool retiring; /* asked to end */
    } workers[TAKEOVER_WORKERS_MAX];
    size_t workers_len;
};

/* Whether an earlier program of this process left something to take over; if so, the descriptors
 * are open and the caller's, and the children are this process's. Call once, before anything is
 * forked. */
MUST_CHECK bool takeover_receive(struct takeover *takeover);

/* Forks a child that runs the program that now has this one's name, to see whether it could go on
 * here. That program receives `takeover` without the children, changes nothing, and instead of
 * serving calls takeover_tell_ready. The read end of a pipe for what it says is stored in *said_fd.
 * Returns -1, with errno, if the fork failed. */
pid_t takeover_rehearse(const struct takeover *takeover, bool with_nginx, int *said_fd);

/* In a rehearsal: says on standard output that this program could go on. */
MUST_CHECK bool takeover_tell_ready(void);

/* When the child of a rehearsal has ended: closes `said_fd`, and returns whether it said that it
 * could go on. */
MUST_CHECK bool takeover_was_told_ready(int said_fd);

/* Goes on as that program. Returns, with errno, only if that failed. */
void takeover_exec(const struct takeover *takeover, bool with_nginx);

#endif
