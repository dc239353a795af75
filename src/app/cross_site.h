/* SPDX-License-Identifier: MIT
 *
 * Changes that a page of another site has a browser ask for (cross-site request forgery). A browser
 * sends them with whatever access its user has: a form, or a fetch() that needs no preflight. */
#ifndef APP_CROSS_SITE_H
#define APP_CROSS_SITE_H

#include "app/call.h"

/* Whether a request that may change something comes, as the browser itself says, from another site
 * whose origin is not in CORS_ALLOW_ORIGINS. The rule is that of Go's http.CrossOriginProtection:
 * Sec-Fetch-Site decides where there is one (Fetch Metadata, section 2.3); else Origin must be the
 * Host that was asked; a request with neither is no browser's. */
bool cross_site_is_refused(const struct call *call);

#endif
