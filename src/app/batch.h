/* SPDX-License-Identifier: MIT
 *
 * A batch while it is read (batch_read.c) and made (batch.c). */
#ifndef APP_BATCH_H
#define APP_BATCH_H

#include "app/call.h"
#include "model/integration.h"

enum batch_kind { BATCH_CREATE, BATCH_PUT, BATCH_PATCH, BATCH_DELETE, BATCH_KINDS };

struct batch_operation {
    enum batch_kind kind;
    struct str id;
    struct str patch;
    struct str given;                /* BATCH_CREATE, BATCH_PUT: the document, perhaps with masks */
    struct store_version if_version; /* required by the client; all zeros: any */
    bool guarded; /* the change's if_version is that of the document that was patched */
};

struct batch {
    const struct call *call;
    struct arena *arena;
    struct arena patched; /* documents produced by patches; reset for each attempt */
    size_t patched_len;
    struct batch_operation *operations;
    struct store_change *changes;
    size_t len;
    const struct store_version *if_store; /* that the store must still have; NULL: any */
    struct faults *faults;
    struct fault_place list_place; /* of the list of operations */
    struct fault_place place;      /* of the current operation */
};

/* Parses all operations of the request. Returns false on faults (which may have been answered), or
 * if memory is lacking. */
MUST_CHECK bool batch_read(struct batch *batch);

/* Makes number `at` the current operation. */
void batch_set_place(struct batch *batch, size_t at);

/* Add a fault of the current operation, or of one of its members. */
void batch_add_fault(struct batch *batch, const char *message, const char *type);
void batch_add_member_fault(struct batch *batch, const char *member, const char *message,
                            const char *type);

/* The rules for an integration in a member of the current operation. */
struct integration_rules batch_rules_at(const struct batch *batch, const char *member,
                                        struct str id);
/* Takes an integration that was read into the change. */
void batch_take_outcome(struct batch *batch, enum integration_outcome outcome,
                        const struct integration *integration, struct store_change *change);

#endif
