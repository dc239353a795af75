/* SPDX-License-Identifier: MIT
 *
 * Conditional requests (RFC 9110, section 13). The entity tag of an integration is its version
 * (struct store_version), that of the list is the store's: "7-1764287654123456", in decimal and
 * strong. Keys that are bound to ids get them veiled (access/veil.h), and none of a list. Dates are
 * considered only where no tags are given; they cannot tell apart two changes within one second.
 *
 * A web server in front that compresses answers makes a tag of ours weak (W/"7-1"; nginx) or
 * extends it ("7-1-gzip"; Apache's mod_deflate). A version says exactly what was answered, whatever
 * was made of its tag, so such tags are taken as ours, also in If-Match. */
#ifndef APP_CONDITIONS_H
#define APP_CONDITIONS_H

#include "app/call.h"

/* Adds the ETag of the answer, and the Last-Modified date unless updated_us is 0 (unknown). */
void conditions_tell(const struct call *call, struct store_version version, uint64_t updated_us);

/* Appends the tag of a version, without quotes. */
void conditions_append_tag(const struct call *call, struct buffer *buffer,
                           struct store_version version);

/* The version that a tag names (the text between its quotes); one that nothing ever has, if it is
 * no tag of ours. */
struct store_version conditions_version(const struct call *call, struct str opaque);
bool conditions_is_version(struct store_version version);

/* The version of a list, which is the store's; for a key that is bound to ids, one that nothing
 * ever has, and which has no tag. */
struct store_version conditions_list_version(const struct call *call, struct store_version version);

/* A version that the client claims to have; all zeros if none. The first form is for a request
 * whose key is not known yet: it knows no veiled tags. */
struct store_version conditions_claimed(const struct http_request *request);
struct store_version conditions_known(const struct call *call);

/* Whether the client already has this version, last changed at updated_us (0: unknown), so that
 * the answer is 304. */
bool conditions_has(const struct call *call, struct store_version version, uint64_t updated_us);

/* Whether a condition that allows a read (If-Match, If-Unmodified-Since) is not met by this
 * version, last changed at updated_us (0: unknown); then the request has been answered: 412. */
MUST_CHECK bool conditions_refuse(const struct call *call, struct store_version version,
                                  uint64_t updated_us);

/* Answers 412 to a change, and says which condition is not met. */
void conditions_answer_changed(const struct call *call);

/* Applies the conditions of a POST, whose target is the list: its tag is the store's version. If
 * that must be the same when the changes are made, points *if_store to *version, else to nothing.
 * Returns false if the request has been answered (412, or the store failed). */
MUST_CHECK bool conditions_read_list(const struct call *call, struct store_version *version,
                                     const struct store_version **if_store);

/* Applies the request's conditions to a change: sets its `if_version`, and turns STORE_REPLACE
 * into STORE_CREATE for "If-None-Match: *". Returns false if the request has been answered (428, or
 * the store failed). */
MUST_CHECK bool conditions_read(const struct call *call, struct store_change *change);

#endif
