/* SPDX-License-Identifier: MIT */
#include "model/http.h"

#include <assert.h>
#include <time.h>

#include "base/text.h"

const char *const http_method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

const unsigned http_statuses[] = {200, 201, 204, 304, 400, 401, 403, 404, 405, 409,
                                  410, 412, 413, 415, 422, 428, 500, 503, 507};
const size_t http_statuses_len = ARRAY_LEN(http_statuses);

/* Indexed like http_statuses. */
static const char *const reasons[] = {
    "OK",
    "Created",
    "No Content",
    "Not Modified",
    "Bad Request",
    "Unauthorized",
    "Forbidden",
    "Not Found",
    "Method Not Allowed",
    "Conflict",
    "Gone",
    "Precondition Failed",
    "Content Too Large",
    "Unsupported Media Type",
    "Unprocessable Content",
    "Precondition Required",
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

/* Parses a weight such as "0.5" into thousandths; an invalid one counts as 0 (RFC 9110, section
 * 12.4.2). */
static unsigned read_weight(struct str text)
{
    unsigned weight = 0;
    unsigned unit = 1000;
    for (size_t i = 0; i < text.len && unit > 0; i++) {
        char c = text.data[i];
        if (c == '.' && i == 1)
            continue;
        if (c < '0' || c > '9')
            return 0;
        weight += (unsigned)(c - '0') * unit;
        unit /= 10;
    }
    return weight > 1000 ? 1000 : weight;
}

/* How well a media range matches a type: from 0, not at all, to 3, exactly. */
static unsigned match_range(struct str range, struct str type)
{
    struct str subtype = type;
    struct str major;
    struct str range_minor = range;
    struct str range_major;
    if (str_equal_ignore_case(range, type))
        return 3;
    if (str_equal(range, STR("*/*")))
        return 1;
    if (!str_split(&subtype, '/', &major) || !str_split(&range_minor, '/', &range_major))
        return 0;
    return str_equal(range_minor, STR("*")) && str_equal_ignore_case(range_major, major) ? 2 : 0;
}

unsigned http_accept_weight(struct str accept, struct str type, bool *named)
{
    struct str element;
    unsigned best = 0;
    unsigned weight = accept.len == 0 ? 1000 : 0;
    while (accept.len > 0 && str_split(&accept, ',', &element)) {
        struct str part;
        struct str range = STR("");
        unsigned here = 1000;
        for (bool first = true; str_split(&element, ';', &part); first = false) {
            part = str_trim(part);
            if (first)
                range = part;
            else if (part.len >= 2 && (part.data[0] == 'q' || part.data[0] == 'Q') &&
                     part.data[1] == '=')
                here = read_weight((struct str){part.data + 2, part.len - 2});
        }
        unsigned match = match_range(range, type);
        if (match > best || (match == best && match > 0 && here > weight)) {
            best = match;
            weight = here;
        }
    }
    *named = best == 3;
    return weight;
}

/* Whether `text` is `len` lower-case hex digits and, if not_zero is set, not all zeros. */
static bool is_hex(struct str text, size_t len, bool not_zero)
{
    bool zero = true;
    if (text.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero &= c == '0';
    }
    return !zero || !not_zero;
}

struct http_trace http_read_traceparent(struct str traceparent)
{
    struct http_trace trace;
    struct str version;
    bool valid = str_split(&traceparent, '-', &version) && is_hex(version, 2, false) &&
                 !str_equal(version, STR("ff")) && str_split(&traceparent, '-', &trace.trace_id) &&
                 is_hex(trace.trace_id, 32, true) &&
                 str_split(&traceparent, '-', &trace.parent_id) &&
                 is_hex(trace.parent_id, 16, true) && str_split(&traceparent, '-', &trace.flags) &&
                 is_hex(trace.flags, 2, false) &&
                 (traceparent.data == NULL || !str_equal(version, STR("00")));
    return valid ? trace : (struct http_trace){0};
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

bool http_content_type_is(struct str content_type, struct str type)
{
    struct str named;
    return str_split(&content_type, ';', &named) && str_equal_ignore_case(str_trim(named), type);
}

bool http_is_any(struct str condition)
{
    return str_equal(str_trim(condition), STR("*"));
}

bool http_next_tag(struct str *rest, struct http_tag *tag)
{
    struct str list = str_trim(*rest);
    while (list.len > 0 && list.data[0] == ',')
        list = str_trim((struct str){list.data + 1, list.len - 1});
    *rest = list;
    tag->weak = str_has_prefix(list, STR("W/"));
    if (tag->weak)
        list = (struct str){list.data + 2, list.len - 2};
    if (!str_has_prefix(list, STR("\"")))
        return false;
    const char *end = memchr(list.data + 1, '"', list.len - 1);
    if (end == NULL)
        return false;
    tag->opaque = (struct str){list.data + 1, (size_t)(end - list.data) - 1};
    list = str_trim((struct str){end + 1, list.len - tag->opaque.len - 2});
    if (list.len > 0 && list.data[0] != ',')
        return false;
    *rest = list;
    return true;
}

struct str http_origin_form(struct str target)
{
    static const char mark[] = "://";
    if (target.len > 0 && target.data[0] == '/')
        return target;
    for (size_t at = 0; at + 3 <= target.len && target.data[at] != '?'; at++)
        if (memcmp(target.data + at, mark, 3) == 0) {
            at += 3;
            while (at < target.len && target.data[at] != '/' && target.data[at] != '?')
                at++;
            return (struct str){target.data + at, target.len - at};
        }
    return target;
}

struct str http_target_path(struct str target)
{
    struct str path = http_origin_form(target);
    target = path;
    return str_split(&target, '?', &path) && path.len > 0 ? path : STR("/");
}

struct str http_target_query(struct str target)
{
    struct str path;
    struct str rest = http_origin_form(target);
    (void)str_split(&rest, '?', &path);
    return rest;
}

struct str http_decode_form(struct arena *arena, struct str text)
{
    struct str copy = arena_copy(arena, text);
    if (copy.data == NULL)
        return copy;
    char *at = (char *)copy.data;
    while ((at = memchr(at, '+', (size_t)(copy.data + copy.len - at))) != NULL)
        *at = ' ';
    return text_percent_decode(arena, copy);
}

static void append_percent(struct buffer *buffer, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char byte = (unsigned char)c;
    buffer_append(buffer, (char[]){'%', digits[byte >> 4], digits[byte & 15]}, 3);
}

/* Whether a character is a letter, a digit or one of "-._~" (RFC 3986, section 2.3). */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c) != NULL);
}

void http_append_uri(struct buffer *buffer, struct str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        char c = uri.data[i];
        if (is_unreserved(c) || (c != '\0' && strchr(":/?#[]@!$&'()*+,;=%", c) != NULL))
            buffer_append_char(buffer, c);
        else
            append_percent(buffer, c);
    }
}

void http_append_segment(struct buffer *buffer, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_unreserved(text.data[i]))
            buffer_append_char(buffer, text.data[i]);
        else
            append_percent(buffer, text.data[i]);
}

void http_append_date(struct buffer *buffer, uint64_t us)
{
    struct tm tm;
    char text[32];
    time_t seconds = (time_t)(us / 1000000);
    gmtime_r(&seconds, &tm);
    size_t length = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buffer_append(buffer, text, length);
}

bool http_read_date(struct str text, int64_t *seconds)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};
    char date[40] = "";
    if (text.len >= sizeof date || text.len == 0)
        return false;
    memcpy(date, text.data, text.len);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(date, forms[i], &tm);
        if (end != date + text.len)
            continue;
        *seconds = timegm(&tm);
        return true;
    }
    return false;
}
