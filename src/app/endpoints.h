/* SPDX-License-Identifier: MIT
 *
 * The table of endpoints (table.c), one row per path. Tests may link a table of their own
 * instead. */
#ifndef APP_ENDPOINTS_H
#define APP_ENDPOINTS_H

#include "access/keys.h"
#include "app/call.h"

typedef void handler(const struct call *call);

/* What an operation does; app_route derives from it where it may be answered. */
enum operation_kind {
    OPERATION_PLAIN,   /* answered from memory */
    OPERATION_READ,    /* reads one integration */
    OPERATION_LIST,    /* reads many integrations */
    OPERATION_HISTORY, /* reads the log of changes */
    OPERATION_CHANGE,  /* changes the store */
    OPERATION_PROBE,   /* checks whether changes are possible */
    OPERATION_SCRAPE,  /* reads the metrics */
    OPERATION_WAIT     /* a read that may wait for a commit */
};

/* Returns until when a request should wait for a commit (steady clock), or 0 if it can be answered
 * now. Called again after each commit, for callers who have the operation's scopes. What it puts
 * into the session is discarded. */
typedef uint64_t operation_wait(const struct call *call);

struct operation {
    handler *handle; /* NULL: the method is not allowed */
    enum operation_kind kind;
    unsigned scopes;      /* that a key needs, all of them */
    bool takes_body;      /* bodies above the limit are rejected before the handler runs */
    operation_wait *wait; /* for OPERATION_WAIT */
};

/* Operations are written with these, so that none is without scopes by mistake. */
#define OPERATION(handle_, kind_, scopes_)                                                         \
    {                                                                                              \
        .handle = (handle_), .kind = (kind_), .scopes = (scopes_)                                  \
    }
#define OPERATION_WITH_BODY(handle_, kind_, scopes_)                                               \
    {                                                                                              \
        .handle = (handle_), .kind = (kind_), .scopes = (scopes_), .takes_body = true              \
    }

#define OPERATION_THAT_WAITS(handle_, wait_, scopes_)                                              \
    {                                                                                              \
        .handle = (handle_), .kind = OPERATION_WAIT, .scopes = (scopes_), .wait = (wait_)          \
    }

struct endpoint {
    const char *template;               /* a segment in braces matches any one segment */
    const struct operation *operations; /* indexed by method; the gate handles HEAD and OPTIONS */
};

extern const struct endpoint endpoints[];
extern const size_t endpoints_len;

/* The metrics labels, indexed by app_route.endpoint: the templates, and "unmatched" for unknown
 * paths. */
extern const char *const endpoint_labels[];

/* Returns the operation of a method; HEAD is treated as GET. */
const struct operation *endpoint_operation(const struct endpoint *endpoint,
                                           enum http_method method);

/* Appends the value of an endpoint's Allow header to `out`. */
void endpoint_allow(const struct endpoint *endpoint, struct buffer *out);

#endif
