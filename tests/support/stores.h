/* SPDX-License-Identifier: MIT
 *
 * Stores for tests, behind the same interface as the real ones. */
#ifndef SUPPORT_STORES_H
#define SUPPORT_STORES_H

#include "store/store.h"

/* Keeps everything in memory of this process, and forgets it at the end. */
extern const struct store_backend store_memory;

/* Every operation fails with store_fail_status, so that each answer to a failure can be tested. */
extern const struct store_backend store_fail;
extern enum store_status store_fail_status;

#endif
