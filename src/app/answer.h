/* SPDX-License-Identifier: MIT
 *
 * What answers look like. */
#ifndef APP_ANSWER_H
#define APP_ANSWER_H

#include "app/endpoints.h"
#include "model/integration.h"

/* Begins an answer in JSON, whose body is to be appended. */
struct buffer *answer_json(struct http_response *response, unsigned status);

/* Answers {"detail":detail} as every error is answered. */
void answer_detail(struct http_response *response, unsigned status, struct str detail);

/* Ends an answer whose body is {"detail": and what a function of integration.h appended: the faults
 * of the request, or why they are not known. True: there are none, and the body is empty. */
bool answer_outcome(const struct call *call, enum integration_outcome outcome);

/* Begins the next entry in a list of faults, which the answer's body is to be; then ends the list.
 */
struct buffer *answer_next_fault(struct http_response *response);
void answer_faults(struct http_response *response, unsigned status);

/* Adds a header whose value is copied; frees `value`. */
void answer_header(const struct call *call, struct str name, struct buffer *value);

/* What PATCH takes, for Accept-Patch (RFC 5789, section 3.1). */
extern const struct str answer_patch_types;

/* Takes the body away: the client has it. */
void answer_not_modified(struct http_response *response);

/* Answers what a store said that is no success. */
void answer_failure(const struct call *call, enum store_status status);

#endif
