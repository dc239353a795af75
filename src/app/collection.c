/* SPDX-License-Identifier: MIT */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/storage.h"

static bool append_to_list(void *context, const struct store_record *record)
{
    struct buffer *list = context;
    if (list->len > 1)
        buffer_append_char(list, ',');
    buffer_append_str(list, record->document);
    return true;
}

void handle_list(const struct call *call)
{
    struct app_session *session = call->session;
    struct store_read read = storage_begin_read(call);
    struct buffer *body = answer_json(&session->response, 200);
    buffer_append_char(body, '[');
    enum store_status status = storage_each(call, &read, append_to_list, body);
    buffer_append_char(body, ']');
    storage_end_read(call, &read, status);
    if (status != STORE_OK)
        answer_failure(call, status);
}
