/* SPDX-License-Identifier: MIT
 *
 * Plain CGI (RFC 3875): a process that answers one request and ends. */
#ifndef SERVER_ONESHOT_H
#define SERVER_ONESHOT_H

#include "core/config.h"
#include "store/store.h"

/* Answers the one request that the environment and standard input hold on standard output; returns
 * the program's exit status. */
int oneshot_serve(const struct config *config, const struct store_backend *backend);

/* Answers that the service cannot start. */
void oneshot_refuse(void);

#endif
