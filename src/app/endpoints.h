/* SPDX-License-Identifier: MIT
 *
 * The table of endpoints (table.c): what the service answers to, a row a path. A test may bring a
 * table of its own in the place of that file. */
#ifndef APP_ENDPOINTS_H
#define APP_ENDPOINTS_H

#include "app/call.h"

typedef void handler(const struct call *call);

/* What an operation is, from which follows where it may be answered (app_route). */
enum operation_kind {
    OPERATION_PLAIN,  /* answered from what the process knows */
    OPERATION_READ,   /* of one integration */
    OPERATION_LIST,   /* of many */
    OPERATION_CHANGE, /* of the store */
    OPERATION_PROBE,  /* whether changes could be made */
    OPERATION_SCRAPE, /* of the metrics */
    OPERATION_WAIT    /* a read that may wait for a commit */
};

/* Until when a request waits for a commit, a time of the steady clock; 0: it can be answered. Asked
 * again after each commit. */
typedef uint64_t operation_wait(struct app_session *session, const struct http_request *request);

struct operation {
    handler *handle; /* NULL: the method is not allowed */
    enum operation_kind kind;
    bool takes_body;      /* a body above the limit is refused before the handler */
    operation_wait *wait; /* of OPERATION_WAIT */
};

struct endpoint {
    const char *template;               /* a part in braces stands for any one segment */
    const struct operation *operations; /* by method; HEAD and OPTIONS are the gate's */
};

extern const struct endpoint endpoints[];
extern const size_t endpoints_len;

/* The templates, and "unmatched" for no such path: the metrics' labels, by struct app_route's
 * index. */
extern const char *const endpoint_labels[];

/* The operation of a method, HEAD being a GET. */
const struct operation *endpoint_operation(const struct endpoint *endpoint,
                                           enum http_method method);

/* The Allow header of an endpoint, into `out`. */
void endpoint_allow(const struct endpoint *endpoint, struct buffer *out);

#endif
