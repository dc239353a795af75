/* SPDX-License-Identifier: MIT
 *
 * What a process gives up, for good and for its children: whoever then makes it run code of theirs
 * has little in hand. All of it needs no privilege; what a kernel does not know is left out. */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"

/* Keeps memory out of core files, also those that a program gets through a pipe, for which
 * RLIMIT_CORE does not count (core(5)). */
void confine_core_files(void);

/* Files, and more that Landlock knows (landlock(7)): nothing can be executed, and made, changed or
 * removed only beneath `writable`. */
struct confine_files {
    const char *writable;
    /* Files and directories that can be read, besides; a missing one is passed over. NULL: all. */
    const char *const *readable;
    size_t readable_len;
    bool connects; /* TCP connections can be made; none is ever accepted at a new port */
    bool signals;  /* processes that did not start in this one can be sent signals */
};

/* For the calling thread and the threads it starts, so call it before there are others. Returns
 * false with an errno: ENOSYS or EOPNOTSUPP if the kernel has no Landlock. */
MUST_CHECK bool confine_files(const struct confine_files *files);

/* System calls: those that confine.c lists, which nothing here needs and with which a process
 * reaches others or the kernel, fail with EPERM; no process can be started. Unless it `connects`,
 * only unix sockets can be made. Also sets no_new_privs (prctl(2)). For all threads. Returns false
 * with an errno: ENOSYS if the kernel has no filters. */
MUST_CHECK bool confine_calls(bool connects);

#endif
