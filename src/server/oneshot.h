/* SPDX-License-Identifier: MIT
 *
 * Plain CGI (RFC 3875): the process answers one request and exits. */
#ifndef SERVER_ONESHOT_H
#define SERVER_ONESHOT_H

#include "app/app.h"

/* Answers the request given by the environment and standard input on standard output; returns the
 * exit status of the program. */
int oneshot_serve(const struct app_parts *parts);

/* Answers that the service cannot start. */
void oneshot_refuse(void);

#endif
