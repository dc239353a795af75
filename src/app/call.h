/* SPDX-License-Identifier: MIT
 *
 * A request while a handler works on it, and the handler's access to the store. */
#ifndef APP_CALL_H
#define APP_CALL_H

#include "app/app.h"

/* What a handler is given; it answers into session->response. */
struct call {
    struct app_session *session;
    const struct http_request *request;
    struct str id; /* the {id} segment of the path, decoded */
    struct service_caller caller;
};

/* What is wrong with a mask that stands for nothing stored in its place. */
extern const char call_mask_fault[];

/* Returns a read with the freshness that the request asks for. */
struct store_read call_read(const struct call *call);

/* Reads the document that a change will be based on; `fresh`: from the database, not a replica. */
enum store_status call_get_to_change(const struct call *call, struct str id, bool fresh,
                                     struct store_record *record, struct buffer *out);

/* Adds headers that say which revision of the store was read, and its maximum age (RFC 9111,
 * section 5.1). */
void call_tell_state(const struct call *call, const struct store_read *read,
                     enum store_status status);

/* Adds a header with the first revision of the store that includes the changes that were made, and
 * one if reads from this host's replica may not see them yet. */
void call_tell_change(const struct call *call, const struct store_batch *made);

#endif
