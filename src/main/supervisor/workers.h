/* SPDX-License-Identifier: MIT
 *
 * The workers: as many as WORKERS says serve, and one that dies is replaced. Workers come in
 * generations; when all of a new one serve, the older ones retire.
 *
 * Limits: CHILDREN_MAX workers at the same time, those included that still answer their last
 * requests. A reload or an upgrade waits until there is room for a whole generation; if it is asked
 * for again meanwhile, that is the same one. */
#ifndef MAIN_SUPERVISOR_WORKERS_H
#define MAIN_SUPERVISOR_WORKERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "main/supervisor/children.h"
#include "main/supervisor/state.h"
#include "main/supervisor/takeover.h"

/* Forks what the current generation lacks. Does nothing while it is too early to try again, while
 * the follower has never been ready, and in PHASE_ENDING. */
void workers_fork_missing(struct supervisor *supervisor);

/* Whether a whole generation more may start. */
bool workers_have_room(const struct supervisor *supervisor);

/* Begins a new generation if one is wanted, there is room, and the current one serves. */
void workers_reload(struct supervisor *supervisor);

/* Reads a worker's pipe, which poll(2) reported: the worker serves, or it stops, and then is
 * replaced at once while it answers its last requests. */
void workers_read_ready(struct supervisor *supervisor, struct child *child);

/* Goes on with the workers of an earlier program, as a generation that is to be replaced. */
void workers_adopt(struct supervisor *supervisor, const struct takeover *earlier);

/* Buries a worker that has ended. `status` is that of waitpid(2). */
enum children_verdict workers_bury(struct supervisor *supervisor, struct child *child, int status);

#endif
