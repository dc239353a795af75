/* SPDX-License-Identifier: MIT */
#include "server/cgi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "base/text.h"
#include "core/log.h"

/* ---- the request ---- */

/* The variables that are read, and where they go; a web server may pass many more. */
static const struct variable {
    struct str name;
    size_t offset; /* of a struct str in struct http_request */
} variables_read[] = {
    {STR_INIT("REQUEST_URI"), offsetof(struct http_request, target)},
    {STR_INIT("CONTENT_TYPE"), offsetof(struct http_request, content_type)},
    {STR_INIT("HTTP_X_REQUEST_ID"), offsetof(struct http_request, id)},
    {STR_INIT("HTTP_ORIGIN"), offsetof(struct http_request, origin)},
    {STR_INIT("HTTP_COOKIE"), offsetof(struct http_request, cookie)},
    {STR_INIT("HTTP_CACHE_CONTROL"), offsetof(struct http_request, cache_control)},
    {STR_INIT("HTTP_ACCEPT"), offsetof(struct http_request, accept)},
    {STR_INIT("HTTP_IF_MATCH"), offsetof(struct http_request, if_match)},
    {STR_INIT("HTTP_IF_NONE_MATCH"), offsetof(struct http_request, if_none_match)},
    {STR_INIT("HTTP_IF_MODIFIED_SINCE"), offsetof(struct http_request, if_modified_since)},
    {STR_INIT("HTTP_IF_UNMODIFIED_SINCE"), offsetof(struct http_request, if_unmodified_since)},
    {STR_INIT("HTTP_TRACEPARENT"), offsetof(struct http_request, traceparent)},
    {STR_INIT("HTTP_ACCESS_CONTROL_REQUEST_METHOD"), offsetof(struct http_request, cors_method)},
    {STR_INIT("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"), offsetof(struct http_request, cors_headers)},
};

/* Of a doubled variable the first counts, as in libfcgi's own FCGX_GetParam. */
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

/* What is left of `encoded` behind `plain`, if it begins with that and a segment ends there; its
 * data is NULL if not. */
static struct str behind(struct str encoded, struct str plain)
{
    for (size_t i = 0; i < plain.len; i++)
        if (encoded.len == 0 || text_percent_next(&encoded) != (unsigned char)plain.data[i])
            return (struct str){NULL, 0};
    bool ends = encoded.len == 0 || encoded.data[0] == '/' || encoded.data[0] == '?';
    return ends ? encoded : (struct str){NULL, 0};
}

/* A path without slashes at its end. */
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

/* The target behind SCRIPT_NAME, or behind the directory of that. */
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
    if (request->prefix.len == 0) /* a server in front has taken it off */
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
    put(to, STR("Status: "));
    put_number(put, to, response->status);
    put(to, STR(" "));
    put(to, str_from(http_status_reason(response->status)));
    put(to, STR("\r\n"));
    if (response->content_type.len > 0)
        put_header(put, to, STR("Content-Type"), response->content_type);
    for (size_t i = 0; i < response->headers_len; i++)
        put_header(put, to, response->headers[i].name, response->headers[i].value);
    if (response->status != 204 && response->status != 304) { /* RFC 9110, section 8.6 */
        put(to, STR("Content-Length: "));
        put_number(put, to, response->body.len);
        put(to, STR("\r\n"));
    }
    put(to, STR("\r\n"));
    if (!response->without_body)
        put(to, buffer_str(&response->body));
}

/* ---- one request ---- */

static void put_into_file(void *to, struct str part)
{
    if (part.len > 0)
        fwrite(part.data, 1, part.len, to);
}

/* How much of standard input is the body: what CONTENT_LENGTH says, else all of it when the request
 * came in chunks (Apache passes those on without a length). */
static size_t body_length(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    uint64_t bytes = 0;
    if (length != NULL && length[0] != '\0')
        return str_to_u64(str_from(length), &bytes) ? bytes : 0;
    return getenv("HTTP_TRANSFER_ENCODING") != NULL ? SIZE_MAX : 0;
}

/* Appends up to `wanted` bytes of standard input; 0 at its end, -1 when that failed. */
static ssize_t read_some(struct buffer *body, size_t wanted)
{
    enum { CHUNK = 16 * 1024 };
    ssize_t got;
    char *room = buffer_reserve(body, CHUNK);
    if (room == NULL)
        return -1;
    do {
        got = read(STDIN_FILENO, room, wanted < CHUNK ? wanted : CHUNK);
    } while (got < 0 && errno == EINTR);
    body->len += got > 0 ? (size_t)got : 0;
    return got;
}

/* As fastcgi_read_body. */
static bool read_body(struct http_request *request, struct buffer *body, size_t max)
{
    size_t wanted = body_length();
    bool to_the_end = wanted == SIZE_MAX;
    ssize_t got = 0;
    while (wanted > 0 && (got = read_some(body, wanted)) > 0) {
        wanted -= to_the_end ? 0 : (size_t)got;
        if (body->len > max) {
            request->body_too_large = true;
            buffer_reset(body, SIZE_MAX);
        }
    }
    if (!request->body_too_large)
        request->body = buffer_str(body);
    return wanted == 0 || (to_the_end && got == 0);
}

static bool answer(struct app_session *session, const struct config *config)
{
    const struct cgi_place place = {.root = str_from(config->root_path), .by_script = true};
    struct http_request request;
    struct buffer body = {0};
    cgi_read(environ, &place, &request);
    /* Nobody follows the database between two requests: it is asked itself. */
    if (session->app->backend->replicates)
        request.cache_control = STR("no-cache");
    struct app_route route = app_route(&request);
    bool complete = read_body(&request, &body, config->max_body_bytes);
    if (complete) {
        complete = app_handle(session, &request, &route);
        cgi_put_response(put_into_file, stdout, &session->response);
        app_finish(session);
    } else {
        log_message(LOG_ERROR, "the request was cut off");
    }
    buffer_release(&body);
    return complete && fflush(stdout) == 0;
}

void cgi_refuse(void)
{
    fputs("Status: 503 Service Unavailable\r\nContent-Type: application/json\r\n"
          "Retry-After: 1\r\n\r\n{\"detail\":\"not ready\"}",
          stdout);
}

int cgi_serve(const struct config *config, const struct store_backend *backend)
{
    struct store_options options = app_store_options(config);
    struct app app;
    struct app_session session;
    char error[512] = "no memory";
    options.alone = true;
    if (app_open(&app, config, backend, &options, clock_wall_us(), error, sizeof error)) {
        if (app_session_open(&app, &session, SIZE_MAX)) {
            bool answered = answer(&session, config);
            app_session_close(&session);
            app_close(&app);
            return answered ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        app_close(&app);
    }
    LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
    cgi_refuse();
    return EXIT_FAILURE;
}
