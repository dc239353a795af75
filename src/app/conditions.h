/* SPDX-License-Identifier: MIT
 *
 * Conditional requests (RFC 9110, section 13). The entity tag of an integration is the revision of
 * its last change, that of the list is the store's; both in decimal, and strong.
 * Dates count where no tags are given; two changes within a second have the same. */
#ifndef APP_CONDITIONS_H
#define APP_CONDITIONS_H

#include "app/call.h"

/* Tells the tag of what is answered, and when it was changed last (0: that is not known). */
void conditions_tell(const struct call *call, uint64_t revision, uint64_t updated_us);

/* A revision that the client says it has; 0: none. */
uint64_t conditions_known(const struct http_request *request);

/* Whether the client has the revision, last changed then (0: that is not known): 304 is the answer
 * to it. */
bool conditions_has(const struct call *call, uint64_t revision, uint64_t updated_us);

/* Puts what the request asks for into a change: its `if_revision`, and STORE_CREATE for
 * "If-None-Match: *" in the place of STORE_REPLACE. False: it has been answered (428, or the store
 * failed). */
MUST_CHECK bool conditions_read(const struct call *call, struct store_change *change);

#endif
