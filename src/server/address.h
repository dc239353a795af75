/* SPDX-License-Identifier: MIT
 *
 * Where the service listens: a unix socket's path or an address of this machine, written as in
 * LISTEN: "unix:PATH", "ADDRESS:PORT" or "[ADDRESS]:PORT", in numbers. */
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

/* NULL, or what is wrong with the text. */
MUST_CHECK const char *address_parse(struct address *address, const char *text);

/* Writes the address as text; false: it has none (an unnamed socket), or `size` is too small. */
MUST_CHECK bool address_format(const struct address *address, char *text, size_t size);

/* Whether only programs of this machine can connect. */
bool address_is_local(const struct address *address);

/* A new stream socket of the address's family, connected to it; -1 with errno. */
int address_connect(const struct address *address);

#endif
