/* SPDX-License-Identifier: MIT
 *
 * The thread that accepts connections. It deliberately blocks in accept4(2): blocked callers are
 * woken in turn, so the kernel distributes connections evenly among the workers. */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include "server/state.h"

MUST_CHECK bool acceptor_start(struct worker *worker);
void acceptor_stop(struct worker *worker);

/* Accepts the connections left in the queue when the service stopped listening. */
void acceptor_take_queue(struct worker *worker);

#endif
