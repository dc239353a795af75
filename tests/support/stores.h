/* SPDX-License-Identifier: MIT
 *
 * Stores for tests, with the same interface as the real ones. */
#ifndef SUPPORT_STORES_H
#define SUPPORT_STORES_H

#include "store/store.h"

/* Keeps everything in the memory of this process, until it is closed. */
extern const struct store_backend store_memory;

/* All operations fail with store_fail_status, so that the answer to each failure can be tested. */
extern const struct store_backend store_fail;
extern enum store_status store_fail_status;

#endif
