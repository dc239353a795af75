/* SPDX-License-Identifier: MIT
 *
 * An upgrade in place. First the new program is tried (a rehearsal); if it could run here, this
 * process goes on as that program (takeover.h), which replaces the children of the one before.
 *
 * Limits: a rehearsal that takes longer than ten seconds is killed, and logged like one that
 * failed. After an upgrade, the workers of the program before go on setting the flag `served`
 * (struct shared) of the places they had there, where there may be new workers now; one of these
 * that dies before it has answered a request is then replaced without a pause. */
#ifndef MAIN_SUPERVISOR_UPGRADE_H
#define MAIN_SUPERVISOR_UPGRADE_H

#include "main/supervisor/state.h"

/* Begins a rehearsal if an upgrade is wanted, there is room for more workers, and none is under
 * way. Kills one that takes too long, or when the service ends. */
void upgrade_rehearse(struct supervisor *supervisor);

/* The rehearsal has ended, with that status of waitpid(2): goes on as the new program if it could
 * run. Returns if it could not or if that fails (both are logged), if the service is ending, or if
 * another upgrade is wanted, which then has a rehearsal of its own. */
void upgrade_judge_rehearsal(struct supervisor *supervisor, int status);

/* Goes on with the children of the program before, as the new one. */
void upgrade_take_over(struct supervisor *supervisor);

#endif
