/* SPDX-License-Identifier: MIT */
#include "app/answer.h"
#include "app/handlers.h"
#include "app/pages.h"

static void answer_page(const struct call *call, const char *name, struct str type)
{
    struct http_response *response = &call->session->response;
    response->status = 200;
    response->content_type = type;
    for (size_t i = 0; i < pages_len; i++)
        if (strcmp(pages[i].name, name) == 0)
            buffer_append_str(&response->body, str_from(pages[i].text));
}

void handle_openapi(const struct call *call)
{
    answer_page(call, "openapi.json", STR("application/json"));
}

/* The page may load only files of its own origin, and may not be framed (Content Security Policy
 * Level 3). */
void handle_docs(const struct call *call)
{
    http_response_header(
        &call->session->response, STR("Content-Security-Policy"),
        STR("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
    answer_page(call, "docs.html", STR("text/html; charset=utf-8"));
}
