/* SPDX-License-Identifier: MIT
 *
 * Builds answers. Errors are kept as values in the session and are written once, after the handler
 * has returned. */
#ifndef APP_ANSWER_H
#define APP_ANSWER_H

#include "app/call.h"
#include "model/integration.h"

/* Starts a JSON answer and returns its body, for the caller to append to. */
struct buffer *answer_json(const struct call *call, unsigned status);

/* Makes the answer an error with the text `detail`, which must live until the answer is sent, or
 * with the session's faults. Discards any body written so far. */
void answer_error(const struct call *call, unsigned status, struct str detail);
void answer_faults(const struct call *call, unsigned status);

/* Makes the answer the error that corresponds to a store status other than STORE_OK. */
void answer_failure(const struct call *call, enum store_status status);

/* Handles the outcome of reading an integration. Returns true if there is one; otherwise answers
 * with the error and returns false. */
bool answer_outcome(const struct call *call, enum integration_outcome outcome);

/* Turns the answer into 304 without a body: the client already has the representation. */
void answer_not_modified(const struct call *call);

/* Says that the answer belongs into no cache, for it holds secrets. */
void answer_privately(const struct call *call);

/* Adds a header with a copy of `value`, and releases `value`. */
void answer_header(const struct call *call, struct str name, struct buffer *value);

/* The media types that PATCH accepts, for Accept-Patch (RFC 5789, section 3.1). */
extern const struct str answer_patch_types;

/* If the answer is an error, writes its body in the form the client prefers: {"detail":…}, or
 * problem details (RFC 9457). */
void answer_write_error(const struct call *call);

/* Writes the error body as {"detail":…}. */
void answer_write_detail(const struct call *call);

#endif
