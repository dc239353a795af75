/* SPDX-License-Identifier: MIT */
#include "app/cross_site.h"

#include "app/cors.h"

/* Methods that change nothing (RFC 9110, section 9.2.1). */
static bool is_safe(enum http_method method)
{
    return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS;
}

/* Takes the port off that a scheme has by itself. */
static struct str without_default_port(struct str host, struct str scheme)
{
    struct str port = str_equal_ignore_case(scheme, STR("https")) ? STR(":443") : STR(":80");
    if (str_has_suffix(host, port))
        host.len -= port.len;
    return host;
}

/* Whether an origin, "https://host:port", is of the host that was asked. */
static bool is_same_host(struct str origin, struct str host)
{
    struct str rest = origin;
    struct str scheme;
    if (!str_split(&rest, ':', &scheme) || !str_has_prefix(rest, STR("//")))
        return false; /* "null", or no origin at all */
    rest = (struct str){rest.data + 2, rest.len - 2};
    return host.len > 0 && str_equal_ignore_case(without_default_port(rest, scheme),
                                                 without_default_port(host, scheme));
}

bool cross_site_is_refused(const struct call *call)
{
    const struct http_request *request = call->request;
    /* What the web server takes for a user's comes along with the request of any page. */
    bool by_name = call->session->app->config->trust_remote_user;
    if (is_safe(request->method) || (by_name ? cors_names_origin(call) : cors_allows_origin(call)))
        return false;
    if (request->sec_fetch_site.len > 0)
        return !str_equal(request->sec_fetch_site, STR("same-origin")) &&
               !str_equal(request->sec_fetch_site, STR("none"));
    return request->origin.len > 0 && !is_same_host(request->origin, request->host);
}
