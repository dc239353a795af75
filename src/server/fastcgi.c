/* SPDX-License-Identifier: MIT */
#include "server/fastcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcgios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/frame.h"
#include "server/wire.h"

enum {
    COLLECT_CHUNK = 64 * 1024, /* read at a time */
    COLLECT_TURN = 256 * 1024  /* read before others have their turn */
};

/* A request that is collected. */
struct collection {
    struct buffer bytes; /* empty: none is */
    struct frame_reader reader;
    bool too_large; /* the body was longer than allowed, and is not kept */
};

struct fastcgi {
    FCGX_Request request;
    int socket;
    struct collection collection;
};

bool fastcgi_init(void)
{
    /* By default libfcgi waits up to 2 s for the peer when it closes a connection; this thread has
     * other connections to serve. */
    if (setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "0", 1) != 0)
        return false;
    return FCGX_Init() == 0;
}

void fastcgi_end(void)
{
    OS_LibShutdown();
}

static void set_timeout(int fd, uint64_t timeout_ms)
{
    struct timeval timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                              .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

struct fastcgi *fastcgi_open(int fd, uint64_t timeout_ms)
{
    struct fastcgi *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    set_timeout(fd, timeout_ms);
    /* Fails on a unix socket, which does not need it. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    FCGX_InitRequest(&connection->request, -1, 0);
    connection->request.ipcFd = connection->socket = fd;
    connection->request.keepConnection = 1; /* or the first FCGX_Accept_r would close it */
    return connection;
}

int fastcgi_fd(const struct fastcgi *connection)
{
    return connection->socket;
}

/* ---- collecting ---- */

size_t fastcgi_collected(const struct fastcgi *connection)
{
    return connection->collection.bytes.len;
}

/* Forgets the body's records that have been read. */
static void discard_body(struct collection *collection)
{
    struct buffer *bytes = &collection->bytes;
    struct frame_reader *reader = &collection->reader;
    if (reader->has_body) /* but not the record that ends it */
        reader->at -= WIRE_HEADER_LEN;
    memmove(bytes->data + reader->params_end, bytes->data + reader->at, bytes->len - reader->at);
    bytes->len -= reader->at - reader->params_end;
    reader->at = reader->params_end + (reader->has_body ? WIRE_HEADER_LEN : 0);
}

/* Examines what has been collected. */
static enum fastcgi_arrival judge(struct collection *collection, size_t max)
{
    struct buffer *bytes = &collection->bytes;
    struct frame_reader *reader = &collection->reader;
    enum frame frame = frame_read(reader, (const unsigned char *)bytes->data, bytes->len);
    if (frame == FRAME_BAD || (frame == FRAME_PARTIAL && bytes->len > FASTCGI_LOOK_SIZE))
        return FASTCGI_GONE; /* or its parameters exceed any server's limit */
    /* No web server sends a request before the one before it has been answered. */
    if (frame == FRAME_COMPLETE && reader->at != bytes->len)
        return FASTCGI_GONE;
    collection->too_large |= reader->body_len > max;
    if (collection->too_large)
        discard_body(collection);
    return frame == FRAME_COMPLETE ? FASTCGI_COMPLETE : FASTCGI_WAITING;
}

static enum fastcgi_arrival collect(struct fastcgi *connection, size_t max)
{
    struct collection *collection = &connection->collection;
    for (size_t turn = 0; turn < COLLECT_TURN; turn += COLLECT_CHUNK) {
        char *room = buffer_reserve(&collection->bytes, COLLECT_CHUNK);
        ssize_t got =
            room == NULL ? 0 : recv(connection->socket, room, COLLECT_CHUNK, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return FASTCGI_WAITING;
        if (got <= 0)
            return FASTCGI_GONE;
        collection->bytes.len += (size_t)got;
        enum fastcgi_arrival arrival = judge(collection, max);
        if (arrival != FASTCGI_WAITING)
            return arrival;
    }
    return FASTCGI_MORE;
}

enum fastcgi_arrival fastcgi_look(struct fastcgi *connection, unsigned char *scratch, size_t max)
{
    if (connection->collection.bytes.len > 0)
        return collect(connection, max);
    ssize_t seen = recv(connection->socket, scratch, FASTCGI_LOOK_SIZE, MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0)
        return errno == EAGAIN || errno == EINTR ? FASTCGI_WAITING : FASTCGI_GONE;
    if (seen == 0)
        return FASTCGI_GONE;
    switch (frame_look(scratch, (size_t)seen)) {
    case FRAME_COMPLETE:
        return FASTCGI_COMPLETE;
    case FRAME_HEADED:
    case FRAME_PARTIAL:
        return seen >= FASTCGI_COLLECT_SIZE ? collect(connection, max) : FASTCGI_WAITING;
    case FRAME_BAD:
        break;
    }
    return FASTCGI_GONE;
}

/* ---- reading ---- */

/* Lets libfcgi read what was collected from a file in memory, which never blocks, in the place of
 * the socket. */
static bool open_collection(struct fastcgi *connection)
{
    struct buffer *bytes = &connection->collection.bytes;
    int fd = memfd_create("request", MFD_CLOEXEC);
    bool written = fd >= 0 && write(fd, bytes->data, bytes->len) == (ssize_t)bytes->len &&
                   lseek(fd, 0, SEEK_SET) == 0;
    buffer_release(bytes);
    if (written)
        connection->request.ipcFd = fd;
    else if (fd >= 0)
        close(fd);
    return written;
}

/* Lets libfcgi use the socket again. */
static void close_collection(struct fastcgi *connection)
{
    if (connection->request.ipcFd != connection->socket && connection->request.ipcFd >= 0) {
        close(connection->request.ipcFd);
        connection->request.ipcFd = connection->socket;
    }
}

bool fastcgi_begin(struct fastcgi *connection, const struct cgi_place *place,
                   struct http_request *request)
{
    if (connection->collection.bytes.len > 0 && !open_collection(connection))
        return false;
    if (FCGX_Accept_r(&connection->request) < 0) {
        close_collection(connection);
        return false;
    }
    cgi_read(connection->request.envp, place, request);
    return true;
}

bool fastcgi_read_body(struct fastcgi *connection, struct http_request *request,
                       struct buffer *body, size_t max)
{
    enum { CHUNK = 16 * 1024 };
    FCGX_Stream *in = connection->request.in;
    int got;
    request->body_too_large = connection->collection.too_large;
    do {
        if (body->len > max) {
            request->body_too_large = true;
            buffer_reset(body, SIZE_MAX);
        }
        char *room = buffer_reserve(body, CHUNK);
        if (room == NULL)
            return false;
        got = FCGX_GetStr(room, CHUNK, in);
        if (got > 0)
            body->len += (size_t)got;
    } while (got == CHUNK);
    close_collection(connection);
    if (body->len > max)
        request->body_too_large = true;
    request->body = request->body_too_large ? (struct str){NULL, 0} : buffer_str(body);
    return FCGX_GetError(in) == 0;
}

bool fastcgi_is_awaited(const struct fastcgi *connection)
{
    struct pollfd end = {.fd = connection->socket, .events = POLLRDHUP};
    return poll(&end, 1, 0) == 0;
}

/* ---- the answer ---- */

static void put(void *out, struct str text)
{
    const size_t most = 1 << 30; /* libfcgi counts in int */
    while (text.len > 0) {
        size_t part = text.len < most ? text.len : most;
        if (FCGX_PutStr(text.data, (int)part, out) < 0)
            return;
        text.data += part;
        text.len -= part;
    }
}

bool fastcgi_send_part(struct fastcgi *connection, const struct http_response *response)
{
    FCGX_Stream *out = connection->request.out;
    cgi_put_response(put, out, response);
    return FCGX_FFlush(out) == 0 && FCGX_GetError(out) == 0;
}

/* Ends the request in such a way that the web server closes the connection. If we simply closed it,
 * the next request might already be on its way, and nginx does not retry a POST.
 *
 * nginx takes END_REQUEST as the end of the answer, and keeps the connection only if its buffer
 * ends there as well: ngx_http_fastcgi_module.c sets `keepalive` if `f->pos + f->padding ==
 * f->last`, but not if it is less (since 1.1.4, which introduced keepalive; the same in 1.22 and
 * 1.31). We therefore append the header of a stray record in the same send, so that nginx receives
 * both together. No specification guarantees this behaviour; tests/e2e/test_load.py checks that
 * nginx has it.
 *
 * nWriters == 3 prevents libfcgi from sending an END_REQUEST of its own. */
static void end_for_good(FCGX_Request *request)
{
    static const char complete[8] = {0}; /* application status and protocol status (section 5.5) */
    char storage[3 * WIRE_HEADER_LEN];
    struct buffer end = buffer_on(storage, sizeof storage);
    wire_append_record(&end, WIRE_END_REQUEST, (unsigned)request->requestId,
                       (struct str){complete, sizeof complete});
    wire_append_record(&end, WIRE_UNKNOWN_TYPE, 0, STR(""));
    request->nWriters = 3;
    FCGX_FClose(request->err);
    if (FCGX_FClose(request->out) != 0) /* the peer is gone */
        return;
    ssize_t sent = send(request->ipcFd, end.data, end.len, MSG_NOSIGNAL);
    (void)sent; /* the connection is closed next in any case */
}

bool fastcgi_finish(struct fastcgi *connection, const struct http_response *response, bool last)
{
    FCGX_Request *request = &connection->request;
    connection->collection = (struct collection){0};
    cgi_put_response(put, request->out, response);
    if (last && request->keepConnection) {
        end_for_good(request);
        return false;
    }
    FCGX_Finish_r(request);
    connection->socket = request->ipcFd; /* -1: it was closed */
    return connection->socket >= 0;
}

void fastcgi_close(struct fastcgi *connection)
{
    close_collection(connection);
    FCGX_Free(&connection->request, 0);
    if (connection->socket >= 0)
        close(connection->socket);
    buffer_release(&connection->collection.bytes);
    free(connection);
}
