/* SPDX-License-Identifier: MIT */
#include "server/oneshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "core/log.h"
#include "server/cgi.h"
#include "server/confinement.h"

static void put_into_file(void *to, struct str part)
{
    if (part.len > 0)
        fwrite(part.data, 1, part.len, to);
}

/* The number of bytes to read from standard input: CONTENT_LENGTH; or SIZE_MAX, meaning up to the
 * end, if a chunked request has no length (Apache passes such requests on without one). */
static size_t body_length(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    uint64_t bytes = 0;
    if (length != NULL && length[0] != '\0')
        return str_to_u64(str_from(length), &bytes) ? bytes : 0;
    return getenv("HTTP_TRANSFER_ENCODING") != NULL ? SIZE_MAX : 0;
}

/* Appends up to `wanted` bytes from standard input. Returns 0 at the end of input, -1 on
 * failure. */
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

/* Like fastcgi_read_body. */
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

static void append_path(struct buffer *target, const char *decoded)
{
    struct str rest = str_from(decoded);
    struct str segment;
    for (bool first = true; str_split(&rest, '/', &segment); first = false) {
        if (!first)
            buffer_append_char(target, '/');
        http_append_segment(target, segment);
    }
}

/* REQUEST_URI, which most servers pass, is none of the variables of RFC 3875: without it, it is
 * made of those of section 4.1. PATH_INFO is decoded, so a slash in an id ends there. */
static void make_request_uri(void)
{
    const char *script = getenv("SCRIPT_NAME");
    const char *path = getenv("PATH_INFO");
    const char *query = getenv("QUERY_STRING");
    struct buffer uri = {0};
    if (getenv("REQUEST_URI") != NULL)
        return;
    append_path(&uri, script == NULL ? "" : script);
    append_path(&uri, path == NULL ? "" : path);
    if (query != NULL && *query != '\0') {
        buffer_append_char(&uri, '?');
        buffer_append_str(&uri, str_from(query));
    }
    buffer_append_char(&uri, '\0');
    if (!uri.failed)
        setenv("REQUEST_URI", uri.data, 1);
    buffer_release(&uri);
}

static bool answer(struct app_session *session, const struct config *config)
{
    const struct cgi_place place = {.root = str_from(config->root_path), .by_script = true};
    struct http_request request;
    struct buffer body = {0};
    make_request_uri();
    cgi_read(environ, &place, &request);
    /* No follower runs between requests, so query the database rather than the replica. */
    if (service_replicates(&session->app->service))
        request.cache_control = STR("no-cache");
    struct app_route route = app_route(session, &request);
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

void oneshot_refuse(void)
{
    fputs("Status: 503 Service Unavailable\r\nContent-Type: application/json\r\n"
          "Retry-After: 1\r\n\r\n{\"detail\":\"not ready\"}",
          stdout);
}

int oneshot_serve(const struct app_parts *parts)
{
    const struct app_options options = {
        .parts = parts, .use = SERVICE_ALONE, .started_us = clock_wall_us()};
    struct app app;
    struct app_session session;
    char error[512] = "no memory";
    confinement_enter(parts->config, false);
    if (app_open(&app, &options, error, sizeof error)) {
        if (app_session_open(&app, &session, SIZE_MAX)) {
            bool answered = answer(&session, parts->config);
            app_session_close(&session);
            app_close(&app);
            return answered ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        app_close(&app);
    }
    LOG(LOG_CRITICAL, "cannot start", LOG_TEXT("error", error));
    oneshot_refuse();
    return EXIT_FAILURE;
}
