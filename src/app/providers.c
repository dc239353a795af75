/* SPDX-License-Identifier: MIT
 *
 * What may be integrated: the providers and their schemas. */
#include "app/answer.h"
#include "app/handlers.h"
#include "base/text.h"

void handle_providers(const struct call *call)
{
    const struct providers *providers = call->session->app->providers;
    struct buffer *body = answer_json(call, 200);
    buffer_append_char(body, '[');
    for (size_t i = 0; i < providers->len; i++) {
        const struct provider *provider = &providers->list[i];
        buffer_append_str(body, i == 0 ? STR("{\"name\":") : STR(",{\"name\":"));
        text_append_json(body, provider->name);
        buffer_append_str(body, STR(",\"title\":"));
        text_append_json(body, schema_title(provider->schema));
        buffer_append_str(body, STR(",\"description\":"));
        text_append_json(body, schema_description(provider->schema));
        buffer_append_char(body, '}');
    }
    buffer_append_char(body, ']');
}

void handle_provider(const struct call *call)
{
    const struct provider *provider = providers_find(call->session->app->providers, call->id);
    if (provider == NULL)
        answer_error(call, 404, STR("not found"));
    else
        buffer_append_str(answer_json(call, 200), provider->text);
}
