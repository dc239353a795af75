/* SPDX-License-Identifier: MIT
 *
 * The thread that takes connections. It waits in accept4(2) on purpose: that is where the kernel
 * shares connections out among the workers in turn. */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include "server/state.h"

MUST_CHECK bool acceptor_start(struct worker *worker);
void acceptor_stop(struct worker *worker);

/* Takes what connected before the service stopped listening. */
void acceptor_take_queue(struct worker *worker);

#endif
