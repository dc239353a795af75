/* SPDX-License-Identifier: MIT */
#include "main/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"
#include "server/address.h"

enum { BACKLOG = 4096 /* a shorter queue makes nginx answer 502 when many clients come at once */ };

static bool fail(char *error, size_t error_size, const char *what, const char *where,
                 const char *reason)
{
    snprintf(error, error_size, "%s %s: %s", what, where, reason);
    return false;
}

/* ---- the state directory ---- */

static bool lock_file(int fd, const char *path, char *error, size_t error_size)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return true;
    if (errno != EAGAIN && errno != EACCES)
        return fail(error, error_size, "cannot lock", path, strerror(errno));
    if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        lock.l_pid = 0;
    snprintf(error, error_size,
             "another integration-service (process %d) runs on this state directory (%s): stop it, "
             "or set STATE_DIR to another directory",
             (int)lock.l_pid, path);
    return false;
}

int state_dir_lock(const char *state_dir, char *error, size_t error_size)
{
    char path[512];
    int length = snprintf(path, sizeof path, "%s/lock", state_dir);
    if (length < 0 || (size_t)length >= sizeof path) {
        fail(error, error_size, "STATE_DIR", state_dir, "the path is too long");
        return -1;
    }
    if (!directory_prepare(state_dir, "STATE_DIR", error, error_size))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        fail(error, error_size, "cannot write to STATE_DIR:", path, strerror(errno));
        return -1;
    }
    if (lock_file(fd, path, error, error_size))
        return fd;
    close(fd);
    return -1;
}

/* ---- the socket ---- */

/* Removes a socket file that nobody listens on, and nothing else. */
static bool make_way(const struct address *address, char *error, size_t error_size)
{
    struct stat status;
    const char *path = address->socket.local.sun_path;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || fail(error, error_size, "LISTEN", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(error, error_size, "LISTEN", path, "there is a file that is no socket");
    int fd = address_connect(address);
    if (fd >= 0) {
        close(fd);
        return fail(error, error_size, "LISTEN", path, "another program listens there");
    }
    if (errno != ECONNREFUSED) /* unix(7): nobody listens */
        return fail(error, error_size, "LISTEN", path, strerror(errno));
    return unlink(path) == 0 ||
           fail(error, error_size, "cannot replace the old socket", path, strerror(errno));
}

static bool bind_to(int fd, const struct address *address)
{
    return fd >= 0 && bind(fd, &address->socket.any, address->len) == 0;
}

static bool open_unix(struct listener *listener, const struct address *address, mode_t mode)
{
    /* Nobody may connect before the permissions are set. */
    mode_t before = umask(0777);
    bool bound = bind_to(listener->fd, address);
    umask(before);
    return bound && listen(listener->fd, BACKLOG) == 0 &&
           chmod(address->socket.local.sun_path, mode) == 0;
}

static bool open_tcp(struct listener *listener, const struct address *address)
{
    const int on = 1;
    return listener->fd >= 0 &&
           setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           bind_to(listener->fd, address) && listen(listener->fd, BACKLOG) == 0;
}

static bool is_unix(const struct address *address)
{
    return address->socket.any.sa_family == AF_UNIX;
}

const char *listener_check(const struct config *config, struct address *address, char *text,
                           size_t size)
{
    const char *wrong =
        config_listen_address(config, text, size) ? address_parse(address, text) : "is too long";
    if (wrong == NULL && !address_is_local(address))
        wrong = "FastCGI trusts whoever connects: only loopback addresses are allowed";
    return wrong;
}

bool listener_open(struct listener *listener, const struct config *config, char *error,
                   size_t error_size)
{
    struct address address;
    *listener = (struct listener){.fd = -1};
    const char *wrong =
        listener_check(config, &address, listener->address, sizeof listener->address);
    if (wrong != NULL)
        return fail(error, error_size, "LISTEN", listener->address, wrong);
    if (is_unix(&address) && !make_way(&address, error, error_size))
        return false;
    listener->fd = socket(address.socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (is_unix(&address) ? open_unix(listener, &address, (mode_t)config->socket_mode)
                          : open_tcp(listener, &address))
        return true;
    fail(error, error_size, "cannot listen on", listener->address, strerror(errno));
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    return false;
}

bool listener_is(int fd)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

bool listener_adopt(struct listener *listener, int fd, bool given, char *error, size_t error_size)
{
    struct address address = {.len = sizeof address.socket};
    *listener = (struct listener){.fd = fd, .given = given};
    const char *wrong = NULL;
    if (!listener_is(fd))
        wrong = "it is not a stream socket that listens";
    else if (getsockname(fd, &address.socket.any, &address.len) != 0 ||
             !address_format(&address, listener->address, sizeof listener->address) ||
             !address_is_local(&address))
        wrong = "it is bound neither to a path nor to a loopback address";
    else if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        wrong = strerror(errno);
    return wrong == NULL ||
           fail(error, error_size, "cannot use", "the socket that was given", wrong);
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    if (!listener->given && strncmp(listener->address, "unix:", 5) == 0)
        unlink(listener->address + 5);
    close(listener->fd);
    listener->fd = -1;
}
