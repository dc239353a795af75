/* SPDX-License-Identifier: MIT
 *
 * The supervisor's care for the follower process (server/follower.h), if the store has one. */
#ifndef MAIN_SUPERVISOR_FOLLOWER_H
#define MAIN_SUPERVISOR_FOLLOWER_H

#include <stdbool.h>
#include <sys/types.h>

#include "main/supervisor/children.h"
#include "main/supervisor/state.h"

/* Whether there is none, and should be one. */
bool follower_is_missing(const struct supervisor *supervisor);

/* Forks it if it is missing, and not too early to try again. */
void follower_fork_missing(struct supervisor *supervisor);

/* Reads its pipe, which poll(2) reported: it is ready, so workers may start; or it stops. */
void follower_read_ready(struct supervisor *supervisor);

/* Has a new one take its place, which knows the keys for settings that were read anew. */
void follower_renew(struct supervisor *supervisor);

/* Asks the follower of an earlier program to end, so that one of this program takes its place. */
void follower_adopt(struct supervisor *supervisor, pid_t pid);

/* Buries it. `status` is that of waitpid(2). */
enum children_verdict follower_bury(struct supervisor *supervisor, int status);

#endif
