/* SPDX-License-Identifier: MIT
 *
 * A process that a web server starts by itself (Apache's mod_fcgid, lighttpd, spawn-fcgi, plain
 * CGI): no supervisor, no nginx. Any number of them share the state directory. */
#ifndef MAIN_HOSTED_H
#define MAIN_HOSTED_H

#include <stdbool.h>

#include "app/app.h"

/* Whether descriptor 0 is a listening socket (FastCGI 1.0, section 2.2). */
bool hosted_by_fastcgi(void);

/* Whether the environment holds a request (RFC 3875). */
bool hosted_by_cgi(void);

/* Serves until the web server ends the process (FastCGI), or answers one request (CGI); returns the
 * program's exit status. */
int hosted_run(const struct app_parts *parts);

/* For when the service cannot start, and has said why: answers CGI's request with 503. Returns the
 * program's exit status. */
int hosted_refuse(void);

#endif
