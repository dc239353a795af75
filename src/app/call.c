/* SPDX-License-Identifier: MIT */
#include "app/call.h"

const char call_mask_fault[] =
    "a mask stands for no value that is stored here: send the value, or the mask as it was read";

struct store_read call_read(const struct call *call)
{
    return (struct store_read){.fresh = http_wants_fresh(call->request->cache_control)};
}

enum store_status call_get_to_change(const struct call *call, struct str id, bool fresh,
                                     struct store_record *record, struct buffer *out)
{
    struct store_read read = call_read(call);
    read.fresh |= fresh;
    return service_get_to_change(&call->session->service, &call->caller, id, &read, record, out);
}

static void tell_number(const struct call *call, struct str name, char *storage, size_t size,
                        uint64_t number)
{
    struct buffer text = buffer_on(storage, size);
    buffer_append_u64(&text, number);
    http_response_header(&call->session->response, name, buffer_str(&text));
}

static void tell_revision(const struct call *call, uint64_t revision)
{
    struct app_session *session = call->session;
    if (service_replicates(&session->app->service) && session->grant.ids == NULL)
        tell_number(call, STR("X-Revision"), session->revision_text, sizeof session->revision_text,
                    revision);
}

void call_tell_state(const struct call *call, const struct store_read *read,
                     enum store_status status)
{
    struct app_session *session = call->session;
    if (!service_replicates(&session->app->service) ||
        (status != STORE_OK && status != STORE_NOT_FOUND))
        return;
    tell_revision(call, read->version.revision);
    tell_number(call, STR("Age"), session->age_text, sizeof session->age_text, read->age_ms / 1000);
}

void call_tell_change(const struct call *call, const struct store_batch *made)
{
    tell_revision(call, made->revision);
    if (made->unseen)
        http_response_header(&call->session->response, STR("X-Replica"), STR("behind"));
}
