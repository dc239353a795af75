/* SPDX-License-Identifier: MIT
 *
 * Conditional requests (RFC 9110, section 13). The entity tag of an integration is the revision of
 * its last change, that of the list is the store's revision; both are decimal and strong. Dates are
 * considered only where no tags are given; they cannot tell apart two changes within one second.
 *
 * A web server in front that compresses answers makes a tag of ours weak (W/"7"; nginx) or extends
 * it ("7-gzip"; Apache's mod_deflate). A revision says exactly what was answered, whatever was made
 * of its tag, so such tags are taken as ours, also in If-Match. */
#ifndef APP_CONDITIONS_H
#define APP_CONDITIONS_H

#include "app/call.h"

/* Adds the ETag of the answer, and the Last-Modified date unless updated_us is 0 (unknown). */
void conditions_tell(const struct call *call, uint64_t revision, uint64_t updated_us);

/* The revision that one of our tags names (the text between its quotes), UINT64_MAX: it is none. */
uint64_t conditions_revision(struct str opaque);

/* A revision that the client claims to have; 0 if none. */
uint64_t conditions_known(const struct http_request *request);

/* Whether the client already has this revision, last changed at updated_us (0: unknown), so that
 * the answer is 304. */
bool conditions_has(const struct call *call, uint64_t revision, uint64_t updated_us);

/* Whether a condition that allows a read (If-Match, If-Unmodified-Since) is not met by this
 * revision, last changed at updated_us (0: unknown); then the request has been answered: 412. */
MUST_CHECK bool conditions_refuse(const struct call *call, uint64_t revision, uint64_t updated_us);

/* Answers 412 to a change, and says which condition is not met. */
void conditions_answer_changed(const struct call *call);

/* Applies the conditions of a POST, whose target is the list: its tag is the store's revision. If
 * that must be the same when the changes are made, points *if_store to *revision, else to nothing.
 * Returns false if the request has been answered (412, or the store failed). */
MUST_CHECK bool conditions_read_list(const struct call *call, uint64_t *revision,
                                     const uint64_t **if_store);

/* Applies the request's conditions to a change: sets its `if_revision`, and turns STORE_REPLACE
 * into STORE_CREATE for "If-None-Match: *". Returns false if the request has been answered (428, or
 * the store failed). */
MUST_CHECK bool conditions_read(const struct call *call, struct store_change *change);

#endif
