/* SPDX-License-Identifier: MIT
 *
 * Whether a caller may do what it asks for: its key (RFC 6750, or X-API-Key) against the scopes
 * that the table of endpoints names. */
#ifndef APP_ADMISSION_H
#define APP_ADMISSION_H

#include "app/call.h"
#include "app/endpoints.h"

/* Finds out who calls, for session->grant and call->caller. */
void admission_identify(struct call *call);

/* Whether the caller has the operation's scopes; if not, answers with 401 or 403. */
bool admission_admit(const struct call *call, const struct operation *operation);

/* Whether the key may deal with an integration; if it is bound to others, answers with 403. */
bool admission_covers(const struct call *call, struct str id);

/* Adds headers that say that the answer depends on the key, and what the key may do. */
void admission_add_headers(const struct call *call, const struct endpoint *endpoint);

#endif
