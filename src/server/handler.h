/* SPDX-License-Identifier: MIT
 *
 * Handler threads, which answer requests that may block; and answering a request in any thread. */
#ifndef SERVER_HANDLER_H
#define SERVER_HANDLER_H

#include "server/state.h"

enum handler_outcome {
    HANDLER_KEPT,    /* answered; the connection stays open */
    HANDLER_ENDED,   /* answered or not; close the connection */
    HANDLER_GOES_ON, /* a part was sent; the next is due when the connection can be written to */
    HANDLER_TOO_LONG /* not answered: sending the answer might block */
};

/* Answers the current request of a connection. */
enum handler_outcome handler_serve(struct server_thread *thread, struct connection *connection);

/* Starts the handlers of all lanes. Returns false if some could not be started. */
MUST_CHECK bool handler_start_all(struct worker *worker);

/* Lets the handlers that were started finish their current requests, and joins them. */
void handler_stop_all(struct worker *worker);

/* Open and close the session with which a thread answers requests. */
MUST_CHECK bool handler_open(struct worker *worker, struct server_thread *thread,
                             size_t answer_max);
void handler_close(struct server_thread *thread);

#endif
