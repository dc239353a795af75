/* SPDX-License-Identifier: MIT
 *
 * Addresses that the service listens on: the path of a unix socket, or a numeric IP address and
 * port. They are written as in LISTEN: "unix:PATH", "ADDRESS:PORT" or "[ADDRESS]:PORT". */
#ifndef SERVER_ADDRESS_H
#define SERVER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage room;
    } socket;
    socklen_t len;
};

/* Parses an address. Returns NULL, or a message that says what is wrong with `text`. */
MUST_CHECK const char *address_parse(struct address *address, const char *text);

/* Formats an address. Returns false if it has no text form (an unnamed socket) or `size` is too
 * small. */
MUST_CHECK bool address_format(const struct address *address, char *text, size_t size);

/* Whether only programs on this machine can connect. */
bool address_is_local(const struct address *address);

/* Returns a new stream socket connected to the address, or -1 with errno set. */
int address_connect(const struct address *address);

#endif
