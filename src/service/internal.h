/* SPDX-License-Identifier: MIT
 *
 * What the files of the service share. */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "base/arena.h"
#include "service/service.h"

/* Runs after each operation: counts it, and marks a store that failed as broken. Returns
 * `status`. */
enum store_status service_finish(const struct service_session *session,
                                 enum service_operation operation, uint64_t started_ns,
                                 enum store_status status);

/* Masks documents for a caller. */
struct masking {
    bool wanted;
    const struct providers *providers;
    uint8_t key[STORE_MASK_KEY_LEN];
    struct arena arena; /* reset for each document */
};

/* If it fails, there is nothing to close. */
enum store_status masking_open(struct masking *masking, struct service_session *session,
                               const struct service_caller *caller);
void masking_close(struct masking *masking);

/* Appends a document as the caller may see it; if it fails, nothing. STORE_DAMAGED: it is no
 * integration. */
enum store_status masking_append(struct masking *masking, struct str document, struct buffer *out);

#endif
