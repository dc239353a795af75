/* SPDX-License-Identifier: MIT
 *
 * The hosts of DATABASE_URL, and connecting to them. Thread-safe. */
#ifndef STORE_PG_TARGET_H
#define STORE_PG_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/base.h"

enum { PG_HOSTS_MAX = 16 };

struct pg_host {
    char *name; /* this and the next two: owned; NULL if not given */
    char *address;
    char *port;
};

struct pg_target {
    PQconninfoOption *options; /* owned */
    struct pg_host hosts[PG_HOSTS_MAX];
    size_t hosts_len;
    atomic_size_t last_good; /* index of the host to try first */
};

/* Parses DATABASE_URL. On failure returns false with a message in `error` that does not quote the
 * URL, and there is nothing to close. */
MUST_CHECK bool pg_target_open(struct pg_target *target, const char *url, char *error,
                               size_t error_size);
void pg_target_close(struct pg_target *target);

/* Connects to the first host that accepts the connection; each gets a share of the remaining time.
 * On failure returns NULL, with the last host's error, without the password, in `reason`. The
 * deadline does not bound the lookup of a host name, which only resolv.conf(5) can limit: libpq
 * offers no other way. */
MUST_CHECK PGconn *pg_target_connect(struct pg_target *target, uint64_t deadline_ns, char *reason,
                                     size_t reason_size);

#endif
