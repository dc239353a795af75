/* SPDX-License-Identifier: MIT
 *
 * Asks the running service how it is, as a load balancer would, but through the service's own
 * socket: for containers without curl. */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include <stdbool.h>

#include "core/config.h"

/* Asks GET /health, or GET /readiness if `ready`. Returns the program's exit status: success if the
 * answer is 200; otherwise a sentence on standard error says what was answered, or why nothing was.
 */
int probe_run(const struct config *config, bool ready);

#endif
