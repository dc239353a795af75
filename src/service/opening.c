/* SPDX-License-Identifier: MIT
 *
 * What is read of sealed documents. */
#include "base/clock.h"
#include "core/log.h"
#include "model/integration.h"
#include "seal/seal.h"
#include "service/internal.h"

_Static_assert((int)SEAL_STORE_LEN == (int)STORE_MASK_KEY_LEN, "a store's random key tells it");

static const struct str reasons[] = {
    [SEAL_KEY_MISSING] = STR_INIT("the settings are sealed with a key that is missing here"),
    [SEAL_WRONG] = STR_INIT("the settings are not what was sealed here"),
    [SEAL_NO_MEMORY] = STR_INIT("no memory for the settings")};

/* Says that a document cannot be opened, once in a while. */
static void report(const struct seal_place *place, struct str document, enum seal_outcome outcome)
{
    static _Atomic uint64_t said_ns;
    if (log_is_due(&said_ns))
        LOG(LOG_CRITICAL, "a stored integration cannot be read",
            LOG_STR("reason", reasons[outcome]), LOG_STR("integration", place->id),
            LOG_STR("key", seal_key_name(document)));
}

static enum store_status status_of(enum seal_outcome outcome)
{
    static const enum store_status statuses[] = {[SEAL_OPENED] = STORE_OK,
                                                 [SEAL_KEY_MISSING] = STORE_SEALED,
                                                 [SEAL_WRONG] = STORE_DAMAGED,
                                                 [SEAL_NO_MEMORY] = STORE_AWAY};
    return statuses[outcome];
}

bool opening_is_needed(struct str document)
{
    return seal_key_name(document).len > 0;
}

/* Opens a document of the store that `key` is the random key of. */
static enum seal_outcome open_in(struct service_session *session,
                                 const uint8_t key[STORE_MASK_KEY_LEN], struct str id,
                                 const struct store_record *record, struct buffer *out)
{
    struct seal_place place = {
        .sequence = record->sequence, .revision = record->revision, .id = id};
    memcpy(place.store, key, sizeof place.store);
    enum seal_outcome outcome =
        seal_open(session->service->vault, &place, record->document, &session->scratch, out);
    if (outcome != SEAL_OPENED)
        report(&place, record->document, outcome);
    return outcome;
}

enum store_status opening_replace(struct service_session *session,
                                  const struct service_caller *caller, struct str id,
                                  const struct store_record *record, size_t from,
                                  struct buffer *out)
{
    uint8_t key[STORE_MASK_KEY_LEN];
    struct store_record sealed = *record;
    sealed.document = (struct str){out->data + from, out->len - from};
    if (out->failed || !opening_is_needed(sealed.document))
        return STORE_OK;
    enum store_status status = service_mask_key(session, caller, key);
    if (status != STORE_OK)
        return status;
    buffer_reset(&session->sealed, SIZE_MAX);
    buffer_append_str(&session->sealed, sealed.document);
    sealed.document = buffer_str(&session->sealed);
    out->len = from;
    return session->sealed.failed ? STORE_AWAY : status_of(open_in(session, key, id, &sealed, out));
}

enum store_status opening_open(struct opening *opening, struct service_session *session,
                               const struct service_caller *caller)
{
    *opening = (struct opening){.session = session};
    return session->service->vault->len > 0 ? service_mask_key(session, caller, opening->key)
                                            : STORE_OK;
}

enum store_status opening_append(struct opening *opening, const struct store_record *record,
                                 struct buffer *out)
{
    struct service_session *session = opening->session;
    arena_reset(&opening->arena);
    struct str id = integration_id(&opening->arena, record->document);
    enum seal_outcome outcome = open_in(session, opening->key, id, record, out);
    if (outcome == SEAL_KEY_MISSING || outcome == SEAL_WRONG)
        seal_append_unreadable(record->document, reasons[outcome], out);
    return status_of(outcome);
}

void opening_close(struct opening *opening)
{
    arena_release(&opening->arena);
}
