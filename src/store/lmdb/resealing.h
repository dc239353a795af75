/* SPDX-License-Identifier: MIT
 *
 * Sealing what is in an embedded store anew, when keys change. */
#ifndef STORE_LMDB_RESEALING_H
#define STORE_LMDB_RESEALING_H

#include "store/lmdb/documents.h"

/* As in struct store_backend, also of a replica. `scratch` is temporary storage. */
enum store_status resealing_step(struct environment *environment, struct sealing *sealing,
                                 struct store_resealing *resealing, struct buffer *scratch);

#endif
