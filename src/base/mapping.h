/* SPDX-License-Identifier: MIT
 *
 * Files mapped into memory that somebody else makes shorter, or whose disk cannot be read: to touch
 * them then raises SIGBUS (mmap(2)). A file whose content may be lost is made anew, and the process
 * goes on; for any other, it says so and ends.
 *
 * Limits: MAPPINGS_MAX guarded mappings in a process. */
#ifndef BASE_MAPPING_H
#define BASE_MAPPING_H

#include <stdbool.h>
#include <stddef.h>

enum { MAPPINGS_MAX = 8 };

/* Makes the file of a mapping long enough again. Runs in a signal handler: only what
 * signal-safety(7) allows. Returns false if it cannot. */
typedef bool mapping_heal(void *context);

/* Guards a mapping from now on, until mapping_release. Calls must not overlap. */
void mapping_guard(void *start, size_t size, mapping_heal *heal, void *context);
void mapping_release(const void *start);

/* Sets what is called, in a signal handler, before the process ends because of a mapping that is
 * not guarded, and starts watching. */
void mapping_watch(void (*lost)(void));

#endif
