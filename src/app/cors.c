/* SPDX-License-Identifier: MIT */
#include "app/cors.h"

#include "base/text.h"

static const struct str methods = STR_INIT("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");

/* Response headers that a page may read, besides those that Fetch always allows (section 4.5). */
static const struct str exposed = STR_INIT(
    "Accept-Patch, Age, Allow, ETag, Link, Location, "
    "Retry-After, WWW-Authenticate, X-Changes-Cursor, X-Key-Scopes, X-Request-ID, X-Revision, "
    "traceparent");

static struct str allowed_origins(const struct call *call)
{
    return str_from(call->session->app->config->cors_allow_origins);
}

/* Whether the comma-separated `list` contains `item`. */
static bool list_has(struct str list, struct str item)
{
    struct str entry;
    while (str_split(&list, ',', &entry))
        if (str_equal(str_trim(entry), item))
            return true;
    return false;
}

static bool allows_any(const struct call *call)
{
    return list_has(allowed_origins(call), STR("*"));
}

bool cors_allows_origin(const struct call *call)
{
    struct str origin = call->request->origin;
    return origin.len > 0 && !text_has_control(origin) &&
           (allows_any(call) || list_has(allowed_origins(call), origin));
}

bool cors_names_origin(const struct call *call)
{
    struct str origin = call->request->origin;
    return origin.len > 0 && !text_has_control(origin) && list_has(allowed_origins(call), origin);
}

bool cors_is_preflight(const struct call *call)
{
    const struct http_request *request = call->request;
    return allowed_origins(call).len > 0 && request->method == HTTP_OPTIONS &&
           request->origin.len > 0 && request->cors_method.len > 0;
}

static struct str preflight_text(bool origin, bool method)
{
    if (origin)
        return method ? STR("OK") : STR("Disallowed CORS method");
    return method ? STR("Disallowed CORS origin") : STR("Disallowed CORS origin, method");
}

/* Lets the calling page in: by name, and with what the browser knows of its user (cookies, for a
 * server in front that asks for them); any page only without that. A page that is not known shall
 * read what everybody can read, but nothing with somebody's credentials. */
static void add_origin(const struct call *call)
{
    struct http_response *response = &call->session->response;
    if (cors_names_origin(call)) {
        http_response_header(response, STR("Access-Control-Allow-Origin"), call->request->origin);
        http_response_header(response, STR("Access-Control-Allow-Credentials"), STR("true"));
    } else {
        http_response_header(response, STR("Access-Control-Allow-Origin"), STR("*"));
    }
}

void cors_answer_preflight(const struct call *call)
{
    const struct http_request *request = call->request;
    struct http_response *response = &call->session->response;
    bool origin = cors_allows_origin(call);
    bool method = list_has(methods, request->cors_method);
    response->content_type = STR("text/plain; charset=utf-8");
    response->status = origin && method ? 200 : 400;
    if (origin)
        add_origin(call);
    http_response_header(response, STR("Access-Control-Allow-Methods"), methods);
    http_response_header(response, STR("Access-Control-Max-Age"), STR("600"));
    if (request->cors_headers.len > 0 && !text_has_control(request->cors_headers))
        http_response_header(response, STR("Access-Control-Allow-Headers"), request->cors_headers);
    http_response_header(response, STR("Vary"), STR("Origin"));
    buffer_append_str(&response->body, preflight_text(origin, method));
}

void cors_add_headers(const struct call *call)
{
    struct http_response *response = &call->session->response;
    if (allowed_origins(call).len == 0)
        return;
    if (!str_equal(allowed_origins(call), STR("*")))
        http_response_header(response, STR("Vary"), STR("Origin"));
    if (!cors_allows_origin(call))
        return;
    add_origin(call);
    http_response_header(response, STR("Access-Control-Expose-Headers"), exposed);
}
