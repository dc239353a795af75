/* SPDX-License-Identifier: MIT
 *
 * What answers look like. What is wrong with a request is kept as values, in the session, and
 * written once, when the handler is done. */
#ifndef APP_ANSWER_H
#define APP_ANSWER_H

#include "app/call.h"
#include "model/integration.h"

/* Begins an answer in JSON, whose body is to be appended. */
struct buffer *answer_json(const struct call *call, unsigned status);

/* The answer is an error: `detail`, which lives until the answer is sent; or the session's faults.
 * A body that was begun is dropped. */
void answer_error(const struct call *call, unsigned status, struct str detail);
void answer_faults(const struct call *call, unsigned status);

/* The answer is what a store said that is no success. */
void answer_failure(const struct call *call, enum store_status status);

/* What became of reading an integration. False: it is none, and that is the answer. */
bool answer_outcome(const struct call *call, enum integration_outcome outcome);

/* Takes the body away: the client has it. */
void answer_not_modified(const struct call *call);

/* Adds a header whose value is copied; frees `value`. */
void answer_header(const struct call *call, struct str name, struct buffer *value);

/* What PATCH takes, for Accept-Patch (RFC 5789, section 3.1). */
extern const struct str answer_patch_types;

/* Writes the error, if the answer is one, in the form that the client likes best: {"detail":…}, or
 * problem details (RFC 9457). */
void answer_write_error(const struct call *call);

/* Writes the error as {"detail":…}. */
void answer_write_detail(const struct call *call);

#endif
