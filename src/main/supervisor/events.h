/* SPDX-License-Identifier: MIT
 *
 * What happens to the supervisor while it runs: signals, children that are ready or end, and time
 * that passes. */
#ifndef MAIN_SUPERVISOR_EVENTS_H
#define MAIN_SUPERVISOR_EVENTS_H

#include <stdbool.h>

#include "base/base.h"
#include "main/supervisor/state.h"

/* Blocks all signals of this process, and opens the descriptor that tells of those that matter;
 * asks the service manager whether it wants signs of life. False, with errno, and nothing to close:
 * there is no such descriptor. */
MUST_CHECK bool events_open(struct supervisor *supervisor);

/* Supervises until all children and nginx have ended. Returns the program's exit status. */
int events_run(struct supervisor *supervisor);

void events_close(struct supervisor *supervisor);

#endif
