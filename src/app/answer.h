/* SPDX-License-Identifier: MIT
 *
 * What answers look like. */
#ifndef APP_ANSWER_H
#define APP_ANSWER_H

#include "app/endpoints.h"

/* Begins an answer in JSON, whose body is to be appended. */
struct buffer *answer_json(struct http_response *response, unsigned status);

/* Answers {"detail":detail} as every error is answered. */
void answer_detail(struct http_response *response, unsigned status, struct str detail);

/* What PATCH takes, for Accept-Patch (RFC 5789, section 3.1). */
extern const struct str answer_patch_types;

/* Takes the body away: the client has it. */
void answer_not_modified(struct http_response *response);

/* Answers what a store said that is no success. */
void answer_failure(const struct call *call, enum store_status status);

#endif
