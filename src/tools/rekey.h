/* SPDX-License-Identifier: MIT
 *
 * Sealing all settings of a store with another key, while the service goes on. */
#ifndef TOOLS_REKEY_H
#define TOOLS_REKEY_H

#include <stdio.h>

#include "core/config.h"
#include "store/store.h"

enum { REKEY_ERROR_SIZE = 1024 };

/* Seals everything in the store with the first key of ENCRYPTION_KEYS_FILE, or unseals it if that
 * begins with "none"; what was done of it when it is interrupted stays. Tells `out` what each key
 * then holds. Returns false with a message in `error`, also if something could not be opened. */
MUST_CHECK bool rekey_run(const struct config *config, const struct store_backend *backend,
                          FILE *out, char error[REKEY_ERROR_SIZE]);

#endif
