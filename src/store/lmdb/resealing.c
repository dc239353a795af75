/* SPDX-License-Identifier: MIT */
#include "store/lmdb/resealing.h"

#include "model/integration.h"
#include "store/lmdb/history.h"

/* What a step writes, in one transaction, so that others need not wait for long. */
enum { STEP_BYTES = 1 << 20 };

/* A step in progress. */
struct step {
    struct documents_change change;
    struct sealing *sealing;
    struct store_resealing *resealing;
    struct buffer *scratch;
    struct arena arena; /* reset for each document */
    size_t bytes;       /* looked at */
};

/* As sealing_renew; counts what cannot be opened. */
static struct str renew(const struct step *step, struct str id, const struct store_record *record)
{
    bool unreadable;
    struct str renewed = sealing_renew(step->sealing, id, record, &unreadable);
    step->resealing->unreadable += unreadable;
    return renewed;
}

static enum store_status renew_document(struct step *step, struct store_record *record)
{
    arena_reset(&step->arena);
    struct str id = integration_id(&step->arena, record->document);
    if (id.data == NULL)
        return step->arena.failed ? STORE_AWAY : STORE_OK;
    struct str document = renew(step, id, record);
    if (document.data == NULL)
        return STORE_AWAY;
    if (document.data == record->document.data)
        return STORE_OK;
    step->resealing->documents++;
    record->document = document;
    return documents_rewrite(&step->change, record);
}

static enum store_status renew_documents(struct step *step)
{
    enum store_status status = STORE_OK;
    while (status == STORE_OK && step->bytes < STEP_BYTES) {
        struct store_record record = {.sequence = 0};
        status = documents_next(&step->change, step->resealing->sequence, &record);
        if (status == STORE_OK || status == STORE_DAMAGED)
            step->resealing->sequence = record.sequence;
        step->bytes += sizeof record + record.document.len;
        if (status == STORE_DAMAGED)
            status = STORE_OK; /* it stays so */
        else if (status == STORE_OK)
            status = renew_document(step, &record);
    }
    return status;
}

static enum store_status renew_version(struct step *step, struct store_entry *entry)
{
    struct str before = entry->before.document;
    if (before.data == NULL)
        return STORE_OK;
    struct str document = renew(step, entry->id, &entry->before);
    if (document.data == NULL)
        return STORE_AWAY;
    if (document.data == before.data)
        return STORE_OK;
    step->resealing->versions++;
    entry->before.document = document;
    return history_rewrite(&step->change, entry, before, step->scratch);
}

static enum store_status renew_versions(struct step *step)
{
    enum store_status status = STORE_OK;
    while (status == STORE_OK && step->bytes < STEP_BYTES) {
        struct store_entry entry = {.revision = 0};
        status = history_next(&step->change, step->resealing->revision, &entry);
        if (status == STORE_OK || status == STORE_DAMAGED)
            step->resealing->revision = entry.revision;
        step->bytes += sizeof entry + entry.before.document.len;
        if (status == STORE_DAMAGED)
            status = STORE_OK;
        else if (status == STORE_OK)
            status = renew_version(step, &entry);
    }
    return status;
}

enum store_status resealing_step(struct environment *environment, struct sealing *sealing,
                                 struct store_resealing *resealing, struct buffer *scratch)
{
    struct store_resealing before = *resealing;
    struct step step = {.sealing = sealing, .resealing = resealing, .scratch = scratch};
    enum store_status status = documents_begin(environment, resealing->deadline_ns, &step.change);
    if (status != STORE_OK)
        return status;
    status = documents_begin_sealing(&step.change, sealing);
    if (status == STORE_OK)
        status = renew_documents(&step);
    if (status == STORE_NOT_FOUND && !environment->replica)
        status = renew_versions(&step);
    arena_release(&step.arena);
    bool done = status == STORE_NOT_FOUND;
    status = documents_end(&step.change, done ? STORE_OK : status);
    if (status != STORE_OK)
        *resealing = before;
    resealing->done = done && status == STORE_OK;
    return status;
}
