/* SPDX-License-Identifier: MIT
 *
 * How the service ends (enum phase): for PRE_DRAIN_DELAY it serves on, but is not ready; then nginx
 * answers its last requests, then the workers theirs. nginx is stopped if it takes longer than
 * DRAIN_TIMEOUT; two seconds later, all that is left is killed. */
#ifndef MAIN_SUPERVISOR_ENDING_H
#define MAIN_SUPERVISOR_ENDING_H

#include "main/supervisor/children.h"
#include "main/supervisor/state.h"

/* A signal of that name asks to end; another one, more than a second later, to end at once. */
void ending_on_signal(struct supervisor *supervisor, const char *name);

/* Does what a child's end calls for: ends the service, or makes its exit status 1, or nothing. */
void ending_act_on(struct supervisor *supervisor, enum children_verdict verdict);

/* nginx has ended, with that status of waitpid(2): the children are next. If it had not been asked
 * to, the exit status will be 1. */
void ending_bury_nginx(struct supervisor *supervisor, int status);

/* Does what is due by now: goes on to the next phase, stops nginx, kills what is left. */
void ending_enforce(struct supervisor *supervisor);

#endif
