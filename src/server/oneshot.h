/* SPDX-License-Identifier: MIT
 *
 * Plain CGI (RFC 3875): the process answers one request and exits. */
#ifndef SERVER_ONESHOT_H
#define SERVER_ONESHOT_H

#include "access/keyring.h"
#include "core/config.h"
#include "providers/providers.h"
#include "store/store.h"

/* Answers the request given by the environment and standard input on standard output; returns the
 * exit status of the program. */
int oneshot_serve(const struct config *config, const struct store_backend *backend,
                  struct keyring *keyring, const struct providers *providers);

/* Answers that the service cannot start. */
void oneshot_refuse(void);

#endif
