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

/* Whether a document is sealed. */
bool opening_is_needed(struct str document);

/* Opens the document that begins at `from` in `out`, if it is sealed: it is the one of *record,
 * whose own is not used. STORE_SEALED, STORE_DAMAGED: nothing of it is left there. */
enum store_status opening_replace(struct service_session *session,
                                  const struct service_caller *caller, struct str id,
                                  const struct store_record *record, size_t from,
                                  struct buffer *out);

/* Opens documents while they are visited. */
struct opening {
    struct service_session *session;
    uint8_t key[STORE_MASK_KEY_LEN];
    struct arena arena; /* reset for each document */
};

/* If it fails, there is nothing to close. */
enum store_status opening_open(struct opening *opening, struct service_session *session,
                               const struct service_caller *caller);
void opening_close(struct opening *opening);

/* Appends a sealed document as it was before. STORE_SEALED, STORE_DAMAGED: what can be read of it,
 * as seal_append_unreadable does (seal/seal.h). */
enum store_status opening_append(struct opening *opening, const struct store_record *record,
                                 struct buffer *out);

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
