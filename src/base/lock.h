/* SPDX-License-Identifier: MIT
 *
 * Locks on single bytes of a file, shared by processes that may be killed at any time: a lock dies
 * with the last descriptor of its open file (fcntl(2), F_OFD_SETLK). It does not keep the opener
 * itself out. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

/* Takes the lock, waiting for whoever has it. */
MUST_CHECK bool lock_wait(int fd, uint64_t byte);
/* Takes the lock if nobody else has it. */
MUST_CHECK bool lock_try(int fd, uint64_t byte);
void lock_release(int fd, uint64_t byte);
/* Whether another opener has it. */
bool lock_is_held(int fd, uint64_t byte);

#endif
