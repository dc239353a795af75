/* SPDX-License-Identifier: MIT
 *
 * Where the database is: the hosts of DATABASE_URL, and how to connect to each. Thread-safe. */
#ifndef STORE_PG_TARGET_H
#define STORE_PG_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/base.h"

enum { PG_HOSTS_MAX = 16 };

struct pg_host {
    char *name; /* owned, each; NULL: not given */
    char *address;
    char *port;
};

struct pg_target {
    PQconninfoOption *options; /* owned */
    struct pg_host hosts[PG_HOSTS_MAX];
    size_t hosts_len;
    atomic_size_t last_good; /* the host to try first */
};

/* Reads DATABASE_URL. False with a sentence in `error`, which repeats nothing of the URL, and
 * nothing to close. What the URL says to others than libpq is named in a warning in the log. */
MUST_CHECK bool pg_target_open(struct pg_target *target, const char *url, char *error,
                               size_t error_size);
void pg_target_close(struct pg_target *target);

/* Connects to the first host that takes us, each having its share of the time left. NULL: none did;
 * `reason` gets the last one's words, without the password. Only the look-up of a host's name is
 * not bounded by the deadline, but by resolv.conf(5): libpq has no other. */
MUST_CHECK PGconn *pg_target_connect(struct pg_target *target, uint64_t deadline_ns, char *reason,
                                     size_t reason_size);

#endif
