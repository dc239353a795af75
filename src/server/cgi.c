/* SPDX-License-Identifier: MIT */
#include "server/cgi.h"

#include "base/clock.h"
#include "base/text.h"

/* ---- the request ---- */

/* The variables that are used, and the fields they go to; web servers pass many more. */
static const struct variable {
    struct str name;
    size_t offset; /* offset of a struct str in struct http_request */
} variables_read[] = {
#define VARIABLE(member_, name_, variable_)                                                        \
    {STR_INIT(variable_), offsetof(struct http_request, member_)},
    {STR_INIT("REQUEST_URI"), offsetof(struct http_request, target)},
    {STR_INIT("REMOTE_USER"), offsetof(struct http_request, remote_user)},
    HTTP_REQUEST_HEADERS(VARIABLE)
#undef VARIABLE
};

/* If a variable is repeated, the first one counts, as with libfcgi's FCGX_GetParam. */
static void read_variable(struct http_request *request, struct str name, struct str value)
{
    for (size_t i = 0; i < ARRAY_LEN(variables_read); i++)
        if (str_equal(name, variables_read[i].name)) {
            struct str *field = (struct str *)(void *)((char *)request + variables_read[i].offset);
            if (field->data == NULL)
                *field = value;
            return;
        }
}

/* Returns the rest of `encoded` after `plain`, if `encoded` starts with it and the match ends at a
 * segment boundary; otherwise a str whose data is NULL. */
static struct str behind(struct str encoded, struct str plain)
{
    for (size_t i = 0; i < plain.len; i++)
        if (encoded.len == 0 || text_percent_next(&encoded) != (unsigned char)plain.data[i])
            return (struct str){NULL, 0};
    bool ends = encoded.len == 0 || encoded.data[0] == '/' || encoded.data[0] == '?';
    return ends ? encoded : (struct str){NULL, 0};
}

/* Removes trailing slashes from a path. */
static struct str without_slashes(struct str path)
{
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    return path;
}

static bool skip_path(struct str *target, struct str path)
{
    struct str rest = behind(*target, without_slashes(path));
    if (rest.data != NULL)
        *target = rest;
    return rest.data != NULL;
}

/* Removes SCRIPT_NAME, or else only its directory, from the start of the target. */
static void skip_script(struct str *target, struct str script)
{
    static const char *const names[] = {"/" CGI_SCRIPT ".fcgi", "/" CGI_SCRIPT ".cgi"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str name = str_from(names[i]);
        if (script.len < name.len ||
            !str_equal((struct str){script.data + script.len - name.len, name.len}, name))
            continue;
        if (!skip_path(target, script))
            skip_path(target, (struct str){script.data, script.len - name.len});
        return;
    }
}

void cgi_read(char *const *variables, const struct cgi_place *place, struct http_request *request)
{
    struct str script = {NULL, 0};
    *request = (struct http_request){.started_ns = clock_steady_ns(), .method = HTTP_OTHER};
    for (; *variables != NULL; variables++) {
        struct str value = str_from(*variables);
        struct str name;
        if (!str_split(&value, '=', &name))
            continue;
        if (str_equal(name, STR("REQUEST_METHOD"))) {
            if (request->method == HTTP_OTHER)
                request->method = http_method_from(value);
        } else if (place->by_script && str_equal(name, STR("SCRIPT_NAME"))) {
            script = value;
        } else {
            read_variable(request, name, value);
        }
    }
    if (place->root.len == 0 && script.len == 0)
        return;
    struct str target = http_origin_form(request->target);
    request->target = target;
    if (place->root.len > 0)
        skip_path(&request->target, place->root);
    else
        skip_script(&request->target, script);
    request->prefix = (struct str){target.data, target.len - request->target.len};
    if (request->prefix.len == 0) /* a proxy in front has already removed it */
        request->prefix = without_slashes(place->root);
}

/* ---- the answer ---- */

static void put_number(cgi_put *put, void *to, uint64_t number)
{
    char digits[20];
    struct buffer text = buffer_on(digits, sizeof digits);
    buffer_append_u64(&text, number);
    put(to, buffer_str(&text));
}

static void put_header(cgi_put *put, void *to, struct str name, struct str value)
{
    put(to, name);
    put(to, STR(": "));
    put(to, value);
    put(to, STR("\r\n"));
}

void cgi_put_response(cgi_put *put, void *to, const struct http_response *response)
{
    if (response->part == HTTP_NEXT_PART || response->part == HTTP_LAST_PART) {
        put(to, buffer_str(&response->body));
        return;
    }
    put(to, STR("Status: "));
    put_number(put, to, response->status);
    put(to, STR(" "));
    put(to, str_from(http_status_reason(response->status)));
    put(to, STR("\r\n"));
    if (response->content_type.len > 0) {
        put_header(put, to, STR("Content-Type"), response->content_type);
        put_header(put, to, STR("X-Content-Type-Options"), STR("nosniff"));
    }
    for (size_t i = 0; i < response->headers_len; i++)
        put_header(put, to, response->headers[i].name, response->headers[i].value);
    if (response->status != 204 && response->status != 304 && /* RFC 9110, section 8.6 */
        response->part == HTTP_WHOLE) {
        put(to, STR("Content-Length: "));
        put_number(put, to, response->body.len);
        put(to, STR("\r\n"));
    }
    put(to, STR("\r\n"));
    if (!response->without_body)
        put(to, buffer_str(&response->body));
}
