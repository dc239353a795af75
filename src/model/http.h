/* SPDX-License-Identifier: MIT
 *
 * A request and its answer as plain values, independent of the protocol.
 *
 * Limits: a response has at most HTTP_HEADERS_MAX headers. */
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

/* Names of the methods, indexed by enum http_method; "OTHER" stands for all methods not listed. */
extern const char *const http_method_names[HTTP_METHODS];

/* Methods are case-sensitive (RFC 9110, section 9.1). */
enum http_method http_method_from(struct str name);

/* The statuses that this service uses, each one once; the index of a status in that list; its
 * reason phrase. */
extern const unsigned http_statuses[];
extern const size_t http_statuses_len;
size_t http_status_index(unsigned status);
const char *http_status_reason(unsigned status);

/* The request headers that the service reads: member of struct http_request, name, and the CGI and
 * FastCGI variable that carries it (RFC 3875, section 4.1.18). To read another header, add a row
 * here and make nginx pass it (nginx/integration-service-request.conf.in, which the build checks
 * against this table). Other web servers pass all headers. */
#define HTTP_REQUEST_HEADERS(HEADER)                                                               \
    HEADER(accept, "Accept", "HTTP_ACCEPT")                                                        \
    HEADER(api_key, "X-API-Key", "HTTP_X_API_KEY")                                                 \
    HEADER(authorization, "Authorization", "HTTP_AUTHORIZATION")                                   \
    HEADER(cache_control, "Cache-Control", "HTTP_CACHE_CONTROL")                                   \
    HEADER(content_encoding, "Content-Encoding", "HTTP_CONTENT_ENCODING")                          \
    HEADER(content_type, "Content-Type", "CONTENT_TYPE")                                           \
    HEADER(cors_headers, "Access-Control-Request-Headers", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS")  \
    HEADER(cors_method, "Access-Control-Request-Method", "HTTP_ACCESS_CONTROL_REQUEST_METHOD")     \
    HEADER(host, "Host", "HTTP_HOST")                                                              \
    HEADER(id, "X-Request-ID", "HTTP_X_REQUEST_ID")                                                \
    HEADER(if_match, "If-Match", "HTTP_IF_MATCH")                                                  \
    HEADER(if_modified_since, "If-Modified-Since", "HTTP_IF_MODIFIED_SINCE")                       \
    HEADER(if_none_match, "If-None-Match", "HTTP_IF_NONE_MATCH")                                   \
    HEADER(if_unmodified_since, "If-Unmodified-Since", "HTTP_IF_UNMODIFIED_SINCE")                 \
    HEADER(last_event_id, "Last-Event-ID", "HTTP_LAST_EVENT_ID")                                   \
    HEADER(origin, "Origin", "HTTP_ORIGIN")                                                        \
    HEADER(sec_fetch_site, "Sec-Fetch-Site", "HTTP_SEC_FETCH_SITE")                                \
    HEADER(traceparent, "traceparent", "HTTP_TRACEPARENT")

/* Where an answer goes on of which parts have been sent. */
struct http_stream {
    bool begun;
    uint64_t revision; /* of the store, the last that was told of */
    uint64_t tag;      /* of that revision */
    uint64_t sent_ns;  /* when the last part was made (steady clock) */
    bool rests;        /* it could not be made as it should: try again after a while */
};

/* All strings belong to the server, and are valid until the request is finished. An absent header
 * is empty. */
struct http_request {
    uint64_t started_ns; /* clock_steady_ns() when it arrived */
    enum http_method method;
    struct str prefix; /* path prefix under which a web server publishes the service */
    /* The rest of the target, as sent by the client: percent-encoded, and with the query. */
    struct str target;
    struct str remote_user; /* whom the web server has authenticated (RFC 3875, section 4.1.11) */
#define HTTP_REQUEST_MEMBER(member_, name_, variable_) struct str member_;
    HTTP_REQUEST_HEADERS(HTTP_REQUEST_MEMBER)
#undef HTTP_REQUEST_MEMBER
    struct str body;
    bool body_too_large;       /* it exceeded the limit, and is not in `body` */
    struct http_stream stream; /* of the answer, when it is the next part's turn */
};

enum { HTTP_HEADERS_MAX = 20 };

struct http_header {
    struct str name;
    struct str value;
};

/* What of an answer a response is. After the first part and the next ones the request is answered
 * again, with `stream` of the response; all but the first are no more than a body. */
enum http_part { HTTP_WHOLE, HTTP_FIRST_PART, HTTP_NEXT_PART, HTTP_LAST_PART };

struct http_response {
    unsigned status;
    struct str content_type; /* empty: none */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t headers_len;
    struct buffer body;
    bool without_body; /* for HEAD: only send the length of the body */
    enum http_part part;
    struct http_stream stream; /* unless it is whole */
};

/* Adds a header. Name and value must live until the answer is sent. More than HTTP_HEADERS_MAX
 * headers is a programming error. */
void http_response_header(struct http_response *response, struct str name, struct str value);

/* Whether a Content-Type is JSON: application/json or application/…+json, ignoring case and
 * parameters. A missing Content-Type counts as JSON, as in the original service. */
bool http_content_type_is_json(struct str content_type);

/* The fields of a traceparent (W3C Trace Context, section 3.2) of version 00, or of a later version
 * that starts the same way. */
struct http_trace {
    struct str trace_id;  /* 32 hex digits, not all zero; empty: no valid traceparent */
    struct str parent_id; /* 16 hex digits, not all zero */
    struct str flags;     /* 2 hex digits */
};

struct http_trace http_read_traceparent(struct str traceparent);

/* An entity tag (RFC 9110, section 8.8.3). */
struct http_tag {
    struct str opaque; /* without the quotes */
    bool weak;
};

/* Extracts the next tag from the list of an If-Match or If-None-Match header. Returns false at the
 * end of the list, or at an invalid tag, in which case *rest is not empty. */
bool http_next_tag(struct str *rest, struct http_tag *tag);

/* Whether a condition is "*", which matches any representation. */
bool http_is_any(struct str condition);

/* Whether a Cache-Control header contains the directive no-cache, which asks for an answer that is
 * not from a copy (RFC 9111, section 5.2.1.4). */
bool http_wants_fresh(struct str cache_control);

/* Whether a Content-Type equals `type`, ignoring case and parameters. */
bool http_content_type_is(struct str content_type, struct str type);

/* Returns the weight, in thousandths, that an Accept header gives to a media type such as
 * "text/plain": that of the most specific matching range, or 1000 if there is no Accept (RFC 9110,
 * section 12.5.1). *named: the type itself is listed, rather than matched by a wildcard. */
unsigned http_accept_weight(struct str accept, struct str type, bool *named);

/* Returns a request target without scheme and authority, if it is in absolute form. */
struct str http_origin_form(struct str target);

/* Returns the path of a request target: without the query and, if it is in absolute form, without
 * scheme and authority (RFC 9112, section 3.2.2). */
struct str http_target_path(struct str target);

/* Returns the query of a request target without the question mark; its data is NULL if there is
 * none. */
struct str http_target_query(struct str target);

/* Decodes the name or value of a query parameter in form encoding: '+' is a space, %XX a byte. The
 * result's data is NULL if memory is lacking. */
MUST_CHECK struct str http_decode_form(struct arena *arena, struct str text);

/* Appends a URI for use in a header: characters not allowed in a URI are percent-encoded (RFC 3986,
 * section 2). */
void http_append_uri(struct buffer *buffer, struct str uri);

/* Appends `text` as a single path segment. */
void http_append_segment(struct buffer *buffer, struct str text);

/* Parses a date in any of the three HTTP formats (RFC 9110, section 5.6.7) into seconds since 1970.
 * Returns false if it is invalid. */
MUST_CHECK bool http_read_date(struct str text, int64_t *seconds);

/* Appends a date, given in microseconds since 1970, in HTTP format (RFC 9110, section 5.6.7). */
void http_append_date(struct buffer *buffer, uint64_t us);

#endif
