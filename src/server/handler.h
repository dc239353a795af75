/* SPDX-License-Identifier: MIT
 *
 * The threads that answer what may wait, and how any thread answers. */
#ifndef SERVER_HANDLER_H
#define SERVER_HANDLER_H

#include "server/state.h"

enum handler_outcome {
    HANDLER_KEPT,    /* answered; the connection lives on */
    HANDLER_ENDED,   /* answered or not; the connection is to be closed */
    HANDLER_TOO_LONG /* not answered: a reader would have to be waited for */
};

/* Answers the connection's current request. */
enum handler_outcome handler_serve(struct server_thread *thread, struct connection *connection);

/* Starts the handlers of all lanes. False: some could not be started. */
MUST_CHECK bool handler_start_all(struct worker *worker);

/* Waits for those that were started to end what they are at. */
void handler_stop_all(struct worker *worker);

/* Opens and closes what a thread answers with. */
MUST_CHECK bool handler_open(struct worker *worker, struct server_thread *thread,
                             size_t answer_max);
void handler_close(struct server_thread *thread);

#endif
