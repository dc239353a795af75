/* SPDX-License-Identifier: MIT
 *
 * What is sealed with which key in the database. */
#ifndef STORE_PG_RESEALING_H
#define STORE_PG_RESEALING_H

#include "store/pg/connection.h"
#include "store/store.h"

/* Reads it; `list` has room for VAULT_KEYS_MAX. */
enum pg_status pg_resealing_ask(struct pg *pg, uint64_t deadline_ns, struct store_holding *list,
                                size_t *len);

#endif
