/* SPDX-License-Identifier: MIT
 *
 * A FastCGI connection from a web server, and the requests that arrive on it one after the other.
 * libfcgi implements the protocol, but reads with blocking calls; so the caller accepts connections
 * itself, and uses fastcgi_look to decide when to read. Only fastcgi.c uses libfcgi. */
#ifndef SERVER_FASTCGI_H
#define SERVER_FASTCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "base/buffer.h"
#include "model/http.h"
#include "server/cgi.h"

enum {
    FASTCGI_LOOK_SIZE = 64 * 1024, /* how many bytes of a request fastcgi_look can see */
    /* Once this much of a request has arrived, it is collected in memory: a peer may not send more
     * until some of it has been read (Apache stops while a quarter of the socket buffer is full).
     */
    FASTCGI_COLLECT_SIZE = 16 * 1024
};

enum fastcgi_arrival {
    FASTCGI_WAITING,  /* not enough has arrived: look again when there is more */
    FASTCGI_MORE,     /* likewise, but there is more already: others may have their turn first */
    FASTCGI_COMPLETE, /* the whole request has arrived: reading it does not block */
    FASTCGI_GONE      /* the peer closed, or sent an invalid request: close the connection */
};

struct fastcgi;

/* Initializes libfcgi; call it once per process, before the first connection. Returns false on
 * failure. */
MUST_CHECK bool fastcgi_init(void);

/* Undoes fastcgi_init, after the last connection. */
void fastcgi_end(void);

/* Takes ownership of an accepted, blocking socket. Reads and writes on it time out after
 * `timeout_ms`. If memory is lacking, closes the socket and returns NULL. */
MUST_CHECK struct fastcgi *fastcgi_open(int fd, uint64_t timeout_ms);

int fastcgi_fd(const struct fastcgi *connection);

/* Checks without blocking how much of the next request has arrived, and collects it in memory if it
 * is a long one. Each of its records is checked before libfcgi sees it. Of a body longer than `max`
 * nothing is kept. `scratch` has FASTCGI_LOOK_SIZE bytes. */
enum fastcgi_arrival fastcgi_look(struct fastcgi *connection, unsigned char *scratch, size_t max);

/* How many bytes of the next request have been collected. */
size_t fastcgi_collected(const struct fastcgi *connection);

/* Reads the parameters of a request that fastcgi_look has seen, for a service at `place`. *request
 * points into the connection until fastcgi_finish. Returns false if the peer is gone or violated
 * the protocol: close the connection. */
MUST_CHECK bool fastcgi_begin(struct fastcgi *connection, const struct cgi_place *place,
                              struct http_request *request);

/* Reads the whole body into `body`, and makes request->body point to it. A body longer than `max`
 * is discarded, and request->body_too_large is set. Returns false if the body is incomplete: ignore
 * the request and close the connection. */
MUST_CHECK bool fastcgi_read_body(struct fastcgi *connection, struct http_request *request,
                                  struct buffer *body, size_t max);

/* Whether the peer still waits for the answer. A web server that gave up, or whose client did,
 * closes the connection. */
MUST_CHECK bool fastcgi_is_awaited(const struct fastcgi *connection);

/* Sends a part of the answer, after which there is another. Returns false if the peer is gone:
 * close the connection. */
MUST_CHECK bool fastcgi_send_part(struct fastcgi *connection, const struct http_response *response);

/* Sends the answer, or its last part, and ends the request. Returns true if the connection stays
 * open for another request; false if it ended, because of `last` or because the peer wanted or
 * caused it: close the connection. */
MUST_CHECK bool fastcgi_finish(struct fastcgi *connection, const struct http_response *response,
                               bool last);

/* Closes the socket and frees the connection; may be called at any time. */
void fastcgi_close(struct fastcgi *connection);

#endif
