/* SPDX-License-Identifier: MIT
 *
 * Looks up the addresses of a host within a deadline, which getaddrinfo(3) does not know. */
#ifndef STORE_PG_RESOLVE_H
#define STORE_PG_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"

/* Appends the addresses of `name`, in numbers with commas between, and a NUL, to `addresses`; *len
 * is how many they are. Returns false with a reason if there are none, or none came before
 * `deadline_ns` (steady clock). */
MUST_CHECK bool pg_resolve(const char *name, uint64_t deadline_ns, struct buffer *addresses,
                           size_t *len, char *reason, size_t reason_size);

#endif
