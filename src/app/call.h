/* SPDX-License-Identifier: MIT
 *
 * A request on its way through a handler, and how a handler reaches the store on its behalf. */
#ifndef APP_CALL_H
#define APP_CALL_H

#include "app/app.h"

/* A handler answers into session->response. */
struct call {
    struct app_session *session;
    const struct http_request *request;
    struct str id; /* the path's {id}, decoded */
    struct service_caller caller;
};

/* A read as the request asks for it. */
struct store_read call_read(const struct call *call);

/* Gets what a change is to be based on; `fresh`: from the database itself. */
enum store_status call_get_to_change(const struct call *call, struct str id, bool fresh,
                                     struct store_record *record, struct buffer *out);

/* Tells which state of the store was read, and how old that is at most (RFC 9111, section 5.1). */
void call_tell_state(const struct call *call, const struct store_read *read,
                     enum store_status status);

/* Tells which state of the store has the change. */
void call_tell_revision(const struct call *call, uint64_t revision);

#endif
