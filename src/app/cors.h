/* SPDX-License-Identifier: MIT
 *
 * Cross-origin requests (the CORS protocol of the Fetch standard). Disabled unless origins are
 * configured. */
#ifndef APP_CORS_H
#define APP_CORS_H

#include "app/call.h"

/* Whether the request is a preflight that CORS has to answer. */
bool cors_is_preflight(const struct call *call);
void cors_answer_preflight(const struct call *call);

/* Whether CORS_ALLOW_ORIGINS has the calling page's origin, or "*"; or, for the second, the origin
 * itself. */
bool cors_allows_origin(const struct call *call);
bool cors_names_origin(const struct call *call);

/* Adds the headers that let the calling page read the answer. */
void cors_add_headers(const struct call *call);

#endif
