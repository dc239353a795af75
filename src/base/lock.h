/* SPDX-License-Identifier: MIT
 *
 * Locks on single bytes of a file, for processes that may be killed at any time: a lock is released
 * when the last descriptor of its open file description is closed (fcntl(2), F_OFD_SETLK). It does
 * not exclude its own holder. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

/* Acquires the lock, waiting if necessary. Returns false on failure. */
MUST_CHECK bool lock_wait(int fd, uint64_t byte);
/* Acquires the lock if nobody else holds it. Returns whether it did. */
MUST_CHECK bool lock_try(int fd, uint64_t byte);
void lock_release(int fd, uint64_t byte);
/* Whether the lock is held through another open file description. */
bool lock_is_held(int fd, uint64_t byte);

#endif
