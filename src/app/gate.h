/* SPDX-License-Identifier: MIT
 *
 * Checks that precede every handler: does the path exist, is the method allowed, may the caller do
 * that, is the body within the limit. A handler sees only requests that passed. */
#ifndef APP_GATE_H
#define APP_GATE_H

#include "app/call.h"

/* Has the request answered, either by its handler or with an error. */
void gate_pass(struct call *call, const struct app_route *route);

#endif
