/* SPDX-License-Identifier: MIT
 *
 * What workers and the follower have in common: how they are forked, signalled and buried. nginx
 * and a rehearsal are children of the process too, but not meant here. */
#ifndef MAIN_SUPERVISOR_CHILDREN_H
#define MAIN_SUPERVISOR_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "main/supervisor/state.h"

/* The pause before a child is forked again. */
enum { BACK_OFF_FIRST_MS = 100, BACK_OFF_LONGEST_MS = 5000 };

/* A child that stays stopped (SIGSTOP, or a debugger's stop that was left behind) for longer is
 * killed: it may have the turn to write, and connections that nobody else answers. */
enum { STOPPED_MAX_MS = 10000 };

/* What the end of a child means for the service. */
enum children_verdict {
    CHILDREN_FINE,    /* nothing: it was asked to end, or another one takes its place */
    CHILDREN_CUT_OFF, /* the service is ending, and this worker did not answer all it had */
    CHILDREN_UNUSABLE /* the service cannot start: a child has logged why */
};

/* How many there are, in whatever state: workers and the follower. */
size_t children_count(const struct supervisor *supervisor);

/* Sends a signal to all of them. */
void children_signal(const struct supervisor *supervisor, int signal);

/* The worker or the follower with this process id; NULL: it is neither. */
struct child *children_find(struct supervisor *supervisor, pid_t pid);

/* Notes that the process was stopped, or goes on. */
void children_note_stopped(struct supervisor *supervisor, pid_t pid, bool stopped);

/* Kills those that have been stopped for too long. Whether others are stopped. */
bool children_kill_stopped(struct supervisor *supervisor);

/* Forks `child`, which starts in the current generation. The new process calls `work` and exits
 * with the status that it returns; `ready_fd` is its end of the pipe, to be closed by it. False: no
 * pipe, or no process; the latter is logged. */
MUST_CHECK bool children_fork(struct supervisor *supervisor, struct child *child,
                              int (*work)(struct supervisor *supervisor, const struct child *child,
                                          int ready_fd));

/* Closes this side of the child's pipe, if it is open. */
void children_close_ready(struct child *child);

/* Logs and counts the end of a child, with its status from waitpid(2), and frees its place. `name`
 * is the log field that holds its process id. Whether it had been asked to end. */
bool children_bury(struct supervisor *supervisor, struct child *child, int status,
                   const char *message, const char *name);

#endif
