/* SPDX-License-Identifier: MIT
 *
 * The handlers' way to the store: each use of it is counted, and an answer tells in headers which
 * state of the store it comes from. */
#ifndef APP_STORAGE_H
#define APP_STORAGE_H

#include "app/endpoints.h"

/* The time `ms` after the request's arrival, of the steady clock. */
uint64_t storage_deadline(const struct call *call, uint64_t ms);

/* A read as the request asks for it. */
struct store_read storage_begin_read(const struct call *call);

/* Tells which state of the store was read, and how old that is at most (RFC 9111, section 5.1). */
void storage_end_read(const struct call *call, const struct store_read *read,
                      enum store_status status);

/* Tells which state of the store has the change. */
void storage_tell_revision(const struct call *call, uint64_t revision);

/* What struct store_backend promises. */
enum store_status storage_get(const struct call *call, struct str id, struct store_read *read,
                              struct store_record *record, struct buffer *out);

/* Gets what a change is to be based on. It may come from a replica that is behind, unless it shall
 * be `fresh` or is not in there. */
enum store_status storage_get_to_change(const struct call *call, struct str id, bool fresh,
                                        struct store_record *record, struct buffer *out);

enum store_status storage_each(const struct call *call, struct store_read *read, store_visit *visit,
                               void *context);
enum store_status storage_change(const struct call *call, struct store_batch *batch);
enum store_status storage_ready(const struct call *call, uint64_t deadline_ns);

#endif
