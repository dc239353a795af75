/* SPDX-License-Identifier: MIT
 *
 * What stands before every handler: is there such a path, is the method allowed on it, is the body
 * not too large. A handler starts from a request that the gate has let pass. */
#ifndef APP_GATE_H
#define APP_GATE_H

#include "app/call.h"

/* Has the request answered: by its handler, or by saying why not. */
void gate_pass(struct call *call, const struct app_route *route);

#endif
