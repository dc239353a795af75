/* SPDX-License-Identifier: MIT
 *
 * Queries the running service like a load balancer, but through the service's own socket; for
 * containers without curl. */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include <stdbool.h>

#include "core/config.h"

/* Requests GET /health, or GET /readiness if `ready`. Returns the exit status of the program:
 * success if the answer is 200. Otherwise prints the answer, or why there was none, on standard
 * error. */
int probe_run(const struct config *config, bool ready);

#endif
