/* SPDX-License-Identifier: MIT */
#include "model/http.h"

#include <assert.h>

const char *const http_method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

const unsigned http_statuses[] = {200, 201, 204, 400, 404, 405, 413, 422, 500, 503, 507};
const size_t http_statuses_len = ARRAY_LEN(http_statuses);

/* By the index in http_statuses. */
static const char *const reasons[] = {
    "OK",
    "Created",
    "No Content",
    "Bad Request",
    "Not Found",
    "Method Not Allowed",
    "Content Too Large",
    "Unprocessable Content",
    "Internal Server Error",
    "Service Unavailable",
    "Insufficient Storage",
};
static_assert(ARRAY_LEN(reasons) == ARRAY_LEN(http_statuses), "a reason for every status");

enum http_method http_method_from(struct str name)
{
    for (unsigned method = 0; method < HTTP_OTHER; method++)
        if (str_equal(name, str_from(http_method_names[method])))
            return (enum http_method)method;
    return HTTP_OTHER;
}

size_t http_status_index(unsigned status)
{
    size_t index = 0;
    while (index < http_statuses_len && http_statuses[index] != status)
        index++;
    assert(index < http_statuses_len);
    return index;
}

const char *http_status_reason(unsigned status)
{
    return reasons[http_status_index(status)];
}

void http_response_header(struct http_response *response, struct str name, struct str value)
{
    assert(response->headers_len < HTTP_HEADERS_MAX);
    response->headers[response->headers_len++] = (struct http_header){name, value};
}

bool http_wants_fresh(struct str cache_control)
{
    struct str directive;
    while (str_split(&cache_control, ',', &directive))
        if (str_equal_ignore_case(str_trim(directive), STR("no-cache")))
            return true;
    return false;
}

bool http_content_type_is_json(struct str content_type)
{
    struct str subtype;
    struct str type;
    if (content_type.len == 0)
        return true;
    if (!str_split(&content_type, ';', &subtype))
        return false;
    subtype = str_trim(subtype);
    if (!str_split(&subtype, '/', &type) || subtype.len == 0 ||
        memchr(subtype.data, '/', subtype.len) != NULL)
        return false;
    if (!str_equal_ignore_case(type, STR("application")))
        return false;
    struct str suffix = STR("+json");
    if (subtype.len >= suffix.len &&
        str_equal_ignore_case((struct str){subtype.data + subtype.len - suffix.len, suffix.len},
                              suffix))
        return true;
    return str_equal_ignore_case(subtype, STR("json"));
}

struct str http_target_path(struct str target)
{
    struct str path = target;
    if (target.len > 0 && target.data[0] != '/') {
        static const char mark[] = "://";
        for (size_t at = 0; at + 3 <= target.len && target.data[at] != '?'; at++)
            if (memcmp(target.data + at, mark, 3) == 0) {
                at += 3;
                while (at < target.len && target.data[at] != '/' && target.data[at] != '?')
                    at++;
                target = (struct str){target.data + at, target.len - at};
                break;
            }
    }
    return str_split(&target, '?', &path) && path.len > 0 ? path : STR("/");
}
