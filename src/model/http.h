/* SPDX-License-Identifier: MIT
 *
 * A request and its answer as plain values, whatever protocol brought them. */
#ifndef MODEL_HTTP_H
#define MODEL_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buffer.h"
#include "base/str.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER,
    HTTP_METHODS
};

/* The methods' names, by enum http_method; "OTHER" for what has no name here. */
extern const char *const http_method_names[HTTP_METHODS];

/* Methods are case-sensitive (RFC 9110, section 9.1). */
enum http_method http_method_from(struct str name);

/* The statuses this service answers, each once; the index of one of them; its reason phrase. */
extern const unsigned http_statuses[];
extern const size_t http_statuses_len;
size_t http_status_index(unsigned status);
const char *http_status_reason(unsigned status);

/* The headers of a request that the service reads, each once: its member in struct http_request,
 * its name, and the variable that brings it in CGI and FastCGI (RFC 3875, section 4.1.18). To read
 * one more: add a row here, and let nginx pass it (nginx/integration-service-fastcgi.conf.in, which
 * the build holds against this table). Other web servers pass all they get. */
#define HTTP_REQUEST_HEADERS(HEADER)                                                               \
    HEADER(accept, "Accept", "HTTP_ACCEPT")                                                        \
    HEADER(cache_control, "Cache-Control", "HTTP_CACHE_CONTROL")                                   \
    HEADER(content_type, "Content-Type", "CONTENT_TYPE")                                           \
    HEADER(cors_headers, "Access-Control-Request-Headers", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS")  \
    HEADER(cors_method, "Access-Control-Request-Method", "HTTP_ACCESS_CONTROL_REQUEST_METHOD")     \
    HEADER(host, "Host", "HTTP_HOST")                                                              \
    HEADER(id, "X-Request-ID", "HTTP_X_REQUEST_ID")                                                \
    HEADER(if_match, "If-Match", "HTTP_IF_MATCH")                                                  \
    HEADER(if_modified_since, "If-Modified-Since", "HTTP_IF_MODIFIED_SINCE")                       \
    HEADER(if_none_match, "If-None-Match", "HTTP_IF_NONE_MATCH")                                   \
    HEADER(if_unmodified_since, "If-Unmodified-Since", "HTTP_IF_UNMODIFIED_SINCE")                 \
    HEADER(origin, "Origin", "HTTP_ORIGIN")                                                        \
    HEADER(sec_fetch_site, "Sec-Fetch-Site", "HTTP_SEC_FETCH_SITE")                                \
    HEADER(traceparent, "traceparent", "HTTP_TRACEPARENT")

/* All strings are the server's and live until the request is finished; an absent header is empty.
 */
struct http_request {
    uint64_t started_ns; /* clock_steady_ns() at its arrival */
    enum http_method method;
    struct str prefix; /* the path that a web server keeps in front of the service's own */
    struct str target; /* behind it, as the client sent it, still encoded, with its query */
#define HTTP_REQUEST_MEMBER(member_, name_, variable_) struct str member_;
    HTTP_REQUEST_HEADERS(HTTP_REQUEST_MEMBER)
#undef HTTP_REQUEST_MEMBER
    struct str body;
    bool body_too_large; /* it was longer than allowed and is not in `body` */
};

enum { HTTP_HEADERS_MAX = 16 };

struct http_header {
    struct str name;
    struct str value;
};

struct http_response {
    unsigned status;
    struct str content_type; /* empty: none */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t headers_len;
    struct buffer body;
    bool without_body; /* an answer to HEAD: only the body's length is sent */
};

/* Adds a header; name and value must live until the answer is sent. More than HTTP_HEADERS_MAX is a
 * programming error. */
void http_response_header(struct http_response *response, struct str name, struct str value);

/* Whether a Content-Type names JSON: application/json or application/…+json, in any case, with any
 * parameters; a missing one counts as JSON, as in the original service. */
bool http_content_type_is_json(struct str content_type);

/* The parts of a traceparent (W3C Trace Context, section 3.2), of version 00 or one that begins
 * like it. */
struct http_trace {
    struct str trace_id;  /* 32 hex digits, not all zero; empty: there was no valid traceparent */
    struct str parent_id; /* 16, likewise */
    struct str flags;     /* 2 */
};

struct http_trace http_read_traceparent(struct str traceparent);

/* An entity tag (RFC 9110, section 8.8.3). */
struct http_tag {
    struct str opaque; /* without its quotes */
    bool weak;
};

/* Takes the next tag off a list of them, of If-Match or If-None-Match. False at the end, or at what
 * is none: *rest is not empty then. */
bool http_next_tag(struct str *rest, struct http_tag *tag);

/* Whether a condition is "*": any representation. */
bool http_is_any(struct str condition);

/* Whether a Cache-Control asks for an answer that is no copy: no-cache is among its directives
 * (RFC 9111, section 5.2.1.4). */
bool http_wants_fresh(struct str cache_control);

/* Whether a Content-Type is `type`, in any case and with any parameters. */
bool http_content_type_is(struct str content_type, struct str type);

/* How much a client wants a media type ("text/plain"), in thousandths, from its Accept: the weight
 * of the most specific range that matches; 1000 when there is no Accept (RFC 9110, section 12.5.1).
 * *named: the type itself is among the ranges, not only a wildcard. */
unsigned http_accept_weight(struct str accept, struct str type, bool *named);

/* A request target without scheme and authority if it came in absolute form. */
struct str http_origin_form(struct str target);

/* The path of a request target: without the query, and without scheme and authority if it came in
 * absolute form (RFC 9112, section 3.2.2). */
struct str http_target_path(struct str target);

/* The query of a request target, without its question mark; its data is NULL when there is none. */
struct str http_target_query(struct str target);

/* The value of a query's parameter, or its name, as forms send it: + is a space, %XX a byte. Its
 * data is NULL when there was no memory. */
MUST_CHECK struct str http_decode_form(struct arena *arena, struct str text);

/* Appends what stands in a URI so that it can stand in a header: what is not allowed in a URI is
 * percent-encoded (RFC 3986, section 2). */
void http_append_uri(struct buffer *buffer, struct str uri);

/* Appends `text` as one segment of a path. */
void http_append_segment(struct buffer *buffer, struct str text);

/* Reads a time in one of the three forms that HTTP has for it, in seconds since 1970. False: it is
 * none (RFC 9110, section 5.6.7). */
MUST_CHECK bool http_read_date(struct str text, int64_t *seconds);

/* Appends a time, in microseconds since 1970, as HTTP writes it (RFC 9110, section 5.6.7). */
void http_append_date(struct buffer *buffer, uint64_t us);

#endif
