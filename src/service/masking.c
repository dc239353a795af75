/* SPDX-License-Identifier: MIT
 *
 * What callers see of settings who may not see secrets, and what they may send back of that. */
#include "access/mask.h"
#include "core/log.h"
#include "model/integration.h"
#include "service/internal.h"

_Static_assert((int)STORE_MASK_KEY_LEN == (int)MASK_KEY_LEN, "the store's is the one");

/* The parts of a document that matter here. */
struct parts {
    struct str before; /* the settings */
    struct str settings;
    struct str after;
    struct str id; /* decoded */
};

static bool split(struct arena *arena, struct str document, struct parts *parts)
{
    struct str values[INTEGRATION_FIELDS];
    if (!integration_split(arena, document, values))
        return false;
    struct str settings = values[INTEGRATION_SETTINGS];
    struct str id = values[INTEGRATION_ID];
    const char *end = settings.data + settings.len;
    *parts = (struct parts){.before = {document.data, (size_t)(settings.data - document.data)},
                            .settings = settings,
                            .after = {end, (size_t)(document.data + document.len - end)},
                            .id = memchr(id.data, '\\', id.len) == NULL
                                      ? (struct str){id.data + 1, id.len - 2}
                                      : json_decode_string(arena, id)};
    return id.len >= 2 && id.data[0] == '"' && parts->id.data != NULL;
}

enum store_status service_mask_key(struct service_session *session,
                                   const struct service_caller *caller,
                                   uint8_t key[STORE_MASK_KEY_LEN])
{
    return session->service->backend->mask_key(session->store, caller->deadline_ns, key);
}

enum store_status masking_open(struct masking *masking, struct service_session *session,
                               const struct service_caller *caller)
{
    *masking = (struct masking){.wanted = caller->masked, .providers = caller->providers};
    return masking->wanted ? service_mask_key(session, caller, masking->key) : STORE_OK;
}

void masking_close(struct masking *masking)
{
    arena_release(&masking->arena);
}

enum store_status masking_append(struct masking *masking, struct str document, struct buffer *out)
{
    struct parts parts;
    size_t before = out->len;
    arena_reset(&masking->arena);
    if (!masking->wanted) {
        buffer_append_str(out, document);
        return STORE_OK;
    }
    if (!split(&masking->arena, document, &parts)) {
        log_message(LOG_ERROR, "a stored integration is not one, so its secrets cannot be masked");
        return STORE_DAMAGED;
    }
    buffer_append_str(out, parts.before);
    const struct provider *provider =
        masking->providers == NULL ? NULL : providers_of(masking->providers, parts.id);
    const struct mask_source source = {masking->key, parts.id,
                                       provider == NULL ? NULL : provider->schema};
    if (!mask_append(&source, parts.settings, &masking->arena, out)) {
        out->len = before;
        return STORE_AWAY;
    }
    buffer_append_str(out, parts.after);
    return STORE_OK;
}

enum store_status service_mask(struct service_session *session, const struct service_caller *caller,
                               struct str document, struct buffer *out)
{
    struct masking masking;
    enum store_status status = masking_open(&masking, session, caller);
    if (status == STORE_OK)
        status = masking_append(&masking, document, out);
    masking_close(&masking);
    return status;
}

/* ---- what is sent back ---- */

bool service_has_masks(const struct service_caller *caller, struct str document)
{
    return caller->keyed && mask_is_possible(document);
}

/* Restores the parts of a document. */
static enum service_unmasking restore(const struct mask_source *source, const struct parts *parts,
                                      struct str stored, struct arena *arena, struct str *document,
                                      struct str *member)
{
    struct buffer settings = {0};
    enum mask_outcome outcome =
        mask_restore(source, parts->settings, stored, arena, &settings, member);
    if (outcome == MASK_RESTORED) {
        struct buffer whole = {0};
        buffer_append_str(&whole, parts->before);
        buffer_append_str(&whole, buffer_str(&settings));
        buffer_append_str(&whole, parts->after);
        *document = arena_copy(arena, buffer_str(&whole));
        if (whole.failed || document->data == NULL)
            outcome = MASK_FAILED;
        buffer_release(&whole);
    }
    buffer_release(&settings);
    if (outcome == MASK_WRONG)
        return SERVICE_MASK_WRONG;
    return outcome == MASK_FAILED ? SERVICE_UNMASKING_FAILED : SERVICE_UNMASKED;
}

enum service_unmasking service_unmask(struct service_session *session,
                                      const struct service_caller *caller, struct str stored,
                                      struct arena *arena, struct str *document, struct str *member)
{
    uint8_t key[STORE_MASK_KEY_LEN];
    struct parts parts;
    struct parts old = {.settings = {NULL, 0}};
    if (!service_has_masks(caller, *document))
        return SERVICE_UNMASKED;
    if (service_mask_key(session, caller, key) != STORE_OK || !split(arena, *document, &parts) ||
        (stored.len > 0 && !split(arena, stored, &old)))
        return SERVICE_UNMASKING_FAILED;
    const struct mask_source source = {.key = key, .id = parts.id};
    return restore(&source, &parts, old.settings, arena, document, member);
}
