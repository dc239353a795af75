/* SPDX-License-Identifier: MIT
 *
 * Conditional requests (RFC 9110, section 13). The entity tag of an integration is the revision of
 * its last change, that of the list is the store's revision; both are decimal and strong. Dates are
 * considered only where no tags are given; they cannot tell apart two changes within one second. */
#ifndef APP_CONDITIONS_H
#define APP_CONDITIONS_H

#include "app/call.h"

/* Adds the ETag of the answer, and the Last-Modified date unless updated_us is 0 (unknown). */
void conditions_tell(const struct call *call, uint64_t revision, uint64_t updated_us);

/* A revision that the client claims to have; 0 if none. */
uint64_t conditions_known(const struct http_request *request);

/* Whether the client already has this revision, last changed at updated_us (0: unknown), so that
 * the answer is 304. */
bool conditions_has(const struct call *call, uint64_t revision, uint64_t updated_us);

/* Applies the request's conditions to a change: sets its `if_revision`, and turns STORE_REPLACE
 * into STORE_CREATE for "If-None-Match: *". Returns false if the request has been answered (428, or
 * the store failed). */
MUST_CHECK bool conditions_read(const struct call *call, struct store_change *change);

#endif
