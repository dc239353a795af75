/* SPDX-License-Identifier: MIT
 *
 * The state directory that one service holds, and the socket it listens on.
 *
 * Limits: only services of one state directory exclude each other. Two that are started with one
 * LISTEN path in the same moment may both find an old socket there, and one replaces the other's.
 */
#ifndef MAIN_LISTENER_H
#define MAIN_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "core/config.h"
#include "server/address.h"

/* Prepares the state directory, and locks it for this process (fcntl(2): the lock ends with the
 * process). -1 with a sentence in `error`; else a descriptor to keep open. */
MUST_CHECK int state_dir_lock(const char *state_dir, char *error, size_t error_size);

struct listener {
    int fd;            /* -1: closed */
    bool given;        /* opened by the service manager or a web server: its file stays */
    char address[512]; /* "unix:PATH" or "ADDRESS:PORT", as configured */
};

/* Reads the address that the configuration asks for, and its text. NULL, or what is wrong with it.
 */
MUST_CHECK const char *listener_check(const struct config *config, struct address *address,
                                      char *text, size_t size);

/* Binds and listens at config's address. A socket file that nobody listens on is replaced. False
 * with a sentence in `error`, and nothing to close. */
MUST_CHECK bool listener_open(struct listener *listener, const struct config *config, char *error,
                              size_t error_size);

/* Whether a descriptor is a socket that listens. */
bool listener_is(int fd);

/* Takes over a socket that listens: the service manager's or a web server's (`given`), or an
 * earlier program's. It will be closed in programs that this one runs. False with a sentence in
 * `error`. */
MUST_CHECK bool listener_adopt(struct listener *listener, int fd, bool given, char *error,
                               size_t error_size);

/* Removes the socket file if it is ours, so that nobody can connect any more, and closes this
 * process's descriptor; what is queued stays for those who share the socket. */
void listener_close(struct listener *listener);

#endif
