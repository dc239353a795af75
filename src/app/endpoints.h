/* SPDX-License-Identifier: MIT
 *
 * The table of endpoints: what the service answers to, a row a path. */
#ifndef APP_ENDPOINTS_H
#define APP_ENDPOINTS_H

#include "app/app.h"

/* A request on its way through a handler, which answers into session->response. */
struct call {
    struct app_session *session;
    const struct http_request *request;
    struct str id; /* the path's {id}, decoded */
};

typedef void handler(const struct call *call);

struct operation {
    handler *handle;
    bool takes_body; /* a body above the limit is refused before the handler */
    bool may_wait;
    bool reads; /* from the store: a client may ask for no copy, which may wait */
    bool polls; /* a client that has a copy is told at once that it still is one */
    bool asks;  /* whether changes could be made */
};

struct endpoint {
    const char *template;                      /* a part in braces stands for any one segment */
    struct operation operations[HTTP_METHODS]; /* HEAD and OPTIONS are the gate's */
};

extern const struct endpoint endpoints[];
extern const size_t endpoints_len;

/* The templates, and "unmatched" for no such path: the metrics' labels, by struct app_route's
 * index. */
extern const char *const endpoint_labels[];

/* The Allow header of an endpoint, into `out`. */
void endpoint_allow(const struct endpoint *endpoint, struct buffer *out);

#endif
