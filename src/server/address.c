/* SPDX-License-Identifier: MIT */
#include "server/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *parse_unix(struct address *address, const char *path)
{
    if (strlen(path) >= sizeof address->socket.local.sun_path)
        return "a socket's path has at most 107 bytes; choose a shorter STATE_DIR or LISTEN";
    address->socket.local.sun_family = AF_UNIX;
    memcpy(address->socket.local.sun_path, path, strlen(path) + 1);
    address->len = sizeof address->socket.local;
    return NULL;
}

const char *address_parse(struct address *address, const char *text)
{
    static const char wrong[] = "is neither unix:PATH nor ADDRESS:PORT in numbers";
    char host[64];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    *address = (struct address){.len = 0};
    if (strncmp(text, "unix:", 5) == 0 && text[5] != '\0')
        return parse_unix(address, text + 5);
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return wrong;
    bool bracketed = text[0] == '[' && colon > text && colon[-1] == ']';
    const char *start = bracketed ? text + 1 : text;
    size_t len = (size_t)(colon - start) - (bracketed ? 1 : 0);
    if (len == 0 || len >= sizeof host || strtoul(colon + 1, NULL, 10) == 0)
        return wrong;
    memcpy(host, start, len);
    host[len] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return wrong;
    memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return NULL;
}

bool address_format(const struct address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    char port[8];
    int length;
    if (address->socket.any.sa_family == AF_UNIX) {
        const char *path = address->socket.local.sun_path;
        length = snprintf(text, size, "unix:%s", path);
        return path[0] != '\0' && length > 0 && (size_t)length < size;
    }
    if (getnameinfo(&address->socket.any, address->len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    bool bracketed = address->socket.any.sa_family == AF_INET6;
    length = snprintf(text, size, bracketed ? "[%s]:%s" : "%s:%s", host, port);
    return length > 0 && (size_t)length < size;
}

bool address_is_local(const struct address *address)
{
    const struct sockaddr *any = &address->socket.any;
    if (any->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)any;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)any;
    return any->sa_family == AF_UNIX ||
           (any->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr));
}

int address_connect(const struct address *address)
{
    int fd = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &address->socket.any, address->len) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}
