/* SPDX-License-Identifier: MIT */
#include "main/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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
    if (mkdir(state_dir, 0750) != 0 && errno != EEXIST) {
        fail(error, error_size, "cannot create STATE_DIR", state_dir, strerror(errno));
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
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

static const char *unix_path(const struct listener *listener)
{
    return strncmp(listener->address, "unix:", 5) == 0 ? listener->address + 5 : NULL;
}

/* Removes a socket file that nobody listens on; leaves anything else alone. */
static bool make_way(const struct sockaddr_un *address, char *error, size_t error_size)
{
    struct stat status;
    const char *path = address->sun_path;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || fail(error, error_size, "LISTEN", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(error, error_size, "LISTEN", path, "there is a file that is no socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(error, error_size, "cannot create the socket", path, strerror(errno));
    bool in_use = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    close(fd);
    if (in_use)
        return fail(error, error_size, "LISTEN", path, "another program listens there");
    return unlink(path) == 0 ||
           fail(error, error_size, "cannot replace the old socket", path, strerror(errno));
}

static bool open_unix(struct listener *listener, const char *path, mode_t mode, char *error,
                      size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return fail(error, error_size, "LISTEN", path,
                    "a socket's path has 107 bytes at most; choose a shorter STATE_DIR or LISTEN");
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (!make_way(&address, error, error_size))
        return false;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Nobody may connect before the permissions are set. */
    mode_t before = umask(0777);
    bool bound = listener->fd >= 0 &&
                 bind(listener->fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    if (!bound || listen(listener->fd, BACKLOG) != 0 || chmod(path, mode) != 0)
        return fail(error, error_size, "cannot listen on", path, strerror(errno));
    return true;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Splits "ADDRESS:PORT" or "[ADDRESS]:PORT" and looks both up as numbers. */
static struct addrinfo *parse_tcp(const char *text)
{
    char host[64];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return NULL;
    bool bracketed = text[0] == '[' && colon > text && colon[-1] == ']';
    const char *start = bracketed ? text + 1 : text;
    size_t len = (size_t)(colon - start) - (bracketed ? 1 : 0);
    if (len == 0 || len >= sizeof host)
        return NULL;
    memcpy(host, start, len);
    host[len] = '\0';
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

static bool open_tcp(struct listener *listener, char *error, size_t error_size)
{
    const int on = 1;
    const char *address = listener->address;
    struct addrinfo *found = parse_tcp(address);
    if (found == NULL)
        return fail(error, error_size, "LISTEN", address,
                    "is neither unix:PATH nor ADDRESS:PORT in numbers");
    if (!is_loopback(found->ai_addr)) {
        freeaddrinfo(found);
        return fail(error, error_size, "LISTEN", address,
                    "FastCGI trusts whoever connects: only loopback addresses are allowed");
    }
    listener->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool listening = listener->fd >= 0 &&
                     setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     bind(listener->fd, found->ai_addr, found->ai_addrlen) == 0 &&
                     listen(listener->fd, BACKLOG) == 0;
    int reason = errno;
    freeaddrinfo(found);
    return listening || fail(error, error_size, "cannot listen on", address, strerror(reason));
}

bool listener_open(struct listener *listener, const struct config *config, char *error,
                   size_t error_size)
{
    *listener = (struct listener){.fd = -1};
    if (!config_listen_address(config, listener->address, sizeof listener->address))
        return fail(error, error_size, "LISTEN", config->listen, "is too long");
    const char *path = unix_path(listener);
    bool opened = path != NULL
                      ? open_unix(listener, path, (mode_t)config->socket_mode, error, error_size)
                      : open_tcp(listener, error, error_size);
    if (!opened && listener->fd >= 0) {
        close(listener->fd);
        listener->fd = -1;
    }
    return opened;
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    if (unix_path(listener) != NULL)
        unlink(unix_path(listener));
    close(listener->fd);
    listener->fd = -1;
}
